/**
 * What the processes of a soak use, looked at every half minute: /proc tells it,
 * so it costs them nothing. Only what is alive in their heaps they are asked for.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import {
  anonymousBytes,
  cpuSeconds,
  openHandles,
  rssBytes,
  threadsOf,
} from '../../test/swarm/harness/memory.ts'
import { MIB } from '../figure.ts'
import { liveBytes } from './collected.ts'
import type { SoakNode } from './soak-node.ts'

/** In the folder of a run. */
export const SAMPLES_FILE = 'samples.jsonl'

export interface Sample {
  readonly name: string
  /** Since the start of the run. */
  readonly atMs: number
  readonly rssMiB: number
  /** Of it, what no file stands behind. */
  readonly anonymousMiB: number
  /** What was alive after a collection, heap and what it holds outside; null where none was asked for. */
  readonly liveMiB: number | null
  readonly files: number
  readonly sockets: number
  readonly threads: number
  readonly cpuSeconds: number
}

/**
 * One sample of each process that runs, also appended to `file` as lines of JSON.
 *
 * @param isCollecting - let those that run through collect garbage first.
 */
export async function sampleAll(
  nodes: readonly SoakNode[],
  atMs: number,
  file: string,
  isCollecting: boolean,
): Promise<readonly Sample[]> {
  const samples: Sample[] = []
  for (const each of nodes) {
    const { name, node } = each
    const pid = (await each.isUp()) ? node.pidOrNull : null
    if (pid === null) continue
    const live = isCollecting && each.isSteady ? await liveBytes(each) : null
    const [rss, anonymous, handles, threads, cpu] = await Promise.all([
      rssBytes(pid),
      anonymousBytes(pid),
      openHandles(pid),
      threadsOf(pid),
      cpuSeconds(pid),
    ])
    // It may have ended just now.
    if (rss === null || anonymous === null || handles === null) continue
    if (threads === null || cpu === null) continue
    const memory = {
      rssMiB: rss / MIB,
      anonymousMiB: anonymous / MIB,
      liveMiB: live === null ? null : live / MIB,
    }
    samples.push({ name, atMs: Math.round(atMs), ...memory, ...handles, threads, cpuSeconds: cpu })
  }
  appendFileSync(file, samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''))
  return samples
}

/** What `sampleAll` has appended to a file. */
export function readSamples(file: string): readonly Sample[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line) => ({ liveMiB: null, ...(JSON.parse(line) as Partial<Sample>) }) as Sample)
}
