// What the house keeps for everybody who writes: text blocks, tags, units, saved views, learned senders.
import { del, get, patch, post, type Page, type SavedView, type SenderRule, type TagCount, type TextBlock, type Unit } from '../../kit/api'

/** Shelf is one list of the server, loaded when first wanted. */
class Shelf<T extends { id: string }> {
  list = $state.raw<T[]>([])
  known = $state(false)
  error = $state.raw<unknown>(null)
  private asked = false
  constructor(readonly path: string) {}

  /** want loads the list if nobody has yet. */
  want() { if (!this.asked) void this.load() }
  async load() {
    this.asked = true
    try {
      const all: T[] = []
      for (let cursor = '', i = 0; i < 20; i++) {
        const page = await get<Page<T>>(`/api/v1/${this.path}?limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`)
        all.push(...page.items)
        cursor = page.next_cursor
        if (!cursor) break
      }
      this.list = all
      this.known = true
      this.error = null
    } catch (e) { this.error = e; this.asked = this.known }
  }
  async add(body: Partial<T>): Promise<T> {
    const x = await post<T>(`/api/v1/${this.path}`, body)
    this.list = [...this.list.filter((y) => y.id !== x.id), x]
    return x
  }
  /** change shows it at once and takes it back when the server refuses. */
  async change(id: string, body: Partial<T>): Promise<T> {
    const before = this.list
    this.list = before.map((x) => (x.id === id ? { ...x, ...body } : x))
    try {
      const x = await patch<T>(`/api/v1/${this.path}/${id}`, body)
      this.list = this.list.map((y) => (y.id === id ? { ...y, ...x } : y))
      return x
    } catch (e) { this.list = before; throw e }
  }
  async remove(id: string) {
    const before = this.list
    this.list = before.filter((x) => x.id !== id)
    try { await del(`/api/v1/${this.path}/${id}`) } catch (e) { this.list = before; throw e }
  }
  clear() { this.list = []; this.known = false; this.asked = false }
}

class Tags {
  list = $state.raw<TagCount[]>([])
  private asked = false
  want() { if (!this.asked) void this.load() }
  async load() {
    this.asked = true
    try { this.list = (await get<Page<TagCount>>('/api/v1/tags')).items } catch { this.asked = false /* without completion one types the whole word */ }
  }
  clear() { this.list = []; this.asked = false }
}

export const blocks = new Shelf<TextBlock>('text-blocks')
export const units = new Shelf<Unit>('units')
export const senders = new Shelf<SenderRule>('senders')
export const tags = new Tags()

class Views extends Shelf<SavedView> {
  get ordered() { return [...this.list].sort((a, b) => a.pos - b.pos || a.name.localeCompare(b.name)) }
  /** move puts a view one place up or down: the two exchange their places. */
  async move(id: string, d: 1 | -1) {
    const o = this.ordered
    const i = o.findIndex((v) => v.id === id), a = o[i], b = o[i + d]
    if (!a || !b) return
    const [pa, pb] = a.pos === b.pos ? [i + d + 1, i + 1] : [b.pos, a.pos]
    await Promise.all([this.change(a.id, { pos: pa }), this.change(b.id, { pos: pb })])
  }
}
export const saved = new Views('views')
