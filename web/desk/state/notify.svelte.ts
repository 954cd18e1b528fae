// Notifications of the browser: only if wanted, only while the page is not looked at, and without names or texts unless allowed.
import type { ConversationRow } from '../../kit/api'
import { i18n } from '../../kit/i18n.svelte'
import type { Batch } from './livecore'
import { prefs } from './prefs.svelte'
import { router } from './router.svelte'
import { session } from './session.svelte'

class Notify {
  permission = $state<NotificationPermission | 'missing'>('Notification' in window ? Notification.permission : 'missing')

  /** ask must be called from a press of a button: browsers want it so. */
  async ask(): Promise<boolean> {
    if (this.permission === 'missing') return false
    this.permission = await Notification.requestPermission()
    return this.permission === 'granted'
  }

  live(b: Batch) {
    if (!document.hidden || !prefs.notify.on || this.permission !== 'granted') return
    for (const f of b.mentions) if (f.staff_id === session.me && f.conversation_id) this.show('mention:' + f.message_id, i18n.t.notifyMention, '', `/c/${f.conversation_id}`)
    // One for each conversation, however many messages came.
    const rows = new Map(b.conversations.map((f) => [f.id, f.conversation]))
    for (const row of rows.values()) {
      if (!row || row.last_message?.direction !== 'in' || row.status !== 'open' || row.category || (row.assignee && row.assignee.id !== session.me)) continue
      if (!row.waiting_since || Date.now() - Date.parse(row.last_message_at) > 120_000 || this.told.get(row.id) === row.last_message_at) continue
      this.told.set(row.id, row.last_message_at)
      this.tell(row)
    }
  }
  private told = new Map<string, string>()

  private tell(row: Pick<ConversationRow, 'id' | 'customer' | 'last_message'>) {
    const content = prefs.notify.content
    this.show('c:' + row.id, content ? row.customer.name : i18n.t.notifyNew, content ? (row.last_message?.text ?? '').slice(0, 140) : '', `/c/${row.id}`)
  }

  private show(tag: string, title: string, body: string, to: string) {
    try {
      const n = new Notification(title, { body, tag, icon: '/favicon.svg', lang: i18n.lang })
      n.onclick = () => { window.focus(); n.close(); router.go(to) }
    } catch { /* some browsers allow them to service workers only */ }
  }
}

export const notify = new Notify()
