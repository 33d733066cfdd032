/** Peers that find each other through one that all of them know, and what strangers learn that way. */
import { describe, expect, it } from 'vitest'
import { ANCHOR_AGE_MS, ANCHOR_SAVE_MS, PEX_ANSWER_BURST, PEX_FRESH_MS } from '../../../src/base/limits.ts'
import { dayOf, topic } from '../../../src/crypto/key-schedule.ts'
import type { PeerAddress } from '../../../src/wire/address.ts'
import { addressClass } from '../../../src/wire/address-class.ts'
import { DAY_MS } from '../../../src/wire/constants.ts'
import { type Rig, useRigs } from './rig.ts'
import { type Following, SIM_PORT, SimChannel, type SimNode, type SimNodeOptions } from './sim-node.ts'
import { listenBare, SimPeer } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const OTHER = new SimChannel(2)
const newRig = useRigs()

interface Member {
  readonly node: SimNode
  readonly following: Following
}

async function member(rig: Rig, change: Partial<SimNodeOptions> = {}): Promise<Member> {
  const node = await rig.node(change)
  return { node, following: node.follow(CHANNEL) }
}

/** Hosts of the members that a node is connected to, whoever dialled. */
function hostsOf({ node, following }: Member): Set<string> {
  const hosts = [...node.swarm.peers]
    .filter((peer) => peer.shared.get(following.channel)?.isMutual)
    .map((peer) => peer.init.remote.host)
  return new Set(hosts)
}

function knows(from: Member, to: readonly Member[]): boolean {
  return to.every(({ node }) => node === from.node || hostsOf(from).has(node.host))
}

function tell({ node, following }: Member, address: PeerAddress): void {
  node.swarm.addAddresses(following.channel, [address], 'link')
}

function topicOf(rig: Rig, channel: SimChannel, days = 0): Uint8Array {
  return topic(channel.keys.secret, dayOf(rig.clock.now()) + days)
}

describe('members of a channel', () => {
  it('who know one node that nobody else told of find each other', async () => {
    const rig = newRig()
    const hub = await member(rig)
    const others: Member[] = []
    for (let i = 0; i < 4; i++) others.push(await member(rig))
    for (const other of others) tell(other, hub.node.address)
    await rig.until(() => others.every((other) => knows(other, [hub, ...others])))
    // The hub met them at their claims, and keeps one connection with each.
    await rig.until(() => hub.node.swarm.peers.size === others.length)
    await rig.clock.advance(20_000)
    expect(hub.node.swarm.peers.size).toBe(others.length)
    expect(hub.following.channel.addresses.fresh(rig.clock.monotonicMs()).length).toBe(others.length)
  })

  it('still find each other by way of one whom they dialled, when nobody says where he listens', async () => {
    const rig = newRig()
    const [first, hub, last] = [
      await member(rig, { listenPort: 0 }),
      await member(rig, { listenPort: 0 }),
      await member(rig, { listenPort: 0 }),
    ]
    tell(hub, first.node.address)
    await rig.until(() => knows(hub, [first]))
    tell(last, hub.node.address)
    await rig.until(() => knows(last, [first, hub]))
  })

  it('who find each other at one time have one connection each way at the most', async () => {
    const rig = newRig()
    const members: Member[] = []
    for (let i = 0; i < 4; i++) members.push(await member(rig))
    for (const each of members) {
      for (const other of members) if (other !== each) tell(each, other.node.address)
    }
    // Initiators show no key: where both dialled before either said where it listens, nobody sees that.
    for (let look = 0; look < 8; look++) {
      await rig.clock.advance(look === 0 ? 5_000 : PEX_FRESH_MS / 2)
      for (const each of members) {
        const { peers } = each.node.swarm
        const dialled = [...peers].filter(({ direction }) => direction === 'out')
        expect(new Set(dialled.map(({ init }) => init.remote.host)).size).toBe(dialled.length)
        expect(peers.size).toBeLessThanOrEqual(2 * (members.length - 1))
        expect(knows(each, members)).toBe(true)
      }
    }
  })

  it('of whom one came later and said where it listens keep one connection', async () => {
    const rig = newRig()
    const [early, late] = [await member(rig), await member(rig)]
    tell(late, early.node.address)
    await rig.clock.advance(20_000) // its first question has told where it listens
    tell(early, late.node.address)
    for (let look = 0; look < 8; look++) {
      await rig.clock.advance(PEX_FRESH_MS / 2 - 7_000)
      expect([early, late].map(({ node }) => node.swarm.peers.size)).toEqual([1, 1])
    }
  })

  it('are told anew of who came later', async () => {
    const rig = newRig()
    const hub = await member(rig)
    const early = await member(rig)
    tell(early, hub.node.address)
    await rig.clock.advance(60_000)
    const late = await member(rig)
    tell(late, hub.node.address)
    await rig.until(() => knows(late, [early, hub]) && knows(early, [late]))
  })
})

