/** A network with nodes that are taken down after each test, and must leave nothing behind. */
import { afterEach, expect } from 'vitest'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { MemoryNetwork, type MemoryNetworkOptions } from '../../../src/transport/memory.ts'
import { SimClock } from './sim-clock.ts'
import { SimNode, type SimNodeOptions } from './sim-node.ts'

export class Rig {
  readonly clock = new SimClock()
  readonly random: Random
  readonly network: MemoryNetwork
  readonly #nodes: SimNode[] = []

  constructor(options: MemoryNetworkOptions = { latencyMs: 10 }, seed = 1) {
    this.random = seededRandom(seed)
    this.network = new MemoryNetwork(this.clock, this.random, options)
  }

  /** A node that listens. */
  async node(change: Partial<SimNodeOptions> = {}): Promise<SimNode> {
    const number = this.#nodes.length + 1
    const { clock, network } = this
    const node = new SimNode({ clock, network, host: `10.0.${number}.1`, seed: number, ...change })
    this.#nodes.push(node)
    await node.listen()
    return node
  }

  /** Let time pass until it is so; fails when it never is. */
  async until(condition: () => boolean, maxMs = 120_000): Promise<void> {
    expect(await this.clock.until(condition, maxMs), String(condition)).toBe(true)
  }

  /** Take all down. Nothing may be left that acts later. */
  async end(): Promise<void> {
    for (const node of this.#nodes) node.kill()
    await this.clock.advance(60_000)
    expect(this.clock.pendingTimers, 'timers left').toBe(0)
  }
}

/** A rig for each test that asks for one. */
export function useRigs(): (options?: MemoryNetworkOptions, seed?: number) => Rig {
  const rigs: Rig[] = []
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.end()
  })
  return (options, seed) => {
    const rig = new Rig(options, seed)
    rigs.push(rig)
    return rig
  }
}
