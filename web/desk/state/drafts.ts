// Drafts: on this device with every key stroke, on the server a second later. The newer one wins.
import { del, get, Problem, put, type Draft } from '../../kit/api'
import { store } from '../../kit/device.svelte'
import { session } from './session.svelte'

const key = (conversation: string, note = false) => `rw:draft:${session.me}:${conversation}${note ? ':note' : ''}`

export function emptyDraft(): Draft {
  return { text: '', channel_id: '', address_id: '', reply_to: '', subject: '', cc: [], bcc: [], attachments: [], updated_at: '' }
}

/** isEmpty: a chosen channel alone is not worth keeping. */
export function isEmpty(d: Draft): boolean {
  return !d.text.trim() && !d.attachments.length && !d.reply_to && !d.cc.length && !d.bcc.length
}

/** newer picks between this device's draft and the server's. */
export function newer(here: Draft | null, there: Draft | null): Draft | null {
  if (!here || !there) return here ?? there
  return Date.parse(here.updated_at) >= Date.parse(there.updated_at) ? here : there
}

export function local(conversation: string): Draft | null {
  try { return JSON.parse(store.get(key(conversation)) ?? 'null') as Draft | null } catch { return null }
}
export function keepLocal(conversation: string, d: Draft) {
  if (isEmpty(d)) store.remove(key(conversation))
  else store.set(key(conversation), JSON.stringify(d))
}
export const noteOf = (conversation: string) => store.get(key(conversation, true)) ?? ''
export function keepNote(conversation: string, text: string) {
  if (text.trim()) store.set(key(conversation, true), text)
  else store.remove(key(conversation, true))
}

export async function remote(conversation: string): Promise<Draft | null> {
  try {
    const d = await get<Partial<Draft> | undefined>(`/api/v1/conversations/${conversation}/draft`)
    return d ? { ...emptyDraft(), ...d, cc: d.cc ?? [], bcc: d.bcc ?? [], attachments: d.attachments ?? [] } : null
  } catch { return null }
}

/** keepRemote answers whether the server has it. */
export async function keepRemote(conversation: string, d: Draft): Promise<boolean> {
  try {
    const path = `/api/v1/conversations/${conversation}/draft`
    if (isEmpty(d)) await del(path)
    else { const { participant_id: _, ...body } = d; await put(path, body) }
    return true
  } catch (e) {
    return e instanceof Problem && e.status === 404
  }
}
