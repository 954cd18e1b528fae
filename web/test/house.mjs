// A real Rufweite for browser tests and screenshots: starts bin/rufweite (RUFWEITE_BIN) on free ports in a temporary
// directory and stops it.
import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
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
