// What a person does, in a real browser, against the real binary: no mock anywhere. Some only: node test/e2e.mjs NAME-PART
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { createServer } from 'node:http'
import { launch, start, waitFor, freePort } from './house.mjs'

const only = process.argv[2] ?? ''
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await launch()
const tests = []
let current // the page of the running test: its picture is kept when it fails
const test = (name, fn) => tests.push({ name, fn })
const snap = async (e) => { await current?.screenshot({ path: `${process.env.SHOTS ?? '/tmp'}/e2e-failed.png` }).catch(() => {}); throw e }

async function page(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'de-DE', reducedMotion: 'reduce', ...options })
  const p = await context.newPage()
  current = p
  p.setDefaultTimeout(60_000)
  p.setDefaultNavigationTimeout(60_000)
  p.troubles = []
  p.on('pageerror', (e) => p.troubles.push(`page error: ${e.message}`))
  p.on('console', (m) => { if (m.type() === 'error' && !/status of (401|404|410|422)/.test(m.text())) p.troubles.push(`console: ${m.text()}`) })
  p.on('request', (r) => { const u = new URL(r.url()); if (!['127.0.0.1', 'localhost'].includes(u.hostname) && u.protocol.startsWith('http')) p.troubles.push(`external request: ${r.url()}`) })
  return p
}

