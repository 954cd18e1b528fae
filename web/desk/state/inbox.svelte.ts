// The list of conversations as it is looked at: which view, what is loaded, what is changed while the server still thinks.
import { get, patch, query, type ConversationRow, type Counts, type Delivery, type Message, type Page, type Status } from '../../kit/api'
import { i18n } from '../../kit/i18n.svelte'
import { toasts } from '../../kit/toasts.svelte'
import { applyLive, matches, Rows, type Filter } from './rows'
import type { Batch } from './livecore'
import { session } from './session.svelte'
import { sentence } from './say'
import { staff } from './staff.svelte'
import { shortly } from '../../kit/time'

/** troubled finds the conversations with deliveries that need a person; the server lists the deliveries. */
async function troubled(): Promise<Page<ConversationRow>> {
  const lists = await Promise.all((['uncertain', 'failed'] as const).map((state) => get<Page<Delivery>>('/api/v1/deliveries' + query({ state, limit: 50 }))))
  const found = await Promise.allSettled(lists.flatMap((l) => l.items).map(async (d) => d.conversation_id || (await get<Message>(`/api/v1/messages/${d.message_id}`)).conversation_id))
  const ids = [...new Set(found.flatMap((f) => (f.status === 'fulfilled' ? [f.value] : [])))]
  const rows = await Promise.allSettled(ids.map((id) => get<ConversationRow>(`/api/v1/conversations/${id}`)))
  return { items: rows.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : [])), next_cursor: '' }
}

export type View = 'mine' | 'unassigned' | 'all' | 'failed'

class Inbox {
  view = $state<View>('mine')
  filter = $state.raw<Filter>({ status: 'open', assignee: 'me', channel: '', q: '' })
  list = $state.raw<ConversationRow[]>([])
  loading = $state(true)
  complete = $state(false)
  error = $state.raw<unknown>(null)
  counts = $state.raw<Counts | null>(null)
  openId = ''
  private rows = new Rows(this.filter, '')
  private cursor = ''
  private turn = 0
  private busy = false
  private countTimer: ReturnType<typeof setTimeout> | undefined
  /** Deliveries that failed; the counts know only of the uncertain ones. */
  failures = $state(0)
  private failTimer: ReturnType<typeof setTimeout> | undefined
  private watchers = new Set<(row: ConversationRow) => void>()

  /** onRow hears of every changed row, in the list or not. */
  onRow(fn: (row: ConversationRow) => void) { this.watchers.add(fn); return () => this.watchers.delete(fn) }

  show(view: View, filter: Filter) {
    if (JSON.stringify(filter) === JSON.stringify(this.filter) && this.rows.me === session.me) { this.view = view; return }
    this.view = view
    this.filter = filter
    this.rows = new Rows(filter, session.me)
    this.list = []
    this.cursor = ''
    this.complete = false
    this.busy = false
    this.turn++
    void this.more()
  }

  private path(cursor: string) {
    const f = this.filter
    return '/api/v1/conversations' + query({
      status: f.q ? '' : f.status === 'waiting' ? 'open' : f.status, waiting: f.status === 'waiting' && !f.q, assignee: f.q ? '' : f.assignee,
      channel_kind: f.channel, q: f.q, cursor, limit: 50,
    })
  }

  async more() {
    if (this.busy || this.complete) return
    this.busy = true
    this.loading = this.list.length === 0
    const turn = this.turn
    try {
      const page = this.filter.failed ? await troubled() : await get<Page<ConversationRow>>(this.path(this.cursor))
      if (turn !== this.turn) return
      this.rows.append(page.items)
      this.cursor = page.next_cursor
      this.complete = !page.next_cursor
      this.error = null
      this.publish()
    } catch (e) {
      if (turn !== this.turn) return
      this.error = e
    }
    this.busy = false
    this.loading = false
  }

  /** refresh asks for the first page again, silently: after a gap in the live stream. */
  async refresh(all = false) {
    if (all) {
      const turn = ++this.turn
      this.busy = true
      try {
        const page = this.filter.failed ? await troubled() : await get<Page<ConversationRow>>(this.path(''))
        if (turn !== this.turn) return
        this.rows = new Rows(this.filter, session.me)
        this.rows.append(page.items)
        this.cursor = page.next_cursor
        this.complete = !page.next_cursor
        this.error = null
        this.publish()
      } catch (e) { if (turn === this.turn && !this.list.length) this.error = e }
      this.busy = false
      this.loading = false
    } else {
      const turn = this.turn
      try {
        const page = this.filter.failed ? await troubled() : await get<Page<ConversationRow>>(this.path(''))
        if (turn !== this.turn) return
        this.rows.append(page.items, false)
        this.publish()
      } catch { /* what is shown stays */ }
    }
    this.recount()
  }

