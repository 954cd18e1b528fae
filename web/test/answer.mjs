// The answer page in a real browser, against the real binary: every kind of question and everything that becomes of one,
// narrow and wide, light and dark, in German, English and plain German; then answered without JavaScript. And the mails
// by which the questions came, as a mail program shows them. Each page is seen in two combinations that share nothing,
// ALL=1 takes every one. Some only: node test/answer.mjs NAME-PART. SHOTS=DIR keeps pictures.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { house, launch, smtpSend, smtpSink, waitFor } from './house.mjs'

const only = new RegExp(process.argv[2] ?? '')
const shots = process.env.SHOTS
if (shots) mkdirSync(shots, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const tests = []
const test = (name, fn) => tests.push({ name, fn })

// -- the questions, put to a customer by mail

const t = (de, en, simple) => ({ de, en, 'de-simple': simple })
const tomorrow = (hour, day = 1) => { const d = new Date(Date.now() + day * 86_400_000); d.setUTCHours(hour, 0, 0, 0); return d.toISOString() }
const yesNo = { kind: 'yes_no', text: t('Ihr Auto kann Donnerstag um 16 Uhr abgeholt werden. Passt das?', 'Your car can be picked up on Thursday at 16:00. Does that suit you?', 'Ihr Auto ist fertig. Holen Sie es am Donnerstag?'), short: t('Abholung', 'Pick-up', 'Ihr Auto') }
const asks = {
  'yes-no': yesNo,
  'one-of': { kind: 'one_of', text: t('Worum geht es?', 'What is it about?', 'Was möchten Sie?'), hint: t('Eines genügt.', 'One is enough.', 'Nur 1 Antwort.'), options: [{ key: 'claim', label: t('Schaden melden', 'Report a claim', 'Etwas ist kaputt'), description: t('Auto, Haus, Reise', 'Car, house, travel', 'Auto, Haus, Reise') }, { key: 'contract', label: t('Fragen zum Vertrag', 'About a contract', 'Ihr Vertrag') }, { key: 'other', label: t('Etwas anderes <b>&amp; Donaudampfschifffahrtsgesellschaftskapitänsversicherung', 'Something else', 'Etwas anderes') }] },
  'many-of': { kind: 'many_of', least: 1, most: 2, text: t('Welche Unterlagen haben Sie?', 'Which documents do you have?', 'Welche Papiere haben Sie?'), options: [{ key: 'id', label: t('Ausweis', 'Identity card', 'Ausweis') }, { key: 'pay', label: t('Gehaltsnachweis', 'Proof of income', 'Lohn-Zettel') }, { key: 'plan', label: t('Grundriss', 'Floor plan', 'Plan') }] },
  slot: { kind: 'slot', calendar: 'werkstatt', text: t('Ihr Golf ist fertig. Wann holen Sie ihn ab?', 'Your Golf is ready. When will you pick it up?', 'Ihr Auto ist fertig. Wann kommen Sie?') },
  date: { kind: 'date', from: '2024-01-01', until: 'today', text: t('Wann ist der Schaden passiert?', 'When did the damage happen?', 'Wann ist es passiert?') },
  'date-time': { kind: 'date_time', text: t('Wann sollen wir anrufen?', 'When shall we call?', 'Wann sollen wir anrufen?') },
  number: { kind: 'number', min: 0, max: 500000, unit: 'km', text: t('Wie viele Kilometer ist Ihr Auto gelaufen?', 'How many kilometres has your car run?', 'Wie viele Kilometer?') },
  text: { kind: 'text', max_length: 1000, optional: true, text: t('Was ist passiert?', 'What happened?', 'Was ist passiert?') },
  verdict: { kind: 'rating', text: t('Wie war unser Service?', 'How was our service?', 'Wie war es?') },
  scale: { kind: 'rating', scale: '0-10', text: t('Würden Sie uns weiterempfehlen?', 'Would you recommend us?', 'Sind wir gut?') },
  email: { kind: 'email', text: t('Wohin dürfen wir schreiben?', 'Where may we write to?', 'Wie ist Ihre E-Mail?') },
  phone: { kind: 'phone', text: t('Unter welcher Nummer erreichen wir Sie?', 'At which number can we reach you?', 'Wie ist Ihre Telefon-Nummer?') },
  address: { kind: 'address', text: t('Wie lautet Ihre neue Anschrift?', 'What is your new address?', 'Wo wohnen Sie jetzt?') },
  file: { kind: 'file', accept: ['image/*'], least: 1, most: 5, text: t('Bitte schicken Sie Fotos vom Schaden.', 'Please send photos of the damage.', 'Bitte schicken Sie Fotos.') },
  signature: { kind: 'signature', text: t('Bitte unterschreiben Sie die Vollmacht.', 'Please sign the power of attorney.', 'Bitte unterschreiben Sie.') },
  consent: { kind: 'consent', purpose: 'newsletter', text: t('Dürfen wir Ihnen den Newsletter schicken?', 'May we send you the newsletter?', 'Dürfen wir Ihnen schreiben?') },
  payment: { kind: 'payment', url: 'https://pay.example/1', cents: 15000, currency: 'EUR', text: t('Bitte zahlen Sie die Selbstbeteiligung.', 'Please pay the excess.', 'Bitte bezahlen Sie.') },
  // What becomes of one.
  here: { ...yesNo, correct: '24h' }, elsewhere: yesNo, staff: yesNo, expired: { ...yesNo, expires: '3s' }, defaulted: { ...yesNo, expires: '3s', default: { yes: false } }, withdrawn: yesNo, handed: yesNo,
  proving: { kind: 'email', verify: true, text: t('Wohin dürfen wir schreiben?', 'Where may we write to?', 'Wie ist Ihre E-Mail?') },
}
const kinds = Object.keys(asks).slice(0, 17)

const sink = await smtpSink()
const h = await house()
h.cli('channel', 'add', '--kind', 'email', '--name', 'Service', '--set', 'address=service@firma.example', '--set', 'smtp_host=127.0.0.1', '--set', `smtp_port=${sink.port}`, '--set', 'smtp_tls=none')
const service = (await h.api('GET', '/channels')).items.find((c) => c.kind === 'email').id
await h.api('POST', '/calendars', { key: 'werkstatt', name: 'Werkstatt', zone: 'Europe/Berlin' })
await h.api('POST', '/calendars/werkstatt/slots', { slots: [[15, 1], [16, 1], [8, 2], [9, 2], [10, 2], [15, 3]].map(([hour, day]) => ({ start: tomorrow(hour, day), end: tomorrow(hour + 1, day), capacity: 5 })) })

const page = {}, ids = {}
const to = (name) => `${name}@kunde.example`
// put asks a customer of its own, in a conversation of its own.
async function put(name, ask = asks[name.replace(/\d+$/, '')], language = 'de') {
  const talk = await h.api('POST', '/conversations', { address: { kind: 'email', value: to(name), name: 'Ada Yıldız' }, channel_id: service, subject: 'Ihr Anliegen', text: 'Guten Tag.', client_id: crypto.randomUUID() })
  const a = await h.api('POST', `/conversations/${talk.id}/asks`, { ask, language, client_id: crypto.randomUUID() })
  ids[name] = a.id
  page[name] = new URL((await h.api('GET', `/asks/${a.id}`)).page_url).pathname
  return a
}
const post = (path, form) => fetch(h.base + path, { method: 'POST', body: new URLSearchParams(form), redirect: 'manual' })
const stands = (name, state) => waitFor(async () => (await h.api('GET', `/asks/${ids[name]}`)).state === state, `${name} is ${state}`)

// mailOf waits for the mail of a question and takes it apart.
const unfold = (raw) => raw.replace(/\r\n[ \t]+/g, ' ')
async function mailOf(name, matching = /\/a\//) {
  const decoded = (m) => ({ ...m, parts: parts(m.raw), head: (n) => new RegExp(`^${n}: (.*)$`, 'mi').exec(unfold(m.raw))?.[1].trim() ?? '' })
  return waitFor(() => sink.mails.filter((m) => m.to.includes(to(name))).map(decoded).find((m) => matching.test(Object.values(m.parts).join())), `the mail about ${name}`)
}
function parts(raw) {
  const out = {}
  const walk = (text) => {
    const cut = text.indexOf('\r\n\r\n')
    const head = unfold(text.slice(0, cut)), body = text.slice(cut + 4)
    const boundary = /boundary="?([^";\r\n]+)/i.exec(head)?.[1]
    if (boundary) { for (const p of body.split(`--${boundary}`).slice(1, -1)) walk(p.replace(/^\r\n/, '')); return }
    const type = /^Content-Type: ([^;\r\n]+)/im.exec(head)?.[1] ?? 'text/plain'
    const how = /^Content-Transfer-Encoding: (\S+)/im.exec(head)?.[1].toLowerCase() ?? '7bit'
    const bytes = how === 'base64' ? Buffer.from(body, 'base64') : how === 'quoted-printable' ? Buffer.from(body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, x) => String.fromCharCode(parseInt(x, 16))), 'latin1') : Buffer.from(body, 'utf8')
    out[type] ??= bytes.toString('utf8')
  }
  walk(raw.replace(/\r\n\.\./g, '\r\n.'))
  return out
}

