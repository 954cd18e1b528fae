// The contact page in a real browser, against the real binary: without JavaScript and by keyboard, with a code, in a frame
// of another site, narrow and wide, light and dark; then its settings in the desk. Some only: node test/contact.mjs
// NAME-PART. SHOTS=DIR keeps pictures.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { freePort, house, launch, waitFor } from './house.mjs'

const only = process.argv[2] ?? ''
const shots = process.env.SHOTS
if (shots) mkdirSync(shots, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const tests = []
const test = (name, fn) => tests.push({ name, fn })
const h = await house()
const browser = await launch()
h.cli('channel', 'add', '--kind', 'email', '--name', 'Service', '--set', 'address=service@firma.example', '--set', 'smtp_host=127.0.0.1', '--set', 'smtp_port=1', '--set', 'smtp_tls=none')
h.cli('channel', 'add', '--kind', 'twilio', '--name', 'SMS', '--set', 'account_sid=AC0123456789abcdef0123456789abcdef', '--set', 'auth_token=0123456789abcdef0123456789abcdef', '--set', 'from=+4915123456700')
h.cli('channel', 'add', '--kind', 'webchat', '--name', 'Website')
const phone = await h.api('POST', '/contact/ways', { kind: 'phone', ref: '030 90 12 30', note: { de: 'Sie sprechen mit uns, ohne Warteschleife', en: 'You talk to us, no queue' } })
await h.api('POST', '/contact/ways', { kind: 'branch', ref: 'Lindenstraße 4\n10969 Berlin', label: { de: 'Filiale Mitte', en: 'Branch Mitte' } })
const portal = await h.api('POST', '/contact/ways', { kind: 'web', label: { de: 'Kundenportal', en: 'Customer portal' }, url: `${h.base}/a/` })

const page = async (options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'de-DE', reducedMotion: 'reduce', ...options })
  const p = await context.newPage()
  p.setDefaultTimeout(30_000)
  p.troubles = []
  p.outside = []
  p.on('pageerror', (e) => p.troubles.push(`page error: ${e.message}`))
  p.on('console', (m) => { if (m.type() === 'error') p.troubles.push(`console: ${m.text()}`) })
  p.on('request', (r) => { if (!r.url().startsWith(h.base) && !r.url().startsWith('data:') && !r.url().startsWith('http://localhost')) p.outside.push(r.url()) })
  return p
}
const shot = async (p, name) => { if (shots) await p.screenshot({ path: `${shots}/${name}.png`, fullPage: true }) }
async function fits(p, where) {
  const wider = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(wider <= 0, `${where} is ${wider} px too wide`)
}
async function accessible(p, where) {
  await p.evaluate(axe)
  const { violations } = await p.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.flat().join(' ')} ${n.failureSummary}`).join(' | ')}`), [], `axe on ${where}`)
}

test('without JavaScript and by keyboard', async () => {
  const p = await page({ javaScriptEnabled: false })
  await p.goto(`${h.base}/contact`)
  assert.equal(await p.title(), 'So erreichen Sie uns · Rufweite')
  for (const name of ['030 90 12 30', 'Filiale Mitte', 'service@firma.example', 'Kundenportal', 'Chat auf dieser Seite']) assert.ok(await p.getByText(name, { exact: true }).first().isVisible(), name)
  assert.ok(await p.locator('noscript p').isVisible(), 'what needs a script is said')
  assert.equal(await p.getByText('offen', { exact: false }).count(), 0, 'nothing is claimed without hours')
  const href = await p.locator(`[data-way="${phone.id}"] a`).getAttribute('href')
  const res = await fetch(h.base + href, { redirect: 'manual' })
  assert.equal(res.status, 303)
  assert.equal(res.headers.get('location'), 'tel:030901230')
  // Tab to the portal's code, open it, go back, follow the way.
  const code = p.locator(`[data-way="${portal.id}"] summary`)
  for (let i = 0; i < 40 && !(await code.evaluate((e) => e === document.activeElement)); i++) await p.keyboard.press('Tab')
  assert.ok(await code.evaluate((e) => e === document.activeElement), 'Tab reaches the code')
  assert.ok(!(await p.locator(`[data-way="${portal.id}"] .qr`).isVisible()))
  await p.keyboard.press('Enter')
  assert.ok(await p.getByRole('img', { name: 'QR-Code: Kundenportal' }).isVisible(), 'the code is shown without a script')
  await shot(p, 'contact-qr')
  await p.keyboard.press('Shift+Tab')
  await p.keyboard.press('Enter')
  await p.waitForURL(`${h.base}/a/`)
  await p.goBack()
  await p.getByRole('link', { name: 'English' }).click()
  assert.equal(await p.getByRole('heading', { level: 1 }).innerText(), 'How to reach us')
  const use = await h.api('GET', '/contact/use')
  assert.ok(use.views >= 3 && use.ways.find((w) => w.id === portal.id).opened === 1, JSON.stringify(use))
  assert.deepEqual([...p.troubles, ...p.outside, ...(await p.context().cookies())], [])
})

