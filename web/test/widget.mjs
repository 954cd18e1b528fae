// The widget in a real browser, on a page of another origin, against the real binary: no mock anywhere. Some only:
// node test/widget.mjs NAME-PART. SHOTS=DIR keeps pictures.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { house, launch, freePort, smtpSend, smtpSink, start, waitFor } from './house.mjs'

const only = process.argv[2] ?? ''
const shots = process.env.SHOTS
if (shots) mkdirSync(shots, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await launch()
const tests = []
const test = (name, fn) => tests.push({ name, fn })

// site is a company's own website: another origin than the server's.
async function site(base, attributes = '', lang = 'de') {
  const port = await freePort()
  const page = (more) => `<!doctype html><html lang="${lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Firma</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src ${base}; connect-src ${base} ${base.replace('http', 'ws')}; img-src ${base}; style-src 'unsafe-inline'">
<style>*{font-family:serif;letter-spacing:.3em} button{background:red!important;display:block} html{font-size:10px} body{margin:0;font-size:16px;background:#fff;color:#000} ${more.style ?? ''}</style></head>
<body><main><h1>Eine Website</h1><p>Mit <a href="#x">einem Link</a>.</p><button id="own">Eigener Knopf</button></main><script src="${base}/widget.js" ${more.attributes ?? attributes} async></script></body></html>`
  const s = createServer((req, res) => {
    const u = new URL(req.url, 'http://x')
    if (u.pathname !== '/') { res.statusCode = 404; res.end(); return }
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    res.end(page({ attributes: u.searchParams.get('a') ?? undefined, style: u.searchParams.get('s') ?? undefined }))
  })
  await new Promise((done) => s.listen(port, '127.0.0.1', done))
  return { origin: `http://localhost:${port}`, stop: () => { s.closeAllConnections(); s.close() } }
}

async function page(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'de-DE', reducedMotion: 'reduce', ...options })
  const p = await context.newPage()
  p.setDefaultTimeout(30_000)
  p.troubles = []
  p.requests = []
  p.on('pageerror', (e) => p.troubles.push(`page error: ${e.message}`))
  p.on('console', (m) => { if (['error', 'warning'].includes(m.type())) p.troubles.push(`console: ${m.text()}`) })
  p.on('request', (r) => p.requests.push(`${r.method()} ${r.url()}`))
  return p
}

const w = (p) => p.locator('rufweite-widget')
const bubbles = (p) => w(p).locator('.log .bub')
const box = (p) => w(p).getByRole('textbox', { name: /Nachricht|Message/ })
const focus = (p) => p.evaluate(() => { let e = document.activeElement; while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement; return `${e?.tagName} ${e?.getAttribute('aria-label') ?? e?.textContent?.trim() ?? ''}`.trim() })
const stored = (p) => p.evaluate(() => ({ local: Object.keys(localStorage), session: Object.keys(sessionStorage), cookie: document.cookie }))
const shot = async (p, name) => { if (shots) await p.screenshot({ path: `${shots}/${name}.png` }) }

async function accessible(p, where) {
  await p.evaluate(axe)
  const { violations } = await p.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.flat().join(' ')} ${n.failureSummary}`).join(' | ')}`), [], `axe on ${where}`)
  const wider = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(wider <= 0, `${where} is ${wider} px too wide`)
  const small = await p.evaluate(() => {
    const root = document.querySelector('rufweite-widget').shadowRoot
    return [...root.querySelectorAll('button, input:not([type=checkbox]), textarea, a.file, a.b, .tick')].filter((e) => e.getClientRects().length).map((e) => [e.getBoundingClientRect(), e]).filter(([r]) => r.height < 43.9 || r.width < 43.9).map(([r, e]) => `${e.outerHTML.slice(0, 80)} ${r.width}×${r.height}`)
  })
  assert.deepEqual(small, [], `targets on ${where}`)
  const lost = await p.evaluate(() => { // nothing lies outside of the panel
    const root = document.querySelector('rufweite-widget').shadowRoot
    const panel = root.querySelector('.panel')
    if (panel.hidden) return []
    const b = panel.getBoundingClientRect()
    return [...root.querySelectorAll('.panel header, .panel .foot > *, .panel .compose > *')].filter((e) => e.getClientRects().length).filter((e) => { const r = e.getBoundingClientRect(); return r.left < b.left - 1 || r.right > b.right + 1 || r.width < 1 }).map((e) => e.outerHTML.slice(0, 100))
  })
  assert.deepEqual(lost, [], `what lies outside on ${where}`)
}

test('the file is small and asks nobody else', async () => {
  const h = await house()
  try {
    const res = await fetch(`${h.base}/widget.js`, { headers: { 'Accept-Encoding': 'identity' } })
    const js = Buffer.from(await res.arrayBuffer())
    const packed = gzipSync(js, { level: 9 }).length
    console.log(`    ${js.length} bytes, ${packed} gzip`)
    assert.ok(packed < 40 * 1024, `${packed} bytes`)
    assert.ok(js.length > 10_000 && res.headers.get('content-type').startsWith('text/javascript'))
    assert.equal(res.headers.get('cross-origin-resource-policy'), 'cross-origin')
    assert.doesNotMatch(js.toString(), /https?:\/\/(?!www\.w3\.org\/2000\/svg)[a-z0-9.-]+\.[a-z]{2,}/, 'an address of somebody else')
  } finally { await h.stop() }
})

