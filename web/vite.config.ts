import { svelte } from '@sveltejs/vite-plugin-svelte'
import { build, defineConfig } from 'vite'

// One static build: the desk is index.html, each other front is an entry of its own beside it.
// The server's CSP allows no inline script, so nothing may be inlined into the pages.
const api = process.env.RUFWEITE_API ?? 'http://127.0.0.1:8080'

// The widget is one classic script of its own, dist/widget.js, built with the rest so that no build is without it.
function widget() {
  let outDir = 'dist'
  return {
    name: 'widget', apply: 'build' as const,
    configResolved(c: { build: { outDir: string } }) { outDir = c.build.outDir },
    async closeBundle() {
      await build({ configFile: false, publicDir: false, logLevel: 'warn', build: { outDir, emptyOutDir: false, target: 'es2021', lib: { entry: 'widget/main.ts', formats: ['iife'], name: 'RufweiteWidget', fileName: () => 'widget.js' } } })
    },
  }
}

export default defineConfig({
  plugins: [svelte(), widget()],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: { input: { desk: 'index.html', play: 'play.html' } },
  },
  server: { proxy: { '/api': { target: api, ws: true }, '/demo': api } },
  test: { include: ['**/*.test.ts'], exclude: ['node_modules/**'] },
} as Parameters<typeof defineConfig>[0])
