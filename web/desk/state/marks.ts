// A found place with its marks, cut into pieces. Nothing is ever inserted as HTML.
export interface Piece { text: string; mark: boolean }

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
