// Words of the contact page's settings.
const about = (s: number, de: boolean) => {
  const m = Math.max(1, Math.round(s / 60))
  if (m < 60) return de ? `${m} Min.` : `${m} min`
  const h = Math.round(m / 60)
  return h < 24 ? `${h} ${de ? 'Std.' : 'h'}` : `${Math.round(h / 24)} ${de ? 'Tagen' : 'days'}`
}

const de = {
  tab: 'Kontaktseite', title: 'Kontaktseite', intro: 'Alle Wege zu Ihnen auf einer Seite. Kanäle stehen von selbst darauf; Telefon, Filiale und Brief tragen Sie ein.', add: 'Weg hinzufügen',
  hours: 'Öffnungszeiten', changeHours: 'Öffnungszeiten ändern', setHours: 'Öffnungszeiten eintragen', noHours: 'Noch keine Öffnungszeiten. Solange behauptet die Kontaktseite nichts: Kein Weg heißt dort „offen“. Tragen Sie ein, wann ein Mensch antwortet; auch Dialoge, die auf Geschäftszeiten warten, richten sich danach.',
  always: 'immer offen', closedOn: 'Geschlossen am', links: 'Die Seite', look: 'Kontaktseite ansehen', pageLink: 'Adresse', embed: 'In Ihre Website einbetten', frame: 'So erreichen Sie uns',
  useIntro: (n: number) => (n === 1 ? 'In 28 Tagen einmal angesehen.' : `In 28 Tagen ${n} × angesehen.`), useHow: 'Gezählt ohne Cookies, nur je Tag; Suchmaschinen zählen nicht. Wer den QR-Code scannt, selbst wählt oder die Adresse abschreibt, ist nicht zu sehen. Ein Absturz des Servers kostet höchstens die letzten zehn Sekunden.',
  use: (o: number, n: number, link: boolean) => (link ? `${o} × angeboten, ${n} × benutzt` : `${o} × angeboten; kein Link, der sich zählen ließe`),
  sections: { talk: 'Sofort ein Mensch', write: 'Schreiben', self: 'Selbst erledigen' } as Record<string, string>,
  none: { talk: 'Noch nichts. Tragen Sie eine Telefonnummer oder eine Filiale ein.', write: 'Noch nichts. Richten Sie unter „Kanäle“ einen ein.', self: 'Noch nichts. Ein aktiver Dialog mit Startwort steht von selbst hier, wenn ihn ein Chat erreicht.' } as Record<string, string>,
  kinds: { phone: 'Telefon', callback: 'Rückruf (Webseite)', branch: 'Filiale', letter: 'Brief', web: 'Webseite' } as Record<string, string>,
  auto: 'von selbst', hidden: 'ausgeblendet', trouble: 'gestört', words: (w: string) => `Assistent bei „${w}“`, answer: (s: number) => `Antwort meist in ${about(s, true)}`, noAnswer: 'noch zu wenige Antworten gemessen',
  up: (n: string) => `${n} nach oben`, down: (n: string) => `${n} nach unten`, moved: (n: string, at: number) => `${n} steht jetzt an Stelle ${at}`, hide: 'Ausblenden', show: 'Zeigen',
  edit: (n: string) => `${n} ändern`, kind: 'Art', number: 'Telefonnummer', address: 'Anschrift', url: 'Adresse der Seite', labelDE: 'Name (Deutsch)', labelEN: 'Name (Englisch)', noteDE: 'Hinweis (Deutsch)', noteEN: 'Hinweis (Englisch)', section: 'Abschnitt', asCompany: 'wie die Firma', ownHours: 'eigene Zeiten', reset: 'Zurücksetzen',
  when: 'Wann sind Sie zu erreichen?', weekly: 'zu bestimmten Zeiten', noClaim: 'nichts behaupten', from: 'von', to: 'bis', span: (n: number) => `Zeile ${n}`, removeSpan: (n: number) => `Zeile ${n} entfernen`, addSpan: 'Weitere Zeiten', zone: 'Zeitzone', date: 'Datum', holiday: 'Feiertag', addDate: 'Geschlossener Tag', hoursHelp: 'Endet eine Zeit vor ihrem Anfang, gilt sie bis zum nächsten Tag.',
}

export const contactWords: Record<'de' | 'en', typeof de> = {
  de,
  en: {
    tab: 'Contact page', title: 'Contact page', intro: 'Every way to reach you on one page. Channels are on it by themselves; you enter telephone, branches and letters.', add: 'Add a way',
    hours: 'Opening hours', changeHours: 'Change opening hours', setHours: 'Set opening hours', noHours: 'No opening hours yet. Until then the contact page claims nothing: no way is called “open” there. Say when a person answers; dialogs that wait for business hours go by them, too.',
    always: 'always open', closedOn: 'Closed on', links: 'The page', look: 'See the contact page', pageLink: 'Address', embed: 'Embed in your website', frame: 'How to reach us',
    useIntro: (n) => (n === 1 ? 'Seen once in 28 days.' : `Seen ${n} times in 28 days.`), useHow: 'Counted without cookies, by day only; search engines do not count. Whoever scans the QR code, dials by hand or copies the address is not seen. A crash of the server loses the last ten seconds at most.',
    use: (o, n, link) => (link ? `offered ${o} ×, used ${n} ×` : `offered ${o} ×; no link to count`),
    sections: { talk: 'A person, right away', write: 'Write to us', self: 'Do it yourself' },
    none: { talk: 'Nothing yet. Enter a telephone number or a branch.', write: 'Nothing yet. Set up a channel under “Channels”.', self: 'Nothing yet. A live dialog with a start word is here by itself once a chat reaches it.' },
    kinds: { phone: 'Telephone', callback: 'Call-back (web page)', branch: 'Branch', letter: 'Letter', web: 'Web page' },
    auto: 'by itself', hidden: 'hidden', trouble: 'not working', words: (w) => `assistant at “${w}”`, answer: (s) => `answer usually within ${about(s, false)}`, noAnswer: 'too few answers measured yet',
    up: (n) => `Move ${n} up`, down: (n) => `Move ${n} down`, moved: (n, at) => `${n} is at place ${at} now`, hide: 'Hide', show: 'Show',
    edit: (n) => `Change ${n}`, kind: 'Kind', number: 'Telephone number', address: 'Address', url: 'Address of the page', labelDE: 'Name (German)', labelEN: 'Name (English)', noteDE: 'Note (German)', noteEN: 'Note (English)', section: 'Section', asCompany: 'as the company', ownHours: 'its own hours', reset: 'Reset',
    when: 'When can you be reached?', weekly: 'at certain times', noClaim: 'claim nothing', from: 'from', to: 'to', span: (n) => `Line ${n}`, removeSpan: (n) => `Remove line ${n}`, addSpan: 'More hours', zone: 'Time zone', date: 'Date', holiday: 'Holiday', addDate: 'Closed day', hoursHelp: 'Hours that end before they begin last until the next day.',
  },
}
