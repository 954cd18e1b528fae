// The mock's part for questions and dialogs: a small renderer, a small machine and a small prover. They follow the contract,
// not the product's wisdom: what is said on each medium is the server's matter and tested there.
import YAML, { LineCounter, isMap, isSeq } from 'yaml'

const plain = (w) => (w === undefined || w === null ? '' : typeof w === 'string' ? w : w.text ?? '')
export const textIn = (t, l) => { if (!t) return ''; for (let tag = l; tag; tag = tag.includes('-') ? tag.slice(0, tag.lastIndexOf('-')) : '') if (t[tag] !== undefined) return plain(t[tag]); return plain(t.de ?? t.en ?? Object.values(t)[0]) }
const de = (l) => !l.startsWith('en')

export const optionsOf = (a, l, slots = []) => a.kind === 'yes_no' || a.kind === 'consent' ? [{ key: 'yes', label: textIn(a.yes, l) || (de(l) ? 'Ja' : 'Yes') }, { key: 'no', label: textIn(a.no, l) || (de(l) ? 'Nein' : 'No') }]
  : a.kind === 'slot' ? slots : a.kind === 'rating' ? (a.scale === '0-10' ? [...Array(11).keys()].map((n) => ({ key: String(n), label: String(n) })) : [{ key: 'bad', label: de(l) ? 'enttäuscht' : 'disappointed' }, { key: 'ok', label: de(l) ? 'in Ordnung' : 'fine' }, { key: 'good', label: de(l) ? 'begeistert' : 'delighted' }])
  : (a.options ?? []).map((o) => ({ key: o.key, label: textIn(o.label, l), short: textIn(o.short, l) || undefined }))

export const slots = (l) => (de(l) ? ['Donnerstag, 16:00', 'Donnerstag, 17:30', 'Freitag, 9:00'] : ['Thursday, 4 pm', 'Thursday, 5:30 pm', 'Friday, 9 am']).map((label, i) => ({ key: `s${i + 1}`, label }))

const titles = { email: 'E-Mail', telegram: 'Telegram', whatsapp: 'WhatsApp', twilio: 'SMS', voice: 'Telefon', letter: 'Brief', webchat: 'Web-Chat', phone: 'Telefon' }
const max = { whatsapp: 20, telegram: 64, webchat: 80 }

export function render(ask, say, l, channel, person = true) {
  const out = { channel, title: titles[channel] ?? channel, way: 'free', subject: '', text: '', html: '', choices: [], menu: '', keys: [], boxes: [], speech: '', problems: [] }
  const q = ask ? textIn(ask.text, l) : ''
  const opts = ask ? optionsOf(ask, l, slots(l)) : []
  const full = [say, q].filter(Boolean).join(' ')
  const word = de(l) ? 'Mensch' : 'person'
  if (channel === 'voice') {
    out.way = opts.length ? 'keypad' : 'free'
    out.speech = full + opts.slice(0, 5).map((o, i) => de(l) ? ` Für „${o.label}“ drücken Sie die ${i + 1}.` : ` For “${o.label}” press ${i + 1}.`).join('') + (de(l) ? ' Mit der Null sprechen Sie mit einem Menschen.' : ' Press zero for a person.')
    out.text = out.speech
    out.keys = [...opts.slice(0, 5).map((o, i) => ({ digit: String(i + 1), label: o.label })), { digit: '0', label: word }]
    return out
  }
  if (channel === 'letter') { out.way = opts.length ? 'boxes' : 'free'; out.text = `${full}\n${opts.map((o) => `\n[ ] ${o.label}`).join('')}\n\n${de(l) ? 'Ankreuzen und zurück, oder hier antworten: 7KQ4-9F2M. Lieber sprechen? 030 90 12 30' : 'Tick and send back, or answer here: 7KQ4-9F2M. Rather talk? 030 90 12 30'}`; out.boxes = opts.map((o) => ({ label: o.label })); return out }
  if (channel === 'twilio') { out.way = opts.length ? 'numbered' : 'free'; out.text = full + (opts.length ? ' ' + opts.map((o, i) => `${i + 1} ${o.short ?? o.label}`).join(', ') : '') + (person ? `, 0 ${word}.` : ''); return out }
  if (channel === 'email') { out.way = opts.length ? 'links' : 'free'; out.subject = ask ? textIn(ask.short, l) || q : full; out.text = full; out.html = `<html><head><style>p{margin:0}</style></head><body>${[say, q].filter(Boolean).map((x) => `<p>${x.replace(/</g, '&lt;')}</p>`).join('')}${opts.map((o) => `<p><a href="https://x.example/a/1">${o.label}</a></p>`).join('')}</body></html>`; out.choices = [...opts.map((o) => ({ label: o.label, description: '', person: false })), ...(person ? [{ label: de(l) ? 'Lieber mit einem Menschen' : 'Rather a person', description: '', person: true }] : [])]; return out }
  out.text = full + (person ? (de(l) ? ` Lieber mit einem Menschen? Schreiben Sie „${word}“.` : ` Rather a person? Write “${word}”.`) : '')
  if (opts.length) {
    out.way = opts.length > 3 && channel === 'whatsapp' ? 'list' : 'buttons'
    if (out.way === 'list') out.menu = de(l) ? 'Auswählen' : 'Choose'
    out.choices = opts.map((o) => ({ label: o.short ?? o.label, description: '', person: false }))
    for (const o of opts) { const n = [...(o.short ?? o.label)].length; if (max[channel] && n > max[channel]) out.problems.push({ code: 'label_too_long', option: o.key, detail: `${n} > ${max[channel]}` }) }
  }
  return out
}

