import { describe, expect, it } from 'vitest'
import type { Program } from '../../kit/ask'
import { diff, near } from './diff'
import { add, arrange, condition, connect, exits, inputsFrom, kindOf, outcomes, patch, remove, rename, tall, width } from './program'

const p: Program = {
  dialog: 'pickup', title: { de: 'Abholung' }, languages: ['de'],
  steps: [
    { id: 'hello', say: { de: 'Ihr Auto ist fertig.' } },
    { id: 'when', ask: { kind: 'one_of', text: { de: 'Wann?' }, options: [{ key: 'thu', label: { de: 'Donnerstag' } }, { key: 'other', label: { de: 'Anderer Tag' } }] }, expired: 'person' },
    { id: 'way', branch: [{ if: 'when.key == "other"', to: 'person' }, { to: 'thanks' }] },
    { id: 'thanks', say: { de: 'Danke.' }, next: 'over' },
    { id: 'over', end: { outcome: 'booked' } },
    { id: 'person', hand: { staff: 'advisor' } },
  ],
}
const ways = (q: Program, id: string) => exits(q, q.steps.findIndex((s) => s.id === id)).map((e) => `${e.slot}→${e.to}${e.implied ? ' (below)' : ''}`)

describe('exits', () => {
  it('say where each step leads', () => {
    expect(ways(p, 'hello')).toEqual(['next→when (below)'])
    expect(ways(p, 'when')).toEqual(['next→way (below)', 'expired→person'])
    expect(ways(p, 'way')).toEqual(['branch.0→person', 'branch.1→thanks'])
    expect(ways(p, 'over')).toEqual([])
    expect(ways(p, 'person')).toEqual([])
  })
})

describe('conditions', () => {
  const w = { yes: 'Ja', no: 'Nein', otherwise: 'sonst', skippedIt: 'übersprungen' }
  const q: Program = { ...p, steps: [...p.steps, { id: 'ok', ask: { kind: 'yes_no', text: { de: '?' }, yes: { de: 'Passt' } } }] }
  const table: [string, string, boolean][] = [['when.key == "other"', 'Anderer Tag', false], ['when == "thu"', 'Donnerstag', false], ['ok.yes', 'Passt', false], ['!ok.yes', 'Nein', false], ['ok == false', 'Nein', false], ['', 'sonst', false], ['!answered(ok)', 'übersprungen', false], ['size(x) > 3', 'size(x) > 3', true], ['when.key == "gone"', 'when.key == "gone"', true]]
  for (const [cel, text, code] of table) it(cel || 'the last one', () => expect(condition(q, cel, 'de', w)).toEqual({ text, code }))
})

describe('edits', () => {
  it('leave the old program as it is', () => { const before = JSON.stringify(p); add(p, 'hello', 'say'); remove(p, 'when'); connect(p, 'way', 'branch.0', 'over'); rename(p, 'over', 'end'); expect(JSON.stringify(p)).toBe(before) })
  it('a step is put into the way', () => {
    const a = add(p, 'hello', 'say')
    expect(a.program.steps.map((s) => s.id).slice(0, 3)).toEqual(['hello', 'say', 'when'])
    expect(ways(a.program, 'say')).toEqual(['next→when (below)'])
    const b = add(p, 'thanks', 'ask')
    expect(ways(b.program, 'thanks')).toEqual(['next→ask'])
    expect(ways(b.program, 'ask')).toEqual(['next→over'])
    expect(add(a.program, 'hello', 'say').id).toBe('say-2')
  })
  it('a new branch is total and leads somewhere', () => { const b = add(p, 'hello', 'branch'); expect(ways(b.program, 'branch')).toEqual(['branch.0→when', 'branch.1→when']) })
  it('what led to a removed step leads to where it led', () => {
    expect(ways(remove(p, 'thanks'), 'way')).toEqual(['branch.0→person', 'branch.1→over'])
    expect(ways(remove(p, 'when'), 'hello')).toEqual(['next→way (below)'])
    const q = { ...p, steps: [{ id: 'a', say: { de: 'a' } }, { id: 'b', say: { de: 'b' }, next: 'd' }, { id: 'c', say: { de: 'c' } }, { id: 'd', end: {} }] }
    expect(ways(remove(q, 'b'), 'a')).toEqual(['next→d'])
  })
  it('the last step stays', () => { const q = { ...p, steps: [p.steps[0]!] }; expect(remove(q, 'hello')).toBe(q) })
  it('ways can be led elsewhere, and back to the step below', () => {
    expect(ways(connect(p, 'way', 'branch.1', 'over'), 'way')).toEqual(['branch.0→person', 'branch.1→over'])
    expect(ways(connect(connect(p, 'thanks', 'next', 'hello'), 'thanks', 'next', ''), 'thanks')).toEqual(['next→over (below)'])
    expect(ways(connect(p, 'when', 'expired', ''), 'when')).toEqual(['next→way (below)'])
  })
  it('a name changes everywhere, and only to one that is free and allowed', () => {
    const q = rename(p, 'person', 'mensch')
    expect(ways(q, 'way')).toContain('branch.0→mensch')
    expect(ways(q, 'when')).toContain('expired→mensch')
    expect(rename(p, 'person', 'over')).toBe(p)
    expect(rename(p, 'person', 'Über')).toBe(p)
  })
  it('empty fields go', () => { const q = patch(p, 'when', (s) => { s.expired = ''; s.ask!.unit = '' }); expect(q.steps[1]!.expired).toBeUndefined(); expect('unit' in q.steps[1]!.ask!).toBe(false) })
})

