// What one sees of the chat: a button, and a dialog that works by keyboard and is read aloud. Everything is made by DOM
// calls, no HTML is parsed, so that nothing that anybody writes can become a part of the page.
import type { Choice, Client, Form, Item, Outgoing } from './client'
import { uuid } from './client'
import { css } from './style'
import type { Words } from './words'
import { initials, hue } from '../kit/face'

type Child = Node | string | undefined | false
const SVG = 'http://www.w3.org/2000/svg'

function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Record<string, unknown> = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag)
  for (const [k, v] of Object.entries(props)) {
    if (v === undefined || v === false) continue
    if (k.startsWith('on')) el.addEventListener(k.slice(2), v as EventListener)
    else if (k === 'class') el.className = v as string
    else if (k in el && k !== 'list') (el as unknown as Record<string, unknown>)[k] = v
    else el.setAttribute(k, v === true ? '' : String(v))
  }
  el.append(...children.filter((c): c is Node | string => c !== undefined && c !== false && c !== ''))
  return el
}

// Lucide icons, ISC licence.
const icons = {
  chat: ['M2.992 16.342a2 2 0 0 1 .094 1.167l-1.065 3.29a1 1 0 0 0 1.236 1.168l3.413-.998a2 2 0 0 1 1.099.092 10 10 0 1 0-4.777-4.719'],
  x: ['M18 6 6 18', 'm6 6 12 12'],
  clip: ['m16 6-8.414 8.586a2 2 0 0 0 2.829 2.829l8.414-8.586a4 4 0 1 0-5.657-5.657l-8.379 8.551a6 6 0 1 0 8.485 8.485l8.379-8.551'],
  smile: ['M22 12A10 10 0 1 1 2 12a10 10 0 0 1 20 0', 'M8 14s1.5 2 4 2 4-2 4-2', 'M9 9h.01', 'M15 9h.01'],
  send: ['m5 12 7-7 7 7', 'M12 19V5'],
  person: ['M19 21v-2a4 4 0 0 0-4-4H9a4 4 0 0 0-4 4v2', 'M16 7a4 4 0 1 1-8 0 4 4 0 0 1 8 0'],
  mail: ['m22 7-8.991 5.727a2 2 0 0 1-2.009 0L2 7', 'M4 4h16a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2'],
  reply: ['M20 18v-2a4 4 0 0 0-4-4H4', 'm9 17-5-5 5-5'],
  file: ['M6 22a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2h8a2.4 2.4 0 0 1 1.704.706l3.588 3.588A2.4 2.4 0 0 1 20 8v12a2 2 0 0 1-2 2z', 'M14 2v5a1 1 0 0 0 1 1h5'],
}

function icon(name: keyof typeof icons): SVGElement {
  const s = document.createElementNS(SVG, 'svg')
  s.setAttribute('viewBox', '0 0 24 24')
  s.setAttribute('aria-hidden', 'true')
  for (const d of icons[name]) {
    const p = document.createElementNS(SVG, 'path')
    p.setAttribute('d', d)
    s.append(p)
  }
  return s
}

const emojis = [...'🙂😀😂😉😍🤔😕😢😡👍👎👏🙏💪👋🤝❤️🎉✅❌❓❗📎📷📅🚗🏠🔧'.matchAll(/\p{Extended_Pictographic}\uFE0F?/gu)].map((m) => m[0])
const size = (n: number) => (n < 1 << 20 ? `${Math.max(1, Math.round(n / 1024))} KB` : `${(n / (1 << 20)).toFixed(1)} MB`)

// linked gives a text with its web addresses as links.
function linked(text: string, t: Words): Child[] {
  const out: Child[] = []
  let at = 0
  for (const m of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g)) {
    out.push(text.slice(at, m.index), h('a', { href: m[0], target: '_blank', rel: 'noopener noreferrer nofollow' }, m[0], h('span', { class: 'sr' }, ` (${t.page})`)))
    at = m.index + m[0].length
  }
  return [...out, text.slice(at)]
}

