// Every screen at 360 and 1280, light and dark, German and English: axe-core must find nothing, nothing may overflow, no text
// below 13 px, no second layout shift. Leaves a picture of each in $SHOTS. Each screen is seen in two combinations that
// share nothing (one screen's are the next one's complement), small variants in one of them, a few at 820 too; ALL=1 takes every combination.
// One of them: ONLY=360-de-dark. Some screens: node test/screens.mjs 'PATTERN'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import { startMock } from './mock.mjs'

const shots = process.env.SHOTS ?? '/tmp/desk-shots'
mkdirSync(shots, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const only = process.argv[2] ? new RegExp(process.argv[2]) : null
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
// A server of the mock speaks one language at a time: each worker has its own.
const house = async (lang) => {
  const mocks = { full: await startMock({ hold: 60_000 }), bare: await startMock({ empty: true }), first: await startMock({ empty: true, fresh: true }) }
  for (const m of Object.values(mocks)) m.db.language = lang
  return mocks
}
const houses = { de: await house('de'), en: await house('en') }
const { db } = houses.de.full, full = 'full', bare = 'bare', first = 'first'   // ids are counted up, alike in each
const id = (i) => db.conversations[i].id
const idOf = (subject) => db.conversations.find((r) => r.subject.startsWith(subject)).id
const wasser = idOf('Wasserschaden'), messages = (conversation) => db.messages.get(conversation)
const narrow = (p) => p.viewportSize().width < 720
const key = async (p, k) => { await p.getByTestId('message').first().waitFor(); await p.keyboard.press(k) }

// With the keyboard, as people do: what moves at their own key is no shift of the layout.
const firstExample = async (p) => { const s = p.getByTestId('own-channel').locator('select').first(); await s.locator('option[value=json-bot]').waitFor({ state: 'attached' }); await s.focus(); await p.keyboard.press('ArrowDown') }

const screens = {
  setup: [first, '/setup?token=T'], 'setup-invalid': [full, '/setup?token=x'], invite: [full, '/invite?token=I'], 'invite-invalid': [full, '/invite?token=x'],
  'sign-in': [first, '/sign-in'],
  'sign-in-wrong': [first, '/sign-in', async (p) => { await p.locator('input[type=email]').fill('a@b.example'); await p.locator('input[type=password]').fill('x'); await p.locator('button[type=submit]').click(); await p.locator('[role=alert] svg').waitFor() }],
  inbox: [full, '/?view=mine'], 'inbox-all': [full, '/?view=all&status=waiting'], 'inbox-failed': [full, '/?view=failed'], 'inbox-search-none': [full, '/?view=all&q=nichts'],
  'inbox-empty': [bare, '/?view=all'], 'inbox-done': [full, '/?view=mine&status=closed'],
  conversation: [full, `/c/${id(0)}?view=mine`], uncertain: [full, `/c/${id(1)}?view=mine`], failed: [full, `/c/${id(3)}?view=failed`],
  missing: [full, '/c/gibt-es-nicht'], nowhere: [full, '/irgendwo'],
  'conversation-start': [full, `/c/${id(0)}?view=mine`, async (p) => { await p.getByTestId('message').first().scrollIntoViewIfNeeded(); await p.getByTestId('message').first().locator('.linky').last().click(); await p.locator('iframe.rich').waitFor(); await p.locator('details.mailhead summary').first().click() }],
  note: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'n'); await p.keyboard.type('Bitte heute noch anrufen') }],
  writing: [full, `/c/${id(4)}?view=mine`, async (p) => { await key(p, 'r'); await p.keyboard.type('Sehr gern. Dann halte ich Ihnen Donnerstag, 17:30 Uhr, frei.'); await p.locator('input[type=file]').setInputFiles({ name: 'Angebot.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(212000) }); await p.locator('.ups .file').getByText('212 KB').first().waitFor() }],
  via: [full, `/c/${id(0)}?view=mine`, async (p) => { await p.getByTestId('via').click(); await p.getByRole('menu').waitFor() }],
  assign: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'a'); await p.getByRole(narrow(p) ? 'dialog' : 'menu').waitFor() }],
  'about-message': [full, `/c/${id(0)}?view=mine`, async (p) => { const m = p.getByTestId('message').last(); await m.hover(); await m.locator('.acts-m button').click(); await p.getByRole('menu').waitFor() }],
  'undo-toast': [full, `/c/${id(2)}?view=unassigned`, async (p) => { await key(p, 'r'); await p.keyboard.type('Guten Tag, welche Rechnung meinen Sie?'); await p.getByTestId('send').click(); await p.getByTestId('toast').waitFor() }],
  snooze: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 's'); await p.getByRole(narrow(p) ? 'dialog' : 'menu').waitFor() }],
  offline: [full, `/c/${id(0)}?view=mine`, async (p) => { await p.context().setOffline(true); await p.evaluate(() => dispatchEvent(new Event('offline'))); await p.getByTestId('offline').waitFor() }],
  panel: [full, `/c/${id(0)}?view=mine`, async (p) => { if (narrow(p) || p.viewportSize().width < 1200) { await p.getByRole('button', { name: /^(Kunde|Customer)$/ }).click(); await p.locator('dialog .id').waitFor() } }],
  palette: [full, '/?view=mine', async (p) => { await p.keyboard.press('Control+k'); await p.getByRole('combobox').fill('ay'); await p.getByRole('option').nth(1).waitFor() }],
  keys: [full, '/?view=mine', async (p) => { await p.keyboard.press('?'); await p.getByRole('dialog').waitFor() }],
  compose: [full, '/?view=mine&new=1', async (p) => { await p.locator('.picks button').first().waitFor() }], 'compose-to': [full, `/?view=mine&new=1&customer=${db.customers[0].id}`],
  customers: [full, '/customers'], customer: [full, `/customers/${db.customers[0].id}`], 'customers-empty': [bare, '/customers'],
  merge: [full, `/customers/${db.customers[0].id}`, async (p) => { await p.getByRole('button', { name: /^(Zusammenführen|Merge)$/ }).click(); await p.locator('.picks button').first().waitFor() }],
  channels: [full, '/settings/channels'], 'channels-empty': [bare, '/settings/channels'], 'channel-kinds': [full, '/settings/channels/new'], 'channel-new': [full, '/settings/channels/new?kind=email'],
  channel: [full, `/settings/channels/${db.channels[1].id}`], 'channel-red': [full, `/settings/channels/${db.channels[2].id}`],
  staff: [full, '/settings/staff'], 'staff-invite': [full, '/settings/staff', async (p) => { await p.locator('.head .btn').click(); await p.getByRole('dialog').waitFor() }],
  me: [full, '/settings/me'], 'me-totp': [full, '/settings/me', async (p) => { await p.getByRole('button', { name: /^(Einrichten|Set up)$/ }).last().click(); await p.locator('.qr').waitFor(); await p.locator('.qr').scrollIntoViewIfNeeded() }],
  'work-items': [full, '/work-items'], 'work-item': [full, `/work-items?id=${db.work[0].id}`], 'work-empty': [bare, '/work-items'],
  play: [full, `/play?customer=${db.customers[0].id}&channel=telegram`], 'play-mail': [full, `/play?desk=0&customer=${db.customers[0].id}&channel=email`],
  'play-picker': [full, `/play?desk=0&customer=${db.customers[0].id}&channel=telegram`, async (p) => { const b = p.getByRole('button', { name: /^(Alle Kanäle|All channels)/ }); if (await b.count()) { await b.click(); await p.getByRole('dialog').waitFor() } }],
  'play-mail-open': [full, `/play?desk=0&customer=${db.customers[0].id}&channel=email`, async (p) => { await p.locator('.mailrow').last().click() }],
  'play-mail-write': [full, `/play?desk=0&customer=${db.customers[0].id}&channel=email`, async (p) => { await p.getByRole('button', { name: /^(Neue E-Mail|New e-mail)$/ }).click() }],
  third: [full, `/c/${wasser}?view=mine`, async (p) => { const m = p.getByTestId('message').nth(2); await m.hover(); await m.locator('.acts-m button').click(); await p.getByRole('menuitem').nth(0).click(); await p.getByTestId('readers').waitFor() }],
  mixed: [full, `/c/${id(0)}?view=mine`, async (p) => { const m = p.getByTestId('message').first(); await m.hover(); await m.locator('.acts-m button').click(); await p.getByRole('menuitem').nth(1).click(); await p.getByTestId('readers').waitFor(); await p.keyboard.type('Hallo'); await p.getByTestId('send').click(); await p.getByRole('dialog').waitFor() }],
  forward: [full, `/c/${wasser}?view=mine&forward=${messages(wasser)[0].id}`, async (p) => { await p.locator('#fwd-to').waitFor() }],
  people: [full, `/c/${wasser}?view=mine`, async (p) => { if (p.viewportSize().width < 1200) { await p.getByRole('button', { name: /^(Kunde|Customer)$/ }).click() } await p.getByTestId('people').getByRole('button').last().click() }],
  suggestion: [full, `/c/${idOf('Selbstbeteiligung')}?view=all`, async (p) => { await p.getByTestId('suggestion').waitFor() }],
  join: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'Control+k'); await p.getByRole('combobox').fill(await p.evaluate(() => document.documentElement.lang) === 'en' ? 'join' : 'zusammenlegen'); await p.keyboard.press('Enter'); await p.locator('.picks').waitFor() }],
  'choose-messages': [full, `/c/${wasser}?view=mine`, async (p) => { const m = p.getByTestId('message').first(); await m.hover(); await m.locator('.acts-m button').click(); await p.getByRole('menuitem').nth(2).click(); await p.getByTestId('choosebar').waitFor() }],
  'send-later': [full, `/c/${id(4)}?view=mine`, async (p) => { await key(p, 'r'); await p.keyboard.type('Bis morgen'); await p.getByTestId('send-later').click(); await p.getByRole('menu').waitFor() }],
  slash: [full, `/c/${id(4)}?view=mine`, async (p) => { await key(p, 'r'); await p.keyboard.type(' /'); await p.getByRole('listbox').waitFor() }],
  'block-picker': [full, `/c/${id(4)}?view=mine`, async (p) => { await key(p, 'b'); await p.getByRole('option').first().waitFor() }],
  mention: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'n'); await p.keyboard.type(' @'); await p.getByRole('listbox').waitFor() }],
  collision: [full, `/c/${id(5)}?view=mine&status=snoozed`, async (p) => { await key(p, 'r'); await p.keyboard.type('Bitte die neue Anschrift.'); await fetch(new URL('/mock/colleague', p.url()), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id: id(5), text: 'Wir brauchen nur die neue Anschrift und den Einzugstag.', silent: true }) }); await p.getByTestId('send').click(); await p.getByRole('dialog').waitFor() }],
  presence: [full, `/c/${id(6)}?view=all&status=closed`, async (p) => { await p.getByTestId('message').first().waitFor(); await fetch(new URL('/mock/presence', p.url()), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id: id(6), state: 'writing' }) }); await p.getByTestId('presence').waitFor() }],
  unconfirmed: [full, `/c/${id(3)}?view=all`, async (p) => { await p.locator('.auth summary').click() }],
  tags: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 't'); await p.getByRole('option').first().waitFor() }],
  bulk: [full, '/?view=all', async (p) => { await p.getByTestId('inbox').waitFor(); await p.locator('.row').first().focus(); await p.keyboard.press('x'); await p.getByTestId('bulk').waitFor() }],
  filter: [full, '/?view=all&tag=Schaden', async (p) => { await p.getByTestId('filter').click(); await p.getByRole('dialog').waitFor() }],
  'saved-view': [full, `/?view=saved&v=${db.views[0].id}`], 'view-longest': [full, '/?view=waiting'], 'view-mentions': [full, '/?view=mentions'], 'view-category': [full, '/?view=all&category=newsletter'],
  'view-save': [full, '/?view=all&channel=email', async (p) => { await p.locator('.filters button').click(); await p.getByRole('dialog').waitFor() }],
  'inbox-found': [full, '/?view=all&q=Unfallbericht'], search: [full, '/search?q=Schaden'], 'search-start': [full, '/search'], 'search-none': [full, '/search?q=nichtsda'],
  'text-blocks': [full, '/settings/text-blocks'], 'text-blocks-empty': [bare, '/settings/text-blocks'], 'text-block': [full, `/settings/text-blocks?edit=${db.blocks[1].id}`],
  ask: [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'q'); await p.locator('.askpick .kinds button').first().waitFor(); await p.locator('.askpick ul:not(.kinds) button').first().waitFor() }],
  'ask-form': [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'q'); await p.keyboard.press('5'); await p.getByTestId('ask-preview').locator('.k button').first().waitFor() }],
  'ask-wrong': [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'q'); await p.keyboard.press('b'); await p.getByTestId('ask-send').waitFor(); await p.keyboard.press('Control+Enter'); await p.locator('.askform .error').first().waitFor() }],
  'ask-mail': [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'q'); await p.keyboard.press('1'); await p.locator('.lookbar button').nth(1).click(); await p.getByTestId('ask-preview').locator('.mail .btn').first().waitFor() }],
  asks: [full, `/c/${idOf('Baufinanzierung')}?view=mine`, async (p) => { await p.getByTestId('ask').first().waitFor() }],
  'asks-panel': [full, `/c/${idOf('Baufinanzierung')}?view=mine`, async (p) => { if (p.viewportSize().width < 1200) await p.getByRole('button', { name: /^(Kunde|Customer)$/ }).click(); await p.getByTestId('open-asks').waitFor() }],
  'ask-answer': [full, `/c/${idOf('Baufinanzierung')}?view=mine`, async (p) => { await p.getByTestId('ask').first().getByRole('button', { name: /^(Antwort eintragen|Enter the answer)$/ }).click(); await p.getByTestId('answer-form').waitFor() }],
  'dialog-runs': [full, `/c/${idOf('Hausrat')}?view=mine&status=snoozed`, async (p) => { await p.getByTestId('dialog-runs').waitFor(); await p.getByTestId('ask').waitFor() }],
  'dialog-start': [full, `/c/${id(0)}?view=mine`, async (p) => { await key(p, 'q'); await p.keyboard.press('0'); await p.getByTestId('dialog-list').locator('button').first().click(); await p.locator('#start').waitFor() }],
  dialogs: [full, '/dialogs', async (p) => { await p.getByTestId('dialog-row').first().waitFor() }], 'dialog-new': [full, '/dialogs?make=1', async (p) => { await p.locator('#make').waitFor() }],
  editor: [full, '/dialogs/confirm-appointment', async (p) => { await p.locator('.svelte-flow__node').first().waitFor() }],
  'editor-found': [full, '/dialogs/claim', async (p) => { await p.getByTestId('findings').locator('li').first().waitFor(); await p.getByTestId('findings').locator('summary').first().click() }],
  'editor-step': [full, '/dialogs/confirm-appointment', async (p) => { await p.locator('.svelte-flow__node').first().waitFor(); if (p.viewportSize().width < 1180) await p.getByRole('button', { name: /^(Schritte|Steps)$/ }).click(); await p.locator('.outline button').nth(3).click(); await p.getByTestId('inspector').waitFor() }],
  'editor-text': [full, '/dialogs/claim', async (p) => { if (p.viewportSize().width < 1180) await p.getByRole('button', { name: /^Text$/ }).click(); await p.getByTestId('source').fill('dialog: claim\nsteps:\n  - id: a\n   say: falsch'); await p.getByTestId('text-trouble').waitFor() }],
  'editor-add': [full, '/dialogs/confirm-appointment', async (p) => { await p.locator('.svelte-flow__node').first().waitFor(); if (p.viewportSize().width < 1180) await p.getByRole('button', { name: /^(Schritte|Steps)$/ }).click(); await p.getByTestId('add-step').click(); await p.getByRole('dialog').waitFor() }],
  try: [full, '/dialogs/confirm-appointment?view=try', async (p) => { await p.getByTestId('try-whatsapp').locator('.k button').nth(1).click(); await p.getByTestId('try-letter').locator('.box').nth(2).waitFor() }],
  versions: [full, '/dialogs/claim?view=versions', async (p) => { await p.getByTestId('diff').locator('.lines').waitFor() }],
  'editor-leave': [full, '/dialogs/confirm-appointment', async (p) => { await p.locator('.svelte-flow__node').first().waitFor(); if (p.viewportSize().width < 1180) await p.getByRole('button', { name: /^Text$/ }).click(); await p.getByTestId('source').focus(); await p.keyboard.press('Control+End'); await p.keyboard.type('# x'); await p.locator('.edhead a').first().click(); await p.getByRole('dialog').waitFor() }],
  'only-template': [full, `/c/${idOf('Zulassung')}?view=mine`, async (p) => { await p.getByTestId('only-template').waitFor() }],
  templates: [full, `/c/${idOf('Zulassung')}?view=mine`, async (p) => { await p.getByTestId('only-template').getByRole('button').click(); await p.getByTestId('template-preview').waitFor() }],
  'templates-refused': [full, `/c/${idOf('Zulassung')}?view=mine`, async (p) => { await p.getByTestId('only-template').getByRole('button').click(); await p.getByTestId('template-preview').waitFor(); await p.getByRole('option').nth(5).click(); await p.locator('.tpl .trouble').waitFor() }],
  'window-closes': [full, `/c/${idOf('Roller')}?view=mine`, async (p) => { await p.getByTestId('window').waitFor() }],
  handover: [full, `/c/${idOf('Roller')}?view=mine`, async (p) => { await p.getByTestId('hand-over').click(); await p.getByTestId('handover').getByRole('radio').nth(1).check() }],
  'channel-whatsapp': [full, '/settings/channels/new?kind=whatsapp', async (p) => { await p.locator('.guidebox').waitFor(); if (narrow(p)) await p.locator('.guidebox summary').click() }],
  'channel-teams': [full, '/settings/channels/new?kind=teams', async (p) => { await p.locator('.guidebox').waitFor(); await p.locator('form details summary').first().click() }],
  'channel-templates': [full, `/settings/channels/${db.channels.find((c) => c.kind === 'whatsapp').id}`, async (p) => { await p.getByTestId('templates-table').locator('li').first().waitFor(); await p.getByTestId('templates-table').scrollIntoViewIfNeeded() }],
  'own-channel': [full, '/settings/channels/new?kind=webhook', async (p) => { await firstExample(p); await p.getByTestId('trial').locator('.evs li').first().waitFor() }],
  'own-wrong': [full, '/settings/channels/new?kind=webhook', async (p) => { await firstExample(p); await p.getByTestId('trial').locator('.evs li').first().waitFor(); await p.getByRole('textbox', { name: / from$/ }).fill('item.user.nosuch'); await p.getByTestId('trial').locator('.vals .error').first().waitFor(); await p.getByRole('textbox', { name: / from$/ }).scrollIntoViewIfNeeded() }],
  'own-send': [full, '/settings/channels/new?kind=webhook', async (p) => { await firstExample(p); await p.getByRole('button', { name: /^(Senden|Send)$/ }).click(); await p.getByTestId('rendering').locator('pre').waitFor() }],
  units: [full, '/settings/units'], 'units-empty': [bare, '/settings/units'], unit: [full, '/settings/units?edit=new'], senders: [full, '/settings/senders'], 'senders-empty': [bare, '/settings/senders'],
  'keys-change': [full, '/?view=mine', async (p) => { await p.keyboard.press('?'); await p.locator('dialog .body .btn').last().click(); await p.locator('dialog .keys button').first().waitFor() }],
}

