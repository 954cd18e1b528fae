// Where we are. Every screen has a URL; links are ordinary links, taken over within the desk.

class Router {
  path = $state(location.pathname)
  search = $state(location.search)

  constructor() {
    addEventListener('popstate', () => {
      const to = location.pathname + location.search
      if (this.guard && !this.guard(to)) { history.pushState(null, '', this.here); return }
      this.read()
    })
    document.addEventListener('click', (e) => {
      if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
      const a = (e.target as Element).closest?.('a')
      if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin) return
      if (/^\/(api|demo|docs|play|in)(\/|$)/.test(a.pathname)) return
      e.preventDefault()
      this.go(a.pathname + a.search)
    })
  }

  /** Asked before this page is left; false keeps it. Whoever asks the person goes on with go(to) afterwards. */
  guard: ((to: string) => boolean) | null = null
  private here = location.href

  private read() {
    this.here = location.href
    this.path = location.pathname
    this.search = location.search
  }

  go(to: string, replace = false) {
    if (to === location.pathname + location.search) return
    if (this.guard && !this.guard(to)) return
    history[replace ? 'replaceState' : 'pushState'](null, '', to)
    this.read()
  }

  get query() { return new URLSearchParams(this.search) }
  get parts() { return this.path.split('/').filter(Boolean).map(decodeURIComponent) }
}

export const router = new Router()