export class View {
  readonly host = document.createElement('rufweite-widget')
  private root = this.host.attachShadow({ mode: 'open' })
  private isOpen = false
  private wide = matchMedia('(min-width: 481px) and (min-height: 421px)')
  private before: Element | null = null
  private overflow = ''
  private files: File[] = []
  private replyTo: Item | undefined
  private mailId = ''
  private mailing = false
  private looking: ReturnType<typeof setInterval> | undefined
  private personAsked = ''
  private drawn = new Map<string, { el: HTMLElement; key: string }>()

  private badge = h('span', { class: 'badge', hidden: true })
  private launch: HTMLButtonElement
  private panel: HTMLElement
  private face = h('i', { class: 'face', 'aria-hidden': 'true' })
  private heading: HTMLHeadingElement
  private sub = h('p', { class: 'sub' })
  private banner = h('p', { class: 'banner', role: 'status', hidden: true })
  private log: HTMLElement
  private typing = h('p', { class: 'say typing', hidden: true })
  private said = h('p', { class: 'say', role: 'status', hidden: true })
  private wrong = h('p', { class: 'say bad', role: 'alert', hidden: true })
  private chips = h('div', { class: 'chips', hidden: true })
  private palette: HTMLElement
  private smile: HTMLButtonElement
  private personButton: HTMLButtonElement
  private mailButton: HTMLButtonElement
  private mailForm: HTMLFormElement
  private mailInput: HTMLInputElement
  private acts: HTMLElement
  private form: HTMLFormElement
  private box: HTMLTextAreaElement
  private picker: HTMLInputElement

