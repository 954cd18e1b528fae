// One open conversation: its facts, its messages, and what this device is still sending.
import { del, get, post, Problem, type Conversation, type ConversationRow, type Delivery, type DeliveryState, type Message, type Page, type Participant, type PresenceState } from '../../kit/api'
import type { Instance, Question } from '../../kit/ask'
import { i18n } from '../../kit/i18n.svelte'
import { toasts } from '../../kit/toasts.svelte'
import { session } from './session.svelte'
import { fate, merge } from './stream'
import type { Batch } from './livecore'
import { outbox, type Parcel } from './outbox.svelte'
import { inbox } from './inbox.svelte'
import { complain, sentence } from './say'

export class Talk {
  facts = $state.raw<Conversation | null>(null)
  messages = $state.raw<Message[]>([])
  loading = $state(true)
  olderLeft = $state(false)
  loadingOlder = $state(false)
  error = $state.raw<unknown>(null)
  typing = $state('')
  /** Third parties of this conversation. */
  people = $state.raw<Participant[]>([])
  /** Those who still get something. */
  get active() { return this.people.filter((p) => !p.removed_at) }
  /** Colleagues who look at it, or write, just now. */
  present = $state.raw<{ id: string; name: string; state: PresenceState; at: number }[]>([])
  /** A colleague answered while this was written: what they wrote, and what waits for a decision. */
  collision = $state.raw<{ parcel: Parcel; by: string; message: Message | null } | null>(null)
  /** Counts up when the text of a cancelled or refused message comes back. */
  returned = $state.raw<{ parcel: Parcel; n: number } | null>(null)
  private cursor = ''
  private typingTimer: ReturnType<typeof setTimeout> | undefined
  private readTimer: ReturnType<typeof setTimeout> | undefined
  private readUpTo = ''
  private factsTimer: ReturnType<typeof setTimeout> | undefined
  private stops: (() => void)[] = []
  private n = 0
  private cancelling = new Set<string>()   // taken back by us: there is nothing to load any more

  constructor(readonly id: string) {
    this.stops.push(
      inbox.onRow((row) => this.row(row)) as () => void,
      outbox.onFate((p, f) => {
        if (p.conversation !== id) return
        if ('message' in f) this.take([f.message])
        if ('refused' in f && f.refused.code === 'answered_meanwhile') {
          const said = f.refused.more, id = String(said.message_id ?? '')
          this.giveBack(p)
          this.collision = { parcel: p, by: typeof said.by === 'string' ? said.by : ((said.by as { name?: string } | undefined)?.name ?? ''), message: this.messages.find((m) => m.id === id) ?? null }
          void this.load()
          if (id) get<Message>(`/api/v1/messages/${id}`).then((m) => { if (this.collision?.parcel === p) this.collision = { ...this.collision, message: m } }, () => {})
          return
        }
        if ('refused' in f) {
          toasts.bad(`${sentence(f.refused)} ${i18n.t.notSent}`)
          this.giveBack(p)
        }
      }) as () => void,
    )
    void this.load()
    void this.loadPeople()
    get<Page<{ staff: { id: string; name: string }; state: PresenceState }>>(`/api/v1/conversations/${id}/presence`).then((p) => { for (const x of p.items) this.seeColleague(x.staff, x.state) }, () => {})
    this.pulse = setInterval(() => { this.attend(this.writing); this.forget() }, 20_000)
    const look = () => this.attend(this.writing)
    document.addEventListener('visibilitychange', look)
    this.stops.push(() => document.removeEventListener('visibilitychange', look))
    this.attend(false)
  }

  // Presence: told every 20 s while the page is looked at; who was not heard of for 45 s has gone.
  private pulse: ReturnType<typeof setInterval> | undefined
  private writing = false
  private told = { state: '' as PresenceState | '', at: 0 }
  attend(writing: boolean) {
    this.writing = writing
    const state: PresenceState = document.hidden ? 'left' : writing ? 'writing' : 'viewing'
    if (state === this.told.state && (state === 'left' || Date.now() - this.told.at < 15_000)) return
    this.told = { state, at: Date.now() }
    post(`/api/v1/conversations/${this.id}/presence`, { state }).catch(() => { this.told = { state: '', at: 0 } })
  }
  private seeColleague(s: { id: string; name: string }, state: PresenceState) {
    if (s.id === session.me) return
    this.present = [...this.present.filter((x) => x.id !== s.id), ...(state === 'left' ? [] : [{ ...s, state, at: Date.now() }])].sort((a, b) => a.name.localeCompare(b.name))
  }
  private forget() { if (this.present.some((x) => Date.now() - x.at > 45_000)) this.present = this.present.filter((x) => Date.now() - x.at <= 45_000) }

