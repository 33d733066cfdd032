/**
 * One channel in the swarm: what we hold of its newest release, what is told of it,
 * and where its peers may be. Data; swarm.ts and its parts drive it.
 *
 * @module swarm/channel
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { SLOT_SET_BURST, SLOT_SETS_PER_HOUR } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import { type ChannelKeys, tagKey } from '../crypto/key-schedule.ts'
import { PeerBook } from '../discovery/peer-book.ts'
import type { PeerAddress } from '../wire/address.ts'
import { BLOB_ID_BYTES } from '../wire/constants.ts'
import type { Head } from '../wire/head.ts'
import { BlobSet } from './blob-set.ts'
import type { Fetch } from './fetch.ts'
import type { Peer } from './peer.ts'
import { RateMeter } from './rate-meter.ts'
import type { WantedSet } from './set-exchange.ts'

/** A release, as HAVE names it. */
export interface ReleaseId {
  readonly number: number
  /** Blob id of the manifest's root. */
  readonly rootId: Uint8Array
}

export function releaseOf(head: Pick<Head, 'releaseNumber' | 'root'>): ReleaseId {
  return { number: head.releaseNumber, rootId: head.root.subarray(0, BLOB_ID_BYTES) }
}

/** Two releases under one number: a conflict (PROTOCOL_FINAL.md §4.3). */
export function isContradiction(a: ReleaseId, b: ReleaseId): boolean {
  return a.number === b.number && !equalBytes(a.rootId, b.rootId)
}

/** What the layer above wants to hear. */
export interface ChannelEvents {
  /**
   * A peer sent a head that is newer than ours by its own word, or contradicts it; nobody has verified it.
   * Throw ERR_HEAD_SIGNATURE when the channel did not sign it: the peer is banned.
   */
  onHead(head: Uint8Array): void
  /**
   * A peer sent the set of slots that was wanted; nobody has verified it. Reject with ERR_SLOT_SET when it is
   * false: the peer is banned. BLOB_BYTES, the owner's from now on.
   */
  onSlotSet?(set: Uint8Array): Promise<void>
  /** The set of slots of the head of that hash, for a peer; null when there is none. */
  readSlotSet?(headHash: Uint8Array): Uint8Array | null
}

export class SwarmChannel {
  readonly keys: ChannelKeys
  readonly events: ChannelEvents
  /** Names it in maps of ours. A secret: not for logs. */
  readonly id: string
  /** For tags and handles. */
  readonly tagKey: Uint8Array
  readonly addresses: PeerBook<PeerAddress>
  readonly download: RateMeter
  readonly upload: RateMeter
  /** We publish it. */
  isOurs = false
  /** HEAD_BYTES of the newest head, what we answer with. */
  head: Uint8Array | null = null
  slotVersion = 0
  /** The release of that head. */
  headRelease: ReleaseId | null = null
  /** The last release number under which a peer gave us a second release: one proof is enough. */
  contradicted = 0
  /** The release that `held` is about. */
  release: ReleaseId | null = null
  /** False once the channel was unpublished, until there is a release again: blobs are not given out then. */
  isServed = true
  /** Numbers in manifest order that we hold. */
  held = new BlobSet()
  /** Held since the last HAVE. */
  freshlyHeld = new BlobSet()
  haveTimer: Timer | null = null
  /** Peers asked for a head that have not answered, and since when, monotonic ms. */
  readonly headAsked = new Map<Peer, number>()
  /** Slots signed ahead that we look for. */
  wantedSet: WantedSet | null = null
  /** Sets of slots that may still be taken. */
  readonly setCredit: TokenBucket
  /** What is being fetched, by root id as hex. */
  readonly fetches = new Map<string, Fetch>()

  constructor(keys: ChannelKeys, events: ChannelEvents, clock: Clock, random: Random) {
    this.keys = keys
    this.events = events
    this.id = toHex(keys.secret)
    this.tagKey = tagKey(keys.secret)
    this.addresses = new PeerBook(random)
    this.download = new RateMeter(clock)
    this.upload = new RateMeter(clock)
    this.setCredit = new TokenBucket(clock, SLOT_SETS_PER_HOUR / 3_600, SLOT_SET_BURST)
  }

  /** Tell of another release from now on, of which nothing is held yet; null: of none. */
  begin(release: ReleaseId | null): void {
    this.release = release
    this.held = new BlobSet()
    this.isServed = release !== null
  }

  /** Is it the release whose blobs we tell of? */
  isCurrent(rootId: Uint8Array): boolean {
    return this.release !== null && toHex(this.release.rootId) === toHex(rootId)
  }
}
