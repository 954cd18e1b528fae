// The list of conversations as it is looked at: which view, what is loaded, what is changed while the server still thinks.
import { del, get, patch, post, put as send, query, type BulkResult, type Category, type Change, type ConversationRow, type Counts, type Delivery, type Page, type Status } from '../../kit/api'
import { i18n } from '../../kit/i18n.svelte'
import { toasts } from '../../kit/toasts.svelte'
import { applyLive, matches, Rows, type Filter } from './rows'
import type { Batch } from './livecore'
import { session } from './session.svelte'
import { sentence } from './say'
import { staff } from './staff.svelte'
import { shortly } from '../../kit/time'
import { all, chunks, none, range, toggle, type Selection } from './selection'

export const views = ['mine', 'unassigned', 'all', 'waiting', 'mentions', 'failed', 'saved'] as const
export type View = (typeof views)[number]

class Inbox {
  view = $state<View>('mine')
  /** Which saved view, if it is one. */
  savedId = $state('')
  filter = $state.raw<Filter>({ status: 'open', assignee: 'me', channel: '', q: '' })
  list = $state.raw<ConversationRow[]>([])
  loading = $state(true)
  complete = $state(false)
  error = $state.raw<unknown>(null)
  counts = $state.raw<Counts | null>(null)
  openId = ''
  /** What is chosen for doing something to all of it. */
  chosen = $state.raw<Selection>(none)
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
    this.chosen = none
    void this.more()
  }

  private path(cursor: string) {
    const f = this.filter
    return '/api/v1/conversations' + query({
      status: f.q || f.failed || f.mentioned ? '' : f.category ? 'closed' : f.status === 'waiting' ? 'open' : f.status, waiting: f.status === 'waiting' && !f.q, assignee: f.q ? '' : f.assignee,
      channel_kind: f.channel, q: f.q, tag: f.tag, unit_id: f.unit, category: f.category, failed: f.failed, mentioned: f.mentioned, cursor, limit: 50,
    })
  }

  async more() {
    if (this.busy || this.complete) return
    this.busy = true
    this.loading = this.list.length === 0
    const turn = this.turn
    try {
      const page = await get<Page<ConversationRow>>(this.path(this.cursor))
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
        const page = await get<Page<ConversationRow>>(this.path(''))
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
        const page = await get<Page<ConversationRow>>(this.path(''))
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
    if (b.mentions.some((f) => f.staff_id === session.me)) { this.recount(true); if (this.filter.mentioned) void this.refresh(true) }
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
    if (matches(row, this.filter, session.me) || ((this.filter.q || this.filter.mentioned) && this.rows.get(row.id))) this.rows.insert({ ...row, hits: row.hits ?? this.rows.get(row.id)?.hits }, this.complete)
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
          const restored = { ...now, status: row.status, assignee: row.assignee, snoozed_until: row.snoozed_until, waiting_since: row.waiting_since, subject: row.subject, tags: row.tags }
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

  choose(id: string, far = false) { this.chosen = far ? range(this.chosen, id, this.list.map((r) => r.id)) : toggle(this.chosen, id) }
  chooseAll() { this.chosen = all(this.list.map((r) => r.id)) }
  chooseNone() { this.chosen = none }

  tag(row: ConversationRow, add: string[], remove: string[] = []) {
    const tags = [...row.tags.filter((x) => !remove.includes(x)), ...add.filter((x) => !row.tags.includes(x))]
    if (tags.join('\0') === row.tags.join('\0')) return
    this.change(row, { tags }, { tags }, { tags: row.tags }, add.length ? i18n.t.doneTagged(add.join(', ')) : i18n.t.doneUntagged(remove.join(', ')))
  }

  /** categorize says that nobody who needs an answer wrote this; learned for the sender, and taken back with one press. */
  categorize(row: ConversationRow, category: Exclude<Category, '' | 'blocked'>) {
    const word = { spam: i18n.t.catSpam, newsletter: i18n.t.catNewsletter, notice: i18n.t.catNotice }[category]
    const path = `/api/v1/conversations/${row.id}/category`
    this.put({ ...row, category, status: 'closed', waiting_since: null })
    const toast = toasts.show(i18n.t.doneCategory(word), { action: { label: () => i18n.t.undo, run: () => {
      del<ConversationRow | undefined>(path).then((r) => this.put(r ?? row), (e) => toasts.bad(sentence(e)))
    } } })
    send<ConversationRow | undefined>(path, { category, learn: true }).then((r) => { if (r) this.put(r) }, (e) => {
      toasts.drop(toast)
      this.put(row)
      toasts.bad(i18n.t.errReverted(sentence(e)))
    })
  }
  uncategorize(row: ConversationRow) {
    this.put({ ...row, category: '', status: 'open' })
    del<ConversationRow | undefined>(`/api/v1/conversations/${row.id}/category`).then((r) => { if (r) this.put(r); toasts.show(i18n.t.doneCustomerAgain) }, (e) => { this.put(row); toasts.bad(i18n.t.errReverted(sentence(e))) })
  }

  /** bulk does one thing to all that are chosen, at once, and offers one way back for all of them. */
  async bulk(change: Change, said: (n: number) => string) {
    const rows = this.list.filter((r) => this.chosen.ids.has(r.id))
    if (!rows.length) return
    this.chosen = none
    for (const r of rows) this.put({ ...r, ...this.shape(r, change) })
    await this.many(rows.map((r) => ({ id: r.id, change })), said, rows)
  }
  private shape(r: ConversationRow, c: Change): Partial<ConversationRow> {
    return {
      ...(c.status ? { status: c.status, snoozed_until: c.snoozed_until ?? null, ...(c.status === 'closed' ? { waiting_since: null } : {}) } : {}),
      ...('assignee_id' in c ? { assignee: c.assignee_id ? { id: c.assignee_id, name: c.assignee_id === session.me ? (session.now?.user.name ?? '') : staff.name(c.assignee_id) } : null } : {}),
      ...(c.tags_add || c.tags_remove ? { tags: [...r.tags.filter((x) => !c.tags_remove?.includes(x)), ...(c.tags_add ?? []).filter((x) => !r.tags.includes(x))] } : {}),
    }
  }
  private async many(items: { id: string; change: Change }[], said: ((n: number) => string) | null, before: ConversationRow[] = []) {
    const done: BulkResult = { changed: [], failed: [] }
    for (const part of chunks(items)) {
      try {
        const r = await post<BulkResult>('/api/v1/conversations/bulk', { items: part })
        done.changed.push(...r.changed)
        done.failed.push(...r.failed)
      } catch (e) { done.failed.push(...part.map((x) => ({ id: x.id, error: sentence(e) }))) }
    }
    for (const f of done.failed) { const row = before.find((r) => r.id === f.id); if (row) this.put(row) }
    if (done.failed.length) toasts.bad(i18n.t.bulkFailed(done.failed.length, done.failed[0]!.error))
    if (done.changed.length && said) toasts.show(said(done.changed.length), { action: { label: () => i18n.t.undo, run: () => {
      const back = new Map(before.map((r) => [r.id, r]))
      for (const c of done.changed) { const r = back.get(c.id); if (r) this.put({ ...(this.rows.get(c.id) ?? r), ...this.shape(this.rows.get(c.id) ?? r, c.undo), waiting_since: r.waiting_since }) }
      void this.many(done.changed.map((c) => ({ id: c.id, change: c.undo })), null)
    } } })
    void this.refresh()
  }

  rename(row: ConversationRow, subject: string) {
    this.change(row, { subject }, { subject }, { subject: row.subject }, i18n.t.saved)
  }
}

export const inbox = new Inbox()
