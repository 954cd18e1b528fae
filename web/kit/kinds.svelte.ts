// What kinds of channels there are. Drawn from the server; the names stand here too, because not every role may ask.
import { get, type Capabilities, type ChannelKind, type Page } from './api'
import { i18n } from './i18n.svelte'

const names: Record<string, string | [string, string]> = {
  email: ['E-Mail', 'E-mail'], webchat: ['Web-Chat', 'Web chat'], portal: ['Portal', 'Portal'], telegram: 'Telegram', whatsapp: 'WhatsApp',
  messenger: 'Messenger', instagram: 'Instagram', viber: 'Viber', line: 'LINE', twilio: 'SMS', vonage: 'SMS', smpp: 'SMS', sms: 'SMS', rcs: 'RCS',
  slack: 'Slack', teams: 'Teams', discord: 'Discord', signal: 'Signal', matrix: 'Matrix', xmpp: 'XMPP', voice: ['Telefon', 'Phone'],
  'twilio-voice': ['Telefon', 'Phone'], phone: ['Telefon', 'Phone'], letter: ['Brief', 'Letter'], fax: 'Fax', visit: ['Besuch', 'Visit'], video: ['Video', 'Video'],
  form: ['Formular', 'Form'], review: ['Rezension', 'Review'], webhook: 'Webhook',
}

class Kinds {
  list = $state.raw<ChannelKind[]>([])

  async load() {
    try { this.list = (await get<Page<ChannelKind>>('/api/v1/channel-kinds')).items } catch { /* the names above are enough to read by */ }
  }

  of(kind: string): ChannelKind | undefined { return this.list.find((k) => k.kind === kind) }

  title(kind: string): string {
    const known = this.of(kind)
    if (known) return known.title[i18n.lang]
    const n = names[kind]
    return typeof n === 'string' ? n : n ? n[i18n.lang === 'de' ? 0 : 1] : kind
  }

  can(kind: string): Partial<Capabilities> {
    return this.of(kind)?.capabilities ?? (kind === 'email' ? { subject: true, copies: true, html: true, attachments: true, quote: true, write_first: true } : { attachments: true, quote: true })
  }
}

export const kinds = new Kinds()