export const valueText = (a, v, l) => {
  if (!v) return ''
  const opts = optionsOf(a, l, slots(l))
  if (v.yes !== undefined) return opts[v.yes ? 0 : 1].label
  if (v.keys) return v.keys.map((k) => opts.find((o) => o.key === k)?.label ?? k).join(', ')
  if (v.key) return opts.find((o) => o.key === v.key)?.label ?? v.key
  if (v.address) return `${v.address.street}, ${v.address.postal_code} ${v.address.city}`
  return v.text ?? v.date ?? v.at ?? v.number ?? v.email ?? v.phone ?? ''
}

// resolve understands what the tests type; null = not understood.
export function resolve(a, text, l) {
  const s = text.trim().toLowerCase()
  const opts = optionsOf(a, l, slots(l))
  if (opts.length) {
    const i = /^[1-9]$/.test(s) ? Number(s) - 1 : opts.findIndex((o) => o.label.toLowerCase() === s || o.label.toLowerCase().startsWith(s) && s.length > 1)
    const o = opts[i]
    if (!o) return null
    return a.kind === 'yes_no' || a.kind === 'consent' ? { yes: i === 0 } : a.kind === 'many_of' ? { keys: [o.key] } : { key: o.key }
  }
  if (a.kind === 'number') return /^\d+([.,]\d+)?$/.test(s) ? { number: s.replace(',', '.') } : null
  return s ? { text: text.trim() } : null
}

export const checkAsk = (a, l = 'de') => {
  const errors = []
  const q = plain(a.text?.[Object.keys(a.text ?? {})[0]])
  if (!q) errors.push({ location: 'body.ask.text', message: 'Die Frage fehlt.' })
  for (const [i, o] of (a.options ?? []).entries()) if (!textIn(o.label, l)) errors.push({ location: `body.ask.options[${i}].label`, message: 'Die Aufschrift fehlt.' })
  if (a.expires && a.remind && dur(a.remind) >= dur(a.expires)) errors.push({ location: 'body.ask.remind', message: 'Die Erinnerung käme nach dem Ablauf.' })
  return errors
}
const dur = (s) => { const m = /^(\d+)([mhdw])$/.exec(s); return m ? Number(m[1]) * { m: 1, h: 60, d: 1440, w: 10080 }[m[2]] : 0 }

export const toSource = (p) => YAML.stringify(JSON.parse(JSON.stringify(p)), { lineWidth: 0 })