  constructor(private c: Client, private t: Words, private lang: 'de' | 'en', theme: string | null) {
    if (theme === 'light' || theme === 'dark') this.host.setAttribute('theme', theme)
    this.host.lang = lang
    try { // not stopped by the page’s Content-Security-Policy
      const sheet = new CSSStyleSheet()
      sheet.replaceSync(css)
      this.root.adoptedStyleSheets = [sheet]
    } catch { this.root.append(h('style', {}, css)) }

    this.launch = h('button', { class: 'b go launch', type: 'button', 'aria-haspopup': 'dialog', 'aria-expanded': 'false', onclick: () => this.open() }, icon('chat'), h('span', {}, t.button), this.badge)
    this.heading = h('h2', { id: 'title' }, t.titlePlain)
    this.log = h('div', { class: 'log', role: 'log', 'aria-label': t.log, tabIndex: 0, onscroll: () => this.look() })
    this.box = h('textarea', { rows: 1, 'aria-label': t.message, placeholder: t.placeholder, enterKeyHint: 'send', oninput: () => { this.fits(); c.writes() }, onkeydown: (e: KeyboardEvent) => this.keys(e), onpaste: (e: ClipboardEvent) => { if (e.clipboardData?.files.length) { e.preventDefault(); this.attach(e.clipboardData.files) } } })
    this.picker = h('input', { type: 'file', multiple: true, hidden: true, tabIndex: -1, 'aria-hidden': 'true', onchange: () => { this.attach(this.picker.files); this.picker.value = '' } })
    this.palette = h('div', { class: 'emoji', role: 'group', 'aria-label': t.emojis, id: 'emojis', hidden: true }, ...emojis.map((e) => h('button', { class: 'b quiet', type: 'button', onclick: () => this.insert(e) }, e)))
    this.smile = h('button', { class: 'b quiet', type: 'button', 'aria-label': t.emoji, title: t.emoji, 'aria-expanded': 'false', 'aria-controls': 'emojis', onclick: () => this.emojis(this.palette.hidden) }, icon('smile'))
    this.form = h('form', { class: 'compose', onsubmit: (e: Event) => { e.preventDefault(); this.send() } },
      h('button', { class: 'b quiet', type: 'button', 'aria-label': t.attach, title: t.attach, onclick: () => this.picker.click() }, icon('clip')), this.smile, this.box,
      h('button', { class: 'b go', type: 'submit', 'aria-label': t.send, title: t.send }, icon('send')), this.picker)
    this.personButton = h('button', { class: 'b quiet', type: 'button', onclick: () => this.person() }, icon('person'), t.person)
    this.mailButton = h('button', { class: 'b quiet', type: 'button', hidden: true, 'aria-expanded': 'false', 'aria-controls': 'mail', onclick: () => this.mail(this.mailForm.hidden) }, icon('mail'), t.mail)
    this.mailInput = h('input', { type: 'email', autocomplete: 'email', required: true, maxLength: 254 })
    this.mailForm = h('form', { class: 'mail', id: 'mail', hidden: true, 'aria-label': t.mailTitle, noValidate: true, onsubmit: (e: Event) => { e.preventDefault(); void this.sendMail() } },
      h('p', {}, t.mailWhy), h('label', {}, t.mailLabel, this.mailInput),
      h('div', { class: 'row' }, h('button', { class: 'b go', type: 'submit' }, t.mailSend), h('button', { class: 'b', type: 'button', onclick: () => this.mail(false) }, t.cancel)))
    this.acts = h('div', { class: 'acts' }, this.personButton, this.mailButton)
    this.panel = h('section', { class: 'panel', role: 'dialog', id: 'panel', 'aria-labelledby': 'title', tabIndex: -1, hidden: true, onkeydown: (e: KeyboardEvent) => this.panelKeys(e) },
      h('header', {}, this.face, h('div', {}, this.heading, this.sub), h('button', { class: 'b quiet', type: 'button', 'aria-label': t.close, title: t.close, onclick: () => this.close() }, icon('x'))),
      this.banner, this.log,
      h('div', { class: 'foot' }, this.typing, this.said, this.wrong, this.acts, this.mailForm, this.palette, this.chips, this.form))
    this.launch.setAttribute('aria-controls', 'panel')
    this.root.append(h('div', { class: 'all', role: 'region', 'aria-label': t.chat }, this.launch, this.panel))
    this.wide.addEventListener('change', () => this.shape())
    visualViewport?.addEventListener('resize', () => this.shape())
    document.addEventListener('visibilitychange', () => this.look())
    c.changed = () => this.draw()
    this.draw()
  }

  // -- opening and closing

  open() {
    if (this.c.barred) return
    if (this.isOpen) { this.box.focus(); return }
    this.before = document.activeElement
    this.isOpen = true
    this.panel.hidden = false
    this.launch.hidden = true
    this.launch.setAttribute('aria-expanded', 'true')
    this.shape()
    void this.c.look()
    this.looking = setInterval(() => { if (!document.hidden) void this.c.look() }, 120_000) // who is there changes
    this.draw()
    this.log.scrollTop = this.log.scrollHeight
    if (this.form.hidden) this.panel.focus()
    else this.box.focus()
    this.look()
  }

  close() {
    if (!this.isOpen) return
    this.isOpen = false
    clearInterval(this.looking)
    this.panel.hidden = true
    this.launch.hidden = false
    this.launch.setAttribute('aria-expanded', 'false')
    this.shape()
    this.draw()
    // Back to where one came from: the button, or whatever of the page opened the chat.
    if (this.before && this.before !== document.body && this.before !== this.host && this.before.isConnected) (this.before as HTMLElement).focus?.()
    else this.launch.focus()
  }

  // shape: on a phone the dialog is the whole screen and keeps the focus; elsewhere the page stays usable beside it.
  private shape() {
    const full = this.isOpen && !this.wide.matches
    this.panel.classList.toggle('full', full)
    if (full) this.panel.setAttribute('aria-modal', 'true')
    else this.panel.removeAttribute('aria-modal')
    const page = document.documentElement
    if (full && page.style.overflow !== 'hidden') { this.overflow = page.style.overflow; page.style.overflow = 'hidden' }
    else if (!full && page.style.overflow === 'hidden') page.style.overflow = this.overflow
    const vv = visualViewport
    this.panel.style.height = full && vv && vv.height < innerHeight - 60 ? `${vv.height}px` : '' // the keyboard is up
  }

