// A real Rufweite for browser tests and screenshots: starts bin/rufweite (RUFWEITE_BIN) on free ports in a temporary
// directory and stops it.
import assert from 'node:assert/strict'
import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { chromium } from 'playwright-core'

const bin = resolve(process.env.RUFWEITE_BIN ?? new URL('../../bin/rufweite', import.meta.url).pathname)

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })

export const freePort = () => new Promise((done, fail) => {
  const s = createServer().on('error', fail).listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)) })
})

// start runs `rufweite COMMAND ARGS…` and resolves once its output matches ready.
export async function start(command, ready, args = []) {
  const dir = mkdtempSync(join(tmpdir(), 'rufweite-e2e-'))
  const data = join(dir, 'data')
  const [http, smtp] = [await freePort(), await freePort()]
  const child = spawn(bin, [command, '--data', data, '--listen', `127.0.0.1:${http}`, '--smtp-listen', `127.0.0.1:${smtp}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  const ended = new Promise((done) => child.on('exit', (code) => done(code)))
  await new Promise((done, fail) => {
    const late = setTimeout(() => fail(new Error(`rufweite ${command} is not ready after 180 s:\n${out}`)), 180_000)
    const look = (b) => { out += b; if (ready.test(out)) { clearTimeout(late); done() } }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    ended.then((code) => { clearTimeout(late); fail(new Error(`rufweite ${command} ended with ${code}:\n${out}`)) })
  })
  return {
    base: `http://127.0.0.1:${http}`, smtp, data, output: () => out,
    cli: (...a) => execFileSync(bin, [...a, '--data', data], { encoding: 'utf8' }).trimEnd().split('\n').at(-1),
    stop: async () => { child.kill('SIGTERM'); const code = await ended; rmSync(dir, { recursive: true, force: true }); return code },
  }
}

// waitFor polls until fn gives something.
export async function waitFor(fn, what, ms = 60_000) {
  const end = Date.now() + ms
  for (;;) {
    const v = await fn()
    if (v) return v
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await new Promise((r) => setTimeout(r, 100))
  }
}

// house is a server that can be killed and started again on the same data.
export async function house(...args) {
  const dir = mkdtempSync(join(tmpdir(), 'rufweite-widget-'))
  const data = join(dir, 'data')
  const [http, smtp] = [await freePort(), await freePort()]
  const h = { base: `http://127.0.0.1:${http}`, smtp, data }
  let child, ended
  h.start = async () => {
    child = spawn(bin, ['serve', '--data', data, '--listen', `127.0.0.1:${http}`, '--smtp-listen', `127.0.0.1:${smtp}`, '--allow-private-targets', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    child.stdout.on('data', (b) => { out += b })
    child.stderr.on('data', (b) => { out += b })
    ended = new Promise((done) => child.on('exit', done))
    h.output = () => out
    await waitFor(async () => (await fetch(`${h.base}/readyz`).catch(() => ({}))).ok, 'the server is ready')
  }
  h.kill = async () => { child.kill('SIGKILL'); await ended }
  h.stop = async () => { child.kill('SIGTERM'); const code = await ended; rmSync(dir, { recursive: true, force: true }); assert.equal(code, 0, `a clean stop\n${h.output()}`) }
  h.cli = (...a) => execFileSync(bin, [...a, '--data', data], { encoding: 'utf8' }).trimEnd().split('\n').at(-1)
  await h.start()
  h.cli('user', 'add', '--email', 'm@firma.example', '--name', 'Miriam Berger', '--role', 'owner', '--password', 'ein sehr langer satz')
  const token = h.cli('token', 'create', '--user', 'm@firma.example')
  h.api = async (method, path, body) => {
    const res = await fetch(`${h.base}/api/v1${path}`, { method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) })
    if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`)
    return res.status === 204 ? {} : res.json()
  }
  h.talk = (text) => waitFor(async () => (await h.api('GET', '/conversations?limit=100')).items.find((c) => `${c.subject} ${c.last_message?.text}`.includes(text)), `a conversation about ${text}`)
  h.messages = async (id) => (await h.api('GET', `/conversations/${id}/messages?limit=200`)).items
  h.answer = (id, text) => h.api('POST', `/conversations/${id}/messages`, { text, client_id: crypto.randomUUID() })
  return h
}

// smtpSink is a provider's mail server that keeps what it gets.
export function smtpSink() {
  const mails = []
  const server = net.createServer((c) => {
    let buf = '', data = false, to = []
    c.setEncoding('utf8')
    c.on('error', () => {})
    c.write('220 sink\r\n')
    c.on('data', (b) => {
      buf += b
      for (;;) {
        if (data) {
          const end = buf.indexOf('\r\n.\r\n')
          if (end < 0) return
          mails.push({ to, raw: buf.slice(0, end) })
          buf = buf.slice(end + 5); data = false; to = []
          c.write('250 kept\r\n')
          continue
        }
        const i = buf.indexOf('\r\n')
        if (i < 0) return
        const line = buf.slice(0, i); buf = buf.slice(i + 2)
        if (/^RCPT TO:<(.*)>/i.test(line)) to.push(/^RCPT TO:<(.*?)>/i.exec(line)[1])
        if (/^DATA/i.test(line)) { data = true; c.write('354 go\r\n') } else if (/^QUIT/i.test(line)) { c.end('221 bye\r\n') } else c.write('250 ok\r\n')
      }
    })
  })
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done({ port: server.address().port, mails, stop: () => server.close() })))
}

export function smtpSend(port, from, to, data) {
  return new Promise((done, fail) => {
    const c = net.connect(port, '127.0.0.1')
    const steps = ['EHLO kunde.example\r\n', `MAIL FROM:<${from}>\r\n`, `RCPT TO:<${to}>\r\n`, 'DATA\r\n', `${data.replace(/\r?\n/g, '\r\n')}\r\n.\r\n`, 'QUIT\r\n']
    let buf = ''
    c.setEncoding('utf8').on('error', fail).on('data', (b) => {
      buf += b
      for (let i; (i = buf.indexOf('\n')) >= 0; buf = buf.slice(i + 1)) {
        const line = buf.slice(0, i)
        if (line[3] === '-') continue
        if (!/^[23]/.test(line)) return fail(new Error(line))
        const next = steps.shift()
        if (next === undefined) { c.end(); return done() }
        c.write(next)
      }
    })
  })
}
