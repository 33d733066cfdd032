/**
 * A publisher that only dials out, as behind Tor without an onion: nobody can connect to it, its link names
 * nobody, and two gateways are its only way into the DHT. It finds those who wait for its release by their
 * topic and serves them through connections that it makes. When it has gone, they complete, and so do those
 * who come later, in direct mode and behind a proxy.
 *
 * Followers, gateways and the DHT are real processes on hosts of their own at public addresses.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Socks5Server } from '../swarm/harness/socks5-server.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { HostNet, hasHosts } from './host-net.ts'

const HAS_HOSTS = hasHosts()
const PORT = 7117
const GATEWAYS = 2
const DHT_NODES = 8
const SUBSCRIBERS = 20
/** Processes that start at the same time. */
const AT_ONCE = 4
const LIMIT_MS = 90_000

/** In direct mode, on a host of its own. */
interface HostedNode {
  readonly node: TestNode
  readonly address: string
}

/** Behind a proxy, and nobody can connect to it. */
interface DialOutNode {
  readonly node: TestNode
  readonly proxy: Socks5Server
}

let folder: string
let net: HostNet
let dht: readonly HostedNode[] = []
const nodes: TestNode[] = []
const proxies: Socks5Server[] = []

beforeAll(async () => {
  if (!HAS_HOSTS) return
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-dial-out-'))
  net = new HostNet()
  await startDht()
})

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.dispose()))
  await Promise.all(proxies.map((proxy) => proxy.close()))
  net?.dispose()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

/** The first of it are the gateways. */
async function startDht(): Promise<void> {
  dht = [await startHosted('gateway-0', ['--gateway', '--dht-server', '--bootstrap', 'none'])]
  dht = [...dht, await startHosted('gateway-1', ['--gateway', '--dht-server', ...bootstrap()])]
  const others = await inTurns(DHT_NODES - GATEWAYS, (number) =>
    startHosted(`dht-${number}`, ['--dht-server', ...bootstrap()]),
  )
  dht = [...dht, ...others]
  await waitUntil(
    async () => {
      const states = await Promise.all(dht.slice(0, GATEWAYS).map(statusOf))
      return states.every((state) => state.dht.nodes >= DHT_NODES - 1)
    },
    LIMIT_MS,
    'the gateways know the DHT',
  )
}

const bootstrap = (): string[] =>
  dht.slice(0, GATEWAYS).flatMap(({ address }) => ['--bootstrap', `${address}:${PORT}`])

const statusOf = ({ node }: HostedNode): Promise<{ peers: number; dht: { nodes: number } }> =>
  node.json(['status'])

async function startHosted(name: string, args: readonly string[]): Promise<HostedNode> {
  const { address, wrapper } = net.add()
  const node = await TestNode.create({ name, wrapper, listen: `${address}:${PORT}`, args })
  nodes.push(node)
  await node.begin()
  return { node, address }
}

/** Its proxy reaches all hosts, as exits of Tor do. */
async function startDialOut(name: string): Promise<DialOutNode> {
  const proxy = await Socks5Server.start()
  proxies.push(proxy)
  const uses = dht.slice(0, GATEWAYS).flatMap(({ node }) => ['--use-gateway', node.peerAddress])
  const args = ['--proxy', `socks5://127.0.0.1:${proxy.endpoint.port}`, ...uses]
  const node = await TestNode.create({ name, args })
  nodes.push(node)
  await node.begin()
  return { node, proxy }
}

/** `make` for each number, a few at a time. */
async function inTurns<T>(count: number, make: (number: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  while (made.length < count) {
    const next = Array.from({ length: Math.min(AT_ONCE, count - made.length) }, (_, i) => made.length + i)
    made.push(...(await Promise.all(next.map(make))))
  }
  return made
}

/** Follow the link until all of it is there. */
async function completes({ node }: Pick<HostedNode, 'node'>, uri: string, source: string): Promise<void> {
  const dir = join(folder, node.name)
  await node.json(['subscribe', uri, '--dir', dir, '--wait'], 0, LIMIT_MS)
  expect(await compareTrees(source, dir)).toEqual([])
}

/** Hosts that a node asked its proxy for, each once. */
const askedOf = ({ proxy }: DialOutNode): string[] => [...new Set(proxy.requests.map(({ host }) => host))]

describe.skipIf(!HAS_HOSTS)('a publisher that only dials out', () => {
  it('serves 20 subscribers, goes away, and they and newcomers complete', async () => {
    const source = join(folder, 'source')
    await makeTree(source, { seed: 3, smallFiles: 20, bigBytes: 4_000_000, awkward: true })
    const publisher = await startDialOut('publisher')
    expect(publisher.node.ready).toMatchObject({ mode: 'safe', peerAddress: null, dhtPort: null })
    const { uri } = await publisher.node.rpc<{ uri: string }>('createChannel', { name: 'news' })
    expect(uri).not.toContain('?') // it names nobody

    let complete = 0
    const waits: Promise<void>[] = []
    const subscribers = await inTurns(SUBSCRIBERS, async (number) => {
      const subscriber = await startHosted(`subscriber-${number}`, bootstrap())
      waits.push(completes(subscriber, uri, source).then(() => void complete++))
      return subscriber
    })
    const all = Promise.all(waits)
    all.catch(() => {}) // seen where it is awaited
    const last = subscribers.at(-1) as HostedNode
    const hasMet = async (): Promise<boolean> => (await statusOf(last)).peers > 0
    await waitUntil(hasMet, LIMIT_MS, 'the last of them has found others by the topic')

    const publishing = publisher.node.rpc<{ storedBy: number }>('publish', { path: source, channel: 'news' })
    expect((await publishing).storedBy).toBeGreaterThanOrEqual(1)
    await Promise.race(waits)
    await publisher.node.kill()
    process.stdout.write(`  complete when the publisher went: ${complete} of ${SUBSCRIBERS}\n`)
    expect(complete).toBeLessThan(SUBSCRIBERS)
    await all

    // It asked both gateways, and dialled few of those that they found.
    const gateways = dht.slice(0, GATEWAYS).map(({ address }) => address)
    expect(askedOf(publisher)).toEqual(expect.arrayContaining(gateways))
    const dialled = askedOf(publisher).filter((host) => !gateways.includes(host))
    expect(dialled.length).toBeGreaterThanOrEqual(1)
    expect(dialled.length).toBeLessThan(SUBSCRIBERS / 2)
    const followers = subscribers.map(({ address }) => address)
    expect(followers).toEqual(expect.arrayContaining(dialled))

    await completes(await startHosted('newcomer', bootstrap()), uri, source)
    await completes(await startDialOut('newcomer-that-dials-out'), uri, source)
  })
})
