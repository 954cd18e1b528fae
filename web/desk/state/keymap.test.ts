import { describe, expect, it } from 'vitest'
import { actions, command, defaults, keyOf, remap, usable, type KeySettings, type Press } from './keymap'

const on: KeySettings = { enabled: true, keys: {} }
const press = (key: string, more: Partial<Press> = {}): Press => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...more })

describe('command', () => {
  for (const a of actions) it(`${defaults[a]} is ${a}`, () => expect(command(press(defaults[a]), on, false, false)).toBe(a))
  it('never fires a single key in a field', () => { for (const a of actions) expect(command(press(defaults[a]), on, true, false)).toBeNull() })
  it('fires none when switched off', () => { for (const a of actions) expect(command(press(defaults[a]), { ...on, enabled: false }, false, false)).toBeNull() })
  it('leaves combinations to the browser', () => {
    for (const m of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }]) expect(command(press('r', m), on, false, false)).toBeNull()
  })
  it('opens the palette with the platform’s modifier, in fields and when single keys are off', () => {
    const off = { ...on, enabled: false }
    expect(command(press('k', { ctrlKey: true }), off, true, false)).toBe('palette')
    expect(command(press('K', { metaKey: true }), off, true, true)).toBe('palette')
    expect(command(press('k', { metaKey: true }), on, false, false)).toBeNull()
    expect(command(press('k', { ctrlKey: true }), on, false, true)).toBeNull()
  })
  it('ignores what an input method composes', () => expect(command(press('r', { isComposing: true }), on, false, false)).toBeNull())
  it('tells capitals apart', () => expect(command(press('R'), on, false, false)).toBeNull())
})

describe('remap', () => {
  it('gives the new key and swaps with its holder', () => {
    const s = remap('reply', 'n', on)
    expect(keyOf('reply', s)).toBe('n')
    expect(keyOf('note', s)).toBe('r')
  })
  it('never gives one key to two actions', () => {
    let s = on
    for (const [a, k] of [['reply', 'x'], ['note', 'x'], ['close', 'r'], ['reply', 'e'], ['help', 'x']] as const) {
      s = remap(a, k, s)
      expect(keyOf(a, s)).toBe(k)
      expect(new Set(actions.map((x) => keyOf(x, s))).size).toBe(actions.length)
    }
  })
  it('back to the default leaves no override', () => expect(remap('reply', 'r', remap('reply', 'x', on)).keys).toEqual({}))
  it('takes printable characters only', () => { expect(['a', 'ä', '?', 'Enter', ' ', 'Shift'].map(usable)).toEqual([true, true, true, false, false, false]) })
})
