// The API as the fronts see it: types mirrored from the OpenAPI document, and one function that speaks to it.

import type { AskState, Question, Texts } from './ask'

export type Role = 'owner' | 'manager' | 'advisor' | 'partner'
export type Language = 'de' | 'en'
export type Assurance = 'claimed' | 'observed' | 'verified'
export type Status = 'open' | 'snoozed' | 'closed'
export type Author = 'customer' | 'staff' | 'machine' | 'participant'
export type DeliveryState = 'queued' | 'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'uncertain'

export interface Ref { id: string; name: string }
export interface Page<T> { items: T[]; next_cursor: string }

export interface Session {
  user: { id: string; name: string; email: string; role: Role; language: Language; signature?: string; signature_effective?: string; unit_id?: string | null }
  org: Ref
  totp_enabled: boolean
  public_url: string
}

export interface ConversationRow {
  id: string
  subject: string
  status: Status
  customer: Ref
  assignee: Ref | null
  channel_kind: string
  last_message_at: string
  last_message: { direction: 'in' | 'out'; author: Author; text: string } | null
  waiting_since: string | null
  unread: number
  snoozed_until: string | null
  tags: string[]
  failed: boolean
  category?: Category
  unit?: Ref | null
  suggestion?: Suggestion | null
  /** Its messages stand in that conversation now. */
  joined_into?: string
  participants?: number
  /** Questions that wait for this customer's answer here. */
  open_asks?: number
  /** The dialog that runs here. */
  dialog?: { instance_id: string; key: string; title: Texts; status: string; step: string } | null
  /** Where a search found something; only in answers to q=. */
  hits?: Hit[]
}

/** Category says that nobody who needs an answer wrote this. */
export type Category = '' | 'spam' | 'newsletter' | 'notice' | 'blocked'

/** Hit is one place where a search found something; marks are in UTF-16 units of the snippet. */
export interface Hit { message_id: string; field: 'text' | 'subject' | 'attachment' | 'name' | 'address'; snippet: string; marks: [number, number][] }

export interface Suggestion { kind: 'same_matter' | 'follows'; conversation_id: string; subject?: string; reason: string; number?: string }

/** Participant is a third party in a conversation: sees only what is addressed to them. */
export type ParticipantRole = 'insurer' | 'expert' | 'workshop' | 'lawyer' | 'other'
export interface Participant { id: string; name: string; role: ParticipantRole; address: { kind: string; value: string }; added_by: string; added_at: string; messages: number; /** Gets nothing more since then. */ removed_at?: string | null }

/** Preview says who will see what, before it is sent. */
export interface Preview {
  recipients: { address: string; name: string; role: 'customer' | 'participant' | 'new'; field: 'to' | 'cc' | 'bcc' }[]
  quotes: string[]
  attachments?: { id: string; name: string; size: number }[]
  /** What will stand below it. */
  signature?: string
  warnings: string[]
}

export interface TextBlock { id: string; name: string; shortcut: string; text: string; unit_id: string | null; personal: boolean; updated_at: string }
export interface Both { de: string; en: string }
export interface Hours { zone?: string; always?: boolean; week?: { days: number[]; from: string; to: string }[]; closed?: { date: string; name?: string }[] }
export interface OpenState { known: boolean; open: boolean; text: string }
export interface ContactWay {
  id: string; kind: string; own: boolean; name: Both; usual: Both; label: Both; note: Both; ref: string; url: string; section: string; hours: Hours | null; hidden: boolean
  medium: string; link: string; words: string[]; answer_seconds: number; state: OpenState; trouble: boolean
}
export interface ContactHours { hours: Hours; set: boolean; state: OpenState; page: string; embed: string }
export interface ContactUse { views: number; ways: { id: string; name: Both; offered: number; opened: number }[] }
export interface Unit { id: string; name: string; signature: string }
export interface ViewQuery { status?: string; assignee?: string; tag?: string; channel_kind?: string; waiting?: boolean; q?: string; unit_id?: string; category?: string; failed?: boolean }
export interface SavedView { id: string; name: string; shared: boolean; query: ViewQuery; pos: number; mine?: boolean }
export interface SenderRule { id: string; address: { kind: string; value: string }; rule: Exclude<Category, ''>; by: string; at: string }
export interface TagCount { name: string; count: number }

