import { describe, expect, test } from 'vitest'
import type { ChannelKind, Handover, Template } from '../../kit/api'
import { append, sentences } from './handover'
import { grouped, long } from './kindgroups'
import { column, errorOf, get, headers, parse, set } from './mapping'
import { around, closing, fill, find, propose } from './templates'

const tpl = (o: Partial<Template>): Template => ({ name: 'abhol_termin', language: 'de', category: 'UTILITY', status: 'approved', body: 'Guten Tag {{1}}, Ihr {{2}} ist fertig.', params: 2, ...o })

describe('templates', () => {
  test('places are filled, empty ones stay visible', () => {
    expect(fill(tpl({ header: 'Berger', footer: 'Antworten Sie STOP' }), [' Frau\nYıldız ', ''])).toBe('Berger\n\nGuten Tag Frau Yıldız, Ihr {{2}} ist fertig.\n\nAntworten Sie STOP')
    expect(fill(tpl({ body: '{{1}} kostet', params: 1 }), ['$& {{2}}'])).toBe('$& {{2}} kostet')
  })
  test('the customer’s name is proposed, a number is not', () => {
    expect(propose(tpl({}), 'Ayşe Yıldız')).toEqual(['Ayşe Yıldız', ''])
    expect(propose(tpl({}), '+49 151 12345678')).toEqual(['', ''])
    expect(propose(tpl({ params: 0 }), 'A')).toEqual([])
  })
  test('usable first, the customer’s language first; every word counts', () => {
    const list = [tpl({ name: 'a', status: 'rejected' }), tpl({ name: 'b', language: 'en_US' }), tpl({ name: 'c' }), tpl({ name: 'd', unfit: 'Bild' })]
    expect(find(list, '', 'de').map((x) => x.name)).toEqual(['c', 'b', 'a', 'd'])
    expect(find([tpl({}), tpl({ name: 'x', body: 'Rechnung' })], 'TERMIN abhol', 'de').map((x) => x.name)).toEqual(['abhol_termin'])
  })
  test('where a place stands', () => expect(around(tpl({}), 2)).toBe('Guten Tag …, Ihr ▢ ist fertig.'))
  test('the window is worth a word near its end only', () => {
    const now = Date.parse('2026-11-24T10:00:00Z')
    expect(closing('2026-11-24T13:00:00Z', now)).toBe(3 * 3_600_000)
    expect([closing('2026-11-25T09:00:00Z', now), closing('2026-11-24T09:00:00Z', now), closing(null, now)]).toEqual([0, 0, 0])
  })
})

describe('going on elsewhere', () => {
  const h: Handover = { code: 'KX7 4QM', text: 'x', page: 'https://r.example/contact?code=KX74QM', ways: [], expires_at: '' }
  const way = (carries: '' | 'text' | 'token') => ({ channel_id: 'c', kind: 'telegram', name: 'Bot', link: 'https://t.me/b?start=KX74QM', carries })
  test('a link that carries the token needs no code', () => expect(sentences(h, way('token'), 'de')).toBe('Wenn Sie mögen, schreiben wir auf Telegram weiter: https://t.me/b?start=KX74QM'))
  test('otherwise the code stands in words, in the customer’s language', () => {
    expect(sentences(h, way('text'), 'en')).toContain('as it is (code KX7 4QM)')
    expect(sentences(h, way(''), 'de')).toContain('diesen Code: KX7 4QM')
  })
  test('every way is a page', () => expect(sentences(h, null, 'en')).toContain(h.page))
  test('the draft stays', () => { expect(append('Hallo \n', 'x')).toBe('Hallo\n\nx'); expect(append(' ', 'x')).toBe('x') })
})

describe('kinds', () => {
  const kind = (kind: string): ChannelKind => ({ kind, title: { de: kind, en: kind }, capabilities: {} as ChannelKind['capabilities'], settings: [] })
  test('grouped and searchable in both languages', () => {
    const list = ['smpp', 'email', 'twilio', 'neu', 'webhook'].map(kind)
    expect(grouped(list, '', 'de').map((g) => `${g.group}:${g.kinds.map((k) => k.kind)}`)).toEqual(['mail:email', 'messenger:neu', 'sms:smpp,twilio', 'own:webhook'])
    expect(grouped(list, 'mailbox', 'de').flatMap((g) => g.kinds.map((k) => k.kind))).toEqual(['email'])
  })
  test('what has several lines', () => expect(['private_key', 'service_account', 'tls_ca', 'receive', 'jwks', 'token', 'send_mode'].map(long)).toEqual([true, true, true, true, true, false, false]))
})

describe('a description', () => {
  test('a field changes one key and leaves the rest', () => {
    const s = '{"auth":{"type":"ip","allow":["::1"]},"from":"a"}'
    expect(parse(set(s, 'from', 'body.x'))).toEqual({ auth: { type: 'ip', allow: ['::1'] }, from: 'body.x' })
    expect(get(s, 'auth.allow')).toBe('["::1"]')
    expect(parse(set(s, 'auth.type', ''))).toEqual({ auth: { allow: ['::1'] }, from: 'a' })
    expect(set('', 'auth.type', 'none')).toBe('{\n  "auth": {\n    "type": "none"\n  }\n}')
    expect(set('{broken', 'from', 'x')).toBe('{broken')
    expect(set('{"from":"a"}', 'from', '')).toBe('')
  })
  test('pasted header lines', () => expect(headers('POST /in HTTP/1.1\r\nX-Signature: sha256=ab:c\r\n content-type:application/json')).toEqual({ 'X-Signature': 'sha256=ab:c', 'content-type': 'application/json' }))
  test('the column of an error, and whose it is', () => {
    expect(column('receive.from: ERROR: <input>:1:11: Syntax error')).toBe(11)
    expect(column('nothing')).toBe(0)
    expect(errorOf('receive.from, column 5: no', 'receive.from')).toBe('no')
    expect(errorOf('receive.from_x: no', 'receive.from')).toBe('')
    expect(errorOf('send: send.body: no', 'send.body')).toBe('no')
  })
})
