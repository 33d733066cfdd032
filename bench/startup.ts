/** From the start of the process to its ready line, and the memory of a daemon that does nothing. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpuSeconds, peakRssBytes, rssBytes } from '../test/swarm/harness/memory.ts'
import { TestNode } from '../test/swarm/harness/test-node.ts'
import { type Bench, figure, MIB } from './figure.ts'
import { QUIET } from './ingest.ts'
import { percentile } from './latency.ts'

const STARTS = 5
const IDLE_MS = 3000

export async function startup(bench: Bench): Promise<void> {
  const node = await TestNode.start({ name: 'daemon', args: ['--bootstrap', 'none', ...QUIET] })
  try {
    const times: number[] = []
    for (let start = 0; start < STARTS; start++) {
      await node.stop()
      const startMs = performance.now()
      await node.begin()
      times.push(performance.now() - startMs)
    }
    const floor = await bareStart()
    const value = percentile(times, 0.5)
    const cpu = await cpuSeconds(node.pid)
    bench.report(
      figure({
        ...{ name: 'start-to-ready', value, unit: 'ms', floor, ratio: floor / value, cpuSeconds: cpu },
        note: `median of ${STARTS}; floor: a Node process that does nothing`,
      }),
    )
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    const idle = ((await rssBytes(node.pid)) ?? 0) / MIB
    const peak = await peakRssBytes(node.pid)
    bench.report(
      figure({
        ...{ name: 'idle-rss', value: idle, unit: 'MiB', cpuSeconds: await cpuSeconds(node.pid) },
        ...{
          peakRssMiB: peak === null ? null : peak / MIB,
          note: `${IDLE_MS / 1000} s after the start, DHT on`,
        },
      }),
    )
  } finally {
    await node.dispose()
  }
}

async function bareStart(): Promise<number> {
  const times: number[] = []
  for (let start = 0; start < STARTS; start++) {
    const startMs = performance.now()
    await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'close')
    times.push(performance.now() - startMs)
  }
  return percentile(times, 0.5)
}
