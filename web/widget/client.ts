// The conversation as this window knows it: what was said, what waits to be sent, and the line to the server. It knows
// no DOM. Nothing is stored before the first message; then the browser keeps a token, and what could not be sent yet.

export type File_ = { id: string; name: string; media_type: string; size: number; url: string }
export type Item = {
  id: string; client_id?: string; mine: boolean; author: string; name: string; text: string; at: string
  state: string; deleted?: boolean; attachments: File_[]; quote?: { id: string; name: string; text: string }
  choices?: Choice[]; form?: Form; ask?: { id: string; state: string }
}
export type Choice = { data: string; label: string; description?: string }
export type Pressed = { message: string; data: string }
// Form is a question with native fields, as the server's package ask describes it (View).
export type Form = {
  kind: string; language: string; question: string; input: string; options?: Choice[]; least?: number; most?: number
  unit?: string; from?: string; until?: string; accept?: string[]; optional?: boolean; url?: string
  words: Record<'send' | 'skip' | 'skip_text' | 'open' | 'choose' | 'name' | 'street' | 'extra' | 'postal_code' | 'city' | 'date' | 'time' | 'number' | 'email' | 'phone', string>
}
export type Outgoing = {
  client_id: string; text: string; person?: boolean; reply_to?: string; choice?: Pressed; files: File[]; at: string
  state: 'waiting' | 'sending' | 'accepted' | 'failed'; error?: string
}
export type Identity = { id: string; signature: string; name?: string; email?: string }
export type Config = {
  channel_id: string; org: string; email: boolean; signed_in: boolean; office: Office
  limits: { text: number; file: number; files: number; types: string[] }
}
export type Office = { online: number; advisor: string }
type Frame = { kind: string; cursor?: string; message?: Item; name?: string; up_to?: string }
type Kept = { t: string; q?: { c: string; x: string; p?: boolean; r?: string; h?: Pressed; a: string }[] }

class Refusal extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly retryAfter = 0) { super(message) }
}

