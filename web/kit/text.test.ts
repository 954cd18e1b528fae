import { describe, expect, it } from 'vitest'
import { hue, initials } from './face'
import { de } from './i18n/de'
import { en } from './i18n/en'
import { pieces, split } from './linkify'

describe('pieces', () => {
  const hrefs = (s: string) => pieces(s).filter((p) => p.href).map((p) => p.href)
  it('finds addresses and leaves punctuation outside', () => {
    expect(hrefs('Siehe https://a.example/x?y=1#z. Und (https://b.example/c)!')).toEqual(['https://a.example/x?y=1#z', 'https://b.example/c'])
    expect(hrefs('https://a.example/wiki/X_(Y)')).toEqual(['https://a.example/wiki/X_(Y)'])
  })
  it('never makes a link of anything but http and https', () => {
    expect(hrefs('javascript:alert(1) data:text/html,x file:///etc/passwd')).toEqual([])
    expect(hrefs('https://a.example/"onmouseover="x')).toEqual(['https://a.example/'])
  })
  it('loses no character', () => { for (const s of ['', 'https://', 'a https://a.example. b', 'https://a.example,https://b.example']) expect(pieces(s).map((p) => p.text).join('')).toBe(s) })
})

describe('split', () => {
  it('folds the quoted mail with its introduction', () => expect(split('Danke.\n\nAm 23.11. schrieb M. Berger:\n> Guten Tag\n> Gruß\n')).toEqual({ own: 'Danke.', quoted: 'Am 23.11. schrieb M. Berger:\n> Guten Tag\n> Gruß' }))
  it('leaves a quote in the middle, and a mail that is only a quote', () => {
    expect(split('> Wann?\nMorgen.').quoted).toBe('')
    expect(split('> nur Zitat').own).toBe('> nur Zitat')
  })
})

describe('faces', () => {
  const table: [string, string][] = [['Ayşe Yıldız', 'AY'], ['miriam', 'M'], ['+49 151 678', '+49'], ['', '?'], ['…', '?'], ['Anna Maria Berg', 'AB'], ['a.b@kunde.example', 'A'], ['𝒳 Y', '𝒳Y']]
  for (const [name, want] of table) it(`${name} is ${want}`, () => expect(initials(name)).toBe(want))
  it('tints are stable and in range', () => { for (const n of ['a', 'Ayşe', 'Jonas']) { expect(hue(n)).toBe(hue(n)); expect(hue(n)).toBeGreaterThanOrEqual(0); expect(hue(n)).toBeLessThan(360) } })
})

describe('dictionaries', () => {
  it('have the same words, none empty', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(de).sort())
    for (const d of [de, en]) for (const [k, v] of Object.entries(d)) if (typeof v === 'string') expect(v, k).not.toBe('')
  })
})