test('by keyboard only: ask, be answered, reply; nothing is stored or requested before the first message', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).waitFor()
    await p.waitForTimeout(300)
    assert.deepEqual(p.requests.filter((r) => !r.endsWith('/') && !r.includes('favicon')), [`GET ${h.base}/widget.js`], 'closed, it asks for nothing')
    await p.keyboard.press('Tab') // the page's link
    await p.keyboard.press('Tab') // its button
    await p.keyboard.press('Tab')
    assert.equal(await focus(p), 'BUTTON Fragen?')
    await p.keyboard.press('Enter')
    await w(p).getByRole('dialog').waitFor()
    assert.equal(await focus(p), 'TEXTAREA Nachricht')
    await w(p).getByText('Gerade ist niemand am Platz').waitFor()
    await p.keyboard.press('Escape')
    assert.equal(await focus(p), 'BUTTON Fragen?', 'Escape gives the focus back')
    await p.keyboard.press('Space')
    assert.equal(await focus(p), 'TEXTAREA Nachricht')
    await p.keyboard.type('Hallo ')
    await p.keyboard.press('Shift+Tab')
    assert.equal(await focus(p), 'BUTTON Emoji einfügen')
    await p.keyboard.press('Enter')
    await p.keyboard.press('Tab')
    await p.keyboard.press('Enter')
    assert.equal(await box(p).inputValue(), 'Hallo 😀')
    assert.deepEqual(await stored(p), { local: [], session: [], cookie: '' }, 'nothing is stored before the first message')
    assert.deepEqual(await p.context().cookies(), [])
    assert.equal(p.requests.some((r) => r.startsWith('POST')), false)
    await p.keyboard.press('Shift+Enter')
    await p.keyboard.type('Deckt meine Police Hagel? http://beispiel.example/x?y=1, bitte')
    await p.keyboard.press('Enter')
    await bubbles(p).filter({ hasText: 'Deckt meine Police Hagel?' }).waitFor()
    await w(p).getByText('angekommen').waitFor()
    const kept = await stored(p)
    assert.equal(kept.local.length, 1)
    assert.equal(kept.cookie, '')
    assert.equal(await bubbles(p).locator('a').getAttribute('href'), 'http://beispiel.example/x?y=1')

    const talk = await h.talk('Hagel')
    assert.match(talk.customer.name, /^Besucher /)
    await h.api('POST', `/conversations/${talk.id}/read`, {})
    await w(p).getByText('gelesen').waitFor()
    await h.api('POST', `/conversations/${talk.id}/notes`, { text: 'Nur intern', client_id: crypto.randomUUID() })
    const a = await h.answer(talk.id, '<b>Ja</b>, mit Teilkasko.\nHaben Sie eine?')
    await bubbles(p).filter({ hasText: 'mit Teilkasko' }).waitFor()
    assert.equal(await bubbles(p).filter({ hasText: 'mit Teilkasko' }).locator('b').count(), 0, 'markup of a message stays text')
    await waitFor(async () => (await h.api('GET', `/messages/${a.id}`)).delivery.state === 'read', 'the desk sees that it was read')
    await w(p).getByText('Miriam Berger antwortet Ihnen hier. Gerade ist jemand am Platz.').waitFor() // who answers is there

    // Reply to this very message, by keyboard.
    await w(p).getByRole('button', { name: 'Antworten auf Miriam Berger' }).focus()
    await p.keyboard.press('Enter')
    await p.keyboard.type('Ja, habe ich.')
    await p.keyboard.press('Enter')
    await w(p).locator('blockquote').filter({ hasText: 'mit Teilkasko' }).waitFor()
    const own = (await waitFor(async () => { const l = await h.messages(talk.id); return l.some((m) => m.text === 'Ja, habe ich.') && l }, 'the reply')).find((m) => m.text === 'Ja, habe ich.')
    assert.equal(own.reply_to, a.id)

    // A person, in one tap.
    await w(p).getByRole('button', { name: 'Mit einem Menschen sprechen' }).press('Enter')
    await bubbles(p).filter({ hasText: 'Ich möchte mit einem Menschen sprechen.' }).waitFor()
    await w(p).getByText('Hier antworten Menschen. Miriam Berger meldet sich in diesem Chat.').waitFor()
    await waitFor(async () => (await h.api('GET', `/conversations/${talk.id}`)).waiting_since, 'the conversation waits')
    assert.equal(await bubbles(p).filter({ hasText: 'Nur intern' }).count(), 0)
    await shot(p, 'widget-talk-de-1280-light')

    // Closed, it counts what came; opened, it does not any more. On a later visit the history is there.
    await p.keyboard.press('Escape')
    await h.answer(talk.id, 'Dann ist alles gut.')
    await w(p).getByRole('button', { name: /Fragen\?.*eine neue Nachricht/ }).waitFor()
    await accessible(p, 'closed with a count')
    await p.reload()
    await w(p).getByRole('button', { name: /eine neue Nachricht/ }).click()
    await bubbles(p).filter({ hasText: 'Dann ist alles gut.' }).waitFor()
    assert.equal(await bubbles(p).count(), 5)
    await p.keyboard.press('Escape')
    await w(p).getByRole('button', { name: 'Fragen?', exact: true }).waitFor()

    // Forgetting is possible.
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await w(p).getByRole('button', { name: 'Verlauf hier löschen' }).click()
    await w(p).getByText('Dieser Browser hat das Gespräch vergessen.').waitFor()
    assert.deepEqual((await stored(p)).local, [])
    assert.deepEqual(p.troubles, [])
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

