/**
 * One channel of a soak: who publishes it, which releases there are, and when
 * everybody had them.
 */

import { RpcFailure } from '../../test/swarm/harness/test-node.ts'
import { compareTrees } from '../../test/swarm/harness/tree.ts'
import type { SoakNode } from './soak-node.ts'
import { Source } from './source.ts'

const PUBLISH_MS = 120_000

export interface Release {
  readonly sequence: number
  readonly atMs: number
  /** When all that follow the channel and run had it, or a newer one; null so far. */
  completeAtMs: number | null
}

export class SoakChannel {
  readonly name: string
  readonly publisher: SoakNode
  readonly releases: Release[] = []
  /** What the publisher answered with instead of a release. */
  readonly failures: string[] = []
  #uri = ''
  #publicKey = ''
  #source: Source
  #isPublishing = false

  private constructor(name: string, publisher: SoakNode) {
    this.name = name
    this.publisher = publisher
    this.#source = new Source(publisher.node.path(`source-${name}`))
  }

  /** Make the channel and its first release. */
  static async create(
    name: string,
    publisher: SoakNode,
    options: { readonly private: boolean; readonly seed: number },
  ): Promise<SoakChannel> {
    const channel = new SoakChannel(name, publisher)
    const made = await publisher.node.rpc<{ uri: string; publicKey: string }>('createChannel', {
      name,
      private: options.private,
    })
    // Peers are found through the DHT, as in the world: the address in the link is stale after a restart.
    channel.#uri = made.uri.replace(/\?.*$/, '')
    channel.#publicKey = made.publicKey
    await channel.#source.make(options.seed)
    await channel.#publish()
    if (channel.newest === 0) throw new Error(`no first release of ${name}: ${channel.failures.join('; ')}`)
    return channel
  }

  get uri(): string {
    return this.#uri
  }

  get publicKey(): string {
    return this.#publicKey
  }

  /** Number of the newest release that we know of; 0 without one. */
  get newest(): number {
    return this.releases.at(-1)?.sequence ?? 0
  }

  /** Change the folder and publish it. False when the last one is still going on, or the publisher is down. */
  async release(seed: number): Promise<boolean> {
    if (this.#isPublishing || !(await this.publisher.isUp())) return false
    this.#isPublishing = true
    try {
      await this.#source.change(seed)
      await this.#publish()
    } finally {
      this.#isPublishing = false
    }
    return true
  }

  /** Differences between what was published last and a folder that follows it. */
  differences(directory: string): Promise<readonly string[]> {
    return compareTrees(this.#source.folder, directory)
  }

  async #publish(): Promise<void> {
    const { node } = this.publisher
    try {
      await node.rpc('publish', { path: this.#source.folder, channel: this.name }, PUBLISH_MS)
    } catch (error) {
      // Killed in the middle of it, or nobody confirmed: there may be a release all the same.
      this.failures.push(error instanceof RpcFailure ? (error.code ?? 'unknown') : 'the connection broke')
    }
    await this.#look()
  }

  /** Ask the publisher which release is its newest. */
  async #look(): Promise<void> {
    const { node } = this.publisher
    const answer = await node
      .rpc<{ channels: { sequence: number }[] }>('listChannels', { name: this.name })
      .catch(() => null) // down, or going down: the next look tells
    const sequence = answer?.channels[0]?.sequence ?? 0
    if (sequence > this.newest) this.releases.push({ sequence, atMs: Date.now(), completeAtMs: null })
  }
}
