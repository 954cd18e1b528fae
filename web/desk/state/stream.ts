// Messages of one conversation as pure data: merging pages, live changes and what is still in the local outbox.
import type { DeliveryState, Message } from '../../kit/api'

const rank: Record<DeliveryState, number> = { queued: 0, sending: 1, uncertain: 2, failed: 2, sent: 3, delivered: 4, read: 5 }

/** merge puts messages into an ascending list; the same id or client_id replaces. */
export function merge(list: Message[], add: Message[]): Message[] {
  if (!add.length) return list
  const out = list.slice()
  const at = new Map<string, number>()
  out.forEach((m, i) => { at.set(m.id, i); if (m.client_id) at.set('c:' + m.client_id, i) })
  let sorted = true
  for (const m of add) {
    const i = at.get(m.id) ?? (m.client_id ? at.get('c:' + m.client_id) : undefined)
    if (i !== undefined) {
      const old = out[i]!
      // An answer to a POST may come after the live change that it caused: fate only goes forward.
      const delivery = m.delivery && old.delivery && old.delivery.id === m.delivery.id && m.delivery.at < old.delivery.at ? old.delivery : m.delivery
      if (out[i]!.sent_at !== m.sent_at) sorted = false
      out[i] = { ...m, delivery }
    } else {
      at.set(m.id, out.length)
      if (m.client_id) at.set('c:' + m.client_id, out.length)
      out.push(m)
      sorted = false
    }
  }
  return sorted ? out : out.sort((a, b) => Date.parse(a.sent_at) - Date.parse(b.sent_at) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
}

/** fate sets a delivery's state from a live frame, until the whole message is loaded. Receipts may come unordered. */
export function fate(list: Message[], messageId: string, state: DeliveryState): Message[] {
  const i = list.findIndex((m) => m.id === messageId)
  const m = list[i]
  if (!m?.delivery || m.delivery.state === state) return list
  if (rank[state] < rank[m.delivery.state] && !(state === 'queued' && m.delivery.state !== 'read')) return list
  const out = list.slice()
  out[i] = { ...m, delivery: { ...m.delivery, state } }
  return out
}

/** needsHelp: somebody has to decide about this delivery. */
export function needsHelp(m: Message): boolean {
  return m.delivery?.state === 'failed' || m.delivery?.state === 'uncertain'
}
