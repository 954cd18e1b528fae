import { describe, expect, it } from 'vitest'
import type { Delivery, Message } from '../../kit/api'
import { fate, merge } from './stream'

const delivery = (state: Delivery['state'], at = '2026-12-01T09:00:00Z'): Delivery => ({ id: 'd', state, error: '', reason: '', at, undo_until: null })
const m = (id: string, s: number, more: Partial<Message> = {}) => ({ id, sent_at: new Date(Date.parse('2026-12-01T09:00:00Z') + s * 1000).toISOString(), client_id: '', delivery: null, text: id, ...more }) as Message
const ids = (l: Message[]) => l.map((x) => x.id).join('')

describe('merge', () => {
  it('puts pages together in order', () => expect(ids(merge([m('c', 3), m('d', 4)], [m('a', 1), m('b', 2)]))).toBe('abcd'))
  it('replaces by id', () => { const l = merge([m('a', 1)], [m('a', 1, { text: 'neu' })]); expect(l).toHaveLength(1); expect(l[0]!.text).toBe('neu') })
  it('replaces by client_id: what was local becomes the server’s', () => expect(ids(merge([m('local', 1, { client_id: 'k' })], [m('s', 1, { client_id: 'k' })]))).toBe('s'))
  it('a late answer does not turn a delivery back', () => {
    const have = [m('a', 1, { delivery: delivery('delivered', '2026-12-01T09:00:09Z') })]
    expect(merge(have, [m('a', 1, { delivery: delivery('queued', '2026-12-01T09:00:01Z') })])[0]!.delivery!.state).toBe('delivered')
  })
  it('gives back the same list when there is nothing new', () => { const l = [m('a', 1)]; expect(merge(l, [])).toBe(l) })
})

describe('fate', () => {
  const one = (s: Delivery['state']) => [m('a', 1, { delivery: delivery(s) })]
  const table: [Delivery['state'], Delivery['state'], Delivery['state']][] = [
    ['queued', 'sent', 'sent'], ['read', 'delivered', 'read'], ['delivered', 'sent', 'delivered'], ['sending', 'uncertain', 'uncertain'],
    ['uncertain', 'delivered', 'delivered'], ['failed', 'queued', 'queued'], ['read', 'queued', 'read'],
  ]
  for (const [from, to, want] of table) it(`${from}, then ${to}: ${want}`, () => expect(fate(one(from), 'a', to)[0]!.delivery!.state).toBe(want))
  it('leaves others alone', () => { const l = one('sent'); expect(fate(l, 'x', 'read')).toBe(l) })
})
