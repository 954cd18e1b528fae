// The description of a channel of one's own, between the JSON that is stored and the fields that are filled in. What the
// fields do not know stays in the JSON as it is.
export type Json = Record<string, unknown>

/** parse reads a description; an empty one is an empty object, what is no object gives null. */
export function parse(source: string): Json | null {
  if (!source.trim()) return {}
  try { const x: unknown = JSON.parse(source); return x && typeof x === 'object' && !Array.isArray(x) ? (x as Json) : null } catch { return null }
}

/** get reads "auth.type"; what is no text is shown as JSON. */
export function get(source: string, path: string): string {
  let x: unknown = parse(source)
  for (const k of path.split('.')) x = x && typeof x === 'object' ? (x as Json)[k] : undefined
  return x === undefined || x === null ? '' : typeof x === 'string' ? x : JSON.stringify(x)
}

/** set writes a text at "auth.type"; an empty one takes the key away. A broken description stays as it is. */
export function set(source: string, path: string, value: string): string {
  const root = parse(source)
  if (!root) return source
  const keys = path.split('.'), last = keys.pop()!
  let at = root
  for (const k of keys) {
    if (!at[k] || typeof at[k] !== 'object' || Array.isArray(at[k])) { if (!value) return source; at[k] = {} }
    at = at[k] as Json
  }
  if (value === '') delete at[last]
  else at[last] = value
  return Object.keys(root).length ? JSON.stringify(root, null, 2) : ''
}

/** changeAuth starts a proof anew: keys of another type are not known to this one. */
export function changeAuth(source: string, type: string): string {
  const root = parse(source)
  if (!root) return source
  if (!type) delete root.auth
  else root.auth = { type }
  return JSON.stringify(root, null, 2)
}

/** headers reads pasted header lines; anything else is left out. */
export function headers(text: string): Record<string, string> {
  const out: Record<string, string> = {}
  for (const line of text.split(/\r?\n/)) {
    const m = /^\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*:\s*(.*)$/.exec(line)
    if (m) out[m[1]!] = m[2]!.trim()
  }
  return out
}
export const showHeaders = (h: Record<string, string> | null | undefined) => Object.entries(h ?? {}).map(([k, v]) => `${k}: ${v}`).join('\n')

/** column finds "1:14" or "column 14" in an error of an expression, counted from 1. */
export function column(error: string): number {
  const m = /<input>:\d+:(\d+)/.exec(error) ?? /column (\d+)/i.exec(error) ?? /\b\d+:(\d+)\b/.exec(error)
  return m ? Number(m[1]) : 0
}

/** bare is a field's error without its own name in front. */
export const bare = (error: string, key: string) => error.replace(new RegExp(`^${key.replace(/[.[\]]/g, '\\$&')}(?:,| |:)\\s*(?:column \\d+:\\s*)?`), '')

/** errorOf finds the field that a whole description's error is about: "receive.from, column 5: …". */
export function errorOf(error: string, key: string): string {
  return new RegExp(`^(?:send: )?${key.replace(/[.[\]]/g, '\\$&')}(?![\\w.])`).test(error) ? bare(error.replace(/^send: /, ''), key) : ''
}