test('files: a picture is shown on both sides; what is too large or a program is refused with a sentence', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await w(p).getByText('Gerade ist niemand am Platz').waitFor()
    const input = w(p).locator('input[type=file]')
    const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
    await input.setInputFiles([{ name: 'Programm.exe', mimeType: 'application/x-msdownload', buffer: Buffer.from('MZ') }])
    await w(p).getByRole('alert').filter({ hasText: 'Programm.exe' }).waitFor()
    await input.setInputFiles([{ name: 'groß.png', mimeType: 'image/png', buffer: Buffer.alloc((10 << 20) + 1) }])
    await w(p).getByRole('alert').filter({ hasText: 'größer als 10 MB' }).waitFor()
    await input.setInputFiles([{ name: 'Schaden.png', mimeType: 'image/png', buffer: png }, { name: 'Notiz.txt', mimeType: 'text/plain', buffer: Buffer.from('abc') }])
    await w(p).getByRole('button', { name: 'Notiz.txt doch nicht anhängen' }).click()
    await p.keyboard.press('Enter')
    const img = bubbles(p).getByRole('img', { name: 'Schaden.png' })
    await img.waitFor()
    await waitFor(() => img.evaluate((e) => e.complete && e.naturalWidth === 1), 'the picture is shown')
    const talk = await h.talk('📎')
    const [m] = await h.messages(talk.id)
    assert.equal(m.attachments[0].name, 'Schaden.png')
    assert.deepEqual(Buffer.from(await (await fetch(h.base + m.attachments[0].url)).arrayBuffer()), png)
    // A lie about the type is found out by the server, and told at the message.
    await input.setInputFiles([{ name: 'bild.png', mimeType: 'image/png', buffer: Buffer.from('<!doctype html><script>alert(1)</script>') }])
    await p.keyboard.press('Enter')
    await w(p).getByText(/nicht gesendet: Dateien wie „bild.png“/).waitFor()
    await w(p).getByRole('button', { name: 'Bearbeiten' }).click()
    await w(p).getByText(/nicht gesendet/).waitFor({ state: 'detached' })
    await box(p).fill('ä'.repeat(10_001))
    await w(p).getByRole('alert').filter({ hasText: '10.001 Zeichen, höchstens 10.000' }).waitFor()
    await p.keyboard.press('Enter')
    assert.equal(await box(p).inputValue(), 'ä'.repeat(10_001), 'what is too long stays in the box')
    assert.deepEqual(p.troubles.filter((t) => !/status of 415/.test(t)), [])
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

test('the server is killed: what is written waits, arrives once and in order; the line comes back by itself', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await box(p).fill('Eins')
    await p.keyboard.press('Enter')
    await w(p).getByText('angekommen').waitFor()
    const talk = await h.talk('Eins')
    await h.answer(talk.id, 'Zwei')
    await bubbles(p).filter({ hasText: 'Zwei' }).waitFor()
    await h.kill()
    for (const t of ['Drei', 'Vier', 'Fünf']) { await box(p).fill(t); await p.keyboard.press('Enter') }
    await w(p).getByText('Gerade keine Verbindung').waitFor()
    await w(p).getByText('wartet auf Verbindung').first().waitFor()
    await shot(p, 'widget-offline-de-1280-light')
    await accessible(p, 'offline')
    // A reload loses nothing that was written.
    await p.reload()
    await h.start()
    const texts = async () => (await h.messages(talk.id)).filter((m) => m.kind === 'message').map((m) => m.text)
    // The page itself is not ours and was there all the time; the script is asked for again.
    await p.reload()
    await w(p).getByRole('button', { name: /Fragen\?/ }).click()
    await waitFor(async () => (await texts()).length >= 5, 'all have arrived')
    assert.deepEqual(await texts(), ['Eins', 'Zwei', 'Drei', 'Vier', 'Fünf'])
    await h.answer(talk.id, 'Sechs')
    await bubbles(p).filter({ hasText: 'Sechs' }).waitFor()
    assert.deepEqual(await bubbles(p).allInnerTexts(), ['Eins', 'Zwei', 'Drei', 'Vier', 'Fünf', 'Sechs'])
    // Killed again without a reload, and something is said meanwhile: the line goes on where it broke off.
    await h.kill()
    await h.start()
    await h.answer(talk.id, 'Sieben')
    await bubbles(p).filter({ hasText: 'Sieben' }).waitFor()
    await w(p).getByText('Gerade keine Verbindung').waitFor({ state: 'hidden' })
    assert.equal(await bubbles(p).count(), 7)
    // The answer to a message is lost on its way (it was stored): sent again, it is one.
    let cut = true
    await p.route(`${h.base}/chat/**/messages`, async (route) => {
      if (route.request().method() !== 'POST' || !cut) return route.continue()
      cut = false
      await route.fetch()
      await route.abort('connectionreset')
    })
    await box(p).fill('Acht')
    await p.keyboard.press('Enter')
    await waitFor(async () => (await texts()).includes('Acht'), 'it has arrived')
    await w(p).getByText('angekommen').waitFor()
    await p.waitForTimeout(1500)
    assert.deepEqual((await texts()).filter((t) => t === 'Acht'), ['Acht'])
    assert.equal(await bubbles(p).filter({ hasText: 'Acht' }).count(), 1)
    assert.match(h.cli('balance'), /^total/)
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

test('without WebSockets: server-sent events bring the same', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    await p.addInitScript(() => { window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 20) } close() {} } })
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await box(p).fill('Hallo über Umwege')
    await p.keyboard.press('Enter')
    const talk = await h.talk('Umwege')
    await waitFor(() => p.requests.some((r) => r.includes('/live?after=')), 'the stream is asked for')
    await h.answer(talk.id, 'Kommt an')
    await bubbles(p).filter({ hasText: 'Kommt an' }).waitFor()
    await h.api('POST', `/conversations/${talk.id}/read`, {})
    await w(p).getByText('gelesen').waitFor()
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

