// The widget's one file: /widget.js. It finds out whose chat it is from its own script tag, puts a button on the page,
// and does nothing else until somebody asks: no cookie, no stored word, no request.
import { Client, type Identity } from './client'
import { View } from './view'
import { wordsFor } from './words'

type Asked = { id?: string; user_id?: string; signature?: string; user_signature?: string; name?: string; email?: string }

declare global {
  interface Window { Rufweite?: { open(): void; close(): void; identify(who: Asked | null): void } }
}

const script = (document.currentScript ?? document.querySelector('script[src*="/widget.js"]')) as HTMLScriptElement | null

function boot() {
  if (!script || window.Rufweite) return // a second tag on the same page adds nothing
  const set = script.dataset
  const host = new URL(script.src, location.href).origin
  const { lang, t } = wordsFor(set.language, document.documentElement.lang, ...navigator.languages)
  const given = (a: Asked | null): Identity | undefined => {
    const id = a?.id ?? a?.user_id
    return id ? { id: String(id), signature: String(a?.signature ?? a?.user_signature ?? ''), name: a?.name, email: a?.email } : undefined
  }
  const client = new Client(host, set.channel || '-', lang, given({ id: set.userId, signature: set.userSignature, name: set.userName, email: set.userEmail }), set.userName)
  const view = new View(client, t, lang, set.theme ?? null)
  document.body.append(view.host)
  client.start()
  window.Rufweite = { open: () => view.open(), close: () => view.close(), identify: (who) => client.identify(given(who)) }
  window.dispatchEvent(new Event('rufweite'))
}

if (document.body) boot()
else document.addEventListener('DOMContentLoaded', boot)
