/**
 * A network of real nodes on loopback with a DHT of its own.
 *
 * The first nodes serve the DHT and do nothing else; the others are ordinary:
 * they ask the DHT and answer none of its questions. Peers find each other
 * through the DHT, as in the world, unless a test also gives them `--peer`.
 */
import { TestNode, type TestNodeOptions } from './test-node.ts'
import { waitUntil } from './wait.ts'

export interface TestnetOptions {
  /** Nodes that serve the DHT, at least 1; 8 where it matters that a slot is held by many. */
  readonly dhtNodes?: number
  /** Ordinary nodes, or their names. */
  readonly nodes?: number | readonly string[]
  /** Flags of every ordinary node. */
  readonly args?: readonly string[]
}

/** Processes that start at one time: each costs a second of processor time. */
const STARTS_AT_ONCE = 4

export class Testnet {
  readonly dhtNodes: TestNode[] = []
  readonly nodes: TestNode[] = []
  readonly #args: readonly string[]

  private constructor(args: readonly string[]) {
    this.#args = args
  }

  /** Start everything and wait until the serving nodes know each other. */
  static async start(options: TestnetOptions = {}): Promise<Testnet> {
    const net = new Testnet(options.args ?? [])
    try {
      net.dhtNodes.push(await TestNode.start({ name: 'dht-0', args: ['--bootstrap', 'none'] }))
      await net.#startAll(
        Array.from({ length: (options.dhtNodes ?? 2) - 1 }, (_, i) => `dht-${i + 1}`),
        (name) => net.addDhtNode(name),
      )
      const { nodes = 0 } = options
      const names = typeof nodes === 'number' ? Array.from({ length: nodes }, (_, i) => `node-${i}`) : nodes
      await net.#startAll(names, (name) => net.add({ name }))
      // Started side by side, they stand in the order in which they became ready.
      net.nodes.sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
      if (net.dhtNodes.length > 1) await net.dhtIsUp()
      return net
    } catch (error) {
      await net.dispose()
      throw error
    }
  }

  /** The ordinary node of that name. */
  node(name: string): TestNode {
    const found = this.nodes.find((node) => node.name === name)
    if (found === undefined) throw new Error(`no node is called ${name}`)
    return found
  }

  /** Start another ordinary node. */
  async add(options: TestNodeOptions = {}): Promise<TestNode> {
    const args = [...this.bootstrapArgs(), ...this.#args, ...(options.args ?? [])]
    const node = await TestNode.start({ name: `node-${this.nodes.length}`, ...options, args })
    this.nodes.push(node)
    return node
  }

  /** Start another node that serves the DHT. */
  async addDhtNode(name = `dht-${this.dhtNodes.length}`): Promise<TestNode> {
    const node = await TestNode.start({ name, args: [...this.bootstrapArgs(), '--dht-server'] })
    this.dhtNodes.push(node)
    return node
  }

  /** `--bootstrap` flags that lead into this DHT, by up to three of the nodes that run now. */
  bootstrapArgs(): readonly string[] {
    return this.dhtNodes.slice(0, 3).flatMap((node) => ['--bootstrap', node.bootstrapAddress])
  }

  /** Kill a node for good. */
  async remove(node: TestNode): Promise<void> {
    for (const list of [this.dhtNodes, this.nodes]) {
      const index = list.indexOf(node)
      if (index >= 0) list.splice(index, 1)
    }
    await node.dispose()
  }

  /** Wait until every node that has a DHT knows some of its nodes. */
  async dhtIsUp(): Promise<void> {
    const wanted = Math.min(2, this.dhtNodes.length - 1)
    for (const node of [...this.dhtNodes, ...this.nodes]) {
      await waitUntil(
        async () => {
          const { dht } = await node.rpc<{ dht: { enabled: boolean; nodes: number } }>('getStatus')
          return !dht.enabled || dht.nodes >= wanted
        },
        30_000,
        () => `${node.name} knows ${wanted} DHT nodes\n${node.stderrTail()}`,
      )
    }
  }

  /** Stop every node politely; each must end clean. Then remove what is left. */
  async stop(): Promise<void> {
    try {
      // Ordinary ones first: they say goodbye to peers and ask a DHT that is still there.
      for (const group of [this.nodes, this.dhtNodes]) {
        const stops = group.map(async (node) => ((await node.isUp()) ? node.stop() : undefined))
        const failed = (await Promise.allSettled(stops)).find((stop) => stop.status === 'rejected')
        if (failed !== undefined) throw failed.reason
      }
    } finally {
      await this.dispose()
    }
  }

  /** End whatever is left and remove the folders. */
  async dispose(): Promise<void> {
    await Promise.all([...this.nodes, ...this.dhtNodes].map((node) => node.dispose()))
  }

  async #startAll(names: readonly string[], start: (name: string) => Promise<unknown>): Promise<void> {
    for (let at = 0; at < names.length; at += STARTS_AT_ONCE) {
      const results = await Promise.allSettled(names.slice(at, at + STARTS_AT_ONCE).map(start))
      const failed = results.find((result) => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
    }
  }
}
