/**
 * Loaded into the daemons of a soak by `--import`: on SIGUSR2 it collects garbage and
 * writes what is alive to a file in the folder where the daemon runs.
 *
 * Without it a soak of hours cannot tell a leak from a heap that V8 has not looked
 * through yet: between two collections of a quiet daemon lies an hour, and 10 MiB.
 */
import { renameSync, writeFileSync } from 'node:fs'

/** The same in collected.ts, which must not load this one: it would take the signal itself. */
const PROBE_FILE = 'heap-probe.json'

process.on('SIGUSR2', () => {
  globalThis.gc?.() // there with --expose-gc
  const { heapUsed, external } = process.memoryUsage()
  // Renamed, so that nobody reads half of it.
  writeFileSync(`${PROBE_FILE}.new`, JSON.stringify({ liveBytes: heapUsed + external }))
  renameSync(`${PROBE_FILE}.new`, PROBE_FILE)
})
