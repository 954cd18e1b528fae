import type { Dict } from '../kit/i18n/de'
import type { Action } from './state/keymap'

/** keyNames are the words for the commands. */
export const keyNames = (t: Dict): Record<Action, string> => ({
  next: t.kNext, prev: t.kPrev, reply: t.kReply, note: t.kNote, assign: t.kAssign, close: t.kClose, snooze: t.kSnooze, replyAll: t.kReplyAll, forward: t.kForward, tag: t.kTag, select: t.kSelect, selectAll: t.kSelectAll, block: t.kBlock, ask: t.kAsk, compose: t.kCompose, undo: t.kUndo, search: t.kSearch, help: t.kHelp,
})
