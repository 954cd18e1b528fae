// What a failed request is to a person: what happened, what was kept, what to do.
import { Problem } from '../../kit/api'
import { i18n } from '../../kit/i18n.svelte'
import { toasts } from '../../kit/toasts.svelte'

export function sentence(e: unknown): string {
  const t = i18n.t
  if (!(e instanceof Problem)) { console.error(e); return t.errUnknown }
  if (e.status === 0) return t.errUnreachable
  if (e.status === 403) return e.detail || t.errForbidden
  if (e.status === 429 && e.retryAfter) return t.tooManyAttempts(e.retryAfter)
  const said = [e.detail, e.remedy].filter(Boolean).join(' ')
  if (said) return said
  return e.status === 404 ? t.errNotFound : t.errUnknown
}

export function complain(e: unknown) {
  if (e instanceof Problem && e.status === 401) return   // the sign-in page says it
  toasts.bad(sentence(e))
}

export const isGone = (e: unknown) => e instanceof Problem && (e.status === 404 || e.status === 410)
