import { chromium } from 'playwright-core'
import { startMock } from '/work/main/web/test/mock.mjs'
import { mkdirSync } from 'node:fs'
mkdirSync('/tmp/desk-shots', { recursive: true })
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
const mock = await startMock({})
const golf = mock.db.conversations[0].id, police = mock.db.conversations[1].id, ay = mock.db.customers[0].id
const want = process.argv[2] ? new RegExp(process.argv[2]) : /./
const pages = process.env.MIN ? { golf: `/c/${golf}?view=mine`, play: '/play', channel: `/settings/channels/${mock.db.channels[1].id}`, staff: '/settings/staff', police: `/c/${police}?view=mine` } : { inbox: '/?view=mine', golf: `/c/${golf}?view=mine`, police: `/c/${police}?view=mine`, customers: '/customers', customer: `/customers/${ay}`, channels: '/settings/channels', channel: `/settings/channels/${mock.db.channels[1].id}`, 'channel-new': '/settings/channels/new?kind=email', staff: '/settings/staff', me: '/settings/me', work: '/work-items', compose: '/?view=mine&new=1', play: '/play', 'sign-in': '/sign-in' }
for (const [w, h] of [[1440, 900], [360, 740], [820, 900]]) for (const scheme of ['light', 'dark']) {
  if (w === 820 && scheme === 'dark') continue
  const ctx = await b.newContext({ viewport: { width: w, height: h }, colorScheme: scheme, locale: 'de-DE', hasTouch: w === 360 })
  for (const [name, path] of Object.entries(pages)) {
    if (!want.test(`${name}-${w}-${scheme}`)) continue
    const p = await ctx.newPage()
    p.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') console.log(name, w, m.text().slice(0, 300)) })
    p.on('pageerror', (e) => console.log(name, w, 'PAGEERROR', e.message, e.stack?.split('\n').slice(0,4).join(' ')))
    mock.db.signedIn = name !== 'sign-in'
    await p.goto(mock.url + path)
    await p.waitForTimeout(900)
    const o = await p.evaluate(() => document.documentElement.scrollWidth > innerWidth)
    if (o) console.log('OVERFLOW', name, w)
    await p.screenshot({ path: `/tmp/desk-shots/${name}-${w}-${scheme}.png` })
    await p.close()
  }
  await ctx.close()
}
await b.close(); mock.close()
