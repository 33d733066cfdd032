import { join } from 'node:path'
import { defineConfig } from 'vite'

// The web page: src/web becomes dist/web, which rpc/page.ts serves. Everything is a file of its own under a
// name with a hash, since the policy of the page allows neither inline scripts nor inline styles.
export default defineConfig({
  root: join(import.meta.dirname, 'src/web'),
  publicDir: false,
  logLevel: 'warn',
  build: {
    outDir: join(import.meta.dirname, 'dist/web'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    // What the browser shows as an error of ours is in no other place.
    sourcemap: false,
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
})
