// Short messages at the edge: what was done, with the way back.

export interface Toast {
  id: number
  text: string
  tone: '' | 'bad'
  action?: { label: (secondsLeft: number) => string; run: () => void }
  until: number     // when it goes by itself; 0 = stays
  countdown: boolean
}

class Toasts {
  list = $state.raw<Toast[]>([])
  now = $state(Date.now())
  private n = 0
  private timer: ReturnType<typeof setInterval> | undefined
  private held = 0

  show(text: string, o: { tone?: 'bad'; action?: Toast['action']; seconds?: number; countdown?: boolean } = {}): number {
    const id = ++this.n
    const seconds = o.seconds ?? (o.tone === 'bad' ? 0 : o.action ? 8 : 5)
    this.list = [...this.list.slice(-2), { id, text, tone: o.tone ?? '', action: o.action, until: seconds ? Date.now() + seconds * 1000 : 0, countdown: o.countdown ?? false }]
    this.timer ??= setInterval(() => this.tick(), 250)
    return id
  }

  bad(text: string, action?: Toast['action']) { return this.show(text, { tone: 'bad', action }) }

  drop(id: number) { this.list = this.list.filter((t) => t.id !== id) }

  /** While the pointer or the focus is on a toast, nothing disappears, except a countdown that the server keeps. */
  hold(on: boolean) { this.held = on ? Date.now() : 0 }

  undoLast(): boolean {
    const t = [...this.list].reverse().find((x) => x.action && x.tone !== 'bad')
    if (!t) return false
    this.drop(t.id)
    t.action!.run()
    return true
  }

  private tick() {
    this.now = Date.now()
    if (this.held) this.list.forEach((t) => { if (t.until && !t.countdown) t.until = Math.max(t.until, this.now + 2000) })
    if (this.list.some((t) => t.until && t.until <= this.now)) this.list = this.list.filter((t) => !t.until || t.until > this.now)
    if (!this.list.length) { clearInterval(this.timer); this.timer = undefined }
  }
}

export const toasts = new Toasts()
