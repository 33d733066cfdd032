import { join } from 'node:path'
import { defineConfig } from 'vite'

// The program in a few files instead of the thousand of its modules and dependencies, which took most of the
// processor time of every start: docs/adr/0022-one-bundle.md. What tsc wrote stays beside it as the library.
export default defineConfig({
  root: import.meta.dirname,
  publicDir: false,
  logLevel: 'warn',
  // libsql looks for its compiled part beside itself.
  ssr: { noExternal: true, external: ['libsql'] },
  build: {
    ssr: true,
    outDir: 'dist/bin',
    emptyOutDir: false, // tsc has put the other programs there
    target: 'node20',
    sourcemap: true,
    minify: false,
    rolldownOptions: {
      input: {
        megatorrent: join(import.meta.dirname, 'bin/megatorrent.ts'),
        // Beside the chunk that starts it: workerEntry in src/storage/worker-pool.ts.
        worker: join(import.meta.dirname, 'src/storage/worker.ts'),
      },
      output: { entryFileNames: '[name].js', chunkFileNames: 'part-[name].js' },
    },
  },
})