// check reads a dialog and finds what is wrong with it.
export function check(source, l = 'de') {
  const lines = new LineCounter()
  const doc = YAML.parseDocument(source, { lineCounter: lines })
  const G = l === 'de'
  if (doc.errors.length) { const e = doc.errors[0], at = lines.linePos(e.pos[0]); return { program: null, findings: [{ rule: 'syntax', line: at.line, column: at.col, message: G ? 'Hier ist das YAML nicht lesbar.' : 'The YAML cannot be read here.', remedy: G ? 'Prüfen Sie Einrückung und Doppelpunkte in dieser Zeile.' : 'Check the indentation and colons of this line.' }] } }
  const p = doc.toJS()
  if (!p || typeof p !== 'object' || !Array.isArray(p.steps)) return { program: null, findings: [{ rule: 'structure', line: 1, column: 1, message: G ? 'Es fehlen die Schritte (steps).' : 'The steps are missing.', remedy: G ? 'Schreiben Sie unter steps: mindestens einen Schritt.' : 'Write at least one step below steps:.' }] }
  const node = (i) => { const s = doc.get('steps'); return isSeq(s) && isMap(s.items[i]) ? lines.linePos(s.items[i].range[0]) : { line: 1, col: 1 } }
  const f = []
  const ids = new Set(p.steps.map((s) => s.id))
  const reach = new Set(), walk = (i) => { const s = p.steps[i]; if (!s || reach.has(s.id)) return; reach.add(s.id); for (const t of outs(p, i)) { const j = p.steps.findIndex((x) => x.id === t); if (j >= 0) walk(j) } }
  walk(0)
  p.steps.forEach((s, i) => {
    const at = node(i), add = (rule, message, remedy, more = {}) => f.push({ rule, dialog: p.dialog, step: s.id, line: at.line, column: at.col, message, remedy, ...more })
    for (const k of ['next', 'expired', 'unclear', 'failed', 'wrote']) if (s[k] && !ids.has(s[k])) add('target', G ? `„${s[k]}“ gibt es nicht.` : `There is no “${s[k]}”.`, G ? `Nennen Sie einen Schritt, den es gibt: ${[...ids].join(', ')}.` : `Name a step that exists: ${[...ids].join(', ')}.`)
    for (const c of s.branch ?? []) if (!ids.has(c.to)) add('target', G ? `„${c.to}“ gibt es nicht.` : `There is no “${c.to}”.`, G ? 'Nennen Sie einen Schritt, den es gibt.' : 'Name a step that exists.')
    if (s.branch && s.branch.at(-1)?.if) add('branch', G ? 'Die Verzweigung hat kein „sonst“.' : 'The branch has no “otherwise”.', G ? 'Fügen Sie am Ende einen Fall ohne Bedingung an.' : 'Add a last case without a condition.', { story: [G ? 'Der Kunde antwortet etwas, das keiner der Fälle meint.' : 'The customer answers something that none of the cases means.', G ? 'Der Dialog weiß nicht weiter.' : 'The dialog does not know how to go on.'] })
    for (const t of [s.say, s.ask?.text, ...(s.ask?.options ?? []).map((o) => o.label)].filter(Boolean)) { const missing = p.languages.find((x) => !plain(t[x]).trim()); if (missing) { add('language', G ? 'Ein Text fehlt in dieser Sprache.' : 'A text is missing in this language.', G ? 'Schreiben Sie ihn, oder nehmen Sie die Sprache aus languages.' : 'Write it, or take the language out of languages.', { language: missing }); break } }
    if (!reach.has(s.id)) add('unreachable', G ? 'Zu diesem Schritt führt kein Weg.' : 'No way leads to this step.', G ? 'Verbinden Sie ihn, oder entfernen Sie ihn.' : 'Connect it, or remove it.')
    for (const o of s.ask?.options ?? []) { const n = [...(textIn(o.short, 'de') || textIn(o.label, 'de'))].length; if (n > 24) add('reply', G ? `Die Aufschrift „${textIn(o.label, 'de')}“ hat ${n} Zeichen; die Liste zeigt 24.` : `The label “${textIn(o.label, 'de')}” has ${n} characters; the list shows 24.`, G ? 'Geben Sie der Möglichkeit eine kurze Aufschrift (short).' : 'Give the option a short label (short).', { kind: 'whatsapp', story: [G ? 'Der Kunde schreibt auf WhatsApp.' : 'The customer writes on WhatsApp.', G ? 'Er sieht die Möglichkeit nicht ganz.' : 'They do not see the whole option.'] }) }
  })
  return { program: p, findings: f }
}
const outs = (p, i) => { const s = p.steps[i]; if (s.end || s.hand) return []; if (s.branch) return s.branch.map((c) => c.to); return [s.next || p.steps[i + 1]?.id, s.expired, s.unclear, s.failed, s.wrote].filter(Boolean) }

