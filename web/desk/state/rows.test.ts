import { describe, expect, it } from 'vitest'
import type { ConversationRow } from '../../kit/api'
import { applyLive, compare, matches, Rows, type Filter } from './rows'

const open: Filter = { status: 'open', assignee: '', channel: '', q: '' }
const T = Date.parse('2026-12-01T09:00:00Z')
const at = (s: number) => new Date(T + s * 1000).toISOString()
const row = (id: string, s: number, more: Partial<ConversationRow> = {}): ConversationRow => ({
  id, subject: id, status: 'open', customer: { id: 'c' + id, name: id }, assignee: null, channel_kind: 'email', last_message_at: at(s),
  last_message: { direction: 'in', author: 'customer', text: '' }, waiting_since: at(s), unread: 0, snoozed_until: null, tags: [], failed: false, ...more,
})
const live = (r: ConversationRow) => { const { unread: _, ...rest } = r; return rest }
const ids = (r: Rows) => r.list.map((x) => x.id).join('')

describe('matches', () => {
  const me = { id: 'me', name: 'Me' }
  const table: [string, Partial<ConversationRow>, Partial<Filter>, boolean][] = [
    ['open in open', {}, {}, true], ['closed in open', { status: 'closed' }, {}, false], ['mine', { assignee: me }, { assignee: 'me' }, true],
    ['other’s in mine', { assignee: { id: 'x', name: '' } }, { assignee: 'me' }, false], ['nobody’s in unassigned', {}, { assignee: 'none' }, true],
    ['mine in unassigned', { assignee: me }, { assignee: 'none' }, false], ['of one colleague', { assignee: { id: 'x', name: '' } }, { assignee: 'x' }, true],
    ['waiting', {}, { status: 'waiting' }, true], ['answered in waiting', { waiting_since: null }, { status: 'waiting' }, false],
    ['snoozed in waiting', { status: 'snoozed' }, { status: 'waiting' }, false], ['other channel', {}, { channel: 'telegram' }, false],
    ['failed anywhere', { status: 'closed', failed: true }, { failed: true }, true], ['fine in failed', {}, { failed: true }, false], ['search takes nothing new', {}, { q: 'x' }, false],
  ]
  for (const [name, r, f, want] of table) it(name, () => expect(matches(row('a', 0, r), { ...open, ...f }, 'me')).toBe(want))
})

describe('order', () => {
  it('newest first; in waiting the longest wait first', () => {
    const a = row('a', 1), b = row('b', 2)
    expect(compare(a, b, open)).toBeGreaterThan(0)
    expect(compare(a, b, { ...open, status: 'waiting' })).toBeLessThan(0)
  })
  it('compares times, not their spelling', () => {
    const a = row('a', 0, { last_message_at: '2026-12-01T09:00:00Z' }), b = row('b', 0, { last_message_at: '2026-12-01T09:00:00.5Z' })
    expect(compare(b, a, open)).toBeLessThan(0)
  })
})

describe('Rows', () => {
  it('merges pages and live changes without doubling, always in order', () => {
    const r = new Rows(open, 'me')
    r.append([row('c', 30), row('b', 20)])
    r.append([row('b', 20), row('a', 10)])
    expect(ids(r)).toBe('cba')
    applyLive(r, live(row('a', 40)), '', true)
    expect(ids(r)).toBe('acb')
    applyLive(r, live(row('b', 20, { status: 'closed' })), '', true)
    expect(ids(r)).toBe('ac')
  })
  it('a page that comes late does not undo a live change', () => {
    const r = new Rows(open, 'me')
    applyLive(r, live(row('a', 50)), '', true)
    r.append([row('b', 30), row('a', 10)])
    expect(ids(r)).toBe('ab')
    expect(r.get('a')!.last_message_at).toBe(at(50))
  })
  it('rows beyond the last loaded page wait for their page', () => {
    const r = new Rows(open, 'me')
    r.append([row('c', 30), row('b', 20)])
    applyLive(r, live(row('z', 5)), '', false)
    expect(ids(r)).toBe('cb')
    applyLive(r, live(row('y', 25)), '', false)
    expect(ids(r)).toBe('cyb')
  })
  it('stays consistent under many random changes', () => {
    let seed = 7
    const rnd = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n
    const r = new Rows(open, 'me')
    const truth = new Map<string, ConversationRow>()
    for (let i = 0; i < 5000; i++) {
      const id = 'r' + rnd(200)
      const x = row(id, rnd(1000), { status: rnd(5) ? 'open' : 'closed' })
      truth.set(id, x)
      applyLive(r, live(x), '', true)
    }
    const want = [...truth.values()].filter((x) => x.status === 'open').sort((a, b) => compare(a, b, open)).map((x) => x.id)
    expect(r.list.map((x) => x.id)).toEqual(want)
  })
})

describe('unread', () => {
  it('counts a new message of the customer up, once, and not in the open conversation', () => {
    const r = new Rows(open, 'me')
    r.append([row('a', 10), row('b', 9)])
    applyLive(r, live(row('a', 11)), 'b', true)
    applyLive(r, live(row('a', 11, { assignee: { id: 'x', name: 'X' } })), 'b', true) // no new message: assigned
    expect(r.get('a')!.unread).toBe(1)
    applyLive(r, live(row('b', 12)), 'b', true)
    expect(r.get('b')!.unread).toBe(0)
  })
  it('does not believe the number in the frame, which is nobody’s', () => {
    const r = new Rows(open, 'me')
    r.append([row('a', 10, { unread: 2 })])
    applyLive(r, { ...live(row('a', 10)), unread: 0 }, '', true)
    expect(r.get('a')!.unread).toBe(2)
  })
  it('does not count what we wrote', () => {
    const r = new Rows(open, 'me')
    r.append([row('a', 10)])
    applyLive(r, live(row('a', 11, { last_message: { direction: 'out', author: 'staff', text: '' } })), '', true)
    expect(r.get('a')!.unread).toBe(0)
  })
})
