/** Whom a node dials, and how often. */
import { describe, expect, it } from 'vitest'
import {
  DIAL_BACKOFF_TRUSTED_MS,
  MAX_DIALS,
  MAX_DIALS_PER_CHANNEL,
  TARGET_PEERS_PER_CHANNEL,
} from '../../../src/base/limits.ts'
import type { Endpoint, Transport } from '../../../src/transport/transport.ts'
import type { PeerAddress } from '../../../src/wire/address.ts'
import { addressClass } from '../../../src/wire/address-class.ts'
import { type Rig, useRigs } from './rig.ts'
import { falseBlob, SIM_PORT, SimChannel, type SimNode, SimRelease } from './sim-node.ts'
import { listenBare } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const OTHER = new SimChannel(2)
const RELEASE = new SimRelease(1, 1)

const newRig = useRigs()

/** A transport that notes what is dialled; `isDead` hosts never answer. */
class Recorder implements Transport {
  readonly dialled: string[] = []
  underWay = 0
  most = 0
  readonly #inner: Transport
  readonly #isDead: (endpoint: Endpoint) => boolean

  constructor(inner: Transport, isDead: (endpoint: Endpoint) => boolean = () => false) {
    this.#inner = inner
    this.#isDead = isDead
  }

  listen: Transport['listen'] = (endpoint, onStream) => this.#inner.listen(endpoint, onStream)

  dial: Transport['dial'] = async (endpoint, options) => {
    this.dialled.push(`${endpoint.host}:${endpoint.port}`)
    this.most = Math.max(this.most, ++this.underWay)
    try {
      const target = this.#isDead(endpoint) ? { host: 'nowhere', port: 1 } : endpoint
      return await this.#inner.dial(target, options)
    } finally {
      this.underWay--
    }
  }
}

function ipv4(host: string, port = SIM_PORT): PeerAddress {
  return { kind: 'ipv4', host, port, nodeKey: null }
}

function named(host: string): PeerAddress {
  return { kind: 'name', host, port: SIM_PORT, nodeKey: null }
}

async function dialler(
  rig: Rig,
  change: Parameters<Rig['node']>[0] = {},
): Promise<{ node: SimNode; recorder: Recorder }> {
  const recorder = new Recorder(rig.network.transport('10.200.0.1'))
  const node = await rig.node({ host: '10.200.0.1', transport: recorder, ...change })
  return { node, recorder }
}

const PUBLIC_ONLY = {
  isAcceptable: (address: Parameters<typeof addressClass>[0]): boolean => addressClass(address) === 'public',
}

describe('addresses that others tell of', () => {
  it('are dialled only if they are acceptable; those of the user always', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig, PUBLIC_ONLY)
    const { channel } = node.follow(CHANNEL)
    const bad = [
      '127.0.0.1',
      '10.0.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
    ]
    for (const source of ['topic', 'head', 'link', 'pex'] as const) {
      expect(
        node.swarm.addAddresses(
          channel,
          bad.map((host) => ipv4(host)),
          source,
        ),
      ).toBe(0)
    }
    await rig.clock.advance(5_000)
    expect(recorder.dialled).toEqual([])
    node.swarm.addAddresses(channel, [ipv4('9.9.9.9')], 'topic')
    node.swarm.addUserAddress(ipv4('10.0.0.7'))
    node.swarm.addAddresses(channel, [ipv4('192.168.1.7')], 'user')
    await rig.clock.advance(100)
    expect(new Set(recorder.dialled)).toEqual(new Set(['9.9.9.9:7117', '10.0.0.7:7117', '192.168.1.7:7117']))
  })

  it('are not dialled at the ports of other services, unless a link names them', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    for (const source of ['topic', 'head', 'pex'] as const) {
      expect(
        node.swarm.addAddresses(
          channel,
          [22, 25, 53, 443, 1023].map((port) => ipv4('9.9.9.9', port)),
          source,
        ),
      ).toBe(0)
    }
    expect(node.swarm.addAddresses(channel, [ipv4('9.9.9.9', 1024)], 'topic')).toBe(1)
    expect(node.swarm.addAddresses(channel, [ipv4('9.9.9.9', 443)], 'link')).toBe(1)
    await rig.clock.advance(100)
    expect(new Set(recorder.dialled)).toEqual(new Set(['9.9.9.9:1024', '9.9.9.9:443']))
  })

  it('are names only from users and links, and a name in a link leads into no network of ours', async () => {
    const rig = newRig()
    const asked: string[] = []
    const hosts = new Map([
      ['good.example', ['10.0.0.1', '9.9.9.9']],
      ['evil.example', ['127.0.0.1', '192.168.0.1', '::1', 'fe80::1']],
      ['mine.example', ['192.168.0.2']],
    ])
    const resolve = async (host: string): Promise<readonly string[]> => {
      asked.push(host)
      return hosts.get(host) ?? []
    }
    const { node, recorder } = await dialler(rig, { ...PUBLIC_ONLY, resolve })
    const { channel } = node.follow(CHANNEL)
    for (const source of ['topic', 'head', 'pex'] as const) {
      expect(node.swarm.addAddresses(channel, [named('good.example')], source)).toBe(0)
    }
    await rig.clock.advance(2_000)
    expect(asked).toEqual([])
    node.swarm.addAddresses(channel, [named('good.example'), named('evil.example')], 'link')
    node.swarm.addUserAddress(named('mine.example'))
    await rig.clock.advance(100)
    expect(new Set(recorder.dialled)).toEqual(new Set(['9.9.9.9:7117', '192.168.0.2:7117']))
  })
})

