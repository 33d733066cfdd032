/**
 * Safe mode through gateways: nodes whose only way out is a proxy of their own publish into a DHT, and follow a
 * link that names nobody. What they ask of the proxy is written down: a circuit of its own for each thing that is
 * asked of a gateway, and none shared with a channel.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OnionNet, type SafeNode } from '../swarm/harness/onion-net.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

/** As an exit of Tor reaches them. */
const HOSTS = ['203.0.113.1', '203.0.113.2', '203.0.113.3'] as const
const PORT = 7117
const CHANNELS = ['news', 'other'] as const

let folder: string
let net: OnionNet
let gateways: readonly TestNode[] = []
let publisher: SafeNode
let reader: SafeNode

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-safe-gateway-'))
  const first = await TestNode.start({ name: 'gateway-0', args: ['--gateway', '--bootstrap', 'none'] })
  gateways = [first]
  const args = ['--gateway', '--dht-server', '--bootstrap', first.bootstrapAddress]
  const others = await Promise.all(['gateway-1', 'gateway-2'].map((name) => TestNode.start({ name, args })))
  gateways = [first, ...others]
  await waitUntil(
    async () => {
      const states = await Promise.all(
        gateways.map((node) => node.rpc<{ dht: { nodes: number } }>('getStatus')),
      )
      return states.every(({ dht }) => dht.nodes >= 2)
    },
    30_000,
    'the gateways know each other',
  )
  net = new OnionNet(
    Object.fromEntries(HOSTS.map((host, i) => [`${host}:${PORT}`, gateways[i]?.endpoint.port ?? 0])),
  )
  const uses = HOSTS.flatMap((host, i) => ['--use-gateway', `${gateways[i]?.ready.nodeKey}@${host}:${PORT}`])
  publisher = await net.node({ name: 'publisher', args: uses })
  reader = await net.node({ name: 'reader', args: uses })
}, 60_000)

afterAll(async () => {
  await net?.dispose()
  await Promise.all(gateways.map((node) => node.dispose()))
  await rm(folder, { recursive: true, force: true })
})

/** What a node asked its proxy for at gateways. */
const askedOf = ({ proxy }: SafeNode) =>
  proxy.requests.filter(({ host }) => (HOSTS as readonly string[]).includes(host))

describe('in safe mode, through gateways', () => {
  it('releases of two channels are put into the DHT, and found by links that name nobody', async () => {
    const source = join(folder, 'source')
    await mkdir(source)
    await writeFile(join(source, 'news.txt'), 'the news')
    for (const name of CHANNELS) {
      const { uri, publicKey } = await publisher.node.rpc<{ uri: string; publicKey: string }>(
        'createChannel',
        {
          name,
        },
      )
      const { storedBy } = await publisher.node.rpc<{ storedBy: number }>('publish', {
        path: source,
        channel: name,
      })
      expect(storedBy).toBeGreaterThanOrEqual(1)
      const bare = uri.replace(/\?.*$/, '')
      expect(bare).toBe(`megatorrent://${publicKey}`)
      const dir = join(folder, name)
      await reader.node.rpc('addSubscription', { uri: bare, dir, wait: true, timeout: 50 })
      expect(await compareTrees(source, dir)).toEqual([])
    }
  }, 180_000)

  it('each thing asked of a gateway has a circuit that nothing else has', () => {
    for (const node of [publisher, reader]) {
      const users = askedOf(node).map(({ user }) => user)
      expect(users.length).toBeGreaterThanOrEqual(3)
      expect(users).not.toContain(null)
      const elsewhere = node.proxy.requests
        .filter(({ host }) => !(HOSTS as readonly string[]).includes(host))
        .map(({ user }) => user)
      expect(users.filter((user) => elsewhere.includes(user))).toEqual([])
      // The same thing may be asked twice in a day: of one gateway, then, and of no other.
      const hosts = new Map<string | null, string>()
      for (const { user, host } of askedOf(node)) {
        expect(hosts.get(user) ?? host).toBe(host)
        hosts.set(user, host)
      }
    }
    // Three slots of each channel put and read back, by different gateways: no name serves two of these errands.
    const puts = new Set(askedOf(publisher).map(({ user }) => user))
    expect(puts.size).toBeGreaterThanOrEqual(6 * CHANNELS.length)
    const shared = askedOf(publisher).filter(({ user }) =>
      askedOf(reader).some((other) => other.user === user),
    )
    expect(shared).toEqual([])
  })

  it('the gateways see nobody that they could tell from another', async () => {
    for (const gateway of gateways) {
      expect(gateway.stderr).not.toContain('peer broke the protocol')
      const { peers } = await gateway.rpc<{ peers: { nodeKey: string | null }[] }>('getPeers')
      expect(peers.every(({ nodeKey }) => nodeKey === null)).toBe(true)
    }
  })
})
