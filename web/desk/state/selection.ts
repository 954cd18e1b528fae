// Choosing several rows of a list: one, from here to there, all. Pure.
export interface Selection { ids: ReadonlySet<string>; last: string }

export const none: Selection = { ids: new Set(), last: '' }

/** toggle takes one in or out. */
export function toggle(s: Selection, id: string): Selection {
  const ids = new Set(s.ids)
  if (!ids.delete(id)) ids.add(id)
  return { ids, last: id }
}

/** range takes in everything between the last one and this one, in the order of the list. */
export function range(s: Selection, id: string, order: string[]): Selection {
  const a = order.indexOf(s.last), b = order.indexOf(id)
  if (a < 0 || b < 0) return toggle(s, id)
  return { ids: new Set([...s.ids, ...order.slice(Math.min(a, b), Math.max(a, b) + 1)]), last: id }
}

export const all = (order: string[]): Selection => ({ ids: new Set(order), last: order.at(-1) ?? '' })

/** chunks cuts what is chosen into as many requests as the server takes at once. */
export function chunks<T>(list: T[], size = 500): T[][] {
  const out: T[][] = []
  for (let i = 0; i < list.length; i += size) out.push(list.slice(i, i + size))
  return out
}
