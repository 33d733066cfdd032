/**
 * What one peer told of the blobs that it holds, within a bound: HAVE is its word
 * alone, and a message of 1 KiB can claim two million blobs.
 *
 * All sets of a peer together take at most MAX_HOLDINGS_BYTES_PER_PEER. When one
 * more needs room, those told of longest ago go first, and never one that is being
 * fetched from: what was counted once stays counted right (STATE.md, invariant 7).
 *
 * @module swarm/peer-holdings
 */
import { toHex } from '../base/bytes.ts'
import { MAX_HOLDINGS_BYTES_PER_PEER, MAX_RELEASES_PER_PEER } from '../base/limits.ts'
import { type BlobRange, BlobSet } from './blob-set.ts'
import type { SwarmChannel } from './channel.ts'

interface Told {
  readonly channel: SwarmChannel
  readonly set: BlobSet
}

export class PeerHoldings {
  /** By channel and root id; the one told of longest ago first. */
  readonly #told = new Map<string, Told>()

  /** What it holds of a release, or null when it never said. */
  of(channel: SwarmChannel, rootId: Uint8Array): BlobSet | null {
    return this.#told.get(keyOf(channel, rootId))?.set ?? null
  }

  /**
   * Note what it says.
   *
   * @param isInUse - of a set that must not go.
   * @param onNew - told of each blob that it had not told of before.
   * @returns the set, or null when there is no room for it.
   */
  add(
    channel: SwarmChannel,
    rootId: Uint8Array,
    ranges: readonly BlobRange[],
    isInUse: (set: BlobSet) => boolean,
    onNew?: (index: number) => void,
  ): BlobSet | null {
    const key = keyOf(channel, rootId)
    const known = this.#told.get(key)?.set
    const set = known ?? new BlobSet()
    this.#told.delete(key)
    const last = ranges.at(-1)
    const bytes = Math.max(set.bytes, BlobSet.bytesFor(last === undefined ? 0 : last.start + last.length))
    this.#makeRoom(channel, bytes, isInUse)
    const fits = this.#bytes + bytes <= MAX_HOLDINGS_BYTES_PER_PEER
    if (!fits && known === undefined) return null
    this.#told.set(key, { channel, set })
    // Where there is no room, what it told of before stays and what it claims now is not heard.
    if (fits) for (const range of ranges) set.addRange(range, onNew)
    return set
  }

  /** Believe nothing of what it said of a release. */
  forget(channel: SwarmChannel, rootId: Uint8Array): void {
    this.#told.delete(keyOf(channel, rootId))
  }

  forgetChannel(channel: SwarmChannel): void {
    for (const [key, told] of this.#told) if (told.channel === channel) this.#told.delete(key)
  }

  get #bytes(): number {
    let sum = 0
    for (const { set } of this.#told.values()) sum += set.bytes
    return sum
  }

  #makeRoom(channel: SwarmChannel, bytes: number, isInUse: (set: BlobSet) => boolean): void {
    let ofChannel = 0
    for (const told of this.#told.values()) if (told.channel === channel) ofChannel++
    for (const [key, told] of this.#told) {
      const isOver = this.#bytes + bytes > MAX_HOLDINGS_BYTES_PER_PEER
      const isTooMany = told.channel === channel && ofChannel >= MAX_RELEASES_PER_PEER
      if ((!isOver && !isTooMany) || isInUse(told.set)) continue
      this.#told.delete(key)
      if (told.channel === channel) ofChannel--
    }
  }
}

function keyOf(channel: SwarmChannel, rootId: Uint8Array): string {
  return `${channel.id}/${toHex(rootId)}`
}
