// Two versions of a text, line by line: what went, what came, what stayed. Pure.

export interface Line { kind: 'same' | 'gone' | 'new'; text: string; a: number; b: number }

/** diff compares by the longest common subsequence of lines; equal heads and tails are cut off first. */
export function diff(before: string, after: string): Line[] {
  const a = before.split('\n'), b = after.split('\n')
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head++
  let tail = 0
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++
  const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail)
  const out: Line[] = []
  for (let i = 0; i < head; i++) out.push({ kind: 'same', text: a[i]!, a: i + 1, b: i + 1 })
  // Very long changes are shown as one block gone and one block new.
  if (x.length * y.length > 4_000_000) {
    x.forEach((t, i) => out.push({ kind: 'gone', text: t, a: head + i + 1, b: 0 }))
    y.forEach((t, i) => out.push({ kind: 'new', text: t, a: 0, b: head + i + 1 }))
  } else {
    const m = y.length + 1
    const l = new Uint32Array((x.length + 1) * m)
    for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--) l[i * m + j] = x[i] === y[j] ? l[(i + 1) * m + j + 1]! + 1 : Math.max(l[(i + 1) * m + j]!, l[i * m + j + 1]!)
    let i = 0, j = 0
    while (i < x.length || j < y.length) {
      if (i < x.length && j < y.length && x[i] === y[j]) { out.push({ kind: 'same', text: x[i]!, a: head + i + 1, b: head + j + 1 }); i++; j++ }
      else if (j >= y.length || (i < x.length && l[(i + 1) * m + j]! >= l[i * m + j + 1]!)) { out.push({ kind: 'gone', text: x[i]!, a: head + i + 1, b: 0 }); i++ }
      else { out.push({ kind: 'new', text: y[j]!, a: 0, b: head + j + 1 }); j++ }
    }
  }
  for (let k = 0; k < tail; k++) out.push({ kind: 'same', text: a[a.length - tail + k]!, a: a.length - tail + k + 1, b: b.length - tail + k + 1 })
  return out
}

/** near keeps what changed and a few lines around it; the gaps between are given as a number of lines left out. */
export function near(lines: Line[], around = 3): (Line | { left: number })[] {
  const keep = new Set<number>()
  lines.forEach((l, i) => { if (l.kind !== 'same') for (let k = i - around; k <= i + around; k++) keep.add(k) })
  const out: (Line | { left: number })[] = []
  let left = 0
  lines.forEach((l, i) => {
    if (!keep.has(i)) { left++; return }
    if (left) { out.push({ left }); left = 0 }
    out.push(l)
  })
  if (left) out.push({ left })
  return out
}
