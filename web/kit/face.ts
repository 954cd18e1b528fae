// Initials and tint of a person without a photograph: always the same for the same name.

/** initials are up to two letters; numbers keep their country code ("+49"). */
export function initials(name: string): string {
  const s = name.trim()
  if (/^\+\d/.test(s)) return s.slice(0, 3)
  const words = s.split(/[\s.@_-]+/).filter((w) => /\p{L}|\p{N}/u.test(w))
  if (words.length === 0) return '?'
  const first = [...words[0]!][0] ?? ''
  const last = words.length > 1 && !s.includes('@') ? ([...words[words.length - 1]!][0] ?? '') : ''
  return (first + last).toLocaleUpperCase('de')
}

/** hue is 0 to 359, spread by name. */
export function hue(name: string): number {
  let h = 2166136261   // FNV-1a, so that similar names differ
  for (const c of name) h = Math.imul(h ^ c.codePointAt(0)!, 16777619)
  return (((h >>> 9) ^ h) >>> 0) % 360
}
