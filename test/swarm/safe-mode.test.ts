/**
 * Safe mode between real nodes, each of which has a proxy of its own as its only way out: what it does there, what
 * it asks of the proxy, and that it does nothing else. With real Tor: test/system/safe-mode-tor.test.ts.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OnionNet, type SafeNode } from './harness/onion-net.ts'
import { TestNode } from './harness/test-node.ts'
import { compareTrees, makeTree } from './harness/tree.ts'
import { waitUntil } from './harness/wait.ts'

interface Channel {
  readonly uri: string
  readonly publicKey: string
  readonly onionAddress: string | null
}

let folder: string
let net: OnionNet
let publisher: SafeNode
let reader: SafeNode
/** A publisher in direct mode, which the reader knows by a name and by its key. */
let direct: TestNode
let source: string
const channels: Channel[] = []

/** There is nobody who could put a slot: readers hear of it by the onion alone. @returns the number of the release. */
async function publish(node: TestNode, name: string): Promise<number> {
  await expect(node.rpc('publish', { path: source, channel: name })).rejects.toThrow(/ERR_NO_CARRIER/)
  const { channels: all } = await node.rpc<{ channels: { name: string; sequence: number }[] }>('listChannels')
  return all.find((channel) => channel.name === name)?.sequence ?? 0
}

async function follow(node: TestNode, uri: string, dir: string): Promise<void> {
  await node.rpc('addSubscription', { uri, dir, wait: true, timeout: 50 })
}

const sequenceOf = async (node: TestNode, key: string): Promise<number> => {
  const { subscriptions } = await node.rpc<{
    subscriptions: { publicKey: string; sequence: number; state: string }[]
  }>('getSubscriptions')
  const found = subscriptions.find(({ publicKey }) => publicKey === key)
  return found?.state === 'complete' ? found.sequence : 0
}

/** User names under which a node asked for an address. */
const usersFor = ({ proxy }: SafeNode, host: string): Set<string | null> =>
  new Set(proxy.requests.filter((request) => request.host === host).map(({ user }) => user))

const hostOf = ({ onionAddress }: Channel): string => (onionAddress ?? '').split(':')[0] as string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
  source = join(folder, 'source')
  await mkdir(source)
  await makeTree(source, { seed: 3, smallFiles: 20, smallBytes: 2_000, bigBytes: 3_000_000 })
  direct = await TestNode.start({ name: 'direct', args: ['--no-dht'] })
  net = new OnionNet({ 'publisher.example:7117': direct.endpoint.port })
  publisher = await net.node({ name: 'publisher' })
  reader = await net.node({ name: 'reader' })
  for (const name of ['one', 'two']) {
    const channel = await publisher.node.rpc<Channel>('createChannel', { name })
    await publish(publisher.node, name)
    channels.push(channel)
  }
}, 60_000)

afterAll(async () => {
  await net?.dispose()
  await direct?.dispose()
  await rm(folder, { recursive: true, force: true })
})

describe('in safe mode', () => {
  it('a node says nothing of where it is', async () => {
    const { mode, nodeKey, peerAddress, dhtPort } = reader.node.ready
    expect({ mode, nodeKey, peerAddress, dhtPort }).toEqual({
      ...{ mode: 'safe', nodeKey: null, peerAddress: null, dhtPort: null },
    })
    expect(await reader.node.rpc('getStatus')).toMatchObject({
      ...{ mode: 'safe', proxy: { reachable: null, error: null }, dht: { enabled: false, nodes: 0 } },
    })
  })

  it('each channel has an onion of its own, which its link names', () => {
    const [one, two] = channels as [Channel, Channel]
    expect(one.onionAddress).toMatch(/^[a-z2-7]{56}\.onion:7117$/)
    expect(two.onionAddress).not.toBe(one.onionAddress)
    for (const channel of channels) {
      expect(decodeURIComponent(channel.uri)).toContain(`peer=${channel.onionAddress}`)
      expect([...publisher.control.onions.keys()]).toContain(hostOf(channel))
    }
  })

  it('folders arrive, and new releases follow', async () => {
    for (const [index, channel] of channels.entries()) {
      const target = join(folder, `target-${index}`)
      await follow(reader.node, channel.uri, target)
      expect(await compareTrees(source, target)).toEqual([])
    }
    await writeFile(join(source, 'new.txt'), 'news')
    expect(await publish(publisher.node, 'one')).toBe(2)
    const [one] = channels as [Channel, Channel]
    await waitUntil(
      async () => (await sequenceOf(reader.node, one.publicKey)) === 2,
      30_000,
      'the news is here',
    )
    expect(await compareTrees(source, join(folder, 'target-0'))).toEqual([])
  })

  it('no two channels are asked of the proxy under one name', () => {
    const [one, two] = channels.map((channel) => usersFor(reader, hostOf(channel))) as [
      Set<string>,
      Set<string>,
    ]
    // Midnight may have passed since.
    for (const users of [one, two]) expect([1, 2]).toContain(users.size)
    expect([...one].filter((user) => two.has(user))).toEqual([])
    expect(reader.proxy.requests.every(({ user }) => user !== null)).toBe(true)
  })

  it('names go to the proxy as they are, and nodes in direct mode are read from', async () => {
    const channel = await direct.rpc<Channel>('createChannel', { name: 'clear' })
    await publish(direct, 'clear')
    const uri = `megatorrent://${channel.publicKey}?peer=publisher.example:7117`
    await follow(reader.node, uri, join(folder, 'clear'))
    expect(await compareTrees(source, join(folder, 'clear'))).toEqual([])
    const asked = reader.proxy.requests.find(({ host }) => host === 'publisher.example')
    expect(asked).toMatchObject({ addressType: 'name', port: 7117 })
  })

  it('the user must name the key of a clear address', async () => {
    await expect(reader.node.rpc('addPeer', { address: '192.0.2.1:7117' })).rejects.toThrow(/node key/)
    expect(reader.proxy.requests.some(({ host }) => host === '192.0.2.1')).toBe(false)
  })

  it('all waits while the proxy is away, and goes on when it is back', async () => {
    const [one] = channels as [Channel, Channel]
    const port = reader.proxy.endpoint.port
    await reader.proxy.close()
    await writeFile(join(source, 'more.txt'), 'more')
    const sequence = await publish(publisher.node, 'one')
    const isReachable = async (): Promise<boolean> =>
      (await reader.node.rpc<{ proxy: { reachable: boolean } }>('getStatus')).proxy.reachable
    await waitUntil(async () => !(await isReachable()), 20_000, 'status says that the proxy is away')
    expect(await sequenceOf(reader.node, one.publicKey)).not.toBe(sequence)
    await net.restartProxy(reader, port)
    await waitUntil(isReachable, 40_000, 'status says that it is back')
    const isThere = async (): Promise<boolean> => (await sequenceOf(reader.node, one.publicKey)) === sequence
    await waitUntil(isThere, 40_000, 'the release is here')
    expect((await reader.node.rpc<{ bans: unknown[] }>('getPeers')).bans).toEqual([])
  })
})
