// Colleagues: needed wherever somebody is assigned.
import { get, type Page, type Staff } from '../../kit/api'

class StaffState {
  list = $state.raw<Staff[]>([])
  async load() {
    try { this.list = (await get<Page<Staff>>('/api/v1/staff')).items } catch { /* assigning is then limited to oneself */ }
  }
  get active() { return this.list.filter((s) => s.enabled) }
  name(id: string) { return this.list.find((s) => s.id === id)?.name ?? '' }
}

export const staff = new StaffState()