let bad = 0, seen = 0
const big = { width: 1280, height: 800 }, small = { width: 360, height: 740 }, middle = { width: 820, height: 1000 }
const atMiddle = new Set(['inbox', 'conversation', 'uncertain', 'writing', 'panel', 'customer', 'channels', 'search', 'text-blocks', 'forward'])

// What differs from another screen by a menu, a sentence or an empty list is looked at once.
const once = new Set(['via', 'assign', 'about-message', 'undo-toast', 'snooze', 'sign-in-wrong', 'setup-invalid', 'invite-invalid', 'missing', 'nowhere', 'inbox-search-none', 'inbox-done', 'customers-empty',
  'channels-empty', 'channel-kinds', 'text-blocks-empty', 'units-empty', 'senders-empty', 'unit', 'search-none', 'search-start', 'view-longest', 'view-mentions', 'view-category', 'send-later', 'slash', 'mention',
  'presence', 'keys-change', 'staff-invite', 'compose-to'])

// wanted says in which combinations a screen is looked at: [size, language, scheme].
function wanted(name, i) {
  const all = process.env.ALL || process.env.ONLY
  const list = all ? [big, small].flatMap((s) => ['de', 'en'].flatMap((l) => ['light', 'dark'].map((c) => [s, l, c])))
    : i % 2 ? [[small, 'de', 'dark'], [big, 'en', 'light']] : [[small, 'en', 'light'], [big, 'de', 'dark']]
  if (!all && once.has(name)) list.splice((i >> 1) % 2, 1)
  if (all || atMiddle.has(name)) list.push(i % 2 ? [middle, 'de', 'light'] : [middle, 'en', 'light'])
  return list.filter(([s, l, c]) => !process.env.ONLY || process.env.ONLY === `${s.width}-${l}-${c}`)
}

