// What belongs to this device rather than to the person: light or dark, the platform's keys, the passing time.

export type Theme = 'auto' | 'light' | 'dark'

/** store wraps localStorage, which may be forbidden or full: the desk then works without memory. */
export const store = {
  get(key: string): string | null {
    try { return localStorage.getItem(key) } catch { return null }
  },
  set(key: string, value: string): boolean {
    try { localStorage.setItem(key, value); return true } catch { return false }
  },
  remove(key: string) {
    try { localStorage.removeItem(key) } catch { /* nothing was kept */ }
  },
  keys(prefix: string): string[] {
    try { return Object.keys(localStorage).filter((k) => k.startsWith(prefix)) } catch { return [] }
  },
}

class Device {
  theme = $state<Theme>((store.get('rw:theme') as Theme) || 'auto')
  now = $state(Date.now())
  narrow = $state(false)   // one column
  wide = $state(false)     // room for the customer beside the conversation
  readonly mac = /Mac|iPhone|iPad/.test(navigator.platform || navigator.userAgent)

  constructor() {
    this.apply()
    setInterval(() => (this.now = Date.now()), 15_000)
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.now = Date.now() })
    const one = matchMedia('(max-width: 719px)')
    const four = matchMedia('(min-width: 1200px)')
    const look = () => { this.narrow = one.matches; this.wide = four.matches }
    look()
    one.addEventListener('change', look)
    four.addEventListener('change', look)
  }

  setTheme(theme: Theme) {
    this.theme = theme
    store.set('rw:theme', theme)
    this.apply()
  }

  get dark(): boolean {
    return this.theme === 'dark' || (this.theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches)
  }

  private apply() {
    if (this.theme === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = this.theme
  }
}

export const device = new Device()
