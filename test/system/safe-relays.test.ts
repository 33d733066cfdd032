/**
 * Safe mode without any DHT: nodes whose only way out is a proxy of their own find a channel by its onions alone,
 * which relays tell each other. The link names nobody; the gateway is one of a DHT that nobody else is in, so that
 * it can only be a relay. What is asked of each proxy is written down.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BareMessage } from '../swarm/harness/bare-connection.ts'
import { BareChannel } from '../swarm/harness/bare-crypto.ts'
import { dialBare } from '../swarm/harness/bare-peer.ts'
import { OnionNet, type SafeNode } from '../swarm/harness/onion-net.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

/** As an exit of Tor reaches it. */
const GATEWAY = '203.0.113.1'
const PORT = 7117
/** An onion is told within two minutes of its node's start. Who asks before asks again after half of the time gone by. */
const FOUND_MS = 420_000

const ANNOUNCE = 0x07

interface Channel {
  readonly uri: string
  readonly publicKey: string
  readonly onionAddress: string
}

let folder: string
let gateway: TestNode
let net: OnionNet
let publisher: SafeNode
let bystander: SafeNode
let reader: SafeNode
const channels: Channel[] = []

/** What a member of the first channel, connected to the publisher all the time, was sent. */
const sentToMember: BareMessage[] = []

/** Statements of onions that came over a connection of a channel. */
const announcedTo = (messages: readonly Pick<BareMessage, 'type'>[]): number =>
  messages.filter(({ type }) => type === ANNOUNCE).length

async function joinAsMember({ publicKey, onionAddress }: Channel): Promise<void> {
  const channel = new BareChannel(Buffer.from(publicKey, 'hex'))
  const target = (): string | undefined => publisher.control.onions.get(hostOf(onionAddress))
  await waitUntil(async () => target() !== undefined, 20_000, 'the onion of the channel is there')
  const [host = '', port] = (target() ?? '').split(':')
  const member = await dialBare(host, Number(port), { psk: channel.handshakeKey() })
  member.sendHello([[channel, 0n]])
  void (async () => {
    for (;;) {
      const message = await member.receive(900_000)
      if (message === null) return
      sentToMember.push(message)
    }
  })()
}

const relaysOf = async (node: TestNode): Promise<number> =>
  (await node.rpc<{ relays: number }>('getStatus')).relays

const hostOf = (address: string): string => address.split(':')[0] as string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-safe-relays-'))
  gateway = await TestNode.start({ name: 'gateway', args: ['--gateway', '--bootstrap', 'none'] })
  net = new OnionNet({ [`${GATEWAY}:${PORT}`]: gateway.endpoint.port })
  const args = [
    ...['--use-gateway', `${gateway.ready.nodeKey}@${GATEWAY}:${PORT}`],
    ...['--start-spread', '0.001'],
  ]
  publisher = await net.node({ name: 'publisher', args })
  bystander = await net.node({ name: 'bystander', args })
  await mkdir(join(folder, 'source'))
  await writeFile(join(folder, 'source', 'news.txt'), 'the news')
  for (const name of ['one', 'two']) {
    channels.push(await publisher.node.rpc<Channel>('createChannel', { name }))
    if (name === 'one') await joinAsMember(channels[0] as Channel)
    // No node of a DHT takes the slots: readers hear of it by onions alone.
    await publisher.node
      .rpc('publish', { path: join(folder, 'source'), channel: name, timeout: 5 })
      .catch(() => {})
  }
  await waitUntil(async () => (await relaysOf(gateway)) >= 2, 60_000, 'both are relays')
  reader = await net.node({ name: 'reader', args })
}, 180_000)

afterAll(async () => {
  await net?.dispose()
  await gateway?.dispose()
  await rm(folder, { recursive: true, force: true })
})

describe('in safe mode, without a DHT', () => {
  it('a newcomer finds the peers of a channel by a link that names nobody', async () => {
    const [one] = channels as [Channel]
    const bare = one.uri.replace(/\?.*$/, '')
    const dir = join(folder, 'target')
    await reader.node.rpc('addSubscription', { uri: bare, dir })
    await waitUntil(
      async () => (await compareTrees(join(folder, 'source'), dir).catch(() => ['not there'])).length === 0,
      FOUND_MS,
      () => reader.node.stderrTail(),
    )
    expect(reader.proxy.requests.map(({ host }) => host)).toContain(hostOf(one.onionAddress))
  })

  it('no onion was announced on the connection of a channel', () => {
    expect(sentToMember.length).toBeGreaterThanOrEqual(2)
    expect(announcedTo(sentToMember)).toBe(0)
    expect(announcedTo([...sentToMember, { type: ANNOUNCE }])).toBe(1) // planted: this test would see it
  })

  it('status says how many relays there are', async () => {
    for (const { node } of [publisher, bystander, reader]) {
      const { relays, onions } = await node.rpc<{ relays: number; onions: { wanted: number } }>('getStatus')
      expect(relays).toBeGreaterThanOrEqual(1)
      // Onions of channels alone are counted.
      expect(onions.wanted).toBe(node === publisher.node ? 2 : node === reader.node ? 1 : 0)
    }
    const { stdout } = await reader.node.cli(['status'])
    expect(stdout).toMatch(/^relays:\s+[1-9]/m)
  })

  it('the onion of relays is none of the channels’, and another one after a restart', async () => {
    const onionsOf = ({ control }: SafeNode): string[] => [...control.onions.keys()]
    const ofChannels = channels.map(({ onionAddress }) => hostOf(onionAddress))
    const [before = ''] = onionsOf(publisher).filter((host) => !ofChannels.includes(host))
    expect(onionsOf(publisher)).toHaveLength(3)
    await publisher.node.stop()
    await publisher.node.begin()
    await waitUntil(async () => onionsOf(publisher).length === 3, 60_000, 'its onions are back')
    expect(onionsOf(publisher)).toEqual(expect.arrayContaining(ofChannels))
    expect(onionsOf(publisher)).not.toContain(before)
  })

  it('what is said to relays has circuits that no channel and no other relay has', () => {
    const ofChannels = new Set(channels.map(({ onionAddress }) => hostOf(onionAddress)))
    for (const { proxy } of [publisher, bystander, reader]) {
      const hosts = new Map<string, Set<string>>()
      for (const { user, host } of proxy.requests) {
        hosts.set(String(user), (hosts.get(String(user)) ?? new Set()).add(host))
      }
      expect(hosts.has('null')).toBe(false)
      for (const [user, asked] of hosts) {
        if ([...asked].some((host) => ofChannels.has(host))) continue // one channel, its peers
        expect(asked.size, user).toBe(1)
      }
      const channelUsers = [...hosts].filter(([, asked]) => [...asked].some((host) => ofChannels.has(host)))
      const elsewhere = channelUsers.flatMap(([, asked]) =>
        [...asked].filter((host) => !ofChannels.has(host)),
      )
      // A channel's user name leads to onions of that channel, and to no relay.
      expect(elsewhere).not.toContain(GATEWAY)
    }
  })
})
