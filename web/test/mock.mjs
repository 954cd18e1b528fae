// A stand-in for the server: the desk's contract in memory, with an insurance broker's invented data. For development and
// browser tests only. Run: node test/mock.mjs [--port 4173] [--rows 100000] [--empty] [--no-ws]
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, existsSync, statSync } from 'node:fs'
import http from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { guide, examples, moreKinds, templateList, tryIn, tryOut } from './mockreach.mjs'
import { attempt, broken, check, checkAsk, optionsOf, ready, render, resolve, slots, templates, textIn, toSource, valueText } from './mockasks.mjs'

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png' }
const csp = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; object-src 'none'"
const dist = process.env.DIST ?? fileURLToPath(new URL('../dist', import.meta.url))
const minute = 60_000, hour = 60 * minute, day = 24 * hour

// A 96 × 72 picture, so that attachments have something to show.
const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="240"><defs><linearGradient id="g" x2="0" y2="1"><stop stop-color="#b9c3c7"/><stop offset="1" stop-color="#3e474b"/></linearGradient></defs><rect width="320" height="240" fill="url(#g)"/><path d="M60 170h200l-24-48h-40l-24-30h-56l-28 36-32 8z" fill="#1f2629"/><circle cx="108" cy="172" r="20" fill="#111"/><circle cx="216" cy="172" r="20" fill="#111"/></svg>`

export function startMock({ port = 0, rows = 0, empty = false, ws = true, hold = 5000, fresh = false } = {}) {
  let n = 0
  const id = () => `0190${(++n).toString(16).padStart(4, '0')}-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
  const iso = (t) => new Date(t).toISOString()
  const now = () => Date.now()
  const ago = (ms) => iso(now() - ms)
  const db = { org: 'Berger & Partner', staff: [], channels: [], customers: [], conversations: [], messages: new Map(), drafts: new Map(), attachments: new Map(), work: [], signedIn: !fresh, setup: fresh, totp: false, language: 'de', signature: '', password: 'ein langer satz', merged: [], seen: new Map(), requests: [], blocks: [], units: [], views: [], senders: [], preferences: {}, participants: new Map(), presence: new Map(), mentions: [], joined: [], splits: new Map(), declined: new Set(), asks: [], dialogs: new Map(), instances: [] }
  const live = new Set()
  let seq = 1000
  const log = []
  let refuseUntil = 0
  const mode = { send: '' }

  // People, channels
  const person = (name, email, role, presence = 'here') => { const s = { id: id(), name, email, role, enabled: true, totp_enabled: false, presence, language: 'de', unit_id: null }; db.staff.push(s); return s }
  const miriam = person('Miriam Berger', 'miriam@berger.example', 'owner')
  const jonas = person('Jonas Krämer', 'jonas@berger.example', 'advisor')
  const leyla = person('Leyla Aydın', 'leyla@berger.example', 'manager', 'away')
  const chan = (kind, name, settings, health = {}) => {
    const c = { id: id(), kind, name, settings, enabled: true, health: { state: 'green', reason: '', remedy: '', checked_at: ago(4 * minute), last_inbound_at: ago(2 * minute), last_outbound_at: ago(11 * minute), ...health }, webhook_url: '', can_send: true, why_not: '' }
    db.channels.push(c)
    return c
  }
  let mail, tg, wa
  if (!empty) {
    mail = chan('email', 'Servicepostfach', { address: 'service@berger.example', imap_host: 'imap.berger.example', imap_password: '•••', smtp_host: 'smtp.berger.example' })
    tg = chan('telegram', 'Berger-Bot', { token: '•••' })
    wa = chan('whatsapp', 'WhatsApp Berger', { phone_number_id: '1098', access_token: '•••' }); wa.webhook_url = 'https://rufweite.berger.example/in/whatsapp/' + wa.id; db.channels.splice(db.channels.indexOf(wa), 1)
    tg.webhook_url = 'https://rufweite.berger.example/in/telegram/' + tg.id
    chan('email', 'Schadenpostfach', { address: 'schaden@berger.example', imap_password: '•••' }, { state: 'red', reason: 'Der Mailserver lehnt die Anmeldung ab.', remedy: 'Tragen Sie das neue Passwort des Postfachs ein und prüfen Sie noch einmal.', last_outbound_at: null, last_inbound_at: ago(3 * day) })
  }
  const kinds = [
    { kind: 'email', title: { de: 'E-Mail', en: 'E-mail' }, capabilities: { text_max: 0, text_unit: 'code_points', html: true, subject: true, copies: true, attachments: true, attachment_max: 25e6, quote: true, write_first: true, window: 0 }, settings: [
      { key: 'address', required: true, secret: false, default: '', help: { de: 'Die E-Mail-Adresse, unter der Kunden schreiben.', en: 'The e-mail address customers write to.' } },
      { key: 'imap_host', required: true, secret: false, default: '', help: { de: 'Posteingangsserver; steht in den Hilfeseiten Ihres Anbieters unter IMAP.', en: 'Incoming server; your provider’s help pages list it under IMAP.' } },
      { key: 'imap_password', required: true, secret: true, default: '', help: { de: 'Das Passwort des Postfachs; bei zweitem Faktor ein App-Passwort.', en: 'The mailbox password; with a second factor, an app password.' } },
      { key: 'smtp_host', required: false, secret: false, default: '', help: { de: 'Postausgangsserver. Leer: derselbe wie der Eingang.', en: 'Outgoing server. Empty: the same as incoming.' } },
      { key: 'tls', required: false, secret: false, default: 'implicit', values: ['implicit', 'starttls'], help: { de: 'Wie die Verbindung verschlüsselt wird.', en: 'How the connection is encrypted.' } } ] },
    { kind: 'telegram', title: { de: 'Telegram', en: 'Telegram' }, capabilities: { buttons: 8, button_title_max: 64, text_max: 4096, text_unit: 'utf16', caption_max: 1024, attachments: true, attachment_max: 50e6, quote: true, write_first: false, window: 0 }, settings: [
      { key: 'token', required: true, secret: true, default: '', help: { de: 'Das Token, das Sie von @BotFather bekommen haben.', en: 'The token that @BotFather gave you.' } },
      { key: 'api_url', required: false, secret: false, default: 'https://api.telegram.org', help: { de: 'Nur für Tests und Proxys.', en: 'For tests and proxies only.' } } ] },
    ...moreKinds,
    { kind: 'webchat', title: { de: 'Web-Chat', en: 'Web chat' }, capabilities: { text_max: 10000, text_unit: 'code_points', attachments: true, quote: true, write_first: false, window: 0 }, settings: [] },
  ]

  // Customers and conversations
  const customer = (name, addresses, extra = {}) => {
    const c = { id: id(), name, language: 'de', notes: '', created_at: iso(Date.parse('2019-03-04')), advisor: { id: miriam.id, name: miriam.name }, addresses: addresses.map(([kind, value, assurance]) => ({ id: id(), kind, value, assurance, channel_id: kind === 'email' ? mail?.id ?? '' : kind === 'telegram' ? tg?.id ?? '' : kind === 'whatsapp' ? wa?.id ?? '' : '', last_used_at: ago(hour), opted_out: false })), last_seen_at: ago(2 * minute), ...extra }
    db.customers.push(c)
    return c
  }
  const row = (c, subject, o = {}) => {
    const r = { id: id(), subject, status: 'open', customer: { id: c.id, name: c.name }, assignee: null, channel_kind: 'email', last_message_at: ago(hour), last_message: null, waiting_since: null, unread: 0, snoozed_until: null, tags: [], failed: false, category: '', unit: null, suggestion: null, joined_into: '', participants: 0, dialog: null, open_asks: 0, ...o }
    db.conversations.push(r)
    db.participants.set(r.id, [])
    db.messages.set(r.id, [])
    return r
  }
  const msg = (r, o) => {
    const c = db.customers.find((x) => x.id === r.customer.id)
    const kind = o.channel ?? r.channel_kind
    const ch = kind === 'telegram' ? tg : kind === 'whatsapp' ? wa : mail
    const adr = c?.addresses.find((a) => a.kind === kind)
    const m = { id: id(), conversation_id: r.id, kind: 'message', direction: 'in', author: 'customer', author_name: '', address: adr?.value ?? '', assurance: adr?.assurance ?? 'observed', subject: r.subject, from: [], to: [], cc: [], bcc: [], text: '', has_html: false, html: '', remote_images: 0, attachments: [], external_id: '', reply_to: '', quote: null, sent_at: iso(now()), edited_at: null, deleted: false, reactions: [], unsupported: '', client_id: '', delivery: null, audience: { customer: o.kind !== 'note' && o.kind !== 'event', participants: [] }, quoted_from: null, authentication: null, ...o, channel: o.kind === 'note' || o.kind === 'event' ? null : ch ? { id: ch.id, kind: ch.kind, name: ch.name } : null }
    if (m.author === 'customer' && !m.author_name) m.author_name = r.customer.name
    db.messages.get(r.id).push(m)
    if (m.kind === 'message' && m.quoted_from === null) { const k = m.text.search(/\n+(Am|On) [^\n]*(schrieb|wrote)[^\n]*:\n>/); if (k > 0) m.quoted_from = k }
    if (m.kind === 'message') {
      r.last_message_at = m.sent_at
      r.last_message = { direction: m.direction, author: m.author, text: m.text.slice(0, 120) }
      r.channel_kind = m.channel?.kind ?? r.channel_kind
    }
    return m
  }
  const sent = (state, at, reason = '', error = '') => ({ id: id(), state, error, reason, at, undo_until: null })

  if (!empty && !fresh) {
    const ay = customer('Ayşe Yıldız', [['telegram', '@ayse_y', 'observed'], ['email', 'ayse@kunde.example', 'verified'], ['phone', '+49 30 90 123', 'claimed']], { notes: 'Lieber abends erreichbar. Zweitwagen seit Juni.' })
    const golf = row(ay, 'Abholung Golf', { channel_kind: 'telegram', assignee: { id: miriam.id, name: miriam.name } })
    const d = now() - 26 * hour
    msg(golf, { channel: 'email', text: 'Guten Tag,\n\nanbei die Fotos vom Schaden und der Unfallbericht. Wie geht es jetzt weiter?\n\nViele Grüße\nAyşe Yıldız', sent_at: iso(d), assurance: 'verified', has_html: true, remote_images: 2, from: [{ name: 'Ayşe Yıldız', address: 'ayse@kunde.example' }], to: [{ name: '', address: 'service@berger.example' }], cc: [{ name: 'Werkstatt Nord', address: 'annahme@werkstatt.example' }], attachments: [{ id: 'pic1', name: 'Stoßstange.jpg', media_type: 'image/svg+xml', size: 812_000, url: '/api/v1/attachments/pic1', state: 'stored', inline: false }, { id: 'pic2', name: 'Kotflügel.jpg', media_type: 'image/svg+xml', size: 744_000, url: '/api/v1/attachments/pic1', state: 'stored', inline: false }, { id: 'pdf1', name: 'Unfallbericht.pdf', media_type: 'application/pdf', size: 212_000, url: '/api/v1/attachments/pdf1', state: 'stored', inline: false }] })
    msg(golf, { channel: 'email', direction: 'out', author: 'staff', author_name: 'Miriam Berger', text: 'Guten Tag, Frau Yıldız,\n\nvielen Dank, alles ist da. Die Werkstatt Nord nimmt den Wagen morgen an: https://werkstatt.example/termin/4711.\n\nIhre Miriam Berger', sent_at: iso(d + 20 * minute), delivery: sent('delivered', iso(d + 21 * minute)) })
    msg(golf, { kind: 'event', event: { type: 'channel_switch', by: '', to: 'telegram' }, sent_at: iso(now() - 52 * minute) })
    msg(golf, { channel: 'telegram', text: 'Guten Morgen, ist mein Golf jetzt fertig?', sent_at: iso(now() - 51 * minute) })
    msg(golf, { kind: 'note', author: 'staff', direction: 'out', author_name: 'Jonas Krämer', text: '@Miriam: Werkstatt ist fertig, Abholung ab Donnerstag, 15 Uhr.', sent_at: iso(now() - 43 * minute) })
    const q = msg(golf, { channel: 'telegram', direction: 'out', author: 'staff', author_name: 'Miriam Berger', text: 'Guten Morgen, Frau Yıldız! Ja, er ist fertig. Wann möchten Sie ihn abholen? Donnerstag 16:00 oder 17:30, oder Freitag um 9:00?', sent_at: iso(now() - 32 * minute), delivery: sent('read', ago(30 * minute)) })
    msg(golf, { channel: 'telegram', author: 'machine', direction: 'out', author_name: 'Assistent', text: 'Ich bin der automatische Assistent. Frau Berger antwortet meist innerhalb von 20 Minuten.', sent_at: iso(now() - 20 * minute), delivery: sent('delivered', ago(20 * minute)) })
    msg(golf, { channel: 'telegram', text: 'Donnerstag ginge, aber erst nach 16 Uhr', sent_at: iso(now() - 2 * minute), reply_to: q.id, quote: { id: q.id, author_name: 'Miriam Berger', text: q.text } })
    golf.waiting_since = ago(2 * minute)

    const jo = customer('Jonas Krause', [['email', 'jonas.krause@post.example', 'verified']])
    const police = row(jo, 'Police 2027, Rückfrage', { assignee: { id: miriam.id, name: miriam.name }, unread: 1, waiting_since: ago(14 * minute) })
    msg(police, { text: 'Guten Tag, in der neuen Police steht eine Selbstbeteiligung von 300 Euro. Vereinbart waren 150.', sent_at: ago(3 * hour), assurance: 'verified' })
    msg(police, { direction: 'out', author: 'staff', author_name: 'Miriam Berger', text: 'Guten Tag, Herr Krause, ich habe beim Versicherer nachgefragt und melde mich heute noch.', sent_at: ago(2 * hour), delivery: sent('uncertain', ago(2 * hour), 'Der Mailserver hat nach dem Absenden nicht mehr geantwortet.', 'read tcp 10.0.0.4:587: i/o timeout after DATA') })
    msg(police, { text: 'Vielen Dank. Heißt das, dass die Selbstbeteiligung noch geändert wird?\n\nAm 23.11. schrieb Miriam Berger:\n> Guten Tag, Herr Krause,\n> ich habe beim Versicherer nachgefragt.', sent_at: ago(14 * minute), assurance: 'verified' })
    police.failed = true

    const un = customer('+49 151 ··· 678', [['telegram', '@unbekannt678', 'observed']], { advisor: null })
    const rech = row(un, 'Frage zur Rechnung', { channel_kind: 'telegram', unread: 2, waiting_since: ago(31 * minute) })
    msg(rech, { text: 'Hallo?', sent_at: ago(35 * minute) })
    msg(rech, { text: 'Es geht um meine Rechnung vom Oktober', sent_at: ago(31 * minute) })

    const he = customer('Helga Fuchs', [['email', 'helga.fuchs@web.example', 'claimed']])
    const adr = row(he, 'Adressänderung', { assignee: { id: jonas.id, name: jonas.name }, waiting_since: null })
    msg(adr, { text: 'Bitte ändern Sie meine Adresse: Lindenweg 4, 10117 Berlin.', sent_at: ago(hour + 4 * minute), assurance: 'claimed' })
    msg(adr, { direction: 'out', author: 'staff', author_name: 'Jonas Krämer', text: 'Guten Tag, Frau Fuchs, das haben wir geändert.', sent_at: ago(hour), delivery: sent('failed', ago(58 * minute), 'Das Postfach von Frau Fuchs ist voll.', '552 5.2.2 Mailbox full') })
    adr.failed = true

    const to = customer('Tomasz Olszewski', [['telegram', '@tomasz_o', 'observed'], ['email', 'tomasz@kunde.example', 'observed']])
    const bau = row(to, 'Baufinanzierung, Unterlagen', { channel_kind: 'telegram', assignee: { id: miriam.id, name: miriam.name } })
    msg(bau, { text: 'Die Gehaltsnachweise schicke ich morgen.', sent_at: ago(27 * hour) })
    const le = customer('Lena Neumann', [['email', 'lena.neumann@post.example', 'observed']])
    const haus = row(le, 'Hausrat nach Umzug', { status: 'snoozed', snoozed_until: iso(now() + 20 * hour), assignee: { id: miriam.id, name: miriam.name } })
    msg(haus, { text: 'Wir ziehen zum 1. Dezember um. Was müssen wir melden?', sent_at: ago(30 * hour), assurance: 'observed' })
    const mk = customer('Mehmet Kaya', [['email', 'm.kaya@werk.example', 'verified']])
    const kfz = row(mk, 'Kfz-Schein nachgereicht', { status: 'closed' })
    msg(kfz, { text: 'Hier der Fahrzeugschein. Danke!', sent_at: ago(3 * day), assurance: 'verified' })
    row(ay, 'Zweitwagen versichern', { assignee: { id: jonas.id, name: jonas.name }, last_message_at: ago(40 * day), last_message: { direction: 'in', author: 'customer', text: 'Danke, alles klar.' } })
    const long = row(to, 'Langer Verlauf', { channel_kind: 'telegram', last_message_at: ago(5 * day) })
    for (let i = 0; i < 180; i++) msg(long, { direction: i % 3 ? 'in' : 'out', author: i % 3 ? 'customer' : 'staff', author_name: i % 3 ? '' : 'Miriam Berger', text: `Nachricht ${i + 1}: ${'ein Satz über die Unterlagen. '.repeat(1 + (i % 4))}`.trim(), sent_at: iso(now() - 6 * day + i * 10 * minute), delivery: i % 3 ? null : sent('read', ago(5 * day)) })
    golf.tags = ['Kfz', 'Schaden']; police.tags = ['Police']
    db.messages.get(adr.id)[0].authentication = { result: 'fail', spf: 'fail', dkim: 'none', dmarc: 'fail', domain: 'web.example' }

    // A claim with third parties: the insurer sees only what was forwarded to it.
    const jv = customer('Jana Vogt', [['email', 'jana.vogt@post.example', 'verified']])
    const wasser = row(jv, 'Wasserschaden Küche, WS-2026-118', { assignee: { id: miriam.id, name: miriam.name }, tags: ['Schaden', 'Hausrat'], participants: 2 })
    const wue = { id: id(), name: 'Württembergische', role: 'insurer', address: { kind: 'email', value: 'schaden@wuerttembergische.example' }, added_by: miriam.id, added_at: ago(5 * hour), messages: 2 }
    const gut = { id: id(), name: 'Sachverständigenbüro Keller', role: 'expert', address: { kind: 'email', value: 'keller@gutachter.example' }, added_by: miriam.id, added_at: ago(4 * hour), messages: 1 }
    db.participants.get(wasser.id).push(wue, gut)
    msg(wasser, { text: 'Guten Tag, in unserer Küche ist ein Rohr geplatzt. Die Fotos hänge ich an.', sent_at: ago(6 * hour), assurance: 'verified', authentication: { result: 'pass', spf: 'pass', dkim: 'pass', dmarc: 'pass', domain: 'post.example' }, attachments: [{ id: 'pic3', name: 'Küche.jpg', media_type: 'image/svg+xml', size: 640_000, url: '/api/v1/attachments/pic1', state: 'stored', inline: false }, { id: 'pdf3', name: 'Kostenvoranschlag.pdf', media_type: 'application/pdf', size: 181_000, url: '/api/v1/attachments/pdf1', state: 'stored', inline: false }] })
    msg(wasser, { direction: 'out', author: 'staff', author_name: 'Miriam Berger', address: wue.address.value, to: [{ name: wue.name, address: wue.address.value }], subject: 'WG: Wasserschaden Küche, WS-2026-118', text: 'Guten Tag, anbei die Meldung unserer Kundin. Übernehmen Sie die Trocknung?', sent_at: ago(5 * hour), audience: { customer: false, participants: [wue.id] }, delivery: sent('delivered', ago(5 * hour)) })
    msg(wasser, { direction: 'in', author: 'participant', author_name: wue.name, participant_id: wue.id, address: wue.address.value, from: [{ name: wue.name, address: wue.address.value }], to: [{ name: '', address: 'service@berger.example' }], cc: [{ name: gut.name, address: gut.address.value }], subject: 'AW: WG: Wasserschaden Küche, WS-2026-118', text: 'Guten Tag, die Trocknung übernehmen wir. Bitte keine Aussage zur Höhe gegenüber der Kundin.\n\nAm 24.11. schrieb Miriam Berger:\n> Guten Tag, anbei die Meldung unserer Kundin.', quoted_from: 'Guten Tag, die Trocknung übernehmen wir. Bitte keine Aussage zur Höhe gegenüber der Kundin.'.length, sent_at: ago(3 * hour), audience: { customer: false, participants: [wue.id, gut.id] } })
    msg(wasser, { direction: 'out', author: 'staff', author_name: 'Miriam Berger', text: 'Guten Tag, Frau Vogt, die Trocknung ist zugesagt. Herr Keller sieht sich den Schaden morgen an.', sent_at: ago(2 * hour), cc: [{ name: gut.name, address: gut.address.value }], audience: { customer: true, participants: [gut.id] }, delivery: sent('delivered', ago(2 * hour)) })
    msg(wasser, { kind: 'note', author: 'staff', direction: 'out', author_name: 'Jonas Krämer', text: '@Miriam Berger Keller kommt um 10 Uhr.', mentions: [miriam.id], sent_at: ago(hour) })
    db.mentions.push({ conversation_id: wasser.id, staff_id: miriam.id, seen: false })
    const nach = row(jo, 'Selbstbeteiligung 150 Euro', { channel_kind: 'email' })
    msg(nach, { text: 'Noch ein Nachtrag zur Police 2027: Der Makler hatte 150 Euro zugesagt. Schein KV-20-4711.', sent_at: ago(4 * hour), assurance: 'verified' })
    nach.suggestion = { kind: 'same_matter', conversation_id: police.id, subject: police.subject, reason: 'number', number: 'KV-20-4711' }
    const letter = customer('Branchendienst', [['email', 'news@branche.example', 'claimed']], { advisor: null })
    const news = row(letter, 'Ihre Neuigkeiten im November', { status: 'closed', category: 'newsletter' })
    msg(news, { text: 'Das Neueste aus der Branche.', sent_at: ago(2 * day), assurance: 'claimed' })
    db.senders.push({ id: id(), address: { kind: 'email', value: 'news@branche.example' }, rule: 'newsletter', by: miriam.id, at: ago(2 * day) }, { id: id(), address: { kind: 'email', value: 'gewinn@spam.example' }, rule: 'spam', by: jonas.id, at: ago(9 * day) })
    db.units.push({ id: id(), name: 'Schaden', signature: 'Ihre Schadenabteilung\nBerger & Partner' }, { id: id(), name: 'Vertrieb', signature: '' })
    db.staff[0].unit_id = db.units[0].id
    db.blocks.push(
      { id: id(), name: 'Begrüßung', shortcut: 'hallo', text: '{{customer.salutation}},\n\nvielen Dank für Ihre Nachricht.', unit_id: null, personal: false, updated_at: ago(20 * day) },
      { id: id(), name: 'Unterlagen Kfz-Schaden', shortcut: 'kfz', text: '{{customer.salutation}},\n\nbitte senden Sie uns zum Vertrag {{contract.number}} noch Fotos und den Unfallbericht.', unit_id: db.units[0].id, personal: false, updated_at: ago(9 * day) },
      { id: id(), name: 'Rückruf', shortcut: 'ruf', text: 'Ich rufe Sie heute noch zurück.\n\n{{advisor.name}}', unit_id: null, personal: true, updated_at: ago(day) })
    db.views.push({ id: id(), name: 'Schäden ohne Antwort', shared: true, query: { status: 'open', tag: 'Schaden' }, pos: 1, mine: true }, { id: id(), name: 'Per E-Mail', shared: false, query: { status: 'open', channel_kind: 'email' }, pos: 2, mine: true })
    // WhatsApp: one whose window is closed, one whose window closes soon; words for what happened between addresses.
    db.channels.push(wa)
    const sara = customer('Sara Lindner', [['whatsapp', '+49 170 5550101', 'observed']])
    sara.addresses[0].template = true
    const tuev = row(sara, 'Zulassung Kombi', { channel_kind: 'whatsapp', assignee: { id: miriam.id, name: miriam.name } })
    msg(tuev, { text: 'Danke, ich melde mich, wenn der Wagen da ist.', sent_at: ago(50 * hour) })
    msg(tuev, { unsupported: 'poll', sent_at: ago(49 * hour) })
    msg(tuev, { kind: 'event', event: { type: 'moved', by: '+49 170 5550199', to: 'whatsapp' }, sent_at: ago(49 * hour) })
    const omar = customer('Omar Haddad', [['whatsapp', '+49 170 5550102', 'observed'], ['email', 'omar@kunde.example', 'verified']])
    omar.addresses[0].closes = iso(now() + 3.2 * hour)
    const roll = row(omar, 'Rollerversicherung', { channel_kind: 'whatsapp', assignee: { id: miriam.id, name: miriam.name } })
    msg(roll, { channel: 'email', text: 'Ich brauche ein Kennzeichen für meinen Roller.', sent_at: ago(23 * hour) })
    msg(roll, { kind: 'event', event: { type: 'continued', by: 'Omar Haddad', to: 'whatsapp' }, sent_at: ago(21.2 * hour) })
    msg(roll, { channel: 'whatsapp', text: 'Geht das bis Freitag?', sent_at: ago(21 * hour) })
    msg(roll, { channel: 'whatsapp', direction: 'out', author: 'staff', author_name: 'Miriam Berger', text: 'Guten Tag, ja: Donnerstag liegt es bereit.', sent_at: ago(20 * hour), delivery: sent('failed', ago(20 * hour), 'Die Nummer nimmt zurzeit nichts an.', '131026') })
    roll.failed = true; roll.last_message_at = ago(21 * hour); tuev.last_message_at = ago(50 * hour)
    db.work.push(
      { id: id(), channel: { id: mail.id, kind: 'email', name: mail.name }, reason: 'Die E-Mail ist beschädigt: Ein Teil hat kein Ende.', error: 'multipart: NextPart: EOF', received_at: ago(6 * hour), sender: 'fax2mail@gateway.example', attempts: 3, state: 'open', size: 48_200, raw: 'From: fax2mail@gateway.example\nTo: service@berger.example\nSubject: Fax 0049309012\nContent-Type: multipart/mixed; boundary="x1"\n\n--x1\nContent-Type: text/plain\n\n1 Seite', raw_type: 'message/rfc822' },
      { id: id(), channel: { id: tg.id, kind: 'telegram', name: tg.name }, reason: 'Telegram meldet etwas, das wir noch nicht kennen.', error: 'unknown update field "gift"', received_at: ago(2 * day), sender: '', attempts: 1, state: 'open', size: 512, raw: '{"update_id":9912,"gift":{"id":"x"}}', raw_type: 'application/json' },
    )
  }
  // Questions and dialogs
  const askOut = (q, one = false) => { const l = q.language, { page_url, ...rest } = q; return { ...rest, ...(one ? { page_url } : {}), dialog: q.dialog && { instance_id: q.dialog.instance_id, step: q.dialog.step }, question: textIn(q.ask.text, l), short: textIn(q.ask.short, l), options: ['yes_no', 'consent', 'rating'].includes(q.ask.kind) ? [] : optionsOf(q.ask, l, slots(l)).map(({ key, label }) => ({ key, label })), value_text: valueText(q.ask, q.value, l) } }
  const dialogRow = (d) => ({ key: d.key, title: d.title, enabled: d.enabled, ready: d.ready, version: d.versions.length, live: d.versions.findLast((v) => v.live)?.version ?? 0, versions: d.versions.length, languages: d.languages, running: db.instances.filter((x) => x.dialog.key === d.key && ['asking', 'waiting', 'calling'].includes(x.status)).length, ended: d.ended, updated_at: d.versions.at(-1)?.at ?? null, updated_by: d.versions.length ? { id: miriam.id, name: miriam.name } : null, findings: check(d.source, db.language).findings.length })
  const dialogFull = (d) => { const c = check(d.source, db.language); return { ...dialogRow(d), source: d.source, program: c.program, found: c.findings, layout: d.layout } }
  const putDialog = (p, o = {}) => { const source = toSource(p); db.dialogs.set(p.dialog, { key: p.dialog, title: p.title, languages: p.languages, enabled: true, ready: true, source, layout: {}, versions: [], ended: {}, original: source, ...o }) }
  const countAsks = (r) => { r.open_asks = db.asks.filter((x) => x.conversation_id === r.id && x.state === 'open').length }
  const askFrame = (q) => { frame({ kind: 'ask', id: q.id, ref: q.id, conversation_id: q.conversation_id, message_id: q.message_id, state: q.state }); const r = db.conversations.find((x) => x.id === q.conversation_id); countAsks(r); rowFrame(r) }
  const newAsk = (r, ask, o = {}) => {
    const q = { id: id(), conversation_id: r.id, customer_id: r.customer.id, message_id: '', dialog: null, ask, state: 'open', value: null, answered_at: null, answered_via: '', answered_by: null, tries: 0, expires_at: iso(now() + 3 * day), remind_at: ask.remind ? iso(now() + day) : null, correctable_until: null, created_by: { id: miriam.id, name: miriam.name }, created_at: iso(now()), page_url: 'https://rufweite.berger.example/a/7kq49f2mx3yz', language: 'de', ...o }
    db.asks.push(q)
    const ch = o.channel ?? r.channel_kind
    const rendered = render(ask, o.text ?? '', q.language, ch === 'telegram' ? 'telegram' : ch, true)
    const m = msg(r, { channel: ch, direction: 'out', author: q.dialog ? 'machine' : 'staff', author_name: q.dialog ? 'Assistent' : miriam.name, text: rendered.text, choices: rendered.choices.map(({ label }) => ({ label })), client_id: o.client_id ?? '', delivery: o.delivery ?? sent('delivered', q.created_at), sent_at: q.created_at })
    m.ask_id = q.id
    q.message_id = m.id
    countAsks(r)
    return { q, m }
  }
  function answerAsk(q, value, by, via, text) {
    const r = db.conversations.find((x) => x.id === q.conversation_id)
    Object.assign(q, { state: 'answered', value, answered_at: iso(now()), answered_via: via, answered_by: by })
    let m
    if (by.kind === 'customer') { m = msg(r, { channel: via, text }); m.answers_id = q.id; r.unread++; messageFrame(m) }
    askFrame(q)
    return q
  }
  if (!fresh) for (const [n, p] of ready.entries()) putDialog(p, { enabled: n < 2, ended: [{ done: 41, handed: 9, expired: 4 }, { handed: 12 }, {}][n] })
  if (!empty && !fresh) {
    putDialog(broken('de'), { enabled: false, ready: false, ended: {}, versions: [{ version: 1, at: ago(3 * day), by: { id: miriam.id, name: miriam.name }, live: true, findings: 0, source: toSource({ ...broken('de'), title: { de: 'Schaden', en: 'Claim' } }) }, { version: 2, at: ago(2 * hour), by: { id: leyla.id, name: leyla.name }, live: false, findings: 4, source: toSource(broken('de')) }] })
    const kfz = db.conversations.find((r) => r.subject === 'Baufinanzierung, Unterlagen')
    const open1 = newAsk(kfz, templates[4].ask, { created_at: ago(26 * hour), created_by: { id: miriam.id, name: miriam.name } })
    void open1
    const answered = newAsk(kfz, templates[0].ask, { created_at: ago(4 * hour), text: 'Guten Tag, Herr Olszewski, wir haben Donnerstag, 14:30 Uhr, für Sie frei.' })
    Object.assign(answered.q, { state: 'answered', value: { yes: true }, answered_at: ago(3 * hour), answered_via: 'telegram', answered_by: { kind: 'customer' }, correctable_until: iso(now() + day) })
    msg(kfz, { channel: 'telegram', text: 'Ja, passt', sent_at: ago(3 * hour) }).answers_id = answered.q.id
    countAsks(kfz)
    // A dialog that runs: its machine asked, and nobody has answered yet.
    const run = db.conversations.find((r) => r.subject === 'Hausrat nach Umzug')
    const inst = { id: id(), dialog: { key: 'confirm-appointment', title: ready[0].title, version: 1 }, status: 'asking', step: 'fits', variables: { car: 'Golf' }, started_at: ago(hour), updated_at: ago(hour), wake_at: null, outcome: '', conversation_id: run.id }
    db.instances.push(inst)
    newAsk(run, { ...ready[0].steps[1].ask, text: { de: 'Können Sie ihn Donnerstag, 14:30 Uhr, abholen?', en: 'Can you pick it up Thursday, 2:30 pm?' } }, { created_at: ago(hour), dialog: { instance_id: inst.id, key: inst.dialog.key, title: inst.dialog.title, step: 'fits' }, created_by: null, text: 'Guten Tag, hier ist der automatische Assistent. Ihr Golf ist fertig.' })
    run.dialog = { instance_id: inst.id, key: inst.dialog.key, title: inst.dialog.title, status: 'asking', step: 'fits' }
  }
  const firstNames = ['Anna', 'Ben', 'Clara', 'David', 'Emine', 'Felix', 'Greta', 'Hasan', 'Ida', 'Jan'], lastNames = ['Schmidt', 'Yılmaz', 'Novak', 'Fischer', 'Weber', 'Öztürk', 'Wagner', 'Kowalski', 'Hoffmann', 'Şahin']
  for (let i = 0; i < rows; i++) {
    const c = { id: id(), name: `${firstNames[i % 10]} ${lastNames[(i / 10 | 0) % 10]} ${i}` }
    db.conversations.push({ id: id(), subject: `Anliegen ${i}`, status: 'open', customer: c, assignee: null, channel_kind: i % 2 ? 'email' : 'telegram', last_message_at: ago(8 * day + i * 30_000), last_message: { direction: 'in', author: 'customer', text: 'Eine Frage zu meinem Vertrag' }, waiting_since: i % 3 ? null : ago(8 * day + i * 30_000), unread: 0, snoozed_until: null, tags: [], failed: false, category: '', unit: null, suggestion: null, joined_into: '', participants: 0 })
  }

  // Live
  function frame(f, stored = true) {
    if (stored) { f.seq = ++seq; log.push(f); if (log.length > 20_000) log.shift() }
    for (const l of live) l.send(JSON.stringify(f), f.seq)
  }
  const troubles = (state) => [...db.messages.values()].flat().filter((x) => x.delivery?.state === state && !x.delivery.handled)
  const rowFrame = (r) => frame({ kind: 'conversation', id: r.id, conversation: { ...r, unread: 0 } })
  const messageFrame = (m) => frame({ kind: 'message', id: m.id, conversation_id: m.conversation_id })
  function joined(send, after) {
    const l = { send }
    if (after) { for (const f of log) if (f.seq > after) send(JSON.stringify(f), f.seq) } else send(JSON.stringify({ kind: 'hello', seq }), seq)
    live.add(l)
    return () => live.delete(l)
  }

  function inbound({ customer: cid, text, channel = 'telegram', subject = '', reply_to = '', file }) {
    const c = db.customers.find((x) => x.id === cid) ?? db.customers[0]
    let r = db.conversations.find((x) => x.customer.id === c.id && x.status !== 'closed' && db.messages.has(x.id))
    if (!r) r = row(c, subject || text.slice(0, 40), { channel_kind: channel })
    r.channel_kind = channel
    if (r.status === 'snoozed') { r.status = 'open'; r.snoozed_until = null }
    r.waiting_since ??= iso(now())
    const atts = file ? [{ id: 'pic1', name: file.name, media_type: file.media_type, size: 1000, url: '/api/v1/attachments/pic1', state: 'stored', inline: false }] : []
    const qm = reply_to && db.messages.get(r.id).find((x) => x.id === reply_to)
    const m = msg(r, { channel, text, attachments: atts, reply_to, quote: qm ? { id: qm.id, author_name: qm.author_name, text: qm.text } : null })
    r.unread++
    messageFrame(m)
    rowFrame(r)
    playLive.forEach((send) => send({ customer: c.id, channel }))
    return m
  }
  function inboundTo(rid, text) { const r = db.conversations.find((x) => x.id === rid); const m = msg(r, { text }); r.waiting_since ??= iso(now()); r.unread++; messageFrame(m); rowFrame(r) }
  const playLive = new Set()

  function deliver(m, states) {
    const [next, ...rest] = states
    if (!next) return
    setTimeout(() => {
      if (m.gone) return
      m.delivery = { ...m.delivery, state: next, at: iso(now()), undo_until: null, ...(next === 'failed' ? { reason: 'Das Postfach ist voll.', error: '552 mailbox full' } : {}) }
      frame({ kind: 'delivery', id: m.delivery.id, message_id: m.id, conversation_id: m.conversation_id, state: next })
      const r = db.conversations.find((x) => x.id === m.conversation_id)
      if (next === 'failed' || next === 'uncertain') { r.failed = true; rowFrame(r) }
      if (next === 'sent') playLive.forEach((send) => send({ customer: r.customer.id, channel: m.channel?.kind }))
      deliver(m, rest)
    }, next === 'sending' ? hold : 250)
  }

  const options = (r) => {
    const c = db.customers.find((x) => x.id === r.customer.id)
    return (c?.addresses ?? []).map((a) => {
      const ch = a.kind === 'email' ? mail : a.kind === 'telegram' ? tg : a.kind === 'whatsapp' ? wa : null
      return { channel_id: ch?.id ?? '', channel_kind: a.kind, channel_name: ch?.name ?? '', address_id: a.id, address: a.value, assurance: a.assurance, window_closes_at: a.closes ?? null, needs_template: !!a.template, can_send: !!ch?.enabled && !a.template, why_not: a.template ? 'Das Antwortfenster dieses Kanals ist geschlossen; eine freigegebene Vorlage geht noch.' : ch ? (ch.enabled ? '' : 'Der Kanal ist ausgeschaltet.') : 'Für diese Nummer ist kein Kanal eingerichtet.' }
    })
  }
  const facts = (r) => {
    const opts = options(r)
    const o = opts.find((x) => x.channel_kind === r.channel_kind && x.can_send) ?? opts.find((x) => x.can_send)
    const de = db.language === 'de'
    return { ...r, reply: o ? { channel_id: o.channel_id, channel_kind: o.channel_kind, channel_name: o.channel_name, address_id: o.address_id, address: o.address, reason: { code: 'last_used', text: de ? 'zuletzt vom Kunden benutzt' : 'last used by the customer' }, window_closes_at: o.window_closes_at, needs_template: o.needs_template } : null, reply_options: opts, also_open: db.conversations.filter((x) => x.customer.id === r.customer.id && x.id !== r.id && x.status === 'open' && !x.joined_into).map((x) => ({ id: x.id, subject: x.subject })), suggestion: r.suggestion && !db.declined.has(r.id) ? r.suggestion : null }
  }
  const custOut = (c) => ({ ...c, open_asks: db.asks.filter((x) => x.customer_id === c.id && x.state === 'open').map((x) => askOut(x)).reverse(), conversations: db.conversations.filter((r) => r.customer.id === c.id).sort((a, b) => (a.last_message_at < b.last_message_at ? 1 : -1)).slice(0, 20), merged: db.merged.filter((m) => m.into === c.id).map(({ id, name, at }) => ({ id, name, at })) })
  const sess = () => { const u = db.staff[0]; return { user: { id: u.id, name: u.name, email: u.email, role: u.role, language: db.language, signature: db.signature, unit_id: u.unit_id }, org: { id: 'o1', name: db.org }, totp_enabled: db.totp, public_url: '' } }
  const fold = (s) => (s ?? '').normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
  const strip = (m) => { const { gone, ask_id, answers_id, ...rest } = m; const q = (k) => { const x = k && db.asks.find((y) => y.id === k); return x ? askOut(x) : null }; return { choices: [], ...rest, ask: q(ask_id), answers: q(answers_id) } }

  function list(items, q, limit0 = 50) {
    const from = Number(q.get('cursor') || 0), limit = Number(q.get('limit') || limit0)
    return { items: items.slice(from, from + limit), next_cursor: from + limit < items.length ? String(from + limit) : '' }
  }
  function conversations(q) {
    const s = q.get('status'), a = q.get('assignee'), k = q.get('channel_kind'), t = fold(q.get('q'))
    const cat = q.get('category'), tag = q.get('tag'), unit = q.get('unit_id')
    if (q.get('mentioned')) return list(db.mentions.filter((x) => x.staff_id === miriam.id).sort((x, y) => x.seen - y.seen).map((x) => db.conversations.find((r) => r.id === x.conversation_id)), q)
    let all = db.conversations.filter((r) => !r.joined_into && (cat ? r.category === cat : !r.category || s === 'closed' || t) && (!tag || r.tags.includes(tag)) && (!unit || r.unit?.id === unit) && (!q.get('failed') || r.failed) && (!s || r.status === s) && (!k || r.channel_kind === k) && (!a || (a === 'me' ? r.assignee?.id === miriam.id : a === 'none' ? !r.assignee : r.assignee?.id === a)) && (!q.get('waiting') || r.waiting_since) && (!q.get('customer_id') || r.customer.id === q.get('customer_id')) && (!t || fold(r.subject + ' ' + r.customer.name + ' ' + (r.last_message?.text ?? '') + ' ' + texts(r)).includes(t)))
    if (t) all = all.map((r) => ({ ...r, hits: hitsOf(r, t) }))
    all = q.get('waiting') ? all.sort((x, y) => (x.waiting_since < y.waiting_since ? -1 : 1)) : all.sort((x, y) => (x.last_message_at < y.last_message_at ? 1 : -1))
    return list(all, q)
  }

  const texts = (r) => (db.messages.get(r.id) ?? []).map((x) => `${x.text} ${x.attachments.map((y) => y.name).join(' ')}`).join(' ')
  // A snippet around each place, marks in UTF-16 units of the snippet. (fold() keeps the length for what is searched here.)
  function hit(message_id, field, text, t) {
    const k = fold(text.normalize('NFC')).indexOf(t)
    if (k < 0) return []
    const from = Math.max(0, k - 30), snippet = (from ? '…' : '') + text.slice(from, k + t.length + 60).replace(/\n/g, ' '), at = k - from + (from ? 1 : 0)
    return [{ message_id, field, snippet, marks: [[at, at + t.length]] }]
  }
  const hitsOf = (r, t) => [...hit('', 'subject', r.subject, t), ...hit('', 'name', r.customer.name, t), ...(db.messages.get(r.id) ?? []).flatMap((x) => [...hit(x.id, 'text', x.text, t), ...x.attachments.flatMap((y) => hit(x.id, 'attachment', y.name, t))])].slice(0, 5)
  const signatureOf = () => db.signature || db.units.find((u) => u.id === db.staff[0].unit_id)?.signature || ''
  // Who gets what, told before and obeyed afterwards.
  function audienceOf(r, b, add = false) {
    const people = db.participants.get(r.id)
    const of = (address, name, field) => {
      const p = people.find((x) => x.address.value === address)
      const cust = db.customers.find((x) => x.id === r.customer.id)?.addresses.some((x) => x.value === address)
      if (!p && !cust && add) people.push({ id: id(), name: name || address, role: b.role ?? 'other', address: { kind: 'email', value: address }, added_by: miriam.id, added_at: iso(now()), messages: 0 })
      return { address, name: name || p?.name || (cust ? r.customer.name : ''), role: p ? 'participant' : cust ? 'customer' : 'new', field }
    }
    const main = b.participant_id ? people.find((x) => x.id === b.participant_id) : null
    const opt = options(r).find((x) => x.address_id === b.address_id) ?? facts(r).reply
    const recipients = [...(b.forward ? b.to.map((x) => of(x, b.name, 'to')) : main ? [of(main.address.value, main.name, 'to')] : [{ address: opt?.address ?? '', name: r.customer.name, role: 'customer', field: 'to' }]),
      ...(b.cc ?? []).map((x) => of(x.address ?? x, x.name, 'cc')), ...(b.bcc ?? []).map((x) => of(x.address ?? x, x.name, 'bcc'))]
    const cust = recipients.some((x) => x.role === 'customer'), third = recipients.some((x) => x.role !== 'customer')
    r.participants = people.length
    return { recipients, customer: cust, ids: people.filter((p) => recipients.some((x) => x.address === p.address.value)).map((p) => p.id), warnings: [...(recipients.some((x) => x.role === 'new') ? ['new_outsider'] : []), ...(cust && third ? ['customer_and_third_party'] : [])] }
  }
  function change(r, c) {
    const undo = {}
    const ev = (type, to = '') => messageFrame(msg(r, { kind: 'event', event: { type, by: db.staff[0].name, to } }))
    if (c.status && c.status !== r.status) { undo.status = r.status; if (r.status === 'snoozed') undo.snoozed_until = r.snoozed_until; if (db.messages.has(r.id)) ev(c.status === 'closed' ? 'closed' : c.status === 'snoozed' ? 'snoozed' : 'reopened', c.snoozed_until ?? ''); r.status = c.status; if (c.status !== 'snoozed') r.snoozed_until = null; if (c.status === 'closed') r.waiting_since = null }
    if (c.snoozed_until) r.snoozed_until = c.snoozed_until
    if ('assignee_id' in c) { undo.assignee_id = r.assignee?.id ?? null; const s = db.staff.find((x) => x.id === c.assignee_id); r.assignee = s ? { id: s.id, name: s.name } : null; if (db.messages.has(r.id)) ev('assigned', s?.name ?? '') }
    const added = (c.tags_add ?? []).filter((x) => !r.tags.includes(x)), gone = (c.tags_remove ?? []).filter((x) => r.tags.includes(x))
    if (added.length) undo.tags_remove = added
    if (gone.length) undo.tags_add = gone
    r.tags = [...r.tags.filter((x) => !gone.includes(x)), ...added]
    rowFrame(r)
    return undo
  }

  const server = http.createServer((req, res) => {
    const url = new URL(req.url, 'http://x')
    const path = url.pathname, q = url.searchParams, m = req.method
    const send = (status, body, headers = {}) => { res.writeHead(status, { 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json', ...headers }); res.end(body === undefined ? '' : JSON.stringify(body)) }
    const problem = (status, code, detail, extra = {}) => send(status, { title: detail, status, code, detail, ...extra })
    if (refuseUntil > now() && path.startsWith('/api/')) { req.socket.destroy(); return }
    const chunks = []
    req.on('data', (c) => chunks.push(c))
    req.on('end', () => {
      const raw = Buffer.concat(chunks)
      let b = {}
      if (raw.length && (req.headers['content-type'] ?? '').includes('json')) try { b = JSON.parse(raw) } catch { return problem(400, 'bad_json', 'Kein JSON.') }
      try { handle(b, raw) } catch (e) { console.error(e); problem(500, 'mock', String(e)) }
    })

    function handle(b, raw) {
      if (path.startsWith('/api/')) db.requests.push(`${m} ${path}${url.search}`)
      // Controls of the mock itself
      if (path === '/mock/inbound') return send(200, inbound(b))
      if (path === '/mock/third') { const r = db.conversations.find((x) => x.id === b.id), who = db.participants.get(r.id)[0]; const x = msg(r, { channel: 'email', author: 'participant', author_name: who.name, participant_id: who.id, address: who.address.value, from: [{ name: who.name, address: who.address.value }], to: (b.to ?? ['service@berger.example']).map((y) => ({ name: '', address: y })), cc: (b.cc ?? []).map((y) => ({ name: '', address: y })), text: b.text, audience: { customer: false, participants: [who.id] } }); messageFrame(x); rowFrame(r); return send(200, strip(x)) }
      if (path === '/mock/drop') { refuseUntil = now() + (b.ms ?? 3000); for (const l of [...live]) l.close?.(); return send(204) }
      if (path === '/mock/mode') { Object.assign(mode, b); return send(204) }
      if (path === '/mock/typing') { frame({ kind: 'typing', conversation_id: b.id, by: 'customer' }, false); return send(204) }
      if (path === '/mock/requests') return send(200, db.requests)
      if (path === '/mock/sent') return send(200, [...db.messages.values()].flat().filter((x) => x.client_id).map((x) => ({ id: x.id, client_id: x.client_id, text: x.text, state: x.delivery?.state, kind: x.kind, attachments: x.attachments.length, cc: x.cc, subject: x.subject, audience: x.audience, mentions: x.mentions ?? [], signature: x.signature ?? '', history: x.history, template: x.template ?? null, channel: x.channel?.kind ?? '', undo_until: x.delivery?.undo_until ?? null })))
      if (path === '/mock/burst') { const rs = db.conversations.filter((r) => r.status === 'open').slice(0, 400); let i = 0; const end = now() + (b.ms ?? 2000); const tick = () => { if (now() > end) return; for (let k = 0; k < 5; k++) { const r = rs[(i++ * 37) % rs.length]; r.last_message_at = iso(now() + i / 1000); r.last_message = { direction: 'in', author: 'customer', text: `Stoß ${i}` }; rowFrame(r) } setTimeout(tick, 16) }; tick(); return send(204) }
      if (path === '/mock/presence') { const st = db.staff[b.staff ?? 1]; if (!db.presence.has(b.id)) db.presence.set(b.id, new Map()); if (b.state === 'left') db.presence.get(b.id).delete(st.id); else db.presence.get(b.id).set(st.id, { staff: { id: st.id, name: st.name }, state: b.state }); frame({ kind: 'presence', conversation_id: b.id, staff: { id: st.id, name: st.name }, state: b.state }, false); return send(204) }
      if (path === '/mock/colleague') { const r = db.conversations.find((x) => x.id === b.id); const x = msg(r, { direction: 'out', author: 'staff', author_name: db.staff[1].name, text: b.text, delivery: sent('sent', iso(now())) }); if (!b.silent) { messageFrame(x); rowFrame(r) } return send(200, x) }
      if (path === '/mock/answer') { const q = db.asks.find((x) => x.id === b.id) ?? db.asks.findLast((x) => x.state === 'open'); return send(200, askOut(answerAsk(q, resolve(q.ask, b.text, q.language), { kind: 'customer' }, b.channel ?? 'telegram', b.text))) }
      if (path === '/mock/signout') { db.signedIn = false; return send(204) }

      // The demo's customer side
      if (path === '/demo/api/customers') return send(200, { items: db.customers.slice(0, 6).map((c, i) => ({ id: c.id, name: c.name, channels: [...new Set(c.addresses.map((a) => a.kind))].filter((k) => k !== 'phone'), avatar_hue: (i * 67) % 360 })) })
      if (path === '/demo/api/threads') { const c = q.get('customer'), k = q.get('channel'); const all = db.conversations.filter((r) => r.customer.id === c).flatMap((r) => db.messages.get(r.id) ?? []).filter((x) => x.kind === 'message' && x.channel?.kind === k && (x.direction === 'in' || ['sent', 'delivered', 'read'].includes(x.delivery?.state))); return send(200, { items: all.map((x) => ({ id: x.id, direction: x.direction === 'in' ? 'out' : 'in', text: x.text, subject: x.subject, at: x.sent_at, attachments: x.attachments.map((a) => ({ name: a.name, url: a.url, media_type: a.media_type })), reply_to: x.reply_to })) }) }
      if (path === '/demo/api/write') { inbound(b); return send(202, {}) }
      if (path === '/demo/api/live') { res.writeHead(200, { 'Content-Type': 'text/event-stream' }); const s = (f) => res.write(`data: ${JSON.stringify(f)}\n\n`); res.write(': hello\n\n'); playLive.add(s); res.on('close', () => playLive.delete(s)); return }

      if (path.startsWith('/api/v1/')) return api(path.slice(8).split('/'), b, raw)
      if (path.startsWith('/api/')) return problem(404, 'not_found', 'Gibt es nicht.')

      // The built pages
      let file = normalize(join(dist, path === '/play' ? '/play.html' : path))
      if (!file.startsWith(dist) || !existsSync(file) || statSync(file).isDirectory()) file = join(dist, 'index.html')
      res.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': csp, 'X-Content-Type-Options': 'nosniff' })
      createReadStream(file).on('error', () => res.end()).pipe(res)   // a build may be running
    }

    function api(p, b, raw) {
      const [a, i, sub] = p
      if (a === 'setup') {
        if (m === 'GET') return q.get('token') === 'T' && db.setup ? send(200, { valid: true }) : problem(db.setup ? 404 : 410, 'gone', 'Der Link gilt nicht.')
        db.setup = false; db.signedIn = true; db.staff.length = 1; Object.assign(db.staff[0], { name: b.name, email: b.email }); db.language = b.language; db.password = b.password
        return send(200, sess())
      }
      if (a === 'invite') {
        if (m === 'GET') return q.get('token') === 'I' ? send(200, { name: 'Jonas Krämer', email: 'jonas@berger.example' }) : problem(410, 'gone', 'Die Einladung gilt nicht mehr.')
        db.signedIn = true
        return send(200, sess())
      }
      if (a === 'org' && m === 'PATCH') { if (!b.name?.trim()) return problem(422, 'invalid', 'Der Name ist leer.', { errors: [{ location: 'body.name', message: 'Der Name ist leer.' }] }); db.org = b.name.trim(); return send(200, { id: 'o1', name: db.org }) }
      if (a === 'session' && !i) {
        if (m === 'GET') return db.signedIn ? send(200, sess()) : problem(401, 'signed_out', 'Sie sind nicht angemeldet.')
        if (m === 'POST') {
          if (b.password === 'zu viele') return problem(429, 'too_many_attempts', 'Zu viele Versuche.', {}, { 'Retry-After': '60' })
          if (b.email !== db.staff[0].email || b.password !== db.password) return problem(401, 'wrong_credentials', 'E-Mail oder Passwort stimmt nicht.')
          if (db.totp && b.totp !== '123456') return problem(401, 'totp_required', 'Code nötig.')
          db.signedIn = true
          return send(200, sess())
        }
        if (m === 'DELETE') { db.signedIn = false; return send(204) }
        if (b.password) { if (b.password.current !== db.password) return problem(422, 'invalid', 'Das Passwort stimmt nicht.', { errors: [{ location: 'body.password.current', message: 'Das bisherige Passwort stimmt nicht.' }] }); db.password = b.password.new }
        if (b.language) db.language = b.language
        if (b.name) db.staff[0].name = b.name
        if (b.signature !== undefined) db.signature = b.signature
        return send(200, sess())
      }
      if (!db.signedIn) return problem(401, 'signed_out', 'Sie sind nicht angemeldet.')
      if (a === 'session' && i === 'totp') {
        if (m === 'POST') return send(200, { secret: 'JBSWY3DPEHPK3PXPJBSWY3DP', uri: 'otpauth://totp/Rufweite:miriam?secret=JBSWY3DPEHPK3PXP', qr_png: 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' })
        if (m === 'PUT') { if (b.code !== '123456') return problem(422, 'invalid', 'Der Code stimmt nicht.', { errors: [{ location: 'body.code', message: 'Der Code stimmt nicht.' }] }); db.totp = true; return send(200, sess()) }
        db.totp = false
        return send(200, sess())
      }
      if (a === 'live') {
        res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
        const leave = joined((text, s) => res.write(`${s ? `id: ${s}\n` : ''}data: ${text}\n\n`), Number(q.get('after') || 0))
        const l = [...live].at(-1); l.close = () => req.socket.destroy()
        res.on('close', leave)
        return
      }
      if (a === 'me') {
        if (i === 'preferences') { if (m === 'PUT') { db.preferences = b; return send(200, b) } return send(200, db.preferences) }
        if (m === 'PATCH') { if (b.signature !== undefined) db.signature = b.signature; return send(200, { ...sess().user, signature_effective: signatureOf() }) }
        return send(200, { ...sess().user, signature_effective: signatureOf() })
      }
      if (a === 'search') {
        const t = fold(q.get('q'))
        return send(200, { conversations: conversations(q).items, customers: db.customers.flatMap((c) => { const hits = [...hit('', 'name', c.name, t), ...c.addresses.flatMap((x) => hit('', 'address', x.value, t))]; return hits.length ? [{ id: c.id, name: c.name, hits }] : [] }) })
      }
      if (a === 'tags') { const n = new Map(); for (const r of db.conversations) for (const x of r.tags) n.set(x, (n.get(x) ?? 0) + 1); return send(200, { items: [...n].map(([name, count]) => ({ name, count })).sort((x, y) => y.count - x.count), next_cursor: '' }) }
      if (a === 'text-blocks' && sub === 'render') {
        const x = db.blocks.find((y) => y.id === i), r = db.conversations.find((y) => y.id === b.conversation_id)
        const missing = []
        const values = { 'customer.name': r?.customer.name, 'customer.first_name': r?.customer.name.split(' ')[0], 'customer.last_name': r?.customer.name.split(' ').at(-1), 'customer.salutation': r && `Guten Tag ${r.customer.name}`, 'advisor.name': db.staff[0].name, 'advisor.email': db.staff[0].email, 'unit.name': db.units.find((u) => u.id === db.staff[0].unit_id)?.name, 'org.name': 'Berger & Partner', 'conversation.subject': r?.subject, number: r?.id.slice(0, 8), today: '24.11.2026' }
        const text = x.text.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (all, k) => values[k] || (missing.push(k), all))
        return send(200, { text, missing })
      }
      const shelf = { 'text-blocks': 'blocks', units: 'units', views: 'views', senders: 'senders' }[a]
      if (shelf) {
        const l = db[shelf]
        if (m === 'GET') return send(200, { items: shelf === 'views' ? l.slice().sort((x, y) => x.pos - y.pos) : l, next_cursor: '' })
        if (m === 'DELETE') { const k = l.findIndex((x) => x.id === i); if (k < 0) return problem(404, 'not_found', 'Gibt es nicht.'); l.splice(k, 1); return send(204) }
        if ('name' in b && !b.name.trim()) return problem(422, 'invalid', 'Ein Name wird gebraucht.', { errors: [{ location: 'body.name', message: 'Ein Name wird gebraucht.' }] })
        if (shelf === 'blocks' && b.text) {
          const known = ['customer.name', 'customer.first_name', 'customer.last_name', 'customer.salutation', 'advisor.name', 'advisor.email', 'unit.name', 'org.name', 'conversation.subject', 'number', 'today', 'contract.number']
          const bad = [...b.text.matchAll(/\{\{\s*([\w.]+)\s*\}\}/g)].map((x) => x[1]).find((x) => !known.includes(x))
          if (bad) return problem(422, 'unknown_variable', `{{${bad}}} gibt es nicht.`, { errors: [{ location: 'body.text', message: `{{${bad}}} gibt es nicht. Möglich sind: ${known.map((x) => `{{${x}}}`).join(' ')}` }] })
        }
        if (m === 'POST') {
          const x = { id: id(), ...(shelf === 'views' ? { shared: false, mine: true, pos: Math.max(0, ...l.map((y) => y.pos)) + 1 } : shelf === 'senders' ? { by: db.staff[0].name, at: iso(now()) } : shelf === 'blocks' ? { shortcut: '', unit_id: null, personal: false, updated_at: iso(now()) } : { signature: '' }), ...b }
          l.push(x)
          return send(201, x)
        }
        const x = l.find((y) => y.id === i)
        if (!x) return problem(404, 'not_found', 'Gibt es nicht.')
        Object.assign(x, b)
        return send(200, x)
      }
      if (a === 'ask-templates') return send(200, { items: templates, next_cursor: '' })
      if (a === 'calendars') return send(200, { items: [{ key: 'workshop', name: 'Werkstatt Nord', zone: 'Europe/Berlin', free: 7, next: iso(now() + day) }], next_cursor: '' })
      if (a === 'asks') {
        if (i === 'preview') { const errors = checkAsk(b.ask, b.language); if (errors.length && !b.ask.text) return problem(422, 'invalid', 'Die Frage ist nicht vollständig.', { errors }); return send(200, { items: b.channels.map((c) => render(b.ask, b.text ?? '', b.language ?? 'de', c)) }) }
        if (!i) return send(200, list(db.asks.filter((x) => (!q.get('conversation_id') || x.conversation_id === q.get('conversation_id')) && (!q.get('customer_id') || x.customer_id === q.get('customer_id')) && (!q.get('state') || x.state === q.get('state'))).map((x) => askOut(x)).reverse(), q))
        const x = db.asks.find((y) => y.id === i)
        if (!x) return problem(404, 'not_found', 'Diese Frage gibt es nicht.')
        if (!sub) return send(200, askOut(x, true))
        if (x.state !== 'open') return problem(409, 'not_open', 'Die Frage ist nicht mehr offen.')
        if (sub === 'withdraw') { x.state = 'withdrawn'; askFrame(x); return send(200, askOut(x)) }
        const value = b.value ?? resolve(x.ask, b.text ?? '', x.language)
        if (!value) return problem(422, 'unclear', 'Das ist keine der Möglichkeiten.', { errors: [{ location: 'body.text', message: 'Das ist keine der Möglichkeiten.' }] })
        return send(200, askOut(answerAsk(x, value, { kind: 'staff', id: miriam.id, name: miriam.name }, '', '')))
      }
      if (a === 'dialog-instances' && sub === 'stop') {
        const x = db.instances.find((y) => y.id === i)
        if (!['asking', 'waiting', 'calling'].includes(x.status)) return problem(409, 'over', 'Der Dialog läuft nicht mehr.')
        x.status = 'stopped'
        const r = db.conversations.find((y) => y.id === x.conversation_id)
        r.dialog = null
        for (const y of db.asks) if (y.dialog?.instance_id === x.id && y.state === 'open') { y.state = 'handed'; askFrame(y) }
        rowFrame(r)
        return send(200, x)
      }
      if (a === 'dialogs') {
        if (i === 'check' && m === 'POST') return send(200, check(b.source, db.language))
        if (i === 'convert' && m === 'POST') return send(200, { source: toSource(b.program) })
        if (i === 'try' && m === 'POST') { const got = attempt(b.source, b); return got ? send(200, got) : problem(422, 'unreadable', 'Der Text ist nicht lesbar.') }
        if (!i) return send(200, { items: [...db.dialogs.values()].map(dialogRow), next_cursor: '' })
        const d = db.dialogs.get(i)
        if (m === 'PUT') {
          const c = check(b.source, db.language)
          if ((d?.versions.length ?? 0) !== b.base_version) return problem(409, 'newer', 'Jemand anders hat inzwischen gespeichert.')
          if (!c.program || (b.enabled && c.findings.length)) return problem(422, 'dead_ends', 'Der Dialog hat Sackgassen.', { findings: c.findings })
          const n = d ?? { key: i, ready: false, layout: {}, versions: [], ended: {}, title: {}, languages: [] }
          n.versions.push({ version: n.versions.length + 1, at: iso(now()), by: { id: miriam.id, name: miriam.name }, live: b.enabled, findings: c.findings.length, source: b.source })
          if (b.enabled) n.versions.slice(0, -1).forEach((v) => (v.live = false))
          Object.assign(n, { source: b.source, enabled: b.enabled, layout: b.layout ?? n.layout, title: c.program?.title ?? n.title, languages: c.program?.languages ?? n.languages })
          db.dialogs.set(i, n)
          return send(200, dialogFull(n))
        }
        if (!d) return problem(404, 'not_found', 'Diesen Dialog gibt es nicht.')
        if (m === 'DELETE') { if (dialogRow(d).running) return problem(409, 'running', 'Der Dialog läuft noch. Übernehmen Sie erst die Gespräche.'); if (d.ready) Object.assign(d, { source: d.original, versions: [] }); else db.dialogs.delete(i); return send(204) }
        if (sub === 'versions') return p[3] ? send(200, { source: d.versions.find((v) => v.version === Number(p[3])).source }) : send(200, { items: d.versions.map(({ source, ...v }) => v).reverse(), next_cursor: '' })
        return send(200, dialogFull(d))
      }
      if (a === 'channel-kinds') {
        if (sub === 'guide') return guide[i] ? send(200, { markdown: guide[i] }) : problem(404, 'not_found', 'Für diese Art von Kanal gibt es keine Anleitung.')
        if (sub === 'examples') return send(200, { items: examples, next_cursor: '' })
        if (sub === 'try') return send(200, tryIn(b))
        if (sub === 'try-outgoing') return send(200, tryOut(b))
        return send(200, { items: kinds })
      }
      if (a === 'staff') {
        if (m === 'GET') return send(200, { items: db.staff, next_cursor: '' })
        if (m === 'POST') { if (db.staff.some((s) => s.email === b.email)) return problem(422, 'invalid', 'Schon vergeben.', { errors: [{ location: 'body.email', message: 'Diese Adresse ist schon vergeben.' }] }); const s = person(b.name, b.email, b.role, 'away'); frame({ kind: 'staff', id: s.id }); return send(200, { ...s, invite_url: '/invite?token=I' }) }
        const s = db.staff.find((x) => x.id === i)
        if (!s) return problem(404, 'not_found', 'Gibt es nicht.')
        const { reset_password, ...rest } = b
        Object.assign(s, rest)
        return send(200, { ...s, ...(reset_password ? { invite_url: '/invite?token=I' } : {}) })
      }
      if (a === 'channels') {
        if (!i) {
          if (m === 'GET') return send(200, { items: db.channels })
          const spec = kinds.find((k) => k.kind === b.kind)
          const errors = spec.settings.filter((s) => s.required && !b.settings?.[s.key]).map((s) => ({ location: `body.settings.${s.key}`, message: 'Das wird gebraucht.' }))
          if (b.kind === 'telegram' && b.settings?.token && !/^\d+:/.test(b.settings.token)) errors.push({ location: 'body.settings.token', message: 'So sieht kein Token von @BotFather aus: Zahl, Doppelpunkt, Buchstaben.' })
          if (errors.length) return problem(422, 'invalid', 'Bitte prüfen Sie die Angaben.', { errors })
          const c = chan(b.kind, b.name, Object.fromEntries(Object.entries(b.settings ?? {}).map(([k, v]) => [k, spec.settings.find((s) => s.key === k)?.secret ? '•••' : v])), { state: 'unknown', checked_at: null, last_inbound_at: null, last_outbound_at: null })
          frame({ kind: 'channel', id: c.id })
          return send(201, c)
        }
        const c = db.channels.find((x) => x.id === i)
        if (!c) return problem(404, 'not_found', 'Gibt es nicht.')
        if (sub === 'templates') { if (p[3] === 'refresh') db.templatesAt = iso(now()); return send(200, { items: c.kind === 'whatsapp' ? templateList : [], asked_at: db.templatesAt ?? ago(3 * hour) }) }
        if (sub === 'test') return b.to?.includes('falsch') ? send(200, { state: 'failed', reason: 'Die Adresse gibt es nicht.', remedy: 'Prüfen Sie die Schreibweise.' }) : send(200, { state: 'sent', reason: '', remedy: '' })
        if (sub === 'check') { c.health = { ...c.health, state: c.name.startsWith('Schaden') ? 'red' : 'green', checked_at: iso(now()) }; return send(200, c) }
        if (m === 'DELETE') { db.channels.splice(db.channels.indexOf(c), 1); return send(204) }
        if (b.settings) Object.assign(c.settings, b.settings)
        if (b.name) c.name = b.name
        if (b.enabled !== undefined) c.enabled = b.enabled
        return send(200, c)
      }
      if (a === 'attachments') {
        if (m === 'POST') { const at = { id: id(), name: decodeURIComponent(req.headers['x-file-name'] ?? 'datei'), media_type: req.headers['content-type'], size: raw.length, state: 'stored', inline: false }; at.url = `/api/v1/attachments/${at.id}`; db.attachments.set(at.id, { ...at, raw }); return send(201, at) }
        const at = db.attachments.get(i)
        if (at) { res.writeHead(200, { 'Content-Type': at.media_type }); return res.end(at.raw) }
        res.writeHead(200, { 'Content-Type': i === 'pdf1' ? 'application/pdf' : 'image/svg+xml' })
        return res.end(i === 'pdf1' ? '%PDF-1.4' : picture)
      }
      if (a === 'messages') {
        const all = [...db.messages.values()].flat()
        const x = all.find((y) => y.id === i)
        if (!x) return problem(404, 'not_found', 'Diese Nachricht gibt es nicht.')
        if (sub === 'raw') { res.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' }); return res.end('{\n  "poll": {}\n}') }
        if (sub === 'html') { res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }); return res.end(`<!doctype html><meta charset="utf-8"><style>body{font:14px/1.5 Georgia,serif;margin:12px}</style><p>Guten Tag,</p><p>anbei die <b>Fotos vom Schaden</b> und der Unfallbericht.</p>${q.get('images') === '1' ? '<p><img src="/api/v1/attachments/pic1" width="120" alt=""></p>' : '<p>[Bild]</p>'}<p>Viele Grüße<br>Ayşe Yıldız</p>`) }
        if (sub === 'cancel') { if (x.delivery?.state !== 'queued') return problem(409, 'already_sent', 'Die Nachricht ist schon gesendet.'); x.gone = true; const l = db.messages.get(x.conversation_id); l.splice(l.indexOf(x), 1); messageFrame(x); return send(200, { text: x.text }) }
        return send(200, strip(x))
      }
      if (a === 'deliveries' && !i) return send(200, list(troubles(q.get('state') || 'uncertain').map((x) => ({ ...x.delivery, message_id: x.id })), q))
      if (a === 'deliveries' && sub === 'resolve') {
        const x = [...db.messages.values()].flat().find((y) => y.delivery?.id === i)
        x.delivery = { ...x.delivery, state: b.as === 'resend' ? 'queued' : b.as, at: iso(now()), handled: true }
        const r = db.conversations.find((y) => y.id === x.conversation_id)
        r.failed = false
        if (b.as === 'resend') deliver(x, ['sent', 'delivered'])
        rowFrame(r)
        return send(200, x.delivery)
      }
      if (a === 'work-items') {
        if (!i) return send(200, list(db.work.filter((w) => w.state === 'open').map(({ raw, ...w }) => w), q))
        const w = db.work.find((x) => x.id === i)
        if (sub === 'retry') { w.attempts++; return send(200, w) }
        if (sub === 'dismiss') { w.state = 'dismissed'; return send(200, w) }
        return send(200, { ...w, raw_url: `/api/v1/attachments/pdf1`, events: [] })
      }
      if (a === 'customers') {
        if (!i) {
          if (m === 'GET') { const t = fold(q.get('q')); return send(200, list(db.customers.filter((c) => !t || fold(c.name + ' ' + c.addresses.map((x) => x.value).join(' ')).includes(t)), q)) }
          if (!b.name?.trim()) return problem(422, 'invalid', 'Ein Name wird gebraucht.', { errors: [{ location: 'body.name', message: 'Ein Name wird gebraucht.' }] })
          const c = customer(b.name, (b.addresses ?? []).map((x) => [x.kind, x.value, 'claimed']), { advisor: null, last_seen_at: null, created_at: iso(now()) })
          frame({ kind: 'customer', id: c.id })
          return send(201, custOut(c))
        }
        const c = db.customers.find((x) => x.id === i)
        if (!c) return problem(404, 'not_found', 'Diesen Kunden gibt es nicht.')
        if (sub === 'merge') { const o = db.customers.find((x) => x.id === b.with); db.merged.push({ id: o.id, name: o.name, at: iso(now()), into: c.id, was: o, addresses: o.addresses.map((x) => x.id), convs: db.conversations.filter((r) => r.customer.id === o.id) }); c.addresses.push(...o.addresses); db.conversations.forEach((r) => { if (r.customer.id === o.id) r.customer = { id: c.id, name: c.name } }); db.customers.splice(db.customers.indexOf(o), 1); return send(200, custOut(c)) }
        if (sub === 'unmerge') { const k = db.merged.findIndex((x) => x.id === b.customer_id); const g = db.merged[k]; db.merged.splice(k, 1); db.customers.push(g.was); c.addresses = c.addresses.filter((x) => !g.addresses.includes(x.id)); g.convs.forEach((r) => (r.customer = { id: g.id, name: g.name })); return send(200, custOut(c)) }
        if (sub === 'addresses') { if (m === 'DELETE') c.addresses = c.addresses.filter((x) => x.id !== p[3]); else { if (b.kind === 'email' && !b.value.includes('@')) return problem(422, 'invalid', 'Das ist keine E-Mail-Adresse.', { errors: [{ location: 'body.value', message: 'Das ist keine E-Mail-Adresse.' }] }); c.addresses.push({ id: id(), kind: b.kind, value: b.value, assurance: 'claimed', channel_id: '', last_used_at: null, opted_out: false }) } return m === 'DELETE' ? send(204) : send(200, custOut(c)) }
        if (m === 'PATCH') { const { advisor_id, ...rest } = b; Object.assign(c, rest); if ('advisor_id' in b) { const s = db.staff.find((x) => x.id === advisor_id); c.advisor = s ? { id: s.id, name: s.name } : null } return send(200, custOut(c)) }
        return send(200, custOut(c))
      }
      if (a === 'conversations') {
        if (i === 'counts') { const o = db.conversations.filter((r) => r.status === 'open'); return send(200, { mine: o.filter((r) => r.assignee?.id === miriam.id).length, unassigned: o.filter((r) => !r.assignee).length, waiting: o.filter((r) => r.waiting_since).length, open: o.length, work_items: db.work.filter((w) => w.state === 'open').length, uncertain: troubles('uncertain').length, mentions: db.mentions.filter((x) => x.staff_id === miriam.id && !x.seen).length }) }
        if (i === 'bulk') { const changed = [], failed = []; for (const it of b.items) { const r = db.conversations.find((x) => x.id === it.id); if (!r) failed.push({ id: it.id, error: 'Gibt es nicht.' }); else changed.push({ id: r.id, undo: change(r, it.change) }) } return send(200, { changed, failed }) }
        if (!i) {
          if (m === 'GET') return send(200, conversations(q))
          let c = db.customers.find((x) => x.id === b.customer_id)
          if (!c) c = customer(b.address.name || b.address.value, [[b.address.kind, b.address.value, 'claimed']])
          const r = row(c, b.subject, { channel_kind: db.channels.find((x) => x.id === b.channel_id)?.kind ?? 'email', assignee: { id: miriam.id, name: miriam.name } })
          const x = msg(r, { direction: 'out', author: 'staff', author_name: miriam.name, text: b.text, client_id: b.client_id, delivery: { ...sent('queued', iso(now())), undo_until: iso(now() + hold) } })
          deliver(x, ['sending', 'sent', 'delivered'])
          rowFrame(r)
          return send(201, r)
        }
        const r = db.conversations.find((x) => x.id === i)
        if (!r) return problem(404, 'not_found', 'Dieses Gespräch gibt es nicht.')
        if (!db.messages.has(r.id)) { db.messages.set(r.id, []); if (!db.customers.some((x) => x.id === r.customer.id)) db.customers.push({ ...custStub(r.customer) }); msg(r, { text: 'Eine Frage zu meinem Vertrag', sent_at: r.last_message_at }) }
        if (!db.participants.has(r.id)) db.participants.set(r.id, [])
        const people = db.participants.get(r.id), l = db.messages.get(r.id)
        if (sub === 'handover') { const code = 'KX7 4QM', ways = [['telegram', 'token', 'https://t.me/berger_bot?start=KX74QM'], ['whatsapp', 'text', 'https://wa.me/493090123?text=Mein%20Code%3A%20KX74QM'], ['viber', '', 'viber://pa?chatURI=berger']].filter(([k]) => k !== r.channel_kind); return send(201, { code, text: 'Mein Code: KX7 4QM', page: 'https://rufweite.berger.example/contact?code=KX74QM', ways: ways.map(([kind, carries, link]) => ({ channel_id: kind, kind, name: kind, link, carries })), expires_at: iso(now() + day) }) }
        if (sub === 'participants') {
          if (m === 'GET') return send(200, { items: people, next_cursor: '' })
          if (m === 'DELETE') { const k = people.find((x) => x.id === p[3]); if (k) k.removed_at = iso(now()); r.participants = people.filter((x) => !x.removed_at).length; rowFrame(r); return send(204) }
          const value = b.email ?? b.address?.value ?? ''
          if (!value.includes('@')) return problem(422, 'invalid', 'Das ist keine E-Mail-Adresse.', { errors: [{ location: 'body.email', message: 'Das ist keine E-Mail-Adresse.' }] })
          const old = people.find((y) => y.address.value === value)
          if (old) { old.removed_at = null; rowFrame(r); return send(201, old) }
          const x = { removed_at: null, id: id(), name: b.name || value, role: b.role ?? 'other', address: { kind: 'email', value }, added_by: db.staff[0].name, added_at: iso(now()), messages: 0 }
          people.push(x); r.participants = people.length; rowFrame(r)
          return send(201, x)
        }
        if (sub === 'asks') {
          const errors = checkAsk(b.ask, b.language)
          if (errors.length) return problem(422, 'invalid', 'Die Frage ist nicht vollständig.', { errors })
          const twin = db.messages.get(r.id).find((x) => b.client_id && x.client_id === b.client_id)
          if (twin) return send(201, askOut(db.asks.find((x) => x.id === twin.ask_id)))
          const { q, m: x } = newAsk(r, b.ask, { language: b.language ?? 'de', text: b.text, channel: db.channels.find((y) => y.id === b.channel_id)?.kind, client_id: b.client_id })
          r.waiting_since = null
          messageFrame(x); rowFrame(r)
          return send(201, askOut(q))
        }
        if (sub === 'dialogs') {
          if (m === 'GET') return send(200, { items: db.instances.filter((x) => x.conversation_id === r.id).reverse(), next_cursor: '' })
          const d = db.dialogs.get(b.key), prog = check(d.source).program
          const lacks = (prog.inputs ?? []).find((x) => x.default === undefined && b.inputs?.[x.name] === undefined)
          if (lacks) return problem(422, 'invalid', 'Eine Angabe fehlt.', { errors: [{ location: `body.inputs.${lacks.name}`, message: 'Das braucht der Dialog.' }] })
          const s = prog.steps.find((x) => x.ask)
          const inst = { id: id(), dialog: { key: d.key, title: d.title, version: d.versions.length || 1 }, status: 'asking', step: s.id, variables: b.inputs ?? {}, started_at: iso(now()), updated_at: iso(now()), wake_at: null, outcome: '', conversation_id: r.id }
          db.instances.push(inst)
          r.dialog = { instance_id: inst.id, key: d.key, title: d.title, status: 'asking', step: s.id }
          const { m: x } = newAsk(r, s.ask, { dialog: { instance_id: inst.id, key: d.key, title: d.title, step: s.id }, created_by: null })
          messageFrame(x); rowFrame(r)
          return send(201, inst)
        }
        if (sub === 'presence') {
          if (m === 'GET') return send(200, { items: [...(db.presence.get(r.id)?.values() ?? [])], next_cursor: '' })
          frame({ kind: 'presence', conversation_id: r.id, staff: { id: db.staff[0].id, name: db.staff[0].name }, state: b.state }, false)
          return send(204)
        }
        if (sub === 'join' || sub === 'unjoin') {
          const o = db.conversations.find((x) => x.id === b.with)
          if (!o) return problem(404, 'not_found', 'Dieses Gespräch gibt es nicht.')
          if (sub === 'join') {
            if (o.customer.id !== r.customer.id && !b.as_participant) return problem(409, 'other_customer', `Das andere Gespräch gehört zu ${o.customer.name}.`)
            const moved = db.messages.get(o.id) ?? []
            db.joined.push({ into: r.id, from: o.id, ids: moved.map((x) => x.id) })
            moved.forEach((x) => (x.conversation_id = r.id)); l.push(...moved); db.messages.set(o.id, [])
            o.joined_into = r.id; o.status = 'closed'; r.suggestion = null
          } else {
            const j = db.joined.findLast((x) => x.into === r.id && x.from === o.id)
            if (!j) return problem(409, 'not_joined', 'Die beiden sind nicht zusammengelegt.')
            const back = l.filter((x) => j.ids.includes(x.id)); db.messages.set(r.id, l.filter((x) => !j.ids.includes(x.id))); db.messages.set(o.id, back); back.forEach((x) => (x.conversation_id = o.id))
            o.joined_into = ''; o.status = 'open'; db.joined.splice(db.joined.indexOf(j), 1)
          }
          rowFrame(o); rowFrame(r)
          return send(200, facts(r))
        }
        if (sub === 'split') {
          const moved = l.filter((x) => b.message_ids.includes(x.id))
          if (!moved.length) return problem(422, 'invalid', 'Wählen Sie mindestens eine Nachricht.')
          const c = db.customers.find((x) => x.id === r.customer.id)
          const n = row(c, b.subject || r.subject, { channel_kind: r.channel_kind, assignee: r.assignee, last_message_at: moved.at(-1).sent_at, last_message: { direction: moved.at(-1).direction, author: moved.at(-1).author, text: moved.at(-1).text.slice(0, 120) } })
          db.messages.set(r.id, l.filter((x) => !moved.includes(x))); db.messages.set(n.id, moved); moved.forEach((x) => (x.conversation_id = n.id)); db.splits.set(n.id, r.id)
          rowFrame(r); rowFrame(n)
          return send(201, n)
        }
        if (sub === 'rejoin') { const to = db.conversations.find((x) => x.id === db.splits.get(r.id)); db.messages.get(to.id).push(...l); l.forEach((x) => (x.conversation_id = to.id)); db.messages.set(r.id, []); r.joined_into = to.id; r.status = 'closed'; rowFrame(r); rowFrame(to); return send(200, facts(to)) }
        if (sub === 'suggestion') { db.declined.add(r.id); return send(204) }
        if (sub === 'category') {
          if (m === 'DELETE') { r.category = ''; r.status = r.was ?? 'open'; db.senders = db.senders.filter((x) => x.conversation !== r.id) } else {
            r.was = r.status; r.category = b.category; r.status = 'closed'; r.waiting_since = null
            const adr = db.customers.find((x) => x.id === r.customer.id)?.addresses[0]
            if (b.learn && adr) db.senders.push({ id: id(), address: { kind: adr.kind, value: adr.value }, rule: b.category, by: db.staff[0].name, at: iso(now()), conversation: r.id })
          }
          rowFrame(r)
          return send(200, r)
        }
        if (sub === 'forward') {
          const twin = l.find((x) => x.client_id === b.client_id)
          if (twin) return send(200, strip(twin))
          const bad = [...b.to, ...(b.cc ?? []), ...(b.bcc ?? [])].find((x) => !/^[^@\s]+@[^@\s]+$/.test(x))
          if (bad) return problem(422, 'invalid', `„${bad}“ ist keine E-Mail-Adresse.`, { errors: [{ location: 'body.to', message: `„${bad}“ ist keine E-Mail-Adresse.` }] })
          audienceOf(r, { ...b, forward: true }, true)
          const who = audienceOf(r, { ...b, forward: true })
          const from = l.filter((x) => b.message_ids.includes(x.id))
          const x = msg(r, { channel: 'email', direction: 'out', author: 'staff', author_name: db.staff[0].name, address: b.to[0], to: b.to.map((y) => ({ name: '', address: y })), cc: (b.cc ?? []).map((y) => ({ name: '', address: y })), subject: b.subject, text: b.text, history: b.history, client_id: b.client_id, attachments: from.flatMap((y) => y.attachments).filter((y) => !b.attachment_ids || b.attachment_ids.includes(y.id)), audience: { customer: false, participants: who.ids }, delivery: { ...sent('queued', iso(now())), undo_until: iso(now() + hold) } })
          deliver(x, ['sending', 'sent', 'delivered'])
          messageFrame(x); rowFrame(r)
          return send(201, strip(x))
        }
        if (sub === 'messages' && p[3] === 'preview') {
          const w = audienceOf(r, b)
          return send(200, { recipients: w.recipients, customer_sees: w.customer, quotes: b.reply_to ? [b.reply_to] : [], signature: signatureOf(), warnings: w.warnings })
        }
        if (sub === 'messages') {
          if (m === 'GET') { const all = db.messages.get(r.id).slice().sort((x, y) => (x.sent_at < y.sent_at ? -1 : 1)); const end = q.get('cursor') ? Number(q.get('cursor')) : all.length, from = Math.max(0, end - Number(q.get('limit') || 50)); return send(200, { items: all.slice(from, end).map(strip), next_cursor: from > 0 ? String(from) : '' }) }
          const twin = db.messages.get(r.id).find((x) => x.client_id === b.client_id)
          if (twin) return send(200, strip(twin))
          const since = b.seen_message_id ? l.slice(l.findIndex((x) => x.id === b.seen_message_id) + 1).find((x) => x.kind === 'message' && x.author === 'staff' && x.author_name !== db.staff[0].name) : null
          if (since && !b.anyway) return problem(409, 'answered_meanwhile', `${since.author_name} hat inzwischen geantwortet.`, { by: { id: db.staff[1].id, name: since.author_name }, message_id: since.id })
          if (mode.send === 'refuse') return problem(422, 'not_allowed', 'Der Kanal nimmt diese Nachricht nicht an.', { remedy: 'Wählen Sie einen anderen Kanal.' })
          if (mode.send === 'lose') { mode.send = ''; make(); return req.socket.destroy() }
          if (b.template && b.template.params.some((x) => !x)) return problem(422, 'invalid', 'Dieser Platzhalter ist leer.')
          return send(201, strip(make()))
          function make() {
            const ch = db.channels.find((x) => x.id === b.channel_id) ?? mail
            const qm = b.reply_to && db.messages.get(r.id).find((x) => x.id === b.reply_to)
            const late = b.send_at && Date.parse(b.send_at) > now()
            audienceOf(r, b, true)
            const who = audienceOf(r, b), main = people.find((y) => y.id === b.participant_id)
            const sig = kinds.find((k) => k.kind === ch.kind)?.capabilities.subject && b.signature !== false ? signatureOf() : ''
            const x = msg(r, { channel: main ? 'email' : ch.kind, ...(main ? { address: main.address.value, to: [{ name: main.name, address: main.address.value }] } : {}), audience: { customer: who.customer, participants: who.ids }, signature: sig, direction: 'out', author: 'staff', author_name: db.staff[0].name, text: b.text + (sig ? `\n\n-- \n${sig}` : ''), subject: b.subject ?? r.subject, client_id: b.client_id, template: b.template, cc: b.cc ?? [], bcc: b.bcc ?? [], reply_to: b.reply_to ?? '', quote: qm ? { id: qm.id, author_name: qm.author_name, text: qm.text } : null, attachments: (b.attachments ?? []).map((k) => { const { raw: _, ...at } = db.attachments.get(k); return at }), delivery: { ...sent('queued', iso(now())), undo_until: late ? b.send_at : iso(now() + hold) } })
            r.waiting_since = null
            if (!late) deliver(x, mode.send === 'fail' ? ['sending', 'failed'] : ['sending', 'sent', 'delivered', 'read'])
            messageFrame(x); rowFrame(r)
            return x
          }
        }
        if (sub === 'notes') { const twin = db.messages.get(r.id).find((x) => x.client_id === b.client_id); const x = twin ?? msg(r, { kind: 'note', direction: 'out', author: 'staff', author_name: db.staff[0].name, text: b.text, mentions: b.mentions ?? [], client_id: b.client_id }); for (const st of b.mentions ?? []) { db.mentions.push({ conversation_id: r.id, staff_id: st, seen: false }); frame({ kind: 'mention', conversation_id: r.id, message_id: x.id, staff_id: st }) } messageFrame(x); return send(201, strip(x)) }
        if (sub === 'read') { r.unread = 0; db.mentions.forEach((x) => { if (x.conversation_id === r.id && x.staff_id === miriam.id) x.seen = true }); return send(204) }
        if (sub === 'draft') { if (m === 'PUT') { db.drafts.set(r.id, b); return send(204) } if (m === 'DELETE') { db.drafts.delete(r.id); return send(204) } return db.drafts.has(r.id) ? send(200, db.drafts.get(r.id)) : send(204) }
        if (m === 'PATCH') {
          change(r, { ...b, ...(b.tags ? { tags_add: b.tags.filter((x) => !r.tags.includes(x)), tags_remove: r.tags.filter((x) => !b.tags.includes(x)) } : {}) })
          if (b.subject !== undefined) r.subject = b.subject
          rowFrame(r)
          return send(200, r)
        }
        return send(200, facts(r))
      }
      return problem(404, 'not_found', 'Gibt es nicht.')
    }
    function custStub(c) { return { id: c.id, name: c.name, language: 'de', notes: '', created_at: iso(now()), advisor: null, addresses: [{ id: id(), kind: 'email', value: 'kunde@post.example', assurance: 'observed', channel_id: mail?.id ?? '', last_used_at: null, opted_out: false }], last_seen_at: iso(now()) } }
  })

  // WebSocket (RFC 6455), server to client only: text frames out, a close frame in.
  server.on('upgrade', (req, socket) => {
    const url = new URL(req.url, 'http://x')
    if (!ws || url.pathname !== '/api/v1/live' || refuseUntil > now() || !db.signedIn) { socket.destroy(); return }
    const accept = createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
    const send = (text) => {
      const data = Buffer.from(text)
      const head = data.length < 126 ? Buffer.from([0x81, data.length]) : data.length < 65536 ? Buffer.from([0x81, 126, data.length >> 8, data.length & 255]) : (() => { const h = Buffer.alloc(10); h[0] = 0x81; h[1] = 127; h.writeBigUInt64BE(BigInt(data.length), 2); return h })()
      if (!socket.destroyed) socket.write(Buffer.concat([head, data]))
    }
    const leave = joined(send, Number(url.searchParams.get('after') || 0))
    const l = [...live].at(-1); l.close = () => socket.destroy()
    socket.on('data', (d) => { if ((d[0] & 15) === 8) socket.end() })
    socket.on('close', leave)
    socket.on('error', leave)
  })

  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve({ url: `http://127.0.0.1:${server.address().port}`, db, inbound, inboundTo, frame, close: () => { for (const l of live) l.close?.(); server.closeAllConnections(); server.close() } })))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const arg = (k) => { const i = process.argv.indexOf('--' + k); return i < 0 ? undefined : (process.argv[i + 1] ?? true) }
  const s = await startMock({ port: Number(arg('port') ?? 4173), rows: Number(arg('rows') ?? 0), empty: process.argv.includes('--empty'), ws: !process.argv.includes('--no-ws'), fresh: process.argv.includes('--fresh') })
  console.log(s.url)
}