const b64url = (b: Uint8Array) => btoa(String.fromCharCode(...b)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
const random = (n: number) => crypto.getRandomValues(new Uint8Array(n))
// crypto.randomUUID needs a secure page; getRandomValues does not.
export function uuid(): string {
  const b = random(16)
  b[6] = (b[6]! & 15) | 64
  b[8] = (b[8]! & 63) | 128
  const h = [...b].map((x) => x.toString(16).padStart(2, '0')).join('')
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`
}

export class Client {
  items: Item[] = []
  queue: Outgoing[] = []
  config: Config | undefined
  office: Office | undefined
  mailed = ''
  next = ''           // leads to older messages
  typing = ''         // who writes right now
  offline = false
  loading = false
  refused = ''        // why nothing works at all
  barred = false      // this website may not use the chat: there is nothing to show
  notice: 'expired' | 'forgotten' | '' = ''
  changed: () => void = () => {}

  private token = ''
  private cursor = ''
  private line: { close: () => void } | undefined
  private lineWanted = false
  private tries = 0
  private deadSockets = 0
  private toDeliver = new Set<string>()
  private read = ''
  private timers = new Map<string, ReturnType<typeof setTimeout>>()
  private typedAt = 0
  private pumping = false
  private reached = false // the server has answered this page once
  private generation = 0 // counts whom this window is; answers meant for an earlier one are dropped

  constructor(private host: string, private channel: string, private lang: string, public identity: Identity | undefined, private name = '') {
    addEventListener('online', () => this.wake())
    addEventListener('offline', () => { if (this.known) this.set({ offline: true }) })
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.wake() })
  }

  // known tells whether there is (or may be) a conversation.
  get known(): boolean { return !!this.identity || !!this.token }

  get unread(): number { return this.items.filter((m) => !m.mine && m.state !== 'read').length }

  // start picks up what an earlier visit left. Without one it does nothing, not even a request.
  start() {
    if (this.barred) return
    if (!this.identity) {
      const kept = this.kept()
      if (kept) {
        this.token = kept.t
        this.queue = (kept.q ?? []).map((o) => ({ client_id: o.c, text: o.x, person: o.p, reply_to: o.r, choice: o.h, files: [], at: o.a, state: 'waiting' as const }))
      }
    }
    if (this.known) void this.reload()
    if (this.queue.length) void this.pump()
  }

  // identify makes the window that of a signed-in customer, or nobody's again.
  identify(who: Identity | undefined) {
    this.generation++
    this.hangUp()
    Object.assign(this, { items: [], queue: [], token: '', cursor: '', next: '', mailed: '', refused: '', read: '', config: undefined, office: undefined, identity: who })
    this.toDeliver.clear()
    this.start()
    this.changed()
  }

  private set(v: Partial<Client>) { Object.assign(this, v); this.changed() }

  private after(key: string, ms: number, fn: () => void) {
    clearTimeout(this.timers.get(key))
    this.timers.set(key, setTimeout(fn, ms))
  }

  // -- what the browser keeps

  private get key() { return `rufweite ${this.host} ${this.channel}` }

  private kept(): Kept | undefined {
    try {
      const v = JSON.parse(localStorage.getItem(this.key) ?? 'null') as Kept | null
      return v && typeof v.t === 'string' ? v : undefined
    } catch { return undefined }
  }

  private keep() {
    if (this.identity || !this.token) return
    const q = this.queue.filter((o) => o.state !== 'accepted' && !o.files.length).map((o) => ({ c: o.client_id, x: o.text, p: o.person, r: o.reply_to, h: o.choice, a: o.at }))
    try { localStorage.setItem(this.key, JSON.stringify({ t: this.token, q: q.length ? q : undefined })) } catch { /* a browser that keeps nothing: the window remembers */ }
  }

  private unkeep() { try { localStorage.removeItem(this.key) } catch { /* kept nothing */ } }

  // -- requests

  private headers(): Record<string, string> {
    const h: Record<string, string> = { 'Accept-Language': this.lang }
    if (this.identity) {
      h['X-Rufweite-User'] = encodeURIComponent(this.identity.id)
      h['X-Rufweite-Signature'] = this.identity.signature || '-'
    } else if (this.token) h.Authorization = `Bearer ${this.token}`
    return h
  }

  private url(path: string) { return `${this.host}/chat/${encodeURIComponent(this.channel)}/${path}` }

  private async ask(method: string, path: string, body?: unknown): Promise<Response> {
    const form = body instanceof FormData
    const headers = this.headers()
    if (body !== undefined && !form) headers['Content-Type'] = 'application/json'
    const res = await fetch(this.url(path), { method, headers, credentials: 'omit', referrerPolicy: 'no-referrer', body: body === undefined ? undefined : form ? body : JSON.stringify(body) })
    this.reached = true
    if (res.ok) return res
    const p = await res.json().catch(() => ({})) as { code?: string; detail?: string }
    throw new Refusal(res.status, p.code ?? '', p.detail ?? res.statusText, Number(res.headers.get('Retry-After')) || 0)
  }

  // grave deals with answers that end everything; it tells whether this was one.
  private grave(e: unknown): boolean {
    if (!(e instanceof Refusal) || (e.status !== 403 && e.status !== 404)) return false
    console.error(`Rufweite: ${e.message} (${e.code || e.status})`)
    this.hangUp()
    this.set({ refused: e.message })
    return true
  }

  // expired begins anew after the server has forgotten the session.
  private expired(e: unknown): boolean {
    if (!(e instanceof Refusal) || e.code !== 'session_expired') return false
    this.hangUp()
    this.token = b64url(random(32))
    this.keep()
    this.set({ items: [], cursor: '', next: '', notice: 'expired' } as Partial<Client>)
    return true
  }

  // alive tells whether the server answers at all. A script loads from anywhere, but only if it really comes: an error page
  // of a proxy in front of a server that starts again is none. (A second widget on a page does nothing.)
  private alive(): Promise<boolean> {
    const s = document.createElement('script')
    return new Promise<boolean>((done) => {
      s.onload = () => done(true)
      s.onerror = () => done(false)
      s.nonce = document.querySelector<HTMLScriptElement>('script[src*="/widget.js"]')?.nonce
      s.src = `${this.host}/widget.js?${Date.now()}`
      document.head.append(s)
    }).catch(() => false).finally(() => s.remove())
  }

  // unwelcome finds out why a page was never answered. The browser hides the server's refusal of a foreign website behind
  // the same error as a broken line; but a server that is there, and still does not answer, refuses.
  private async unwelcome(): Promise<boolean> {
    if (this.barred) return true
    if (this.reached || !navigator.onLine || !await this.alive()) return false
    try { await this.ask('GET', 'config') } catch { /* told by reached */ }
    if (this.reached || this.barred) return this.barred
    const why = `this page's origin ${location.origin} is not in allowed_origins of ${this.channel === '-' ? 'the web chat channel' : `channel ${this.channel}`}`
    console.error(`Rufweite: ${why} at ${this.host}. No chat is shown.`)
    this.hangUp()
    this.timers.forEach((x) => clearTimeout(x))
    this.set({ barred: true, refused: why, loading: false })
    return true
  }

  // look asks who is there, when somebody opens the dialog.
  async look() {
    const g = this.generation
    try {
      const c = await (await this.ask('GET', 'config')).json() as Config
      if (g === this.generation) this.set({ config: c, office: c.office, offline: this.offline && this.known })
    } catch (e) {
      if (g !== this.generation || this.grave(e)) return
      if (!(e instanceof Refusal)) { if (await this.unwelcome() || g !== this.generation) return; this.set({ offline: true }); this.after('look', 5000, () => void this.look()) }
    }
  }

  // reload reads the newest page, then listens from there.
  private async reload() {
    const g = this.generation
    this.set({ loading: !this.items.length })
    try {
      const p = await (await this.ask('GET', 'messages')).json() as { items: Item[]; next: string; cursor: string; office: Office; mailed?: { to: string } }
      if (g !== this.generation) return
      // What was shown before and is older than this page stays.
      const first = p.items[0]?.id ?? ''
      this.items = [...(first ? this.items.filter((m) => m.id < first) : []), ...p.items]
      if (!this.items.some((m) => m.id < first)) this.next = p.next
      this.cursor = p.cursor
      this.mailed = p.mailed?.to ?? ''
      this.tries = 0
      this.settle(p.items)
      this.set({ office: p.office, loading: false, offline: false, refused: '' })
      this.connect()
    } catch (e) {
      if (g !== this.generation) return
      this.set({ loading: false })
      if (this.grave(e) || this.expired(e)) return
      if (e instanceof Refusal && e.status === 401) { this.connectAfterFirst(); return }
      if (!(e instanceof Refusal) && await this.unwelcome() || g !== this.generation) return
      this.broken(() => void this.reload())
    }
  }

  // connectAfterFirst: the server knows nobody by this token yet; the queue will introduce us.
  private connectAfterFirst() { this.lineWanted = false; if (this.queue.length) void this.pump() }

  async older() {
    if (!this.next) return
    const g = this.generation
    try {
      const p = await (await this.ask('GET', `messages?before=${encodeURIComponent(this.next)}`)).json() as { items: Item[]; next: string }
      if (g !== this.generation) return
      this.items = [...p.items, ...this.items]
      this.next = p.next
      this.settle(p.items)
      this.changed()
    } catch (e) { if (g === this.generation && !this.grave(e)) this.set({ offline: !(e instanceof Refusal) }) }
  }

  // -- the line

  private wake() {
    if (!this.known || this.refused) return
    this.tries = 0
    if (!this.line) { if (this.cursor) this.connect(); else if (this.items.length || !this.queue.length) void this.reload() }
    void this.pump()
  }

  private hangUp() {
    this.lineWanted = false
    clearTimeout(this.timers.get('line'))
    const l = this.line
    this.line = undefined
    l?.close()
  }

  private broken(again: () => void) {
    this.tries++
    if (this.tries > 1 || !navigator.onLine) this.set({ offline: true })
    const wait = Math.min(30_000, 400 * 2 ** this.tries) * (0.75 + Math.random() / 2) // not all windows at once
    this.after('line', wait, again)
  }

  private connect() {
    if (this.line || !this.known || this.refused) return
    this.lineWanted = true
    if (this.deadSockets >= 2 || typeof WebSocket === 'undefined') void this.listen()
    else this.socket()
  }

  private lost(opened: boolean) {
    this.line = undefined
    if (!this.lineWanted) return
    if (opened) this.tries = Math.min(this.tries, 1)
    this.broken(() => this.connect())
  }

  private socket() {
    const g = this.generation
    const who = this.identity
      ? [`user.${b64url(new TextEncoder().encode(this.identity.id))}`, `signature.${this.identity.signature}`]
      : [`token.${this.token}`]
    let opened = false
    let ws: WebSocket
    try { ws = new WebSocket(`${this.url('live').replace(/^http/, 'ws')}?after=${this.cursor}`, ['rufweite.chat', ...who]) } catch { this.deadSockets = 9; void this.listen(); return }
    const line = { close: () => ws.close() }
    this.line = line
    ws.onopen = () => { opened = true; this.deadSockets = 0; this.up() }
    ws.onmessage = (e) => { if (this.line === line && g === this.generation) this.frame(JSON.parse(e.data as string) as Frame) }
    ws.onclose = (e) => {
      if (this.line !== line) return
      if (!opened) this.deadSockets++ // a proxy that lets no WebSocket through, or a refusal: a plain request tells
      if (e.code === 4401) { this.line = undefined; void this.reload(); return }
      this.lost(opened)
    }
  }

  // listen is the line where WebSockets do not get through: server-sent events.
  private async listen() {
    const g = this.generation
    const stop = new AbortController()
    const line = { close: () => stop.abort() }
    this.line = line
    let opened = false
    try {
      const res = await fetch(`${this.url('live')}?after=${this.cursor}`, { headers: this.headers(), credentials: 'omit', signal: stop.signal })
      if (!res.ok) {
        const p = await res.json().catch(() => ({})) as { code?: string; detail?: string }
        throw new Refusal(res.status, p.code ?? '', p.detail ?? '')
      }
      const reader = res.body!.pipeThrough(new TextDecoderStream()).getReader()
      let buf = ''
      for (;;) {
        const { value, done } = await reader.read()
        if (done || this.line !== line || g !== this.generation) break
        if (!opened) { opened = true; this.deadSockets = Math.max(0, this.deadSockets - 1); this.up() } // try a WebSocket again next time
        buf += value
        for (let i; (i = buf.indexOf('\n')) >= 0; buf = buf.slice(i + 1)) {
          const l = buf.slice(0, i)
          if (l.startsWith('data: ')) this.frame(JSON.parse(l.slice(6)) as Frame)
        }
      }
    } catch (e) {
      if (this.line === line && g === this.generation && e instanceof Refusal) {
        this.line = undefined
        if (this.grave(e) || this.expired(e)) return
        if (e.status === 400 || e.status === 401) { this.cursor = ''; void this.reload(); return }
      }
    }
    if (this.line === line) this.lost(opened)
  }

  private up() {
    this.tries = 0
    if (this.offline) this.set({ offline: false })
    void this.pump()
  }

  private frame(f: Frame) {
    if (f.cursor) this.cursor = f.cursor
    switch (f.kind) {
      case 'message':
        if (f.message) {
          const m = f.message
          const i = this.items.findIndex((x) => x.id === m.id)
          if (i >= 0) {
            // A receipt of ours may still be on its way: what was read here stays read.
            if (!m.mine && this.items[i]!.state === 'read') m.state = 'read'
            this.items[i] = m
          } else {
            let at = this.items.length
            while (at > 0 && this.items[at - 1]!.id > m.id) at--
            this.items.splice(at, 0, m)
          }
          if (!m.mine) {
            this.typing = ''
            if (this.office && m.author === 'staff') this.office = { advisor: m.name, online: this.office.online || 1 } // whoever writes is there
          }
          this.settle([m])
          this.changed()
        }
        break
      case 'seen':
        for (const m of this.items) if (m.mine && f.up_to && m.id <= f.up_to) m.state = 'read'
        this.changed()
        break
      case 'typing':
        this.set({ typing: f.name || '?' })
        this.after('typing', 22_000, () => this.set({ typing: '' }))
        break
      case 'reload':
        this.hangUp()
        void this.reload()
    }
  }

  // settle takes what the server has off the queue, and says what has been got.
  private settle(list: Item[]) {
    const have = new Set(list.map((m) => m.client_id).filter(Boolean))
    if (this.queue.some((o) => have.has(o.client_id))) {
      this.queue = this.queue.filter((o) => !have.has(o.client_id))
      this.keep()
    }
    for (const m of list) if (!m.mine && m.state === 'sent') this.toDeliver.add(m.id)
    if (this.toDeliver.size) this.after('receipts', 150, () => void this.receipts())
  }

  // seen says that everything so far has been looked at.
  seen() {
    const last = [...this.items].reverse().find((m) => !m.mine)
    if (!last || last.state === 'read') return
    for (const m of this.items) if (!m.mine) m.state = 'read'
    this.read = last.id
    this.after('receipts', 150, () => void this.receipts())
    this.changed()
  }

  private async receipts() {
    const delivered = [...this.toDeliver].slice(0, 100), read = this.read
    if (!delivered.length && !read) return
    try {
      await this.ask('POST', 'receipts', { delivered, read })
      for (const id of delivered) this.toDeliver.delete(id)
      if (this.read === read) this.read = ''
      if (this.toDeliver.size) this.after('receipts', 150, () => void this.receipts())
    } catch (e) {
      if (this.grave(e) || (e instanceof Refusal && e.status === 401)) return
      this.after('receipts', (e instanceof Refusal && e.retryAfter * 1000) || 5000, () => void this.receipts())
    }
  }

  writes() {
    if (!this.known || !this.items.length || Date.now() - this.typedAt < 3000) return
    this.typedAt = Date.now()
    this.ask('POST', 'typing', {}).catch(() => {}) // only about now
  }

  // -- sending

  send(o: { text: string; files: File[]; person?: boolean; reply_to?: string; choice?: Pressed }) {
    if (!this.known) this.token = b64url(random(32)) // the first message makes us somebody
    this.queue.push({ ...o, client_id: uuid(), at: new Date().toISOString(), state: 'waiting' })
    this.notice = ''
    this.keep()
    this.changed()
    void this.pump()
  }

  again(o: Outgoing) { o.state = 'waiting'; o.error = undefined; this.changed(); void this.pump() }

  drop(o: Outgoing) { this.queue = this.queue.filter((x) => x !== o); this.keep(); this.changed() }

  // pump sends what waits, one after the other. What the server has once is never said twice: the client id stays.
  private async pump() {
    if (this.pumping || this.refused) return
    this.pumping = true
    try {
      for (;;) {
        const o = this.queue.find((x) => x.state === 'waiting')
        if (!o) return
        const g = this.generation
        o.state = 'sending'
        this.changed()
        try {
          const m = { client_id: o.client_id, text: o.choice ? '' : o.text, choice: o.choice, person: o.person, reply_to: o.choice ? undefined : o.reply_to, name: this.identity?.name || this.name, language: this.lang }
          if (o.files.length) {
            const form = new FormData()
            form.append('message', JSON.stringify(m))
            for (const f of o.files) form.append('file', f, f.name)
            await this.ask('POST', 'messages', form)
          } else await this.ask('POST', 'messages', m)
          if (g !== this.generation) return
          o.state = 'accepted'
          this.keep()
          this.set({ offline: false })
          if (!this.line) void this.reload()
        } catch (e) {
          if (g !== this.generation) return
          o.state = 'waiting'
          if (this.expired(e)) continue
          if (this.grave(e)) { o.state = 'failed'; o.error = (e as Error).message; return }
          if (e instanceof Refusal && e.status < 500 && e.status !== 429) {
            o.state = 'failed'
            o.error = e.message
            this.keep()
            this.changed()
            continue
          }
          if (!(e instanceof Refusal)) this.set({ offline: true })
          this.changed()
          this.after('pump', (e instanceof Refusal && e.retryAfter * 1000) || Math.min(15_000, 1000 * 2 ** Math.min(4, this.tries++)), () => void this.pump())
          return
        }
      }
    } finally { this.pumping = false }
  }

  // mail asks for a mail by which the conversation goes on; it throws a sentence for people.
  async mail(email: string, client_id: string) {
    await this.ask('POST', 'email', { email, client_id })
    this.set({ mailed: email })
  }

  async forget() {
    const g = this.generation
    try { await this.ask('DELETE', 'session') } catch (e) { if (!(e instanceof Refusal)) throw e }
    if (g !== this.generation) return
    this.unkeep()
    this.identify(undefined)
    this.set({ notice: 'forgotten' })
  }
}
