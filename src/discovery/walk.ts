/**
 * The walk towards a target (Kademlia's iterative lookup) as data and decisions: which
 * nodes to ask next, and when enough have answered. dht-operations.ts does the asking.
 *
 * It ends when the `closest` nearest nodes that are known and not dead have all
 * answered. Nodes hear of each other from nodes, which may lie, so
 *   - queries and remembered nodes are bounded, and one answer adds few nodes;
 *   - an address is asked once, and of one public host one port only, as libtorrent has
 *     it: identities are free, hosts less so;
 *   - an address that is said to have several ids keeps the nearest until it was asked,
 *     and then the one that it shows itself: nobody can hide a node by naming a far id.
 *
 * Pure: no clock, no chance, no I/O. The distance is XOR, compared as bytes.
 *
 * @module discovery/walk
 */
import { compareBytes } from '../base/bytes.ts'

export interface WalkNode {
  /** What others say its id is. */
  readonly id: Uint8Array
  readonly host: string
  readonly port: number
}

export interface WalkLimits {
  /** Nodes that must have answered, nearest first. */
  readonly closest: number
  /** Queries in flight. */
  readonly parallel: number
  /** Queries in all. */
  readonly maxQueries: number
  /** Nodes remembered; the farthest goes first. */
  readonly maxNodes: number
  /** Nodes taken from one answer. */
  readonly perAnswer: number
}

type NodeState = 'known' | 'asked' | 'answered' | 'dead'

interface Entry {
  node: WalkNode
  distance: Uint8Array
  state: NodeState
  /** Asked so long ago that another may be asked in its place. */
  isStalled: boolean
}

export class Walk {
  readonly #target: Uint8Array
  readonly #ownId: Uint8Array
  readonly #limits: WalkLimits
  readonly #sharesHost: (host: string) => boolean
  /** Nearest first. Dead nodes are taken out. */
  readonly #entries: Entry[] = []
  /** By address, or by host where only one port counts. Dead ones stay, so that they are not asked again. */
  readonly #byAddress = new Map<string, Entry>()
  #queries = 0
  #inFlight = 0
  #answers = 0

  /**
   * @param target - 20 bytes.
   * @param ownId - is never asked.
   * @param sharesHost - may several nodes be asked at this host? True for loopback and private ones.
   */
  constructor(
    target: Uint8Array,
    ownId: Uint8Array,
    limits: WalkLimits,
    sharesHost: (host: string) => boolean,
  ) {
    this.#target = target
    this.#ownId = ownId
    this.#limits = limits
    this.#sharesHost = sharesHost
  }

  /** Queries handed out so far. */
  get asked(): number {
    return this.#queries
  }

  get replied(): number {
    return this.#answers
  }

  /** Nodes of one answer: the nearest `perAnswer` of them are taken in. */
  heard(nodes: readonly WalkNode[]): void {
    const byDistance = nodes
      .map((node) => ({ node, distance: xor(node.id, this.#target) }))
      .sort((a, b) => compareBytes(a.distance, b.distance))
    for (const { node } of byDistance.slice(0, this.#limits.perAnswer)) this.add(node)
  }

  /** A node to begin with. */
  add(node: WalkNode): void {
    if (compareBytes(node.id, this.#ownId) === 0) return
    const distance = xor(node.id, this.#target)
    const key = this.#sharesHost(node.host) ? `${node.host}:${node.port}` : node.host
    const old = this.#byAddress.get(key)
    if (old !== undefined) {
      if (old.state !== 'known' || compareBytes(distance, old.distance) >= 0) return
      old.node = node
      this.#place(old, distance)
      return
    }
    if (this.#entries.length >= this.#limits.maxNodes) {
      const farthest = this.#entries.findLastIndex(({ state }) => state !== 'asked')
      const last = this.#entries[farthest]
      if (last === undefined || compareBytes(distance, last.distance) >= 0) return
      this.#entries.splice(farthest, 1)
    }
    const entry: Entry = { node, distance, state: 'known', isStalled: false }
    this.#byAddress.set(key, entry)
    this.#place(entry, distance)
  }

  /** Nodes to ask now; they count as asked from here on. */
  next(): readonly WalkNode[] {
    const { closest, parallel, maxQueries } = this.#limits
    const nodes: WalkNode[] = []
    let considered = 0
    for (const entry of this.#entries) {
      if (this.#inFlight >= parallel || this.#queries >= maxQueries || considered >= closest) break
      considered++
      if (entry.state !== 'known') continue
      entry.state = 'asked'
      this.#queries++
      this.#inFlight++
      nodes.push(entry.node)
    }
    return nodes
  }

  /** @param id - what the node calls itself. */
  answered(node: WalkNode, id: Uint8Array): void {
    const entry = this.#entries.find((candidate) => candidate.node === node)
    this.#answers++
    if (entry === undefined) return
    if (!entry.isStalled) this.#inFlight--
    entry.state = 'answered'
    if (compareBytes(id, node.id) === 0) return
    entry.node = { ...node, id }
    this.#place(entry, xor(id, this.#target))
  }

  /** It takes long: go on without it, and take its answer when it comes. */
  stalled(node: WalkNode): void {
    const entry = this.#entries.find((candidate) => candidate.node === node)
    if (entry?.state !== 'asked' || entry.isStalled) return
    entry.isStalled = true
    this.#inFlight--
  }

  /** It did not answer in time, or with an error. */
  failed(node: WalkNode): void {
    const at = this.#entries.findIndex((candidate) => candidate.node === node)
    const entry = this.#entries[at]
    if (entry === undefined) return
    if (!entry.isStalled) this.#inFlight--
    entry.state = 'dead'
    this.#entries.splice(at, 1)
  }

  /** Nothing more will come of it: the nearest have answered, or nobody is left to ask. */
  get isDone(): boolean {
    const nearest = this.#entries.slice(0, this.#limits.closest)
    if (nearest.every((entry) => entry.state === 'answered')) return true
    if (this.#queries < this.#limits.maxQueries) return false
    return !nearest.some((entry) => entry.state === 'asked')
  }

  /** The nearest nodes that answered, nearest first, at most `closest`. */
  nearest(): readonly WalkNode[] {
    return this.#entries
      .filter((entry) => entry.state === 'answered')
      .slice(0, this.#limits.closest)
      .map((entry) => entry.node)
  }

  #place(entry: Entry, distance: Uint8Array): void {
    const from = this.#entries.indexOf(entry)
    if (from >= 0) this.#entries.splice(from, 1)
    entry.distance = distance
    const at = this.#entries.findIndex((other) => compareBytes(distance, other.distance) < 0)
    if (at < 0) this.#entries.push(entry)
    else this.#entries.splice(at, 0, entry)
  }
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(b.length)
  for (let i = 0; i < out.length; i++) out[i] = (a[i] ?? 0) ^ (b[i] ?? 0)
  return out
}
