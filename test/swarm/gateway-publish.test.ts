/**
 * The main job without a DHT of one's own: publisher and reader reach the DHT through
 * gateways alone, over TCP, each slot over a connection of its own. The gateways are
 * the DHT besides, and know no channel.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RpcFailure, TestNode } from './harness/test-node.ts'
import { compareTrees } from './harness/tree.ts'
import { waitUntil } from './harness/wait.ts'

let folder: string
let gateways: readonly TestNode[] = []
let publisher: TestNode
let reader: TestNode

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-gateway-'))
  const first = await TestNode.start({ name: 'gateway-0', args: ['--gateway', '--bootstrap', 'none'] })
  gateways = [first]
  const args = ['--gateway', '--dht-server', '--bootstrap', first.bootstrapAddress]
  const others = await Promise.all(['gateway-1', 'gateway-2'].map((name) => TestNode.start({ name, args })))
  gateways = [first, ...others]
  const clients = await Promise.all([clientOf('publisher'), clientOf('reader')])
  ;[publisher, reader] = clients
  await waitUntil(
    async () => (await Promise.all(gateways.map(statusOf))).every(({ dht }) => dht.nodes >= 2),
    30_000,
    'the gateways know each other',
  )
})

afterAll(async () => {
  const all = [publisher, reader, ...gateways].filter((node) => node !== undefined)
  try {
    // Each must end clean.
    for (const node of all) if (await node.isUp()) await node.stop()
  } finally {
    await Promise.all(all.map((node) => node.dispose()))
    await rm(folder, { recursive: true, force: true })
  }
})

/** A node that has nothing but gateways. */
function clientOf(name: string): Promise<TestNode> {
  const uses = gateways.flatMap((node) => ['--use-gateway', node.peerAddress])
  return TestNode.start({ name, args: ['--no-dht', ...uses] })
}

interface Status {
  readonly mode: string
  readonly gateways: number
  readonly peers: number
  readonly dht: { readonly enabled: boolean; readonly nodes: number }
}

const statusOf = (node: TestNode): Promise<Status> => node.rpc('getStatus')

async function publish(channel: string, text: string): Promise<{ storedBy: number; sequence: number }> {
  const source = join(folder, 'source')
  await rm(source, { recursive: true, force: true })
  await mkdir(source)
  await writeFile(join(source, 'news.txt'), text)
  return publisher.rpc('publish', { path: source, channel })
}

/** Files below a folder that have these bytes in them. */
async function filesWith(folder: string, bytes: Buffer): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const found = await Promise.all(files.map(async (file) => (await readFile(file)).includes(bytes)))
  return files.filter((_file, index) => found[index])
}

describe('nodes with nothing but gateways', () => {
  it('publish, find and follow a channel', async () => {
    const { uri, publicKey } = await publisher.rpc<{ uri: string; publicKey: string }>('createChannel', {
      name: 'news',
      private: true,
    })
    const first = await publish('news', 'the first')
    expect(first.sequence).toBe(1)
    // Nodes of the DHT that gave it back, as another gateway says: there are three, of which one put it and one asks.
    expect(first.storedBy).toBeGreaterThanOrEqual(1)
    // Without addresses in the link: the head in the slot has them.
    const bare = uri.replace(/\?.*$/, '')
    const dir = join(folder, 'here')
    await reader.rpc('addSubscription', { uri: bare, dir, wait: true, timeout: 50 })
    expect(await compareTrees(join(folder, 'source'), dir)).toEqual([])

    const second = await publish('news', 'the second')
    expect(second).toMatchObject({ sequence: 2 })
    await waitUntil(
      async () => {
        const { subscriptions } = await reader.rpc<{
          subscriptions: { publicKey: string; sequence: number; state: string }[]
        }>('getSubscriptions')
        const seen = subscriptions.find((one) => one.publicKey === publicKey)
        return seen?.sequence === 2 && seen.state === 'complete'
      },
      60_000,
      'the second release is complete',
    )

    // What a gateway has on its disk says nothing of the channel.
    for (const [secret, at] of [
      [Buffer.from(publicKey, 'hex'), publisher.dataDir],
      [Buffer.from('the second'), dir],
    ] as const) {
      expect(await filesWith(at, secret)).not.toEqual([]) // it is found where it is
      for (const { dataDir } of gateways) expect(await filesWith(dataDir, secret)).toEqual([])
    }

    const own = await statusOf(publisher)
    expect([own.mode, own.dht.enabled]).toEqual(['direct', false])
    expect(own.gateways).toBeGreaterThanOrEqual(2)
    expect((await statusOf(gateways[0] as TestNode)).mode).toBe('gateway')
  })

  it('follow by a link that names gateways, with none of their own', async () => {
    const { channels } = await publisher.rpc<{ channels: { uri: string }[] }>('listChannels')
    const bare = channels[0]?.uri.replace(/\?.*$/, '')
    const named = gateways.map((node) => `gateway=${encodeURIComponent(node.peerAddress)}`).join('&')
    const guest = await TestNode.start({ name: 'guest', args: ['--no-dht'] })
    try {
      const dir = join(folder, 'guest')
      await guest.rpc('addSubscription', { uri: `${bare}?${named}`, dir, wait: true, timeout: 50 })
      expect(await compareTrees(join(folder, 'source'), dir)).toEqual([])
      await guest.stop()
    } finally {
      await guest.dispose()
    }
  })

  it('are told when nothing could be stored', async () => {
    await publisher.rpc('createChannel', { name: 'late' })
    for (const node of gateways) await node.stop()
    const source = join(folder, 'late')
    await mkdir(source)
    await writeFile(join(source, 'a.txt'), 'late')
    const failed = publisher.rpc('publish', { path: source, channel: 'late', timeout: 1 })
    expect(await failed.catch((error: RpcFailure) => error.code)).toBe('ERR_TIMEOUT')
    // Those that were not asked yet count until they are.
    const areAllGone = async (): Promise<boolean> => (await statusOf(publisher)).gateways === 0
    await waitUntil(areAllGone, 30_000, 'no gateway is left')
  })
})