describe('FIND_PEERS', () => {
  async function met(
    rig: Rig,
    change: Partial<SimNodeOptions> = {},
  ): Promise<{ hub: Member; asker: SimPeer }> {
    const hub = await member(rig, change)
    const asker = await SimPeer.dial(hub.node, CHANNEL)
    asker.hello([[CHANNEL, 0]])
    await rig.clock.advance(1_000)
    return { hub, asker }
  }

  const codeOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'answered',
      (error: { code: string }) => error.code,
    )

  it('is answered for a channel that both have shown, by yesterday’s to tomorrow’s topic, and for no other', async () => {
    const rig = newRig()
    const { hub, asker } = await met(rig)
    hub.node.follow(OTHER)
    const codes: Promise<string>[] = [-2, -1, 0, 1, 2].map((days) =>
      codeOf(asker.connection.requestPeers(topicOf(rig, CHANNEL, days), 0)),
    )
    codes.push(codeOf(asker.connection.requestPeers(topicOf(rig, OTHER), 0)))
    await rig.clock.advance(1_000)
    expect(await Promise.all(codes)).toEqual([
      'ERR_REMOTE_NOT_FOUND',
      'answered',
      'answered',
      'answered',
      'ERR_REMOTE_NOT_FOUND',
      'ERR_REMOTE_NOT_FOUND',
    ])
    // Midnight passes: what was tomorrow is today.
    await rig.clock.advance(DAY_MS / 2 + 1_000)
    const late = codeOf(asker.connection.requestPeers(topicOf(rig, CHANNEL, 1), 0))
    await rig.clock.advance(1_000)
    expect(await late).toBe('answered')
  })

  it('brings nothing before HELLO has shown the channel', async () => {
    const rig = newRig()
    const hub = await member(rig)
    const asker = await SimPeer.dial(hub.node, CHANNEL)
    const code = codeOf(asker.connection.requestPeers(topicOf(rig, CHANNEL), 0))
    await rig.clock.advance(1_000)
    expect(await code).toBe('ERR_REMOTE_NOT_FOUND')
  })

  it('brings nothing of a channel that only the one who asks has shown yet', async () => {
    const rig = newRig()
    const hub = await member(rig)
    hub.node.follow(OTHER)
    const asker = await SimPeer.dial(hub.node, CHANNEL)
    asker.hello([[CHANNEL, 0]])
    await rig.until(() => asker.hellos.length === 1, 20)
    // The answer to this HELLO comes MIN_HELLO_INTERVAL_MS after the last one.
    asker.hello([[OTHER, 0]])
    const early = codeOf(asker.connection.requestPeers(topicOf(rig, OTHER), 0))
    await rig.until(() => asker.hellos.length === 2)
    const late = codeOf(asker.connection.requestPeers(topicOf(rig, OTHER), 0))
    await rig.clock.advance(1_000)
    expect([await early, await late]).toEqual(['ERR_REMOTE_NOT_FOUND', 'answered'])
  })

  it('brings nothing of a channel that one shows whom the node dialled for another', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.follow(OTHER)
    const askers: SimPeer[] = []
    const address = await listenBare(rig.network, rig.clock, '10.88.0.1', [CHANNEL], (peer) => {
      askers.push(peer)
      peer.hello([
        [CHANNEL, 0],
        [OTHER, 0],
      ])
    })
    node.swarm.addAddresses(following.channel, [address], 'topic')
    await rig.until(() => askers[0] !== undefined && askers[0].hellos.length > 0)
    await rig.clock.advance(1_000)
    const [asker] = askers
    if (asker === undefined) throw new Error('not dialled')
    const codes = [CHANNEL, OTHER].map((channel) =>
      codeOf(asker.connection.requestPeers(topicOf(rig, channel), 0)),
    )
    await rig.clock.advance(1_000)
    expect(await Promise.all(codes)).toEqual(['answered', 'ERR_REMOTE_NOT_FOUND'])
  })

  it('brings what the node has met members at, and never what it was only told of', async () => {
    const rig = newRig()
    const { hub, asker } = await met(rig)
    const real = await member(rig, { listenPort: 0 })
    const dead = Array.from({ length: 30 }, (_, i) => ({ ...real.node.address, host: `10.77.${i}.1` }))
    hub.node.swarm.addAddresses(hub.following.channel, dead, 'topic')
    hub.node.swarm.addAddresses(hub.following.channel, [real.node.address], 'topic')
    await rig.until(() => knows(hub, [real]))
    // A stranger at an address that answers the handshake, and shows no channel.
    const stranger = await listenBare(rig.network, rig.clock, '10.88.0.1', [CHANNEL], () => {})
    hub.node.swarm.addAddresses(hub.following.channel, [stranger], 'topic')
    await rig.clock.advance(5_000)
    const asked = asker.connection.requestPeers(topicOf(rig, CHANNEL), 0)
    await rig.clock.advance(1_000)
    expect((await asked).map(({ host }) => host)).toEqual([real.node.host])
  })

  it('brings no address of our network to somebody who is not in it', async () => {
    const rig = newRig()
    const hub = await member(rig, { host: '9.9.9.9' })
    const inside = await member(rig, { host: '192.168.0.7', listenPort: 0 })
    const outside = await member(rig, { host: '8.8.8.8', listenPort: 0 })
    for (const { node } of [inside, outside]) {
      hub.node.swarm.addAddresses(hub.following.channel, [node.address], 'user')
    }
    await rig.until(() => knows(hub, [inside, outside]))
    const ask = async (host: string): Promise<string[]> => {
      const asker = await SimPeer.dial(hub.node, CHANNEL, {}, host)
      asker.hello([[CHANNEL, 0]])
      await rig.clock.advance(1_000)
      const asked = asker.connection.requestPeers(topicOf(rig, CHANNEL), 0)
      await rig.clock.advance(1_000)
      return (await asked).map(({ host: told }) => told).sort()
    }
    expect(await ask('7.7.7.7')).toEqual(['8.8.8.8'])
    expect(await ask('192.168.0.9')).toEqual(['192.168.0.7', '8.8.8.8'])
  })

  it('over its rate is answered busy', async () => {
    const rig = newRig()
    const { asker } = await met(rig)
    const codes: string[] = []
    for (let i = 0; i < PEX_ANSWER_BURST + 5; i++) {
      const code = codeOf(asker.connection.requestPeers(topicOf(rig, CHANNEL), 0))
      await rig.clock.advance(50)
      codes.push(await code)
    }
    expect(codes.filter((code) => code === 'answered').length).toBeLessThanOrEqual(PEX_ANSWER_BURST + 2)
    expect(codes.at(-1)).toBe('ERR_REMOTE_BUSY')
  })
})

