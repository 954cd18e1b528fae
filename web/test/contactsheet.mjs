// One question on every channel: runs `rufweite demo` (RUFWEITE_BIN or bin/rufweite), lets a customer write on each
// channel, asks the same two questions there through the API as the desk does, photographs each phone as the customer
// sees it, and puts the pictures on one sheet: docs/screens/ask-everywhere.png, with docs/channels/ask-everywhere.md.
import { mkdirSync, writeFileSync } from 'node:fs'
import { launch, start, waitFor } from './house.mjs'

const docs = new URL('../../docs/', import.meta.url).pathname
mkdirSync(docs + 'screens', { recursive: true })
mkdirSync(docs + 'channels', { recursive: true })
const questions = [
  { kind: 'one_of', text: { de: 'Wann passt es?' }, options: [{ key: 'am', label: { de: 'Vormittags' } }, { key: 'pm', label: { de: 'Nachmittags' } }, { key: 'eve', label: { de: 'Nach 17 Uhr' } }] },
  { kind: 'yes_no', text: { de: 'Dürfen wir Sie anrufen?' } },
]
const house = await start('demo', /Ctrl-C/, ['--pace', '24h'])
const browser = await launch()
let failed = 0
try {
  const context = await browser.newContext({ viewport: { width: 400, height: 900 }, colorScheme: 'light', locale: 'de-DE', reducedMotion: 'reduce' })
  const p = await context.newPage()
  p.setDefaultTimeout(30_000)
  await p.goto(`${house.base}/demo/play`)
  const api = async (method, path, data) => {
    const r = await p.request.fetch(house.base + path, { method, data })
    if (!r.ok()) throw new Error(`${method} ${path}: ${r.status()} ${await r.text()}`)
    return r.status() === 204 ? null : r.json()
  }
  const people = (await api('GET', '/demo/api/customers')).items
  const kinds = (await api('GET', '/api/v1/channel-kinds')).items
  const title = (kind) => kinds.find((k) => k.kind === kind)?.title.de ?? kind
  const me = people.find((c) => c.id === 'k03') ?? people[0] // no scene of the past has used his channels
  const one = process.argv[2]
  const pictures = []
  for (const channel of me.channels) {
    if (one && !channel.includes(one)) continue
    try {
      const text = `Hallo, ich brauche einen Termin (${title(channel)}).`
      await api('POST', '/demo/api/write', { customer: me.id, channel, text, subject: 'Termin' })
      const talk = await waitFor(async () => (await api('GET', `/api/v1/conversations?limit=50&channel_kind=${channel}`)).items.find((c) => c.last_message?.text?.startsWith(text.slice(0, 30)) || (c.customer?.name === me.name && c.last_message?.text?.includes('Termin ('))), `${channel}: the customer’s message`, 20_000)
      const thread = async () => (await api('GET', `/demo/api/threads?customer=${me.id}&channel=${channel}`)).items.filter((m) => m.direction === 'in')
      const before = (await thread()).length
      for (const [i, ask] of questions.entries()) {
        await api('POST', `/api/v1/conversations/${talk.id}/asks`, { ask, language: 'de', client_id: crypto.randomUUID() })
        await waitFor(async () => (await thread()).length > before + i, `${channel}: question ${i + 1}`, 20_000)
        const q = (await thread()).at(-1)
        console.log(`${channel}: ${JSON.stringify([q.text, ...q.choices.map((c) => c.label + (c.description ? ` (${c.description})` : '')), q.menu].filter(Boolean))}`)
      }
      await p.goto(`${house.base}/play?desk=0&customer=${me.id}&channel=${channel}`)
      if (channel === 'email') {
        await p.locator('.mailrow').filter({ hasText: 'Wann passt es?' }).first().click()
        await p.frameLocator('iframe.html').getByText('Wann passt es?').first().waitFor()
      } else await p.locator('.phone').getByText('Dürfen wir Sie anrufen?').first().waitFor()
      await p.waitForTimeout(300)
      // The phone fills the picture.
      await p.addStyleTag({ content: '.side{padding:0!important;overflow:hidden!important}.side>.top,.cast,.chans{display:none!important}.device{border-radius:0!important;border:0!important;max-width:none!important}' })
      await p.setViewportSize({ width: 380, height: 640 })
      await p.waitForTimeout(200)
      pictures.push({ channel, title: title(channel), png: await p.locator('.device').screenshot() })
      await p.setViewportSize({ width: 400, height: 900 })
    } catch (e) { failed++; console.log(`FAIL ${channel}: ${e.message}`) }
  }
  const sheet = await context.newPage()
  await sheet.setViewportSize({ width: 1560, height: 1000 })
  await sheet.setContent(`<!DOCTYPE html><html lang="de"><title>Eine Frage, überall</title><style>body{margin:0;padding:24px;background:#fbfaf8;color:#1d1b18;font:16px system-ui}main{display:grid;grid-template-columns:repeat(6,1fr);gap:20px}figure{margin:0}img{width:100%;display:block;border:1px solid #e6e2db;border-radius:12px}figcaption{padding:6px 2px;font-weight:600}</style>
    <main>${pictures.map((x) => `<figure><img src="data:image/png;base64,${x.png.toString('base64')}" alt=""><figcaption>${x.title}</figcaption></figure>`).join('')}</main></html>`)
  await sheet.waitForTimeout(500)
  const png = await sheet.screenshot({ fullPage: true, path: one ? '/tmp/ask-everywhere.png' : docs + 'screens/ask-everywhere.png' })
  if (!one) writeFileSync(docs + 'channels/ask-everywhere.md', `# One question, everywhere

The same two questions ("Wann passt es?" with three options, "Dürfen wir Sie anrufen?" with yes and no), asked on every channel
of the demo as the desk asks them, and photographed as the customer sees them. \`make contact-sheet\` makes the sheet anew.

![The same question on ${pictures.length} channels](../screens/ask-everywhere.png)

From left to right, line by line: ${pictures.map((x) => x.title).join(', ')}.
`)
  console.log(`${pictures.length} channels, ${Math.round(png.length / 1024)} KB`)
} finally {
  await browser.close()
  await house.stop()
}
process.exit(failed ? 1 : 0)
