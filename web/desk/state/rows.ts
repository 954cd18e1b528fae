// The inbox list as pure data: what belongs into a view, in which order, and how a change is merged into 100,000 rows.
import type { ConversationRow } from '../../kit/api'

export interface Filter {
  status: 'waiting' | 'open' | 'snoozed' | 'closed'
  assignee: '' | 'me' | 'none' | string
  channel: string
  q: string
  failed?: boolean
  tag?: string
  unit?: string
  category?: string
  mentioned?: boolean
}

/** matches says whether a row belongs into the view. Text search is the server's business: such a list takes no new rows. */
export function matches(row: ConversationRow, f: Filter, me: string): boolean {
  if (f.q || f.mentioned) return false   // only the server knows what belongs here
  if (row.joined_into) return false
  if (f.failed) return row.failed
  if (f.category ? row.category !== f.category : row.category && row.status !== 'closed') return false
  if (f.tag && !row.tags.includes(f.tag)) return false
  if (f.unit && row.unit?.id !== f.unit) return false
  if (f.status === 'waiting' ? row.status !== 'open' || !row.waiting_since : row.status !== f.status) return false
  if (f.assignee === 'me' ? row.assignee?.id !== me : f.assignee === 'none' ? row.assignee !== null : f.assignee !== '' && row.assignee?.id !== f.assignee) return false
  return f.channel === '' || row.channel_kind === f.channel
}

/** compare orders rows as the server does: newest first, or in "waiting" whoever waits longest first. */
export function compare(a: ConversationRow, b: ConversationRow, f: Filter): number {
  if (f.status === 'waiting' && !f.failed) {
    const d = cmp(a.waiting_since ?? '', b.waiting_since ?? '')
    if (d) return d
  } else {
    const d = cmp(b.last_message_at, a.last_message_at)
    if (d) return d
  }
  return cmp(b.id, a.id)
}

/** Times are RFC 3339 in UTC but may differ in the length of their fraction, which text order gets wrong. */
function cmp(a: string, b: string): number {
  if (a === b) return 0
  if (a.length !== b.length) {
    const x = Date.parse(a), y = Date.parse(b)
    if (x !== y && !Number.isNaN(x) && !Number.isNaN(y)) return x - y
  }
  return a < b ? -1 : 1
}

/** place is the index at which a row belongs in an ordered list. */
export function place(rows: ConversationRow[], row: ConversationRow, f: Filter): number {
  let lo = 0, hi = rows.length
  while (lo < hi) {
    const mid = (lo + hi) >> 1
    if (compare(rows[mid]!, row, f) < 0) lo = mid + 1
    else hi = mid
  }
  return lo
}

/** Rows is an ordered list with an index by id. It is changed in place; the caller publishes `list` when a batch is done. */
export class Rows {
  list: ConversationRow[] = []
  private ids = new Map<string, ConversationRow>()

  constructor(readonly filter: Filter, readonly me: string) {}

  get(id: string) { return this.ids.get(id) }
  get size() { return this.list.length }

  private indexOf(row: ConversationRow): number {
    const i = place(this.list, row, this.filter)
    return this.list[i] === row ? i : this.list.indexOf(row)
  }

  remove(id: string): boolean {
    const old = this.ids.get(id)
    if (!old) return false
    const i = this.indexOf(old)
    if (i >= 0) this.list.splice(i, 1)
    this.ids.delete(id)
    return true
  }

  /** insert puts a row at its place, replacing an older version. Rows beyond the last loaded one wait for their page. */
  insert(row: ConversationRow, complete: boolean): void {
    const old = this.ids.get(row.id)
    if (old && compare(old, row, this.filter) === 0) {
      const i = this.indexOf(old)
      this.list[i] = row
      this.ids.set(row.id, row)
      return
    }
    const was = this.remove(row.id)
    const i = place(this.list, row, this.filter)
    if (i === this.list.length && !complete && !was && this.list.length > 0) return
    this.list.splice(i, 0, row)
    this.ids.set(row.id, row)
  }

  /** append takes a page from the server (already in order); rows that a live change brought earlier stay. */
  append(page: ConversationRow[], keepNewer = true): void {
    for (const row of page) {
      const old = this.ids.get(row.id)
      if (old && keepNewer && Date.parse(old.last_message_at) > Date.parse(row.last_message_at)) continue
      this.insert(row, true)
    }
  }
}

/**
 * applyLive merges a row from the live stream, which carries no unread count: a new message of the customer counts one
 * up, unless the conversation is the one being read.
 */
export function applyLive(rows: Rows, incoming: Omit<ConversationRow, 'unread'> & { unread?: number }, openId: string, complete: boolean): ConversationRow {
  const old = rows.get(incoming.id)
  const fresh = !old || Date.parse(incoming.last_message_at) > Date.parse(old.last_message_at)
  let unread = old?.unread ?? 0   // the frame's own number means nothing: it is the same frame for everybody
  if (fresh && incoming.last_message?.direction === 'in' && incoming.id !== openId) unread++
  if (incoming.id === openId) unread = 0
  const row: ConversationRow = { ...incoming, unread }
  if (matches(row, rows.filter, rows.me)) rows.insert(row, complete)
  else if ((rows.filter.q || rows.filter.mentioned) && old) rows.insert({ ...row, hits: old.hits }, complete)
  else rows.remove(row.id)
  return row
}
