/**
 * One channel in the swarm: what we hold of its newest release, what we want, and
 * where its peers may be. Data and small decisions; swarm.ts drives it.
 *
 * @module swarm/channel
 */
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { type ChannelKeys, tagKey } from '../crypto/key-schedule.ts'
import type { PeerAddress } from '../wire/address.ts'
import { AddressList } from './address-list.ts'
import { BlobSet } from './blob-set.ts'
import type { Peer } from './peer.ts'
import { Picker } from './picker.ts'
import { RateMeter } from './rate-meter.ts'

/** A release, as HAVE names it. */
export interface ReleaseId {
  readonly number: number
  /** Blob id of the manifest's root. */
  readonly rootId: Uint8Array
}

/** What the layer above wants to hear. */
export interface ChannelEvents {
  /**
   * A peer sent a head that is newer than ours by its own word; nobody has verified it.
   * Throw MegatorrentError of kind peer when it is false: the peer is banned.
   */
  onHead(head: Uint8Array): void
}

/** Blobs of one release on their way. */
export interface Fetch {
  readonly release: ReleaseId
  readonly picker: Picker<Peer>
  /** Index -> those to tell when it is stored. */
  readonly waiting: Map<number, Set<FetchCall>>
  readonly calls: Set<FetchCall>
}

/** One call of `Downloads.fetch`. */
export interface FetchCall {
  stored(index: number): void
  fail(error: unknown): void
}

export class SwarmChannel {
  readonly keys: ChannelKeys
  readonly events: ChannelEvents
  /** For tags and handles. */
  readonly tagKey: Uint8Array
  readonly addresses = new AddressList<PeerAddress>()
  readonly download: RateMeter
  readonly upload: RateMeter
  /** HEAD_BYTES of the newest head, what we answer with. */
  head: Uint8Array | null = null
  slotVersion = 0
  /** The release that `held` is about. */
  release: ReleaseId | null = null
  /** Indexes in manifest order that we hold. */
  held = new BlobSet()
  /** Held since the last HAVE. */
  readonly freshlyHeld: number[] = []
  havePlanned = false
  fetch: Fetch | null = null
  /** All that is wanted of the newest release is held. */
  complete = false

  constructor(keys: ChannelKeys, events: ChannelEvents, clock: Clock) {
    this.keys = keys
    this.events = events
    this.tagKey = tagKey(keys.secret)
    this.download = new RateMeter(clock)
    this.upload = new RateMeter(clock)
  }

  /** The same release as the one whose blobs we count? */
  isCurrent(rootId: Uint8Array): boolean {
    return this.release !== null && toHex(this.release.rootId) === toHex(rootId)
  }

  /** Begin to fetch blobs of a release. */
  beginFetch(release: ReleaseId, random: Random): Fetch {
    this.fetch = { release, picker: new Picker<Peer>(random), waiting: new Map(), calls: new Set() }
    return this.fetch
  }
}
