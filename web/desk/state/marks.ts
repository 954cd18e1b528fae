// A found place with its marks, cut into pieces. Nothing is ever inserted as HTML.
export interface Piece { text: string; mark: boolean }

/**
 * atFirst begins a snippet shortly before its first mark, so that a narrow line shows it. It cuts between words where it
 * can, never inside of a mark, and only if that gains room.
 */
export function atFirst(snippet: string, marks: [number, number][], lead = 10): { snippet: string; marks: [number, number][] } {
  const first = Math.min(...marks.map((m) => m[0]))
  if (!(first > lead + 1) || first >= snippet.length) return { snippet, marks }
  const space = snippet.slice(first - lead, first).search(/\s(?=\S)/)
  let from = space >= 0 ? first - lead + space + 1 : first - lead
  if (/[\uDC00-\uDFFF]/.test(snippet[from]!)) from++   // not through a character of two halves
  return { snippet: '…' + snippet.slice(from), marks: marks.map(([a, b]) => [a - from + 1, b - from + 1]) }
}

/** pieces cuts a snippet at its marks, [from, to) in UTF-16 units. Marks that overlap or point outside do no harm. */
export function pieces(snippet: string, marks: [number, number][]): Piece[] {
  const out: Piece[] = []
  let at = 0
  for (const [a, b] of [...marks].sort((x, y) => x[0] - y[0])) {
    const from = Math.max(at, Math.min(a, snippet.length)), to = Math.min(b, snippet.length)
    if (to <= from) continue
    if (from > at) out.push({ text: snippet.slice(at, from), mark: false })
    out.push({ text: snippet.slice(from, to), mark: true })
    at = to
  }
  if (at < snippet.length) out.push({ text: snippet.slice(at), mark: false })
  return out
}
