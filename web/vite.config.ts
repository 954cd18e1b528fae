import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// One static build: the desk is index.html, each other front is an entry of its own beside it.
// The server's CSP allows no inline script, so nothing may be inlined into the pages.
const api = process.env.RUFWEITE_API ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: { input: { desk: 'index.html', play: 'play.html' } },
  },
  server: { proxy: { '/api': { target: api, ws: true }, '/demo': api } },
  test: { include: ['**/*.test.ts'], exclude: ['node_modules/**'] },
} as Parameters<typeof defineConfig>[0])