test('every size, language and light', async () => {
  await h.api('PUT', '/contact/hours', { zone: 'Europe/Berlin', week: [{ days: [1, 2, 3, 4, 5, 6, 7], from: '00:00', to: '23:59' }] })
  for (const lang of ['de', 'en']) for (const width of [360, 1280]) for (const colorScheme of ['light', 'dark']) {
    const p = await page({ viewport: { width, height: 800 }, colorScheme, locale: lang === 'de' ? 'de-DE' : 'en-GB' })
    const where = `contact-${lang}-${width}-${colorScheme}`
    for (const [name, path] of [['', '/contact'], ['-code', '/contact?code=K7M2Q9XP4TZA'], ['-embed', '/contact?embed=1']]) {
      await p.goto(h.base + path)
      await fits(p, where + name)
      await shot(p, where + name)
      await p.evaluate(() => document.querySelectorAll('details').forEach((d) => { d.open = true }))
      await fits(p, `${where + name} with codes`)
      await accessible(p, where + name)
      const small = await p.evaluate(() => [...document.querySelectorAll('main a, main summary, nav a')].filter((e) => { const r = e.getBoundingClientRect(); return r.height < 44 || r.width < 44 }).map((e) => e.outerHTML.slice(0, 100)))
      assert.deepEqual(small, [], `targets of ${where}`)
    }
    assert.deepEqual([...p.troubles, ...p.outside], [])
    await p.context().close()
  }
})

test('the chat opens where it is chosen', async () => {
  const p = await page()
  await p.goto(`${h.base}/contact`)
  await p.getByRole('link', { name: /Chat auf dieser Seite/ }).click()
  await p.locator('rufweite-widget').getByRole('textbox', { name: /Nachricht/ }).waitFor()
  assert.deepEqual([...p.troubles, ...p.outside], [])
})

test('in a frame of another site', async () => {
  const port = await freePort()
  const s = createServer((_, res) => { res.setHeader('Content-Type', 'text/html'); res.end(`<!doctype html><html lang="de"><title>Firma</title><iframe title="Kontakt" style="width:100%;height:700px" src="${h.base}/contact?embed=1"></iframe>`) })
  await new Promise((done) => s.listen(port, '127.0.0.1', done))
  const p = await page()
  await p.goto(`http://localhost:${port}/`)
  await p.frameLocator('iframe').getByRole('link', { name: '030 90 12 30' }).waitFor()
  assert.deepEqual(p.troubles.filter((x) => /frame/i.test(x)), [])
  s.closeAllConnections(); s.close()
})

