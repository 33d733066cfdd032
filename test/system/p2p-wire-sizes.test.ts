/**
 * What somebody on the line sees of a whole exchange: three handshake messages,
 * then units of exactly two sizes, whatever is said (PROTOCOL_FINAL.md §6.4).
 */
import { afterEach, describe, expect, it } from 'vitest'
import { type Direction, Relay } from '../swarm/harness/relay.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { makeTree, SeededBytes } from '../swarm/harness/tree.ts'
import { holdsFor, waitUntil } from '../swarm/harness/wait.ts'

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const SMALL = 1024
const BLOB = 1_048_608
const HANDSHAKE: Readonly<Record<Direction, number>> = { out: 112 + 224, in: 256 }

/**
 * Blob frames among so many bytes after the handshake, if they are made of the two sizes: a blob
 * frame leaves 32 when divided by a small one, so up to 31 of them show in the remainder.
 */
function blobFrames(bytes: number): number | null {
  const count = (bytes % SMALL) / 32
  return Number.isInteger(count) && bytes >= count * BLOB ? count : null
}

describe('a capture of a whole exchange', () => {
  it('shows the handshake and units of two sizes, and no name or content', async () => {
    const publisher = await TestNode.start({ name: 'publisher', args: ['--no-dht'] })
    cleanUps.push(() => publisher.dispose())
    const source = publisher.path('source')
    const marker = 'a-name-that-must-not-be-seen'
    await makeTree(source, { seed: 21, smallFiles: 10, bigBytes: 5_000_000 })
    await makeTree(`${source}/${marker}`, { seed: 22, smallFiles: 1 })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
    const publish = async (): Promise<void> => {
      // There is no DHT to confirm it; the release is made all the same.
      const call = publisher.rpc('publish', { path: source, channel: 'main' })
      await expect(call).rejects.toMatchObject({ code: 'ERR_NO_CARRIER' })
    }
    await publish()

    const relay = await Relay.open(publisher.endpoint)
    cleanUps.push(() => relay.close())
    const address = `${publisher.ready.nodeKey}@127.0.0.1:${relay.port}`
    const reader = await TestNode.start({ name: 'reader', args: ['--no-dht', '--peer', address] })
    cleanUps.push(() => reader.dispose())
    const { blobsTotal } = await reader
      .rpc('addSubscription', { uri, dir: reader.path('target'), wait: true, timeout: 30 })
      .then(() => reader.rpc<{ subscriptions: { blobsTotal: number }[] }>('getSubscriptions'))
      .then(({ subscriptions }) => subscriptions[0] as { blobsTotal: number })

    // A second release, and a release that is not there: news, questions and misses go the same way.
    await makeTree(source, { seed: 23, smallFiles: 10 })
    await publish()
    await waitUntil(
      async () => {
        const { subscriptions } = await reader.rpc<{ subscriptions: { sequence: number; state: string }[] }>(
          'getSubscriptions',
        )
        return subscriptions[0]?.sequence === 2 && subscriptions[0].state === 'complete'
      },
      15_000,
      () => `the reader has the second release\n${reader.stderrTail()}`,
    )
    let before = relay.total('in')
    await waitUntil(
      () => {
        const isQuiet = relay.total('in') === before
        before = relay.total('in')
        return isQuiet
      },
      10_000,
      'the exchange is over',
    )

    expect(relay.connections).toHaveLength(1)
    const toReader = blobFrames(relay.total('in') - HANDSHAKE.in)
    const toPublisher = blobFrames(relay.total('out') - HANDSHAKE.out)
    // Data, and at least one blob of manifest, of the first release; some of the second.
    expect(toReader).toBeGreaterThanOrEqual(blobsTotal)
    expect(toReader).toBeLessThan(31)
    expect(toPublisher).toBe(0)

    const all = Buffer.concat([...(relay.connections[0]?.in ?? []), ...(relay.connections[0]?.out ?? [])])
    expect(all.includes(marker)).toBe(false)
    expect(all.includes(new SeededBytes(21).next(64))).toBe(false)
    expect(all.includes('megatorrent')).toBe(false)
    await reader.stop()
    await publisher.stop()
  })

  it('would show a message of another size', () => {
    expect(blobFrames(3 * SMALL + 2 * BLOB)).toBe(2)
    expect(blobFrames(3 * SMALL + 2 * BLOB + 100)).toBeNull()
    expect(blobFrames(3 * SMALL + 2 * BLOB + 8)).toBeNull()
  })

  it('is not changed without the peers seeing it', async () => {
    const publisher = await TestNode.start({ name: 'publisher', args: ['--no-dht'] })
    cleanUps.push(() => publisher.dispose())
    let damaged = 0
    // One bit in the 3rd kilobyte towards the reader: after the handshake, in a frame.
    const relay = await Relay.open({
      ...publisher.endpoint,
      change: (piece, direction, sent) => {
        const at = 500 - sent
        if (direction === 'in' && at >= 0 && at < piece.length && damaged++ === 0) {
          piece[at] = (piece[at] as number) ^ 1
        }
        return piece
      },
    })
    cleanUps.push(() => relay.close())
    const address = `${publisher.ready.nodeKey}@127.0.0.1:${relay.port}`
    const reader = await TestNode.start({ name: 'reader', args: ['--no-dht', '--peer', address] })
    cleanUps.push(() => reader.dispose())
    // The first connection breaks on the damaged frame; the second one, which is left alone, stays.
    await waitUntil(() => relay.connections.length === 2, 20_000, 'the reader dials again')
    expect(damaged).toBeGreaterThanOrEqual(1)
    const connected = async (): Promise<boolean> =>
      (await reader.rpc<{ peers: number }>('getStatus')).peers === 1
    await waitUntil(connected, 10_000, 'the reader is connected again')
    await holdsFor(connected, 200, 'the second connection stays')
    await reader.stop()
    await publisher.stop()
  })
})
