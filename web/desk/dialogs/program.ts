// Dialogs as a graph: which ways lead out of a step, how they are called, where they stand on the canvas, and what edits do. Pure.
import { isYesNo, plain, textIn, type AskKind, type Finding, type Layout, type Program, type Step, type Texts, type Variable } from '../../kit/ask'
import { decimal } from '../asks/rules'

export type StepKind = 'say' | 'ask' | 'branch' | 'set' | 'call' | 'wait' | 'hand' | 'run' | 'end'
export const stepKinds: StepKind[] = ['say', 'ask', 'branch', 'set', 'call', 'wait', 'hand', 'run', 'end']

export const kindOf = (s: Step): StepKind => (s.ask ? 'ask' : s.branch ? 'branch' : s.set ? 'set' : s.call ? 'call' : s.wait ? 'wait' : s.hand ? 'hand' : s.run !== undefined ? 'run' : s.end ? 'end' : 'say')

/** An exit is one way on from a step. slot names the field that holds it; implied means: the step below, because nothing is said. */
export interface Exit { slot: string; to: string; kind: 'next' | 'case' | 'expired' | 'unclear' | 'failed' | 'wrote'; condition?: string; implied?: boolean }

/** exits lists the ways out of step i, in the order in which they are looked at. "" as target is the end of the dialog. */
export function exits(p: Program, i: number): Exit[] {
  const s = p.steps[i]
  if (!s) return []
  const k = kindOf(s)
  const below = p.steps[i + 1]?.id ?? ''
  const next: Exit = { slot: 'next', to: s.next || below, kind: 'next', ...(s.next ? {} : { implied: true }) }
  if (k === 'end' || k === 'hand') return []
  if (k === 'branch') return (s.branch ?? []).map((c, n) => ({ slot: `branch.${n}`, to: c.to, kind: 'case' as const, condition: c.if ?? '' }))
  const out = [next]
  if (k === 'ask') { if (s.expired) out.push({ slot: 'expired', to: s.expired, kind: 'expired' }); if (s.unclear) out.push({ slot: 'unclear', to: s.unclear, kind: 'unclear' }) }
  if (k === 'call') out.push({ slot: 'failed', to: s.failed ?? '', kind: 'failed' })
  if (k === 'wait' && s.wrote) out.push({ slot: 'wrote', to: s.wrote, kind: 'wrote' })
  return out
}

/** The variable that an ask fills. */
export const savedAs = (s: Step): string => s.save || s.ask?.name || (s.ask ? s.id.replace(/-/g, '_') : '')

/** condition makes words of a simple CEL expression about an answer; what it does not know stays as it is (code: true). */
export function condition(p: Program, cel: string, language: string, w: { yes: string; no: string; otherwise: string; skippedIt: string }): { text: string; code: boolean } {
  const c = cel.trim()
  if (!c) return { text: w.otherwise, code: false }
  const asked = (name: string) => p.steps.find((s) => s.ask && savedAs(s) === name)?.ask
  let m = /^(!?)\s*(\w+)(?:\.yes)?$/.exec(c)
  if (m && asked(m[2]!) && isYesNo(asked(m[2]!)!.kind)) { const a = asked(m[2]!)!; return { text: m[1] ? textIn(a.no, language) || w.no : textIn(a.yes, language) || w.yes, code: false } }
  m = /^(\w+)(?:\.yes)?\s*==\s*(true|false)$/.exec(c)
  if (m && asked(m[1]!)) { const a = asked(m[1]!)!; return { text: m[2] === 'true' ? textIn(a.yes, language) || w.yes : textIn(a.no, language) || w.no, code: false } }
  m = /^(\w+)(?:\.key)?\s*==\s*["']([^"']*)["']$/.exec(c) ?? /^["']([^"']*)["']\s+in\s+(\w+)(?:\.keys)?$/.exec(c)
  if (m) {
    const [name, key] = c.includes(' in ') ? [m[2]!, m[1]!] : [m[1]!, m[2]!]
    const o = asked(name)?.options?.find((x) => x.key === key)
    if (o) return { text: textIn(o.label, language), code: false }
  }
  m = /^!\s*answered\((\w+)\)$/.exec(c)
  if (m && asked(m[1]!)) return { text: w.skippedIt, code: false }
  return { text: c, code: true }
}