  /** The dialog that runs here, with its step. */
  dialog = $state.raw<Instance | null>(null)
  private dialogTurn = 0
  async loadDialogs(runs = !!this.facts?.dialog) {
    if (!runs) { this.dialog = null; return }
    const turn = ++this.dialogTurn
    try {
      const list = (await get<Page<Instance>>(`/api/v1/conversations/${this.id}/dialogs`)).items
      if (turn === this.dialogTurn) this.dialog = list.find((x) => x.status === 'asking' || x.status === 'waiting' || x.status === 'calling') ?? null
    } catch { /* its title stands in the row */ }
  }
  async takeOver() {
    const d = this.dialog
    if (!d) return
    this.dialog = null
    try {
      await post(`/api/v1/dialog-instances/${d.id}/stop`)
      toasts.show(i18n.t.tookOver)
    } catch (e) { this.dialog = d; complain(e) }
    void this.loadDialogs()
    void this.reload()
  }
  /** withdraw closes a question without an answer. */
  async withdraw(q: Question) {
    const set = (x: Question) => { this.messages = this.messages.map((m) => (m.ask?.id === x.id ? { ...m, ask: x } : m)) }
    set({ ...q, state: 'withdrawn' })
    try {
      set(await post<Question>(`/api/v1/asks/${q.id}/withdraw`))
      toasts.show(i18n.t.askWithdrawn)
    } catch (e) { set(q); complain(e) }
  }
  async loadPeople() {
    try { this.people = (await get<Page<Participant>>(`/api/v1/conversations/${this.id}/participants`)).items } catch { /* their names stand in the messages too */ }
  }
  async addPerson(body: { name: string; role: string; email: string }) {
    const p = await post<Participant>(`/api/v1/conversations/${this.id}/participants`, body)
    this.people = [...this.people.filter((x) => x.id !== p.id), p]
    return p
  }
  async removePerson(p: Participant) {
    const before = this.people
    this.people = before.map((x) => (x.id === p.id ? { ...x, removed_at: new Date().toISOString() } : x))
    try {
      await del(`/api/v1/conversations/${this.id}/participants/${p.id}`)
      toasts.show(i18n.t.donePersonRemoved(p.name), { action: { label: () => i18n.t.undo, run: () => { this.addPerson({ name: p.name, role: p.role, email: p.address.value }).catch(complain) } } })
    } catch (e) { this.people = before; complain(e) }
  }

  /** join brings the messages of another conversation here; the way back is offered. Answers false if its customer is another one. */
  async join(other: string, asParticipant = false): Promise<boolean> {
    try {
      await post(`/api/v1/conversations/${this.id}/join`, { with: other, ...(asParticipant ? { as_participant: true } : {}) })
    } catch (e) {
      if (e instanceof Problem && e.code === 'other_customer' && !asParticipant) return false
      complain(e)
      return true
    }
    this.facts = this.facts && { ...this.facts, suggestion: null, also_open: this.facts.also_open.filter((x) => x.id !== other) }
    toasts.show(i18n.t.doneJoined, { action: { label: () => i18n.t.undo, run: () => {
      post(`/api/v1/conversations/${this.id}/unjoin`, { with: other }).then(() => { this.messages = []; void this.load(); void inbox.refresh() }, complain)
    } } })
    await this.load()
    void this.loadPeople()
    void inbox.refresh()
    return true
  }
  async declineSuggestion() {
    const before = this.facts
    if (!before) return
    this.facts = { ...before, suggestion: null }
    try { await del(`/api/v1/conversations/${this.id}/suggestion`); toasts.show(i18n.t.doneOther) } catch (e) { this.facts = { ...this.facts!, suggestion: before.suggestion }; complain(e) }
  }
  /** split makes a conversation of its own of some messages. */
  async split(ids: string[], subject: string): Promise<ConversationRow | null> {
    try {
      const row = await post<ConversationRow>(`/api/v1/conversations/${this.id}/split`, { message_ids: ids, subject })
      this.messages = this.messages.filter((m) => !ids.includes(m.id))
      return row
    } catch (e) { complain(e); return null }
  }

  stop() {
    clearInterval(this.pulse)
    post(`/api/v1/conversations/${this.id}/presence`, { state: 'left' }).catch(() => {})
    this.stops.forEach((fn) => fn())
    clearTimeout(this.typingTimer)
    clearTimeout(this.readTimer)
    clearTimeout(this.factsTimer)
  }

  async load() {
    this.error = null
    try {
      const [facts, page] = await Promise.all([
        get<Conversation>(`/api/v1/conversations/${this.id}`),
        get<Page<Message>>(`/api/v1/conversations/${this.id}/messages?limit=50`),
      ])
      if (facts.dialog) await this.loadDialogs(true)   // before it is shown, so that nothing moves
      else this.dialog = null
      this.facts = facts
      const first = this.messages.length === 0
      this.take(page.items)
      if (first) { this.cursor = page.next_cursor; this.olderLeft = !!page.next_cursor }
      this.read()
    } catch (e) {
      if (!this.facts) this.error = e
    }
    this.loading = false
  }

