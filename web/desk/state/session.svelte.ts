// Who is signed in.
import { configure, del, get, Problem, type Session } from '../../kit/api'
import { store } from '../../kit/device.svelte'
import { i18n } from '../../kit/i18n.svelte'
import { router } from './router.svelte'

class SessionState {
  now = $state.raw<Session | null>(null)
  state = $state<'loading' | 'in' | 'out' | 'unreachable'>('loading')
  ended = $state(false)
  /** What the server will put below a mail: the person's own, else their unit's. */
  signature = $state('')

  constructor() {
    configure(() => i18n.lang, () => this.lost())
  }

  get me() { return this.now?.user.id ?? '' }
  get manages() { return this.now?.user.role === 'owner' || this.now?.user.role === 'manager' }

  async load() {
    try { this.set(await get<Session>('/api/v1/session')) } catch (e) {
      this.state = e instanceof Problem && e.status === 401 ? 'out' : 'unreachable'
      if (this.state === 'unreachable') setTimeout(() => { if (this.state === 'unreachable') void this.load() }, 2000)
    }
  }

  set(s: Session) {
    this.now = s
    this.state = 'in'
    this.ended = false
    i18n.set(s.user.language === 'en' ? 'en' : 'de')
    this.signature = s.user.signature_effective ?? s.user.signature ?? ''
  }

  /** The session ended by itself. What was typed stays on this device, for the same person. */
  private lost() {
    if (this.state !== 'in') return
    this.ended = true
    this.state = 'out'
    const here = router.path + router.search
    router.go('/sign-in' + (here !== '/' ? `?next=${encodeURIComponent(here)}` : ''), true)
  }

  /** check asks whether the session still stands. */
  async check() {
    try { await get<Session>('/api/v1/session') } catch (e) { if (e instanceof Problem && e.status === 401) this.lost() }
  }

  async signOut() {
    try { await del('/api/v1/session') } catch (e) {
      if (e instanceof Problem && e.status === 0) throw e   // the cookie still opens the desk: better say so
    }
    // Drafts of replies are on the server. What is only here stays for its author: notes, and messages on their way.
    for (const k of store.keys(`rw:draft:${this.me}:`)) if (!k.endsWith(':note')) store.remove(k)
    this.now = null
    this.state = 'out'
    this.ended = false
    router.go('/sign-in', true)
  }
}

export const session = new SessionState()