/** lead is the first thing a step says, for lists. */
export function lead(s: Step, language: string): string {
  const k = kindOf(s)
  if (k === 'ask') return textIn(s.ask!.text, language)
  if (k === 'say') return textIn(s.say, language)
  if (k === 'call') return `${s.call?.method || 'POST'} ${s.call?.url ?? ''}`
  if (k === 'wait') return s.wait?.for || s.wait?.until || ''
  if (k === 'hand') return [s.hand?.staff, s.hand?.unit].filter(Boolean).join(', ')
  if (k === 'set') return Object.entries(s.set ?? {}).map(([a, b]) => `${a} = ${b}`).join(', ')
  if (k === 'run') return s.run ?? ''
  if (k === 'end') return s.end?.outcome || 'done'
  return ''
}

// -- edits: each gives a new program, the old one stays as it is

const copy = <T>(x: T): T => JSON.parse(JSON.stringify(x)) as T

export function freeId(p: Program, base: string): string {
  const used = new Set(p.steps.map((s) => s.id))
  if (!used.has(base)) return base
  for (let n = 2; ; n++) if (!used.has(`${base}-${n}`)) return `${base}-${n}`
}

const blank = (p: Program): Texts => Object.fromEntries(p.languages.map((l) => [l, '']))

/** made is a new step of a kind, with what it needs. */
export function made(p: Program, kind: StepKind, id: string, ask: AskKind = 'yes_no'): Step {
  switch (kind) {
    case 'say': return { id, say: blank(p) }
    case 'ask': return { id, ask: { kind: ask, text: blank(p), ...(ask === 'one_of' || ask === 'many_of' ? { options: [{ key: 'a', label: blank(p) }, { key: 'b', label: blank(p) }] } : {}) } }
    case 'branch': return { id, branch: [{ if: 'true', to: '' }, { to: '' }] }
    case 'set': return { id, set: { name: '""' } }
    case 'call': return { id, call: { url: 'https://' }, failed: '' }
    case 'wait': return { id, wait: { for: '1d' } }
    case 'hand': return { id, hand: { staff: 'advisor' } }
    case 'run': return { id, run: '' }
    case 'end': return { id, end: { outcome: 'done' } }
  }
}

const base: Record<StepKind, string> = { say: 'say', ask: 'ask', branch: 'branch', set: 'set', call: 'call', wait: 'wait', hand: 'person', run: 'run', end: 'end' }

/** add puts a new step behind the one with this id ("" = at the end) and leads through it: what came after comes after it. */
export function add(p: Program, after: string, kind: StepKind, ask?: AskKind): { program: Program; id: string } {
  const out = copy(p)
  const id = freeId(out, base[kind])
  const s = made(out, kind, id, ask)
  const i = after ? out.steps.findIndex((x) => x.id === after) : out.steps.length - 1
  const before = out.steps[i]
  const target = before ? exits(out, i).find((e) => e.slot === 'next')?.to ?? '' : ''
  const fallback = target || out.steps.find((x) => x.hand || x.end)?.id || ''
  // A step that goes on goes on to where its predecessor went.
  if (before && exits(out, i).some((e) => e.slot === 'next')) {
    if (before.next) { if (!['end', 'hand', 'branch'].includes(kind)) s.next = before.next; before.next = id }
  }
  if (kind === 'branch') for (const c of s.branch!) c.to = fallback || id
  if (kind === 'call') s.failed = out.steps.find((x) => x.hand)?.id ?? fallback
  out.steps.splice(i + 1, 0, s)
  return { program: out, id }
}

/** redirect leads what leads from a step to id to another one. */
function redirect(s: Step, id: string, to: string) {
  for (const k of ['next', 'expired', 'unclear', 'failed', 'wrote'] as const) if (s[k] === id) s[k] = to
  for (const c of s.branch ?? []) if (c.to === id) c.to = to
}

