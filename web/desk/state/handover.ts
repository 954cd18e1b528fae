// Going on elsewhere: the sentence that the customer gets, in their language.
import type { Handover, HandoverWay } from '../../kit/api'

const names: Record<string, string> = { whatsapp: 'WhatsApp', telegram: 'Telegram', messenger: 'Messenger', instagram: 'Instagram', viber: 'Viber', line: 'LINE', signal: 'Signal', email: 'E-Mail', discord: 'Discord', slack: 'Slack', teams: 'Teams', matrix: 'Matrix', xmpp: 'XMPP', rcs: 'RCS', twilio: 'SMS', vonage: 'SMS', smpp: 'SMS', sms: 'SMS' }
export const wayName = (kind: string) => names[kind] ?? kind

/** sentences invite to go on: by one way, or by every way (the page) where none is given. Never more than two sentences and the link. */
export function sentences(h: Handover, way: HandoverWay | null, language: string): string {
  const de = !language || language.slice(0, 2) === 'de'
  if (!way) return de ? `Hier können Sie dieses Gespräch auf dem Weg fortsetzen, der Ihnen am liebsten ist: ${h.page}` : `Here you can go on with this conversation in the way that you like best: ${h.page}`
  const name = wayName(way.kind)
  const open = de ? `Wenn Sie mögen, schreiben wir auf ${name} weiter: ${way.link}` : `If you like, we can go on by ${name}: ${way.link}`
  if (way.carries === 'token') return open
  if (way.carries === 'text') return `${open}\n${de ? `Bitte senden Sie dort die vorbereitete Nachricht unverändert ab (Code ${h.code}).` : `Please send the prepared message there as it is (code ${h.code}).`}`
  return `${open}\n${de ? `Bitte schreiben Sie dort als Erstes diesen Code: ${h.code}` : `Please write this code there first: ${h.code}`}`
}

/** append puts sentences behind a draft, a line between. */
export const append = (draft: string, added: string) => (draft.trim() ? `${draft.trimEnd()}\n\n${added}` : added)
