/**
 * One connected peer: what we know of it, as data (STATE.md beside this file).
 *
 * The driver (swarm.ts) does what has to be done; here is only what follows from
 * what the peer said and did.
 *
 * @module swarm/peer
 */
import { toHex } from '../base/bytes.ts'
import { MAX_RELEASES_PER_PEER, MAX_WINDOW } from '../base/limits.ts'
import type { Role } from '../crypto/tags.ts'
import type { Connection } from '../transport/connection.ts'
import type { Endpoint } from '../transport/transport.ts'
import type { PeerAddress } from '../wire/address.ts'
import { BlobSet } from './blob-set.ts'
import type { SwarmChannel } from './channel.ts'

export interface PeerInit {
  readonly connection: Connection
  readonly role: Role
  readonly handshakeHash: Uint8Array
  readonly remoteNodeKey: Uint8Array | null
  /** What we dialled; null for a peer that dialled us. */
  readonly address: PeerAddress | null
  readonly remote: Endpoint
  /** Wall time, ms. */
  readonly since: number
  /** The user asked for this peer: it stays, and is told of all our channels. */
  readonly byUser: boolean
}

/** What a peer told of one channel that both of us know. */
export class SharedChannel {
  /** Slot version of the newest head that it told of. */
  slotVersion = 0
  /** Root id -> what it holds of that release, the newest last. */
  readonly #holdings = new Map<string, BlobSet>()

  holdings(rootId: Uint8Array): BlobSet | null {
    return this.#holdings.get(toHex(rootId)) ?? null
  }

  /** What it holds of that release, to be added to; the release told of longest ago is forgotten. */
  holdingsFor(rootId: Uint8Array): BlobSet {
    const key = toHex(rootId)
    const known = this.#holdings.get(key) ?? new BlobSet()
    this.#holdings.delete(key)
    this.#holdings.set(key, known)
    if (this.#holdings.size > MAX_RELEASES_PER_PEER) {
      const oldest = this.#holdings.keys().next()
      if (!oldest.done) this.#holdings.delete(oldest.value)
    }
    return known
  }
}

export class Peer {
  readonly init: PeerInit
  /** Channels that we tell of: those it was dialled for, or those whose tags it showed. */
  readonly expected = new Set<SwarmChannel>()
  /** Channels that it has shown to know. */
  readonly shared = new Map<SwarmChannel, SharedChannel>()
  /** HELLOs sent so far: the counter of the next one. */
  hellosSent = 0
  lastHelloMs = Number.NEGATIVE_INFINITY
  helloPlanned = false
  gotHello = false
  /** Requests without an answer: channel -> index -> how to call it off. */
  readonly inFlight = new Map<SwarmChannel, Map<number, AbortController>>()
  #inFlightCount = 0
  /** Blobs that hashed right. */
  verified = 0
  /** It said "busy": not asked before this, monotonic ms. */
  askAfterMs = 0

  constructor(init: PeerInit) {
    this.init = init
  }

  get connection(): Connection {
    return this.init.connection
  }

  get direction(): 'in' | 'out' {
    return this.init.address === null ? 'in' : 'out'
  }

  /**
   * How many requests it may have open. An identity is free, so a new one gets a
   * single request, and more as its blobs turn out right.
   */
  get window(): number {
    return Math.min(MAX_WINDOW, 1 + this.verified)
  }

  get hasRoom(): boolean {
    return this.#inFlightCount < this.window
  }

  get inFlightCount(): number {
    return this.#inFlightCount
  }

  asked(channel: SwarmChannel, index: number): AbortController {
    const controller = new AbortController()
    const requests = this.inFlight.get(channel) ?? new Map<number, AbortController>()
    this.inFlight.set(channel, requests)
    requests.set(index, controller)
    this.#inFlightCount++
    return controller
  }

  answered(channel: SwarmChannel, index: number): void {
    if (this.inFlight.get(channel)?.delete(index)) this.#inFlightCount--
  }

  /** Share a channel from now on. @returns its state, and whether it is new. */
  share(channel: SwarmChannel): { readonly state: SharedChannel; readonly isNew: boolean } {
    const known = this.shared.get(channel)
    if (known !== undefined) return { state: known, isNew: false }
    const state = new SharedChannel()
    this.shared.set(channel, state)
    return { state, isNew: true }
  }
}
