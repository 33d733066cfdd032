/**
 * Crowds against one real node (docs/LIMITS.md): memory stays bounded,
 * and an honest peer is served all the while. Each prints one line of JSON with its figures.
 *
 * test/system/crowds.test.ts has the same at a tenth of the size.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { Crowded } from '../swarm/harness/crowded.ts'
import { whenQuiet } from '../swarm/harness/quiet.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import type { CrowdReport } from './tools/crowd.ts'

let crowded: Crowded | undefined

afterEach(async () => {
  await crowded?.dispose()
})

/** A test that measures time. */
function timed<T extends readonly unknown[]>(measure: (...row: T) => Promise<void>) {
  return (...row: T): Promise<void> =>
    whenQuiet(async () => {
      await crowded?.dispose()
      await measure(...row)
    })
}

const MIB = 1_048_576
const SECONDS = 1000

function print(what: string, figures: object): void {
  process.stdout.write(`${JSON.stringify({ what, ...figures })}\n`)
}

describe('a node', () => {
  it.each([1000, 5000])(
    'with %i idle connections takes at most 60 KiB for each',
    timed(async (count: number) => {
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
    }),
  )

  it(
    'under 20,000 half-open connections serves an honest peer within 2 s',
    timed(async () => {
      crowded = await Crowded.start({})
      await crowded.honest()
      const before = await crowded.rss()
      // From four hosts: one has that many sockets to give only in part.
      const hosts = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']
      const node = crowded
      const crowds = hosts.map((from) => node.begin({ kind: 'half-open', count: 5000, from }))
      const { reports, peers, slowestMs } = await crowded.serveWhile(crowds)
      const after = await crowded.honest()
      const grown = (await crowded.rss()) - before
      const opened = reports.reduce((sum, { sent }) => sum + sent, 0)
      const tookMs = Math.max(...reports.map((each) => each.tookMs))
      print('half-open', { opened, tookMs, peers, slowestMs, after, grownMiB: grown / MIB })
      expect(opened).toBe(20_000)
      expect(slowestMs).toBeLessThan(2 * SECONDS)
      expect(after.totalMs).toBeLessThan(2 * SECONDS)
      expect(grown).toBeLessThan(96 * MIB)
    }),
  )

  it(
    'asked for 10,000 blobs that nobody reads holds a bounded number of them, and serves others',
    timed(async () => {
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
    }),
  )

  it(
    'under 2,000 handshakes a second answers in time',
    timed(async () => {
      crowded = await Crowded.start({})
      await crowded.honest()
      // From another host than the honest peers: handshakes of hosts take turns.
      const crowd = crowded.begin({ kind: 'flood', count: 20_000, perSecond: 2000, from: '127.0.0.2' })
      await crowd.report() // it begins now
      const { reports, peers, slowestMs, p50, p99 } = await crowded.serveWhile([crowd])
      const [{ sent, answered, tookMs }] = reports as [CrowdReport]
      const perSecond = sent / (tookMs / SECONDS)
      print('flood', { sent, answered, perSecond, p50, p99, peers, slowestMs })
      expect(perSecond).toBeGreaterThan(1_800)
      expect(p99).toBeLessThan(200)
      expect(slowestMs).toBeLessThan(2 * SECONDS)
    }),
  )

  it(
    'with 1,000 blobs that stall on their way holds a bounded number of them, and fetches all the same',
    timed(async () => {
      crowded = await Crowded.start({ blobs: 40 })
      const reader = await crowded.reader(['--max-peers', '1400'])
      const before = await crowded.rss(reader)
      const stalled = crowded.begin({ kind: 'stalled', count: 500, release: crowded.release }, reader)
      const unasked = crowded.begin({ kind: 'unasked', count: 500 }, reader)
      const { reports, peers, slowestMs } = await crowded.serveWhile([stalled, unasked], reader)
      const [{ asked }] = reports as [CrowdReport]
      const honest = await crowded.honest(reader)
      const peak = (await crowded.peakRss(reader)) - before
      await crowded.node.rpc('setLimits', { uploadLimit: 0 })
      const startMs = performance.now()
      const isDone = async (): Promise<boolean> => {
        const { state } = await (crowded as Crowded).progress(reader)
        return state === 'complete'
      }
      await waitUntil(isDone, 120_000, () => `the reader completes\n${reader.stderrTail()}`)
      const completeMs = performance.now() - startMs
      print('stalled', { asked, peers, slowestMs, honest, peakMiB: peak / MIB, completeMs })
      expect(Math.max(slowestMs, honest.totalMs)).toBeLessThan(2 * SECONDS)
      expect(peak).toBeLessThan(160 * MIB)
    }),
  )
})