  async older() {
    if (this.loadingOlder || !this.cursor) return
    this.loadingOlder = true
    try {
      const page = await get<Page<Message>>(`/api/v1/conversations/${this.id}/messages?limit=50&cursor=${encodeURIComponent(this.cursor)}`)
      this.take(page.items)
      this.cursor = page.next_cursor
      this.olderLeft = !!page.next_cursor
    } catch (e) { complain(e) }
    this.loadingOlder = false
  }

  /** put shows a message that another part of the desk got from the server; gone takes one away. */
  put(m: Message) { this.take([m]) }
  gone(id: string) { this.cancelling.add(id); this.messages = this.messages.filter((x) => x.id !== id) }

  /** find loads earlier pages until a message is there. */
  async find(id: string): Promise<boolean> {
    for (let i = 0; i < 20 && !this.messages.some((m) => m.id === id) && this.cursor; i++) await this.older()
    return this.messages.some((m) => m.id === id)
  }

  /** unsend takes back what was to go out later. */
  async unsend(m: Message) {
    await this.undo({ conversation: this.id, note: false, typed: m.text, chosen: false, at: m.sent_at, attachments: m.attachments, label: { channel_kind: m.channel?.kind ?? '', channel_name: m.channel?.name ?? '', address: m.address },
      out: { text: m.text, client_id: m.client_id || m.id, subject: m.subject, cc: m.cc, bcc: m.bcc, reply_to: m.reply_to, channel_id: m.channel?.id, ...(m.audience && !m.audience.customer && m.audience.participants[0] ? { participant_id: m.audience.participants[0] } : {}) } }, m)
  }

  private take(list: Message[]) {
    this.messages = merge(this.messages, list)
    if (list.some((m) => m.direction === 'in')) this.typing = ''
  }

  /** What is seen: the server's messages and, below, what still lies on this device. */
  get shown(): Message[] {
    const have = new Set(this.messages.map((m) => m.client_id))
    const mine = outbox.of(this.id).filter((p) => !have.has(p.out.client_id)).map((p): Message => ({
      id: 'local:' + p.out.client_id, conversation_id: this.id, kind: p.note ? 'note' : 'message', direction: 'out', author: 'staff',
      author_name: session.now?.user.name ?? '', channel: p.note ? null : { id: p.out.channel_id ?? '', kind: p.label.channel_kind, name: p.label.channel_name },
      address: p.label.address, assurance: 'observed', subject: p.out.subject ?? '', from: [], to: [], cc: p.out.cc ?? [], bcc: p.out.bcc ?? [], text: p.out.text,
      has_html: false, html: '', remote_images: 0, attachments: p.attachments, external_id: '', reply_to: p.out.reply_to ?? '',
      quote: this.quoteOf(p.out.reply_to), sent_at: p.at, edited_at: null, deleted: false, reactions: [], unsupported: '', client_id: p.out.client_id, delivery: null, local: 'waiting', audience: p.audience, mentions: p.out.mentions,
    }))
    return mine.length ? [...this.messages, ...mine] : this.messages
  }

  private quoteOf(id?: string) {
    const m = id ? this.messages.find((x) => x.id === id) : undefined
    return m ? { id: m.id, author_name: m.author_name, text: m.text } : null
  }

  private row(row: ConversationRow) {
    if (row.id !== this.id || !this.facts) return
    const changed = row.last_message_at !== this.facts.last_message_at
    if ((row.dialog?.key ?? '') + (row.dialog?.status ?? '') !== (this.facts.dialog?.key ?? '') + (this.facts.dialog?.status ?? '')) void this.loadDialogs(!!row.dialog)
    const people = row.participants !== undefined && row.participants !== this.facts.participants
    this.facts = { ...this.facts, ...row, suggestion: row.suggestion === undefined ? this.facts.suggestion : row.suggestion }
    if (people) void this.loadPeople()
    // A new message may move the way to answer (last used channel, its window).
    if (changed) { clearTimeout(this.factsTimer); this.factsTimer = setTimeout(() => this.reload(), 300) }
  }

  async reload() {
    try { this.facts = await get<Conversation>(`/api/v1/conversations/${this.id}`) } catch { /* what is shown stays */ }
  }

