// The language of the interface: the session's, before sign-in the browser's.
import type { Language } from './api'
import { de, type Dict } from './i18n/de'
import { en } from './i18n/en'

class I18n {
  lang = $state<Language>(navigator.language?.toLowerCase().startsWith('de') ? 'de' : 'en')

  get t(): Dict {
    return this.lang === 'de' ? de : en
  }

  set(lang: Language) {
    this.lang = lang
    document.documentElement.lang = lang
  }
}

export const i18n = new I18n()
document.documentElement.lang = i18n.lang
