// Text as people type it, cut into words and web addresses. Nothing is ever inserted as HTML.

export interface Piece { text: string; href?: string }

const url = /\bhttps?:\/\/[^\s<>"]+/giu

/** pieces finds http(s) addresses; closing punctuation and unbalanced brackets stay outside. */
export function pieces(text: string): Piece[] {
  const out: Piece[] = []
  let at = 0
  for (const m of text.matchAll(url)) {
    let u = m[0]
    for (;;) {
      const last = u.at(-1)!
      if (/[.,;:!?'"»“”]/.test(last) || (last === ')' && !u.includes('('))) u = u.slice(0, -1)
      else break
    }
    if (u.length < 10) continue
    if (m.index > at) out.push({ text: text.slice(at, m.index) })
    out.push({ text: u, href: u })
    at = m.index + u.length
  }
  if (at < text.length) out.push({ text: text.slice(at) })
  return out
}

/** split separates what somebody wrote from the mail that they quote below it. */
export function split(text: string): { own: string; quoted: string } {
  const lines = text.split('\n')
  let i = lines.length
  while (i > 0 && (/^\s*>/.test(lines[i - 1]!) || lines[i - 1]!.trim() === '')) i--
  const quoted = lines.slice(i)
  if (!quoted.some((l) => /^\s*>/.test(l))) return { own: text, quoted: '' }
  if (i > 0 && /(schrieb|wrote|geschrieben)[^\n]*:\s*$/i.test(lines[i - 1]!)) i--
  const own = lines.slice(0, i).join('\n').trimEnd()
  return own ? { own, quoted: lines.slice(i).join('\n').trim() } : { own: text, quoted: '' }
}