test('the desk sets it up', async () => {
  await h.api('PUT', '/contact/hours', {})
  for (const lang of ['de', 'en']) for (const width of [1280, 360]) for (const colorScheme of ['light', 'dark']) {
    const p = await page({ viewport: { width, height: 800 }, colorScheme, locale: lang === 'de' ? 'de-DE' : 'en-GB' })
    await p.request.post(`${h.base}/api/v1/session`, { data: { email: 'm@firma.example', password: 'ein sehr langer satz' } })
    await p.request.patch(`${h.base}/api/v1/session`, { data: { language: lang } })
    await p.goto(`${h.base}/settings/contact`)
    await p.getByTestId('contact-way').first().waitFor()
    await fits(p, `settings ${lang} ${width}`)
    await accessible(p, `settings ${lang} ${width} ${colorScheme}`)
    await shot(p, `settings-${lang}-${width}-${colorScheme}`)
    await p.getByRole('button', { name: /Öffnungszeiten eintragen|Set opening hours/ }).click()
    await accessible(p, `hours ${lang} ${width} ${colorScheme}`)
    await shot(p, `settings-hours-${lang}-${width}-${colorScheme}`)
    await p.keyboard.press('Escape')
    assert.deepEqual([...p.troubles, ...p.outside], [])
    await p.context().close()
  }
  const p = await page()
  await p.request.post(`${h.base}/api/v1/session`, { data: { email: 'm@firma.example', password: 'ein sehr langer satz' } })
  await p.request.patch(`${h.base}/api/v1/session`, { data: { language: 'de' } })
  await p.goto(`${h.base}/settings/contact`)
  await p.getByRole('button', { name: 'Öffnungszeiten eintragen' }).click()
  await p.getByRole('button', { name: 'Speichern' }).click()
  await p.getByText('Mo, Di, Mi, Do, Fr 08:00–18:00').waitFor()
  // A way by hand, refused and then right; then down by keyboard, hidden and gone.
  await p.getByRole('button', { name: 'Weg hinzufügen' }).click()
  await p.getByLabel('Telefonnummer').fill('keine')
  await p.getByRole('dialog').getByRole('button', { name: 'Speichern' }).click()
  await p.getByText('Schreiben Sie die Nummer als').waitFor()
  await p.getByLabel('Telefonnummer').fill('030 11 22 33')
  await p.getByRole('dialog').getByRole('button', { name: 'Speichern' }).click()
  const order = async () => (await h.api('GET', '/contact/ways')).items.filter((w) => w.section === 'talk').map((w) => w.name.de)
  await p.getByText('030 11 22 33').first().waitFor()
  const before = await order()
  const up = p.getByRole('button', { name: '030 11 22 33 nach oben' })
  await up.focus()
  await p.keyboard.press('Enter')
  await waitFor(async () => (await order()).indexOf('030 11 22 33') === before.indexOf('030 11 22 33') - 1, 'it moved up')
  await waitFor(() => up.evaluate((e) => e === document.activeElement), 'the button keeps the focus')
  await p.getByRole('button', { name: 'Ausblenden: 030 11 22 33' }).click()
  await p.getByRole('button', { name: 'Zeigen: 030 11 22 33' }).waitFor()
  assert.ok(!(await (await fetch(`${h.base}/contact`)).text()).includes('030 11 22 33'))
  await p.getByRole('button', { name: 'Ändern: 030 11 22 33' }).click()
  await shot(p, 'settings-way')
  await p.getByRole('dialog').getByRole('button', { name: 'Entfernen' }).click()
  await waitFor(async () => !(await order()).includes('030 11 22 33'), 'it is gone')
  assert.match(await p.getByTestId('contact-way').filter({ hasText: 'Kundenportal' }).innerText(), /\d+ × angeboten, \d+ × benutzt/)
  // By mouse: the branch before the telephone.
  const talk = await order()
  await p.getByTestId('contact-way').filter({ hasText: talk[1] }).dragTo(p.getByTestId('contact-way').filter({ hasText: talk[0] }))
  await waitFor(async () => (await order())[0] === talk[1], 'dragged')
})

let bad = 0
try {
  for (const { name, fn } of tests.filter((x) => x.name.includes(only))) {
    try { await fn(); console.log(`ok   ${name}`) } catch (e) { bad++; console.log(`FAIL ${name}\n${e.stack}`) }
  }
} finally {
  await browser.close()
  await h.stop()
}
process.exit(bad ? 1 : 0)
