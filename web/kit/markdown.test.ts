import { describe, expect, test } from 'vitest'
import { blocks, inline } from './markdown'

describe('guides', () => {
  test('headings, paragraphs, lists with what belongs to an item, code', () => {
    const b = blocks('# Teams\n\nPeople write\nto an app.\n\n1. First\n   goes on here.\n2. Second:\n\n       rufweite channel add\n\n3. Third\n\nAfter.')
    expect(b.map((x) => x.kind)).toEqual(['heading', 'p', 'list', 'p'])
    expect(b[1]).toEqual({ kind: 'p', text: [{ text: 'People write to an app.' }] })
    const list = b[2] as Extract<(typeof b)[number], { kind: 'list' }>
    expect(list.ordered).toBe(true)
    expect(list.items.map((x) => x.map((y) => y.kind))).toEqual([['p'], ['p', 'code'], ['p']])
    expect(list.items[1]![1]).toEqual({ kind: 'code', code: 'rufweite channel add' })
  })
  test('a table; a bar in code is no border', () => {
    const [t] = blocks('| key | meaning |\n|---|---|\n| `a|b` | **x** |')
    expect(t).toEqual({ kind: 'table', head: [[{ text: 'key' }], [{ text: 'meaning' }]], rows: [[[{ text: 'a|b', as: 'code' }], [{ text: 'x', as: 'b' }]]] })
  })
  test.each([
    ['see https://dev.example/x.', [{ text: 'see ' }, { text: 'https://dev.example/x', href: 'https://dev.example/x' }, { text: '.' }]],
    ['[ok](https://a.example) [no](javascript:alert(1))', [{ text: 'ok', href: 'https://a.example' }, { text: ' ' }, { text: 'no' }, { text: ')' }]],
    ['<img src=x onerror=alert(1)>', [{ text: '<img src=x onerror=alert(1)>' }]],
    ['2 * 3 * 4 and *so*', [{ text: '2 * 3 * 4 and ' }, { text: 'so', as: 'i' }]],
  ])('inline %s', (s, want) => expect(inline(s)).toEqual(want))
  test('nothing makes it run for ever', () => {
    for (const s of ['', '|', '|\n|-', '-', '- \n- ', '1. \n\n\n2.', '```', '#', '    ', '* *', ' - a\n- b\n   - c', '>'.repeat(50), '- '.repeat(2000)]) expect(Array.isArray(blocks(s))).toBe(true)
  })
  test('every guide reads completely', () => {
    const guides = import.meta.glob<string>('../../internal/channel/*/README.md', { query: '?raw', import: 'default', eager: true })
    expect(Object.keys(guides).length).toBeGreaterThan(10)
    for (const [name, text] of Object.entries(guides)) {
      const flat = JSON.stringify(blocks(text))
      for (const h of text.match(/^#+ .*$/gm) ?? []) expect(flat, name).toContain(h.replace(/^#+ /, '').split(/[`*"]/)[0]!.trim().slice(0, 20))
    }
  })
})
