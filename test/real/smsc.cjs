// An SMSC of node-smpp: takes binds, says what comes (one JSON object a line), sends receipts, and delivers what it is told.
const smpp = require(process.argv[2] + '/node_modules/smpp')
let esme
let next = 0xabc0
const say = (o) => console.log(JSON.stringify(o))
const server = smpp.createServer((s) => {
  s.on('error', () => {})
  s.on('bind_transceiver', (p) => {
    if (p.password !== 'geheim12') return s.send(p.response({ command_status: smpp.ESME_RINVPASWD }))
    s.send(p.response({ system_id: 'node' }))
    esme = s
    say({ op: 'bind', system_id: p.system_id })
  })
  s.on('enquire_link', (p) => s.send(p.response()))
  s.on('unbind', (p) => { s.send(p.response()); s.close() })
  s.on('submit_sm', (p) => {
    const id = (next++).toString(16).toUpperCase()
    s.send(p.response({ message_id: id }))
    const m = p.short_message
    say({ op: 'submit', id, to: p.destination_addr, text: m.message.toString(), udh: m.udh ? Buffer.concat(m.udh).toString('hex') : '', registered: p.registered_delivery })
    s.deliver_sm({ esm_class: 4, source_addr_ton: 1, source_addr: p.destination_addr, destination_addr: p.source_addr,
      short_message: { message: `id:${parseInt(id, 16)} sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 stat:DELIVRD err:000 text:` } })
  })
})
server.listen(0, '127.0.0.1', () => say({ op: 'listen', port: String(server.address().port) }))
require('readline').createInterface({ input: process.stdin }).on('line', (l) => {
  const parts = JSON.parse(l)
  parts.forEach((text, i) => {
    const m = { data_coding: 0, source_addr_ton: 1, source_addr: '4915123400001', destination_addr: '4915200000000', short_message: { message: text } }
    if (parts.length > 1) {
      m.esm_class = 0x40
      m.short_message.udh = Buffer.from([5, 0, 3, 9, parts.length, i + 1])
    }
    esme.deliver_sm(m, (r) => say({ op: 'acknowledged', status: r.command_status }))
  })
}).on('close', () => process.exit(0))
