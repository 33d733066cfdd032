/**
 * The swarms of a node, seen as one: all channels in one in direct mode, each in its own in safe mode.
 *
 * @module node/swarms
 */
import type { Bans } from '../swarm/bans.ts'
import { surplus } from '../swarm/eviction.ts'
import type { Peer } from '../swarm/peer.ts'
import type { Swarm } from '../swarm/swarm.ts'

export class Swarms {
  readonly bans: Bans
  readonly #swarms: ReadonlySet<Swarm>

  /** @param swarms - read each time: there may be more and fewer. */
  constructor(swarms: ReadonlySet<Swarm>, bans: Bans) {
    this.#swarms = swarms
    this.bans = bans
  }

  get peers(): Peer[] {
    return [...this.#swarms].flatMap(({ peers }) => [...peers])
  }

  /** Those whose connection has not ended. */
  get open(): Peer[] {
    return this.peers.filter(({ connection }) => !connection.closed)
  }

  get peerCount(): number {
    return this.#sum(({ peers }) => peers.size)
  }

  /** Bytes a second. */
  get uploadRate(): number {
    return this.#sum(({ upload }) => upload.rate)
  }

  get downloadRate(): number {
    return this.#sum(({ download }) => download.rate)
  }

  /** Bytes of swarms that there are: what one has moved that is gone is not in it. */
  get uploadedBytes(): number {
    return this.#sum(({ upload }) => upload.total)
  }

  get downloadedBytes(): number {
    return this.#sum(({ download }) => download.total)
  }

  /** Ban the node of that key, and close its connections. */
  ban(nodeKey: Uint8Array): void {
    this.bans.banNode(nodeKey)
    for (const swarm of this.#swarms) swarm.dropNode(nodeKey)
  }

  /** Close connections that are more than there may be, those that are missed least of all of them. */
  shed(maxPeers: number, nowMs: number): void {
    for (const { connection } of surplus(this.open, maxPeers, nowMs)) connection.close('tooManyConnections')
  }

  #sum(of: (swarm: Swarm) => number): number {
    let sum = 0
    for (const swarm of this.#swarms) sum += of(swarm)
    return sum
  }
}