  private publish() { this.list = this.rows.list.slice() }

  recount(soon = false) {
    if (soon && this.countTimer) return
    clearTimeout(this.countTimer)
    this.countTimer = setTimeout(async () => {
      this.countTimer = undefined
      try { this.counts = await get<Counts>('/api/v1/conversations/counts') } catch { /* the old numbers stay */ }
    }, soon ? 1000 : 0)
  }

  /** recheck counts failed deliveries again; not more often than every two seconds. */
  recheck(soon = true) {
    this.failTimer ??= setTimeout(async () => {
      this.failTimer = undefined
      try { this.failures = (await get<Page<Delivery>>('/api/v1/deliveries?state=failed&limit=100')).items.length } catch { /* the old number stays */ }
    }, soon ? 2000 : 0)
  }

  live(b: Batch) {
    if (b.reload) void this.refresh(true)
    else if (b.hello) void this.refresh()
    if (b.deliveries.some((d) => d.state === 'failed') || b.conversations.some((f) => f.conversation?.failed || this.rows.get(f.id ?? '')?.failed)) this.recheck()
    if (!b.conversations.length) return
    for (const f of b.conversations) {
      const row = applyLive(this.rows, f.conversation!, this.openId, this.complete)
      this.watchers.forEach((fn) => fn(row))
    }
    this.publish()
    this.recount(true)
  }

  /** put takes a row that the server answered with. */
  put(row: ConversationRow) {
    if (matches(row, this.filter, session.me) || (this.filter.q && this.rows.get(row.id))) this.rows.insert(row, this.complete)
    else this.rows.remove(row.id)
    this.publish()
    this.watchers.forEach((fn) => fn(row))
    this.recount(true)
  }

  get(id: string) { return this.rows.get(id) }

  seen(id: string) {
    const row = this.rows.get(id)
    if (row?.unread) { this.rows.insert({ ...row, unread: 0 }, true); this.publish() }
  }

  neighbour(id: string, step: 1 | -1): ConversationRow | undefined {
    const i = this.list.findIndex((r) => r.id === id)
    return i < 0 ? this.list[0] : this.list[i + step]
  }

  /** change does it at once, says so with the way back, and takes it back itself when the server refuses. */
  private change(row: ConversationRow, next: Partial<ConversationRow>, body: object, back: object | null, said: string) {
    this.put({ ...row, ...next })
    const id = back
      ? toasts.show(said, { action: { label: () => i18n.t.undo, run: () => {
          const now = this.rows.get(row.id) ?? { ...row, ...next }
          const restored = { ...now, status: row.status, assignee: row.assignee, snoozed_until: row.snoozed_until, waiting_since: row.waiting_since, subject: row.subject }
          this.change(restored, {}, back, null, '')
        } } })
      : 0
    patch<ConversationRow>(`/api/v1/conversations/${row.id}`, body).then((r) => this.put(r), (e) => {
      if (id) toasts.drop(id)
      this.put(row)
      toasts.bad(i18n.t.errReverted(sentence(e)))
    })
  }

  setStatus(row: ConversationRow, status: Status) {
    this.change(row, { status, snoozed_until: null, ...(status === 'closed' ? { waiting_since: null } : {}) }, { status },
      row.status === 'snoozed' ? { status: 'snoozed', snoozed_until: row.snoozed_until } : { status: row.status },
      status === 'closed' ? i18n.t.doneClosed : i18n.t.doneReopened)
  }

  snooze(row: ConversationRow, until: Date) {
    const at = until.toISOString()
    this.change(row, { status: 'snoozed', snoozed_until: at }, { status: 'snoozed', snoozed_until: at },
      row.status === 'snoozed' ? { status: 'snoozed', snoozed_until: row.snoozed_until } : { status: row.status },
      i18n.t.doneSnoozed(shortly(at, Date.now(), i18n.lang)))
  }

  assign(row: ConversationRow, id: string | null) {
    const name = id === session.me ? (session.now?.user.name ?? '') : id ? staff.name(id) : ''
    this.change(row, { assignee: id ? { id, name } : null }, { assignee_id: id }, { assignee_id: row.assignee?.id ?? null },
      id ? i18n.t.doneAssigned(name) : i18n.t.doneUnassigned)
  }

  rename(row: ConversationRow, subject: string) {
    this.change(row, { subject }, { subject }, { subject: row.subject }, i18n.t.saved)
  }
}

export const inbox = new Inbox()
