/**
 * What a node in safe mode shows when it starts, and when somebody only looks: channels begin at times of their
 * own, and an onion is for those who stay.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OnionNet, type SafeNode } from './harness/onion-net.ts'
import { waitUntil } from './harness/wait.ts'

interface Channel {
  readonly uri: string
  readonly publicKey: string
  readonly onionAddress: string
}

/** Longer than any test. */
const A_DAY = ['--start-spread', '86400']

let folder: string
let net: OnionNet
let publisher: SafeNode
const channels: Channel[] = []

const hostOf = ({ onionAddress }: Channel): string => onionAddress.split(':')[0] as string
const asked = ({ proxy }: SafeNode, channel: Channel): number =>
  proxy.requests.filter(({ host }) => host === hostOf(channel)).length

async function publish(name: string): Promise<void> {
  const publishing = publisher.node.rpc('publish', { path: join(folder, 'source'), channel: name })
  await expect(publishing).rejects.toThrow(/ERR_NO_CARRIER/) // peers hear of it
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
  await mkdir(join(folder, 'source'))
  await writeFile(join(folder, 'source', 'a.txt'), 'content')
  net = new OnionNet()
  publisher = await net.node({ name: 'publisher', args: A_DAY })
  for (const name of ['one', 'two']) {
    channels.push(await publisher.node.rpc<Channel>('createChannel', { name }))
    await publish(name)
  }
}, 60_000)

afterAll(async () => {
  await net?.dispose()
  await rm(folder, { recursive: true, force: true })
})

describe('who only looks at a channel', () => {
  it('is there for nobody: no onion is made', async () => {
    const [one, two] = channels as [Channel, Channel]
    const { node, control } = await net.node({ name: 'looker' })
    const { files } = await node.rpc<{ files: unknown[] }>('listFiles', { uri: one.uri, timeout: 40 })
    expect(files.length).toBe(1)
    await node.rpc('addSubscription', { uri: two.uri, dir: node.path('got'), once: true, timeout: 40 })
    expect(control.lines.filter((line) => line.startsWith('ADD_ONION'))).toEqual([])
    // Who stays is, after all.
    await node.rpc('addSubscription', { uri: two.uri, dir: node.path('two'), wait: true, timeout: 40 })
    await waitUntil(() => control.onions.size === 1, 20_000, 'a follower has an onion')
  }, 120_000)
})

describe('after a start', () => {
  it('channels of ours are not there together: each has its time, but for what the user asks for', async () => {
    const [one, two] = channels as [Channel, Channel]
    const { node, control } = publisher
    expect(control.onions.size).toBe(2) // what a user made was not waited for
    await node.stop()
    await waitUntil(() => control.onions.size === 0, 20_000, 'the onions are gone')
    await node.begin()
    await writeFile(join(folder, 'source', 'b.txt'), 'more')
    await publish('one')
    await waitUntil(() => control.onions.has(hostOf(one)), 20_000, 'the onion of what is published')
    expect(control.onions.has(hostOf(two))).toBe(false)
  }, 60_000)

  it('nor are channels that are followed', async () => {
    const [one, two] = channels as [Channel, Channel]
    const reader = await net.node({ name: 'reader', args: A_DAY })
    const { node } = reader
    await node.rpc('addSubscription', { uri: one.uri, dir: node.path('one'), wait: true, timeout: 40 })
    await node.rpc('addSubscription', { uri: two.uri, dir: node.path('two'), wait: false })
    await waitUntil(() => asked(reader, two) > 0, 20_000, 'what was asked for is dialled')
    await node.stop()
    reader.proxy.requests.length = 0
    await node.begin()
    await node.rpc('addSubscription', { uri: one.uri, wait: false })
    await waitUntil(() => asked(reader, one) > 0, 20_000, 'what a user asks for again is dialled')
    expect(asked(reader, two)).toBe(0)
    expect(reader.control.onions.size).toBeLessThanOrEqual(1)
  }, 120_000)
})
