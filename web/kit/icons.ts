// The icons in use, one import each, so that only these are in the build. Lucide, ISC licence.
import ArrowDown from '@lucide/svelte/icons/arrow-down'
import ArrowUp from '@lucide/svelte/icons/arrow-up'
import GitBranch from '@lucide/svelte/icons/git-branch'
import HandHelping from '@lucide/svelte/icons/hand-helping'
import Languages from '@lucide/svelte/icons/languages'
import Maximize from '@lucide/svelte/icons/maximize'
import MessageCircleQuestion from '@lucide/svelte/icons/message-circle-question-mark'
import Minus from '@lucide/svelte/icons/minus'
import Play from '@lucide/svelte/icons/play'
import Redo from '@lucide/svelte/icons/redo-2'
import Square from '@lucide/svelte/icons/square'
import Undo from '@lucide/svelte/icons/undo-2'
import Workflow from '@lucide/svelte/icons/workflow'
import Archive from '@lucide/svelte/icons/archive'
import AtSign from '@lucide/svelte/icons/at-sign'
import Ban from '@lucide/svelte/icons/ban'
import Bookmark from '@lucide/svelte/icons/bookmark'
import Calendar from '@lucide/svelte/icons/calendar'
import Combine from '@lucide/svelte/icons/combine'
import Eye from '@lucide/svelte/icons/eye'
import Forward from '@lucide/svelte/icons/forward'
import Hourglass from '@lucide/svelte/icons/hourglass'
import Lock from '@lucide/svelte/icons/lock'
import ReplyAll from '@lucide/svelte/icons/reply-all'
import Split from '@lucide/svelte/icons/split'
import SquareCheck from '@lucide/svelte/icons/square-check'
import Tag from '@lucide/svelte/icons/tag'
import TextQuote from '@lucide/svelte/icons/text-quote'
import AlarmClock from '@lucide/svelte/icons/alarm-clock'
import ArrowLeft from '@lucide/svelte/icons/arrow-left'
import ArrowRight from '@lucide/svelte/icons/arrow-right'
import Bot from '@lucide/svelte/icons/bot'
import Cable from '@lucide/svelte/icons/cable'
import Check from '@lucide/svelte/icons/check'
import CheckCheck from '@lucide/svelte/icons/check-check'
import ChevronDown from '@lucide/svelte/icons/chevron-down'
import ChevronLeft from '@lucide/svelte/icons/chevron-left'
import CircleQuestion from '@lucide/svelte/icons/circle-question-mark'
import Clock from '@lucide/svelte/icons/clock'
import Contact from '@lucide/svelte/icons/contact'
import Copy from '@lucide/svelte/icons/copy'
import Ellipsis from '@lucide/svelte/icons/ellipsis'
import FileText from '@lucide/svelte/icons/file-text'
import Hash from '@lucide/svelte/icons/hash'
import Inbox from '@lucide/svelte/icons/inbox'
import Keyboard from '@lucide/svelte/icons/keyboard'
import LayoutGrid from '@lucide/svelte/icons/layout-grid'
import ListFilter from '@lucide/svelte/icons/list-filter'
import LogOut from '@lucide/svelte/icons/log-out'
import Mail from '@lucide/svelte/icons/mail'
import Mailbox from '@lucide/svelte/icons/mailbox'
import MessageCircle from '@lucide/svelte/icons/message-circle'
import MessageSquare from '@lucide/svelte/icons/message-square'
import Paperclip from '@lucide/svelte/icons/paperclip'
import Pencil from '@lucide/svelte/icons/pencil'
import Phone from '@lucide/svelte/icons/phone'
import Plus from '@lucide/svelte/icons/plus'
import Printer from '@lucide/svelte/icons/printer'
import Reply from '@lucide/svelte/icons/reply'
import RotateCcw from '@lucide/svelte/icons/rotate-ccw'
import Search from '@lucide/svelte/icons/search'
import Send from '@lucide/svelte/icons/send'
import Settings from '@lucide/svelte/icons/settings'
import ShieldCheck from '@lucide/svelte/icons/shield-check'
import Smartphone from '@lucide/svelte/icons/smartphone'
import StickyNote from '@lucide/svelte/icons/sticky-note'
import Store from '@lucide/svelte/icons/store'
import SunMoon from '@lucide/svelte/icons/sun-moon'
import TriangleAlert from '@lucide/svelte/icons/triangle-alert'
import UserPlus from '@lucide/svelte/icons/user-plus'
import UserRound from '@lucide/svelte/icons/user-round'
import Users from '@lucide/svelte/icons/users'
import Video from '@lucide/svelte/icons/video'
import Webhook from '@lucide/svelte/icons/webhook'
import WifiOff from '@lucide/svelte/icons/wifi-off'
import X from '@lucide/svelte/icons/x'

export const icons = {
  archive: Archive, at: AtSign, ban: Ban, bookmark: Bookmark, calendar: Calendar, combine: Combine, eye: Eye, forward: Forward, hourglass: Hourglass,
  lock: Lock, 'reply-all': ReplyAll, scissors: Split, 'square-check': SquareCheck, tag: Tag, blocks: TextQuote,
  'alarm-clock': AlarmClock, 'arrow-left': ArrowLeft, 'arrow-right': ArrowRight, bot: Bot, cable: Cable, check: Check,
  'check-check': CheckCheck, 'chevron-down': ChevronDown, 'chevron-left': ChevronLeft, question: CircleQuestion, clock: Clock,
  contact: Contact, copy: Copy, ellipsis: Ellipsis, file: FileText, hash: Hash, inbox: Inbox, keyboard: Keyboard, grid: LayoutGrid,
  filter: ListFilter, 'log-out': LogOut, mail: Mail, mailbox: Mailbox, 'message-circle': MessageCircle, 'message-square': MessageSquare,
  paperclip: Paperclip, pencil: Pencil, phone: Phone, plus: Plus, printer: Printer, reply: Reply, again: RotateCcw, search: Search,
  send: Send, settings: Settings, shield: ShieldCheck, smartphone: Smartphone, note: StickyNote, store: Store, theme: SunMoon,
  alert: TriangleAlert, 'user-plus': UserPlus, user: UserRound, users: Users, video: Video, webhook: Webhook, offline: WifiOff, x: X,
  'arrow-down': ArrowDown, 'arrow-up': ArrowUp, branch: GitBranch, hand: HandHelping, languages: Languages, fit: Maximize, ask: MessageCircleQuestion, minus: Minus,
  play: Play, redo: Redo, stop: Square, undo: Undo, workflow: Workflow,
} as const

export type IconName = keyof typeof icons

const marks: Record<string, IconName> = {
  email: 'mail', webchat: 'message-square', portal: 'grid', telegram: 'send', whatsapp: 'message-circle', messenger: 'message-circle',
  instagram: 'message-circle', viber: 'message-circle', line: 'message-circle', twilio: 'smartphone', vonage: 'smartphone', smpp: 'smartphone',
  sms: 'smartphone', rcs: 'smartphone', slack: 'hash', discord: 'hash', teams: 'users', matrix: 'message-square', xmpp: 'message-square',
  signal: 'message-circle', voice: 'phone', 'twilio-voice': 'phone', phone: 'phone', letter: 'mailbox', fax: 'printer', visit: 'store',
  video: 'video', form: 'file', review: 'file', webhook: 'webhook',
}

/** markOf is the small sign of a channel kind. */
export const markOf = (kind: string): IconName => marks[kind] ?? 'message-circle'