  private panelKeys(e: KeyboardEvent) {
    if (e.key === 'Escape') {
      e.stopPropagation()
      if (!this.palette.hidden) { this.emojis(false); this.smile.focus() }
      else if (!this.mailForm.hidden) this.mail(false)
      else this.close()
      return
    }
    if (e.key !== 'Tab' || !this.panel.hasAttribute('aria-modal')) return
    const all = [...this.panel.querySelectorAll<HTMLElement>('button, input, textarea, a[href], [tabindex="0"]')].filter((el) => el.tabIndex >= 0 && !(el as HTMLButtonElement).disabled && el.getClientRects().length)
    const now = this.root.activeElement
    const edge = e.shiftKey ? all[0] : all[all.length - 1]
    if (now === edge || now === this.panel || !now) {
      e.preventDefault()
      ;(e.shiftKey ? all[all.length - 1] : all[0])?.focus()
    }
  }

  // look: what is on the screen of somebody who looks has been read.
  private look() {
    if (this.isOpen && !document.hidden && this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80) this.c.seen()
  }

  // -- writing

  private keys(e: KeyboardEvent) {
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing && !e.altKey) { e.preventDefault(); this.send() }
  }

  private say(text: string) { this.said.textContent = text; this.said.hidden = !text }
  private fail(text: string) { this.wrong.textContent = text; this.wrong.hidden = !text }

  private get most() { return this.c.config?.limits ?? { text: 10000, file: 10 << 20, files: 5, types: [] as string[] } }

  private fits(): boolean {
    const n = [...this.box.value.trim()].length
    this.fail(n > this.most.text ? this.t.tooLong(n, this.most.text) : '')
    return n <= this.most.text
  }

  private send() {
    const text = this.box.value.trim()
    if ((!text && !this.files.length) || !this.fits()) { this.box.focus(); return }
    this.c.send({ text, files: this.files, reply_to: this.replyTo?.id })
    this.box.value = ''
    this.files = []
    this.replyTo = undefined
    this.emojis(false)
    this.say('')
    this.fail('')
    this.drawChips()
    this.box.focus()
    this.log.scrollTop = this.log.scrollHeight
  }

  private attach(list: FileList | null) {
    let wrong = ''
    for (const f of list ?? []) {
      const ext = /\.[^.]+$/.exec(f.name.toLowerCase())?.[0] ?? ''
      if (f.size > this.most.file) wrong = this.t.tooLarge(f.name, this.most.file >> 20)
      else if (this.most.types.length && !this.most.types.includes(ext)) wrong = this.t.wrongType(f.name)
      else if (this.files.length >= this.most.files) wrong = this.t.tooMany(this.most.files)
      else this.files.push(f)
    }
    this.fail(wrong)
    this.drawChips()
    this.box.focus()
  }

  private drawChips() {
    const chip = (name: string, label: string, drop: () => void) => h('span', { class: 'chip' }, h('span', {}, name), h('button', { class: 'b quiet', type: 'button', 'aria-label': label, onclick: () => { drop(); this.drawChips(); this.box.focus() } }, icon('x')))
    this.chips.replaceChildren(
      ...(this.replyTo ? [chip(this.t.replying(this.who(this.replyTo)), this.t.noReply, () => { this.replyTo = undefined })] : []),
      ...this.files.map((f) => chip(`${f.name} (${size(f.size)})`, this.t.drop(f.name), () => { this.files = this.files.filter((x) => x !== f) })))
    this.chips.hidden = !this.chips.childElementCount
  }

  private emojis(show: boolean) {
    this.palette.hidden = !show
    this.smile.setAttribute('aria-expanded', String(show))
    if (show) (this.palette.firstChild as HTMLElement).focus()
  }

  private insert(e: string) {
    const b = this.box
    b.setRangeText(e, b.selectionStart, b.selectionEnd, 'end')
    this.emojis(false)
    this.fits()
    b.focus()
  }

  private person() {
    const last = this.c.items[this.c.items.length - 1]
    // Asked already, and nobody has answered yet: once is enough.
    if (!this.c.queue.some((o) => o.person) && !(last?.mine && last.text === this.t.personWords)) this.c.send({ text: '', files: [], person: true })
    this.personAsked = this.whoAnswers()
    this.say(this.t.personNow(this.personAsked))
    this.box.focus()
    this.log.scrollTop = this.log.scrollHeight
  }

  private mail(show: boolean) {
    this.mailForm.hidden = !show
    this.mailButton.setAttribute('aria-expanded', String(show))
    this.fail('')
    if (show) {
      this.say('')
      this.mailId = uuid()
      this.mailInput.value ||= this.c.identity?.email ?? ''
      this.mailInput.focus()
    } else this.mailButton.focus()
  }

  private async sendMail() {
    if (this.mailing) return
    const email = this.mailInput.value.trim()
    this.mailing = true
    this.fail('')
    try {
      await this.c.mail(email, this.mailId)
      this.mailForm.hidden = true
      this.mailButton.setAttribute('aria-expanded', 'false')
      this.say(this.t.mailDone(email))
      this.box.focus()
    } catch (e) {
      this.fail(e instanceof TypeError ? this.t.offline : (e as Error).message)
      this.mailInput.focus()
    } finally { this.mailing = false }
  }

  // -- drawing

  private who(m: Item): string { return m.mine ? this.t.you : m.name || (m.author === 'machine' ? this.t.machine : this.t.somebody) }

  private whoAnswers(): string { return this.c.office?.advisor || this.t.team }

  private draw() {
    const { c, t } = this
    if (c.barred) {
      this.close()
      this.host.remove()
      return
    }
    const n = c.unread
    this.badge.hidden = !n || this.isOpen
    if (n) this.badge.replaceChildren(h('span', { 'aria-hidden': 'true' }, String(n)), h('span', { class: 'sr' }, t.unread(n)))
    if (!this.isOpen) return

    const org = c.config?.org
    this.heading.textContent = org ? t.title(org) : t.titlePlain
    const answers = c.office?.advisor || org || ''
    this.face.hidden = !answers
    this.face.textContent = initials(answers.replace(/[^\p{L}\p{N}\s.@_-]/gu, ' '))
    const hu = hue(answers)
    this.face.style.setProperty('--face', `hsl(${hu} 45% 84%)`)
    this.face.style.setProperty('--face-ink', `hsl(${hu} 45% 22%)`)
    if (c.office && c.config) this.sub.textContent = c.office.online ? t.here(this.whoAnswers(), c.office.online) : t.away(this.whoAnswers())

    const line = c.refused ? `${c.config || c.identity ? t.refused : t.unreachable} ${c.refused}` : c.offline ? t.offline : c.notice === 'expired' ? t.expired : c.notice === 'forgotten' ? t.forgotten : ''
    this.banner.classList.toggle('bad', !!c.refused)
    if (this.banner.textContent !== line) this.banner.textContent = line
    this.banner.hidden = !line
    this.form.hidden = this.acts.hidden = !!c.refused
    this.mailButton.hidden = !c.config?.email || !(c.items.length || c.queue.length)
    this.typing.hidden = !c.typing
    this.typing.textContent = c.typing ? t.writing(c.typing === '?' ? t.somebody : c.typing) : ''
    this.drawLog()
    this.look()
  }

  // drawLog changes only what has changed, so that what is new is read aloud and nothing else.
  private drawLog() {
    const { c, t } = this
    const nearEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80
    this.log.setAttribute('aria-busy', String(c.loading))
    const want: { id: string; key: string; make: () => HTMLElement }[] = []
    const quiet = !c.items.length && !c.queue.length && !c.loading
    if (quiet && !c.refused) {
      want.push({ id: 'hello', key: '', make: () => h('div', { class: 'm hello' }, h('div', { class: 'bub' }, t.hello)) })
      if (!c.known) want.push({ id: 'keeps', key: '', make: () => h('p', { class: 'hint' }, t.keeps) })
    }
    if (c.next) want.push({ id: 'older', key: c.next, make: () => h('button', { class: 'b quiet', type: 'button', onclick: () => void this.older() }, t.older) })
    const lastMine = [...c.items].reverse().find((m) => m.mine)
    for (const m of c.items) want.push({ id: m.client_id || m.id, key: JSON.stringify([m.id, m.text, m.deleted, m.mine && m === lastMine ? m.state : '', m.attachments.length, this.asks(m), m.ask?.state]), make: () => this.item(m, m === lastMine) })
    for (const o of c.queue) want.push({ id: o.client_id, key: o.state + (o.error ?? ''), make: () => this.outgoing(o) })
    if (c.mailed) want.push({ id: 'mailed', key: c.mailed, make: () => h('p', { class: 'hint' }, t.mailWas(c.mailed)) })
    if (!quiet && !c.identity) want.push({ id: 'forget', key: '', make: () => h('button', { class: 'b quiet forget', type: 'button', onclick: () => void c.forget().then(() => this.box.focus(), () => this.fail(t.offline)) }, t.forget) })

    const keep = new Set(want.map((w) => w.id))
    for (const [id, d] of this.drawn) if (!keep.has(id)) { d.el.remove(); this.drawn.delete(id) }
    let at = this.log.firstChild
    for (const w of want) {
      let d = this.drawn.get(w.id)
      if (!d || d.key !== w.key) {
        const el = w.make()
        if (d) {
          const focused = d.el.contains(this.root.activeElement)
          if (at === d.el) at = el
          d.el.replaceWith(el)
          if (focused) this.box.focus()
        }
        this.drawn.set(w.id, d = { el, key: w.key })
      }
      if (d.el === at) at = at.nextSibling
      else this.log.insertBefore(d.el, at)
    }
    if (nearEnd) this.log.scrollTop = this.log.scrollHeight
  }

  private async older() {
    const was = this.log.scrollHeight - this.log.scrollTop
    await this.c.older()
    this.log.scrollTop = this.log.scrollHeight - was
    this.log.focus()
  }

  private time(at: string): HTMLElement {
    const d = new Date(at)
    const today = d.toDateString() === new Date().toDateString()
    return h('time', { dateTime: at }, new Intl.DateTimeFormat(this.lang, today ? { hour: '2-digit', minute: '2-digit' } : { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }).format(d))
  }

  private item(m: Item, last: boolean): HTMLElement {
    const { t } = this
    const bub = h('div', { class: 'bub' })
    if (m.quote) bub.append(h('blockquote', {}, m.quote.text))
    if (m.deleted) bub.append(h('span', { class: 'hint' }, t.deleted))
    if (m.text) bub.append(h('span', {}, ...linked(m.text, t)))
    for (const f of m.attachments) {
      const url = this.c['host'] + f.url
      const shown = /^image\/(png|jpeg|gif|webp|avif)$/.test(f.media_type)
      bub.append(h('a', { class: shown ? '' : 'file', href: url, target: '_blank', rel: 'noopener noreferrer' },
        shown ? h('img', { src: url, alt: f.name, loading: 'lazy', onload: () => this.look() }) : icon('file'), !shown && `${f.name} (${size(f.size)})`, h('span', { class: 'sr' }, ` (${t.page})`)))
    }
    const meta = h('p', { class: 'meta' }, !m.mine && h('b', {}, this.who(m)), this.time(m.at), m.mine && last && h('span', {}, m.state === 'read' ? t.read : t.accepted))
    if (!m.mine && !m.deleted) meta.append(h('button', { class: 'b quiet re', type: 'button', 'aria-label': t.reply(this.who(m)), title: t.reply(this.who(m)), onclick: () => { this.replyTo = m; this.drawChips(); this.box.focus() } }, icon('reply')))
    return h('div', { class: `m ${m.mine ? 'me' : m.author}` }, h('span', { class: 'sr' }, `${this.who(m)}: `), bub, this.asks(m) && this.question(m), this.closed(m), meta)
  }

  // asks tells whether a message still waits for an answer. The server says whether its question is open; what was just
  // sent is for the server to judge first. Put twice, a question is answered where it was put last.
  private asks(m: Item): boolean {
    const { items, queue } = this.c
    if (m.mine || m.deleted || !(m.form || m.choices?.length) || queue.some((o) => o.reply_to === m.id)) return false
    const late = [...items].reverse()
    const own = late.findIndex((x) => x.mine && x.quote?.id === m.id)
    if (!m.ask) return own < 0
    return m.ask.state === 'open' && late.find((x) => x.ask?.id === m.ask!.id) === m && (own < 0 || late.slice(0, own).some((x) => !x.mine))
  }

  // closed says what became of a question that waits no more.
  private closed(m: Item): HTMLElement | undefined {
    const state = m.deleted ? 'open' : m.ask?.state ?? 'open'
    return state === 'open' ? undefined : h('p', { class: 'hint' }, this.t.closed[state] ?? this.t.closed.withdrawn)
  }

  // question draws what a message offers to press and to fill in. Whoever would rather type does so below.
  private question(m: Item): HTMLElement {
    const f = m.form
    const single = f && /^(buttons|radio)$/.test(f.input)
    const list: Choice[] = [...(single ? f.options ?? [] : []), ...(m.choices ?? []).filter((c) => !single || c.data.startsWith('p:'))]
    const press = (c: Choice) => { this.c.send({ text: c.label, files: [], reply_to: m.id, choice: { message: m.id, data: c.data } }); this.box.focus() }
    const all = h('div', { class: 'ask', role: 'group', 'aria-label': f?.question || m.text, lang: f?.language })
    if (f && !single) all.append(...this.fields(m, f).filter((c): c is Node => c instanceof Node))
    if (list.length) all.append(h('div', { class: f?.kind === 'rating' && list.length > 9 ? 'opts scale' : 'opts' }, ...list.map((c) => h('button', { class: c.data.startsWith('p:') ? 'b quiet' : 'b opt', type: 'button', onclick: () => press(c) }, h('span', {}, c.label, c.description && h('small', {}, c.description))))))
    if (f?.optional) all.append(h('button', { class: 'b quiet', type: 'button', onclick: () => this.answer(m, f.words.skip_text) }, f.words.skip))
    return all
  }

  private answer(m: Item, text: string) {
    this.c.send({ text, files: [], reply_to: m.id })
    this.box.focus()
  }

  // fields are those of the question's kind; what is filled in is sent as words that anybody can read.
  private fields(m: Item, f: Form): Child[] {
    const w = f.words
    const input = (label: string, props: Record<string, unknown>) => {
      const el = h('input', { type: 'text', ...props })
      return { el, all: h('label', {}, label, el) }
    }
    const form = (read: () => string, ...children: Child[]) => h('form', { noValidate: true, onsubmit: (e: Event) => {
      e.preventDefault()
      const text = read()
      if (text) this.answer(m, text)
      else (e.target as HTMLElement).querySelector<HTMLElement>('input')?.focus()
    } }, ...children, h('button', { class: 'b go', type: 'submit' }, w.send))
    const day = (v: string) => {
      const [y, mo, d] = v.split('-').map(Number)
      if (!y || !mo || !d) return ''
      return f.language.startsWith('de') ? `${d}.${mo}.${y}` : new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' }).format(Date.UTC(y, mo - 1, d))
    }
    switch (f.input) {
      case 'checkbox': {
        const boxes = (f.options ?? []).map((o) => ({ o, el: h('input', { type: 'checkbox' }) }))
        const comma = boxes.some((b) => b.o.label.includes(','))
        return [form(() => boxes.map((b, i) => (b.el.checked ? (comma ? String(i + 1) : b.o.label) : '')).filter(Boolean).join(', '),
          ...boxes.map((b) => h('label', { class: 'tick' }, b.el, h('span', {}, b.o.label, b.o.description && h('small', {}, b.o.description)))))]
      }
      case 'number': {
        const n = input(f.unit ? `${w.number} (${f.unit})` : w.number, { inputMode: 'decimal', autocomplete: 'off' })
        return [form(() => n.el.value.trim(), n.all)]
      }
      case 'date': case 'datetime-local': {
        const d = input(w.date, { type: 'date', min: f.from, max: f.until })
        const time = f.input === 'date' ? undefined : input(w.time, { type: 'time' })
        return [form(() => (d.el.value && (!time || time.el.value) ? day(d.el.value) + (time ? `, ${time.el.value}${f.language.startsWith('de') ? ' Uhr' : ''}` : '') : ''), d.all, time?.all)]
      }
      case 'email': case 'tel': {
        const e = input(f.input === 'tel' ? w.phone : w.email, { type: f.input, autocomplete: f.input })
        return [form(() => e.el.value.trim(), e.all)]
      }
      case 'address': {
        const [name, street, extra, zip, city] = ([[w.name, 'name'], [w.street, 'street-address'], [w.extra, 'address-line2'], [w.postal_code, 'postal-code'], [w.city, 'address-level2']] as const).map(([label, autocomplete]) => input(label, { autocomplete }))
        return [form(() => (street!.el.value.trim() && zip!.el.value.trim() && city!.el.value.trim() ? [name!.el.value, street!.el.value, extra!.el.value, `${zip!.el.value.trim()} ${city!.el.value.trim()}`].map((x) => x.trim()).filter(Boolean).join('\n') : ''), name!.all, street!.all, extra!.all, zip!.all, city!.all)]
      }
      case 'file':
        return [h('button', { class: 'b opt', type: 'button', onclick: () => {
          this.replyTo = m
          this.drawChips()
          this.picker.accept = (f.accept ?? []).join(',')
          this.picker.click()
          this.picker.accept = ''
        } }, icon('clip'), w.choose)]
      case 'link': case 'signature':
        return [f.url && h('a', { class: 'b go', href: f.url, target: '_blank', rel: 'noopener noreferrer' }, w.open, h('span', { class: 'sr' }, ` (${this.t.page})`))]
    }
    return []
  }

  private outgoing(o: Outgoing): HTMLElement {
    const { t, c } = this
    const bub = h('div', { class: 'bub' }, ...(o.person ? [t.personWords] : linked(o.text, t)), ...o.files.map((f) => h('span', { class: 'file' }, icon('file'), `${f.name} (${size(f.size)})`)))
    const meta = h('p', { class: 'meta' }, o.state !== 'failed' ? this.time(o.at) : '', h('span', { class: o.state === 'failed' ? 'bad' : '' }, o.state === 'failed' ? `${t.failed}: ${o.error}` : o.state === 'waiting' ? t.waits : o.state === 'accepted' ? t.accepted : t.sending))
    if (o.state === 'failed') {
      meta.append(h('button', { class: 'b quiet', type: 'button', onclick: () => c.again(o) }, t.again),
        h('button', { class: 'b quiet', type: 'button', onclick: () => { c.drop(o); this.box.value = [o.text, this.box.value].filter(Boolean).join('\n'); this.files = o.files; this.drawChips(); this.fits(); this.box.focus() } }, t.edit))
    }
    return h('div', { class: 'm me' }, h('span', { class: 'sr' }, `${t.you}: `), bub, meta)
  }
}