async function accessible(p, where) {
  await p.evaluate(axe) // not as a script tag: the page’s CSP forbids inline scripts, rightly
  const { violations } = await p.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`), [], `axe on ${where}`)
  const wider = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(wider <= 0, `${where} is ${wider} px too wide`)
}

// One SMTP session with our receiver.
function mail(port, from, to, data) {
  return new Promise((done, fail) => {
    const s = connect(port, '127.0.0.1')
    const steps = ['EHLO kunde.example\r\n', `MAIL FROM:<${from}>\r\n`, `RCPT TO:<${to}>\r\n`, 'DATA\r\n', `${data.replace(/\r?\n/g, '\r\n')}\r\n.\r\n`, 'QUIT\r\n']
    let buf = ''
    s.setEncoding('utf8').on('error', fail).on('data', (b) => {
      buf += b
      for (let i; (i = buf.indexOf('\n')) >= 0;) {
        const line = buf.slice(0, i)
        buf = buf.slice(i + 1)
        if (line[3] === '-') continue
        if (!/^[23]/.test(line)) return fail(new Error(line))
        const next = steps.shift()
        if (next === undefined) { s.end(); return done() }
        s.write(next)
      }
    })
  })
}

const rows = (p) => p.getByTestId('inbox').locator('.row')
const box = (p) => p.getByTestId('composer').getByRole('textbox').last()
const messageWith = (p, text) => p.getByTestId('message').filter({ hasText: text })

test('first start to first answer: owner, channel, mail in, answer queued, second factor', async () => {
  const house = await start('serve', /setup\?token=\S+/, ['--allow-private-targets'])
  const p = await page()
  try {
    const token = /setup\?token=(\S+)/.exec(house.output())[1]
    await p.goto(`${house.base}/setup?token=${token}`)
    await accessible(p, 'first start')
    await p.getByLabel('Name Ihres Unternehmens').fill('Berger & Krause')
    await p.getByLabel('Ihr Name').fill('Miriam Berger')
    await p.getByLabel('E-Mail').fill('miriam@firma.example')
    await p.getByRole('textbox', { name: 'Passwort' }).fill('ein sehr langer satz')
    await p.getByRole('button', { name: 'Loslegen' }).click()
    await p.getByRole('link', { name: 'Kanal verbinden' }).click()
    await p.getByRole('link', { name: /E-Mail/ }).first().click()
    await p.getByRole('textbox', { name: 'address' }).fill('service@firma.example')
    await accessible(p, 'a new channel')
    await p.getByRole('button', { name: 'Verbinden' }).click()
    await p.waitForURL(/\/settings\/channels\/[0-9a-f-]{36}/)
    const setup = await p.request.get(`${house.base}/api/v1/setup?token=${token}`)
    assert.equal(setup.status(), 410, 'the first-start link works once')

    await p.goto(`${house.base}/?view=unassigned`)
    const before = Date.now()
    await mail(house.smtp, 'ayse@kunde.example', 'service@firma.example',
      'From: =?utf-8?q?Ay=C5=9Fe_Y=C4=B1ld=C4=B1z?= <ayse@kunde.example>\nTo: service@firma.example\nSubject: Unfall auf der A9\nMessage-ID: <1@kunde.example>\nContent-Type: text/html; charset=utf-8\n\n<p>Guten Tag, ich hatte einen <b>Unfall</b>.</p><img src="http://tracker.example/pixel.png"><script>window.hacked=1</script>')
    await rows(p).filter({ hasText: 'Ayşe Yıldız' }).waitFor()
    console.log(`    live after ${Date.now() - before} ms`)
    await rows(p).filter({ hasText: 'Ayşe Yıldız' }).click()
    await messageWith(p, 'ich hatte einen Unfall').waitFor()
    assert.equal(await p.evaluate(() => window.hacked), undefined)
    await accessible(p, 'a conversation')

    // The mailbox has no server to submit to: the composer says so instead of failing later.
    assert.match(await p.getByTestId('composer').innerText(), /nur empfangen/)
    await p.keyboard.press('n')
    await p.locator('form.noting').waitFor()
    await waitFor(() => p.evaluate(() => document.activeElement?.tagName === 'TEXTAREA'), 'the note has the focus')
    await p.keyboard.type('Gutachter anrufen')
    await p.keyboard.press('Control+Enter')
    await p.locator('article.note').filter({ hasText: 'Gutachter anrufen' }).waitFor()

    // Second factor, in German and then English.
    await p.goto(`${house.base}/settings/me`)
    await p.getByRole('button', { name: 'Einrichten' }).last().click()
    await p.locator('.qr').waitFor()
    await accessible(p, 'second factor')
    assert.deepEqual(p.troubles, [])
    assert.match(house.cli('balance'), /^total\s+1\s+1\s+0\s+0/)
  } catch (e) { await snap(e) } finally {
    await p.context().close()
    assert.equal(await house.stop(), 0, 'a clean stop')
  }
})

test('a conversation on Telegram, live, with undo, notes, assign, close and search', async () => {
  // A stand-in for the provider that only counts what is sent; the full simulator is used by the demo below.
  const sent = []
  const provider = createServer((req, res) => {
    let body = ''
    req.on('data', (b) => { body += b }).on('end', () => {
      const method = req.url.split('/').pop().split('?')[0]
      if (method === 'sendMessage') sent.push(JSON.parse(body))
      const result = method === 'getMe' ? { id: 1, is_bot: true, first_name: 'Bot', username: 'bot' } : method === 'sendMessage' ? { message_id: 1000 + sent.length, date: Math.floor(Date.now() / 1000), chat: { id: 77, type: 'private' } } : method === 'getWebhookInfo' ? { url: '', has_custom_certificate: false, pending_update_count: 0 } : true
      res.setHeader('Content-Type', 'application/json')
      res.end(JSON.stringify({ ok: true, result }))
    })
  })
  const port = await freePort()
  await new Promise((done) => provider.listen(port, '127.0.0.1', done))
  const house = await start('serve', /setup\?token=\S+/, ['--allow-private-targets'])
  const p = await page()
  try {
    house.cli('user', 'add', '--email', 'm@firma.example', '--name', 'Miriam Berger', '--role', 'owner', '--password', 'ein sehr langer satz')
    house.cli('user', 'add', '--email', 'j@firma.example', '--name', 'Jonas Krause', '--role', 'advisor', '--password', 'ein sehr langer satz')
    const id = house.cli('channel', 'add', '--kind', 'telegram', '--name', 'Bot', '--set', 'token=123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1', '--set', 'secret_token=geheim', '--set', 'mode=webhook', '--set', `api_url=http://127.0.0.1:${port}`)
    let n = 0
    const write = async (chat, name, text) => {
      n++
      const res = await fetch(`${house.base}/in/telegram/${id}`, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Telegram-Bot-Api-Secret-Token': 'geheim' }, body: JSON.stringify({ update_id: n, message: { message_id: n, from: { id: chat, is_bot: false, first_name: name, language_code: 'de' }, chat: { id: chat, first_name: name, type: 'private' }, date: Math.floor(Date.now() / 1000), text } }) })
      assert.equal(res.status, 200)
    }
    await write(77, 'Ayşe', 'Ist mein Golf fertig?')
    await write(78, 'Tomasz', 'Ich brauche die Unterlagen zur Baufinanzierung.')
    await p.goto(`${house.base}/?view=unassigned`)
    await p.getByLabel('E-Mail').fill('m@firma.example')
    await p.getByRole('textbox', { name: 'Passwort' }).fill('ein sehr langer satz')
    await p.getByRole('button', { name: 'Anmelden' }).click()
    await rows(p).filter({ hasText: 'Ayşe' }).click()
    await messageWith(p, 'Ist mein Golf fertig?').waitFor()

    // Undo brings the text back and nothing leaves.
    await box(p).fill('Voreilig')
    await p.keyboard.press('Control+Enter')
    await p.getByRole('button', { name: /Rückgängig/ }).click()
    await waitFor(async () => (await box(p).inputValue()) === 'Voreilig', 'the text is back')
    await box(p).fill('Ja, ab Donnerstag 16 Uhr.')
    await p.keyboard.press('Control+Enter')
    await messageWith(p, 'ab Donnerstag').getByTestId('delivery').and(p.locator('[data-state=sent]')).waitFor()
    assert.deepEqual(sent.map((m) => m.text), ['Ja, ab Donnerstag 16 Uhr.'])
    assert.equal(String(sent[0].chat_id), '77')

    // The customer's next word arrives while one looks.
    await write(77, 'Ayşe', 'Dann komme ich um halb fünf.')
    await messageWith(p, 'halb fünf').waitFor()

    // Assign to a colleague, close, find again.
    await p.getByTestId('conversation').getByRole('heading', { level: 1 }).click()
    await p.keyboard.press('a')
    await p.getByRole('menuitem', { name: /Jonas Krause/ }).or(p.getByRole('menuitemradio', { name: /Jonas Krause/ })).first().click()
    await p.getByText(/Jonas Krause/).first().waitFor()
    await p.getByTestId('close').click()
    const token = house.cli('token', 'create', '--user', 'm@firma.example')
    const list = async (q) => (await (await fetch(`${house.base}/api/v1/conversations?${q}`, { headers: { Authorization: `Bearer ${token}` } })).json()).items
    await waitFor(async () => (await list('status=closed')).some((c) => c.customer.name === 'Ayşe' && c.assignee?.name === 'Jonas Krause'), 'closed and assigned')
    await p.goto(`${house.base}/?view=all&q=baufinanzierung`)
    await rows(p).filter({ hasText: 'Tomasz' }).waitFor()
    assert.equal(await rows(p).count(), 1)

    // A draft survives a reload.
    await rows(p).first().click()
    await box(p).fill('Halber Satz')
    await p.waitForTimeout(1500)
    await p.reload()
    await waitFor(async () => (await box(p).inputValue()) === 'Halber Satz', 'the draft is back')

    // On a phone, too.
    await p.setViewportSize({ width: 360, height: 740 })
    await accessible(p, 'a conversation at 360 px')
    assert.deepEqual(p.troubles, [])
  } catch (e) { await snap(e) } finally {
    await p.context().close()
    assert.equal(await house.stop(), 0, 'a clean stop')
    provider.close()
  }
})

