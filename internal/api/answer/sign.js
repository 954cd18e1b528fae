// The signature pad; without it one signs by name, or with a picture.
(() => {
  const pad = document.getElementById('pad'), c = document.getElementById('canvas'), out = document.getElementById('drawing')
  const g = c.getContext('2d')
  if (!g) return
  pad.hidden = false
  let down = false, drawn = false
  const blank = () => { g.fillStyle = '#fff'; g.fillRect(0, 0, c.width, c.height); g.strokeStyle = '#1d1b18'; g.lineWidth = 3; g.lineCap = g.lineJoin = 'round'; drawn = false; out.value = '' }
  const at = (e) => { const r = c.getBoundingClientRect(); return [(e.clientX - r.left) * c.width / r.width, (e.clientY - r.top) * c.height / r.height] }
  c.addEventListener('pointerdown', (e) => { down = true; c.setPointerCapture(e.pointerId); g.beginPath(); g.moveTo(...at(e)); e.preventDefault() })
  c.addEventListener('pointermove', (e) => { if (down) { g.lineTo(...at(e)); g.stroke(); drawn = true } })
  for (const k of ['pointerup', 'pointercancel']) c.addEventListener(k, () => { down = false; if (drawn) out.value = c.toDataURL('image/png') })
  document.getElementById('clear').addEventListener('click', blank)
  blank()
})()
