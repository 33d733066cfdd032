/**
 * A DHT of its own on loopback, in this process: real serving nodes, each with the
 * library behind our guard, that tests can kill and replace.
 *
 * Twenty nodes are up in well under a second. All share one address, so their rates
 * are raised; everything else is as in the world, but for the times.
 */
import { systemClock } from '../../../src/base/clock.ts'
import { type Log, silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import type { DhtAddress } from '../../../src/discovery/dht.ts'
import { type MainlineDht, type MainlineTuning, openMainline } from '../../../src/discovery/mainline.ts'
import { waitUntil } from './wait.ts'

export interface DhtNetOptions {
  /** ms that a node keeps a value: two hours in the world. */
  readonly valueLifetimeMs?: number
  /** ms for one query: dead nodes cost it. Generous by default, since all nodes share one thread. */
  readonly queryTimeoutMs?: number
}

export interface DhtNodeOptions {
  readonly isServer?: boolean
  readonly bootstrap?: readonly DhtAddress[]
  readonly savedNodes?: readonly DhtAddress[]
  readonly log?: Log
  readonly tuning?: Partial<MainlineTuning>
}

const LOOPBACK = '127.0.0.1'
/** Nodes in one bucket of the library's table. */
const BUCKET_NODES = 20
/** Whom a node in a larger net knows at least. */
const ENOUGH_NODES = 12

export class DhtNet {
  /** Serving nodes that run. */
  readonly servers: MainlineDht[] = []
  readonly #others: MainlineDht[] = []
  readonly #options: DhtNetOptions

  private constructor(options: DhtNetOptions) {
    this.#options = options
  }

  /** Start `count` serving nodes that know each other. */
  static async start(count: number, options: DhtNetOptions = {}): Promise<DhtNet> {
    const net = new DhtNet(options)
    try {
      net.servers.push(await net.#open({ isServer: true, bootstrap: [] }))
      await net.addServers(count - 1)
      return net
    } catch (error) {
      await net.dispose()
      throw error
    }
  }

  /** Where new nodes begin: up to three of the servers. */
  bootstrap(): readonly DhtAddress[] {
    return this.servers.slice(0, 3).map((node) => ({ host: LOOPBACK, port: node.port }))
  }

  /** Start more serving nodes, and wait until all know each other. */
  async addServers(count: number): Promise<readonly MainlineDht[]> {
    const bootstrap = this.bootstrap()
    const added = await Promise.all(
      Array.from({ length: count }, () => this.#open({ isServer: true, bootstrap })),
    )
    this.servers.push(...added)
    await this.isConnected()
    return added
  }

  /** An ordinary node: it asks, answers nothing, and nobody has it in a table. */
  async addReader(options: DhtNodeOptions = {}): Promise<MainlineDht> {
    const node = await this.#open({ bootstrap: this.bootstrap(), isServer: false, ...options })
    this.#others.push(node)
    return node
  }

  /** Servers end as a crash would have it: without a word. */
  async kill(nodes: readonly MainlineDht[]): Promise<void> {
    for (const node of nodes) this.servers.splice(this.servers.indexOf(node), 1)
    await Promise.all(nodes.map((node) => node.close()))
  }

  /**
   * Every server is replaced by a new one that knows none of the old: what those stored is gone.
   *
   * @param watchers - ordinary nodes at work, which are told of some of the new servers.
   */
  async replaceAll(watchers: readonly MainlineDht[] = []): Promise<void> {
    const old = this.servers.splice(0)
    this.servers.push(await this.#open({ isServer: true, bootstrap: [] }))
    await this.addServers(old.length - 1)
    for (const watcher of watchers) {
      await Promise.all(this.bootstrap().map(({ host, port }) => watcher.addNode(host, port)))
    }
    await Promise.all(old.map((node) => node.close()))
  }

  /**
   * Introduce all servers to each other, and wait until each knows all: then what one stores on the nearest,
   * others find on the same. By themselves they know four fifths of each other, and a put and a get may
   * differ in who is nearest. Of a net larger than a bucket nobody can know all.
   */
  async isConnected(): Promise<void> {
    const others = this.servers.length - 1
    const wanted = others <= BUCKET_NODES ? others : ENOUGH_NODES
    const introduce = (node: MainlineDht): Promise<boolean>[] => {
      const known = new Set(node.nodes().map(({ port }) => port))
      const strangers = this.servers.filter((other) => other !== node && !known.has(other.port))
      return strangers.map(({ port }) => node.addNode(LOOPBACK, port))
    }
    await waitUntil(
      async () => {
        const lonely = this.servers.filter((node) => node.nodeCount < wanted)
        // One after the other: all share this thread, and none may be answered too late.
        for (const node of lonely) await Promise.all(introduce(node))
        return lonely.length === 0
      },
      30_000,
      () => `servers know ${wanted} others; they know ${this.servers.map((node) => node.nodeCount)}`,
    )
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.servers, ...this.#others].map((node) => node.close()))
    this.servers.length = 0
    this.#others.length = 0
  }

  #open(options: DhtNodeOptions): Promise<MainlineDht> {
    const { valueLifetimeMs, queryTimeoutMs = 1_000 } = this.#options
    return openMainline({
      host: LOOPBACK,
      port: 0,
      isServer: options.isServer ?? false,
      bootstrap: options.bootstrap ?? [],
      savedNodes: options.savedNodes ?? [],
      resolve: async () => [],
      clock: systemClock,
      random: systemRandom,
      log: options.log ?? silentLog,
      tuning: {
        queryTimeoutMs,
        queriesPerSecond: 100_000,
        queryBurst: 100_000,
        ...(valueLifetimeMs === undefined ? {} : { valueLifetimeMs }),
        ...options.tuning,
      },
    })
  }
}
