// The keyboard of this device: settings, and who acts on which command just now.
import { device, store } from '../../kit/device.svelte'
import { i18n } from '../../kit/i18n.svelte'
import { command, keyOf, remap, type Action, type Command, type KeySettings } from './keymap'

function load(): KeySettings {
  try {
    const s = JSON.parse(store.get('rw:keys') ?? '') as KeySettings
    return { enabled: s.enabled !== false, keys: s.keys ?? {} }
  } catch { return { enabled: true, keys: {} } }
}

class Keys {
  settings = $state.raw<KeySettings>(load())
  private handlers = new Map<Command, (() => void)[]>()

  constructor() {
    addEventListener('keydown', (e) => this.press(e))
  }

  /** Acts on a command as long as the component lives; the newest comes first. Returns how to stop. */
  on(handlers: Partial<Record<Command, () => void>>): () => void {
    const mine = Object.entries(handlers) as [Command, () => void][]
    for (const [c, fn] of mine) this.handlers.set(c, [fn, ...(this.handlers.get(c) ?? [])])
    return () => { for (const [c, fn] of mine) this.handlers.set(c, (this.handlers.get(c) ?? []).filter((f) => f !== fn)) }
  }

  run(c: Command): boolean {
    const fn = this.handlers.get(c)?.[0]
    if (!fn) return false
    fn()
    return true
  }

  private press(e: KeyboardEvent) {
    if (e.defaultPrevented) return
    const el = e.target as HTMLElement
    const inField = !!el.closest?.('input, textarea, select, [contenteditable], [role=menu], [data-keys=own]')
    const c = command(e, this.settings, inField, device.mac)
    if (!c) return
    if (document.querySelector('dialog[open]') && c !== 'palette') return
    if (this.run(c)) e.preventDefault()
  }

  /** Told of every change made here, to keep it for the person's other devices. */
  changed: ((s: KeySettings) => void) | null = null
  take(s: KeySettings) {
    this.settings = s
    store.set('rw:keys', JSON.stringify(s))
  }
  set(s: KeySettings) {
    this.take(s)
    this.changed?.(s)
  }
  remap(a: Action, key: string) { this.set(remap(a, key, this.settings)) }
  key(a: Action) { return keyOf(a, this.settings) }

  /** The modifier as it is printed on this person's keyboard. */
  get mod() { return device.mac ? '⌘' : i18n.t.ctrl }
  get aria() { return device.mac ? 'Meta+K' : 'Control+K' }
}

export const keys = new Keys()