for (const name of Object.keys(asks)) await put(name)
await post(page.here, { o: '0' })
await post(page.handed, { person: '1' })
await post(page.proving, { words: 'neu@kunde.example' })
await h.api('POST', `/asks/${ids.withdrawn}/withdraw`, {})
await h.api('POST', `/asks/${ids.staff}/answer`, { text: 'Ja' })
{
  const m = await mailOf('elsewhere')
  const back = /<?([^<>\s]+@[^<>\s]+)>?$/.exec(m.head('Reply-To') || m.head('From'))[1]
  await smtpSend(h.smtp, to('elsewhere'), back, `From: Ada <${to('elsewhere')}>\nTo: ${back}\nSubject: Re: Abholung\nMessage-ID: <e1@kunde.example>\nIn-Reply-To: ${m.head('Message-ID')}\nContent-Type: text/plain; charset=utf-8\n\nJa, passt\n`)
}
for (const [name, state] of [['here', 'answered'], ['elsewhere', 'answered'], ['staff', 'answered'], ['withdrawn', 'withdrawn'], ['handed', 'handed'], ['expired', 'expired'], ['defaulted', 'answered']]) await stands(name, state)

// -- looking

const browser = await launch()

// One page for each width and scheme is enough to look at things; stories get a browser's context of their own.
const watched = new Map()
async function watcher(width, scheme) {
  const key = `${width} ${scheme}`
  if (!watched.has(key)) watched.set(key, await open('', { width, scheme, js: true }))
  return watched.get(key).page
}