describe('dialling', () => {
  it('stops at as many peers of a channel as it wants, those on their way counted', async () => {
    const rig = newRig({ latencyMs: 350 }) // a handshake takes two looks
    const { node } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    const others: SimNode[] = []
    for (let number = 0; number < TARGET_PEERS_PER_CHANNEL + 6; number++) {
      const other = await rig.node()
      other.follow(CHANNEL)
      others.push(other)
    }
    const [first, ...rest] = others.map(({ address }) => address)
    if (first === undefined) throw new Error('no addresses')
    node.swarm.addAddresses(channel, rest.slice(0, TARGET_PEERS_PER_CHANNEL - 1), 'topic')
    await rig.until(() => node.swarm.peers.size === TARGET_PEERS_PER_CHANNEL - 1)
    // As a lookup gives them: one by one, faster than connections come up.
    for (const address of [first, ...rest]) node.swarm.addAddresses(channel, [address], 'topic')
    await rig.clock.advance(20_000)
    // Others may have heard of the node from each other meanwhile, and come in.
    const dialled = [...node.swarm.peers].filter(({ direction }) => direction === 'out')
    expect(dialled.length).toBe(TARGET_PEERS_PER_CHANNEL)
  })

  it('of dead addresses of one channel does not keep another waiting, and is bounded', async () => {
    const rig = newRig({ latencyMs: 30_000 }) // nobody answers in time
    const { node, recorder } = await dialler(rig)
    const full = node.follow(CHANNEL)
    const other = node.follow(OTHER)
    const dead = Array.from({ length: 200 }, (_, number) => ipv4(`9.9.${number}.1`))
    node.swarm.addAddresses(full.channel, dead, 'topic')
    for (let channel = 0; channel < 10; channel++) {
      const { channel: more } = node.follow(new SimChannel(50 + channel))
      node.swarm.addAddresses(more, dead.slice(channel, channel + 50), 'topic')
    }
    await rig.clock.advance(5_000)
    expect(recorder.most).toBeLessThanOrEqual(MAX_DIALS)
    node.swarm.addAddresses(other.channel, [ipv4('8.8.8.8')], 'topic')
    await rig.until(() => recorder.dialled.includes('8.8.8.8:7117'), 30_000)
  })

  it('makes few dials at a time for one channel', async () => {
    const rig = newRig({ latencyMs: 30_000 })
    const { node, recorder } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    for (let number = 0; number < 50; number++) {
      node.swarm.addAddresses(channel, [ipv4(`9.9.${number}.1`)], 'topic')
    }
    await rig.clock.advance(3_000)
    expect(recorder.most).toBe(MAX_DIALS_PER_CHANNEL)
  })

  it('of an address that fails gets rarer and rarer', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    node.swarm.addAddresses(channel, [ipv4('9.9.9.9')], 'topic')
    await rig.clock.advance(3_600_000)
    expect(recorder.dialled.length).toBeLessThan(9) // and then it is forgotten
    node.swarm.addUserAddress(ipv4('9.9.9.8'))
    await rig.clock.advance(3_600_000)
    const tries = recorder.dialled.filter((dialled) => dialled === '9.9.9.8:7117').length
    expect(tries).toBeGreaterThan(3_600_000 / DIAL_BACKOFF_TRUSTED_MS)
    expect(tries).toBeLessThan((3 * 3_600_000) / DIAL_BACKOFF_TRUSTED_MS)
  })

  it('of one that accepts and then behaves badly gets rarer as well', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    const other = await rig.node()
    other.keyring.addChannel(CHANNEL.keys) // it answers, and knows nothing of the channel
    node.swarm.addAddresses(channel, [other.address], 'topic')
    await rig.clock.advance(600_000)
    expect(recorder.dialled.length).toBeGreaterThan(1)
    expect(recorder.dialled.length).toBeLessThan(10)
  })

  it('of one that leaves again and again gets rarer too', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    const address = await listenBare(rig.network, rig.clock, '10.9.0.1', [CHANNEL], (peer) => {
      peer.hello([[CHANNEL, 0]])
      rig.clock.setTimer(() => peer.connection.close('notNeeded'), 1_000)
    })
    node.swarm.addAddresses(channel, [address], 'topic')
    await rig.clock.advance(600_000)
    expect(recorder.dialled.length).toBeGreaterThan(1)
    expect(recorder.dialled.length).toBeLessThan(10)
  })

  it('of an address that is banned does not happen', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig)
    const following = node.follow(CHANNEL)
    void node.fetch(following, RELEASE, 1).catch(() => {}) // ends with the node
    const address = await listenBare(
      rig.network,
      rig.clock,
      '10.9.0.1',
      [CHANNEL],
      (peer) => {
        peer.hello([[CHANNEL, 0]])
        peer.have(CHANNEL, RELEASE, [{ start: 0, length: 1 }])
      },
      { readBlob: async (id) => falseBlob(id) },
    )
    node.swarm.addAddresses(following.channel, [address], 'topic')
    await rig.until(() => node.bans.size > 0)
    await rig.clock.advance(600_000)
    expect(recorder.dialled).toHaveLength(1)
  })

  it('of ourselves happens once, however often we are told of it', async () => {
    const rig = newRig()
    const { node, recorder } = await dialler(rig)
    const { channel } = node.follow(CHANNEL)
    for (let lookup = 0; lookup < 10; lookup++) {
      node.swarm.addAddresses(channel, [node.address], 'topic')
      await rig.clock.advance(60_000)
    }
    expect(recorder.dialled).toEqual(['10.200.0.1:7117'])
    expect(node.swarm.peers.size).toBe(0)
  })

  it('of one node under two addresses leaves one connection, for both channels', async () => {
    const rig = newRig()
    const { node } = await dialler(rig)
    const a = node.follow(CHANNEL)
    const b = node.follow(OTHER)
    const other = await rig.node()
    other.publish(other.follow(CHANNEL), RELEASE, CHANNEL.head(RELEASE, 1))
    other.publish(other.follow(OTHER), RELEASE, OTHER.head(RELEASE, 1))
    node.swarm.addAddresses(a.channel, [other.address], 'topic')
    node.swarm.addAddresses(b.channel, [other.address], 'topic')
    await rig.until(() => a.newest !== null && b.newest !== null)
    await rig.clock.advance(10_000)
    expect(node.swarm.peers.size).toBe(1)
    expect(other.swarm.peers.size).toBe(1)
    // The user's word makes it a peer that stays, and is told of all channels.
    const third = node.follow(new SimChannel(3))
    node.swarm.addUserAddress(other.pinned)
    await rig.clock.advance(10_000)
    expect(node.swarm.peers.size).toBe(1)
    const [peer] = [...node.swarm.peers]
    expect(peer?.byUser).toBe(true)
    expect(peer?.expected.has(third.channel)).toBe(true)
  })

  it('reaches a peer again for a channel that was left while another keeps the connection (C8)', async () => {
    const rig = newRig()
    const { node } = await dialler(rig)
    const other = await rig.node()
    other.publish(other.follow(CHANNEL), RELEASE, CHANNEL.head(RELEASE, 1))
    other.publish(other.follow(OTHER), RELEASE, OTHER.head(RELEASE, 1))
    const stays = node.follow(CHANNEL)
    node.swarm.addAddresses(stays.channel, [other.address], 'link')
    const first = node.follow(OTHER)
    node.swarm.addAddresses(first.channel, [other.address], 'link')
    await rig.until(() => stays.newest !== null && first.newest !== null)
    node.leave(OTHER, first)
    await rig.clock.advance(5_000)
    const again = node.follow(OTHER)
    node.swarm.addAddresses(again.channel, [other.address], 'link')
    await rig.until(() => again.newest !== null, 20_000)
    let isFetched = false
    void node.fetch(again, RELEASE, 1).then(() => {
      isFetched = true
    })
    await rig.until(() => isFetched, 20_000)
    await rig.until(() => node.swarm.peersOf(stays.channel) === 1 && node.swarm.peers.size === 1, 20_000)
  })

  it('of a peer of the user goes on when the connection breaks', async () => {
    const rig = newRig()
    const { node } = await dialler(rig)
    const other = await rig.node()
    node.swarm.addUserAddress(other.pinned)
    await rig.until(() => node.swarm.peers.size === 1)
    await rig.clock.advance(40_000)
    for (const peer of other.swarm.peers) peer.connection.destroy()
    await rig.until(() => node.swarm.peers.size === 0)
    await rig.until(() => node.swarm.peers.size === 1, 10_000)
  })

  it('does not take a peer of the user that knows nothing of a channel for one of its peers', async () => {
    const rig = newRig()
    const { node } = await dialler(rig)
    const followed = node.follow(CHANNEL)
    for (let number = 0; number < TARGET_PEERS_PER_CHANNEL; number++) {
      node.swarm.addUserAddress((await rig.node()).pinned)
    }
    await rig.until(() => node.swarm.peers.size === TARGET_PEERS_PER_CHANNEL)
    const publisher = await rig.node()
    publisher.publish(publisher.follow(CHANNEL), RELEASE, CHANNEL.head(RELEASE, 1))
    node.swarm.addAddresses(followed.channel, [publisher.address], 'topic')
    await rig.until(() => followed.newest !== null, 10_000)
  })

  it('tries others when all whom it dialled give nothing', async () => {
    const rig = newRig()
    const { node } = await dialler(rig)
    const followed = node.follow(CHANNEL)
    const idle: SimNode[] = []
    for (let number = 0; number < TARGET_PEERS_PER_CHANNEL; number++) {
      const other = await rig.node()
      other.follow(CHANNEL)
      idle.push(other)
    }
    node.swarm.addAddresses(
      followed.channel,
      idle.map(({ address }) => address),
      'topic',
    )
    await rig.until(() => node.swarm.peers.size === TARGET_PEERS_PER_CHANNEL)
    let isDone = false
    void node.fetch(followed, RELEASE, 1).then(() => {
      isDone = true
    })
    const seed = await rig.node()
    seed.publish(seed.follow(CHANNEL), RELEASE, CHANNEL.head(RELEASE, 1))
    node.swarm.addAddresses(followed.channel, [seed.address], 'topic')
    await rig.until(() => isDone, 120_000)
  })

  it('ends when the swarm is closed, wherever it stands', async () => {
    for (const afterMs of [0, 5, 15, 25, 35, 45]) {
      const rig = newRig()
      const { node } = await dialler(rig)
      const other = await rig.node()
      other.follow(CHANNEL)
      const followed = node.follow(CHANNEL)
      node.swarm.addAddresses(followed.channel, [other.address], 'topic')
      await rig.clock.advance(afterMs)
      node.kill()
      await rig.clock.advance(6_000)
      expect(node.swarm.peers.size).toBe(0)
      expect(other.swarm.peers.size).toBe(0)
    }
  })
})