/** Change is what a bulk change does to one conversation, or how it is taken back. */
export interface Change { status?: Status; assignee_id?: string | null; snoozed_until?: string | null; tags_add?: string[]; tags_remove?: string[] }
export interface BulkResult { changed: { id: string; undo: Change }[]; failed: { id: string; error: string }[] }

export interface SearchResult { conversations: ConversationRow[]; customers: { id: string; name: string; hits: Hit[] }[] }

export type PresenceState = 'viewing' | 'writing' | 'left'

export interface ReplyOption {
  channel_id: string
  channel_kind: string
  channel_name: string
  address_id: string
  address: string
  assurance: Assurance
  can_send: boolean
  why_not: string
  window_closes_at?: string | null
  /** Only an approved template may be sent now. */
  needs_template?: boolean
}

/** Template is a text that the provider has approved, or not yet. */
export interface Template {
  name: string
  language: string
  category: string
  status: 'approved' | 'pending' | 'rejected' | 'paused'
  why?: string
  header?: string
  body: string
  footer?: string
  buttons?: string[]
  params: number
  /** Why it cannot be sent from here though it is approved. */
  unfit?: string
}
export interface Templates { items: Template[]; asked_at: string | null }
export interface TemplateUse { name: string; language: string; params: string[] }

/** Handover is the offer to go on elsewhere; carries says what the link brings along by itself. */
export interface HandoverWay { channel_id: string; kind: string; name: string; link: string; carries: '' | 'text' | 'token' }
export interface Handover { code: string; text: string; page: string; ways: HandoverWay[]; expires_at: string }

/** Trial is what becomes of a sample request by a description that is not saved. */
export interface Sample { name?: string; method?: string; query?: string; headers?: Record<string, string> | null; body?: string }
export interface OwnExample { key: string; title: Text; about: Text; api_url: string; receive: string; send: string; samples: Sample[] | null }
export interface Trial { events: Record<string, unknown>[]; error: string; unauthentic: string; fields: { item: number; key: string; expression: string; value: string; error: string }[]; reply: { status: number; type: string; body: string } }
export interface Renderings { items: { method: string; url: string; headers: Record<string, string>; body: string }[]; error: string }

export interface Conversation extends ConversationRow {
  reply: {
    channel_id: string
    channel_kind: string
    channel_name: string
    address_id: string
    address: string
    reason: { code: 'last_used' | 'first_address' | 'only_address'; text: string }
    window_closes_at: string | null
    can_send?: boolean
    needs_template?: boolean
  } | null
  reply_options: ReplyOption[]
  also_open: { id: string; subject: string }[]
}

export interface Counts { mine: number; unassigned: number; waiting: number; open: number; work_items: number; uncertain: number; mentions?: number }

export interface Mailbox { name: string; address: string }

export interface Attachment {
  id: string
  name: string
  media_type: string
  size: number
  url: string
  state?: 'stored' | 'pending' | 'failed' | 'quarantined'
  inline?: boolean
}

export interface Delivery {
  id: string
  state: DeliveryState
  error: string
  reason: string
  handled?: boolean   // somebody has dealt with the failure
  at: string
  undo_until: string | null
  message_id?: string
  conversation_id?: string
}

export interface Message {
  id: string
  conversation_id: string
  kind: 'message' | 'note' | 'event'
  direction: 'in' | 'out'
  author: Author
  author_name: string
  channel: { id: string; kind: string; name: string } | null
  address: string
  assurance: Assurance
  subject: string
  from: Mailbox[]
  to: Mailbox[]
  cc: Mailbox[]
  bcc: Mailbox[]
  text: string
  has_html: boolean
  html: string
  remote_images: number
  attachments: Attachment[]
  external_id: string
  reply_to: string
  quote: { id: string; author_name: string; text: string } | null
  sent_at: string
  edited_at: string | null
  deleted: boolean
  reactions: { emoji: string; by: string }[]
  unsupported: string
  client_id: string
  delivery: Delivery | null
  event?: { type: string; by: string; to: string }
  /** Who may see it. Without it: the customer, as far as it is no note. */
  audience?: { customer: boolean; participants: string[] }
  participant_id?: string
  mentions?: string[]
  /** From here on (UTF-16 units of text) earlier mails are quoted. */
  quoted_from?: number | null
  authentication?: { result: 'pass' | 'fail' | 'none' | 'temperror'; spf: string; dkim: string; dmarc: string; domain: string } | null
  /** The question that it put. */
  ask?: Question | null
  /** The question that it answered. */
  answers?: Question | null
  /** What there was to press, as the customer saw it. */
  choices?: { label: string }[] | null
  /** Set by the desk only: still in the local outbox. */
  local?: 'waiting' | 'refused'
}

