/**
 * Nodes that are gateways and nodes that ask them, over real handshakes and frames on
 * a network in memory: who is answered, what a gateway sees, and what a circuit is for.
 */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { ManualClock, sleep } from '../../../src/base/clock.ts'
import { DHT_CLOSEST_NODES, PUZZLE_TRIES_FACTOR } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { type Random, seededRandom, systemRandom } from '../../../src/base/random.ts'
import { dayOf, handshakeKey } from '../../../src/crypto/key-schedule.ts'
import { GatewayDht } from '../../../src/discovery/gateway/gateway-dht.ts'
import type { GatewayService } from '../../../src/discovery/gateway/gateway-service.ts'
import { DialledGateways } from '../../../src/swarm/gateway-link.ts'
import type { Circuit } from '../../../src/transport/circuit.ts'
import { Connection } from '../../../src/transport/connection.ts'
import { initiateHandshake } from '../../../src/transport/handshake.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Dialer } from '../../../src/transport/transport.ts'
import { formatPeerAddress, type PeerAddress } from '../../../src/wire/address.ts'
import { MAX_PUBLISH_WORK_BITS, MAX_PUZZLE_MEMORY_KIB } from '../../../src/wire/constants.ts'
import { PUBLISH_OUTCOMES } from '../../../src/wire/message.ts'
import {
  NOON,
  newKey,
  offered,
  outcomeOf,
  quickHash,
  serviceIn,
  signed,
  WORK_BITS,
} from '../discovery/gateway/gateway-rig.ts'
import { MemoryNetwork as MemoryDhtNetwork } from '../discovery/memory-dht.ts'
import { SIM_PORT, SimChannel, SimNode } from './sim-node.ts'

const ERRAND = { purpose: 'slot', subject: 'a test' } as const
/** ms of one try at a puzzle. */
const TRY_MS = 40
const never = (): AbortSignal => new AbortController().signal

class World {
  readonly clock = new ManualClock(NOON)
  readonly network: MemoryNetwork
  readonly dhtNetwork = new MemoryDhtNetwork(this.clock)
  readonly gateways: SimNode[] = []
  readonly services: GatewayService[] = []
  /** Each dial, with what it was for. */
  readonly dialled: { readonly host: string; readonly circuit: Circuit | undefined }[] = []
  readonly link: DialledGateways
  /** Hashes that the asking side has made for puzzles. */
  readonly tries = { made: 0, running: 0, most: 0 }

  constructor() {
    const random: Random = seededRandom(3)
    this.network = new MemoryNetwork(this.clock, random, { latencyMs: 5 })
    const transport = this.network.transport('10.0.0.1')
    const dialer: Dialer = {
      dial: (endpoint, options) => {
        this.dialled.push({ host: endpoint.host, circuit: options.circuit })
        return transport.dial(endpoint, options)
      },
    }
    const resolve = async (): Promise<readonly string[]> => ['10.0.1.0']
    this.link = new DialledGateways({
      dialer,
      resolve,
      clock: this.clock,
      random: systemRandom,
      memoryHash: async (input) => {
        this.tries.made++
        this.tries.running++
        this.tries.most = Math.max(this.tries.most, this.tries.running)
        await sleep(this.clock, TRY_MS)
        this.tries.running--
        return quickHash(input)
      },
      workBits: WORK_BITS,
    })
  }

  async gateway(isGateway = true, workBits = WORK_BITS): Promise<SimNode> {
    const service = serviceIn(this.dhtNetwork, this.clock, { workBits })
    const { clock, network } = this
    const seed = this.gateways.length
    const node = new SimNode({
      clock,
      network,
      host: `10.0.1.${seed}`,
      seed,
      ...(isGateway ? { gateway: () => service } : {}),
    })
    await node.listen()
    this.gateways.push(node)
    this.services.push(service)
    return node
  }

  dht(spreadMs = 100): GatewayDht<PeerAddress> {
    return new GatewayDht({
      gateways: new Map(this.gateways.map(({ pinned }) => [formatPeerAddress(pinned), pinned])),
      link: this.link,
      clock: this.clock,
      random: seededRandom(8),
      log: silentLog,
      spreadMs,
    })
  }

