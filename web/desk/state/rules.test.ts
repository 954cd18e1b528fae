import { describe, expect, it } from 'vitest'
import type { Participant, TextBlock } from '../../kit/api'
import { audienceOf, mixes, replyAll, seers, untagged } from './audience'
import { atFirst, pieces } from './marks'
import { all, chunks, none, range, toggle } from './selection'
import { asked, findBlocks, findPeople, gaps, mentioned, replace } from './writing'

const box = (address: string, name = '') => ({ address, name })

describe('audience', () => {
  it('says who sees a message', () => {
    expect(audienceOf({ kind: 'message' })).toBe('customer')
    expect(audienceOf({ kind: 'message', audience: { customer: true, participants: ['p'] } })).toBe('both')
    expect(audienceOf({ kind: 'message', audience: { customer: false, participants: ['p'] } })).toBe('third')
    expect(audienceOf({ kind: 'message', audience: { customer: false, participants: [] } })).toBe('internal')
    expect(audienceOf({ kind: 'note', audience: { customer: true, participants: [] } })).toBe('internal')
  })
  it('names those who are still there and counts the others', () => {
    const p = { id: 'a', name: 'A' } as Participant
    expect(seers({ audience: { customer: false, participants: ['a', 'gone'] } }, [p])).toEqual({ known: [p], gone: 1 })
  })
  it('answers to all, without ourselves and without the one that is answered, each once', () => {
    const m = { direction: 'in' as const, from: [box('Anna@k.example')], to: [box('Service@us.example'), box('b@k.example')], cc: [box('B@k.example'), box('w@w.example')] }
    expect(replyAll(m, ['service@us.example'], 'anna@k.example').map((x) => x.address)).toEqual(['b@k.example', 'w@w.example'])
  })
  it('no mailbox of ours is copied, whatever its +suffix; those of others are', () => {
    const m = { direction: 'in' as const, from: [box('w@w.example')], to: [box('Service+r.AbC123@us.example'), box('schaden+x@us.example')], cc: [box('anna+shop@k.example'), box('service@k.example'), box('+@us.example')] }
    expect(replyAll(m, ['service@us.example', 'Schaden@us.example'], 'w@w.example').map((x) => x.address)).toEqual(['anna+shop@k.example', 'service@k.example', '+@us.example'])
    expect(untagged('Service+r.A+b@us.example')).toBe('service@us.example')
    expect(replyAll({ ...m, to: [box('sales+de@us.example')], cc: [] }, ['sales+de@us.example'], 'w@w.example')).toEqual([])
  })
  it('an answer to our own mail does not go to ourselves', () => {
    expect(replyAll({ direction: 'out', from: [box('service@us.example')], to: [box('anna@k.example')], cc: [box('w@w.example')] }, [], 'anna@k.example').map((x) => x.address)).toEqual(['w@w.example'])
  })
  it('knows when customer and third party would read the same', () => {
    expect(mixes(true, [], ['anna@k.example'])).toBe(false)
    expect(mixes(true, [box('ANNA@k.example')], ['anna@k.example'])).toBe(false)
    expect(mixes(true, [box('w@w.example')], ['anna@k.example'])).toBe(true)
    expect(mixes(false, [box('w@w.example')], ['anna@k.example'])).toBe(false)
    expect(mixes(false, [box('anna@k.example')], ['anna@k.example'])).toBe(true)
  })
})

describe('a snippet in a narrow line', () => {
  const shown = (s: string, marks: [number, number][], lead?: number) => { const x = atFirst(s, marks, lead); return pieces(x.snippet, x.marks).map((p) => (p.mark ? `[${p.text}]` : p.text)).join('') }
  it('begins between words, shortly before the first mark', () => {
    const s = 'Guten Tag, ich frage nach meiner Versicherung und der Police'
    expect(shown(s, [[s.indexOf('Versicherung'), s.indexOf('Versicherung') + 12], [s.indexOf('Police'), s.length]])).toBe('…meiner [Versicherung] und der [Police]')
    expect(shown(s, [[s.indexOf('Police'), s.length], [s.indexOf('frage'), s.indexOf('frage') + 5]])).toBe('…Tag, ich [frage] nach meiner Versicherung und der [Police]')
  })
  it('stays whole where the mark is near the beginning or nothing is marked', () => {
    expect(shown('Guten Tag', [[6, 9]])).toBe('Guten [Tag]')
    expect(shown('Guten Tag, liebe Leute', [])).toBe('Guten Tag, liebe Leute')
    expect(atFirst('kurz', [[40, 44]])).toEqual({ snippet: 'kurz', marks: [[40, 44]] })
  })
  it('a long word is cut, a character never', () => {
    expect(shown('Haftpflichtversicherung', [[11, 23]], 4)).toBe('…icht[versicherung]')
    expect(shown('🙂🙂🙂🙂🙂🙂ja', [[12, 14]], 3)).toBe('…🙂[ja]')
  })
})

