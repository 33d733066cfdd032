/**
 * Crowds against one real node (docs/LIMITS.md): memory stays bounded,
 * and an honest peer is served all the while. Each prints one line of JSON with its figures.
 *
 * test/system/crowds.test.ts has the same at a tenth of the size.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { Crowded } from '../swarm/harness/crowded.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

let crowded: Crowded | undefined

afterEach(async () => {
  await crowded?.dispose()
})

const MIB = 1_048_576
const SECONDS = 1000

function print(what: string, figures: object): void {
  process.stdout.write(`${JSON.stringify({ what, ...figures })}\n`)
}

describe('a node', () => {
  it.each([1000, 5000])('with %i idle connections takes at most 60 KiB for each', async (count) => {
    crowded = await Crowded.start({ maxPeers: Math.ceil(count / 0.75) + 10 })
    await crowded.honest() // what is loaded and compiled by then is not counted
    const before = await crowded.settledRss()
    const crowd = crowded.begin({ kind: 'idle', count })
    const { connected, closed } = await crowd.report()
    const each = ((await crowded.settledRss()) - before) / count
    const latency = await crowded.latency(200)
    const honest = await crowded.honest()
    print('idle', { count, connected, closed, kibEach: each / 1024, ...latency, honest })
    expect(connected - closed).toBe(count)
    expect(each).toBeLessThanOrEqual(60 * 1024)
    expect(latency.p99).toBeLessThan(200)
    expect(honest.totalMs).toBeLessThan(2 * SECONDS)
  })

  it('under 20,000 half-open connections serves an honest peer within 2 s', async () => {
    crowded = await Crowded.start({})
    await crowded.honest()
    const before = await crowded.rss()
    // From four hosts: one has that many sockets to give only in part.
    const crowds = [1, 2, 3, 4].map((host) =>
      crowded?.begin({ kind: 'half-open', count: 5000, from: `127.0.0.${host + 1}` }),
    )
    const during = await crowded.honest()
    for (const crowd of crowds) await crowd?.report()
    const after = await crowded.honest()
    const grown = (await crowded.rss()) - before
    print('half-open', { during, after, grownMiB: grown / MIB })
    expect(during.totalMs).toBeLessThan(2 * SECONDS)
    expect(after.totalMs).toBeLessThan(2 * SECONDS)
    expect(grown).toBeLessThan(96 * MIB)
  })

  it('asked for 10,000 blobs that nobody reads holds a bounded number of them, and serves others', async () => {
    crowded = await Crowded.start({ maxPeers: 1000, blobs: 20 })
    await crowded.honest()
    const before = await crowded.rss()
    const crowd = crowded.begin({ kind: 'unread', count: 200, requests: 50, blobIds: crowded.blobIds })
    const { asked } = await crowd.report()
    const during = await crowded.honest()
    const peak = (await crowded.peakRss()) - before
    print('unread', { asked, during, peakMiB: peak / MIB })
    expect(asked).toBe(10_000)
    expect(peak).toBeLessThan(192 * MIB)
    expect(during.totalMs).toBeLessThan(2 * SECONDS)
  })

  it('under 2,000 handshakes a second answers in time', async () => {
    crowded = await Crowded.start({})
    await crowded.honest()
    const crowd = crowded.begin({ kind: 'flood', count: 20_000, perSecond: 2000 })
    const calm = await crowded.latency(50)
    const honest = [await crowded.honest(), await crowded.honest(), await crowded.honest()]
    const { sent, answered } = await crowd.report()
    print('flood', { sent, answered, ...calm, honest })
    expect(calm.p99).toBeLessThan(200)
    expect(Math.max(...honest.map(({ totalMs }) => totalMs))).toBeLessThan(2 * SECONDS)
  })

  it('with 1,000 blobs that stall on their way holds a bounded number of them, and fetches all the same', async () => {
    crowded = await Crowded.start({ blobs: 40 })
    const reader = await crowded.reader(['--max-peers', '1400'])
    const before = await crowded.rss(reader)
    const stalled = crowded.begin({ kind: 'stalled', count: 500, release: crowded.release }, reader)
    const unasked = crowded.begin({ kind: 'unasked', count: 500 }, reader)
    const { asked } = await stalled.report()
    await unasked.report()
    const peak = (await crowded.peakRss(reader)) - before
    await crowded.node.rpc('setLimits', { uploadLimit: 0 })
    const startMs = performance.now()
    const isDone = async (): Promise<boolean> => {
      const { state } = await (crowded as Crowded).progress(reader)
      return state === 'complete'
    }
    await waitUntil(isDone, 120_000, () => `the reader completes\n${reader.stderrTail()}`)
    print('stalled', { asked, peakMiB: peak / MIB, completeMs: performance.now() - startMs })
    expect(peak).toBeLessThan(160 * MIB)
  })
})