export interface Outgoing {
  text: string
  subject?: string
  cc?: Mailbox[]
  bcc?: Mailbox[]
  attachments?: string[]
  channel_id?: string
  address_id?: string
  reply_to?: string
  client_id: string
  /** A third party instead of the customer, who then does not see it. */
  participant_id?: string
  send_at?: string
  /** false leaves the signature out. */
  signature?: boolean
  /** The newest message that the author had seen: if a colleague answered since, the server asks. */
  seen_message_id?: string
  anyway?: boolean
  /** Of notes. */
  mentions?: string[]
  /** Instead of free words; text then says what the customer reads. */
  template?: TemplateUse
}

export interface Draft {
  text: string
  channel_id: string
  address_id: string
  reply_to: string
  subject: string
  cc: Mailbox[]
  bcc: Mailbox[]
  attachments: Attachment[]
  updated_at: string
  /** Kept on this device only. */
  participant_id?: string
}

export interface Address {
  id: string
  kind: string
  value: string
  assurance: Assurance
  channel_id: string
  last_used_at: string | null
  opted_out: boolean
}

export interface CustomerRow { id: string; name: string; addresses: Address[]; last_seen_at: string | null }

export interface Customer {
  id: string
  name: string
  language: string
  notes: string
  created_at: string
  advisor: Ref | null
  addresses: Address[]
  conversations: ConversationRow[]
  merged: { id: string; name: string; at: string }[]
  open_asks?: Question[]
}

export interface Text { de: string; en: string }

export interface Setting { key: string; required: boolean; secret: boolean; default: string; values?: string[]; help: Text }

export interface Capabilities {
  text_max: number
  text_unit: string
  caption_max: number
  html: boolean
  subject: boolean
  buttons?: number
  button_title_max?: number
  list_rows?: number
  list_title_max?: number
  copies: boolean
  attachments: boolean
  attachment_max: number
  quote: boolean
  write_first: boolean
  window: number
  [more: string]: unknown
}

export interface ChannelKind { kind: string; title: Text; capabilities: Capabilities; settings: Setting[]; webhook?: boolean }

export interface Health {
  state: 'green' | 'red' | 'unknown'
  reason: string
  remedy: string
  checked_at: string | null
  last_inbound_at: string | null
  last_outbound_at: string | null
}

export interface Channel {
  id: string
  kind: string
  name: string
  settings: Record<string, string>
  enabled: boolean
  health: Health
  webhook_url: string
  can_send: boolean
  why_not: string
}

export interface TestResult { state: 'sent' | 'failed' | 'uncertain'; reason: string; remedy: string }

export interface Staff {
  id: string
  name: string
  email: string
  role: Role
  enabled: boolean
  totp_enabled: boolean
  presence: 'here' | 'away'
  unit_id?: string | null
  invite_url?: string
}

export interface WorkItem {
  id: string
  channel: { id: string; kind: string; name: string } | null
  reason: string
  error: string
  received_at: string
  sender: string
  attempts: number
  state: 'open' | 'dismissed' | 'done'
  size: number
  raw?: string
  raw_url?: string
  raw_type?: string
}

/** Frame is one line of the live stream. */
export interface Frame {
  seq?: number
  kind: 'hello' | 'conversation' | 'message' | 'delivery' | 'channel' | 'staff' | 'customer' | 'work_item' | 'typing' | 'presence' | 'mention' | 'view' | 'text_block' | 'tag' | 'ask' | 'dialog' | 'dialog_instance' | 'reload'
  id?: string
  conversation?: Omit<ConversationRow, 'unread'> & { unread?: number }
  conversation_id?: string
  message_id?: string
  ref?: string
  state?: DeliveryState | PresenceState | AskState
  by?: string
  staff?: Ref
  staff_id?: string
}

