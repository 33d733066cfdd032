/**
 * One connected peer: what we know of it, as data (STATE.md beside this file).
 *
 * The driver (swarm.ts) does what has to be done; here is only what follows from
 * what the peer said and did.
 *
 * @module swarm/peer
 */
import { toHex } from '../base/bytes.ts'
import {
  BUSY_PAUSE_MS,
  MAX_BUSY_PAUSE_MS,
  MAX_MISSES,
  MAX_WINDOW,
  URGENT_REQUESTS_AHEAD,
  WINDOW_AHEAD_MS,
} from '../base/limits.ts'
import { channelHandle, otherRole, type Role } from '../crypto/tags.ts'
import type { Connection } from '../transport/connection.ts'
import type { Endpoint } from '../transport/transport.ts'
import type { PeerAddress } from '../wire/address.ts'
import type { ReleaseId, SwarmChannel } from './channel.ts'
import type { BlobRequest } from './fetch.ts'
import type { HelloState } from './hello-state.ts'
import { PeerHoldings } from './peer-holdings.ts'

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
  /** Monotonic ms. */
  readonly sinceMs: number
  readonly hello: HelloState
}

/** What a peer told of one channel that both of us know. */
export interface SharedChannel {
  /** 16 bytes: our name for the channel on this connection. */
  readonly handle: Uint8Array
  /** We have shown the channel too: from then on the peer knows what our handle names. */
  isMutual: boolean
  /** Slot version of the newest head that it told of. */
  slotVersion: number
  /** The newest version for which it was asked for a head and has answered, one way or the other. */
  askedVersion: number
  /** The release that its last HAVE was about. */
  release: ReleaseId | null
  /** HAVE has told of all that we hold below this number; null: of everything. */
  toldUpTo: number | null
}

export class Peer {
  readonly init: PeerInit
  /** The user asked for this peer: it stays, and is told of all our channels. */
  byUser: boolean
  /** Channels that we tell of: those it was dialled for, or those whose tags it showed. */
  readonly expected = new Set<SwarmChannel>()
  /** Channels that it has shown to know. */
  readonly shared = new Map<SwarmChannel, SharedChannel>()
  /** Ids of channels that were between us until we left them. */
  readonly #left = new Set<string>()
  /** Its names for them, as hex. */
  readonly #handles = new Map<string, SwarmChannel>()
  readonly holdings = new PeerHoldings()
  /** Requests without an answer, the oldest first. */
  readonly inFlight = new Set<BlobRequest>()
  /** It is connected to us besides, and was dialled to see whether it can be. */
  isSpare = false
  /** A gateway that was dialled for blobs: it is shown no channel. */
  isKeeper = false
  /** Blobs that hashed right; forgotten when it keeps us waiting. */
  verified = 0
  /** Blobs that it had told of and did not give. */
  misses = 0
  /** When it was last given a blob; monotonic ms. */
  tookMs = Number.NEGATIVE_INFINITY
  #pauseMs = BUSY_PAUSE_MS
  #askAfterMs = Number.NEGATIVE_INFINITY
  /** ms from one blob to the next, lately. */
  #blobMs = 0
  #lastBlobMs = Number.NEGATIVE_INFINITY

  constructor(init: PeerInit, byUser: boolean) {
    this.init = init
    this.byUser = byUser
  }

  /** When it last gave something; monotonic ms. */
  get gaveMs(): number {
    return this.isProven ? this.#lastBlobMs : Number.NEGATIVE_INFINITY
  }

  get connection(): Connection {
    return this.init.connection
  }

  get hello(): HelloState {
    return this.init.hello
  }

  get direction(): 'in' | 'out' {
    return this.init.address === null ? 'in' : 'out'
  }

  /** Said HELLO, so that it speaks our protocol. */
  get gotHello(): boolean {
    return this.hello.received > 0
  }

  /** A blob of it hashed right. Identities are free, so the others share few places. */
  get isProven(): boolean {
    return this.verified > 0
  }

  /** It follows a channel that we publish. */
  get followsUs(): boolean {
    for (const channel of this.shared.keys()) if (channel.isOurs) return true
    return false
  }

