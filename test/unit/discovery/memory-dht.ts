/**
 * A DHT in memory on a clock that tests move: nodes that hold items and peers for two
 * hours, take the newer of two, and can be replaced. Operations settle at once.
 */
import { randomBytes } from 'node:crypto'
import { compareBytes, equalBytes, toHex } from '../../../src/base/bytes.ts'
import type { Clock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { DHT_CLOSEST_NODES } from '../../../src/base/limits.ts'
import type { Dht, DhtAddress, DhtCandidate, DhtGetResult, DhtPutResult } from '../../../src/discovery/dht.ts'
import type { SlotRecord, SlotStore } from '../../../src/discovery/slot-record.ts'
import { isValidItem, itemTarget, type MutableItem } from '../../../src/wire/mutable-item.ts'

interface MemoryNode {
  readonly id: Uint8Array
  readonly items: Map<string, { item: MutableItem; atMs: number }>
  readonly peers: Map<string, DhtAddress[]>
}

const TWO_HOURS_MS = 7_200_000

export class MemoryNetwork {
  nodes: MemoryNode[] = []
  /** Every put that reached a node, in order: `atMs` is wall time. */
  readonly puts: { readonly item: MutableItem; readonly atMs: number }[] = []
  readonly announces: { readonly infohash: Uint8Array; readonly port: number; readonly atMs: number }[] = []
  reads = 0
  readonly #clock: Clock
  readonly #nearest = new Map<string, readonly MemoryNode[]>()
  readonly #verdicts = new WeakMap<MutableItem, boolean>()

  constructor(clock: Clock, count = 30) {
    this.#clock = clock
    this.addNodes(count)
  }

  addNodes(count: number): void {
    this.#nearest.clear()
    for (let i = 0; i < count; i++) {
      this.nodes.push({ id: randomBytes(20), items: new Map(), peers: new Map() })
    }
  }

  /** Every node goes, and takes what it holds along. */
  replaceAll(): void {
    const count = this.nodes.length
    this.nodes = []
    this.addNodes(count)
  }

  /** The nearest nodes to the item of a key. */
  nearestTo(publicKey: Uint8Array): readonly MemoryNode[] {
    return this.nearest(itemTarget(publicKey))
  }

  nearest(target: Uint8Array): readonly MemoryNode[] {
    const key = toHex(target)
    const known = this.#nearest.get(key)
    if (known !== undefined) return known
    const distance = (id: Uint8Array): Uint8Array => id.map((byte, i) => byte ^ (target[i] ?? 0))
    const nearest = [...this.nodes]
      .sort((a, b) => compareBytes(distance(a.id), distance(b.id)))
      .slice(0, DHT_CLOSEST_NODES)
    this.#nearest.set(key, nearest)
    return nearest
  }

  /** What a node holds of a key, if its time is not over. */
  held(node: MemoryNode, publicKey: Uint8Array): MutableItem | null {
    const entry = node.items.get(toHex(publicKey))
    return entry !== undefined && this.#clock.now() - entry.atMs < TWO_HOURS_MS ? entry.item : null
  }

  /** Nodes that hold an item of that key. */
  holders(publicKey: Uint8Array): number {
    return this.nodes.filter((node) => this.held(node, publicKey) !== null).length
  }

  /** Put past everybody: as a node that lies, or another holder of the key, would. */
  plant(item: MutableItem, count = DHT_CLOSEST_NODES): void {
    for (const node of this.nearestTo(item.publicKey).slice(0, count)) {
      node.items.set(toHex(item.publicKey), { item, atMs: this.#clock.now() })
    }
  }

  read(publicKey: Uint8Array): DhtGetResult {
    this.reads++
    const nearest = this.nearestTo(publicKey)
    const items = nearest.map((node) => this.held(node, publicKey)).filter((item) => item !== null)
    const candidates: DhtCandidate[] = []
    let refused = 0
    for (const item of new Set(items)) {
      const sameAs = (other: MutableItem): boolean =>
        other.seq === item.seq && equalBytes(other.value, item.value)
      if (candidates.some((known) => sameAs(known.item))) continue
      const isValid = this.#verdicts.get(item) ?? isValidItem(item)
      this.#verdicts.set(item, isValid)
      if (isValid) candidates.push({ item, holders: items.filter(sameAs).length })
      else refused++
    }
    candidates.sort((a, b) => b.item.seq - a.item.seq || b.holders - a.holders)
    return { candidates, refused, asked: nearest.length, replied: nearest.length, nearest: nearest.length }
  }

  /** As libtorrent: a higher seq replaces, the same value again is refreshed, all else is refused. */
  write(item: MutableItem): DhtPutResult {
    const highest = this.read(item.publicKey).candidates[0]
    if (highest !== undefined && highest.item.seq > item.seq) {
      return { storedBy: 0, alreadyHeldBy: 0, asked: 0, newer: highest.item }
    }
    this.puts.push({ item, atMs: this.#clock.now() })
    const nearest = this.nearestTo(item.publicKey)
    let storedBy = 0
    for (const node of nearest) {
      const held = this.held(node, item.publicKey)
      const isSame = held !== null && held.seq === item.seq && equalBytes(held.value, item.value)
      if (held !== null && held.seq >= item.seq && !isSame) continue
      node.items.set(toHex(item.publicKey), { item, atMs: this.#clock.now() })
      storedBy++
    }
    return { storedBy, alreadyHeldBy: 0, asked: nearest.length, newer: null }
  }

  dht(): MemoryDht {
    return new MemoryDht(this, this.#clock)
  }
}

export class MemoryDht implements Dht {
  readonly isServer = false
  isReachable = true
  readonly #network: MemoryNetwork
  readonly #clock: Clock

  constructor(network: MemoryNetwork, clock: Clock) {
    this.#network = network
    this.#clock = clock
  }

  get nodeCount(): number {
    return this.isReachable ? this.#network.nodes.length : 0
  }

  async getMutable(publicKey: Uint8Array, options?: { signal?: AbortSignal }): Promise<DhtGetResult> {
    throwIfAborted(options?.signal)
    if (!this.isReachable) return { candidates: [], refused: 0, asked: 0, replied: 0, nearest: 0 }
    return this.#network.read(publicKey)
  }

  async putMutable(item: MutableItem, options?: { signal?: AbortSignal }): Promise<DhtPutResult> {
    throwIfAborted(options?.signal)
    if (!this.isReachable) return { storedBy: 0, alreadyHeldBy: 0, asked: 0, newer: null }
    return this.#network.write(item)
  }

  async updateMutable(
    publicKey: Uint8Array,
    decide: (read: DhtGetResult) => MutableItem | null,
    options?: { signal?: AbortSignal },
  ): Promise<{ read: DhtGetResult; put: DhtPutResult | null }> {
    const read = await this.getMutable(publicKey, options)
    const item = decide(read)
    return { read, put: item === null ? null : await this.putMutable(item, options) }
  }

  async announce(
    infohash: Uint8Array,
    port: number,
    options: { signal?: AbortSignal; onPeer?: (peer: DhtAddress) => void } = {},
  ): Promise<{ storedBy: number }> {
    throwIfAborted(options.signal)
    if (!this.isReachable) return { storedBy: 0 }
    await this.lookup(infohash, options.onPeer ?? (() => {}), options)
    this.#network.announces.push({ infohash, port, atMs: this.#clock.now() })
    const nearest = this.#network.nearest(infohash)
    for (const { peers } of nearest) {
      const known = peers.get(toHex(infohash)) ?? []
      if (!known.some((peer) => peer.port === port))
        peers.set(toHex(infohash), [...known, { host: '192.0.2.1', port }])
    }
    return { storedBy: nearest.length }
  }

  async lookup(
    infohash: Uint8Array,
    onPeer: (peer: DhtAddress) => void,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ peers: number }> {
    throwIfAborted(options.signal)
    const [nearest] = this.isReachable ? this.#network.nearest(infohash) : []
    const peers = nearest?.peers.get(toHex(infohash)) ?? []
    peers.forEach(onPeer)
    return { peers: peers.length }
  }

  async addNode(): Promise<boolean> {
    return true
  }

  nodes(): readonly DhtAddress[] {
    return []
  }

  async close(): Promise<void> {}
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new MegatorrentError('ERR_ABORTED', 'stopped')
}

/** Slots kept in memory: what a database is to a service that restarts. */
export class MemorySlotStore implements SlotStore {
  readonly records = new Map<string, SlotRecord>()
  /** Called for each save, before it counts. */
  onSave: ((record: SlotRecord) => void) | null = null

  highest(slotKey: Uint8Array): SlotRecord | null {
    return this.records.get(toHex(slotKey)) ?? null
  }

  save(record: SlotRecord): boolean {
    this.onSave?.(record)
    const held = this.highest(record.slotKey)
    if (held !== null && held.seq >= record.seq) return false
    this.records.set(toHex(record.slotKey), record)
    return true
  }

  prune(beforeDay: number): number {
    const before = this.records.size
    for (const [key, { day }] of this.records) if (day < beforeDay) this.records.delete(key)
    return before - this.records.size
  }
}
