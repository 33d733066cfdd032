/**
 * Safe mode end to end on real Tor, a network of its own: a publisher and a reader who know nothing of each other
 * but a link with an onion, and no DHT anywhere.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { hasTor, type TorClient, TorNet } from './tor-net.ts'

const HAS_TOR = hasTor()
const LONG_MS = 180_000
const UPDATES = 20
/** Of 20, the one that may be later than the bound. */
const WITHIN = 19
const UPDATE_MS = 30_000

let tor: TorNet
let folder: string
let publisher: TestNode
let reader: TestNode
let uri = ''

const args = ({ socks, control }: TorClient): readonly string[] => [
  ...['--proxy', `socks5://${socks.host}:${socks.port}`, '--start-spread', '0.001'],
  ...['--tor-control', `${control.host}:${control.port}`],
]

async function sequenceOf(node: TestNode): Promise<number> {
  const { subscriptions } = await node.rpc<{ subscriptions: { sequence: number; state: string }[] }>(
    'getSubscriptions',
  )
  const [only] = subscriptions
  return only?.state === 'complete' ? only.sequence : 0
}

/** There is nobody who could put a slot: readers hear of it by the onion alone. */
const publish = (): Promise<unknown> =>
  publisher.rpc('publish', { path: join(folder, 'source'), channel: 'news' }).catch(() => {})

describe.skipIf(!HAS_TOR)('a publisher and a reader behind Tor', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
    tor = await TorNet.start(2)
    const [first, second] = tor.clients as [TorClient, TorClient]
    publisher = await TestNode.start({ name: 'publisher', args: args(first) })
    reader = await TestNode.start({ name: 'reader', args: args(second) })
    await mkdir(join(folder, 'source'))
    await makeTree(join(folder, 'source'), {
      seed: 8,
      smallFiles: 20,
      smallBytes: 2_000,
      bigBytes: 5_000_000,
    })
    ;({ uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'news' }))
    await publish()
  }, LONG_MS * 2)

  afterAll(async () => {
    await reader?.dispose()
    await publisher?.dispose()
    await tor?.dispose()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  it(
    'find each other by the onion in the link',
    async () => {
      await reader.rpc(
        'addSubscription',
        { uri, dir: join(folder, 'target'), wait: true, timeout: 170 },
        LONG_MS,
      )
      expect(await compareTrees(join(folder, 'source'), join(folder, 'target'))).toEqual([])
      const { peers } = await reader.rpc<{ peers: { address: string; nodeKey: string | null }[] }>('getPeers')
      expect(peers.map(({ address }) => address)).toEqual([
        expect.stringMatching(/^[a-z2-7]{56}\.onion:7117$/),
      ])
    },
    LONG_MS,
  )

  it(
    'each has an onion that can be found, and says which',
    async () => {
      const isPublished = async (node: TestNode): Promise<boolean> => {
        const { onions } = await node.rpc<{ onions: { wanted: number; published: number } }>('getStatus')
        return onions.wanted === 1 && onions.published === 1
      }
      for (const node of [publisher, reader])
        await waitUntil(() => isPublished(node), LONG_MS, 'it is published')
      const { subscriptions } = await reader.rpc<{ subscriptions: { onionAddress: string }[] }>(
        'getSubscriptions',
      )
      const { channels } = await publisher.rpc<{ channels: { onionAddress: string; uri: string }[] }>(
        'listChannels',
      )
      expect(subscriptions[0]?.onionAddress).not.toBe(channels[0]?.onionAddress)
      expect(decodeURIComponent(channels[0]?.uri ?? '')).toContain(channels[0]?.onionAddress)
    },
    LONG_MS,
  )

  it(
    `${WITHIN} of ${UPDATES} releases are there within ${UPDATE_MS / 1000} s`,
    async () => {
      const took: number[] = []
      for (let update = 0; update < UPDATES; update++) {
        await writeFile(join(folder, 'source', `update-${update}.txt`), `${update}`)
        const wanted = (await sequenceOf(reader)) + 1
        await publish()
        const startMs = performance.now()
        await waitUntil(
          async () => (await sequenceOf(reader)) === wanted,
          LONG_MS,
          () => reader.stderrTail(),
        )
        took.push(performance.now() - startMs)
      }
      took.sort((a, b) => a - b)
      process.stdout.write(`update latency over Tor, ms: ${took.map(Math.round).join(' ')}\n`)
      expect(took[WITHIN - 1]).toBeLessThan(UPDATE_MS)
      expect(await compareTrees(join(folder, 'source'), join(folder, 'target'))).toEqual([])
    },
    LONG_MS * 2,
  )

  it(
    'go on when Tor was away, without having gone another way',
    async () => {
      const [, second] = tor.clients as [TorClient, TorClient]
      await second.stop()
      const state = async (): Promise<string | null> =>
        (await reader.rpc<{ proxy: { error: string | null } }>('getStatus')).proxy.error
      await writeFile(join(folder, 'source', 'meanwhile.txt'), 'published while Tor was away')
      const before = await sequenceOf(reader)
      await publish()
      await waitUntil(async () => (await state()) !== null, LONG_MS, 'status says that it is away')
      expect(await sequenceOf(reader)).toBe(before)
      await second.start()
      await waitUntil(
        async () => (await sequenceOf(reader)) === before + 1,
        LONG_MS,
        () => reader.stderrTail(),
      )
      expect(await state()).toBe(null)
    },
    LONG_MS * 2,
  )
})

