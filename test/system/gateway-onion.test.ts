/**
 * Gateways that are onions: nodes in safe mode publish through three of them and follow by them, and nothing
 * that they ask of a proxy is a clear address. Real nodes; the onions are those of harness/onion-net.ts.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ControlPort } from '../swarm/harness/control-port.ts'
import { OnionNet, type SafeNode } from '../swarm/harness/onion-net.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

interface Ready {
  readonly onionAddress: string | null
  readonly nodeKey: string
}

let folder: string
let net: OnionNet
const gateways: TestNode[] = []
const controls: ControlPort[] = []
let publisher: SafeNode
let reader: SafeNode

const onionOf = (node: TestNode): string => (node.ready as unknown as Ready).onionAddress ?? ''
const argsFor = ({ endpoint }: ControlPort): readonly string[] => [
  ...['--gateway', '--dht-server', '--tor-control', `${endpoint.host}:${endpoint.port}`],
]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-gateway-onion-'))
  net = new OnionNet()
  for (let i = 0; i < 3; i++) {
    const control = await net.control()
    controls.push(control)
    const bootstrap = gateways[0]?.bootstrapAddress ?? 'none'
    const args = [...argsFor(control), '--bootstrap', bootstrap]
    gateways.push(await TestNode.start({ name: `gateway-${i}`, args }))
  }
  await waitUntil(
    async () => {
      const states = await Promise.all(
        gateways.map((node) => node.rpc<{ dht: { nodes: number } }>('getStatus')),
      )
      return states.every(({ dht }) => dht.nodes >= 2) && controls.every(({ onions }) => onions.size === 1)
    },
    60_000,
    'the gateways know each other and have their onions',
  )
  const uses = gateways.flatMap((node) => ['--use-gateway', onionOf(node)])
  publisher = await net.node({ name: 'publisher', args: uses })
  reader = await net.node({ name: 'reader' }) // none of its own: its link names one
}, 120_000)

afterAll(async () => {
  await net?.dispose()
  await Promise.all(gateways.map((node) => node.dispose()))
  await rm(folder, { recursive: true, force: true })
})

const hostsAskedBy = ({ proxy }: SafeNode): ReadonlySet<string> =>
  new Set(proxy.requests.map(({ host }) => host))

describe('gateways that are onions', () => {
  it('say where they are, and Tor was given the key of that name', async () => {
    for (const [i, node] of gateways.entries()) {
      const [host = ''] = onionOf(node).split(':')
      expect(onionOf(node)).toMatch(/^[a-z2-7]{56}\.onion:7117$/)
      const isMade = (): boolean => controls[i]?.onions.has(host) === true && controls[i].onions.size === 1
      await waitUntil(isMade, 20_000, 'that onion and no other')
    }
  })

  it('are relays for those who name them', async () => {
    const hasRelay = async (): Promise<boolean> =>
      (await publisher.node.rpc<{ relays: number }>('getStatus')).relays >= 1
    await waitUntil(hasRelay, 40_000, 'there is a relay connection')
    expect([...hostsAskedBy(publisher)].every((host) => host.endsWith('.onion'))).toBe(true)
  })

  it('put a release for a node in safe mode, and find it for a reader whose link names one of them', async () => {
    const { uri } = await publisher.node.rpc<{ uri: string }>('createChannel', { name: 'news' })
    const source = join(folder, 'source')
    await mkdir(source)
    await writeFile(join(source, 'news.txt'), 'the news')
    const params = { path: source, channel: 'news' }
    const { storedBy } = await publisher.node.rpc<{ storedBy: number }>('publish', params, 120_000)
    expect(storedBy).toBeGreaterThanOrEqual(1)
    const gateway = onionOf(gateways[0] as TestNode)
    const link = `${uri.replace(/\?.*$/, '')}?gateway=${encodeURIComponent(gateway)}`
    const dir = join(folder, 'here')
    await reader.node.rpc('addSubscription', { uri: link, dir, wait: true, timeout: 100 }, 110_000)
    expect(await compareTrees(source, dir)).toEqual([])
    expect(hostsAskedBy(reader)).toContain(gateway.split(':')[0])
  }, 180_000)

  it('are all that is asked of the proxies, each thing on a circuit of its own', () => {
    for (const safe of [publisher, reader]) {
      const onions = [...hostsAskedBy(safe)].filter((host) => !host.endsWith('.onion'))
      expect(onions).toEqual([])
    }
    const names = gateways.map((node) => onionOf(node).split(':')[0])
    const errands = publisher.proxy.requests.filter(({ host }) => names.includes(host))
    const hosts = new Map<string | null, string>()
    for (const { user, host } of errands) {
      expect(user).not.toBeNull()
      expect(hosts.get(user) ?? host).toBe(host)
      hosts.set(user, host)
    }
    expect(hosts.size).toBeGreaterThanOrEqual(6) // three slots put and read back
  })

  it('do not tell by it what they follow', async () => {
    const { uri } = await publisher.node.rpc<{ uri: string }>('createChannel', { name: 'followed' })
    const bare = uri.replace(/\?.*$/, '')
    const gateway = gateways[2] as TestNode
    const follow = (node: TestNode, link: string): Promise<unknown> =>
      node.rpc('addSubscription', { uri: link, dir: node.path('followed'), wait: false })
    await follow(gateway, bare)
    // Who holds the link comes under its key...
    const tester = await net.node({ name: 'tester', args: ['--peer', onionOf(gateways[0] as TestNode)] })
    await follow(tester.node, `${bare}?peer=${encodeURIComponent(onionOf(gateway))}`)
    const [host] = onionOf(gateway).split(':')
    await waitUntil(
      () =>
        tester.proxy.requests.some((one) => one.host === host) &&
        tester.node.stderr.includes('connecting failed'),
      60_000,
      'nobody answered it',
    )
    // ...or under that of the onion, as a peer that its user named: it is let in, and is in no swarm.
    await waitUntil(
      async () => (await tester.node.rpc<{ peers: unknown[] }>('getPeers')).peers.length === 1,
      30_000,
      'the other gateway let it in',
    )
    const { peers } = await (gateways[0] as TestNode).rpc<{ peers: unknown[] }>('getPeers')
    expect(peers).toEqual([])
  }, 120_000)

  it('keep their name over a restart, and tell by status when Tor has none of it', async () => {
    const [node, control] = [gateways[1] as TestNode, controls[1] as ControlPort]
    const before = onionOf(node)
    await node.stop()
    await waitUntil(() => control.onions.size === 0, 10_000, 'Tor has dropped the onion')
    await node.begin()
    expect(onionOf(node)).toBe(before)
    await waitUntil(() => control.onions.size === 1, 20_000, 'Tor has the onion again')
    const { onions, mode, onionAddress } = await node.rpc<{
      onions: { wanted: number } | null
      mode: string
      onionAddress: string | null
    }>('getStatus')
    expect([mode, onionAddress, onions?.wanted]).toEqual(['gateway', before, 1])
  }, 60_000)
})
