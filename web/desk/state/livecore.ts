// The live stream's rules without its sockets: when to try again, and how a burst becomes one change per frame.
import type { Frame } from '../../kit/api'

/** backoff is how long to wait before try n (from 0), in milliseconds: doubling to 30 s, with jitter so that desks do not return together. */
export function backoff(n: number, random: () => number): number {
  const cap = Math.min(30_000, 500 * 2 ** n)
  return Math.round(cap / 2 + (cap / 2) * random())
}

export interface Batch {
  seq: number
  hello: boolean
  reload: boolean
  conversations: Frame[]          // in order; several of one conversation stay, because each may count an unread message
  messages: Map<string, string>   // message id → conversation id, each once
  deliveries: Frame[]
  typing: Frame[]
  presence: Frame[]
  mentions: Frame[]
  asks: Frame[]
  things: Set<string>             // "channel:ID", "staff:ID" …: to be loaded again
}

/** batch folds frames that came together into what there is to do. */
export function batch(frames: Frame[]): Batch {
  const b: Batch = { seq: 0, hello: false, reload: false, conversations: [], messages: new Map(), deliveries: [], typing: [], presence: [], mentions: [], asks: [], things: new Set() }
  for (const f of frames) {
    if (f.seq && f.seq > b.seq) b.seq = f.seq
    switch (f.kind) {
      case 'hello': b.hello = true; if (f.seq) b.seq = f.seq; break
      case 'reload': b.reload = true; if (f.seq) b.seq = f.seq; break
      case 'conversation': if (f.conversation) b.conversations.push(f); break
      case 'message': if (f.id) b.messages.set(f.id, f.conversation_id ?? ''); break
      case 'delivery': b.deliveries.push(f); break
      case 'typing': b.typing.push(f); break
      case 'presence': b.presence.push(f); break
      case 'mention': b.mentions.push(f); break
      case 'ask': case 'dialog_instance': b.asks.push(f); break
      case 'view': case 'text_block': case 'tag': case 'dialog': case 'channel': case 'staff': case 'customer': case 'work_item': b.things.add(`${f.kind}:${f.id ?? ''}`); break
    }
  }
  return b
}

/**
 * Coalescer hands frames on in batches: at once when it is quiet, at most every `pace` milliseconds in a burst. It never
 * runs in the middle of a paint (schedule is requestAnimationFrame while the page is visible).
 */
export class Coalescer {
  private queue: Frame[] = []
  private pending = false
  private last = -Infinity

  constructor(
    private handle: (b: Batch) => void,
    private clock: () => number,
    private schedule: (fn: () => void, delay: number) => void,
    private pace = 150,
  ) {}

  push(f: Frame) {
    this.queue.push(f)
    if (this.pending) return
    this.pending = true
    this.schedule(() => this.flush(), Math.max(0, this.last + this.pace - this.clock()))
  }

  private flush() {
    this.pending = false
    this.last = this.clock()
    const frames = this.queue
    this.queue = []
    if (frames.length) this.handle(batch(frames))
  }
}