describe.skipIf(!HAS_TOR)('through gateways on the clear side, with a DHT behind them', () => {
  const GATEWAYS = 3
  const DHT_NODES = 6
  const clear: TestNode[] = []
  let safe: { publisher: TestNode; reader: TestNode }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
    tor = await TorNet.start(2)
    const first = await TestNode.start({ name: 'gateway-0', args: ['--gateway', '--bootstrap', 'none'] })
    clear.push(first)
    for (let number = 1; number < GATEWAYS + DHT_NODES; number++) {
      const kind = number < GATEWAYS ? ['--gateway', '--dht-server'] : ['--dht-server']
      const args = [...kind, '--bootstrap', first.bootstrapAddress]
      clear.push(await TestNode.start({ name: `clear-${number}`, args }))
    }
    const uses = clear.slice(0, GATEWAYS).flatMap((node) => ['--use-gateway', node.peerAddress])
    const [one, two] = tor.clients as [TorClient, TorClient]
    safe = {
      publisher: await TestNode.start({ name: 'publisher', args: [...args(one), ...uses] }),
      reader: await TestNode.start({ name: 'reader', args: [...args(two), ...uses] }),
    }
    await mkdir(join(folder, 'source'))
    await makeTree(join(folder, 'source'), { seed: 9, smallFiles: 5, smallBytes: 2_000, bigBytes: 2_000_000 })
  }, LONG_MS * 2)

  afterAll(async () => {
    await Promise.all([...clear, ...Object.values(safe ?? {})].map((node) => node.dispose()))
    await tor?.dispose()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  it(
    'a release is confirmed, and found by a link that names nobody',
    async () => {
      const channel = await safe.publisher.rpc<{ uri: string }>('createChannel', { name: 'news' })
      const published = await safe.publisher.rpc<{ storedBy: number }>(
        'publish',
        { path: join(folder, 'source'), channel: 'news', timeout: 170 },
        LONG_MS,
      )
      expect(published.storedBy).toBeGreaterThanOrEqual(1)
      const [bare = ''] = channel.uri.split('?')
      await safe.reader.rpc(
        'addSubscription',
        { uri: bare, dir: join(folder, 'target'), wait: true, timeout: 170 },
        LONG_MS,
      )
      expect(await compareTrees(join(folder, 'source'), join(folder, 'target'))).toEqual([])
    },
    LONG_MS * 2,
  )
})
