import type { Category, ParticipantRole } from '../kit/api'
import type { Dict } from '../kit/i18n/de'

export const roles: ParticipantRole[] = ['insurer', 'expert', 'workshop', 'lawyer', 'other']

/** roleName is the word for what a third party is. */
export const roleName = (t: Dict, role: ParticipantRole): string => ({ insurer: t.roleInsurer, expert: t.roleExpert, workshop: t.roleWorkshop, lawyer: t.roleLawyer, other: t.roleOther })[role] ?? t.roleOther

/** categoryName is the word for what is no customer. */
export const categoryName = (t: Dict, c: Category | string): string => (({ spam: t.catSpam, newsletter: t.catNewsletter, notice: t.catNotice, blocked: t.catBlocked }) as Record<string, string>)[c] ?? ''

/** suggestionReason is why two conversations may be about the same; a code that is not known is not shown as one. */
export const suggestionReason = (t: Dict, code: string): string => (({ token_other_sender: t.whyToken, thread_other_sender: t.whyThread, closed_long_ago: t.whyClosed, number: t.whyNumber }) as Record<string, string>)[code] ?? (code.includes(' ') ? code : t.whyOther)
