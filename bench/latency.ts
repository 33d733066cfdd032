/** From the start of a publish to its completion on a connected subscriber. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Testnet } from '../test/swarm/harness/testnet.ts'
import { makeTree } from '../test/swarm/harness/tree.ts'
import { type Bench, Cost, figure } from './figure.ts'
import { QUIET } from './ingest.ts'

const RELEASES = 20
const LIMIT_MS = 30_000
/** A look at the subscriber costs it some work: so often, and no more. */
const LOOK_MS = 5
/**
 * From one release to the next. Peers tell each other of news HELLOS_PER_SECOND times a second in the
 * long run, so releases that come faster wait for each other, by design: that is not what is measured.
 */
const SPACING_MS = 1_100

interface Subscription {
  readonly sequence: number
  readonly state: string
}

export async function latency(bench: Bench): Promise<void> {
  const names = ['publisher', 'subscriber']
  const net = await Testnet.start({ dhtNodes: 4, nodes: names, args: QUIET })
  try {
    const [publisher, subscriber] = [net.node('publisher'), net.node('subscriber')]
    const source = publisher.path('source')
    await makeTree(source, { seed: 5, smallFiles: 5 })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'bench' })
    await publisher.rpc('publish', { path: source, channel: 'bench' }, LIMIT_MS)
    await subscriber.rpc('addSubscription', { uri, dir: subscriber.path('target'), wait: true }, LIMIT_MS)
    const cost = await Cost.since([publisher, subscriber])
    const seenMs: number[] = []
    const publishMs: number[] = []
    for (let release = 2; release < 2 + RELEASES; release++) {
      await writeFile(join(source, 'news.txt'), `release ${release}`)
      const startMs = performance.now()
      const published = publisher
        .rpc('publish', { path: source, channel: 'bench' }, LIMIT_MS)
        .then(() => publishMs.push(performance.now() - startMs))
      const seen = async (): Promise<boolean> => {
        const { subscriptions } = await subscriber.rpc<{ subscriptions: Subscription[] }>('getSubscriptions')
        return subscriptions.some(({ sequence, state }) => sequence >= release && state === 'complete')
      }
      while (!(await seen())) {
        if (performance.now() - startMs > LIMIT_MS) throw new Error(`release ${release} was never seen`)
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
      seenMs.push(performance.now() - startMs)
      await published
      await new Promise((resolve) => setTimeout(resolve, SPACING_MS - (performance.now() - startMs)))
    }
    const { cpuSeconds, peakRssMiB, note } = await cost.spent()
    const shared = { unit: 'ms', cpuSeconds, peakRssMiB }
    const publishP50 = `publish itself returns after ${percentile(publishMs, 0.5).toFixed(0)} ms (p50)`
    const what = `${RELEASES} releases of 6 files, ${SPACING_MS} ms apart at least`
    bench.report(
      figure({
        ...{ name: 'publish-to-seen-p50', value: percentile(seenMs, 0.5), ...shared },
        note: `${what}; ${publishP50}; ${note}`,
      }),
    )
    bench.report(
      figure({ name: 'publish-to-seen-p95', value: percentile(seenMs, 0.95), ...shared, note: what }),
    )
  } finally {
    await net.dispose()
  }
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? 0
}
