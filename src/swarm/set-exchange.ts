/**
 * Slots signed ahead, asked of peers and given to them (PROTOCOL_FINAL.md §5.4, §7.4).
 *
 * A channel wants one set at most: that of its newest head. Any peer that shares the channel may
 * have it, and nothing tells which, so they are asked one after the other: soon those that
 * were not asked yet, again only after times that double. Since strangers come without end, who
 * gave us blobs is asked before them, again too. A set is verified above; who sent a false one is banned.
 *
 * @module swarm/set-exchange
 */
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { MAX_SLOT_SETS_ASKED, SLOT_SET_RETRY_MAX_MS, SLOT_SET_RETRY_MIN_MS } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { openFrame } from '../crypto/sealed-frame.ts'
import type { BlobMemory } from '../transport/connection.ts'
import { BLOB_BYTES, BLOB_FRAME_BYTES } from '../wire/constants.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'
import type { Uploads } from './uploads.ts'

/** A set that a channel is looking for. Times are monotonic, ms. */
export interface WantedSet {
  /** `headHash` of the head whose slots they are. */
  readonly headHash: Uint8Array
  /** Connected peers that were asked, and when. */
  readonly asked: Map<Peer, number>
  isAsking: boolean
  /** Nobody is asked before. */
  nextMs: number
  /** Nobody is asked a second time before. */
  againMs: number
  /** What `againMs` is put off by, the next time. */
  delayMs: number
}

export function wantSet(headHash: Uint8Array): WantedSet {
  return {
    headHash,
    asked: new Map(),
    isAsking: false,
    nextMs: 0,
    againMs: Number.NEGATIVE_INFINITY,
    delayMs: SLOT_SET_RETRY_MIN_MS,
  }
}

/** Of peers that share the channel, the one to be asked now; null for none. */
export function peerToAsk(want: WantedSet, peers: Iterable<Peer>, nowMs: number): Peer | null {
  if (want.isAsking || nowMs < want.nextMs) return null
  const asked: Peer[] = []
  let fresh: Peer | null = null
  for (const peer of peers) {
    if (want.asked.has(peer)) asked.push(peer)
    else if (fresh === null || (peer.isProven && !fresh.isProven)) fresh = peer
  }
  if (nowMs < want.againMs || fresh?.isProven === true) return fresh
  const longestAgo = (a: Peer, b: Peer): number => (want.asked.get(a) ?? 0) - (want.asked.get(b) ?? 0)
  asked.sort(longestAgo)
  if (fresh === null) return asked[0] ?? null
  return asked.find(({ isProven }) => isProven) ?? fresh
}

export interface SetExchangeDeps {
  readonly clock: Clock
  readonly log: Log
  readonly channels: ReadonlySet<SwarmChannel>
  readonly peers: ReadonlySet<Peer>
  readonly uploads: Pick<Uploads, 'inTurn'>
  /** Where memory of frames comes from and goes to; where absent each has its own. */
  readonly memory: BlobMemory | undefined
  /** A peer lied. */
  onFalse(peer: Peer, why: string): void
}

export class SetExchange {
  readonly #deps: SetExchangeDeps
  /** Sets that are asked for, on their way or being verified. */
  #open = 0

  constructor(deps: SetExchangeDeps) {
    this.#deps = deps
  }

  /** Ask for what is wanted. Called about once a second. */
  tick(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const [channel, want] of this.#wanting()) {
      if (this.#open >= MAX_SLOT_SETS_ASKED) return
      if (channel.setCredit.waitMs(1) > 0) continue
      const peer = peerToAsk(want, this.#sharing(channel), nowMs)
      if (peer !== null) void this.#ask(peer, channel, want)
    }
  }

  /** In turns, or a few channels whose peers keep us waiting would have all places. */
  #wanting(): [SwarmChannel, WantedSet][] {
    const wanting: [SwarmChannel, WantedSet][] = []
    for (const channel of this.#deps.channels) {
      if (channel.wantedSet !== null) wanting.push([channel, channel.wantedSet])
    }
    return wanting.sort(([, a], [, b]) => a.nextMs - b.nextMs)
  }

  peerGone(peer: Peer): void {
    for (const channel of this.#deps.channels) channel.wantedSet?.asked.delete(peer)
  }

  /** A set as a frame carries it, when it is the turn of a peer that has shown to know the channel; or null. */
  async read(peer: Peer, handle: Uint8Array, headHash: Uint8Array): Promise<Uint8Array | null> {
    const set = peer.byHandle(handle)?.events.readSlotSet?.(headHash) ?? null
    return set === null ? null : this.#deps.uploads.inTurn(peer, async () => this.#pad(set))
  }

  /** In memory of a frame. */
  #pad(set: Uint8Array): Uint8Array {
    const frame = this.#deps.memory?.take() ?? new Uint8Array(BLOB_FRAME_BYTES)
    frame.fill(0, set.length)
    frame.set(set)
    return frame.subarray(0, BLOB_BYTES)
  }

  *#sharing(channel: SwarmChannel): Iterable<Peer> {
    for (const peer of this.#deps.peers) {
      if (peer.shared.get(channel)?.isMutual === true && !peer.connection.closed) yield peer
    }
  }

  /** Never rejects. */
  async #ask(peer: Peer, channel: SwarmChannel, want: WantedSet): Promise<void> {
    const { clock, log } = this.#deps
    this.#open++
    want.isAsking = true
    want.asked.set(peer, clock.monotonicMs())
    try {
      const set = await this.#receive(peer, channel, want)
      channel.setCredit.take(1)
      if (channel.wantedSet === want) await channel.events.onSlotSet?.(set)
    } catch (error) {
      const why = errorMessage(error)
      log.debug('slots signed ahead not received', { channel: short(channel.keys.publicKey), why })
      if (isMegatorrentError(error, 'ERR_SLOT_SET')) this.#deps.onFalse(peer, 'false set of slots')
    }
    this.#open--
    const nowMs = clock.monotonicMs()
    want.isAsking = false
    want.nextMs = nowMs + SLOT_SET_RETRY_MIN_MS
    if (nowMs < want.againMs) return
    want.againMs = nowMs + want.delayMs
    want.delayMs = Math.min(want.delayMs * 2, SLOT_SET_RETRY_MAX_MS)
  }

  /** @returns the plaintext of the frame, a copy. */
  async #receive(peer: Peer, channel: SwarmChannel, want: WantedSet): Promise<Uint8Array> {
    const handle = peer.shared.get(channel)?.handle
    if (handle === undefined) throw new MegatorrentError('ERR_ABORTED', 'the channel was left')
    // Who does not answer, or sends it in a trickle, is dealt with by the connection.
    const frame = await peer.connection.requestSlotSet(handle, want.headHash)
    const opened = openFrame(frame)
    if (opened === null) {
      const changed = new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open')
      peer.connection.destroy(changed)
      throw changed
    }
    const set = new Uint8Array(opened)
    this.#deps.memory?.give(frame.bytes)
    return set
  }
}
