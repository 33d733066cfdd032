/**
 * One release on its way in: the calls that wait for blobs of it, its picker, and
 * the requests that are out (STATE.md, "A blob").
 *
 * @module swarm/fetch
 */
import type { Random } from '../base/random.ts'
import type { Placement } from '../storage/blob-store.ts'
import { BlobSet } from './blob-set.ts'
import type { ReleaseId, SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'
import { Picker } from './picker.ts'

/** Blobs of one release, by their numbers in manifest order. */
export interface Wants {
  readonly indexes: Iterable<number>
  /** 32 bytes; a view will do. */
  readonly idOf: (index: number) => Uint8Array
}

/** One blob asked of one peer. Whoever has it in `Peer.inFlight` owns it (STATE.md, invariant 2). */
export interface BlobRequest {
  readonly fetch: Fetch
  readonly peer: Peer
  readonly index: number
  /** Monotonic ms. */
  readonly sinceMs: number
  /** The peer had given nothing when it was asked. */
  readonly isTrial: boolean
  readonly controller: AbortController
}

/** A placement that stays what it is until it is released: whoever was given it does that once. */
export interface PlaceLease {
  readonly placement: Placement
  release(): void
}

export interface FetchOptions {
  readonly signal: AbortSignal
  /** Each blob as it is held, in any order; and whether its content was written to where `placeOf` said. */
  readonly onStored: (index: number, isPlaced: boolean) => void
  /** Where the content of a blob is to be written when it comes, or null. A failure ends the call. */
  readonly placeOf?: (index: number) => Promise<PlaceLease | null>
  /** Somebody reads them as they come: asked for before all others. For few at a time. */
  readonly isUrgent?: boolean
}

/** Who made a call. */
type FetchOwner = Omit<FetchOptions, 'signal'>

/** One call that waits. */
export class FetchCall {
  /** Somebody reads the blobs as they come: before all others, in the order of asking. */
  readonly isUrgent: boolean
  readonly #left = new BlobSet()
  readonly #idOf: Wants['idOf']
  readonly #owner: FetchOwner
  readonly #settle: (error: unknown) => void
  #isOver = false

  /** @param settle - called once: with null when all are held. */
  constructor(wants: Wants, owner: FetchOwner, settle: (error: unknown) => void) {
    this.isUrgent = owner.isUrgent ?? false
    for (const index of wants.indexes) this.#left.add(index)
    this.#idOf = wants.idOf
    this.#owner = owner
    this.#settle = settle
  }

  get left(): BlobSet {
    return this.#left
  }

  idOf(index: number): Uint8Array {
    return new Uint8Array(this.#idOf(index))
  }

  /** Where the owner wants the content of a blob; null: nowhere now. Rejects with what the owner throws. */
  async placeOf(index: number): Promise<PlaceLease | null> {
    return (await this.#owner.placeOf?.(index)) ?? null
  }

  /** A blob is held. What the owner throws ends this call, and no other. */
  stored(index: number, isPlaced: boolean): void {
    if (this.#isOver || !this.#left.delete(index)) return
    try {
      this.#owner.onStored(index, isPlaced)
    } catch (error) {
      this.end(error)
      return
    }
    if (this.#left.size === 0) this.end(null)
  }

  end(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#settle(error)
  }
}

export class Fetch {
  readonly channel: SwarmChannel
  readonly release: ReleaseId
  readonly picker: Picker<Peer>
  readonly calls = new Set<FetchCall>()

  constructor(channel: SwarmChannel, release: ReleaseId, random: Random) {
    this.channel = channel
    this.release = release
    this.picker = new Picker<Peer>(random)
  }

  /** Does some call still want it? */
  isWanted(index: number): boolean {
    return this.callFor(index) !== null
  }

  /** A call that wants this blob, or null. Calls are few: a manifest's parts, its data, a listing. */
  callFor(index: number): FetchCall | null {
    for (const call of this.calls) if (call.left.has(index)) return call
    return null
  }
}