test('signed in on the site: history in another browser; a wrong signature is refused, never anonymous', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`, '--set', 'identity_secret=ein langes Geheimnis')
  const sign = (id) => createHmac('sha256', 'ein langes Geheimnis').update(id).digest('hex')
  const as = (id, sig) => `${s.origin}/?a=${encodeURIComponent(`data-user-id="${id}" data-user-signature="${sig}" data-user-name="Ayşe Yıldız"`)}`
  const [one, two] = [await page(), await page()]
  try {
    await one.goto(as('kunde 4711/ü', sign('kunde 4711/ü')))
    await w(one).getByRole('button', { name: 'Fragen?' }).click()
    await box(one).fill('Meine Police?')
    await one.keyboard.press('Enter')
    await w(one).getByText('angekommen').waitFor()
    assert.deepEqual((await stored(one)).local, [], 'who is signed in needs no token')
    const talk = await h.talk('Meine Police')
    assert.equal(talk.customer.name, 'Ayşe Yıldız')
    assert.equal((await h.messages(talk.id))[0].assurance, 'verified')
    await one.keyboard.press('Escape') // who has the dialog open has read it, in every browser
    await h.answer(talk.id, 'Hier ist sie.')
    await two.goto(as('kunde 4711/ü', sign('kunde 4711/ü')))
    await w(two).getByRole('button', { name: /eine neue Nachricht/ }).click()
    await bubbles(two).filter({ hasText: 'Hier ist sie.' }).waitFor()
    assert.equal(await bubbles(two).count(), 2)
    await two.goto(as('kunde 4712', sign('kunde 4711/ü')))
    await w(two).getByRole('button', { name: 'Fragen?' }).click()
    await w(two).getByText(/Ihre Anmeldung auf dieser Website ließ sich nicht prüfen/).waitFor()
    assert.equal(await box(two).isVisible(), false, 'nobody writes under a name that was not proved')
    await accessible(two, 'refused')
    await shot(two, 'widget-refused-de-1280-light')
    assert.ok(two.troubles.some((t) => t.includes('Rufweite') && t.includes('bad_identity')), 'the console tells whoever builds the page')
    // The page can say later who it is.
    await two.evaluate(([id, signature]) => window.Rufweite.identify({ id, signature }), ['kunde 4711/ü', sign('kunde 4711/ü')])
    await bubbles(two).filter({ hasText: 'Hier ist sie.' }).waitFor()
    await two.evaluate(() => { window.Rufweite.close(); window.Rufweite.identify(null); window.Rufweite.open() })
    await w(two).getByText('Ihren Namen brauchen wir dafür nicht').waitFor()
    assert.equal(await bubbles(two).filter({ hasText: 'Hier ist sie.' }).count(), 0)
  } finally { await one.context().close(); await two.context().close(); s.stop(); await h.stop() }
})

test('a page that may not: the button goes, and the console says why; a server that is down is no refusal', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', 'allowed_origins=https://www.firma.example')
  const p = await page(), later = await page()
  try {
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).focus()
    await p.keyboard.press('Enter')
    await w(p).waitFor({ state: 'detached' })
    assert.deepEqual(p.troubles.filter((x) => /Rufweite/.test(x)), [`console: Rufweite: this page's origin ${s.origin} is not in allowed_origins of the web chat channel at ${h.base}. No chat is shown.`])
    assert.equal(await p.locator('script').count(), 1, 'nothing is left behind')
    assert.deepEqual((await stored(p)).local, [])
    await p.evaluate(() => { window.Rufweite.open(); window.Rufweite.identify({ id: 'x', signature: 'y' }) })
    assert.equal(await p.locator('rufweite-widget').count(), 0)

    await later.goto(s.origin)
    await w(later).getByRole('button', { name: 'Fragen?' }).waitFor()
    await h.kill()
    await w(later).getByRole('button', { name: 'Fragen?' }).click()
    await w(later).getByText('Gerade keine Verbindung').waitFor()
    await h.start()
    await w(later).waitFor({ state: 'detached' }) // it asks again by itself
  } finally { await p.context().close(); await later.context().close(); s.stop(); await h.stop() }
})

test('"I will be back by e-mail": the mail tells nothing, its answer lands in the same conversation', async () => {
  const h = await house()
  const s = await site(h.base)
  const sink = await smtpSink()
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  h.cli('channel', 'add', '--kind', 'email', '--name', 'Service', '--set', 'address=service@firma.example', '--set', 'smtp_host=127.0.0.1', '--set', `smtp_port=${sink.port}`, '--set', 'smtp_tls=none')
  const p = await page()
  try {
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await w(p).getByText('Gerade ist niemand am Platz').waitFor()
    assert.equal(await w(p).getByRole('button', { name: 'Per E-Mail weiter' }).isVisible(), false, 'first say what it is about')
    await box(p).fill('Mein Vertrag GEHEIM-77')
    await p.keyboard.press('Enter')
    await w(p).getByText('angekommen').waitFor()
    await w(p).getByRole('button', { name: 'Per E-Mail weiter' }).press('Enter')
    assert.match(await focus(p), /^INPUT/)
    await accessible(p, 'the form for e-mail')
    await shot(p, 'widget-mail-de-1280-light')
    await p.keyboard.type('keine adresse')
    await p.keyboard.press('Enter')
    await w(p).getByRole('alert').filter({ hasText: 'Das ist keine E-Mail-Adresse' }).waitFor()
    await p.keyboard.press('Control+A')
    await p.keyboard.type('erika@kunde.example')
    await p.keyboard.press('Enter')
    await w(p).getByText('Eine E-Mail ist unterwegs an erika@kunde.example').waitFor()
    const mail = await waitFor(() => sink.mails.find((m) => m.to.includes('erika@kunde.example')), 'the mail')
    assert.doesNotMatch(mail.raw, /GEHEIM/)
    const unfolded = mail.raw.replace(/\r\n[ \t]+/g, ' ')
    const header = (n) => new RegExp(`^${n}: (.*)$`, 'mi').exec(unfolded)?.[1].trim() ?? ''
    const back = /<?([^<>\s]+@[^<>\s]+)>?$/.exec(header('Reply-To') || header('From'))[1]
    assert.match(back, /^service\+.+@firma\.example$/, 'the answer has an address of its own')
    await smtpSend(h.smtp, 'erika@kunde.example', back, `From: Erika Neu <erika@kunde.example>\nTo: ${back}\nSubject: Re: Ihr Gespraech\nMessage-ID: <a1@kunde.example>\nIn-Reply-To: ${header('Message-ID')}\nContent-Type: text/plain; charset=utf-8\n\nHier bin ich wieder.\n`)
    const talk = await h.talk('Hier bin ich wieder')
    const list = (await h.messages(talk.id)).filter((m) => m.kind === 'message')
    assert.deepEqual(list.map((m) => m.channel.kind), ['webchat', 'email', 'email'])
    // The desk's answer goes out by mail, with the thread's headers.
    await h.answer(talk.id, 'Willkommen zurück.')
    await waitFor(() => sink.mails.filter((m) => m.to.includes('erika@kunde.example')).length === 2, 'the answer by mail')
    assert.equal(await bubbles(p).count(), 1, 'the chat does not show what is said by mail')
    await w(p).getByText('Geht auch per E-Mail weiter: erika@kunde.example').waitFor()
    // A second mail within the hour is refused with a sentence.
    await w(p).getByRole('button', { name: 'Per E-Mail weiter' }).click()
    await p.keyboard.press('Enter')
    await w(p).getByRole('alert').filter({ hasText: 'in der letzten Stunde' }).waitFor()
    await p.keyboard.press('Escape')
    assert.equal(await focus(p), 'BUTTON Per E-Mail weiter')
  } finally { await p.context().close(); s.stop(); sink.stop(); await h.stop() }
})

