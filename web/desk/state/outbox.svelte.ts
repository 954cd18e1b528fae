// Messages on their way from this device to the server. Each has a client_id: however often it is tried, it is sent once.
import { post, Problem, uuid, type Attachment, type Message, type Outgoing } from '../../kit/api'
import { store } from '../../kit/device.svelte'
import { backoff } from './livecore'
import { session } from './session.svelte'

export interface Parcel {
  conversation: string
  out: Outgoing
  note: boolean
  typed: string     // the text without the signature: what comes back
  chosen: boolean   // the way was chosen by hand, not suggested
  at: string
  attachments: Attachment[]
  label: { channel_kind: string; channel_name: string; address: string }
  /** Who will see it; shown while it lies here. */
  audience?: { customer: boolean; participants: string[] }
}

type Fate = { message: Message } | { refused: Problem } | { waiting: true }

class Outbox {
  list = $state.raw<Parcel[]>([])
  private running = new Map<string, Promise<Fate>>()
  private cancelled = new Set<string>()
  private tries = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private done = new Set<(p: Parcel, f: Fate) => void>()

  // One key for each message, so that two tabs do not write over each other's; it stays when its author signs out.
  private get prefix() { return `rw:out:${session.me}:` }

  load() {
    this.list = store.keys(this.prefix).flatMap((k) => { try { return [JSON.parse(store.get(k)!) as Parcel] } catch { return [] } })
      .sort((a, b) => (a.at < b.at ? -1 : 1))
    if (this.list.length) this.drain()
  }
  private remove(id: string) {
    this.list = this.list.filter((p) => p.out.client_id !== id)
    store.remove(this.prefix + id)
  }

  onFate(fn: (p: Parcel, f: Fate) => void) { this.done.add(fn); return () => this.done.delete(fn) }
  of(conversation: string) { return this.list.filter((p) => p.conversation === conversation) }

  /** send keeps the message first, then tries. Order within a conversation is kept. */
  send(p: Parcel): Promise<Fate> {
    this.list = [...this.list, p]
    store.set(this.prefix + p.out.client_id, JSON.stringify(p))
    return this.attempt(p)
  }

  /** cancel takes back what the server has not got yet; otherwise it waits for the server's word. */
  async cancel(clientId: string): Promise<{ here: Parcel } | { there: Message } | null> {
    const p = this.list.find((x) => x.out.client_id === clientId)
    const run = this.running.get(clientId)
    if (p && !run) { this.remove(clientId); return { here: p } }
    if (!run) return null
    this.cancelled.add(clientId)
    const f = await run
    this.cancelled.delete(clientId)
    if ('message' in f) return { there: f.message }
    if (p) { this.remove(clientId); return { here: p } }
    return null
  }

  private attempt(p: Parcel): Promise<Fate> {
    const id = p.out.client_id
    const before = this.list.find((x) => x.conversation === p.conversation)
    if (before && before.out.client_id !== id) return Promise.resolve({ waiting: true })
    const going = this.running.get(id)
    if (going) return going
    const run = (async (): Promise<Fate> => {
      const path = `/api/v1/conversations/${p.conversation}/${p.note ? 'notes' : 'messages'}`
      const body = p.note ? { text: p.out.text, client_id: id, ...(p.out.mentions?.length ? { mentions: p.out.mentions } : {}) } : p.out
      let f: Fate
      try {
        // After a question (409) the same message comes again with "anyway": another request, so another key.
        f = { message: await post<Message>(path, body, p.out.anyway ? uuid() : id) }
        this.remove(id)
        this.tries = 0
      } catch (e) {
        const problem = e instanceof Problem ? e : new Problem(0, 'unknown', String(e))
        if (problem.transient || problem.status === 401) {
          f = { waiting: true }
          if (!this.cancelled.has(id)) this.later()
        } else {
          f = { refused: problem }
          this.remove(id)
        }
      }
      this.running.delete(id)
      this.done.forEach((fn) => fn(p, f))
      if ('message' in f || 'refused' in f) this.drain()
      return f
    })()
    this.running.set(id, run)
    return run
  }

  private later() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.drain(), backoff(this.tries++, Math.random))
  }

  /** drain tries whatever still lies here: at start, when the connection is back, after a while. */
  drain() {
    clearTimeout(this.timer)
    const seen = new Set<string>()
    for (const p of this.list) if (!seen.has(p.conversation)) { seen.add(p.conversation); void this.attempt(p) }
  }
}

export const outbox = new Outbox()