  live(b: Batch) {
    if (b.hello || b.reload) { void this.load(); return }
    const ids = [...b.messages].filter(([m, c]) => c === this.id && !this.cancelling.has(m)).map(([m]) => m)
    for (const d of b.deliveries) if (d.conversation_id === this.id && d.message_id && d.state) {
      this.messages = fate(this.messages, d.message_id, d.state as DeliveryState)
      if (!ids.includes(d.message_id)) ids.push(d.message_id)
    }
    for (const a of b.asks) if (a.conversation_id === this.id) {
      if (a.message_id && this.messages.some((m) => m.id === a.message_id) && !ids.includes(a.message_id)) ids.push(a.message_id)
      void this.loadDialogs()
    }
    for (const t of b.typing) if (t.conversation_id === this.id && t.by !== session.now?.user.name) {
      this.typing = t.by ?? 'customer'
      clearTimeout(this.typingTimer)
      this.typingTimer = setTimeout(() => (this.typing = ''), 6000)
    }
    for (const f of b.presence) if (f.conversation_id === this.id && f.staff) this.seeColleague(f.staff, f.state as PresenceState)
    if (b.things.has(`customer:${this.facts?.customer.id}`) || [...b.things].some((t) => t.startsWith('channel:'))) void this.reload()
    if (!ids.length) return
    if (ids.length > 8) { void this.load(); return }
    void Promise.allSettled(ids.map((m) => get<Message>(`/api/v1/messages/${m}`))).then((all) => {
      const got = all.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []))
      const gone = new Set(ids.filter((_, i) => { const r = all[i]; return r?.status === 'rejected' && r.reason instanceof Problem && r.reason.status === 404 }))
      if (gone.size) this.messages = this.messages.filter((x) => !gone.has(x.id))   // taken back before it was sent
      // Moved to another conversation: no longer here.
      const moved = got.filter((x) => x.conversation_id !== this.id).map((x) => x.id)
      if (moved.length) this.messages = this.messages.filter((x) => !moved.includes(x.id))
      if (got.length) { this.take(got.filter((x) => x.conversation_id === this.id)); this.read(); if (got.some((x) => x.author === 'participant' || x.audience?.participants.some((p) => !this.people.some((y) => y.id === p)))) void this.loadPeople() }
      else if (gone.size < ids.length) void this.load()
    })
  }

  /** read tells the server how far this person has read, while the page is looked at. */
  read() {
    clearTimeout(this.readTimer)
    this.readTimer = setTimeout(() => {
      // Not one that may still be taken back: it would be gone when the server reads this.
      const last = this.messages.findLast((m) => m.delivery?.state !== 'queued')
      if (document.hidden || !last || last.id === this.readUpTo) return
      this.readUpTo = last.id
      inbox.seen(this.id)
      post(`/api/v1/conversations/${this.id}/read`, { message_id: last.id }).catch(() => { this.readUpTo = '' })
    }, 400)
  }

  private signatureOf(text: string) { const i = text.lastIndexOf('\n-- \n'); return i < 0 ? '' : text.slice(i) }

  giveBack(parcel: Parcel) { this.returned = { parcel, n: ++this.n } }

  /** undo takes a message back, wherever it is by now. */
  async undo(p: Parcel, known?: Message) {
    const id = p.out.client_id
    const there = await outbox.cancel(id)
    if (there && 'here' in there) {
      this.giveBack(p)
      return
    }
    const m = known ?? ((there && 'there' in there && there.there) || this.messages.find((x) => x.client_id === id))
    if (!m) return
    this.cancelling.add(m.id)
    try {
      const back = await post<Partial<Message>>(`/api/v1/messages/${m.id}/cancel`)
      this.messages = this.messages.filter((x) => x.id !== m.id)
      // What a scheduled mail says includes the signature that the server put below it.
      const typed = known && this.signatureOf(known.text) ? known.text.slice(0, -this.signatureOf(known.text).length).trimEnd() : p.typed
      this.giveBack({ ...p, typed, ...(back.attachments ? { attachments: back.attachments } : {}) })
      toasts.show(i18n.t.taken)
    } catch (e) {
      const known = e as { status?: number }
      if (known.status === 409) toasts.bad(i18n.t.tooLate)
      else complain(e)
      this.cancelling.delete(m.id)
    }
  }

  async resolve(m: Message, as: 'sent' | 'failed' | 'resend') {
    if (!m.delivery) return
    const before = m.delivery
    if (as === 'resend') this.messages = fate(this.messages, m.id, 'queued')
    try {
      const d = await post<Delivery>(`/api/v1/deliveries/${before.id}/resolve`, { as })
      this.messages = this.messages.map((x) => (x.id === m.id ? { ...x, delivery: { ...d, handled: true } } : x))
      void this.reload()
      inbox.recount()
      inbox.recheck(false)
    } catch (e) {
      this.messages = this.messages.map((x) => (x.id === m.id ? { ...x, delivery: before } : x))
      complain(e)
    }
  }
}
