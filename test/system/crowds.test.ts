/**
 * Crowds against one real node, at a tenth of the size of test/slow/crowds.test.ts: those
 * who ask and do not read keep nobody waiting.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { Crowded } from '../swarm/harness/crowded.ts'

let crowded: Crowded | undefined

afterEach(async () => {
  await crowded?.dispose()
})

const MIB = 1_048_576

describe('a node asked for 1,000 blobs that nobody reads', () => {
  it('holds a bounded number of them, and serves who reads', async () => {
    crowded = await Crowded.start({ blobs: 4 })
    await crowded.honest()
    const before = await crowded.rss()
    const crowd = crowded.begin({ kind: 'unread', count: 80, requests: 13, blobIds: crowded.blobIds })
    const { asked } = await crowd.report()
    expect(asked).toBe(1040)
    await crowded.honest() // fails when it is not served in 30 s
    // 64 MiB of blobs, and what the process needs besides.
    expect((await crowded.peakRss()) - before).toBeLessThan(192 * MIB)
  })
})
