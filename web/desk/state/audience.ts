// Who sees a message, as pure rules: nobody may learn by accident what was meant for somebody else.
import type { Mailbox, Message, Participant } from '../../kit/api'

export type Audience = 'customer' | 'third' | 'both' | 'internal'

/** audienceOf is who sees a message. A server that says nothing means the customer. */
export function audienceOf(m: Pick<Message, 'kind' | 'audience'>): Audience {
  if (m.kind !== 'message') return 'internal'
  const a = m.audience
  if (!a) return 'customer'
  const third = a.participants.length > 0
  return a.customer ? (third ? 'both' : 'customer') : third ? 'third' : 'internal'
}

/** seers are the third parties who see a message; those who are gone by now are counted, not named. */
export function seers(m: Pick<Message, 'audience'>, people: Participant[]): { known: Participant[]; gone: number } {
  const ids = m.audience?.participants ?? []
  const known = people.filter((p) => ids.includes(p.id))
  return { known, gone: ids.length - known.length }
}

/** untagged is a mail address without what follows a + in its name: service+r.x1@us.example is service@us.example. */
export const untagged = (address: string) => address.replace(/^([^+@]+)\+[^@]*@/, '$1@').toLowerCase()

/**
 * replyAll is whom an answer to this mail goes to besides its author: everybody it was addressed to, without ourselves
 * and without the one that is answered. Our mailboxes are ours with every +suffix: one of those is how an answer finds its
 * conversation, and whoever gets to know it writes into it.
 */
export function replyAll(m: Pick<Message, 'from' | 'to' | 'cc' | 'direction'>, own: string[], target: string): Mailbox[] {
  const not = new Set([...own, target].map((x) => x.toLowerCase()))
  const ours = new Set(own.map((x) => x.toLowerCase()))
  const seen = new Set<string>()
  return [...(m.direction === 'in' ? m.from : []), ...m.to, ...m.cc].filter((b) => {
    const a = b.address.toLowerCase()
    if (!a || not.has(a) || ours.has(untagged(a)) || seen.has(a)) return false
    seen.add(a)
    return true
  })
}

/** mixes: customer and third parties would read the same message. Bcc hides somebody from the others, not the text. */
export function mixes(toCustomer: boolean, copies: Mailbox[], customer: string[]): boolean {
  const own = new Set(customer.map((x) => x.toLowerCase()))
  const third = copies.some((b) => !own.has(b.address.toLowerCase()))
  const also = toCustomer || copies.some((b) => own.has(b.address.toLowerCase()))
  return also && (toCustomer ? third : true)
}