/** Problem is an answer of the API that is not a success (RFC 9457), or no answer at all (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly remedy = '',
    readonly errors: { location: string; message: string }[] = [],
    readonly retryAfter = 0,
    /** The whole answer, for what only some problems carry. */
    readonly more: Record<string, unknown> = {},
  ) {
    super(detail || code || `HTTP ${status}`)
  }

  /** Nothing is known about what the server did: worth another try with the same key. */
  get transient() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500
  }

  /** The message for one field of a form, e.g. field('settings.token'). */
  field(name: string): string {
    return this.errors.find((e) => e.location === `body.${name}` || e.location === name)?.message ?? ''
  }
}

let language: () => string = () => 'de'
let signedOut: () => void = () => {}

/** configure says in which language answers are wanted and what happens when the session has ended. */
export function configure(lang: () => string, onSignedOut: () => void) {
  language = lang
  signedOut = onSignedOut
}

export async function request<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
  const headers: Record<string, string> = { 'Accept-Language': language(), Accept: 'application/json' }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (key) headers['Idempotency-Key'] = key
  let res: Response
  try {
    res = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin' })
  } catch {
    throw new Problem(0, 'unreachable', '')
  }
  if (res.status === 204) return undefined as T
  const text = await res.text().catch(() => '')
  let data: Record<string, unknown> = {}
  try {
    data = text ? JSON.parse(text) : {}
  } catch {
    if (res.ok) throw new Problem(0, 'unreadable', '')
  }
  if (!res.ok) {
    const code = String(data.code ?? '')
    if (res.status === 401 && (code === 'signed_out' || code === '') && !path.startsWith('/api/v1/session')) signedOut()
    throw new Problem(res.status, code, String(data.detail ?? data.title ?? ''), String(data.remedy ?? ''),
      (data.errors as { location: string; message: string }[]) ?? [], Number(res.headers.get('Retry-After') ?? 0), data)
  }
  return data as T
}

export const get = <T>(path: string) => request<T>('GET', path)
export const post = <T>(path: string, body: unknown = {}, key?: string) => request<T>('POST', path, body, key ?? uuid())
export const put = <T>(path: string, body: unknown) => request<T>('PUT', path, body)
export const patch = <T>(path: string, body: unknown) => request<T>('PATCH', path, body)
export const del = <T>(path: string, body?: unknown) => request<T>('DELETE', path, body)

/** query builds "?a=b" from what is set. */
export function query(params: Record<string, string | number | boolean | null | undefined>): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(params)) if (v !== undefined && v !== null && v !== '' && v !== false) q.set(k, String(v))
  const s = q.toString()
  return s ? `?${s}` : ''
}

/** uuid makes a random UUIDv4; randomUUID is missing on plain http origins other than localhost. */
export function uuid(): string {
  if (crypto.randomUUID) return crypto.randomUUID()
  const b = crypto.getRandomValues(new Uint8Array(16))
  b[6] = (b[6]! & 0x0f) | 0x40
  b[8] = (b[8]! & 0x3f) | 0x80
  const h = [...b].map((x) => x.toString(16).padStart(2, '0')).join('')
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`
}

/** upload sends one file and tells how far it is (0 to 1); fetch cannot report upload progress. */
export function upload(file: File, progress: (part: number) => void, abort: AbortSignal): Promise<Attachment> {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest()
    x.open('POST', '/api/v1/attachments')
    x.setRequestHeader('Content-Type', file.type || 'application/octet-stream')
    x.setRequestHeader('X-File-Name', encodeURIComponent(file.name))
    x.setRequestHeader('Accept-Language', language())
    x.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total)
    x.onload = () => {
      let data: Record<string, unknown> = {}
      try { data = JSON.parse(x.responseText) } catch { /* the status says enough */ }
      if (x.status >= 200 && x.status < 300) resolve(data as unknown as Attachment)
      else reject(new Problem(x.status, String(data.code ?? ''), String(data.detail ?? ''), String(data.remedy ?? '')))
    }
    x.onerror = () => reject(new Problem(0, 'unreachable', ''))
    x.onabort = () => reject(new Problem(0, 'aborted', ''))
    abort.addEventListener('abort', () => x.abort())
    x.send(file)
  })
}
