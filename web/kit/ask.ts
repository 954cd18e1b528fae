// Questions and dialogs as the API carries them (internal/ask, internal/dialog), and what they are called in words.
import type { Assurance } from './api'

export type AskKind = 'yes_no' | 'one_of' | 'many_of' | 'number' | 'date' | 'date_time' | 'slot' | 'text' | 'rating' | 'email' | 'phone' | 'address' | 'file' | 'signature' | 'consent' | 'payment'

/** In the order in which the desk offers them. */
export const askKinds: AskKind[] = ['yes_no', 'one_of', 'many_of', 'slot', 'date', 'date_time', 'number', 'text', 'rating', 'file', 'email', 'phone', 'address', 'signature', 'consent', 'payment']

/** Words is a text in one language: a plain string, or one that a machine translated and nobody has checked. */
export type Words = string | { text: string; machine?: boolean }
/** BCP 47 tag → text. "de-simple" is Leichte Sprache. */
export type Texts = Record<string, Words>

export interface AskOption { key: string; label: Texts; short?: Texts; description?: Texts; synonyms?: Record<string, string[]>; start?: string; end?: string }

export interface Ask {
  kind: AskKind
  name?: string
  text: Texts
  short?: Texts
  hint?: Texts
  retry?: Texts
  options?: AskOption[]
  yes?: Texts
  no?: Texts
  least?: number
  most?: number
  min?: number
  max?: number
  decimals?: number
  unit?: string
  from?: string
  until?: string
  zone?: string
  calendar?: string
  days?: number
  max_length?: number
  pattern?: string
  scale?: 'verdict' | '0-10'
  verify?: boolean
  accept?: string[]
  purpose?: string
  url?: string
  cents?: number
  currency?: string
  optional?: boolean
  assurance?: Assurance | ''
  expires?: string
  remind?: string
  default?: Value
  correct?: string
}

/** Value is an answer; which fields are set depends on the kind. */
export interface Value {
  yes?: boolean
  key?: string
  keys?: string[]
  number?: string
  unit?: string
  date?: string
  at?: string
  until?: string
  text?: string
  email?: string
  phone?: string
  verified?: boolean
  address?: { name?: string; street: string; extra?: string; postal_code: string; city: string; country?: string }
  files?: string[]
  signed?: string
  skipped?: boolean
  defaulted?: boolean
}

export type AskState = 'open' | 'answered' | 'expired' | 'withdrawn' | 'handed'

/** Question is an ask that was put to somebody. */
export interface Question {
  id: string
  conversation_id: string
  customer_id: string
  message_id: string
  dialog: { instance_id: string; step: string; title?: Texts } | null
  ask: Ask
  question: string
  short: string
  options: { key: string; label: string }[]
  state: AskState
  value: Value | null
  value_text: string
  answered_at: string | null
  answered_via: string
  answered_by: { kind: 'customer' | 'staff' | 'default'; id?: string; name?: string } | null
  tries: number
  expires_at: string | null
  remind_at: string | null
  correctable_until: string | null
  created_by: { id: string; name: string } | null
  created_at: string
  /** Only of a single question, and only for those who may write. */
  page_url?: string
}

export interface AskTemplate { key: string; title: Texts; ask: Ask }
export interface Calendar { key: string; name: string; zone: string; free: number; next: string }

export type Way = 'native' | 'buttons' | 'list' | 'links' | 'numbered' | 'free' | 'page' | 'keypad' | 'boxes' | 'nothing'
export interface RenderProblem { code: string; option?: string; detail: string }
/** Rendered is what a medium shows of a question. */
export interface Rendered {
  channel: string
  title?: string
  way: Way
  subject: string
  text: string
  html: string
  choices: { label: string; description?: string; person?: boolean }[] | null
  menu: string
  keys: { digit: string; label: string }[] | null
  boxes: { label: string; person?: boolean }[] | null
  speech: string
  problems: RenderProblem[] | null
}

// Dialogs

