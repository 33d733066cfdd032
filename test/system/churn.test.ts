/**
 * A swarm of real processes that falls apart: of ten peers two send false blobs, two
 * never answer, and half are killed while the release is on its way.
 */
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { BareChannel } from '../swarm/harness/bare-crypto.ts'
import { BareListener, dialBare, ipv4Address } from '../swarm/harness/bare-peer.ts'
import { type BareRelease, fetchRelease, type Serving, serveRelease } from '../swarm/harness/bare-release.ts'
import { Line } from '../swarm/harness/line.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, writeSeededFile } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const MIB = 1_048_576
const BLOBS = 48
const HONEST = 6
const BYTES_PER_SECOND = 1_000_000
const LIMIT_MS = 180_000

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function start(name: string, args: readonly string[]): Promise<TestNode> {
  const node = await TestNode.start({ name, args: ['--no-dht', ...args] })
  cleanUps.push(() => node.dispose())
  return node
}

/** A node that is reached over a line of its own. */
async function behindLine(name: string): Promise<{ node: TestNode; line: Line; address: string }> {
  const line = await Line.open({})
  cleanUps.push(() => line.close())
  const node = await start(name, ['--external', line.address])
  line.leadTo(node.endpoint)
  return { node, line, address: `${node.ready.nodeKey}@${line.address}` }
}

async function liar(channel: BareChannel, release: BareRelease, serving: Serving): Promise<BareListener> {
  const listener = await BareListener.listen({
    channels: [channel],
    onConnection: async (connection) => {
      await serveRelease(connection, channel, release, serving)
    },
  })
  cleanUps.push(() => listener.close())
  return listener
}

async function blobsDone(reader: TestNode): Promise<number> {
  const { subscriptions } = await reader.rpc<{ subscriptions: { blobsDone: number }[] }>('getSubscriptions')
  return subscriptions[0]?.blobsDone ?? 0
}

describe('ten peers of which two lie, two are silent and five are killed', () => {
  it('bring the release within three times the time without, and nobody honest is banned', async () => {
    const [publisher, ...holders] = await Promise.all(
      Array.from({ length: HONEST }, (_, number) => behindLine(`peer-${number}`)),
    )
    if (publisher === undefined) throw new Error('no publisher')
    const source = publisher.node.path('source')
    await writeSeededFile(join(source, 'film.mkv'), BLOBS * MIB, 1)
    const { uri } = await publisher.node.rpc<{ uri: string }>('createChannel', { name: 'main' })
    const published = publisher.node.rpc('publish', { path: source, channel: 'main' })
    await expect(published).rejects.toMatchObject({ code: 'ERR_NO_CARRIER' })
    for (const { node } of holders) await node.rpc('addSubscription', { uri, wait: true })
    const channel = BareChannel.fromLink(uri)
    const { host, port } = publisher.node.endpoint
    const connection = await dialBare(host, port, {
      psk: channel.handshakeKey(),
      dialled: ipv4Address(host, port),
    })
    connection.sendHello([[channel, 0n]])
    const release = await fetchRelease(connection, channel)
    connection.close()

    const honest = [publisher, ...holders]
    // Each gives that much, whoever dialled: peers that hear of a reader connect to it as well.
    for (const { line, node } of honest) {
      line.change({ delayMs: 10 })
      await node.rpc('setLimits', { uploadLimit: BYTES_PER_SECOND })
    }
    const run = async (name: string, addresses: readonly string[], onHalf: () => Promise<void>) => {
      const reader = await start(
        name,
        addresses.flatMap((address) => ['--peer', address]),
      )
      const dir = reader.path('target')
      const startMs = performance.now()
      await reader.rpc('addSubscription', { uri, dir })
      await waitUntil(async () => (await blobsDone(reader)) > BLOBS / 4, LIMIT_MS, 'a quarter is there')
      await onHalf()
      await reader.rpc('addSubscription', { uri, dir, wait: true }, LIMIT_MS)
      const tookMs = performance.now() - startMs
      expect(await compareTrees(source, dir)).toEqual([])
      return { tookMs, reader }
    }
    const clean = await run(
      'clean',
      honest.map(({ address }) => address),
      async () => {},
    )
    await clean.reader.stop()

    const liars = await Promise.all([liar(channel, release, 'junk'), liar(channel, release, 'junk')])
    const silent = await Promise.all([liar(channel, release, 'silent'), liar(channel, release, 'silent')])
    const others = [...liars, ...silent].map(({ address }) => address)
    const churn = await run('churn', [...others, ...honest.map(({ address }) => address)], async () => {
      await Promise.all(holders.slice(0, 3).map(({ node }) => node.kill()))
      await Promise.all([liars[0]?.close(), silent[0]?.close()])
    })
    const ratio = churn.tookMs / clean.tookMs
    process.stderr.write(
      `churn: ${(clean.tookMs / 1000).toFixed(1)} s without, ${(churn.tookMs / 1000).toFixed(1)} s with, ratio ${ratio.toFixed(2)}\n`,
    )
    expect(ratio).toBeLessThanOrEqual(3)
    const reasons = churn.reader.stderr.split('\n').filter((line) => line.includes('peer banned'))
    expect(reasons.length).toBeGreaterThan(0)
    expect(reasons.length).toBeLessThanOrEqual(2)
    const { peers } = await churn.reader.rpc<{ peers: { nodeKey: string | null }[] }>('getPeers')
    for (const { node } of honest.filter((each) => !holders.slice(0, 3).includes(each))) {
      expect(peers.map(({ nodeKey }) => nodeKey)).toContain(node.ready.nodeKey)
    }
  })
})
