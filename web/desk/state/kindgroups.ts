// Kinds of channels in groups, with a line each.
import type { ChannelKind, Language } from '../../kit/api'

export type Group = 'mail' | 'messenger' | 'sms' | 'team' | 'open' | 'site' | 'own'
const groups: Record<string, Group> = {
  email: 'mail', whatsapp: 'messenger', telegram: 'messenger', messenger: 'messenger', instagram: 'messenger', viber: 'messenger', line: 'messenger', signal: 'messenger',
  twilio: 'sms', vonage: 'sms', smpp: 'sms', rcs: 'sms', slack: 'team', teams: 'team', discord: 'team', matrix: 'open', xmpp: 'open', webchat: 'site', portal: 'site', webhook: 'own',
}
const order: Group[] = ['mail', 'messenger', 'sms', 'site', 'team', 'open', 'own']

const about: Record<string, [string, string]> = {
  email: ['Ein Postfach mit IMAP und SMTP, oder eingehend direkt', 'A mailbox with IMAP and SMTP, or received directly'],
  whatsapp: ['Geschäftsnummer bei Meta (Cloud API), mit freigegebenen Vorlagen', 'A business number at Meta (Cloud API), with approved templates'],
  telegram: ['Ein Bot von @BotFather; in zwei Minuten eingerichtet', 'A bot from @BotFather; set up in two minutes'],
  messenger: ['Nachrichten an Ihre Facebook-Seite', 'Messages to your Facebook page'],
  instagram: ['Direktnachrichten an Ihr Instagram-Konto', 'Direct messages to your Instagram account'],
  viber: ['Ein Viber-Bot; Kunden schreiben zuerst', 'A Viber bot; customers write first'],
  line: ['Ein offizielles LINE-Konto', 'A LINE official account'],
  signal: ['Eine eigene Nummer über signal-cli auf Ihrem Server', 'A number of your own through signal-cli on your server'],
  twilio: ['SMS über Twilio', 'SMS through Twilio'], vonage: ['SMS über Vonage', 'SMS through Vonage'],
  smpp: ['SMS direkt beim Netzbetreiber oder Aggregator', 'SMS straight at an operator or aggregator'],
  rcs: ['SMS mit Bildern und Schaltflächen, über Google', 'SMS with pictures and buttons, through Google'],
  slack: ['Direktnachrichten in Slack-Arbeitsbereichen', 'Direct messages in Slack workspaces'],
  teams: ['Eine App im persönlichen Chat von Microsoft Teams', 'An app in the personal chat of Microsoft Teams'],
  discord: ['Ein Bot, der Direktnachrichten beantwortet', 'A bot that answers direct messages'],
  matrix: ['Ein Konto oder Dienst auf einem Matrix-Server', 'An account or service on a Matrix server'],
  xmpp: ['Ein Konto oder eine Komponente auf einem XMPP-Server', 'An account or component on an XMPP server'],
  webchat: ['Das Fenster auf Ihrer Website', 'The window on your website'], portal: ['Das Kundenportal', 'The customer portal'],
  webhook: ['Ein Anbieter, den es hier nicht gibt: per Beschreibung verbinden und vorher ausprobieren', 'A provider that is not here: connect it by a description and try it out first'],
}

export const aboutKind = (kind: string, lang: Language) => about[kind]?.[lang === 'de' ? 0 : 1] ?? ''

const fold = (s: string) => s.normalize('NFD').replace(/\p{M}/gu, '').toLocaleLowerCase()

/** grouped sorts the kinds that fit the words into groups; empty groups are left out. */
export function grouped(list: ChannelKind[], words: string, lang: Language): { group: Group; kinds: ChannelKind[] }[] {
  const w = fold(words).split(/\s+/).filter(Boolean)
  const fits = list.filter((k) => { const all = fold(`${k.kind} ${k.title.de} ${k.title.en} ${(about[k.kind] ?? []).join(' ')}`); return w.every((x) => all.includes(x)) })
  return order.map((group) => ({ group, kinds: fits.filter((k) => (groups[k.kind] ?? 'messenger') === group).sort((a, b) => a.title[lang].localeCompare(b.title[lang])) })).filter((g) => g.kinds.length)
}

/** long: settings whose values have several lines (keys, certificates, service accounts, descriptions). */
export const long = (key: string) => /(^|_)(private_key|service_account|jwks|tls_ca|dkim_key|ca|certificate|pem|receive|send)$/.test(key)