  /** What it comes to, or the code of its error, with time moved on. */
  wait<T>(work: Promise<T>): Promise<T | string> {
    return outcomeOf(this.clock, work)
  }
}

describe('a gateway in the swarm', () => {
  it('takes an item with the work of its connection, puts it, and gives it to whoever asks for the key', async () => {
    const world = new World()
    const { pinned } = await world.gateway()
    const item = signed()
    const answer = await world.wait(world.link.publish(pinned, ERRAND, offered(item), never()))
    expect(answer).toMatchObject({ outcome: 0, nodes: DHT_CLOSEST_NODES })
    const read = await world.wait(world.link.readSlot(pinned, ERRAND, item.publicKey, never()))
    expect(read).toMatchObject({ nearest: DHT_CLOSEST_NODES, items: [{ seq: 1, value: item.value }] })
  })

  it('answers who found it without its key, by name, as well', async () => {
    const world = new World()
    await world.gateway()
    const address = { kind: 'name', host: 'gateway.example', port: SIM_PORT, nodeKey: null } as const
    const read = await world.wait(world.link.readSlot(address, ERRAND, newKey().publicKey, never()))
    expect(read).toEqual({ nearest: DHT_CLOSEST_NODES, items: [] })
  })

  it('must prove the key of its address', async () => {
    const world = new World()
    const { address } = await world.gateway()
    const wrong = { ...address, nodeKey: newKey().publicKey }
    const failing = world.wait(world.link.readSlot(wrong, ERRAND, newKey().publicKey, never()))
    await world.clock.advance(60_000)
    expect(await failing).toMatch(/^ERR_(?:TIMEOUT|HANDSHAKE_FAILED|CONNECTION_CLOSED)$/)
  })

  it('is seen as none when it is none', async () => {
    const world = new World()
    const { pinned } = await world.gateway(false)
    const link = world.link
    const topic = new Uint8Array(20).fill(9)
    expect([
      await world.wait(link.publish(pinned, ERRAND, offered(signed()), never())),
      await world.wait(link.readSlot(pinned, ERRAND, newKey().publicKey, never())),
      await world.wait(link.findPeers(pinned, ERRAND, topic, never())),
    ]).toEqual(['ERR_REMOTE_REFUSED', 'ERR_REMOTE_REFUSED', 'ERR_REMOTE_NOT_FOUND'])
  })

  it('is none to a peer that comes under the key of a channel', async () => {
    const world = new World()
    const gateway = await world.gateway()
    const channel = new SimChannel(1)
    gateway.follow(channel)
    const dialling = world.network
      .transport('10.0.0.1')
      .dial({ host: gateway.host, port: SIM_PORT }, { timeoutMs: 1000 })
    await world.clock.advance(100)
    const securing = initiateHandshake(await dialling, {
      psk: handshakeKey(channel.keys.secret, dayOf(world.clock.now())),
      purpose: { kind: 'channel', channel: channel.keys },
      dialled: null,
      expectedNodeKey: null,
      nodeKey: null,
      clock: world.clock,
      random: systemRandom,
    })
    await world.clock.advance(100)
    const { channel: pipe, early } = await securing
    const connection = new Connection(pipe, world.clock)
    connection.start(
      { onNotice: () => {}, readBlob: async () => null, readHead: () => null, onClose: () => {} },
      early,
    )
    expect(await world.wait(connection.requestSlot(newKey().publicKey))).toBe('ERR_REMOTE_REFUSED')
  })

  it('gives peers of the DHT to those that ask for a topic', async () => {
    const world = new World()
    const { pinned } = await world.gateway()
    const topic = new Uint8Array(20).fill(9)
    const publicPeer = { kind: 'ipv4', host: '192.0.2.1', port: 7117 }
    await world.dhtNetwork.dht().announce(topic, 7117)
    const found = await world.wait(world.link.findPeers(pinned, ERRAND, topic, never()))
    // 192.0.2.0/24 is for documents: no public address, so it is told to nobody.
    expect(found).toEqual([])
    const [nearest] = world.dhtNetwork.nearest(topic)
    nearest?.peers.set(toHex(topic), [{ host: '9.9.9.9', port: 7117 }])
    const more = await world.wait(world.link.findPeers(pinned, ERRAND, topic, never()))
    expect(more).toEqual([{ ...publicPeer, host: '9.9.9.9' }])
  })

  it('that asks for more work than everybody does gets it', async () => {
    const world = new World()
    const { pinned } = await world.gateway(true, WORK_BITS + 10)
    const answer = await world.wait(world.link.publish(pinned, ERRAND, offered(signed()), never()))
    expect(answer).toMatchObject({ outcome: 0 })
  })

  it('asks for a puzzle under load, and gets it solved, one try at a time for all items', async () => {
    const world = new World()
    const { pinned } = await world.gateway()
    const [service] = world.services
    Object.defineProperty(service, 'puzzle', { get: () => ({ memoryKib: 16_384, passes: 1, bits: 3 }) })
    const publishing = [1, 2, 3].map(() => world.link.publish(pinned, ERRAND, offered(signed()), never()))
    const answers = await world.wait(Promise.all(publishing))
    expect(answers).toMatchObject([{ outcome: 0 }, { outcome: 0 }, { outcome: 0 }])
    expect(world.tries.most).toBe(1)
  })

  it.each([
    ['more memory than we lend', { memoryKib: MAX_PUZZLE_MEMORY_KIB + 1, passes: 1, bits: 0 }],
    ['more time', { memoryKib: 16_384, passes: 1, bits: 9 }],
    ['more passes', { memoryKib: MAX_PUZZLE_MEMORY_KIB, passes: 65, bits: 0 }],
    ['what has no solution', { memoryKib: 8, passes: 1, bits: 255 }],
    ['what is no argon2id', { memoryKib: 7, passes: 1, bits: 1 }],
  ])('that asks for %s has not one try made', async (_name, puzzle) => {
    const world = new World()
    const { pinned } = await world.gateway()
    const [service] = world.services
    Object.defineProperty(service, 'puzzle', { get: () => puzzle })
    const answer = await world.wait(world.link.publish(pinned, ERRAND, offered(signed()), never()))
    expect(answer).toMatchObject({ outcome: PUBLISH_OUTCOMES.puzzle, puzzle })
    expect(world.tries.made).toBe(0)
  })

  it('that asks again and again has one puzzle solved', async () => {
    const world = new World()
    const { pinned } = await world.gateway()
    const [service] = world.services
    if (service === undefined) throw new Error('no gateway')
    const puzzle = { memoryKib: 8, passes: 1, bits: 1 }
    let asked = 0
    service.publish = async () => {
      asked++
      return { outcome: PUBLISH_OUTCOMES.puzzle, workBits: 0, nodes: 0, highestSeq: 0, puzzle }
    }
    const answer = await world.wait(world.link.publish(pinned, ERRAND, offered(signed()), never()))
    expect([answer, asked]).toMatchObject([{ outcome: PUBLISH_OUTCOMES.puzzle }, 2])
  })

  it('that asks for a puzzle without end has no more than so many tries', async () => {
    const world = new World()
    const { pinned } = await world.gateway()
    const [service] = world.services
    Object.defineProperty(service, 'puzzle', { get: () => ({ memoryKib: 8, passes: 1, bits: 2 }) })
    const link = new DialledGateways({
      dialer: world.network.transport('10.0.0.2'),
      ...{ resolve: null, clock: world.clock, random: systemRandom, workBits: WORK_BITS },
      memoryHash: async () => {
        world.tries.made++
        return new Uint8Array(32).fill(255)
      },
    })
    const failing = link.publish(pinned, ERRAND, offered(signed()), never())
    expect(await world.wait(failing)).toBe('ERR_REMOTE_REFUSED')
    expect(world.tries.made).toBe(4 * PUZZLE_TRIES_FACTOR)
  })

  it('that asks for a puzzle and goes away has no more of it done', async () => {
    const world = new World()
    const { pinned, swarm } = await world.gateway()
    const [service] = world.services
    Object.defineProperty(service, 'puzzle', { get: () => ({ memoryKib: 8, passes: 1, bits: 16 }) })
    const failing = world.link.publish(pinned, ERRAND, offered(signed()), never())
    world.clock.setTimer(() => swarm.destroy(), 1000)
    expect(await world.wait(failing)).toBe('ERR_CONNECTION_CLOSED')
    expect(world.tries.made).toBeLessThan(2000 / TRY_MS)
  })

  it('that asks for all the work there is and goes away has none done', async () => {
    const world = new World()
    const { pinned, swarm } = await world.gateway()
    const [service] = world.services
    if (service === undefined) throw new Error('no gateway')
    service.publish = async () => {
      world.clock.setTimer(() => swarm.destroy(), 5) // a few thousand tries, of sixteen million
      return { outcome: PUBLISH_OUTCOMES.work, workBits: MAX_PUBLISH_WORK_BITS, nodes: 0, highestSeq: 0 }
    }
    const failing = world.link.publish(pinned, ERRAND, offered(signed()), never())
    expect(await world.wait(failing)).toBe('ERR_CONNECTION_CLOSED')
    expect(world.clock.monotonicMs()).toBeLessThan(1000)
  })

  it('hears no channel and no key of a node, and is left when it has answered', async () => {
    const world = new World()
    const { pinned, secured, swarm } = await world.gateway()
    await world.wait(world.link.readSlot(pinned, ERRAND, newKey().publicKey, never()))
    await world.clock.advance(1000)
    expect(secured.map(({ remoteNodeKey, purpose }) => [remoteNodeKey, purpose.kind])).toEqual([
      [null, 'node'],
    ])
    expect(swarm.peers.size).toBe(0)
  })

  it('that says nothing keeps nobody for ever', async () => {
    const world = new World()
    const { pinned } = await world.gateway()
    const [service] = world.services
    if (service !== undefined) service.readSlot = () => new Promise(() => {})
    expect(await world.wait(world.link.readSlot(pinned, ERRAND, newKey().publicKey, never()))).toMatch(
      /^ERR_(?:TIMEOUT|CONNECTION_CLOSED)$/,
    )
  })
})

