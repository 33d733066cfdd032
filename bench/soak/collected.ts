/**
 * Asks a daemon of a soak to collect garbage, and what is alive then (heap-probe.ts).
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PROJECT_ROOT } from '../../test/swarm/harness/test-node.ts'
import { waitUntil } from '../../test/swarm/harness/wait.ts'
import type { SoakNode } from './soak-node.ts'

const PROBE_FILE = 'heap-probe.json'
const PROBE_MS = 10_000

/** Flags of Node with which a daemon can be asked. */
export const PROBE_FLAGS: readonly string[] = [
  '--expose-gc',
  ...['--import', join(PROJECT_ROOT, 'dist', 'bench', 'soak', 'heap-probe.js')],
]

/** Bytes of objects and of what they hold outside of the heap; null when the process is not there. */
export async function liveBytes({ node }: SoakNode): Promise<number | null> {
  const pid = node.pidOrNull
  if (pid === null) return null
  const file = node.path(PROBE_FILE)
  await rm(file, { force: true })
  try {
    process.kill(pid, 'SIGUSR2')
    const text = await waitUntil(() => readFile(file, 'utf8').catch(() => null), PROBE_MS, 'what is alive')
    return text === null ? null : (JSON.parse(text) as { readonly liveBytes: number }).liveBytes
  } catch {
    return null // it has ended, or is too busy: the next sample tells
  }
}
