// The answer page in a real browser, without JavaScript wherever it can do without: every kind of question, narrow and
// wide, light and dark, German and English. The server is internal/api with questions in memory (TestAnswerPageServe;
// ANSWER_TEST names a built test binary, so that Go need not build one). Some only: node test/answer.mjs NAME-PART.
// SHOTS=DIR keeps pictures.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { launch } from './house.mjs'

const only = new RegExp(process.argv[2] ?? '')
const shots = process.env.SHOTS
if (shots) mkdirSync(shots, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const args = ['-test.run', '^TestAnswerPageServe$', '-test.timeout', '10m']
const [cmd, argv] = process.env.ANSWER_TEST ? [process.env.ANSWER_TEST, args] : ['go', ['test', './internal/api', '-count=1', '-run', '^TestAnswerPageServe$', '-timeout', '10m', '-v']]
const server = spawn(cmd, argv, { cwd: new URL('../..', import.meta.url).pathname, env: { ...process.env, ANSWER_SERVE: '127.0.0.1:0' }, stdio: ['pipe', 'pipe', 'inherit'] })
const base = await new Promise((found, failed) => {
  server.stdout.on('data', (b) => { const m = /serving (http:\S+)/.exec(b); if (m) found(m[1]) })
  server.on('exit', () => failed(new Error('the server did not start')))
})
const browser = await launch()
const tests = []
const test = (name, fn) => tests.push({ name, fn })

async function open(path, { width = 360, scheme = 'light', js = false, locale = 'de-DE' } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 740 }, colorScheme: scheme, javaScriptEnabled: js, locale, bypassCSP: false })
  const page = await context.newPage()
  const noise = []
  page.on('console', (m) => { if (!/404|422|429/.test(m.text())) noise.push(m.text()) })
  page.on('request', (r) => { if (!r.url().startsWith(base) && !r.url().startsWith('data:')) noise.push(`asks ${r.url()}`) })
  await page.goto(base + path)
  return { page, noise, close: async () => { await context.close(); assert.deepEqual(noise, []) } }
}

// axe and measures need scripts, which the page's policy forbids: they run in the debugger's own world.
async function fits(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(wide <= 0, `${what}: ${wide} px too wide`)
  const small = await page.evaluate(() => [...document.querySelectorAll('button, a, label.opt, main input:not([type=radio], [type=checkbox], [type=hidden])')].filter((e) => e.getClientRects().length && e.getBoundingClientRect().height < 44 && getComputedStyle(e).display !== 'inline').map((e) => e.outerHTML.slice(0, 80)))
  assert.deepEqual(small, [], `${what}: targets below 44 px`)
  await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], what)
}

const kinds = ['yesn', 'neef', 'many', 'stts', 'date', 'when', 'numb', 'text', 'verd', 'scat', 'mait', 'phne', 'addr', 'fite', 'sign', 'cnst', 'paym', 'gnee', 'dnee', 'mine', 'hand', 'prve']
const code = (k) => `/a/${k}2222${k}`

for (const k of [...kinds.map(code), '/a/', '/a/zzzz2222zzzz']) {
  test(`looks ${k}`, async () => {
    for (const [width, scheme, lang] of [[360, 'dark', 'en'], [1280, 'light', 'de']]) {
      const w = await open(`${k}?lang=${lang}`, { width, scheme, js: true })
      await fits(w.page, `${k} ${width} ${scheme} ${lang}`)
      if (shots) await w.page.screenshot({ path: `${shots}/answer${k.replace(/\W+/g, '-')}-${width}-${scheme}-${lang}.png`, fullPage: true })
      await w.close()
    }
  })
}