  /** It has given less than it should have: what it says it holds is not believed any more. */
  get isUnreliable(): boolean {
    return this.misses > MAX_MISSES + this.verified
  }

  /**
   * How many requests it may have open: one while it is new, one more with each blob
   * that turns out right, and no more than it answers in WINDOW_AHEAD_MS.
   */
  window(nowMs: number): number {
    const oldest = this.inFlight.values().next().value
    const quietMs = oldest === undefined ? 0 : nowMs - Math.max(this.#lastBlobMs, oldest.sinceMs)
    const blobMs = Math.max(this.#blobMs, quietMs, 1)
    return Math.min(MAX_WINDOW, 1 + this.verified, 1 + Math.floor(WINDOW_AHEAD_MS / blobMs))
  }

  /** May one more request be made now? */
  mayBeAsked(nowMs: number): boolean {
    return nowMs >= this.#askAfterMs && this.inFlight.size < this.window(nowMs) && !this.connection.closed
  }

  /** The same for a blob that somebody reads: those wait behind few others. */
  mayBeUrged(nowMs: number): boolean {
    const more = this.isProven ? URGENT_REQUESTS_AHEAD : 0
    return (
      nowMs >= this.#askAfterMs && this.inFlight.size < this.window(nowMs) + more && !this.connection.closed
    )
  }

  /** ms after which it would give one more blob, by what it did lately; unknown is 0. */
  expectedMs(nowMs: number): number {
    const oldest = this.inFlight.values().next().value
    const quietMs = oldest === undefined ? 0 : nowMs - Math.max(this.#lastBlobMs, oldest.sinceMs)
    return Math.max(this.#blobMs, quietMs) * (this.inFlight.size + 1)
  }

  /** A blob came, asked for at `askedMs`. */
  blobArrived(nowMs: number, askedMs: number): void {
    const tookMs = nowMs - Math.max(this.#lastBlobMs, askedMs)
    this.#blobMs = this.#lastBlobMs > 0 ? (this.#blobMs + tookMs) / 2 : tookMs
    this.#lastBlobMs = nowMs
  }

  /** What came hashed right. */
  blobVerified(): void {
    this.verified++
    this.#pauseMs = BUSY_PAUSE_MS
  }

  /** It cannot now: not asked for a while, twice as long each time until it gives something. */
  pause(nowMs: number): void {
    this.#askAfterMs = nowMs + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_BUSY_PAUSE_MS)
  }

  /** It has shown a channel of ours. @returns what is known of it there. */
  share(channel: SwarmChannel): SharedChannel {
    const known = this.shared.get(channel)
    if (known !== undefined) return known
    const { handshakeHash, role } = this.init
    const state: SharedChannel = {
      handle: channelHandle(channel.tagKey, handshakeHash, role),
      isMutual: false,
      slotVersion: 0,
      askedVersion: 0,
      release: null,
      toldUpTo: null,
    }
    this.shared.set(channel, state)
    this.expected.add(channel)
    this.#handles.set(toHex(channelHandle(channel.tagKey, handshakeHash, otherRole(role))), channel)
    return state
  }

  /** The channel that it names by this handle, or null: one that it has not shown has none. */
  byHandle(handle: Uint8Array): SwarmChannel | null {
    return this.#handles.get(toHex(handle)) ?? null
  }

  /** We do not take part in the channel any more. @returns whether it was between us. */
  unshare(channel: SwarmChannel): boolean {
    for (const [handle, named] of this.#handles) if (named === channel) this.#handles.delete(handle)
    this.holdings.forgetChannel(channel)
    this.hello.forget(channel)
    const wasExpected = this.expected.delete(channel)
    const wasBetweenUs = this.shared.delete(channel) || wasExpected
    if (wasBetweenUs) this.#left.add(channel.id)
    return wasBetweenUs
  }

  /** Was this channel between us on this connection, before we left it and joined it again? */
  hasLeft(channel: SwarmChannel): boolean {
    return this.#left.has(channel.id)
  }
}
