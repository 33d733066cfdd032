/**
 * A gateway that keeps blobs: a publisher behind a proxy gives it those of a release and goes away, and a newcomer
 * completes from it alone. Then publishers that do not keep their word. Real nodes; strangers are connections made
 * here.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareBytes, toHex } from '../../src/base/bytes.ts'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { argon2id } from '../../src/crypto/argon2id.ts'
import { DialledGateways } from '../../src/swarm/gateway-link.ts'
import { TcpTransport } from '../../src/transport/tcp.ts'
import { type PeerAddress, parsePeerAddress } from '../../src/wire/address.ts'
import { BLOB_BYTES, MAX_KEEP_AHEAD_MS } from '../../src/wire/constants.ts'
import { KEEP_STATES } from '../../src/wire/message.ts'
import { OnionNet, type SafeNode } from '../swarm/harness/onion-net.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

/** As the proxies reach them; nothing is ever sent there. */
const HOSTS = ['9.9.9.1', '9.9.9.2', '9.9.9.3'] as const
const PORT = 7117
const MIB = 1_048_576
const QUOTAS = ['64MiB', '4MiB', '0'] as const
const ERRAND = { purpose: 'blobs', subject: 'a test' } as const

interface Kept {
  readonly bytes: number
  readonly quota: number
}

let folder: string
let net: OnionNet
const gateways: TestNode[] = []
let publisher: SafeNode
let uri: string
let source: string

const keptBy = async (node: TestNode): Promise<Kept | null> =>
  (await node.rpc<{ gatewayBlobs: Kept | null }>('getStatus')).gatewayBlobs

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-gateway-blobs-'))
  for (const [i, quota] of QUOTAS.entries()) {
    const bootstrap = gateways[0]?.bootstrapAddress ?? 'none'
    const args = ['--gateway', '--dht-server', '--bootstrap', bootstrap, '--gateway-blobs', quota]
    gateways.push(await TestNode.start({ name: `gateway-${i}`, args }))
  }
  await waitUntil(
    async () => {
      const states = await Promise.all(
        gateways.map((node) => node.rpc<{ dht: { nodes: number } }>('getStatus')),
      )
      return states.every(({ dht }) => dht.nodes >= 2)
    },
    60_000,
    'the gateways know each other',
  )
  net = new OnionNet(
    Object.fromEntries(HOSTS.map((host, i) => [`${host}:${PORT}`, gateways[i]?.endpoint.port ?? 0])),
  )
  const uses = HOSTS.flatMap((host, i) => ['--use-gateway', `${gateways[i]?.ready.nodeKey}@${host}:${PORT}`])
  publisher = await net.node({ name: 'publisher', args: [...uses, '--gateway-keeps'] })
  source = join(folder, 'source')
  await mkdir(source)
  await writeFile(join(source, 'film'), randomBytes(5 * MIB + 7))
  await writeFile(join(source, 'news.txt'), 'the news')
}, 120_000)

afterAll(async () => {
  await net?.dispose()
  await Promise.all(gateways.map((node) => node.dispose()))
  await rm(folder, { recursive: true, force: true })
})

describe('a gateway that keeps blobs', () => {
  it('is given those of a release, as many as it has room for', async () => {
    await publisher.node.rpc('createChannel', { name: 'films' })
    const done = await publisher.node.rpc<{ uri: string; blobs: number; manifestBlobs: number }>(
      'publish',
      { path: source, channel: 'films' },
      120_000,
    )
    uri = done.uri
    const all = (done.blobs + done.manifestBlobs) * BLOB_BYTES
    await waitUntil(
      async () => (await keptBy(gateways[0] as TestNode))?.bytes === all,
      60_000,
      () => `the first gateway has all\n${publisher.node.stderrTail()}`,
    )
    // Half of three places, since all come through one exit.
    await waitUntil(
      async () => (await keptBy(gateways[1] as TestNode))?.bytes === 2 * BLOB_BYTES,
      60_000,
      'the second has what it has room for',
    )
    expect(await keptBy(gateways[1] as TestNode)).toEqual({ bytes: 2 * BLOB_BYTES, quota: 3 * BLOB_BYTES })
    expect(await keptBy(gateways[2] as TestNode)).toBeNull()
  }, 120_000)

  it('is named by the link, and a newcomer completes from it alone when the publisher has gone', async () => {
    expect(uri).toContain(encodeURIComponent(`@${HOSTS[0]}:${PORT}`))
    await publisher.node.stop()
    const newcomer = await net.node({ name: 'newcomer' })
    const dir = join(folder, 'here')
    await newcomer.node.rpc('addSubscription', { uri, dir, wait: true, timeout: 200 }, 210_000)
    expect(await compareTrees(source, dir)).toEqual([])
    await waitUntil(
      async () => (await newcomer.node.rpc<{ peers: unknown[] }>('getPeers')).peers.length === 0,
      20_000,
      'it left, since there was nothing more to fetch',
    )
  }, 240_000)

  it('keeps them over a crash', async () => {
    const gateway = gateways[0] as TestNode
    const before = await keptBy(gateway)
    await gateway.kill()
    await gateway.begin()
    await waitUntil(
      async () => (await keptBy(gateway))?.bytes === before?.bytes,
      30_000,
      'it has what it had',
    )
    expect((await gateway.rpc<{ removed: number }>('gc')).removed).toBe(0)
  }, 60_000)
})

