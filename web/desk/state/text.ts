// Small rules of the composer, without the composer.
import type { Capabilities, Mailbox } from '../../kit/api'

/** length counts a text as the channel does. */
export function length(text: string, unit: string): number {
  if (unit === 'utf16') return text.length
  if (unit === 'bytes') return new TextEncoder().encode(text).length
  return [...text].length
}

/** parts is into how many messages a text will be split, at least. */
export function parts(text: string, can: Partial<Capabilities>): number {
  return can.text_max ? Math.max(1, Math.ceil(length(text, can.text_unit ?? 'code_points') / can.text_max)) : 1
}

/** mailboxes reads "Anna <anna@kunde.example>, b@kunde.example"; bad names what is none. */
export function mailboxes(line: string): { list: Mailbox[]; bad: string[] } {
  const list: Mailbox[] = []
  const bad: string[] = []
  for (const raw of line.split(/[,;\n]/)) {
    const s = raw.trim()
    if (!s) continue
    const m = /^(.*)<([^<>]+)>$/.exec(s)
    const address = (m ? m[2]! : s).trim()
    if (/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(address)) list.push({ name: (m ? m[1]! : '').trim().replace(/^"|"$/g, ''), address })
    else bad.push(s)
  }
  return { list, bad }
}

export const showMailboxes = (list: Mailbox[]) => list.map((m) => (m.name ? `${m.name} <${m.address}>` : m.address)).join(', ')
