// What a person prefers, on every device of theirs: keys, notifications. Kept by the server, remembered here.
import { get, put } from '../../kit/api'
import { store } from '../../kit/device.svelte'
import { keys } from './keys.svelte'
import type { KeySettings } from './keymap'
import { session } from './session.svelte'

export interface Preferences { keys?: KeySettings; notify?: { on: boolean; content: boolean }; [more: string]: unknown }

const unsent = 'rw:prefs:unsent'

class Prefs {
  now = $state.raw<Preferences>(read())
  private known = false
  private timer: ReturnType<typeof setTimeout> | undefined

  get notify() { return { on: !!this.now.notify?.on, content: !!this.now.notify?.content } }

  async load() {
    keys.changed = (s) => this.set({ keys: s })
    try {
      const there = await get<Preferences | undefined>('/api/v1/me/preferences')
      this.known = true
      if (!there || this.timer) return
      // A change of this device that the server never got (the page was left at once) is newer than what it keeps.
      if (session.me && store.get(unsent) === session.me) { this.now = { ...there, ...this.now }; this.set({}); return }
      this.now = { ...this.now, ...there }
      store.set('rw:prefs', JSON.stringify(this.now))
      if (there.keys) keys.take({ enabled: there.keys.enabled !== false, keys: there.keys.keys ?? {} })
    } catch { /* this device's memory is enough */ }
  }

  set(change: Preferences) {
    this.now = { ...this.now, ...change }
    store.set('rw:prefs', JSON.stringify(this.now))
    store.set(unsent, session.me)
    clearTimeout(this.timer)
    this.timer = setTimeout(async () => {
      this.timer = undefined
      // What another device keeps there must not be lost: ask before the first write.
      if (!this.known) try { this.now = { ...(await get<Preferences | undefined>('/api/v1/me/preferences')), ...this.now }; this.known = true } catch { return }
      put('/api/v1/me/preferences', this.now).then(() => { if (!this.timer) store.remove(unsent) }).catch(() => { /* remembered here; written with the next change */ })
    }, 400)
  }
}

function read(): Preferences { try { return JSON.parse(store.get('rw:prefs') ?? '{}') as Preferences } catch { return {} } }

export const prefs = new Prefs()