export interface Step {
  id: string
  say?: Texts
  next?: string
  ask?: Ask
  save?: string
  expired?: string
  unclear?: string
  /** When the medium lets nobody write freely any more: "elsewhere" or "template:NAME". */
  late?: string
  branch?: { if?: string; to: string }[]
  set?: Record<string, string>
  call?: { url: string; method?: string; headers?: Record<string, string>; body?: Record<string, string>; timeout?: string; tries?: number }
  failed?: string
  wait?: { for?: string; until?: string; open?: boolean; most?: string }
  wrote?: string
  hand?: { staff?: string; unit?: string; note?: Texts; tag?: string }
  run?: string
  with?: Record<string, string>
  out?: Record<string, string>
  end?: { outcome?: string; close?: boolean }
}

export interface Variable { name: string; type: string; title?: Texts; default?: unknown }

export interface Program {
  dialog: string
  title: Texts
  languages: string[]
  channels?: string[]
  inputs?: Variable[]
  outputs?: string[]
  start?: string[]
  steps: Step[]
}

export interface Finding { rule: string; message: string; remedy?: string; dialog?: string; step?: string; line?: number; column?: number; kind?: string; language?: string; story?: string[] | null }

export interface DialogRow {
  key: string
  title: Texts
  enabled: boolean
  ready: boolean
  /** The newest; 0: a ready one that nobody changed. */
  version: number
  /** The version by which it is started; 0: the ready one, or none. */
  live?: number
  versions: number
  languages: string[]
  running: number
  ended: Record<string, number> | null
  updated_at: string | null
  updated_by: { id: string; name: string } | null
  findings: number
}
export type Layout = Record<string, { x: number; y: number }>
export interface DialogFull extends DialogRow { source: string; program: Program | null; found: Finding[] | null; layout: Layout | null }
export interface DialogVersion { version: number; at: string; by: { id: string; name: string } | null; live: boolean; findings: number }

export interface Instance {
  id: string
  dialog: { key: string; title: Texts | string; version: number }
  status: 'asking' | 'waiting' | 'calling' | 'handed' | 'ended' | 'stopped'
  step: string
  variables: Record<string, unknown>
  started_at: string
  updated_at: string
  wake_at: string | null
  outcome: string
}

export type Turn = { text: string } | { choice: number } | { person: true } | { wait: true }
export interface Tried {
  channels: { channel: string; title: string; turns: { from: 'machine' | 'customer' | 'event'; rendered: Rendered | null; text: string }[] }[]
  status: 'asking' | 'waiting' | 'calling' | 'handed' | 'ended'
  step: string
  variables: Record<string, unknown>
  findings: Finding[] | null
}

/** isYesNo reports whether a question is answered with yes or no. */
export const isYesNo = (kind: AskKind) => kind === 'yes_no' || kind === 'consent'

/** choicesOf lists what there is to choose from; yes and no have labels of their own, or the usual ones. */
export function choicesOf(q: Pick<Question, 'ask' | 'options'>, language: string, usual: { yes: string; no: string }): { key: string; label: string }[] {
  if (q.options.length || !isYesNo(q.ask.kind)) return q.options
  return [{ key: 'yes', label: textIn(q.ask.yes, language) || usual.yes }, { key: 'no', label: textIn(q.ask.no, language) || usual.no }]
}

/** plain is the text itself. */
export const plain = (w: Words | undefined): string => (w === undefined ? '' : typeof w === 'string' ? w : w.text)

/** textIn takes the language that fits best, as the server does: the tag, its shorter forms, German, English, the first. */
export function textIn(t: Texts | string | undefined | null, language: string): string {
  if (!t) return ''
  if (typeof t === 'string') return t
  for (let tag = language; tag; tag = tag.includes('-') ? tag.slice(0, tag.lastIndexOf('-')) : '') if (t[tag] !== undefined) return plain(t[tag])
  return plain(t.de ?? t.en ?? t[Object.keys(t).sort()[0] ?? ''])
}