test('the demo: the visitor plays customer on each channel, the desk answers, the answer arrives', async () => {
  const house = await start('demo', /Ctrl-C/)
  const p = await page({ viewport: { width: 1440, height: 900 } })
  try {
    await p.goto(`${house.base}/demo/desk`)
    await rows(p).first().waitFor()
    await accessible(p, 'the demo’s inbox')
    const people = (await (await p.request.get(`${house.base}/demo/api/customers`)).json()).items
    for (const channel of ['telegram', 'email']) {
      const who = people.find((c) => c.channels.includes(channel))
      const text = `Vorführung auf ${channel}: Wann hat Ihr Büro geöffnet?`
      await p.goto(`${house.base}/demo/play`)
      const wrote = await p.request.post(`${house.base}/demo/api/write`, { data: { customer: who.id, channel, text, subject: 'Öffnungszeiten' } })
      assert.equal(wrote.status(), 202)
      await p.goto(`${house.base}/?view=all`)
      await rows(p).filter({ hasText: `Vorführung auf ${channel}` }).first().click()
      await messageWith(p, text).first().waitFor()
      const answer = `Von neun bis achtzehn Uhr (${channel}).`
      await box(p).fill(answer)
      await p.keyboard.press('Control+Enter')
      await messageWith(p, answer).getByTestId('delivery').and(p.locator('[data-state=sent],[data-state=delivered]')).waitFor()
      const thread = async () => (await (await p.request.get(`${house.base}/demo/api/threads?customer=${encodeURIComponent(who.id)}&channel=${channel}`)).json()).items
      await waitFor(async () => (await thread()).some((m) => m.direction === 'in' && m.text.includes(answer)), `the answer arrives on ${channel}`)
    }
    assert.deepEqual(p.troubles, [])
  } catch (e) { await snap(e) } finally {
    await p.context().close()
    assert.equal(await house.stop(), 0, 'a clean stop')
  }
})

test('the demo shows the pick-up: asked by mail, answered by Telegram, and the late link tells what counts', async () => {
  const house = await start('demo', /Ctrl-C/)
  const p = await page({ viewport: { width: 1440, height: 900 } })
  try {
    await p.goto(`${house.base}/demo/play?show=pickup`)
    const mail = p.frameLocator('iframe.html')
    const link = mail.getByRole('link', { name: 'Anderer Termin' })
    await link.waitFor()
    const url = await link.getAttribute('href')
    await p.getByRole('button', { name: /Telegram$/ }).last().click()
    await p.locator('.chatform textarea').fill('Ja, passt')
    await p.keyboard.press('Enter')
    await p.locator('.bub').filter({ hasText: 'Danke! Wir erwarten Sie' }).first().waitFor()
    const late = await p.context().newPage()
    await late.goto(url)
    await late.getByText('Telegram').first().waitFor()
    await late.getByText('Ja, passt').first().waitFor()
  } catch (e) { await snap(e) } finally {
    await p.context().close()
    assert.equal(await house.stop(), 0, 'a clean stop')
  }
})

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