test('typing both ways, and two windows of one visitor', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    await p.goto(s.origin)
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await box(p).fill('Hallo')
    await p.keyboard.press('Enter')
    const talk = await h.talk('Hallo')
    await w(p).getByText('angekommen').waitFor()
    const before = p.requests.filter((r) => r.endsWith('/typing')).length
    await box(p).pressSequentially('Ich schreibe gerade etwas', { delay: 20 })
    await waitFor(() => p.requests.filter((r) => r.endsWith('/typing')).length > before, 'the desk is told')
    assert.ok(p.requests.filter((r) => r.endsWith('/typing')).length - before <= 2, 'not at every key')
    const presence = await fetch(`${h.base}/api/v1/conversations/${talk.id}/presence`, { method: 'POST', headers: { Authorization: `Bearer ${h.cli('token', 'create', '--user', 'm@firma.example')}`, 'Content-Type': 'application/json' }, body: '{"state":"writing"}' })
    if (presence.ok) await w(p).getByText('Miriam Berger schreibt').waitFor()
    else console.log(`    presence is not there yet (${presence.status})`)
    const q = await p.context().newPage()
    await q.goto(s.origin)
    await w(q).getByRole('button', { name: /Fragen/ }).click()
    await bubbles(q).filter({ hasText: 'Hallo' }).waitFor()
    await h.answer(talk.id, 'Guten Tag')
    for (const x of [p, q]) await bubbles(x).filter({ hasText: 'Guten Tag' }).waitFor()
    await box(q).fill('Aus dem zweiten Fenster')
    await q.keyboard.press('Enter')
    await bubbles(p).filter({ hasText: 'Aus dem zweiten Fenster' }).waitFor()
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

test('the demo’s website: whoever passes by, and a customer who is signed in there', async () => {
  const h = await start('demo', /Ctrl-C/, ['--conversations=-1'])
  const p = await page()
  try {
    for (const [lang, width, height, scheme] of [['de', 1280, 800, 'light'], ['en', 360, 740, 'dark']]) {
      await p.emulateMedia({ colorScheme: scheme })
      await p.setViewportSize({ width, height })
      await p.goto(`${h.base}/sample?language=${lang}`)
      await w(p).getByRole('button', { name: lang === 'de' ? 'Fragen?' : 'Questions?' }).waitFor()
      await accessible(p, `the website, ${lang} ${width}`)
      await shot(p, `sample-${lang}-${width}-${scheme}`)
      await p.getByRole('button', { name: lang === 'de' ? 'Jetzt fragen' : 'Ask now' }).click()
      await w(p).getByRole('dialog').waitFor()
      await accessible(p, `the website with the chat, ${lang} ${width}`)
      await shot(p, `sample-open-${lang}-${width}-${scheme}`)
      await p.keyboard.press('Escape')
      assert.match(await focus(p), /Jetzt fragen|Ask now/, 'back to what opened it')
    }
    assert.deepEqual((await p.context().cookies()), [])
    await p.goto(`${h.base}/sample?language=de`)
    await p.getByRole('link', { name: /anmelden als/ }).first().click()
    await p.getByText('Angemeldet als').waitFor()
    await w(p).getByRole('button', { name: 'Fragen?' }).click()
    await box(p).fill('Ich bin auf der Website angemeldet.')
    await p.keyboard.press('Enter')
    await w(p).getByText('angekommen').waitFor()
    const d = await p.context().newPage()
    await d.goto(`${h.base}/demo/desk`)
    const list = await waitFor(async () => { const l = (await (await d.request.get(`${h.base}/api/v1/conversations?channel_kind=webchat`)).json()).items; return l?.length && l }, 'the desk has it')
    const m = (await (await d.request.get(`${h.base}/api/v1/conversations/${list[0].id}/messages`)).json()).items
    assert.equal(m[0].assurance, 'verified')
    await d.bringToFront()
    await d.goto(`${h.base}/c/${list[0].id}?view=all`)
    await d.getByText('Ich bin auf der Website angemeldet.').first().waitFor()
    await shot(d, 'desk-webchat-de-1280-light')
    assert.deepEqual(p.troubles, [])
  } finally { await p.context().close(); assert.equal(await h.stop(), 0, 'a clean stop') }
})

for (const lang of ['de', 'en']) for (const [width, height] of [[1280, 800], [360, 740]]) for (const scheme of ['light', 'dark']) {
  test(`axe: ${lang} ${width} ${scheme}`, async () => {
    const h = await house()
    const s = await site(h.base, '', lang)
    h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
    h.cli('channel', 'add', '--kind', 'email', '--name', 'Service', '--set', 'address=service@firma.example', '--set', 'smtp_host=127.0.0.1', '--set', 'smtp_port=1')
    const p = await page({ viewport: { width, height }, colorScheme: scheme, locale: 'fr-FR', hasTouch: width === 360 })
    const name = `${lang}-${width}-${scheme}`
    try {
      await p.goto(s.origin)
      const button = w(p).getByRole('button', { name: lang === 'de' ? 'Fragen?' : 'Questions?' })
      await button.waitFor()
      await accessible(p, `closed, ${name}`)
      const at = await button.boundingBox()
      assert.ok(at.height <= 60 && at.width <= 180, 'closed, it covers no more than its button')
      const covered = await p.evaluate(() => { const r = document.querySelector('rufweite-widget').getBoundingClientRect(); return r.width * r.height })
      assert.equal(covered, 0)
      await button.click()
      await w(p).getByText(lang === 'de' ? 'Gerade ist niemand am Platz' : 'Nobody is here right now').waitFor()
      await accessible(p, `open, ${name}`)
      await shot(p, `widget-first-${name}`)
      await box(p).fill(lang === 'de' ? 'Deckt meine Police Hagel?' : 'Does my policy cover hail?')
      await p.keyboard.press('Enter')
      const talk = await h.talk(lang === 'de' ? 'Hagel' : 'hail')
      await h.answer(talk.id, lang === 'de' ? 'Ja, wenn Sie eine Teilkasko haben. Haben Sie eine? Die Police finden Sie hier: https://portal.firma.example/police' : 'Yes, if you have partial cover. Do you? You find the policy here: https://portal.firma.example/policy')
      await bubbles(p).nth(1).waitFor()
      await w(p).locator('input[type=file]').setInputFiles([{ name: 'Hagelschaden am Dach, aufgenommen am Sonntag.jpg', mimeType: 'image/jpeg', buffer: Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0]) }])
      await accessible(p, `talking, ${name}`)
      await shot(p, `widget-talk-${name}`)
      await w(p).getByRole('button', { name: /emoji/i }).click()
      await accessible(p, `emoji, ${name}`)
      await shot(p, `widget-emoji-${name}`)
      await p.keyboard.press('Escape')
      if (width === 360) { // modal: the focus stays inside
        const dialog = w(p).getByRole('dialog')
        assert.equal(await dialog.getAttribute('aria-modal'), 'true')
        for (let i = 0; i < 20; i++) { await p.keyboard.press('Tab'); assert.equal(await p.evaluate(() => document.activeElement.tagName), 'RUFWEITE-WIDGET') }
        for (let i = 0; i < 20; i++) { await p.keyboard.press('Shift+Tab'); assert.equal(await p.evaluate(() => document.activeElement.tagName), 'RUFWEITE-WIDGET') }
        const r = await dialog.boundingBox()
        assert.deepEqual([r.x, r.y, r.width, r.height], [0, 0, width, height])
      } else assert.equal(await w(p).getByRole('dialog').getAttribute('aria-modal'), null)
      await p.keyboard.press('Escape')
      await w(p).getByRole('dialog').waitFor({ state: 'hidden' })
      assert.equal(await p.evaluate(() => document.documentElement.style.overflow), '', 'the page scrolls again')
      // Twice the text size.
      await p.goto(`${s.origin}/?s=${encodeURIComponent('rufweite-widget{--rufweite-text:32px}')}`)
      await button.click()
      await bubbles(p).nth(1).waitFor()
      await accessible(p, `200 %, ${name}`)
      await shot(p, `widget-200-${name}`)
      await box(p).fill('x')
      await box(p).scrollIntoViewIfNeeded()
      assert.ok(await box(p).isVisible())
      const reach = await w(p).locator('.log').evaluate((e) => e.clientHeight)
      assert.ok(reach >= 60, `the log keeps ${reach} px`)
      assert.deepEqual(p.troubles, [])
    } finally { await p.context().close(); s.stop(); await h.stop() }
  })
}

