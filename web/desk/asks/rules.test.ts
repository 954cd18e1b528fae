import { describe, expect, it } from 'vitest'
import type { Ask } from '../../kit/ask'
import { fresh, keyed, length, limit, missing, move, place, trimmed } from './rules'

describe('labels', () => {
  it('are counted in code points', () => { expect(length('  Grüße 👍 ')).toBe(7) })
  it('have the limit of what the channel makes of so many options', () => {
    const whatsapp = { buttons: 3, button_title_max: 20, list_rows: 10, list_title_max: 24 }
    expect(limit(whatsapp, 3)).toEqual({ max: 20, form: 'buttons' })
    expect(limit(whatsapp, 4)).toEqual({ max: 24, form: 'list' })
    expect(limit(whatsapp, 11)).toEqual({ max: 0, form: '' })
    expect(limit({}, 2)).toEqual({ max: 0, form: '' })
  })
})

describe('keys of options', () => {
  it('are made of the label, each once, and stay', () => {
    const o = (label: string, key = '') => ({ key, label: { de: label } })
    expect(keyed([o('Größer Straße'), o('Größer Straße'), o('x', 'grosser_strasse_2'), o('!!')], 'de').map((x) => x.key)).toEqual(['grosser_strasse', 'grosser_strasse_3', 'grosser_strasse_2', 'o4'])
  })
})

describe('what is sent', () => {
  const a: Ask = { kind: 'one_of', text: { de: ' Wann? ', en: 'When?' }, short: { de: '' }, expires: '', options: [{ key: 'a', label: { de: 'Montag', en: 'Monday' } }, { key: '', label: { de: '' } }] }
  it('speaks one language and has nothing empty', () => expect(trimmed(a, 'de')).toEqual({ kind: 'one_of', text: { de: 'Wann?' }, options: [{ key: 'a', label: { de: 'Montag' } }] }))
  it('takes German where the simple form is missing', () => expect(trimmed({ kind: 'text', text: { de: 'Wo?' } }, 'de-simple').text).toEqual({ 'de-simple': 'Wo?' }))
  it('keeps zero', () => expect(trimmed({ kind: 'number', text: { de: 'x' }, min: 0 }, 'de').min).toBe(0))
})

describe('what is missing', () => {
  const table: [Ask, string][] = [[fresh('text', 'de'), 'text'], [{ ...fresh('one_of', 'de'), text: { de: 'x' } }, 'options'], [{ ...fresh('slot', 'de'), text: { de: 'x' } }, 'calendar'], [{ kind: 'payment', text: { de: 'x' }, url: 'http://a' }, 'url'],
    [{ kind: 'number', text: { de: 'x' }, min: 3, max: 2 }, 'max'], [{ kind: 'yes_no', text: { de: 'x' } }, '']]
  for (const [a, want] of table) it(`${a.kind}: ${want || 'nothing'}`, () => expect(missing(a, 'de')).toBe(want))
})

describe('moving', () => {
  it('stops at the ends', () => { expect(move([1, 2, 3], 0, -1)).toEqual([1, 2, 3]); expect(move([1, 2, 3], 0, 1)).toEqual([2, 1, 3]); expect(move([1, 2, 3], 2, 1)).toEqual([1, 2, 3]) })
})

describe('where an error belongs', () => {
  const table = [['body.ask.options[0].label', 'options.0.label'], ['body.ask.text.de', 'text'], ['body.ask.expires', 'expires'], ['body.text', 'text']]
  for (const [from, to] of table) it(from!, () => expect(place(from!)).toBe(to))
})