describe('a gateway that is told of blobs', () => {
  const link = new DialledGateways({
    dialer: new TcpTransport(),
    ...{ resolve: null, clock: systemClock, random: systemRandom, memoryHash: argon2id },
  })
  const addressOf = (node: TestNode): PeerAddress => parsePeerAddress(node.ready.peerAddress ?? '')
  const make = (count: number): Map<string, Uint8Array> =>
    new Map(
      Array.from({ length: count }, () => {
        const blob = Uint8Array.from(randomBytes(BLOB_BYTES))
        return [createHash('sha256').update(blob).digest('hex'), blob]
      }),
    )
  const listOf = (blobs: ReadonlyMap<string, Uint8Array>) => {
    const blobIds = [...blobs.keys()]
      .map((key) => Uint8Array.from(Buffer.from(key, 'hex')))
      .sort(compareBytes)
    return { until: Date.now() + MAX_KEEP_AHEAD_MS / 2, blobIds }
  }
  const give = (blobs: ReadonlyMap<string, Uint8Array>, signal = new AbortController().signal) =>
    link.keep(
      addressOf(gateways[0] as TestNode),
      ERRAND,
      listOf(blobs),
      async (id) => blobs.get(toHex(id)) ?? null,
      signal,
    )

  it('keeps what it is given, and says what it was not', async () => {
    const before = (await keptBy(gateways[0] as TestNode))?.bytes ?? 0
    const blobs = make(3)
    const [missing] = blobs.keys()
    const states = await link.keep(
      addressOf(gateways[0] as TestNode),
      ERRAND,
      listOf(blobs),
      async (id) => (toHex(id) === missing ? null : (blobs.get(toHex(id)) ?? null)),
      new AbortController().signal,
    )
    const at = listOf(blobs).blobIds.findIndex((id) => toHex(id) === missing)
    expect([...states]).toEqual([0, 1, 2].map((i) => (i === at ? KEEP_STATES.refused : KEEP_STATES.held)))
    expect((await keptBy(gateways[0] as TestNode))?.bytes).toBe(before + 2 * BLOB_BYTES)
  }, 60_000)

  it('leaves whoever gives what does not hash, and keeps nothing of it', async () => {
    const before = await keptBy(gateways[0] as TestNode)
    const [[name] = ['']] = make(1)
    await expect(give(new Map([[name, new Uint8Array(BLOB_BYTES)]]))).rejects.toMatchObject({
      code: 'ERR_CONNECTION_CLOSED',
    })
    expect(await keptBy(gateways[0] as TestNode)).toEqual(before)
  }, 60_000)

  it('keeps what came of a publisher that vanishes midway, and frees the places of the rest', async () => {
    const before = (await keptBy(gateways[0] as TestNode))?.bytes ?? 0
    const blobs = make(4)
    const over = new AbortController()
    let given = 0
    const going = link.keep(
      addressOf(gateways[0] as TestNode),
      ERRAND,
      listOf(blobs),
      async (id) => {
        if (++given > 2) return new Promise<null>(() => {})
        return blobs.get(toHex(id)) ?? null
      },
      over.signal,
    )
    await waitUntil(
      async () => (await keptBy(gateways[0] as TestNode))?.bytes === before + 2 * BLOB_BYTES,
      30_000,
      'two have come',
    )
    over.abort()
    await expect(going).rejects.toThrow()
    // The rest has places again, for whoever gives them.
    const states = await give(blobs)
    expect([...states]).toEqual([0, 0, 0, 0])
    expect((await keptBy(gateways[0] as TestNode))?.bytes).toBe(before + 4 * BLOB_BYTES)
  }, 60_000)

  it('that keeps none says so', async () => {
    const keeping = link.keep(
      addressOf(gateways[2] as TestNode),
      ERRAND,
      listOf(make(1)),
      async () => null,
      new AbortController().signal,
    )
    await expect(keeping).rejects.toMatchObject({ code: 'ERR_REMOTE_REFUSED' })
  }, 60_000)
})