// -- questions in the chat

const label = (de, en) => ({ de, en })
const asks = {
  yesNo: { kind: 'yes_no', text: label('Ihr Auto kann Donnerstag um 16 Uhr abgeholt werden. Passt das?', 'Your car can be fetched on Thursday at 4 pm. Does that suit you?'), yes: label('Ja, passt', 'Yes'), no: label('Nein', 'No') },
  many: { kind: 'many_of', least: 1, text: label('Welche Unterlagen haben Sie?', 'Which documents do you have?'), options: [{ key: 'id', label: label('Ausweis', 'Identity card') }, { key: 'pay', label: label('Gehaltsnachweis', 'Proof of income') }, { key: 'plan', label: label('Grundriss, amtlich', 'Floor plan, official') }] },
  list: { kind: 'one_of', text: label('Worum geht es?', 'What is it about?'), options: [['claim', 'Schaden', 'Claim'], ['contract', 'Vertrag', 'Contract'], ['bill', 'Rechnung', 'Bill'], ['address', 'Anschrift', 'Address'], ['other', 'Etwas anderes', 'Something else']].map(([key, de, en]) => ({ key, label: label(de, en) })) },
  number: { kind: 'number', min: 0, max: 500000, unit: 'km', text: label('Wie viele Kilometer ist Ihr Auto gelaufen?', 'How many kilometres has your car run?') },
  date: { kind: 'date', from: '2024-01-01', until: 'today', text: label('Wann ist der Schaden passiert?', 'When did the damage happen?') },
  file: { kind: 'file', accept: ['image/*'], least: 1, most: 5, text: label('Bitte schicken Sie Fotos vom Schaden.', 'Please send photos of the damage.') },
  verdict: { kind: 'rating', text: label('Wie war unser Service?', 'How was our service?') },
  scale: { kind: 'rating', scale: '0-10', text: label('Würden Sie uns weiterempfehlen?', 'Would you recommend us?') },
  text: { kind: 'text', optional: true, text: label('Möchten Sie noch etwas sagen?', 'Anything else to say?') },
  address: { kind: 'address', text: label('Wie lautet Ihre neue Anschrift?', 'What is your new address?') },
}

