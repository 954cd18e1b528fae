// The little Markdown that guides are written in, read into a tree that is drawn as elements: nothing is ever inserted as HTML.

export type Inline = { text: string; as?: 'b' | 'i' | 'code'; href?: string }
export type Block =
  | { kind: 'heading'; level: number; text: Inline[] }
  | { kind: 'p'; text: Inline[] }
  | { kind: 'code'; code: string }
  | { kind: 'list'; ordered: boolean; start: number; items: Block[][] }
  | { kind: 'table'; head: Inline[][]; rows: Inline[][][] }

const mark = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>"`)*|…]+)/gu

/** inline reads `code`, **bold**, *italic*, [links](…) and bare addresses. A link leads to http(s) only. */
export function inline(s: string): Inline[] {
  const out: Inline[] = []
  let at = 0
  for (const m of s.matchAll(mark)) {
    if (m.index > at) out.push({ text: s.slice(at, m.index) })
    at = m.index + m[0].length
    if (m[1] !== undefined) out.push({ text: m[1], as: 'code' })
    else if (m[2] !== undefined) out.push({ text: m[2], as: 'b' })
    else if (m[3] !== undefined) out.push({ text: m[3], as: 'i' })
    else if (m[4] !== undefined) out.push(/^https?:\/\//i.test(m[5]!) ? { text: m[4], href: m[5]! } : { text: m[4] })
    else {
      const u = m[6]!.replace(/[.,;:!?'"]+$/, '')
      at = m.index + u.length
      out.push(u.length > 10 ? { text: u, href: u } : { text: u })
    }
  }
  if (at < s.length) out.push({ text: s.slice(at) })
  return out
}

const bullet = /^(\s*)(?:([-*])|(\d{1,3})[.)])\s+(.*)$/
const rule = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/

// A bar inside `code` is no border of a cell.
function cells(line: string): Inline[][] {
  const out = ['']
  let code = false
  const s = line.trim().replace(/^\|/, '').replace(/\|$/, '')
  for (let i = 0; i < s.length; i++) {
    const c = s[i]!
    if (c === '\\' && s[i + 1] === '|') { out[out.length - 1] += '|'; i++; continue }
    if (c === '`') code = !code
    if (c === '|' && !code) out.push('')
    else out[out.length - 1] += c
  }
  return out.map((x) => inline(x.trim()))
}

/** blocks reads a text. */
export function blocks(text: string): Block[] { return read(text.replace(/\r\n?/g, '\n').replace(/\t/g, '    ').split('\n'), 0) }

function read(lines: string[], depth: number): Block[] {
  const out: Block[] = []
  for (let i = 0; i < lines.length;) {
    const line = lines[i]!
    if (!line.trim()) { i++; continue }
    const fence = /^\s*(```|~~~)/.exec(line)
    if (fence) {
      const code: string[] = []
      for (i++; i < lines.length && !lines[i]!.trimStart().startsWith(fence[1]!); i++) code.push(lines[i]!)
      i++
      out.push({ kind: 'code', code: code.join('\n') })
      continue
    }
    const h = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line)
    if (h) { out.push({ kind: 'heading', level: h[1]!.length, text: inline(h[2]!) }); i++; continue }
    if (/^ {4}/.test(line)) {
      const code: string[] = []
      for (; i < lines.length && (/^ {4}/.test(lines[i]!) || !lines[i]!.trim()); i++) code.push(lines[i]!.slice(4))
      out.push({ kind: 'code', code: code.join('\n').trimEnd() })
      continue
    }
    if (line.includes('|') && i + 1 < lines.length && rule.test(lines[i + 1]!) && lines[i + 1]!.includes('-')) {
      const head = cells(line), rows: Inline[][][] = []
      for (i += 2; i < lines.length && lines[i]!.includes('|') && lines[i]!.trim(); i++) rows.push(cells(lines[i]!))
      out.push({ kind: 'table', head, rows })
      continue
    }
    const b = bullet.exec(line)
    if (b && depth < 5) {
      const ordered = b[3] !== undefined, items: Block[][] = [], margin = b[1]!.length
      while (i < lines.length) {
        const m = bullet.exec(lines[i]!)
        if (!m || m[1]!.length > margin + 1 || (m[3] !== undefined) !== ordered) break
        const inset = lines[i]!.length - m[4]!.length
        const own = [m[4]!]
        for (i++; i < lines.length; i++) {
          const next = lines[i]!
          if (!next.trim()) {
            const after = lines.slice(i).find((x) => x.trim())
            if (after === undefined || after.search(/\S/) < inset) break
            own.push('')
          } else if (next.search(/\S/) >= inset) own.push(next.slice(inset))
          else if (bullet.test(next) || /^#/.test(next) || !own.at(-1)!.trim()) break
          else own.push(next.trim())
        }
        items.push(read(own, depth + 1))
        while (i < lines.length && !lines[i]!.trim() && bullet.test(lines[i + 1] ?? '')) i++
      }
      out.push({ kind: 'list', ordered, start: Number(b[3] ?? 1), items })
      continue
    }
    const words: string[] = []
    for (; i < lines.length && lines[i]!.trim() && !(words.length && (/^#{1,6}\s/.test(lines[i]!) || /^\s*```/.test(lines[i]!) || (depth < 5 && bullet.test(lines[i]!)))); i++) words.push(lines[i]!.trim())
    if (!words.length) { words.push(line.trim()); i++ }
    out.push({ kind: 'p', text: inline(words.join(' ')) })
  }
  return out
}