describe('layout', () => {
  it('reads from top to bottom and nothing lies on anything', () => {
    const at = arrange(p, 'de')
    for (const [i, s] of p.steps.entries()) for (const e of exits(p, i)) expect(at[e.to]!.y, `${s.id}→${e.to}`).toBeGreaterThan(at[s.id]!.y)
    const boxes = p.steps.map((s) => ({ ...at[s.id]!, h: tall(s, 'de') }))
    for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) expect(a.x + width <= b.x || b.x + width <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y).toBe(true)
  })
  it('bears cycles and steps that nothing leads to', () => {
    const q: Program = { ...p, steps: [{ id: 'a', say: { de: 'a' }, next: 'b' }, { id: 'b', ask: { kind: 'yes_no', text: { de: '?' } }, next: 'a' }, { id: 'lost', end: {} }] }
    expect(Object.keys(arrange(q, 'de'))).toEqual(['a', 'b', 'lost'])
  })
  it('keeps where somebody put a step', () => expect(arrange(p, 'de', { over: { x: 900, y: 7 } }).over).toEqual({ x: 900, y: 7 }))
})

describe('inputs', () => {
  const vars = [{ name: 'km', type: 'number' }, { name: 'ok', type: 'yes_no', default: true }, { name: 'l', type: 'list', default: [] }]
  it('become what their type says', () => expect(inputsFrom(vars, { km: '3,5', ok: 'false', l: 'a, b' })).toEqual({ inputs: { km: 3.5, ok: false, l: ['a', 'b'] } }))
  it('that are missing or wrong are named', () => { expect(inputsFrom(vars, { km: ' ' })).toEqual({ missing: 'km' }); expect(inputsFrom(vars, { km: 'drei' })).toEqual({ missing: 'km' }); expect(inputsFrom(vars, { km: '1' })).toEqual({ inputs: { km: 1 } }) })
})

describe('kinds', () => { it('of all steps', () => expect(p.steps.map(kindOf)).toEqual(['say', 'ask', 'branch', 'say', 'end', 'hand'])) })

describe('outcomes', () => { it('the most frequent first, with their part', () => expect(outcomes({ done: 3, handed: 1, x: 0 })).toEqual([{ name: 'done', n: 3, part: 0.75 }, { name: 'handed', n: 1, part: 0.25 }])) })

describe('versions', () => {
  const show = (a: string, b: string) => diff(a, b).map((l) => (l.kind === 'same' ? ' ' : l.kind === 'gone' ? '-' : '+') + l.text)
  it('are compared line by line', () => {
    expect(show('a\nb\nc', 'a\nx\nc')).toEqual([' a', '-b', '+x', ' c'])
    expect(show('a', 'a\nb')).toEqual([' a', '+b'])
    expect(show('a\nb\nc\nd', 'b\nd\ne')).toEqual(['-a', ' b', '-c', ' d', '+e'])
    expect(show('same', 'same')).toEqual([' same'])
  })
  it('numbers lines on both sides', () => expect(diff('a\nb', 'a\nc\nb').map((l) => [l.a, l.b])).toEqual([[1, 1], [0, 2], [2, 3]]))
  it('leaves out what stayed', () => expect(near(diff('1\n2\n3\n4\n5\n6\n7\n8\n9', '1\n2\n3\n4\n5\n6\n7\n8\nx'), 1)).toEqual([{ left: 7 }, expect.objectContaining({ text: '8' }), expect.objectContaining({ kind: 'gone' }), expect.objectContaining({ kind: 'new' })]))
})
