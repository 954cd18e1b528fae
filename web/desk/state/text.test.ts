import { describe, expect, it } from 'vitest'
import { length, mailboxes, parts, showMailboxes } from './text'

describe('length', () => {
  it('counts as the channel does', () => { expect(length('ä🙂', 'code_points')).toBe(2); expect(length('ä🙂', 'utf16')).toBe(3); expect(length('ä🙂', 'bytes')).toBe(6) })
})
describe('parts', () => {
  it('is one without a limit', () => expect(parts('x'.repeat(9000), {})).toBe(1))
  it('grows with the text', () => { expect(parts('', { text_max: 10 })).toBe(1); expect(parts('x'.repeat(10), { text_max: 10 })).toBe(1); expect(parts('x'.repeat(11), { text_max: 10 })).toBe(2) })
})
describe('mailboxes', () => {
  it('reads names and addresses', () => expect(mailboxes('Anna <anna@a.example>, b@b.example;')).toEqual({ list: [{ name: 'Anna', address: 'anna@a.example' }, { name: '', address: 'b@b.example' }], bad: [] }))
  it('names what is none', () => expect(mailboxes('anna, b@b.example').bad).toEqual(['anna']))
  it('survives a round trip', () => { const s = 'Anna <anna@a.example>, b@b.example'; expect(showMailboxes(mailboxes(s).list)).toBe(s) })
})