describe('what peers tell', () => {
  /** A node that is connected to one that tells it these addresses, and what it dials. */
  async function told(rig: Rig, hosts: readonly [string, number][], change: Partial<SimNodeOptions> = {}) {
    const dialled: string[] = []
    const inner = rig.network.transport('10.200.0.1')
    const node = await member(rig, {
      host: '10.200.0.1',
      transport: {
        listen: (endpoint, onStream) => inner.listen(endpoint, onStream),
        dial: (endpoint, options) => {
          dialled.push(`${endpoint.host}:${endpoint.port}`)
          return inner.dial(endpoint, options)
        },
      },
      ...change,
    })
    const addresses = hosts.map(([host, port]) => ({
      kind: host.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
      host,
      port,
    }))
    const liar = await listenBare(
      rig.network,
      rig.clock,
      '10.88.0.1',
      [CHANNEL],
      (peer) => peer.hello([[CHANNEL, 0]]),
      { readPeers: () => addresses },
    )
    node.node.swarm.addAddresses(node.following.channel, [liar], 'user')
    await rig.clock.advance(60_000)
    return dialled.filter((text) => text !== '10.88.0.1:7117')
  }

  const publicOnly: Partial<SimNodeOptions> = {
    isAcceptable: (address) => addressClass(address) === 'public',
  }

  it('is dialled only where it is public, and at no port of another service', async () => {
    const bad: [string, number][] = [
      ['127.0.0.1', SIM_PORT],
      ['10.0.0.1', SIM_PORT],
      ['192.168.1.1', SIM_PORT],
      ['169.254.169.254', SIM_PORT],
      ['0.0.0.0', SIM_PORT],
      ['224.0.0.1', SIM_PORT],
      ['::1', SIM_PORT],
      ['fe80::1', SIM_PORT],
      ['9.9.9.9', 25],
      ['9.9.9.9', 22],
      ['9.9.9.9', 6379],
      ['9.9.9.9', 9051],
    ]
    expect(await told(newRig(), bad, publicOnly)).toEqual([])
    // The control: the same way an address that is fine is dialled.
    const dialled = await told(newRig(), [...bad, ['9.9.9.9', SIM_PORT]], publicOnly)
    expect(new Set(dialled)).toEqual(new Set(['9.9.9.9:7117']))
  })

  it('as the place where it listens is dialled at its own address, once, and believed when it is true', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const before = rig.clock.monotonicMs()
    const liar = await SimPeer.dial(node, CHANNEL, {}, '172.20.0.1')
    liar.hello([[CHANNEL, 0]])
    await rig.clock.advance(1_000)
    for (const port of [4_001, 4_002, 4_003, 22]) {
      void liar.connection.requestPeers(topicOf(rig, CHANNEL), port).catch(() => {})
    }
    await rig.clock.advance(60_000)
    expect(following.channel.addresses.size).toBe(1)
    expect(following.channel.addresses.fresh(before)).toEqual([])
  })
})

