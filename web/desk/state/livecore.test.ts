import { describe, expect, it } from 'vitest'
import type { Frame } from '../../kit/api'
import { backoff, batch, Coalescer, type Batch } from './livecore'

describe('backoff', () => {
  it('doubles to half a minute, jittered between half and whole', () => {
    expect([0, 1, 2, 3].map((n) => backoff(n, () => 1))).toEqual([500, 1000, 2000, 4000])
    expect(backoff(0, () => 0)).toBe(250)
    expect(backoff(40, () => 1)).toBe(30_000)
  })
})

describe('batch', () => {
  it('folds frames: each message once, conversations in order, the highest seq', () => {
    const b = batch([
      { seq: 5, kind: 'message', id: 'm1', conversation_id: 'c' }, { seq: 7, kind: 'message', id: 'm1', conversation_id: 'c' }, { seq: 6, kind: 'conversation', id: 'c', conversation: {} as never },
      { kind: 'typing', conversation_id: 'c' }, { seq: 8, kind: 'staff', id: 's' }, { seq: 9, kind: 'staff', id: 's' }, { kind: 'presence' },
    ])
    expect(b.seq).toBe(9)
    expect([...b.messages]).toEqual([['m1', 'c']])
    expect(b.conversations).toHaveLength(1)
    expect(b.typing).toHaveLength(1)
    expect([...b.things]).toEqual(['staff:s'])
  })
  it('reload sets the cursor, even backwards', () => {
    const b = batch([{ seq: 900, kind: 'message', id: 'x' }, { seq: 12, kind: 'reload' }])
    expect([b.reload, b.seq]).toEqual([true, 12])
  })
})

describe('Coalescer', () => {
  /** A clock and timers in our hand. */
  function world() {
    let t = 0
    const due: { at: number; fn: () => void }[] = []
    const got: Batch[] = []
    const c = new Coalescer((b) => got.push(b), () => t, (fn, d) => due.push({ at: t + d, fn }), 100)
    const to = (until: number) => { for (;;) { due.sort((a, b) => a.at - b.at); if (!due.length || due[0]!.at > until) break; const d = due.shift()!; t = d.at; d.fn() } t = until }
    return { c, got, to, push: (seq: number) => c.push({ seq, kind: 'staff', id: String(seq) } as Frame) }
  }
  it('hands a single frame on at once', () => { const w = world(); w.push(1); w.to(0); expect(w.got).toHaveLength(1) })
  it('300 frames a second become ten batches, and none is lost', () => {
    const w = world()
    for (let i = 1; i <= 300; i++) { w.push(i); w.to(i * 1000 / 300) }
    w.to(2000)
    expect(w.got.length).toBeLessThanOrEqual(12)
    expect(w.got.reduce((n, b) => n + b.things.size, 0)).toBe(300)
    expect(w.got.at(-1)!.seq).toBe(300)
  })
})
