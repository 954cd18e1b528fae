// One open conversation: its facts, its messages, and what this device is still sending.
import { get, post, Problem, type Conversation, type ConversationRow, type Delivery, type Message, type Page } from '../../kit/api'
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
        if ('refused' in f) {
          toasts.bad(`${sentence(f.refused)} ${i18n.t.notSent}`)
          this.giveBack(p)
        }
      }) as () => void,
    )
    void this.load()
  }

  stop() {
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
      quote: this.quoteOf(p.out.reply_to), sent_at: p.at, edited_at: null, deleted: false, reactions: [], unsupported: '', client_id: p.out.client_id, delivery: null, local: 'waiting',
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
    this.facts = { ...this.facts, ...row }
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
      this.messages = fate(this.messages, d.message_id, d.state)
      if (!ids.includes(d.message_id)) ids.push(d.message_id)
    }
    for (const t of b.typing) if (t.conversation_id === this.id && t.by !== session.now?.user.name) {
      this.typing = t.by ?? 'customer'
      clearTimeout(this.typingTimer)
      this.typingTimer = setTimeout(() => (this.typing = ''), 6000)
    }
    if (b.things.has(`customer:${this.facts?.customer.id}`) || [...b.things].some((t) => t.startsWith('channel:'))) void this.reload()
    if (!ids.length) return
    if (ids.length > 8) { void this.load(); return }
    void Promise.allSettled(ids.map((m) => get<Message>(`/api/v1/messages/${m}`))).then((all) => {
      const got = all.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []))
      const gone = new Set(ids.filter((_, i) => { const r = all[i]; return r?.status === 'rejected' && r.reason instanceof Problem && r.reason.status === 404 }))
      if (gone.size) this.messages = this.messages.filter((x) => !gone.has(x.id))   // taken back before it was sent
      if (got.length) { this.take(got); this.read() }
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

  giveBack(parcel: Parcel) { this.returned = { parcel, n: ++this.n } }

  /** undo takes a message back, wherever it is by now. */
  async undo(p: Parcel) {
    const id = p.out.client_id
    const there = await outbox.cancel(id)
    if (there && 'here' in there) {
      this.giveBack(p)
      return
    }
    const m = (there && 'there' in there && there.there) || this.messages.find((x) => x.client_id === id)
    if (!m) return
    this.cancelling.add(m.id)
    try {
      const back = await post<Partial<Message>>(`/api/v1/messages/${m.id}/cancel`)
      this.messages = this.messages.filter((x) => x.id !== m.id)
      this.giveBack(back.attachments ? { ...p, attachments: back.attachments } : p)
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
