// The live stream's sockets: WebSocket, server-sent events where that fails, again with back-off after every loss.
import type { Frame } from '../../kit/api'
import { backoff, Coalescer, type Batch } from './livecore'

class Live {
  connected = $state(false)
  /** Lost for long enough that the person should know. */
  offline = $state(false)
  private seq = 0
  private tries = 0
  private failedSockets = 0
  private stopped = true
  private shut: (() => void) | null = null
  private retry: ReturnType<typeof setTimeout> | undefined
  private notice: ReturnType<typeof setTimeout> | undefined
  private listeners = new Set<(b: Batch) => void>()
  private up = new Set<() => void>()
  /** Asked when the stream ends as it does for somebody who is signed out. */
  doubt: (() => void) | null = null
  private coalescer = new Coalescer(
    (b) => this.listeners.forEach((fn) => fn(b)),
    () => performance.now(),
    (fn, delay) => setTimeout(() => (document.hidden ? fn() : requestAnimationFrame(fn)), delay),
  )

  constructor() {
    addEventListener('online', () => { if (!this.stopped && !this.connected) { this.tries = 0; this.again(0) } })
    addEventListener('offline', () => { if (!this.stopped) { this.lost(); } })
  }

  onBatch(fn: (b: Batch) => void) { this.listeners.add(fn); return () => this.listeners.delete(fn) }
  onUp(fn: () => void) { this.up.add(fn); return () => this.up.delete(fn) }

  start() {
    if (!this.stopped) return
    this.stopped = false
    this.seq = 0
    this.tries = 0
    this.connect()
  }

  stop() {
    this.stopped = true
    clearTimeout(this.retry)
    clearTimeout(this.notice)
    this.shut?.()
    this.shut = null
    this.connected = false
    this.offline = false
  }

  private url() { return '/api/v1/live' + (this.seq ? `?after=${this.seq}` : '') }

  private connect() {
    clearTimeout(this.retry)
    this.shut?.()
    if (this.failedSockets < 2 && 'WebSocket' in window) this.socket()
    else this.events()
  }

  private socket() {
    const ws = new WebSocket(location.origin.replace(/^http/, 'ws') + this.url())
    let opened = false
    // A proxy that swallows the upgrade leaves the socket hanging: count it as failed.
    const slow = setTimeout(() => ws.close(), 8000)
    ws.onopen = () => { opened = true; clearTimeout(slow); this.failedSockets = 0; this.opened() }
    ws.onmessage = (e) => this.take(e.data as string)
    ws.onclose = (e) => {
      clearTimeout(slow)
      if (this.shut !== shut) return
      this.shut = null
      if (e.code === 4401) this.doubt?.()
      if (!opened) this.failedSockets++
      this.lost()
    }
    const shut = () => { ws.onclose = null; clearTimeout(slow); ws.close() }
    this.shut = shut
  }

  private events() {
    const es = new EventSource(this.url())
    es.onopen = () => this.opened()
    es.onmessage = (e) => this.take(e.data as string)
    es.onerror = () => {
      // Our own back-off and our own cursor, not the browser's three seconds.
      es.close()
      if (this.shut !== shut) return
      this.shut = null
      this.failedSockets = 0   // next time the socket may be tried again
      this.lost()
    }
    const shut = () => { es.onerror = null; es.close() }
    this.shut = shut
  }

  private take(data: string) {
    let f: Frame
    try { f = JSON.parse(data) as Frame } catch { return /* a frame of a later version: the next reload brings what it meant */ }
    if (f.seq) this.seq = f.kind === 'hello' || f.kind === 'reload' ? f.seq : Math.max(this.seq, f.seq)
    this.coalescer.push(f)
  }

  private opened() {
    this.tries = 0
    this.connected = true
    this.offline = false
    clearTimeout(this.notice)
    this.notice = undefined
    this.up.forEach((fn) => fn())
  }

  private lost() {
    this.connected = false
    this.shut?.()
    this.shut = null
    if (this.stopped) return
    // A refused handshake does not say why: perhaps nobody is signed in any more.
    if (this.tries === 2) this.doubt?.()
    this.notice ??= setTimeout(() => (this.offline = !this.connected), navigator.onLine ? 2500 : 0)
    // The second way is tried at once: nothing is known to be wrong with the server yet.
    this.again(this.failedSockets === 2 ? 0 : backoff(this.tries++, Math.random))
  }

  private again(ms: number) {
    clearTimeout(this.retry)
    this.retry = setTimeout(() => this.connect(), ms)
  }

  tryNow() { this.tries = 0; this.again(0) }
}

export const live = new Live()
