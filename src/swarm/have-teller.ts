/**
 * Tells peers which blobs of a channel's current release we hold: all of them when
 * a peer shows the channel, and what is new a moment after it came
 * (PROTOCOL_FINAL.md §7.5).
 *
 * A set that is full of holes takes many messages: they go out a few at a time, and
 * wait for a peer that does not read.
 *
 * @module swarm/have-teller
 */
import type { Clock, Timer } from '../base/clock.ts'
import { HAVE_INTERVAL_MS, HAVES_PER_TURN } from '../base/limits.ts'
import { MAX_HAVE_RANGES } from '../wire/constants.ts'
import { type BlobRange, BlobSet } from './blob-set.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer, SharedChannel } from './peer.ts'

export class HaveTeller {
  readonly #clock: Clock
  readonly #peers: ReadonlySet<Peer>
  /** Goes on telling peers that have not heard everything. */
  #timer: Timer | null = null

  constructor(clock: Clock, peers: ReadonlySet<Peer>) {
    this.#clock = clock
    this.#peers = peers
  }

  /** Tell one peer everything. */
  tellAll(peer: Peer, channel: SwarmChannel): void {
    const shared = peer.shared.get(channel)
    if (!shared?.isMutual) return
    shared.toldUpTo = 0
    if (!this.#goOn(peer, channel, shared)) this.#plan()
  }

  /** Another release is the current one: tell all that share the channel. */
  tellEverybody(channel: SwarmChannel): void {
    for (const peer of this.#peers) this.tellAll(peer, channel)
  }

  /** We hold one more blob of the current release: told soon, with others. */
  tellHeld(channel: SwarmChannel, index: number): void {
    channel.freshlyHeld.add(index)
    channel.haveTimer ??= this.#clock.setTimer(() => {
      channel.haveTimer = null
      this.#tellFresh(channel)
    }, HAVE_INTERVAL_MS)
  }

  /** Nothing more is told of this channel. */
  forget(channel: SwarmChannel): void {
    channel.haveTimer?.cancel()
    channel.haveTimer = null
    channel.freshlyHeld = new BlobSet()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** @returns whether the peer has heard everything now. */
  #goOn(peer: Peer, channel: SwarmChannel, shared: SharedChannel): boolean {
    for (let sent = 0; shared.toldUpTo !== null && sent < HAVES_PER_TURN; sent++) {
      const ranges: BlobRange[] = []
      for (const range of channel.held.rangesFrom(shared.toldUpTo)) {
        if (ranges.push(range) === MAX_HAVE_RANGES) break
      }
      const last = ranges.at(-1)
      shared.toldUpTo =
        last === undefined || ranges.length < MAX_HAVE_RANGES ? null : last.start + last.length
      if (ranges.length > 0 && !send(peer, channel, shared, ranges)) break
    }
    return shared.toldUpTo === null
  }

  #plan(): void {
    this.#timer ??= this.#clock.setTimer(() => {
      this.#timer = null
      let isDone = true
      for (const peer of this.#peers) {
        for (const [channel, shared] of peer.shared) {
          if (shared.toldUpTo !== null && !this.#goOn(peer, channel, shared)) isDone = false
        }
      }
      if (!isDone) this.#plan()
    }, HAVE_INTERVAL_MS)
  }

  #tellFresh(channel: SwarmChannel): void {
    // At a start these may be all of a release, a million and more.
    const ranges = [...channel.freshlyHeld.rangesFrom(0)]
    channel.freshlyHeld = new BlobSet()
    for (const peer of this.#peers) {
      const shared = peer.shared.get(channel)
      if (!shared?.isMutual || holdsAll(peer, channel, ranges)) continue
      for (let at = 0; at < ranges.length; at += MAX_HAVE_RANGES) {
        send(peer, channel, shared, ranges.slice(at, at + MAX_HAVE_RANGES))
      }
    }
  }
}

/** @returns false when the peer does not keep up. */
function send(
  peer: Peer,
  channel: SwarmChannel,
  shared: SharedChannel,
  ranges: readonly BlobRange[],
): boolean {
  const { release } = channel
  if (release === null) return true
  return peer.connection.notify({
    type: 'have',
    handle: shared.handle,
    releaseNumber: release.number,
    rootId: release.rootId,
    ranges,
  })
}

/** A peer that holds these blobs itself gains nothing by hearing that we do. */
function holdsAll(peer: Peer, channel: SwarmChannel, ranges: readonly BlobRange[]): boolean {
  const held = channel.release === null ? null : peer.holdings.of(channel, channel.release.rootId)
  return held !== null && ranges.every((range) => held.hasAll(range))
}
