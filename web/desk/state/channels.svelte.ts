// The configured channels, for writing first and for setting up.
import { get, type Channel, type Page } from '../../kit/api'

class ChannelsState {
  list = $state.raw<Channel[]>([])
  known = $state(false)
  error = $state.raw<unknown>(null)
  async load() {
    try {
      this.list = (await get<Page<Channel>>('/api/v1/channels')).items
      this.known = true
      this.error = null
    } catch (e) { this.error = e }
  }
  put(c: Channel) {
    this.list = this.list.some((x) => x.id === c.id) ? this.list.map((x) => (x.id === c.id ? c : x)) : [...this.list, c]
  }
}

export const channels = new ChannelsState()