async function open(path, { width = 360, scheme = 'light', js = false, locale = 'de-DE' } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 740 }, colorScheme: scheme, javaScriptEnabled: js, locale })
  const p = await context.newPage()
  p.setDefaultTimeout(20_000)
  const noise = []
  p.on('console', (m) => { if (!/404|422|429/.test(m.text()) && p.url().startsWith(h.base)) noise.push(m.text()) })
  p.on('request', (r) => { if (!r.url().startsWith(h.base) && !/^(data|about):/.test(r.url())) noise.push(`asks ${r.url()}`) })
  if (path) await p.goto(h.base + path)
  return { page: p, close: async () => { await context.close(); assert.deepEqual(noise, []) } }
}

// axe and measures need scripts, which the page's policy forbids: they run in the debugger's own world.
// A mail is shown inside of a mail program's page, which has the landmarks.
async function fits(p, what, rules = ['best-practice']) {
  const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(wide <= 0, `${what}: ${wide} px too wide`)
  const small = await p.evaluate(() => [...document.querySelectorAll('button, a, label.opt, input:not([type=radio], [type=checkbox], [type=hidden]), textarea')].filter((e) => e.getClientRects().length).map((e) => [e.getBoundingClientRect(), e]).filter(([r, e]) => r.height < 44 || (r.width < 44 && !e.matches('nav a'))).map(([r, e]) => `${e.outerHTML.slice(0, 80)} ${r.width}×${r.height}`))
  assert.deepEqual(small, [], `${what}: targets below 44 px`)
  const tiny = await p.evaluate(() => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 13).map((e) => e.outerHTML.slice(0, 80)))
  assert.deepEqual(tiny, [], `${what}: text below 13 px`)
  await p.evaluate(axe)
  const found = await p.evaluate((rules) => window.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', ...rules] }), rules)
  assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join(' ')}`), [], what)
}

let seen = 0
const combinations = (i) => (process.env.ALL
  ? [360, 1280].flatMap((w) => ['light', 'dark'].flatMap((s) => ['de', 'en', 'de-simple'].map((l) => [w, s, l])))
  : i % 2 ? [[360, 'dark', 'en'], [1280, 'light', i % 4 === 1 ? 'de' : 'de-simple']] : [[360, 'light', i % 4 ? 'de-simple' : 'de'], [1280, 'dark', 'en']])
const views = { ...Object.fromEntries(Object.keys(asks).map((k) => [k, () => page[k]])), 'code-form': () => '/a/', unknown: () => '/a/zzzz2222zzzz', change: () => `${page.here}?change=1` }
const says = {
  here: { de: /Danke\. Ihre Antwort ist angekommen/, en: /Thank you/ }, elsewhere: { de: /schon beantwortet[^]*per E-Mail/, en: /has been answered[^]*by e-?mail/i }, staff: { de: /schon beantwortet/, en: /has been answered/ },
  expired: { de: /abgelaufen/, en: /expired/ }, defaulted: { de: /kam keine Antwort[^]*Nein/, en: /No answer came/ }, withdrawn: { de: /erledigt/, en: /settled/ }, handed: { de: /Ein Mensch kümmert sich/, en: /A person takes care/ }, proving: { de: /sechs Ziffern/, en: /six digits/ }, unknown: { de: /finden wir nicht/, en: /cannot find/ },
}

Object.entries(views).forEach(([name, path], i) => test(`looks: ${name}`, async () => {
  for (const [width, scheme, lang] of combinations(i)) {
    const p = path()
    const w = await watcher(width, scheme)
    await w.goto(`${h.base}${p}${p.includes('?') ? '&' : '?'}lang=${lang}`)
    const what = `${name} ${width} ${scheme} ${lang}`
    seen++
    if (says[name]?.[lang]) assert.match(await w.innerText('main'), says[name][lang], what)
    assert.equal(await w.getAttribute('html', 'lang'), lang, what)
    if (shots) await w.screenshot({ path: `${shots}/answer-${name}-${width}-${scheme}-${lang}.png`, fullPage: true })
    await fits(w, what)
  }
}))

// -- answering, without JavaScript

const answered = async (name, want) => { const a = await waitFor(async () => { const x = await h.api('GET', `/asks/${ids[name]}`); return x.state === 'answered' && x }, `${name} is answered`); assert.equal(a.answered_via, 'page'); if (want !== undefined) assert.match(a.value_text, want) }

test('errors stand at their fields', async () => {
  for (const scheme of ['light', 'dark']) {
    const w = await open(page.address, { js: true, scheme })
    await w.page.fill('[name=street]', 'Ringstraße 1')
    await w.page.fill('[name=postal_code]', '123')
    await w.page.click('button.go')
    assert.match(await w.page.title(), /^Bitte prüfen/)
    assert.match(await w.page.innerText('#e-postal_code'), /5 Ziffern/)
    assert.equal(await w.page.inputValue('[name=street]'), 'Ringstraße 1')
    await fits(w.page, `errors ${scheme}`)
    if (shots) await w.page.screenshot({ path: `${shots}/answer-errors-${scheme}.png`, fullPage: true })
    await w.page.click('.errors a >> nth=0')
    assert.match(w.page.url(), /#f-postal_code$/)
    await w.close()
  }
})

test('by keyboard alone', async () => {
  const w = await open(page.verdict)
  await w.page.focus('input[type=radio]')
  await w.page.keyboard.press('ArrowDown')
  await w.page.keyboard.press('ArrowDown')
  await w.page.keyboard.press('Enter')
  await w.page.waitForSelector('.done')
  assert.match(await w.page.innerText('.done'), /Danke[^]*Begeistern/)
  await w.page.reload() // sends nothing again
  assert.match(await w.page.innerText('.done'), /Danke/)
  await w.close()
  await answered('verdict', /Begeistern/)
})

const forms = {
  'one-of': [async (p) => { await p.check('[name=o][value="2"]') }, /Etwas anderes <b>&amp;/],
  slot: [async (p) => { assert.ok(await p.locator('h2').count() >= 3, 'days stand apart'); await p.check('[name=o] >> nth=2') }, /Uhr/],
  date: [async (p) => { await p.fill('[name=date]', '2025-03-09') }, /9\. ?(März|3\.|03\.) ?2025|09\.03\.2025/],
  'date-time': [async (p) => { await p.fill('[name=words]', 'übermorgen um halb drei') }, /14:30/],
  number: [async (p) => { await p.fill('[name=words]', '123.456,0 km') }, /123\.456 ?km/],
  text: [async (p) => { await p.fill('[name=words]', 'Ein Ast fiel <b>auf</b> das Dach.\nZweite Zeile') }, /Ein Ast fiel <b>/],
  scale: [async (p) => { await p.check('[name=o][value="10"]') }, /^10/],
  email: [async (p) => { await p.fill('[name=words]', 'Erika@Kunde.Example') }, /erika@kunde\.example/i],
  phone: [async (p) => { await p.fill('[name=words]', '0171 2345678') }, /171/],
  consent: [async (p) => { await p.check('[name=o][value="0"]') }, undefined],
}
for (const [name, [fill, want]] of Object.entries(forms)) {
  test(`answers: ${name}`, async () => {
    const w = await open(page[name])
    await fill(w.page)
    await w.page.click('button.go')
    await w.page.waitForSelector('.done')
    assert.match(await w.page.innerText('.done h1'), /Danke/)
    await w.close()
    await answered(name, want)
  })
}

test('several, and too many', async () => {
  const w = await open(page['many-of'])
  for (const n of [0, 1, 2]) await w.page.check(`[name=o][value="${n}"]`)
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.errors'), /höchstens 2/)
  assert.ok(await w.page.isChecked('[name=o][value="2"]'), 'what was ticked is kept')
  await w.page.uncheck('[name=o][value="1"]')
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.done'), /Ausweis[^]*Grundriss/)
  await w.close()
  await answered('many-of', /Ausweis.*Grundriss/)
})

const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
test('photos: what is none is refused with a sentence', async () => {
  const w = await open(page.file)
  await w.page.setInputFiles('[name=files]', [{ name: 'rechnung.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4\n') }])
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.errors'), /passt hier nicht/)
  await w.page.setInputFiles('[name=files]', [{ name: 'delle.png', mimeType: 'image/png', buffer: png }, { name: 'kratzer.png', mimeType: 'image/png', buffer: png }])
  await w.page.click('button.go')
  await w.page.waitForSelector('.done')
  await w.close()
  await answered('file')
})

test('a signature, drawn; and by name without JavaScript', async () => {
  await put('signature2')
  const w = await open(page.signature, { js: true })
  const pad = await w.page.locator('canvas').boundingBox()
  await w.page.mouse.move(pad.x + 20, pad.y + 50)
  await w.page.mouse.down()
  await w.page.mouse.move(pad.x + 150, pad.y + 20, { steps: 8 })
  await w.page.mouse.move(pad.x + 250, pad.y + 70, { steps: 8 })
  await w.page.mouse.up()
  assert.match(await w.page.inputValue('#drawing'), /^data:image\/png;base64,/)
  if (shots) await w.page.screenshot({ path: `${shots}/answer-signed.png`, fullPage: true })
  await w.page.fill('[name=signed]', 'Ada Yıldız')
  await w.page.check('[name=agree]')
  await w.page.click('button.go')
  await w.page.waitForSelector('.done')
  await w.close()
  await answered('signature', /Ada Yıldız/)
  const n = await open(page.signature2)
  assert.ok(!await n.page.isVisible('canvas'), 'no pad without a script')
  await n.page.fill('[name=signed]', 'Ada Yıldız')
  await n.page.check('[name=agree]')
  await n.page.click('button.go')
  assert.match(await n.page.innerText('.done'), /Ada Yıldız/)
  await n.close()
})

test('a code proves an address', async () => {
  const sent = await waitFor(() => sink.mails.find((m) => m.to.includes('neu@kunde.example')), 'the code')
  const code = /\b(\d{6})\b/.exec(parts(sent.raw)['text/plain'])[1]
  const w = await open(page.proving)
  assert.match(await w.page.innerText('main'), /Code/, 'a later visit asks for the code, too')
  await w.page.click('text=Andere Angabe machen')
  assert.ok(await w.page.isVisible('[name=words]'), 'a mistyped address can be mended')
  await w.page.goBack()
  await w.page.fill('[name=proof]', code === '000000' ? '111111' : '000000')
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.errors'), /Code/)
  await w.page.fill('[name=proof]', code)
  await w.page.click('button.go')
  await w.page.waitForSelector('.done')
  await w.close()
  await answered('proving', /neu@kunde\.example/)
})

test('changed while it may be; answered once', async () => {
  const w = await open(page.here)
  await w.page.click('text=Antwort ändern')
  assert.ok(await w.page.isChecked('[name=o][value="0"]'), 'what was answered is chosen')
  await w.page.check('[name=o][value="1"]')
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.done dd'), /Nein/)
  await w.close()
  await answered('here', /Nein/)
})

test('a person, and the other language', async () => {
  const w = await open(`${page['yes-no']}?o=1`)
  assert.ok(await w.page.isChecked('[value="1"]'), 'a link only chooses')
  assert.equal((await h.api('GET', `/asks/${ids['yes-no']}`)).state, 'open')
  await w.page.click('text=Leichte Sprache')
  assert.match(await w.page.innerText('h1'), /Ihr Auto ist fertig/)
  assert.equal(await w.page.getAttribute('html', 'lang'), 'de-simple')
  await w.page.click('button[name=person]')
  assert.match(await w.page.innerText('.done'), /Ein Mensch hilft Ihnen/)
  await w.close()
  await stands('yes-no', 'handed')
})

test('a code typed from a letter', async () => {
  const w = await open('/a/')
  await w.page.fill('[name=code]', page.payment.slice(3).toUpperCase().replace(/(.{4})(?=.)/g, '$1-'))
  await w.page.click('button.go')
  assert.match(await w.page.innerText('h1'), /Selbstbeteiligung/)
  assert.equal(await w.page.getAttribute('main a.go', 'href'), 'https://pay.example/1')
  await w.close()
})

// -- the mails

kinds.forEach((name, i) => test(`mail: ${name}`, async () => {
  const m = await mailOf(name)
  assert.match(m.parts['text/plain'], /\S/)
  const html = m.parts['text/html']
  assert.doesNotMatch(html, /<(script|img|iframe|link|table)|url\(/i, 'nothing to load')
  for (const [width, scheme] of process.env.ALL ? [360, 1280].flatMap((w) => ['light', 'dark'].map((s) => [w, s])) : i % 2 ? [[360, 'dark'], [1280, 'light']] : [[360, 'light'], [1280, 'dark']]) {
    const p = await watcher(width, scheme)
    seen++
    await p.goto('about:blank')
    await p.setContent(html)
    if (shots) await p.screenshot({ path: `${shots}/mail-${name}-${width}-${scheme}.png`, fullPage: true })
    await fits(p, `the mail about ${name}, ${width} ${scheme}`, [])
  }
}))

test('mail: a link of it opens the page with the answer chosen, and answers nothing', async () => {
  const a = await put('linked', yesNo)
  const m = await mailOf('linked')
  const links = [...m.parts['text/html'].matchAll(/href="([^"]+)"/g)].map((x) => new URL(x[1].replaceAll('&amp;', '&')))
  assert.ok(links.length >= 2, 'a link for each answer')
  const w = await open(links[0].pathname + links[0].search)
  assert.ok(await w.page.isChecked('[name=o][value="0"]'))
  assert.equal((await h.api('GET', `/asks/${a.id}`)).state, 'open')
  await w.page.click('button.go')
  await w.page.waitForSelector('.done')
  await w.close()
  await answered('linked', /Ja/)
})

let passed = 0, failed = 0
for (const { name, fn } of tests.filter((x) => only.test(x.name))) {
  const at = Date.now()
  try { await fn(); passed++; console.log(`ok   ${name} (${((Date.now() - at) / 1000).toFixed(1)} s)`) } catch (e) { failed++; console.log(`FAIL ${name}\n${e.stack}`) }
}
for (const w of watched.values()) try { await w.close() } catch (e) { failed++; console.log(`FAIL the pages make noise\n${e.stack}`) }
await browser.close()
sink.stop()
await h.stop()
console.log(`${seen} pages and mails were looked at`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