describe('the DHT through gateways, over connections', () => {
  it('stores and reads, and has a circuit for each errand', async () => {
    const world = new World()
    for (let i = 0; i < 3; i++) await world.gateway()
    const dht = world.dht()
    const items = [signed(), signed(), signed()]
    const puts = await Promise.all(items.map((item) => world.wait(dht.putMutable(item))))
    expect(puts).toMatchObject(items.map(() => ({ storedBy: DHT_CLOSEST_NODES, newer: null })))
    await world.wait(dht.lookup(new Uint8Array(20), () => {}))
    const circuits = world.dialled.map(({ circuit }) => circuit)
    const texts = circuits.map((circuit) => `${circuit?.purpose} ${circuit?.subject}`)
    expect(new Set(texts).size).toBe(texts.length)
    expect(circuits.filter((circuit) => circuit?.purpose === 'slot')).toHaveLength(6)
    expect(circuits.every((circuit) => circuit?.day === dayOf(NOON))).toBe(true)
    // No two connections of one slot, and no two puts of the three, to one gateway.
    const hostsOf = (verb: string): string[] =>
      world.dialled.filter(({ circuit }) => circuit?.subject.startsWith(verb)).map(({ host }) => host)
    expect(new Set(hostsOf('put')).size).toBe(3)
  })

  it('finds out a gateway that only says that it has stored an item, within the three puts of a day', async () => {
    const world = new World()
    for (let i = 0; i < 3; i++) await world.gateway()
    const [liar] = world.services
    if (liar !== undefined) {
      liar.publish = async () => ({ outcome: 0, workBits: 0, nodes: 8, highestSeq: 0 })
    }
    const dht = world.dht()
    for (let replica = 0; replica < 3; replica++) {
      const item = signed()
      expect(await world.wait(dht.putMutable(item))).toMatchObject({ storedBy: DHT_CLOSEST_NODES })
      expect(world.dhtNetwork.holders(item.publicKey)).toBe(DHT_CLOSEST_NODES)
    }
    expect(dht.usable).toBe(2)
  })
})
