import { defineConfig } from 'vitest/config'

// fast: `npm test`, under 2 minutes on 2 cores. system: needs programs or root. slow: long loops.
export default defineConfig({
  test: {
    reporters: ['default'],
    // One fewer than the cores by default; most of the swarm tests wait for processes.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/{unit,property,compliance,lint,swarm}/**/*.{test,prop}.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'slow',
          include: ['test/slow/**/*.test.ts'],
          testTimeout: 3_600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
