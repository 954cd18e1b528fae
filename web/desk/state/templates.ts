// Approved templates, as pure rules: what the customer will read, which are offered, in which order.
import type { Template } from '../../kit/api'

const fold = (s: string) => s.normalize('NFD').replace(/\p{M}/gu, '').toLocaleLowerCase()

/** fill puts values into the places; an empty one stays visible as {{n}}. It is what the server will store, too. */
export function fill(x: Template, params: string[]): string {
  const put = (s: string) => s.replace(/\{\{\s*(\d+)\s*\}\}/g, (all, n: string) => params[Number(n) - 1]?.trim().replace(/\s+/g, ' ') || all)
  return [x.header, put(x.body), x.footer].filter(Boolean).join('\n\n')
}

/** usable: the provider has approved it and it can be sent from here. */
export const usable = (x: Template) => x.status === 'approved' && !x.unfit

/** propose is what stands in the places at first: the customer's name in the first. */
export function propose(x: Template, name: string): string[] {
  const first = /^[+@]|\d{5}/.test(name) ? '' : name   // a number is no name
  return Array.from({ length: x.params }, (_, i) => (i === 0 ? first : ''))
}

/** around is the text around a place, to know what belongs into it. */
export function around(x: Template, n: number): string {
  const m = new RegExp(`\\{\\{\\s*${n}\\s*\\}\\}`).exec(x.body)
  if (!m) return ''
  const before = x.body.slice(Math.max(0, m.index - 24), m.index), after = x.body.slice(m.index + m[0].length, m.index + m[0].length + 24)
  return `${m.index > 24 ? '…' : ''}${before}▢${after}${m.index + m[0].length + 24 < x.body.length ? '…' : ''}`.replace(/\{\{?[^{}]*(?:\}\}?|…)|[^{}]*\}\}/g, '…').replace(/…{2,}/g, '…').replace(/\s+/g, ' ')
}

/** find lists what has every word, usable ones first, those in the customer's language before the others. */
export function find(list: Template[], words: string, language: string): Template[] {
  const w = fold(words).split(/\s+/).filter(Boolean)
  const lang = (x: Template) => (language && x.language.slice(0, 2).toLowerCase() === language.slice(0, 2).toLowerCase() ? 0 : 1)
  return list.filter((x) => { const all = fold(`${x.name.replace(/_/g, ' ')} ${x.name} ${x.header ?? ''} ${x.body} ${x.category}`); return w.every((y) => all.includes(y)) })
    .sort((a, b) => Number(!usable(a)) - Number(!usable(b)) || lang(a) - lang(b) || a.name.localeCompare(b.name) || a.language.localeCompare(b.language))
}

/** titled makes a provider's name readable: "abhol_termin" → "abhol termin". */
export const titled = (name: string) => name.replace(/_+/g, ' ').trim() || name

/** closing says how long free words are still possible, where it is worth saying (ms left; 0 = not soon). */
export function closing(at: string | null | undefined, now: number, soon = 6 * 3_600_000): number {
  const left = at ? Date.parse(at) - now : 0
  return left > 0 && left <= soon ? left : 0
}