// settled waits until nothing is being fetched and the page has not changed for a moment.
async function settled(page, pending) {
  const end = Date.now() + 10_000
  do {
    while (pending.size && Date.now() < end) await new Promise((r) => setTimeout(r, 10))
    await page.evaluate(() => new Promise((done) => {
      let quiet = setTimeout(ready, 80)
      const late = setTimeout(ready, 3000)
      const o = new MutationObserver(() => { clearTimeout(quiet); quiet = setTimeout(ready, 80) })
      o.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
      function ready() { clearTimeout(quiet); clearTimeout(late); o.disconnect(); requestAnimationFrame(() => requestAnimationFrame(done)) }
    }))
  } while (pending.size && Date.now() < end)
}

async function look(context, [size, lang, scheme], name, [which, path, act]) {
  const mock = houses[lang][which]
  mock.db.drafts.clear()   // no screen begins with what another one left
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  seen++
  const say = (what) => { bad++; console.log(`${name} ${size.width} ${lang} ${scheme}: ${what}`) }
  const pending = new Set()
  page.on('request', (r) => { if (!/\/live(\?|$)/.test(r.url())) pending.add(r) })
  for (const e of ['requestfinished', 'requestfailed']) page.on(e, (r) => pending.delete(r))
  page.on('pageerror', (e) => say('page error ' + e.message))
  // What moves behind a dialog disturbs nobody.
  await page.addInitScript(() => { try { localStorage.clear() } catch { /* a frame without origin */ } window.shift = 0; new PerformanceObserver((l) => l.getEntries().forEach((e) => { if (!e.hadRecentInput && !document.querySelector('dialog[open]')) window.shift += e.value })).observe({ type: 'layout-shift', buffered: true }) })
  try {
    await page.goto(mock.url + path)
    await settled(page, pending)
    if (act) { await act(page); await settled(page, pending) }
    await page.screenshot({ path: `${shots}/${name}-${size.width}-${lang}-${scheme}.png` })
    const found = await page.evaluate(() => {
      const wide = document.documentElement.scrollWidth > innerWidth
      const small = [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 13).map((e) => e.outerHTML.slice(0, 80))
      const cut = [...document.querySelectorAll('.btn, .chips a, h1, .head, .via, .acts')].filter((e) => e.checkVisibility() && !e.closest('.people, .chans, .row, iframe')).filter((e) => { const r = e.getBoundingClientRect(); return r.width && (r.right > innerWidth + 1 || r.left < -1) }).map((e) => e.outerHTML.slice(0, 100))
      return { wide, small, cut, shift: window.shift }
    })
    if (found.wide) say('overflows sideways')
    if (found.small.length) say('text below 13 px: ' + found.small[0])
    if (found.cut.length) say('cut off: ' + found.cut.join(' | '))
    if (found.shift > 0.1) say(`layout shift ${found.shift.toFixed(3)}`)
    await page.evaluate(axe)
    const result = await Promise.race([page.evaluate(() => window.axe.run(document, { iframes: false, resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })),
      new Promise((_, no) => setTimeout(() => no(new Error('axe took longer than a minute')), 60_000))])
    for (const v of result.violations) say(`axe ${v.id} (${v.impact}): ${v.nodes.length}× ${v.nodes[0].html.slice(0, 140)} — ${v.nodes[0].failureSummary.split('\n')[1]?.trim().slice(0, 200)}`)
  } catch (e) { say('did not come to it: ' + e.message.split('\n')[0]) }
  if (name === 'offline') await context.setOffline(false)
  await page.close()
}

await Promise.all(['de', 'en'].map(async (lang) => {
  const contexts = new Map()
  let i = -1
  for (const [name, screen] of Object.entries(screens)) {
    i++
    if (only && !only.test(name)) continue
    for (const how of wanted(name, i)) {
      const [size, l, scheme] = how
      if (l !== lang) continue
      const key = `${size.width}-${scheme}`
      if (!contexts.has(key)) contexts.set(key, await browser.newContext({ viewport: size, colorScheme: scheme, locale: lang === 'de' ? 'de-DE' : 'en-GB', hasTouch: size.width === 360, reducedMotion: 'reduce' }))
      await look(contexts.get(key), how, name, screen)
    }
  }
  for (const c of contexts.values()) await c.close()
}))
await browser.close()
for (const h of Object.values(houses)) for (const m of Object.values(h)) m.close()
console.log(`${seen} screens, ${bad} findings`)
process.exit(bad ? 1 : 0)
