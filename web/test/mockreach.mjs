// What the mock knows of kinds of channels, templates and descriptions.
import { existsSync, readFileSync } from 'node:fs'

const dir = new URL('../../internal/channel/', import.meta.url)
const readme = (k) => { const f = new URL(`${k}/README.md`, dir); return existsSync(f) ? readFileSync(f, 'utf8') : '' }
export const guide = Object.fromEntries(['whatsapp', 'teams', 'smpp', 'webhook', 'telegram', 'slack', 'rcs', 'matrix'].map((k) => [k, readme(k)]).filter(([, v]) => v))

const t = (de, en = de) => ({ de, en })
const set = (key, o = {}) => ({ key, required: false, secret: false, default: '', help: t('Steht beim Anbieter.', 'The provider shows it.'), ...o })
const kind = (kind, de, settings, o = {}) => ({ kind, title: typeof de === 'string' ? t(de) : de, webhook: true, capabilities: { text_max: 4096, text_unit: 'code_points', attachments: true, quote: true, write_first: false, window: 0, ...o }, settings })
export const moreKinds = [
  kind('whatsapp', 'WhatsApp', [set('phone_number_id', { required: true }), set('access_token', { required: true, secret: true }), set('app_secret', { required: true, secret: true }), set('verify_token', { required: true, secret: true }), set('business_account_id'), set('display_phone_number'), set('api_url', { default: 'https://graph.facebook.com' })], { templates: true }),
  ...['Messenger', 'Instagram', 'Viber', 'LINE', 'Signal', 'Slack', 'Discord', 'Matrix', 'XMPP'].map((x) => kind(x.toLowerCase(), x, [set('token', { required: true, secret: true })])),
  kind('teams', 'Microsoft Teams', [set('app_id', { required: true }), set('app_password', { required: true, secret: true }), set('tenant_id'), set('service_url', { default: 'https://smba.trafficmanager.net/teams' }), set('jwks', { secret: true })]),
  kind('twilio', 'SMS (Twilio)', [set('auth_token', { required: true, secret: true })]), kind('vonage', 'SMS (Vonage)', [set('api_key', { required: true, secret: true }), set('private_key', { secret: true })]), kind('smpp', 'SMS (SMPP)', [set('host', { required: true })]), kind('rcs', 'RCS', [set('service_account', { required: true, secret: true })]),
  kind('webhook', t('Eigener Kanal', 'Your own channel'), [set('receive', { secret: true }), set('send', { secret: true }), set('api_url')]),
]

const tpl = (name, language, body, o = {}) => ({ name, language, category: 'UTILITY', status: 'approved', body, params: Math.max(0, ...[...body.matchAll(/\{\{(\d+)\}\}/g)].map((m) => Number(m[1]))), ...o })
export const templateList = [
  tpl('abholung_bereit', 'de', 'Guten Tag {{1}}, Ihr Wagen steht ab {{2}} zur Abholung bereit.', { footer: 'Berger & Partner', buttons: ['Ich komme', 'Anderer Termin'] }),
  tpl('pickup_ready', 'en', 'Hello {{1}}, your car is ready from {{2}}.'),
  tpl('unterlagen_fehlen', 'de', 'Guten Tag {{1}}, für Ihren Vertrag {{2}} fehlen noch Unterlagen. Antworten Sie hier, dann sagen wir Ihnen, welche.'),
  tpl('rueckruf', 'de', 'Guten Tag, wir haben versucht, Sie zu erreichen. Wann passt ein Rückruf?'),
  tpl('sommer_aktion', 'de', 'Guten Tag {{1}}, jetzt die Reiseversicherung sichern!', { category: 'MARKETING', status: 'rejected', why: 'Werbung braucht eine Einwilligung (TAG_CONTENT_MISMATCH).' }),
  tpl('neue_police', 'de', 'Guten Tag {{1}}, Ihre neue Police ist da.', { status: 'pending' }),
  tpl('anfahrt', 'de', 'So kommen Sie zu uns.', { unfit: 'Sie hat ein Bild in der Kopfzeile.' }),
]

export const examples = ['json-bot', 'sms-gateway', 'ticket-forum'].flatMap((key) => {
  const f = new URL(`webhook/examples/${key}.json`, dir)
  if (!existsSync(f)) return []
  const x = JSON.parse(readFileSync(f, 'utf8'))
  return [{ key, title: x.title, about: x.about, api_url: x.api_url, receive: JSON.stringify(x.receive, null, 2), send: JSON.stringify(x.send, null, 2), samples: (x.samples ?? []).map((s) => ({ name: s.name, method: s.method ?? '', query: s.query ?? '', headers: { ...(s.type ? { 'Content-Type': s.type } : {}), ...s.header }, body: s.body ?? '' })) }]
})

const pick = (expr, ctx) => { const m = /^(body|item)((?:\.\w+)*)$/.exec(expr.trim()); return m ? m[2].split('.').filter(Boolean).reduce((x, k) => x?.[k], ctx[m[1]]) : undefined }
/** tryIn understands plain paths only: enough to see what the desk shows. */
export function tryIn({ settings, sample }) {
  const out = { events: [], error: '', unauthentic: '', fields: [], reply: { status: 0, type: '', body: '' } }
  let d, body
  try { d = JSON.parse(settings.receive || '{}') } catch (e) { return { ...out, error: 'receive, line 1, column 3: it is no JSON' } }
  try { body = JSON.parse(sample.body || '{}') } catch { body = sample.body }
  if (!d.auth?.type) return { ...out, error: 'receive.auth is missing: say how the provider proves itself' }
  for (const [k, v] of Object.entries(d)) if (typeof v === 'string' && /[+(]\s*$/.test(v)) return { ...out, error: `receive.${k}, column ${v.length + 1}: something is missing at the end` }
  if (d.auth.type === 'hmac') out.unauthentic = `receive.auth: the header ${d.auth.header} is missing`
  const list = d.each ? pick(d.each, { body }) ?? [] : [body]
  if (!sample.body) return out
  list.forEach((item, n) => {
    const got = {}
    for (const k of ['id', 'from', 'name', 'text', 'at']) if (d[k]) { got[k] = pick(d[k], { body, item }); out.fields.push({ item: n, key: `receive.${k}`, expression: d[k], value: got[k] === undefined ? '' : JSON.stringify(got[k]), error: k === 'from' && got[k] === undefined ? `receive.from, column ${d[k].lastIndexOf('.') + 1}: there is no such key` : '' }) }
    out.events.push(got.from === undefined ? { type: 'unparsed', error: 'receive.from gave nothing' } : { type: 'message', key: `msg:${got.id}`, sender: { kind: 'webhook', value: String(got.from), name: got.name ?? '' }, message: { id: got.id, text: got.text ?? '' } })
  })
  return out
}
export function tryOut({ settings, message }) {
  let d
  try { d = JSON.parse(settings.send || '{}') } catch { return { items: [], error: 'send, line 1, column 3: it is no JSON' } }
  if (!d.url) return { items: [], error: 'send.url is missing' }
  return { error: '', items: [{ method: d.method ?? 'POST', url: (d.url.startsWith('/') ? settings.api_url : '') + d.url.replace('{message.to}', message.to), headers: { Authorization: 'Bearer •••', 'Content-Type': 'application/json' }, body: JSON.stringify({ text: message.text, buttons: message.choices }) }] }
}