test('errors stand at their fields', async () => {
  for (const scheme of ['light', 'dark']) {
    const w = await open(code('addr'), { js: true, scheme })
    await w.page.fill('[name=street]', 'Ringstraße 1')
    await w.page.fill('[name=postal_code]', '123')
    await w.page.click('button.go')
    assert.match(await w.page.title(), /^Bitte prüfen/)
    assert.match(await w.page.innerText('#e-postal_code'), /5 Ziffern/)
    assert.equal(await w.page.inputValue('[name=street]'), 'Ringstraße 1')
    await fits(w.page, 'errors')
    if (shots) await w.page.screenshot({ path: `${shots}/answer-errors-${scheme}.png`, fullPage: true })
    await w.page.click('.errors a >> nth=0')
    assert.match(w.page.url(), /#f-postal_code$/)
    await w.close()
  }
})

test('by keyboard alone, without JavaScript', async () => {
  await fetch(`${base}/reset`)
  const w = await open(`${code('verd')}`)
  await w.page.focus('input[type=radio]')
  await w.page.keyboard.press('ArrowDown')
  await w.page.keyboard.press('ArrowDown')
  await w.page.keyboard.press('Enter')
  await w.page.waitForSelector('.done')
  assert.match(await w.page.innerText('.done'), /Danke[^]*Begeistern/)
  await w.page.reload() // sends nothing again
  assert.match(await w.page.innerText('.done'), /Danke/)
  await w.close()
})

test('a day in words', async () => {
  const w = await open(code('when'))
  await w.page.fill('[name=words]', 'übermorgen um halb drei')
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.done'), /26\. ?(November|11)[^]*14:30/)
  await w.close()
})

test('several, and too many', async () => {
  const w = await open(code('many'))
  for (const n of [0, 1, 2]) await w.page.check(`[name=o][value="${n}"]`)
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.errors'), /höchstens 2/)
  assert.ok(await w.page.isChecked('[name=o][value="2"]'), 'what was ticked is kept')
  await w.page.uncheck('[name=o][value="1"]')
  await w.page.click('button.go')
  assert.match(await w.page.innerText('.done'), /Ausweis[^]*Grundriss/)
  await w.close()
})

test('photos', async () => {
  const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
  const w = await open(code('fite'))
  await w.page.setInputFiles('[name=files]', [{ name: 'delle.png', mimeType: 'image/png', buffer: png }, { name: 'kratzer.png', mimeType: 'image/png', buffer: png }])
  await w.page.click('button.go')
  await w.page.waitForSelector('.done')
  await w.close()
})

test('a signature, drawn; and by name without JavaScript', async () => {
  const w = await open(code('sign'), { js: true })
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
  await fetch(`${base}/reset`)
  const n = await open(code('sign'))
  assert.ok(!await n.page.isVisible('canvas'), 'no pad without a script')
  await n.page.fill('[name=signed]', 'Ada Yıldız')
  await n.page.check('[name=agree]')
  await n.page.click('button.go')
  assert.match(await n.page.innerText('.done'), /Ada Yıldız/)
  await n.close()
})

test('a person, and the other language', async () => {
  await fetch(`${base}/reset`)
  const w = await open(`${code('yesn')}?o=1`)
  assert.ok(await w.page.isChecked('[value="1"]'), 'a link only chooses')
  await w.page.click('text=Leichte Sprache')
  assert.match(await w.page.innerText('h1'), /Ihr Auto ist fertig/)
  assert.equal(await w.page.getAttribute('html', 'lang'), 'de-simple')
  await w.page.click('button[name=person]')
  assert.match(await w.page.innerText('.done'), /Ein Mensch hilft Ihnen/)
  await w.close()
})

test('a code typed from a letter', async () => {
  const w = await open('/a/')
  await w.page.fill('[name=code]', 'CNST-2222-cnst')
  await w.page.click('button.go')
  assert.match(await w.page.innerText('h1'), /Newsletter/)
  await w.close()
})

let failed = 0
for (const { name, fn } of tests.filter((t) => only.test(t.name))) {
  try { await fn(); console.log(`ok    ${name}`) } catch (e) { failed++; console.log(`FAIL  ${name}\n${e.stack}`) }
}
await browser.close()
server.stdin.end()
server.removeAllListeners('exit')
if (failed) { console.log(`${failed} failed`); process.exit(1) }
