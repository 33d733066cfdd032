/**
 * Peers that lie, and a second implementation that does not: the bare peer of the
 * harness as reader and as source of a release (PROTOCOL_FINAL.md §4, §7).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { BareChannel, networkHandshakeKey } from '../swarm/harness/bare-crypto.ts'
import { BareListener, dialBare, ipv4Address } from '../swarm/harness/bare-peer.ts'
import { type BareRelease, fetchRelease, type Serving, serveRelease } from '../swarm/harness/bare-release.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { BIG_FILE, compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function start(name: string, args: readonly string[] = []): Promise<TestNode> {
  const node = await TestNode.start({ name, args: ['--no-dht', ...args] })
  cleanUps.push(() => node.dispose())
  return node
}

const MIB = 1_048_576

interface Published {
  readonly publisher: TestNode
  readonly source: string
  readonly uri: string
  readonly channel: BareChannel
}

/** A node with one release: small files and one of some MiB. */
async function publish(bigBytes: number): Promise<Published> {
  const publisher = await start('publisher')
  const source = publisher.path('source')
  await makeTree(source, { seed: 11, smallFiles: 30, bigBytes, awkward: true })
  const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main', private: true })
  // There is no DHT that could confirm it; the release is made all the same.
  const call = publisher.rpc('publish', { path: source, channel: 'main' })
  await expect(call).rejects.toMatchObject({ code: 'ERR_NO_CARRIER' })
  return { publisher, source, uri, channel: BareChannel.fromLink(uri) }
}

/** Fetch the whole release as the bare peer does: with the link alone. */
async function fetchBare({ publisher, channel }: Published): Promise<BareRelease> {
  const { host, port } = publisher.endpoint
  const psk = channel.handshakeKey()
  const connection = await dialBare(host, port, { psk, dialled: ipv4Address(host, port) })
  try {
    connection.sendHello([[channel, 0n]])
    return await fetchRelease(connection, channel)
  } finally {
    connection.close()
  }
}

describe('a release', () => {
  it('is read by a second implementation, from the link and the document alone, and by no stranger', async () => {
    const published = await publish(3 * MIB + 17)
    const release = await fetchBare(published)
    expect(release.head).toMatchObject({ release: 1, slotVersion: 65_536n + BigInt(release.head.revision) })
    for (const [path, content] of release.files) {
      if (content !== null)
        expect(content.equals(await readFile(join(published.source, path))), path).toBe(true)
    }
    expect(release.files.has(BIG_FILE)).toBe(true)
    expect([...release.files].filter(([, content]) => content === null)).toHaveLength(1)

    // And it is not given to who has not the link.
    const { publisher, channel } = published
    const { host, port } = publisher.endpoint
    const stranger = await dialBare(host, port, { psk: networkHandshakeKey() })
    cleanUps.push(async () => stranger.destroy())
    stranger.sendHello()
    // Even the right handle earns no head on a connection that showed no tag of the channel.
    await expect(fetchRelease(stranger, channel)).rejects.toThrow(/no head/)
    await publisher.stop()
  })
})

describe('peers that lie about blobs', () => {
  it('delay a reader and do not deceive it', async () => {
    const published = await publish(6 * MIB)
    const release = await fetchBare(published)
    const behaviours: readonly Serving[] = ['junk', 'other', 'silent', 'missing']
    const liars = await Promise.all(
      behaviours.map(async (serving) => {
        const counts = { requests: 0, cancels: 0, blobsSent: 0 }
        const listener = await BareListener.listen({
          channels: [published.channel],
          onConnection: async (connection) => {
            await serveRelease(connection, published.channel, release, serving, counts)
          },
        })
        cleanUps.push(() => listener.close())
        return { serving, counts, listener }
      }),
    )
    // The liars are there first: the honest peer comes when they have been asked.
    const reader = await start(
      'reader',
      liars.flatMap(({ listener }) => ['--peer', listener.address]),
    )
    const target = reader.path('target')
    // The link without the address of the publisher that it carries.
    const link = published.uri.replace(/\?.*$/, '')
    await reader.rpc('addSubscription', { uri: link, dir: target, wait: false })
    await waitUntil(
      () => liars.every(({ counts }) => counts.requests > 0),
      20_000,
      () =>
        `every liar is asked: ${JSON.stringify(liars.map(({ counts }) => counts))}\n${reader.stderrTail()}`,
    )
    await reader.rpc('addPeer', { address: published.publisher.peerAddress })
    await reader.rpc('addSubscription', { uri: link, dir: target, wait: true, timeout: 50 })
    expect(await compareTrees(published.source, target)).toEqual([])

    // Asked no more once the hash of what it sent was looked at, and not dialled again by the reader.
    // (The publisher may have heard of it from the reader meanwhile, and dials under the channel's key.)
    for (const { serving, counts, listener } of liars) {
      expect(listener.pinnedDials, `${serving}\n${reader.stderrTail()}`).toBe(1)
      // Who does not answer is not given a second request while the first is open.
      if (serving === 'silent') expect(counts.requests - counts.cancels).toBeLessThanOrEqual(1)
      if (serving === 'junk' || serving === 'other') expect(counts.blobsSent, serving).toBe(1)
    }
    await reader.stop()
    await published.publisher.stop()
  })
})

describe('a release that is only partly there', () => {
  it('is told as unfinished, and goes on where it stopped', async () => {
    const published = await publish(6 * MIB)
    const release = await fetchBare(published)
    // The head has the publisher's address, so it must not be there.
    await published.publisher.stop()
    const listener = await BareListener.listen({
      channels: [published.channel],
      onConnection: async (connection) => {
        await serveRelease(connection, published.channel, release, 'partly')
      },
    })
    cleanUps.push(() => listener.close())
    const reader = await start('reader', ['--peer', listener.address])
    const link = published.uri.replace(/\?.*$/, '')
    const get = ['get', link, '--dir', reader.path('target'), '--timeout']
    const { error } = await reader.json<{ error: { code: string } }>([...get, '3'], 7)
    expect(error.code).toBe('ERR_UNFINISHED')
    const { heldBlobs } = await reader.rpc<{ heldBlobs: number }>('getStatus')
    expect(heldBlobs).toBeGreaterThanOrEqual(2)

    await published.publisher.begin()
    await reader.json(['peers', 'add', published.publisher.peerAddress])
    await reader.json([...get, '40'])
    expect(await compareTrees(published.source, reader.path('target'))).toEqual([])
    await reader.stop()
    await published.publisher.stop()
  })
})
