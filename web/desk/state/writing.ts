// What happens in a text field while somebody writes, as pure rules: "/word" picks a text block, "@name" a colleague.
import type { Ref, TextBlock } from '../../kit/api'

const fold = (s: string) => s.normalize('NFD').replace(/\p{M}/gu, '').toLocaleLowerCase()

export interface Asked { from: number; to: number; word: string }

/** asked finds what is being typed at the caret behind a sign that stands at the start of a word. */
export function asked(text: string, caret: number, sign: '/' | '@'): Asked | null {
  const before = text.slice(0, caret)
  const m = sign === '/' ? /(?:^|[\s(])\/([\p{L}\p{N}_-]{0,40})$/u.exec(before) : /(?:^|[\s(])@([\p{L}\p{N}.'-]*(?: [\p{L}\p{N}.'-]+)?)$/u.exec(before)
  if (!m) return null
  const word = m[1]!
  return { from: caret - word.length - 1, to: caret, word }
}

/** replace puts something in place of what was asked for; caret is where writing goes on. */
export function replace(text: string, a: Asked, by: string): { text: string; caret: number } {
  return { text: text.slice(0, a.from) + by + text.slice(a.to), caret: a.from + by.length }
}

/** findBlocks orders text blocks: the short cut first, then names that begin with the word, then the rest that holds it. */
export function findBlocks(blocks: TextBlock[], word: string, unit: string): TextBlock[] {
  const w = fold(word.trim())
  const rank = (b: TextBlock) => {
    if (!w) return b.unit_id && b.unit_id === unit ? 0 : b.personal ? 1 : 2
    const s = fold(b.shortcut), n = fold(b.name)
    if (s === w) return 0
    if (s.startsWith(w)) return 1
    if (n.startsWith(w) || n.split(/\s+/).some((x) => x.startsWith(w))) return 2
    if (w.length > 2 && (n.includes(w) || fold(b.text).includes(w))) return 3
    return -1
  }
  return blocks.map((b) => ({ b, r: rank(b) })).filter((x) => x.r >= 0).sort((x, y) => x.r - y.r || x.b.name.localeCompare(y.b.name)).map((x) => x.b)
}

/** findPeople are colleagues whose name has a part that begins with the word. */
export function findPeople<T extends Ref>(people: T[], word: string): T[] {
  const w = fold(word.trim())
  return people.filter((p) => !w || fold(p.name).startsWith(w) || fold(p.name).split(/\s+/).some((x) => x.startsWith(w)))
}

/** mentioned are those whose name still stands in the text behind an @. */
export function mentioned(text: string, people: Ref[]): string[] {
  const t = fold(text)
  return people.filter((p) => new RegExp(`@${fold(p.name).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\p{L}\\p{N}])`, 'u').test(t)).map((p) => p.id)
}

/** gaps are what a text block left unfilled: {{contract.number}}. */
export function gaps(text: string): string[] {
  return [...new Set([...text.matchAll(/\{\{\s*([\w.]+)\s*\}\}/g)].map((m) => m[1]!))]
}