const fill = (s, v, l) => s.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, k) => (v[k] === undefined ? '…' : typeof v[k] === 'boolean' ? (v[k] ? (de(l) ? 'Ja' : 'Yes') : de(l) ? 'Nein' : 'No') : v[k]))
const filled = (t, v, l) => Object.fromEntries(Object.entries(t ?? {}).map(([k, w]) => [k, fill(plain(w), v, l)]))
function truth(cel, v) {
  let m
  if (cel === 'true') return true
  if ((m = /^(!?)\s*(\w+)$/.exec(cel))) return m[1] ? !v[m[2]] : !!v[m[2]]
  if ((m = /^(\w+)\s*==\s*["'](.*)["']$/.exec(cel))) return v[m[1]] === m[2]
  return false
}
const flat = (v) => v.yes ?? v.key ?? v.keys ?? v.number ?? v.text ?? v.date ?? v.at

// attempt runs a dialog with what a customer did so far.
export function attempt(source, { language: l = 'de', channels = [], inputs = {}, turns = [] }) {
  const { program: p, findings } = check(source, de(l) ? 'de' : 'en')
  if (!p) return null
  const v = { ...inputs }
  for (const x of p.inputs ?? []) v[x.name] ??= x.default
  const said = channels.map((c) => ({ channel: c, title: titles[c] ?? c, turns: [] }))
  let i = 0, status = 'ended', open = null, misses = 0
  const machine = (say, ask) => { for (const c of said) c.turns.push({ from: 'machine', rendered: render(ask, say ? textIn(filled(say, v, l), l) : '', l, c.channel), text: '' }) }
  const event = (text) => { for (const c of said) c.turns.push({ from: 'event', rendered: null, text }) }
  const go = (id) => { i = id ? p.steps.findIndex((s) => s.id === id) : p.steps.length }
  const run = () => {
    open = null
    for (let n = 0; n < 200; n++) {
      const s = p.steps[i]
      if (!s) { status = 'ended'; return }
      const next = () => (s.next ? go(s.next) : i++)
      if (s.ask) { machine(s.say, { ...s.ask, text: filled(s.ask.text, v, l) }); open = s; status = 'asking'; return }
      if (s.say) { machine(s.say, null); next() } else if (s.branch) go(s.branch.find((c) => !c.if || truth(c.if, v))?.to)
      else if (s.set) { for (const [k, e] of Object.entries(s.set)) v[k] = e.replace(/^["']|["']$/g, ''); next() }
      else if (s.call) { if (s.save) v[s.save] = {}; event(`call:POST ${s.call.url}`); next() }
      else if (s.wait) { status = 'waiting'; return }
      else if (s.hand) { event('hand:planned'); status = 'handed'; return }
      else { status = 'ended'; return }
    }
  }
  run()
  for (const t of turns) {
    if (status === 'ended' || status === 'handed') break
    const s = p.steps[i]
    if (t.person || /^(mensch|person|0)$/i.test(t.text ?? '')) { for (const c of said) c.turns.push({ from: 'customer', rendered: null, text: 'person' }); event('hand:asked'); status = 'handed'; break }
    if (t.wait) { event(status === 'waiting' ? `wait:${new Date(Date.now() + 86_400_000).toISOString()}` : 'expired'); if (status === 'waiting') { s.next ? go(s.next) : i++; run() } else if (s.expired) { go(s.expired); run() } else { status = 'handed'; event('hand:expired') } continue }
    if (!open) continue
    const opts = optionsOf(open.ask, l, slots(l))
    const words = t.choice !== undefined ? opts[t.choice]?.label ?? '?' : t.text
    for (const c of said) c.turns.push({ from: 'customer', rendered: null, text: words })
    const value = resolve(open.ask, words, l)
    if (!value) { if (++misses > 1) { status = 'handed'; event('hand:unclear'); break } machine({ [l]: de(l) ? 'Das habe ich nicht verstanden.' : 'I did not understand that.' }, open.ask); continue }
    misses = 0
    v[open.save || open.ask.name || open.id.replace(/-/g, '_')] = flat(value)
    s.next ? go(s.next) : i++
    run()
  }
  return { channels: said, status, step: p.steps[i]?.id ?? '', variables: v, findings }
}

const yes = { de: 'Ja, passt', en: 'Yes, fine' }, other = { de: 'Anderer Termin', en: 'Another time' }
export const ready = [
  { dialog: 'confirm-appointment', title: { de: 'Termin bestätigen', en: 'Confirm an appointment' }, languages: ['de', 'en'], inputs: [{ name: 'car', type: 'text', title: { de: 'Fahrzeug', en: 'Vehicle' } }, { name: 'at', type: 'text', title: { de: 'Termin', en: 'Appointment' }, default: 'Donnerstag, 14:30 Uhr' }],
    steps: [
      { id: 'hello', say: { de: 'Guten Tag, hier ist der automatische Assistent. Ihr {{ car }} ist fertig.', en: 'Hello, this is the automated assistant. Your {{ car }} is ready.' } },
      { id: 'fits', ask: { kind: 'yes_no', text: { de: 'Können Sie ihn {{ at }} abholen?', en: 'Can you pick it up {{ at }}?' }, yes, no: other, expires: '3d', remind: '1d' }, expired: 'person' },
      { id: 'way', branch: [{ if: 'fits', to: 'thanks' }, { to: 'when' }] },
      { id: 'when', ask: { kind: 'one_of', text: { de: 'Wann passt es Ihnen besser?', en: 'When suits you better?' }, options: [{ key: 'thu_late', label: { de: 'Donnerstag, 17:30', en: 'Thursday, 5:30 pm' } }, { key: 'fri', label: { de: 'Freitag, 9:00', en: 'Friday, 9 am' } }, { key: 'none', label: { de: 'Nichts davon', en: 'None of these' } }] }, expired: 'person' },
      { id: 'sort', branch: [{ if: 'when == "none"', to: 'person' }, { to: 'thanks' }] },
      { id: 'thanks', say: { de: 'Danke, das ist notiert. Bis dann!', en: 'Thank you, that is noted. See you then!' } },
      { id: 'over', end: { outcome: 'done' } },
      { id: 'person', hand: { staff: 'advisor', note: { de: 'Abholung {{ car }} klären', en: 'Arrange the pick-up of {{ car }}' } } },
    ] },
  { dialog: 'call-back', title: { de: 'Rückruf vereinbaren', en: 'Request a call-back' }, languages: ['de', 'en'],
    steps: [{ id: 'topic', ask: { kind: 'text', text: { de: 'Worum geht es?', en: 'What is it about?' } } }, { id: 'when', ask: { kind: 'one_of', text: { de: 'Wann sollen wir anrufen?', en: 'When shall we call?' }, options: [{ key: 'am', label: { de: 'Vormittags', en: 'In the morning' } }, { key: 'pm', label: { de: 'Nachmittags', en: 'In the afternoon' } }] } }, { id: 'person', hand: { staff: 'advisor', tag: 'Rückruf' } }] },
  { dialog: 'verdict', title: { de: 'Urteil erfragen', en: 'Ask for a verdict' }, languages: ['de'],
    steps: [{ id: 'verdict', ask: { kind: 'rating', scale: 'verdict', text: { de: 'Wie war es bei uns?' } } }, { id: 'over', end: {} }] },
]

export const templates = [
  { key: 'appointment', title: { de: 'Termin bestätigen', en: 'Confirm an appointment' }, ask: { kind: 'yes_no', text: { de: 'Passt Ihnen der Termin?', en: 'Does the appointment suit you?' }, short: { de: 'Termin', en: 'Appointment' }, yes, no: other, expires: '3d', remind: '1d' } },
  { key: 'slot', title: { de: 'Termin wählen lassen', en: 'Choose a time' }, ask: { kind: 'slot', text: { de: 'Wann holen Sie ihn ab?', en: 'When will you pick it up?' }, short: { de: 'Abholung', en: 'Pick-up' }, calendar: 'workshop', days: 14 } },
  { key: 'photo', title: { de: 'Foto erbitten', en: 'Ask for a photo' }, ask: { kind: 'file', text: { de: 'Bitte schicken Sie uns ein Foto vom Schaden.', en: 'Please send us a photo of the damage.' }, accept: ['image/*'], most: 5 } },
  { key: 'verdict', title: { de: 'Urteil erfragen', en: 'Ask for a verdict' }, ask: { kind: 'rating', scale: 'verdict', text: { de: 'Wie war es bei uns?', en: 'How was it with us?' } } },
  { key: 'call', title: { de: 'Rückrufzeit', en: 'Time to call back' }, ask: { kind: 'one_of', text: { de: 'Wann dürfen wir Sie anrufen?', en: 'When may we call you?' }, short: { de: 'Rückruf', en: 'Call-back' }, options: [{ key: 'am', label: { de: 'Vormittags', en: 'In the morning' } }, { key: 'pm', label: { de: 'Nachmittags', en: 'In the afternoon' } }, { key: 'eve', label: { de: 'Abends nach 17 Uhr', en: 'In the evening, after 5 pm' } }] } },
  { key: 'mail', title: { de: 'E-Mail-Adresse', en: 'E-mail address' }, ask: { kind: 'email', verify: true, text: { de: 'An welche E-Mail-Adresse dürfen wir schreiben?', en: 'Which e-mail address may we write to?' } } },
  { key: 'consent', title: { de: 'Einwilligung', en: 'Consent' }, ask: { kind: 'consent', purpose: 'newsletter', text: { de: 'Dürfen wir Ihnen Neuigkeiten schicken?', en: 'May we send you news?' } } },
]

export const broken = (l) => { const p = JSON.parse(JSON.stringify(ready[0])); p.dialog = 'claim'; p.title = { de: 'Schaden melden', en: 'Report a claim' }; p.steps[2].branch[1].to = 'wen'; p.steps[3].ask.options[0].label.de = 'Donnerstag, den 26. November, 17:30 Uhr'; void l; return p }
