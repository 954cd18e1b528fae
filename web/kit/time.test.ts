import { describe, expect, it } from 'vitest'
import { ago, clock, dayName, exact, relative, shortly, size, snoozeChoices } from './time'

const now = new Date(2026, 11, 1, 9, 45).getTime() // local time, Tuesday
const before = (min: number) => new Date(now - min * 60_000).toISOString()

describe('relative', () => {
  const table: [number, string, string][] = [
    [0, 'jetzt', 'now'], [0.9, 'jetzt', 'now'], [1, '1 Min.', '1 min'], [2.9, '2 Min.', '2 min'], [59, '59 Min.', '59 min'],
    [60, '1 Std.', '1 h'], [23 * 60 + 59, '23 Std.', '23 h'], [24 * 60, 'gestern', 'yesterday'], [33 * 60, 'gestern', 'yesterday'],
    [34 * 60, '29. Nov.', '29 Nov'], [-0.5, 'jetzt', 'now'], [-5, 'in 5 Min.', 'in 5 min'], [-120, 'in 2 Std.', 'in 2 h'],
  ]
  for (const [min, de, en] of table) it(`${min} minutes ago is "${de}" and "${en}"`, () => {
    expect(relative(before(min), now, 'de')).toBe(de)
    expect(relative(before(min), now, 'en')).toBe(en)
  })
  it('names the year when it is another one', () => expect(relative(new Date(2025, 2, 3, 12).toISOString(), now, 'de')).toBe('3. März 2025'))
  it('is empty for what is no time', () => expect(relative('', now, 'de')).toBe(''))
})

describe('other forms', () => {
  it('ago fits into a sentence', () => {
    expect([0.5, 5, 120, 25 * 60].map((m) => ago(before(m), now, 'de'))).toEqual(['gerade eben', 'vor 5 Min.', 'vor 2 Std.', 'gestern'])
    expect(ago(before(5), now, 'en')).toBe('5 min ago')
  })
  it('exact has weekday, date and second', () => expect(exact(new Date(2026, 11, 1, 9, 43, 12).toISOString(), 'de')).toMatch(/^Dienstag, 1\. Dezember 2026.*09:43:12$/))
  it('dayName says today and yesterday', () => {
    expect(dayName(before(5), now, 'de')).toBe('Heute, Dienstag, 1. Dezember')
    expect(dayName(before(24 * 60), now, 'en')).toMatch(/^Yesterday, Monday/)
    expect(dayName(new Date(2026, 10, 3, 12).toISOString(), now, 'de')).toBe('Dienstag, 3. November')
  })
  it('shortly leaves out the day where it is today', () => {
    expect(shortly(before(2), now, 'de')).toBe(clock(before(2), 'de'))
    expect(shortly(new Date(2026, 11, 2, 8).toISOString(), now, 'de')).toBe('morgen, 08:00')
    expect(shortly(new Date(2026, 11, 24, 8).toISOString(), now, 'en')).toBe('24 Dec, 08:00')
  })
  it('sizes', () => { expect(size(999, 'de')).toBe('999 B'); expect(size(1500, 'de')).toBe('1,5 KB'); expect(size(212_000, 'en')).toBe('212 KB'); expect(size(2_500_000, 'de')).toBe('2,5 MB') })
})

describe('snoozeChoices', () => {
  const keys = (d: Date) => snoozeChoices(d).map((c) => c.key)
  it('offers the afternoon only before it', () => {
    expect(keys(new Date(2026, 11, 1, 9))).toContain('evening')
    expect(keys(new Date(2026, 11, 1, 15))).not.toContain('evening')
  })
  it('next Monday is at 8, and never the same as tomorrow', () => {
    const monday = snoozeChoices(new Date(2026, 11, 1, 9)).find((c) => c.key === 'monday')!.at
    expect([monday.getDay(), monday.getHours(), monday.getDate()]).toEqual([1, 8, 7])
    expect(keys(new Date(2026, 11, 6, 9))).not.toContain('monday') // Sunday
    expect(snoozeChoices(new Date(2026, 10, 30, 9)).find((c) => c.key === 'monday')!.at.getDate()).toBe(7) // on a Monday: the next one
  })
  it('every choice lies ahead, across the end of the month too', () => {
    for (let h = 0; h < 24; h++) { const d = new Date(2026, 11, 31, h, 30); for (const c of snoozeChoices(d)) expect(c.at.getTime()).toBeGreaterThan(d.getTime()) }
  })
})