/** remove takes a step out; what led to it leads to where it led. */
export function remove(p: Program, id: string): Program {
  const i = p.steps.findIndex((s) => s.id === id)
  if (i < 0 || p.steps.length < 2) return p
  const to = exits(p, i).find((e) => e.kind === 'next' || e.kind === 'case')?.to ?? ''
  const instead = to && to !== id ? to : p.steps[i + 1]?.id ?? p.steps[i - 1]?.id ?? ''
  const out = copy(p)
  // A step above that goes on by standing above keeps its way, unless it now stands above the very one.
  const above = out.steps[i - 1]
  const wasImplied = above && exits(p, i - 1).some((e) => e.slot === 'next' && e.implied)
  out.steps.splice(i, 1)
  for (const s of out.steps) {
    redirect(s, id, instead)
  }
  if (above && wasImplied && to && out.steps[i]?.id !== to) above.next = to
  return out
}

/** connect leads an exit to a step; "" as target of next means: the step below. */
export function connect(p: Program, id: string, slot: string, to: string): Program {
  const out = copy(p)
  const s = out.steps.find((x) => x.id === id)
  if (!s) return p
  const [name, n] = slot.split('.')
  if (name === 'branch') { const c = s.branch?.[Number(n)]; if (c) c.to = to } else {
    const k = name as 'next' | 'expired' | 'unclear' | 'failed' | 'wrote'
    if (to) s[k] = to
    else delete s[k]
  }
  return out
}

/** rename gives a step another name, everywhere it is named. */
export function rename(p: Program, id: string, to: string): Program {
  if (id === to || !/^[a-z][a-z0-9_-]*$/.test(to) || p.steps.some((s) => s.id === to)) return p
  const out = copy(p)
  for (const s of out.steps) {
    if (s.id === id) s.id = to
    redirect(s, id, to)
  }
  return out
}

/** patch changes one step. */
export function patch(p: Program, id: string, change: (s: Step) => void): Program {
  const out = copy(p)
  const s = out.steps.find((x) => x.id === id)
  if (s) { change(s); tidy(s) }
  return out
}

function tidy(s: Step) {
  for (const k of ['next', 'save', 'expired', 'unclear', 'wrote'] as const) if (s[k] === '') delete s[k]
  if (s.say && s.ask && Object.values(s.say).every((x) => !plain(x).trim())) delete s.say
  if (s.ask) for (const [k, v] of Object.entries(s.ask)) if (v === undefined || v === '' || v === null || (Array.isArray(v) && !v.length)) delete (s.ask as unknown as Record<string, unknown>)[k]
}

// -- where steps stand

export const width = 240
/** tall estimates how tall a step is drawn, so that the layout need not wait for the browser. */
export function tall(s: Step, language: string): number {
  const rows = (t: string) => Math.min(4, Math.max(1, Math.ceil([...t].length / 32)))
  const k = kindOf(s)
  let h = 46
  if (k === 'ask' && s.say) h += 20 * rows(textIn(s.say, language))
  h += 20 * rows(lead(s, language))
  if (s.ask?.options) h += 30 * Math.ceil(Math.min(s.ask.options.length, 6) / 2) + 4
  else if (s.ask && isYesNo(s.ask.kind)) h += 34
  return h + 18
}

/**
 * arrange places the steps so that the dialog reads from top to bottom: each below everything that leads to it (ways back
 * left aside), the main way straight down, side ways to the right.
 */
