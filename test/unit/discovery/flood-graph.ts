/**
 * A simulated network of floods: nodes are states, edges deliver after a delay, the
 * clock is the simulation's. The same seed gives the same run.
 */
import { type Random, randomInteger, seededRandom, shuffle } from '../../../src/base/random.ts'
import { Flood, type FloodVerdict, relayIdOf } from '../../../src/discovery/flood.ts'
import type { HopStatement } from '../../../src/wire/message.ts'
import type { OnionStatement } from '../../../src/wire/onion-statement.ts'
import { SimClock } from '../swarm/sim-clock.ts'

/** Neighbours of each node in a random regular graph that is connected: pairs of stubs, drawn until it is one. */
export function regularGraph(nodes: number, degree: number, random: Random): ReadonlySet<number>[] {
  for (;;) {
    const edges = pairStubs(nodes, degree, random)
    if (edges !== null && isConnected(edges)) return edges
  }
}

function pairStubs(nodes: number, degree: number, random: Random): Set<number>[] | null {
  const edges = Array.from({ length: nodes }, () => new Set<number>())
  let stubs = shuffle(
    random,
    Array.from({ length: nodes * degree }, (_, stub) => stub % nodes),
  )
  for (let round = 0; stubs.length > 0; round++) {
    if (round > 200) return null
    const left: number[] = []
    for (let at = 0; at < stubs.length; at += 2) {
      const [a, b] = [stubs[at] as number, stubs[at + 1] as number]
      if (a === b || edges[a]?.has(b)) left.push(a, b)
      else {
        edges[a]?.add(b)
        edges[b]?.add(a)
      }
    }
    stubs = shuffle(random, left)
  }
  return edges
}

function isConnected(edges: readonly ReadonlySet<number>[]): boolean {
  const reached = new Set([0])
  for (const node of reached) for (const next of edges[node] ?? []) reached.add(next)
  return reached.size === edges.length
}

export interface FloodNetOptions {
  readonly nodes: number
  readonly degree?: number
  readonly seed: number
  readonly verify?: (statement: OnionStatement) => boolean
  /** Nodes that take what comes and hand nothing on. */
  readonly silent?: ReadonlySet<number>
}

/** A neighbour that is no node of the graph. */
const USER = 'user'

export class FloodNet {
  readonly clock = new SimClock()
  readonly random: Random
  readonly floods: Flood[] = []
  readonly edges: ReadonlySet<number>[]
  readonly silent: ReadonlySet<number>
  readonly ids: readonly Uint8Array[]
  /** Statements sent over an edge, and the messages that carried them. */
  sent = 0
  messages = 0
  /** Of the stem among `sent`. */
  stemSent = 0
  readonly verdicts = new Map<FloodVerdict, number>()
  /** Hears of each statement that goes over an edge, in order. */
  onDelivery: (from: number, to: number) => void = () => {}

  constructor(options: FloodNetOptions) {
    this.random = seededRandom(options.seed)
    this.silent = options.silent ?? new Set()
    this.edges = regularGraph(options.nodes, options.degree ?? 8, this.random)
    const ids = this.edges.map(() => relayIdOf(this.random.bytes(32)))
    this.ids = ids
    for (const [node, neighbours] of this.edges.entries()) {
      const flood = new Flood({
        clock: this.clock,
        random: seededRandom(options.seed * 1_000 + node),
        relayId: ids[node] as Uint8Array,
        verify: options.verify ?? (() => true),
      })
      for (const neighbour of neighbours) flood.join(String(neighbour), ids[neighbour] as Uint8Array)
      this.floods.push(flood)
    }
  }

  get edgeCount(): number {
    return this.edges.reduce((sum, neighbours) => sum + neighbours.size, 0) / 2
  }

  /** Nodes that know of the topic's statement. */
  reached(topic: Uint8Array): number {
    return this.floods.filter((flood) => flood.find(topic).length > 0).length
  }

  /** A guest of that node tells it. */
  announce(node: number, statement: Uint8Array): boolean {
    return this.floods[node]?.receive(null, { hops: 0, statement }) === 'taken'
  }

  /** As if there were no stem: the node takes it for one that was flooded to it, and hands it to all its neighbours. */
  floodFrom(node: number, statement: Uint8Array): void {
    const flood = this.floods[node]
    flood?.join(USER, relayIdOf(new Uint8Array(32)))
    flood?.receive(USER, { hops: 1, statement })
    flood?.leave(USER)
  }

  /** Let everything happen that anybody has planned, up to so long. @returns whether all came to rest. */
  async run(maxMs = 3_600_000): Promise<boolean> {
    const endMs = this.clock.monotonicMs() + maxMs
    for (;;) {
      const nextMs = Math.min(...this.floods.map(({ nextMs: due }) => due))
      if (nextMs > endMs) break
      await this.clock.advance(Math.max(0, nextMs - this.clock.monotonicMs()))
      for (const [node, flood] of this.floods.entries()) {
        for (const { neighbour, statements } of flood.take()) {
          if (this.silent.has(node)) continue
          this.messages++
          for (const statement of statements) this.#deliver(node, Number(neighbour), statement)
        }
      }
    }
    return this.floods.every(({ nextMs }) => nextMs === Number.POSITIVE_INFINITY)
  }

  #deliver(from: number, to: number, statement: HopStatement): void {
    this.sent++
    this.onDelivery(from, to)
    if (statement.hops === 0) this.stemSent++
    const verdict = this.floods[to]?.receive(String(from), statement) ?? 'not current'
    this.verdicts.set(verdict, (this.verdicts.get(verdict) ?? 0) + 1)
  }

  /** Of these nodes those whose relay ids are nearest to a topic. */
  nearestOf(nodes: Iterable<number>, topic: Uint8Array, count: number): number[] {
    const far = (node: number): Buffer =>
      Buffer.from((this.ids[node] as Uint8Array).map((byte, i) => byte ^ (topic[i] as number)))
    return [...nodes].sort((a, b) => Buffer.compare(far(a), far(b))).slice(0, count)
  }

  anyNode(): number {
    return randomInteger(this.random, 0, this.floods.length - 1)
  }
}
