// Which key does what. Pure: the table, its overrides and the question "what does this key press mean here?".

export const actions = ['next', 'prev', 'reply', 'note', 'assign', 'close', 'snooze', 'replyAll', 'forward', 'tag', 'select', 'selectAll', 'block', 'ask', 'compose', 'undo', 'search', 'help'] as const
export type Action = (typeof actions)[number]
/** Commands without a key of their own are reached through the palette and the menus. */
export type Command = Action | 'palette' | 'startDialog' | 'goOn' | 'join' | 'split' | 'spam'

export const defaults: Record<Action, string> = {
  next: 'j', prev: 'k', reply: 'r', note: 'n', assign: 'a', close: 'e', snooze: 's', replyAll: 'w', forward: 'f', tag: 't', select: 'x', selectAll: '*', block: 'b', ask: 'q', compose: 'c', undo: 'z', search: '/', help: '?',
}

export interface KeySettings { enabled: boolean; keys: Partial<Record<Action, string>> }

export interface Press { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean; isComposing?: boolean; repeat?: boolean }

/** keyOf is the key that an action has now. */
export function keyOf(action: Action, settings: KeySettings): string {
  return settings.keys[action] ?? defaults[action]
}

/**
 * command says what a key press means. Single characters never act while the person writes (inField) or when they are
 * switched off (WCAG 2.1.4); the palette needs a modifier and works everywhere.
 */
export function command(press: Press, settings: KeySettings, inField: boolean, mac: boolean): Command | null {
  if (press.isComposing) return null
  const mod = mac ? press.metaKey && !press.ctrlKey : press.ctrlKey && !press.metaKey
  if (mod && !press.altKey && press.key.toLowerCase() === 'k') return 'palette'
  if (press.ctrlKey || press.metaKey || press.altKey || inField || !settings.enabled) return null
  return actions.find((a) => keyOf(a, settings) === press.key) ?? null
}

/** remap gives an action a new key; the action that had it before takes the old one in exchange, so none is lost. */
export function remap(action: Action, key: string, settings: KeySettings): KeySettings {
  const keys = { ...settings.keys }
  const holder = actions.find((a) => a !== action && keyOf(a, settings) === key)
  if (holder) keys[holder] = keyOf(action, settings)
  keys[action] = key
  for (const a of actions) if (keys[a] === defaults[a]) delete keys[a]
  return { ...settings, keys }
}

/** usable keys are single printable characters. */
export function usable(key: string): boolean {
  return [...key].length === 1 && key !== ' '
}
