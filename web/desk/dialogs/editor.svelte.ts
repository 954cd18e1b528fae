// The editor's state: one dialog as text and as steps, always of the same mind. The text goes to the server to be read and
// proved (check), the steps go there to be written (convert); whichever was edited last leads.
import { get, post, Problem, put } from '../../kit/api'
import type { DialogFull, Finding, Layout, Program } from '../../kit/ask'
import { sentence } from '../state/say'

interface Snapshot { source: string; program: Program | null; layout: Layout }

export class Editor {
  facts = $state.raw<DialogFull | null>(null)
  source = $state('')
  program = $state.raw<Program | null>(null)
  layout = $state.raw<Layout>({})
  findings = $state.raw<Finding[]>([])
  /** The text cannot be read: the steps are those of the last text that could. */
  stale = $state(false)
  /** The steps are being written as text. */
  writing = $state(false)
  checking = $state(false)
  trouble = $state('')
  selected = $state('')
  error = $state.raw<unknown>(null)
  private saved = $state('')
  private savedLayout = $state('')
  private past = $state.raw<Snapshot[]>([])
  private future = $state.raw<Snapshot[]>([])
  private last = { what: '', at: 0 }
  private turn = 0
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(readonly key: string) {}

  get dirty() { return !!this.facts && (this.source !== this.saved || JSON.stringify(this.layout) !== this.savedLayout) }
  get canUndo() { return this.past.length > 0 }
  get canRedo() { return this.future.length > 0 }

  async load() {
    this.error = null
    try { this.take(await get<DialogFull>(`/api/v1/dialogs/${encodeURIComponent(this.key)}`)) } catch (e) { if (!this.facts) this.error = e; else throw e }
  }

  private take(d: DialogFull) {
    clearTimeout(this.timer)
    this.turn++
    this.facts = d
    this.source = this.saved = d.source
    this.program = d.program
    this.findings = d.found ?? []
    this.layout = d.layout ?? {}
    this.savedLayout = JSON.stringify(this.layout)
    this.stale = !d.program
    this.past = []
    this.future = []
    this.writing = this.checking = false
    void this.check(!!d.program)   // in the language of whoever looks
  }

  private snapshot(): Snapshot { return { source: this.source, program: this.program, layout: this.layout } }
  // What was before an edit. Keystrokes in one field within two seconds are one edit.
  private remember(what: string) {
    const now = Date.now()
    if (what && what === this.last.what && now - this.last.at < 2000) { this.last.at = now; this.future = []; return }
    this.past = [...this.past.slice(-199), this.snapshot()]
    this.future = []
    this.last = { what, at: now }
  }
  private restore(s: Snapshot) {
    this.source = s.source
    this.layout = s.layout
    this.program = s.program
    this.last = { what: '', at: 0 }
    this.later(0)
  }
  undo() {
    const s = this.past.at(-1)
    if (!s) return
    this.future = [...this.future, this.snapshot()]
    this.past = this.past.slice(0, -1)
    this.restore(s)
  }
  redo() {
    const s = this.future.at(-1)
    if (!s) return
    this.past = [...this.past, this.snapshot()]
    this.future = this.future.slice(0, -1)
    this.restore(s)
  }

  /** write is an edit of the text; the steps follow as soon as it can be read. */
  write(source: string) {
    if (source === this.source) return
    this.remember('text')
    this.source = source
    this.later(350)
  }

  /** change is an edit of the steps; the text follows. what names the field, so that typing is one edit. */
  change(program: Program, what = '') {
    if (program === this.program) return
    this.remember(what)
    this.program = program
    clearTimeout(this.timer)
    const mine = ++this.turn
    this.writing = true
    this.timer = setTimeout(() => void this.convert(mine), what ? 250 : 0)
  }
  private async convert(mine: number) {
    try {
      const got = await post<{ source: string }>('/api/v1/dialogs/convert', { program: this.program })
      if (mine !== this.turn) return
      this.source = got.source
      this.stale = false
      this.trouble = ''
      this.writing = false
      await this.check(true)
    } catch (e) {
      if (mine !== this.turn) return
      this.writing = false
      this.trouble = sentence(e)
    }
  }

  place(layout: Layout) { this.remember('layout'); this.layout = layout }

  private later(ms: number) {
    clearTimeout(this.timer)
    this.writing = false
    this.turn++
    this.timer = setTimeout(() => void this.check(), ms)
  }

  /** check has the text read and proved. keep: the steps are known already, only the findings are wanted. */
  async check(keep = false) {
    const mine = ++this.turn
    this.checking = true
    try {
      const got = await post<{ program: Program | null; findings: Finding[] | null }>('/api/v1/dialogs/check', { source: this.source })
      if (mine !== this.turn) return
      this.findings = got.findings ?? []
      this.stale = !got.program
      if (got.program && !keep) this.program = got.program
      this.trouble = ''
    } catch (e) { if (mine === this.turn) this.trouble = sentence(e) }
    if (mine === this.turn) this.checking = false
  }

  /** settled waits until text and steps are of one mind. */
  private async settled() {
    if (this.writing) { clearTimeout(this.timer); await this.convert(this.turn) }
  }

  /** save makes a new version. Answers the findings if it was refused because of them. */
  async save(enabled: boolean, base = this.facts?.version ?? 0): Promise<{ version: number } | { findings: Finding[] }> {
    await this.settled()
    // Only steps that are there keep a place.
    const ids = new Set(this.program?.steps.map((s) => s.id))
    const layout = Object.fromEntries(Object.entries(this.layout).filter(([id]) => ids.has(id)))
    const source = this.source
    try {
      const got = await put<DialogFull>(`/api/v1/dialogs/${encodeURIComponent(this.key)}`, { source, enabled, layout, base_version: base })
      this.facts = { ...this.facts, ...got }
      this.saved = source
      this.layout = layout
      this.savedLayout = JSON.stringify(layout)
      return { version: got.version }
    } catch (e) {
      const f = e instanceof Problem && e.status === 422 ? (e.more.findings as Finding[] | undefined) : undefined
      if (f) { this.findings = f; return { findings: f } }
      throw e
    }
  }

  stop() { clearTimeout(this.timer); this.turn++ }
}
