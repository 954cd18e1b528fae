// Opens the chat for who came by its link. The page itself needs no script.
if (location.hash === '#chat') {
  if (window.Rufweite) window.Rufweite.open()
  else addEventListener('rufweite', () => window.Rufweite.open(), { once: true })
}
