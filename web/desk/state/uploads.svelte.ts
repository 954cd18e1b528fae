// Files on their way to the server, with their progress.
import { Problem, upload, type Attachment } from '../../kit/api'

export interface Upload { key: number; name: string; size: number; media_type: string; part: number; done: Attachment | null; failed: string; abort: AbortController; preview: string }

export class Uploads {
  list = $state<Upload[]>([])
  private n = 0

  constructor(private changed: () => void, private explain: (e: Problem) => string) {}

  get busy() { return this.list.some((u) => !u.done && !u.failed) }
  get done(): Attachment[] { return this.list.flatMap((u) => (u.done ? [$state.snapshot(u.done) as Attachment] : [])) }

  add(files: Iterable<File>) {
    for (const file of files) {
      const key = ++this.n
      const abort = new AbortController()
      this.list.push({ key, name: file.name, size: file.size, media_type: file.type, part: 0, done: null, failed: '', abort, preview: file.type.startsWith('image/') ? URL.createObjectURL(file) : '' })
      const mine = () => this.list.find((u) => u.key === key)
      upload(file, (p) => { const u = mine(); if (u) u.part = p }, abort.signal).then(
        (a) => { const u = mine(); if (u) { u.done = a; u.part = 1; this.changed() } },
        (e: Problem) => { const u = mine(); if (u) u.failed = this.explain(e) },
      )
    }
  }

  set(list: Attachment[]) {
    this.clear()
    this.list = list.map((a) => ({ key: ++this.n, name: a.name, size: a.size, media_type: a.media_type, part: 1, done: a, failed: '', abort: new AbortController(), preview: '' }))
  }

  drop(key: number) {
    const u = this.list.find((x) => x.key === key)
    if (!u) return
    u.abort.abort()
    if (u.preview) URL.revokeObjectURL(u.preview)
    this.list = this.list.filter((x) => x.key !== key)
    this.changed()
  }

  clear() {
    for (const u of this.list) { if (!u.done) u.abort.abort(); if (u.preview) URL.revokeObjectURL(u.preview) }
    this.list = []
  }
}