export function arrange(p: Program, language: string, own: Layout = {}): Layout {
  const index = new Map(p.steps.map((s, i) => [s.id, i]))
  const n = p.steps.length
  const out = p.steps.map((_, i) => exits(p, i).map((e) => index.get(e.to)).filter((j): j is number => j !== undefined && j !== i))
  // Ways back: what leads to a step that is still being walked through.
  const state = new Array<number>(n).fill(0)
  const forward: number[][] = p.steps.map(() => [])
  const walk = (i: number) => {
    state[i] = 1
    for (const j of out[i]!) { if (state[j] === 1) continue; forward[i]!.push(j); if (!state[j]) walk(j) }
    state[i] = 2
  }
  for (let i = 0; i < n; i++) if (!state[i]) walk(i)
  const ends = (i: number) => !forward[i]!.length
  const level = new Array<number>(n).fill(0)
  const into = new Array<number>(n).fill(0)
  for (const l of forward) for (const j of l) into[j]!++
  const queue = [...Array(n).keys()].filter((i) => !into[i])
  const order: number[] = []
  for (let i = queue.shift(); i !== undefined; i = queue.shift()) {
    order.push(i)
    for (const j of forward[i]!) { level[j] = Math.max(level[j]!, level[i]! + 1); if (!--into[j]!) queue.push(j) }
  }
  const rows: number[][] = []
  for (const i of order) (rows[level[i]!] ??= []).push(i)
  const gapX = 40, gapY = 52
  const x = new Array<number>(n).fill(0)
  const y = new Array<number>(n).fill(0)
  let top = 0
  rows.forEach((row, r) => {
    // Wanted: under the parent; the first way straight below, the others beside it.
    const want = new Map<number, number>()
    for (const i of row) {
      const parents = order.filter((q) => level[q]! < r && forward[q]!.includes(i))
      if (!parents.length) { want.set(i, r ? (Math.max(...x) + width + gapX) : 0); continue }
      want.set(i, parents.reduce((sum, q) => { const sibs = forward[q]!.filter((j, k, l) => l.indexOf(j) === k); const k = sibs.sort((a, b) => Number(ends(a)) - Number(ends(b))).indexOf(i); return sum + x[q]! + (k ? k * (width + gapX) : 0) }, 0) / parents.length)
    }
    row.sort((a, b) => want.get(a)! - want.get(b)! || a - b)
    let right = -Infinity
    for (const i of row) { x[i] = Math.max(want.get(i)!, right); right = x[i]! + width + gapX; y[i] = top }
    top += Math.max(...row.map((i) => tall(p.steps[i]!, language))) + gapY
  })
  return Object.fromEntries(p.steps.map((s, i) => [s.id, own[s.id] ?? { x: Math.round(x[i]!), y: Math.round(y[i]!) }]))
}

/** findingsAt are those that belong to a step. */
export const findingsAt = (list: Finding[], id: string) => list.filter((f) => f.step === id)

/** inputsFrom makes values of what was typed into a form, or says which one is missing. */
export function inputsFrom(inputs: Variable[], typed: Record<string, string>): { inputs: Record<string, unknown> } | { missing: string } {
  const out: Record<string, unknown> = {}
  for (const v of inputs) {
    const s = (typed[v.name] ?? '').trim()
    if (!s) { if (v.default === undefined || v.default === null) return { missing: v.name }; continue }
    if (v.type === 'number') { const x = decimal(s); if (x === undefined) return { missing: v.name }; out[v.name] = x }
    else if (v.type === 'yes_no') out[v.name] = s === 'true'
    else if (v.type === 'list') out[v.name] = s.split(',').map((x) => x.trim()).filter(Boolean)
    else if (v.type === 'date_time') { const d = new Date(s); if (Number.isNaN(d.getTime())) return { missing: v.name }; out[v.name] = d.toISOString() }
    else out[v.name] = s
  }
  return { inputs: out }
}

/** sample fills inputs for trying a dialog out, where nobody gave any. */
export function sample(v: Variable, now = new Date()): string {
  if (v.default !== undefined && v.default !== null) return String(v.default)
  const day = new Date(now.getTime() + 2 * 86_400_000)
  switch (v.type) {
    case 'number': return '3'
    case 'yes_no': return 'true'
    case 'date': return day.toISOString().slice(0, 10)
    case 'date_time': return day.toISOString().slice(0, 11) + '14:30'
    case 'list': return 'A, B'
    default: return v.name
  }
}

/** outcomes are how dialogs of a kind ended, the most frequent first. */
export function outcomes(ended: Record<string, number> | null | undefined): { name: string; n: number; part: number }[] {
  const all = Object.entries(ended ?? {}).filter(([, n]) => n > 0)
  const sum = all.reduce((s, [, n]) => s + n, 0)
  return all.sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([name, n]) => ({ name, n, part: n / sum }))
}