describe('writing', () => {
  it('finds what is asked for at the caret, not inside words or addresses', () => {
    expect(asked('Guten Tag /kf', 13, '/')).toEqual({ from: 10, to: 13, word: 'kf' })
    expect(asked('/', 1, '/')).toEqual({ from: 0, to: 1, word: '' })
    expect(asked('und/oder', 8, '/')).toBeNull()
    expect(asked('https://k', 9, '/')).toBeNull()
    expect(asked('an a@b', 6, '@')).toBeNull()
    expect(asked('hallo @Jonas Kr', 15, '@')?.word).toBe('Jonas Kr')
    expect(replace('x /kf y', { from: 2, to: 5, word: 'kf' }, 'Text')).toEqual({ text: 'x Text y', caret: 6 })
  })
  it('orders text blocks: short cut, then name, then content', () => {
    const b = (name: string, shortcut: string, text = '') => ({ id: name, name, shortcut, text, unit_id: null, personal: false, updated_at: '' }) as TextBlock
    const list = [b('Rückruf', 'ruf'), b('Kfz-Schaden', 'kfz'), b('Rufnummer', 'nr'), b('Gruß', 'g', 'Wir rufen an')]
    expect(findBlocks(list, 'ruf', '').map((x) => x.name)).toEqual(['Rückruf', 'Rufnummer', 'Gruß'])
    expect(findBlocks(list, 'ruck', '').map((x) => x.name)).toEqual(['Rückruf'])
    expect(findBlocks(list, '', '')).toHaveLength(4)
  })
  it('knows who is mentioned by what stands there in the end', () => {
    const people = [{ id: '1', name: 'Jonas Krämer' }, { id: '2', name: 'Jonas Krämermann' }, { id: '3', name: 'Leyla Aydın' }]
    expect(mentioned('@Jonas Krämer: und @leyla aydın bitte', people)).toEqual(['1', '3'])
    expect(mentioned('@Jonas Krämermann', people)).toEqual(['2'])
    expect(mentioned('Jonas Krämer', people)).toEqual([])
    expect(findPeople(people, 'kra').map((x) => x.id)).toEqual(['1', '2'])
  })
  it('finds what a block left unfilled, each once', () => {
    expect(gaps('zu {{contract.number}} und {{ contract.number }}, {{today}}')).toEqual(['contract.number', 'today'])
  })
})

describe('marks', () => {
  it('cuts at the marks, also beside signs of two units', () => {
    expect(pieces('🚗 Golf da', [[3, 7]])).toEqual([{ text: '🚗 ', mark: false }, { text: 'Golf', mark: true }, { text: ' da', mark: false }])
  })
  it('overlapping, empty and foreign marks do no harm', () => {
    expect(pieces('abcdef', [[4, 99], [0, 2], [1, 3], [3, 3]]).map((p) => [p.text, p.mark])).toEqual([['ab', true], ['c', true], ['d', false], ['ef', true]])
    expect(pieces('', [[0, 3]])).toEqual([])
  })
})

describe('selection', () => {
  it('one, a range in both directions, all', () => {
    const order = ['a', 'b', 'c', 'd']
    let s = toggle(none, 'c')
    s = range(s, 'a', order)
    expect([...s.ids].sort()).toEqual(['a', 'b', 'c'])
    s = toggle(s, 'b')
    expect(s.ids.has('b')).toBe(false)
    expect(range(none, 'b', order).ids.has('b')).toBe(true)
    expect(all(order).ids.size).toBe(4)
    expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]])
  })
})
