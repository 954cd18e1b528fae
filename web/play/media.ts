// How the media look on a phone: restrained, one accent each, nobody's logo. What a medium can carry is the server's
// business (kinds.can); here is only its manner.

/** How messages lie: bubbles of a messenger, plain bubbles of SMS, or rows of a work chat. */
export type Form = 'bubbles' | 'sms' | 'rows'
/** How choices lie under a message: as lines of its bubble, as keys below it, as round quick replies, as buttons of a card. */
export type Choosing = 'lines' | 'keys' | 'quick' | 'card'
export type Group = 'messenger' | 'sms' | 'work' | 'mail'

export interface Manner { group: Group; form: Form; choosing: Choosing; hue: number; grey?: boolean; ticks: boolean; react: boolean }

const m = (group: Group, form: Form, choosing: Choosing, hue: number, ticks = true, react = true, grey = false): Manner => ({ group, form, choosing, hue, ticks, react, grey })

const manners: Record<string, Manner> = {
  telegram: m('messenger', 'bubbles', 'keys', 235), whatsapp: m('messenger', 'bubbles', 'lines', 155), messenger: m('messenger', 'bubbles', 'quick', 262),
  instagram: m('messenger', 'bubbles', 'quick', 350), viber: m('messenger', 'bubbles', 'keys', 295, true, false), line: m('messenger', 'bubbles', 'quick', 140, true, false),
  signal: m('messenger', 'bubbles', 'keys', 255), rcs: m('sms', 'bubbles', 'quick', 215, true, false),
  twilio: m('sms', 'sms', 'keys', 80, false, false, true), vonage: m('sms', 'sms', 'keys', 80, false, false, true), smpp: m('sms', 'sms', 'keys', 80, false, false, true),
  slack: m('work', 'rows', 'card', 325, false), teams: m('work', 'rows', 'card', 280, false), discord: m('work', 'rows', 'card', 270, false),
  matrix: m('work', 'rows', 'card', 175, false), xmpp: m('work', 'rows', 'card', 45, false), webhook: m('work', 'rows', 'card', 200, false, true),
  email: m('mail', 'bubbles', 'lines', 190, false, false), webchat: m('mail', 'bubbles', 'keys', 190, true, false), portal: m('mail', 'bubbles', 'keys', 190, true, false),
}

export const mannerOf = (kind: string): Manner => manners[kind] ?? m('messenger', 'bubbles', 'keys', 190)
export const groups: Group[] = ['messenger', 'sms', 'work', 'mail']
/** What people react with; the medium decides whether it takes it. */
export const reactions = ['👍', '❤️', '😄', '😮', '🙏']
