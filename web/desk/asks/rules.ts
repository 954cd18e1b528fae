// Rules of the form that makes a question: what a kind begins with, how long a label may be, what is sent. Pure.
import type { Capabilities } from '../../kit/api'
import { plain, type Ask, type AskKind, type AskOption, type Texts } from '../../kit/ask'

/** The keys by which kinds are picked; templates have 1 to 9, the dialogs 0. */
export const letters = 'abcdefghijklmnopqrstuvwxyz'

/** fresh is an empty question of a kind. */
export function fresh(kind: AskKind, language: string): Ask {
  const a: Ask = { kind, text: { [language]: '' } }
  if (kind === 'one_of' || kind === 'many_of') a.options = [{ key: '', label: { [language]: '' } }, { key: '', label: { [language]: '' } }]
  if (kind === 'slot') a.days = 14
  if (kind === 'date' || kind === 'date_time') a.from = 'today'
  if (kind === 'rating') a.scale = 'verdict'
  if (kind === 'file') { a.accept = ['image/*']; a.most = 5 }
  if (kind === 'payment') a.currency = 'EUR'
  return a
}

/** limit is the longest label that a channel shows for so many options; 0 = any. */
export function limit(can: Partial<Capabilities>, options: number): { max: number; form: 'buttons' | 'list' | '' } {
  if (can.buttons && options <= can.buttons) return { max: can.button_title_max ?? 0, form: 'buttons' }
  if (can.list_rows && options <= can.list_rows) return { max: can.list_title_max ?? 0, form: 'list' }
  return { max: 0, form: '' }
}

/** length counts as channels do: in code points. */
export const length = (s: string) => [...s.trim()].length

/** ascii keeps the letters and digits that keys are made of; what lies between them becomes one sign. */
export const ascii = (s: string, sign: string) => s.normalize('NFKD').replace(/ß/g, 'ss').replace(/\p{M}/gu, '').toLowerCase().replace(/[^a-z0-9]+/g, sign)
const slug = (s: string) => ascii(s, '_').replace(/^_+|_+$/g, '').slice(0, 36)

/** decimal reads a number typed with a comma or a point; undefined = none. */
export const decimal = (s: string) => (s.trim() === '' || Number.isNaN(Number(s.replace(',', '.'))) ? undefined : Number(s.replace(',', '.')))

/** keyed gives every option a key of its own, made of its label; those that have one keep it. */
export function keyed(options: AskOption[], language: string): AskOption[] {
  const used = new Set(options.map((o) => o.key).filter(Boolean))
  return options.map((o, i) => {
    if (o.key) return o
    const base = slug(plain(o.label[language])) || `o${i + 1}`
    let key = base
    for (let n = 2; used.has(key); n++) key = `${base}_${n}`
    used.add(key)
    return { ...o, key }
  })
}

const only = (t: Texts | undefined, language: string): Texts | undefined => {
  const s = t && (t[language] ?? t[language.split('-')[0]!])
  return s !== undefined && plain(s).trim() ? { [language]: typeof s === 'string' ? s.trim() : s } : undefined
}

/** trimmed is what goes to the server: the texts of one language (one customer reads it), nothing empty. */
export function trimmed(a: Ask, language: string): Ask {
  const out: Record<string, unknown> = {}
  for (const [k, v] of Object.entries(a)) if (v !== undefined && v !== '' && v !== null && !(Array.isArray(v) && !v.length)) out[k] = v
  for (const k of ['short', 'hint', 'retry', 'yes', 'no'] as const) { const t = only(a[k], language); if (t) out[k] = t; else delete out[k] }
  out.text = only(a.text, language) ?? { [language]: '' }
  if (a.options) {
    const rows = a.options.filter((o) => plain(o.label[language]).trim() || o.key)
    out.options = keyed(rows, language).map((o) => ({ ...o, label: only(o.label, language) ?? { [language]: '' }, short: only(o.short, language), description: only(o.description, language), synonyms: o.synonyms?.[language] ? { [language]: o.synonyms[language] } : undefined }))
  }
  return JSON.parse(JSON.stringify(out)) as Ask
}

/** move puts an option one place up or down; it stays where it is at the ends. */
export function move<T>(list: T[], i: number, d: 1 | -1): T[] {
  const j = i + d
  if (j < 0 || j >= list.length) return list
  const out = [...list]
  ;[out[i], out[j]] = [out[j]!, out[i]!]
  return out
}

/** place finds the field that an error of the server is about: "body.ask.options[0].label" → "options.0.label". */
export function place(location: string): string {
  return location.replace(/^body\./, '').replace(/^ask\./, '').replace(/\[(\d+)\]/g, '.$1').replace(/\.(de|en|de-simple)$/, '')
}

/** sensible says what is missing before anything is sent; "" = nothing. The server has the last word. */
export function missing(a: Ask, language: string): string {
  if (!plain(a.text[language]).trim()) return 'text'
  if ((a.kind === 'one_of' || a.kind === 'many_of') && (a.options ?? []).filter((o) => plain(o.label[language]).trim()).length < 2) return 'options'
  if (a.kind === 'slot' && !a.calendar) return 'calendar'
  if (a.kind === 'consent' && !a.purpose?.trim()) return 'purpose'
  if (a.kind === 'payment' && !/^https:\/\//.test(a.url ?? '')) return 'url'
  if (a.kind === 'number' && a.min !== undefined && a.max !== undefined && a.min > a.max) return 'max'
  return ''
}

/** paragraphs are the words of an HTML mail without its links, for showing what it says beside the buttons it has. */
export function paragraphs(html: string): string[] {
  const doc = new DOMParser().parseFromString(html, 'text/html')
  doc.querySelectorAll('style, script, title, head, a, [hidden]').forEach((x) => x.remove())
  const blocks = 'p, div, td, li, h1, h2, h3, h4, section, article, table, ul, ol, tr'
  const out: string[] = []
  for (const el of doc.body.querySelectorAll<HTMLElement>(blocks)) {
    if (el.querySelector(blocks)) continue
    const s = (el.textContent ?? '').replace(/\s+/g, ' ').trim()
    if (s && !/^[·|,\s]*$/.test(s)) out.push(s)
  }
  if (!out.length && doc.body.textContent?.trim()) out.push(doc.body.textContent.trim())
  return out
}
