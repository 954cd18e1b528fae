// Pictures of the real thing for docs/screens: runs `rufweite demo` (RUFWEITE_BIN or bin/rufweite) and photographs it in
// German and English, at 1280 and 360 pixels, light and dark. The README's picture is docs/screens/desk-de-1280-light.png.
import { mkdirSync } from 'node:fs'
import { launch, start, waitFor } from './house.mjs'

const out = new URL('../../docs/screens/', import.meta.url).pathname
mkdirSync(out, { recursive: true })
const house = await start('demo', /Ctrl-C/)
const browser = await launch()
try {
  for (const lang of ['de', 'en']) for (const size of [{ width: 1280, height: 800 }, { width: 360, height: 740 }]) for (const scheme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: size, colorScheme: scheme, locale: lang === 'de' ? 'de-DE' : 'en-GB', reducedMotion: 'reduce', hasTouch: size.width === 360 })
    const p = await context.newPage()
    p.setDefaultTimeout(60_000)
    const shot = async (name) => { await p.waitForTimeout(700); await p.screenshot({ path: `${out}${name}-${lang}-${size.width}-${scheme}.png` }) }
    await p.goto(`${house.base}/demo/desk`)
    await p.request.patch(`${house.base}/api/v1/session`, { data: { language: lang } })
    const list = (await (await p.request.get(`${house.base}/api/v1/conversations?limit=100`)).json()).items
    // The fullest conversation that is answered on both channels, else the one that was written to last.
    let best = list[0], most = 0
    for (const c of list.slice(0, 60)) {
      const m = (await (await p.request.get(`${house.base}/api/v1/conversations/${c.id}/messages`)).json()).items
      const kinds = new Set(m.map((x) => x.channel?.kind).filter(Boolean)).size
      const score = Math.min(m.length, 7) + 3 * kinds + 2 * m.filter((x) => x.attachments.length).length
      if (score > most) { most = score; best = c }
    }
    await p.goto(`${house.base}/?view=all`); await p.getByTestId('inbox').locator('.row').first().waitFor(); await shot('inbox')
    await p.goto(`${house.base}/c/${best.id}?view=all`); await p.getByTestId('message').first().waitFor(); await shot('desk')
    await p.goto(`${house.base}/customers/${best.customer.id}`); await shot('customer')
    await p.goto(`${house.base}/settings/channels`); await shot('channels')
    await p.goto(`${house.base}/settings/channels/new?kind=telegram`); await shot('channel-new')
    await p.goto(`${house.base}/settings/staff`); await shot('staff')
    await p.goto(`${house.base}/settings/me`); await shot('me')
    await p.goto(`${house.base}/work-items`); await shot('work-items')
    await p.goto(`${house.base}/demo/play`); await waitFor(async () => (await p.locator('.person').count()) > 0, 'people to play'); await shot('play')
    // Questions and dialogs: the form of a question, the list, the editor, trying one out on all media at once.
    await p.goto(`${house.base}/c/${best.id}?view=all`); await p.getByTestId('message').first().waitFor()
    await p.getByTestId('ask-insert').click(); await p.locator('.askpick ul:not(.kinds) button').first().click(); await p.getByTestId('ask-preview').locator('.bub, .mail, .said').first().waitFor(); await shot('ask-form'); await p.keyboard.press('Escape')
    await p.goto(`${house.base}/dialogs`); await p.getByTestId('dialog-row').first().waitFor(); await shot('dialogs')
    await p.goto(`${house.base}/dialogs/pickup`); await p.locator('.svelte-flow__node').first().waitFor(); await shot('dialog-editor')
    await p.goto(`${house.base}/dialogs/pickup?view=try`); await p.getByTestId('try-whatsapp').locator('.k button').first().waitFor(); await shot('dialog-try')
    // The company's website with the chat: closed, then open after a question was answered.
    await p.goto(`${house.base}/sample?language=${lang}`); await p.locator('rufweite-widget').getByRole('button').first().waitFor(); await shot('sample')
    await p.evaluate(() => window.Rufweite.open())
    const question = lang === 'de' ? 'Deckt meine Police Hagel?' : 'Does my policy cover hail?'
    await p.locator('rufweite-widget').getByRole('textbox').first().fill(question); await p.keyboard.press('Enter')
    const talk = await waitFor(async () => (await (await p.request.get(`${house.base}/api/v1/conversations?channel_kind=webchat`)).json()).items.find((c) => c.last_message?.text === question && c.waiting_since), 'the chat')
    await p.request.post(`${house.base}/api/v1/conversations/${talk.id}/messages`, { data: { text: lang === 'de' ? 'Ja, wenn Sie eine Teilkasko haben. Ich sehe gern für Sie nach.' : 'Yes, if you have partial cover. I am happy to look it up for you.', client_id: crypto.randomUUID() } })
    await p.locator('rufweite-widget').locator('.log .staff').first().waitFor(); await shot('widget')
    // A question with its buttons in the chat, and on the page that its link leads to.
    const ask = { kind: 'yes_no', text: { de: 'Ihr Auto kann Donnerstag um 16 Uhr abgeholt werden. Passt das?', en: 'Your car can be picked up on Thursday at 4 pm. Does that suit you?' }, yes: { de: 'Ja, passt', en: 'Yes, it does' }, no: { de: 'Nein, lieber anders', en: 'No, another time please' } }
    const asked = await (await p.request.post(`${house.base}/api/v1/conversations/${talk.id}/asks`, { data: { ask, language: lang, client_id: crypto.randomUUID() } })).json()
    await p.locator('rufweite-widget').getByRole('group', { name: ask.text[lang] }).waitFor(); await shot('widget-ask')
    const { page_url } = await (await p.request.get(`${house.base}/api/v1/asks/${asked.id}`)).json()
    await p.goto(house.base + new URL(page_url).pathname); await p.locator('button.go').waitFor(); await shot('answer')
    // The contact page and how it is set up.
    await p.goto(`${house.base}/settings/contact`); await p.getByTestId('contact-way').first().waitFor(); await shot('contact-settings')
    await p.goto(`${house.base}/contact?lang=${lang}`); await p.locator('.ways').first().waitFor(); await shot('contact')
    await context.clearCookies()
    await p.goto(`${house.base}/sign-in`); await p.locator('input[type=email]').waitFor(); await shot('sign-in')
    await context.close()
    console.log(`${lang} ${size.width} ${scheme}`)
  }
} finally {
  await browser.close()
  await house.stop()
}