describe('a claim that was true', () => {
  it('is looked at again when it is no longer fresh, and not before', async () => {
    const rig = newRig()
    const hub = await member(rig)
    const other = await member(rig)
    tell(other, hub.node.address)
    await rig.until(() => other.node.secured.length === 1)
    await rig.clock.advance(PEX_FRESH_MS - 120_000)
    expect(other.node.secured.length).toBe(1)
    await rig.clock.advance(240_000)
    expect(other.node.secured.length).toBe(2)
    expect(hostsOf(hub)).toEqual(new Set([other.node.host]))
  })
})

describe('anchors', () => {
  it('are written down, and dialled after a restart by a node that knows nobody else', async () => {
    const rig = newRig()
    const anchors = new Map<string, readonly string[]>()
    const others: Member[] = []
    for (let i = 0; i < 3; i++) others.push(await member(rig, { host: `9.${i}.0.1` }))
    const first = await member(rig, { host: '8.0.0.1', anchors })
    for (const { node } of others)
      first.node.swarm.addAddresses(first.following.channel, [node.address], 'topic')
    await rig.until(() => knows(first, others))
    expect(anchors.size).toBe(0)
    await rig.clock.advance(ANCHOR_AGE_MS + ANCHOR_SAVE_MS + 1_000)
    expect([...anchors.values()].flat().length).toBe(3)
    first.node.kill()
    const again = await member(rig, { host: '8.0.0.2', anchors })
    await rig.until(() => knows(again, others), 5_000)
    // One that is alone for a while does not forget them.
    for (const { node } of others) node.kill()
    await rig.clock.advance(3 * ANCHOR_AGE_MS)
    expect([...anchors.values()].flat().length).toBe(3)
  })

  it('that cannot be dialled any more by this node are left alone', async () => {
    const rig = newRig()
    const anchors = new Map([
      [
        CHANNEL.keys.publicKey.reduce((text, byte) => text + byte.toString(16).padStart(2, '0'), ''),
        ['192.168.0.1:7117', 'host.example:7117', 'nonsense', '9.9.9.9:80'],
      ],
    ])
    const { following } = await member(rig, {
      host: '8.0.0.1',
      anchors,
      isAcceptable: (address) => addressClass(address) === 'public',
    })
    expect(following.channel.addresses.size).toBe(1)
  })
})
