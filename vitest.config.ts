import { defineConfig } from 'vitest/config'

// pure, unit and swarm: `npm test`, under 2 minutes on 2 cores. system and alone: what takes longer, or needs
// programs or root. slow: an hour and more.

/** Functions on data: no process, socket or timer, so one process may run many of these files. */
const PURE = 'test/{unit/{base,config,crypto,wire},property,lint}/**/*.{test,prop}.ts'

/** What measures time, bytes a second or memory beside others would measure them too. */
const ALONE =
  'test/system/{big-release,churn,crowds,huge-channel,limits,p2p-hostile-openings,sleeping-publisher,slow-line,streaming}.test.ts'

export default defineConfig({
  test: {
    reporters: ['default'],
    // One more than the cores of a small machine: the swarm tests wait for processes and deadlines.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: 'pure',
          include: [PURE],
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          exclude: [PURE],
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'swarm',
          include: ['test/swarm/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          include: [
            'test/system/**/*.test.ts',
            // Those that repeat less in `npm test`: test/loops.ts.
            'test/unit/{discovery/sleeping-publisher,storage/crash,swarm/simulation,wire/uri}.test.ts',
            'test/property/channels-{release,collect}.prop.ts',
          ],
          env: { MEGATORRENT_TEST_LOOPS: 'full' },
          exclude: [ALONE],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          // Most of their time is that of processes that wait for each other.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'alone',
          include: [ALONE],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'slow',
          include: ['test/slow/**/*.test.ts', 'test/system/big-release.test.ts'],
          env: { MEGATORRENT_TEST_LOOPS: 'full' },
          testTimeout: 3_600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
