// How times are said: relative up to a day, then absolute; the exact time is one hover or focus away.
import type { Language } from './api'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

const formats = new Map<string, Intl.DateTimeFormat>()
function format(lang: Language, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = lang + JSON.stringify(options)
  let f = formats.get(key)
  if (!f) formats.set(key, (f = new Intl.DateTimeFormat(lang === 'de' ? 'de-DE' : 'en-GB', options)))
  return f
}

/** dayKey is the local calendar day, for grouping. */
export function dayKey(at: string | Date): string {
  const d = new Date(at)
  return `${d.getFullYear()}-${d.getMonth() + 1}-${d.getDate()}`
}

/** relative says how long ago (or in how long) something is: "2 Min.", "1 Std.", "gestern", "3. Nov.". */
export function relative(at: string, now: number, lang: Language): string {
  const t = Date.parse(at)
  if (Number.isNaN(t)) return ''
  const ago = now - t
  const de = lang === 'de'
  if (ago < 0 && ago > -day) {
    if (ago > -minute) return de ? 'jetzt' : 'now'   // a clock that goes a little ahead
    if (ago > -hour) return de ? `in ${Math.round(-ago / minute)} Min.` : `in ${Math.round(-ago / minute)} min`
    return de ? `in ${Math.round(-ago / hour)} Std.` : `in ${Math.round(-ago / hour)} h`
  }
  if (ago >= 0 && ago < minute) return de ? 'jetzt' : 'now'
  if (ago >= 0 && ago < hour) return de ? `${Math.floor(ago / minute)} Min.` : `${Math.floor(ago / minute)} min`
  if (ago >= 0 && ago < day) return de ? `${Math.floor(ago / hour)} Std.` : `${Math.floor(ago / hour)} h`
  if (dayKey(new Date(now - day)) === dayKey(at)) return de ? 'gestern' : 'yesterday'
  const sameYear = new Date(t).getFullYear() === new Date(now).getFullYear()
  return format(lang, { day: 'numeric', month: 'short', year: sameYear ? undefined : 'numeric' }).format(t)
}

/** ago is relative inside a sentence: "vor 2 Min.", "gerade eben", "gestern". */
export function ago(at: string, now: number, lang: Language): string {
  const r = relative(at, now, lang)
  const past = now - Date.parse(at)
  if (past < 0 || past >= day) return r
  if (past < minute) return lang === 'de' ? 'gerade eben' : 'just now'
  return lang === 'de' ? `vor ${r}` : `${r} ago`
}

/** exact is the whole truth: "Dienstag, 1. Dezember 2026, 09:43:12". */
export function exact(at: string, lang: Language): string {
  const t = Date.parse(at)
  if (Number.isNaN(t)) return ''
  return format(lang, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(t)
}

/** clock is the time of day: "09:43". */
export function clock(at: string, lang: Language): string {
  return format(lang, { hour: '2-digit', minute: '2-digit' }).format(new Date(at))
}

/** dayName is the line between days: "Heute, Dienstag, 1. Dezember". */
export function dayName(at: string, now: number, lang: Language): string {
  const de = lang === 'de'
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear()
  const name = format(lang, { weekday: 'long', day: 'numeric', month: 'long', year: sameYear ? undefined : 'numeric' }).format(new Date(at))
  if (dayKey(at) === dayKey(new Date(now))) return `${de ? 'Heute' : 'Today'}, ${name}`
  if (dayKey(at) === dayKey(new Date(now - day))) return `${de ? 'Gestern' : 'Yesterday'}, ${name}`
  return name
}

/** shortly is a moment near today, in a sentence: "09:43", "morgen, 09:43", "3. Nov., 09:43". */
export function shortly(at: string, now: number, lang: Language): string {
  const key = dayKey(at)
  const time = clock(at, lang)
  if (key === dayKey(new Date(now))) return time
  if (key === dayKey(new Date(now + day))) return `${lang === 'de' ? 'morgen' : 'tomorrow'}, ${time}`
  return `${format(lang, { day: 'numeric', month: 'short' }).format(new Date(at))}, ${time}`
}

export interface SnoozeChoice { key: 'hour' | 'evening' | 'tomorrow' | 'monday'; at: Date }

/** snoozeChoices are the usual moments to look at a conversation again, in local time. */
export function snoozeChoices(now: Date): SnoozeChoice[] {
  const at = (days: number, hours: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hours)
  const choices: SnoozeChoice[] = [{ key: 'hour', at: new Date(now.getTime() + hour) }]
  if (now.getHours() < 15) choices.push({ key: 'evening', at: at(0, 16) })
  choices.push({ key: 'tomorrow', at: at(1, 8) })
  const toMonday = ((8 - now.getDay()) % 7) || 7
  if (toMonday > 1) choices.push({ key: 'monday', at: at(toMonday, 8) })
  return choices
}

/** local is a moment as <input type="datetime-local"> wants it. */
export const local = (d: Date) => new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)

/** size is a file's size for people: "212 KB". */
export function size(bytes: number, lang: Language): string {
  const n = (x: number) => x.toLocaleString(lang === 'de' ? 'de-DE' : 'en-GB', { maximumFractionDigits: x < 10 ? 1 : 0 })
  if (bytes < 1000) return `${bytes} B`
  if (bytes < 1e6) return `${n(bytes / 1e3)} KB`
  if (bytes < 1e9) return `${n(bytes / 1e6)} MB`
  return `${n(bytes / 1e9)} GB`
}