// asked opens a chat in which the house can put questions.
async function asked(h, s, p, first = 'Wann kann ich mein Auto holen?', lang = 'de') {
  await p.goto(s.origin)
  await w(p).getByRole('button', { name: lang === 'de' ? 'Fragen?' : 'Questions?' }).click()
  await box(p).fill(first)
  await p.keyboard.press('Enter')
  const talk = await h.talk(first)
  await w(p).getByText(lang === 'de' ? 'angekommen' : 'received').waitFor()
  return {
    id: talk.id,
    put: async (ask) => {
      const a = await h.api('POST', `/conversations/${talk.id}/asks`, { ask, language: lang, client_id: crypto.randomUUID() })
      const group = w(p).getByRole('group', { name: ask.text[lang] })
      await group.waitFor()
      return { id: a.id, group, answer: (state = 'answered') => waitFor(async () => { const x = await h.api('GET', `/asks/${a.id}`); return x.state === state && x }, `${ask.text[lang]} is ${state}`) }
    },
    mine: async () => (await h.messages(talk.id)).filter((m) => m.direction === 'in').map((m) => m.text),
  }
}
const once = async (talk, text) => assert.equal((await talk.mine()).filter((x) => x === text).length, 1, `“${text}” was said once`)

test('questions: each kind is answered in the chat, pressed or filled in, once', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    const talk = await asked(h, s, p)
    // Pressed twice by a nervous finger.
    let q = await talk.put(asks.yesNo)
    const at = await q.group.getByRole('button', { name: 'Ja, passt' }).boundingBox()
    await p.mouse.dblclick(at.x + at.width / 2, at.y + at.height / 2)
    assert.equal((await q.answer()).value_text, 'Ja, passt')
    await q.group.waitFor({ state: 'detached' })
    await w(p).getByText('Diese Frage ist beantwortet.').waitFor()
    await w(p).locator('.me blockquote').filter({ hasText: 'Passt das?' }).waitFor()
    await once(talk, 'Ja, passt')

    q = await talk.put(asks.list)
    await q.group.getByRole('button', { name: 'Rechnung' }).click()
    assert.equal((await q.answer()).value.key, 'bill')

    q = await talk.put(asks.many)
    await q.group.getByRole('button', { name: 'Antwort senden' }).click() // nothing is ticked: nothing is sent
    await q.group.getByRole('checkbox', { name: 'Ausweis' }).check()
    await q.group.getByRole('checkbox', { name: 'Grundriss, amtlich' }).check()
    await q.group.getByRole('button', { name: 'Antwort senden' }).click()
    assert.deepEqual((await q.answer()).value.keys, ['id', 'plan'])

    q = await talk.put(asks.number)
    await q.group.getByRole('textbox', { name: 'Zahl (km)' }).fill('123.456')
    await p.keyboard.press('Enter')
    const n = await q.answer()
    assert.equal(n.value.number, '123456')

    q = await talk.put(asks.date)
    await q.group.getByLabel('Datum').fill('2025-03-09')
    await q.group.getByRole('button', { name: 'Antwort senden' }).click()
    assert.equal((await q.answer()).value.date, '2025-03-09')

    q = await talk.put(asks.file)
    const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
    const chooser = p.waitForEvent('filechooser')
    await q.group.getByRole('button', { name: 'Dateien auswählen' }).click()
    await (await chooser).setFiles([{ name: 'Delle.png', mimeType: 'image/png', buffer: png }])
    await w(p).getByRole('button', { name: 'Senden', exact: true }).click()
    assert.equal((await q.answer()).value.files.length, 1)

    q = await talk.put(asks.verdict)
    await q.group.getByRole('button', { name: 'Begeisternd' }).click()
    await q.answer()

    q = await talk.put(asks.scale)
    assert.equal(await q.group.getByRole('button', { name: /^\d+$/ }).count(), 11)
    await q.group.getByRole('button', { name: '10', exact: true }).click()
    assert.equal((await q.answer()).value.number, '10')

    q = await talk.put(asks.address)
    await q.group.getByLabel('Straße und Hausnummer').fill('Ringstraße 1')
    await q.group.getByLabel('Postleitzahl').fill('60311')
    await q.group.getByLabel('Ort').fill('Frankfurt am Main')
    await q.group.getByRole('button', { name: 'Antwort senden' }).click()
    assert.equal((await q.answer()).value.address.city, 'Frankfurt am Main')

    q = await talk.put(asks.text)
    await q.group.getByRole('button', { name: 'Überspringen' }).click()
    assert.equal((await q.answer()).value.skipped, true)

    q = await talk.put(asks.yesNo)
    await w(p).getByRole('button', { name: 'Mit einem Menschen sprechen' }).click()
    await bubbles(p).filter({ hasText: 'Ich möchte mit einem Menschen sprechen.' }).waitFor()
    assert.equal((await h.api('GET', `/asks/${q.id}`)).state, 'open', 'who is asked by a colleague may still answer')
    await q.group.getByRole('button', { name: 'Nein' }).waitFor()
    const there = new URL((await h.api('GET', `/asks/${q.id}`)).page_url)
    await fetch(h.base + there.pathname, { method: 'POST', body: new URLSearchParams({ person: '1' }), redirect: 'manual' })
    await q.answer('handed')
    await w(p).getByText('Ein Mensch kümmert sich um diese Frage.').waitFor()
    assert.equal(await w(p).locator('.ask').count(), 0, 'nothing is left to press')
    assert.deepEqual(p.troubles, [])
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

test('questions: answered by keyboard, typed, elsewhere, taken back, or pressed without a line', async () => {
  const h = await house()
  const s = await site(h.base)
  h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
  const p = await page()
  try {
    const talk = await asked(h, s, p)
    // By keyboard alone, from the box back to the buttons.
    let q = await talk.put(asks.yesNo)
    assert.equal(await focus(p), 'TEXTAREA Nachricht', 'a question takes the focus from nobody')
    for (let i = 0; i < 20 && await focus(p) !== 'BUTTON Ja, passt'; i++) await p.keyboard.press('Shift+Tab')
    assert.equal(await focus(p), 'BUTTON Ja, passt')
    await p.keyboard.press('Enter')
    assert.equal((await q.answer()).value.yes, true)
    assert.equal(await focus(p), 'TEXTAREA Nachricht', 'and the focus is where one writes on')

    // Typed instead of pressed: the buttons go.
    q = await talk.put(asks.yesNo)
    await box(p).fill('nein, leider nicht')
    await p.keyboard.press('Enter')
    assert.equal((await q.answer()).value.yes, false)
    await q.group.waitFor({ state: 'detached' })

    // Entered by a colleague who is on the phone with the customer: it goes while somebody fills it in.
    q = await talk.put(asks.number)
    await q.group.getByRole('textbox').fill('12')
    await h.api('POST', `/asks/${q.id}/answer`, { text: '123456' })
    await q.group.waitFor({ state: 'detached' })
    assert.equal(await focus(p), 'TEXTAREA Nachricht', 'the focus is not lost with the field')

    // Answered on its page.
    q = await talk.put(asks.yesNo)
    const url = new URL((await h.api('GET', `/asks/${q.id}`)).page_url)
    await fetch(h.base + url.pathname, { method: 'POST', body: new URLSearchParams({ o: '0' }), redirect: 'manual' })
    await q.answer()
    await q.group.waitFor({ state: 'detached' })

    // Taken back; and it stays so after a reload.
    q = await talk.put(asks.verdict)
    await h.api('POST', `/asks/${q.id}/withdraw`, {})
    await q.group.waitFor({ state: 'detached' })
    await w(p).getByText('Diese Frage hat sich erledigt.').waitFor()
    q = await talk.put(asks.list)
    await p.reload()
    await w(p).getByRole('button', { name: /Fragen\?/ }).click()
    await q.group.getByRole('button', { name: 'Vertrag' }).waitFor()
    assert.equal(await w(p).locator('.ask').count(), 1, 'only what is open can be pressed')
    assert.equal(await w(p).getByText('Diese Frage ist beantwortet.').count(), 4)

    // A message that answers nothing leaves the question open.
    await box(p).fill('Was meinen Sie mit Vertrag?')
    await p.keyboard.press('Enter')
    await waitFor(async () => (await talk.mine()).includes('Was meinen Sie mit Vertrag?'), 'the question back')
    assert.equal((await h.api('GET', `/asks/${q.id}`)).state, 'open')
    await q.group.getByRole('button', { name: 'Vertrag' }).waitFor()

    // Pressed while the server is away, even across a reload: it arrives once.
    await h.kill()
    await q.group.getByRole('button', { name: 'Vertrag' }).click()
    await q.group.waitFor({ state: 'detached' })
    await w(p).getByText('wartet auf Verbindung').waitFor()
    await h.start()
    assert.equal((await q.answer()).value.key, 'contract')
    await once(talk, 'Vertrag')

    // The answer to the press is lost on its way: pressed again by the widget, it is one.
    q = await talk.put(asks.yesNo)
    let cut = true
    await p.route(`${h.base}/chat/**/messages`, async (route) => {
      if (route.request().method() !== 'POST' || !cut) return route.continue()
      cut = false
      await route.fetch()
      await route.abort('connectionreset')
    })
    const before = (await talk.mine()).filter((x) => x === 'Nein').length
    await q.group.getByRole('button', { name: 'Nein' }).click()
    assert.equal((await q.answer()).value.yes, false)
    await w(p).getByText('angekommen').waitFor()
    assert.equal((await talk.mine()).filter((x) => x === 'Nein').length, before + 1)
  } finally { await p.context().close(); s.stop(); await h.stop() }
})

for (const [lang, width, height, scheme] of process.env.ALL ? ['de', 'en'].flatMap((l) => [[1280, 800], [360, 740]].flatMap(([x, y]) => ['light', 'dark'].map((c) => [l, x, y, c]))) : [['de', 360, 740, 'dark'], ['en', 1280, 800, 'light'], ['de', 1280, 800, 'dark'], ['en', 360, 740, 'light']]) {
  test(`questions: axe ${lang} ${width} ${scheme}`, async () => {
    const h = await house()
    const s = await site(h.base, '', lang)
    h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Chat', '--set', `allowed_origins=${s.origin}`)
    const p = await page({ viewport: { width, height }, colorScheme: scheme, hasTouch: width === 360 })
    try {
      const talk = await asked(h, s, p, lang === 'de' ? 'Mein Auto?' : 'My car?', lang)
      for (const [name, ask] of Object.entries(asks)) {
        const q = await talk.put(ask)
        await accessible(p, `${name}, ${lang} ${width} ${scheme}`)
        await shot(p, `widget-ask-${name}-${lang}-${width}-${scheme}`)
        await h.api('POST', `/asks/${q.id}/withdraw`, {})
        await q.group.waitFor({ state: 'detached' })
      }
      await accessible(p, `closed questions, ${lang} ${width} ${scheme}`)
      const q = await talk.put(asks.many)
      await p.evaluate(() => document.querySelector('rufweite-widget').style.setProperty('--rufweite-text', '32px'))
      await q.group.scrollIntoViewIfNeeded()
      await accessible(p, `200 %, ${lang} ${width} ${scheme}`)
      await shot(p, `widget-ask-200-${lang}-${width}-${scheme}`)
    } finally { await p.context().close(); s.stop(); await h.stop() }
  })
}

let passed = 0, failed = 0
for (const t of tests) {
  if (only && !t.name.includes(only)) continue
  const at = Date.now()
  try {
    await t.fn()
    passed++
    console.log(`ok   ${t.name} (${((Date.now() - at) / 1000).toFixed(1)} s)`)
  } catch (e) {
    failed++
    console.log(`FAIL ${t.name}\n${e.stack ?? e}`)
  }
}
await browser.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
