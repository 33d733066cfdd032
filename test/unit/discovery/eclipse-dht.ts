/**
 * A DHT of functions with attackers in it: nodes with Kademlia tables that store what
 * they are given, and evil ones whose ids are the nearest to one slot. Reads and
 * writes are the real walks. The same seed gives the same network.
 */
import { equalBytes, toHex } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { type Random, seededRandom, shuffle } from '../../../src/base/random.ts'
import { dayOf, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import type { Dht, DhtAddress } from '../../../src/discovery/dht.ts'
import {
  announce,
  getMutable,
  lookup,
  putMutable,
  updateMutable,
} from '../../../src/discovery/dht-operations.ts'
import {
  type DhtAnswer,
  type DhtNetwork,
  type DhtReply,
  DhtWalker,
} from '../../../src/discovery/dht-walker.ts'
import type { KrpcArguments } from '../../../src/discovery/krpc.ts'
import { SlotService } from '../../../src/discovery/slot-service.ts'
import { readSlot } from '../../../src/discovery/slots.ts'
import type { WalkNode } from '../../../src/discovery/walk.ts'
import { parseIpv4 } from '../../../src/wire/ip.ts'
import { itemTarget, type MutableItem } from '../../../src/wire/mutable-item.ts'
import { slotKey } from '../../../src/wire/slot.ts'
import { newHead } from './channel-fixture.ts'
import { MemorySlotStore } from './memory-dht.ts'

const NODES = 200
const EVIL = 20
const BUCKET = 8
const REPLICA = 1

/** What evil nodes say of an item: nothing, or the oldest value that they were given. */
export type Evil = 'withhold' | 'replay'

interface Node extends WalkNode {
  readonly isEvil: boolean
  readonly items: Map<string, MutableItem>
  table: readonly Node[]
}

export interface EclipseRun {
  /** The newest release that a new reader finds, 0 for none. */
  readonly release: number
  /** What one finds who reads nothing but the slot that is surrounded. */
  readonly releaseOfEclipsed: number
}

/** Two releases are published while the attackers are there; then somebody who knows nothing reads. */
export async function eclipse(seed: number, evil: Evil): Promise<EclipseRun> {
  const random = seededRandom(seed)
  const clock = new ManualClock(Date.UTC(2026, 0, 1, 12))
  const keys = publisherKeys(random.bytes(32))
  const place = { day: dayOf(clock.now()), replica: REPLICA }
  const eclipsed = slotKey(keys, place)
  const network = new EclipseNetwork(random, evil, itemTarget(eclipsed))
  const publisher = serviceOf(network, clock, random)
  for (const release of [1, 2]) await publisher.publish(keys, newHead(keys, release).bytes, {})
  await publisher.close()
  const reader = serviceOf(network, clock, random)
  const { newest } = await reader.resolve(keys)
  await reader.close()
  const { found } = readSlot(keys, place, await dhtOf(network, clock).getMutable(eclipsed))
  return {
    release: newest?.head.releaseNumber ?? 0,
    releaseOfEclipsed: Math.max(0, ...found.map(({ head }) => head.releaseNumber)),
  }
}

function serviceOf(network: EclipseNetwork, clock: ManualClock, random: Random): SlotService {
  return new SlotService({
    dht: dhtOf(network, clock),
    store: new MemorySlotStore(),
    clock,
    random,
    log: silentLog,
  })
}

function dhtOf(network: EclipseNetwork, clock: ManualClock): Dht {
  const walker = new DhtWalker(network.seenFrom(), clock)
  return {
    nodeCount: NODES,
    isServer: false,
    getMutable: (publicKey, options) => getMutable(walker, publicKey, options),
    putMutable: (item, options) => putMutable(walker, item, options),
    updateMutable: (publicKey, decide, options) => updateMutable(walker, publicKey, decide, options),
    announce: (infohash, port, options) => announce(walker, infohash, port, options),
    lookup: (infohash, onPeer, options) => lookup(walker, infohash, onPeer, options),
    addNode: async () => true,
    nodes: () => [],
    close: async () => walker.close(),
  }
}

class EclipseNetwork {
  readonly #random: Random
  readonly #evil: Evil
  readonly #nodes: Node[] = []
  readonly #byHost = new Map<string, Node>()

  constructor(random: Random, evil: Evil, target: Uint8Array) {
    this.#random = random
    this.#evil = evil
    for (let number = 0; number < NODES; number++) {
      const isEvil = number < EVIL
      const id = random.bytes(20)
      // Nearest to the target but for the last bytes: nearer than any honest node.
      if (isEvil) id.set(target.subarray(0, 16))
      this.#add({
        id,
        host: `9.${number >> 8}.${number & 255}.1`,
        port: 6881,
        isEvil,
        items: new Map(),
        table: [],
      })
    }
    for (const node of this.#nodes)
      node.table = node.isEvil ? this.#nodes.slice(0, EVIL) : this.#tableOf(node.id)
  }

  #add(node: Node): void {
    this.#nodes.push(node)
    this.#byHost.set(node.host, node)
  }

  /** The network as a new node sees it: it knows some nodes by chance. */
  seenFrom(): DhtNetwork {
    const ownId = this.#random.bytes(20)
    const known = this.#tableOf(ownId)
    return {
      ownId,
      ask: async (address, query) => this.#ask(address, query),
      ownReply: () => null,
      tableNodes: (target, count) => nearest(known, target, count),
      isAcceptable: () => true,
      wasSilent: () => false,
      sharesHost: () => false,
    }
  }

  /** Eight nodes of each distance, as Kademlia has it. */
  #tableOf(id: Uint8Array): Node[] {
    const buckets = new Map<number, Node[]>()
    for (const node of shuffle(this.#random, [...this.#nodes])) {
      const at = sharedBits(node.id, id)
      const bucket = buckets.get(at) ?? []
      buckets.set(at, bucket)
      if (bucket.length < BUCKET) bucket.push(node)
    }
    return [...buckets.values()].flat()
  }

  #ask({ host }: DhtAddress, query: KrpcArguments): DhtAnswer {
    const node = this.#byHost.get(host)
    if (node === undefined) return { kind: 'silence' }
    const reply = (fields: Partial<DhtReply>): DhtAnswer => ({
      kind: 'reply',
      reply: {
        id: node.id,
        nodes: new Uint8Array(0),
        token: Uint8Array.of(1),
        peers: [],
        value: null,
        mutable: null,
        ...fields,
      },
    })
    if (query.method === 'get') {
      const nodes = compact(nearest(node.table, query.target, BUCKET))
      const item = node.items.get(toHex(query.target))
      if (item === undefined || (node.isEvil && this.#evil === 'withhold')) return reply({ nodes })
      const { publicKey, seq, signature, value } = item
      return reply({ nodes, value, mutable: { publicKey, seq, signature } })
    }
    if (query.method === 'put' && query.mutable !== null) {
      const { publicKey, seq, signature } = query.mutable
      const key = toHex(itemTarget(publicKey))
      const held = node.items.get(key)
      // The first value is the one that an evil node gives out for ever.
      if (held === undefined || (!node.isEvil && held.seq < seq)) {
        node.items.set(key, { publicKey, seq, signature, value: query.value })
      } else if (!node.isEvil && !(held.seq === seq && equalBytes(held.value, query.value))) {
        return { kind: 'error', code: 302 }
      }
      return reply({})
    }
    return reply({})
  }
}

function nearest(nodes: readonly Node[], target: Uint8Array, count: number): Node[] {
  return [...nodes].sort((a, b) => Buffer.compare(xor(a.id, target), xor(b.id, target))).slice(0, count)
}

function compact(nodes: readonly Node[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      nodes.flatMap(({ id, host, port }) => [
        id,
        parseIpv4(host) ?? new Uint8Array(4),
        Buffer.from([port >> 8, port & 255]),
      ]),
    ),
  )
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ (b[i] as number))
}

function sharedBits(a: Uint8Array, b: Uint8Array): number {
  const different = xor(a, b).findIndex((byte) => byte !== 0)
  if (different < 0) return 160
  return different * 8 + Math.clz32(((a[different] as number) ^ (b[different] as number)) & 0xff) - 24
}
