/**
 * What is kept of a slot, where it is kept, and what following a channel needs: the
 * interfaces that slot-service.ts and slot-follower.ts share, handed in from above.
 *
 * A record leaves out key material and value: the item follows from link, head and signature.
 *
 * @module discovery/slot-record
 */
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import type { Head } from '../wire/head.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import type { SlotPlace } from '../wire/slot.ts'
import type { SlotSet } from '../wire/slot-set.ts'
import type { FoundHead } from './slots.ts'

/** The newest version of a slot that we saw or signed. */
export interface SlotRecord {
  /** A'(t,i), or A for the item of an open channel; 32 bytes. */
  readonly slotKey: Uint8Array
  /** A, 32 bytes. */
  readonly publicKey: Uint8Array
  /** OPEN_SLOT_DAY for the item of an open channel. */
  readonly day: number
  readonly replica: number
  readonly seq: number
  readonly signature: Uint8Array
  /** HEAD_BYTES. */
  readonly head: Uint8Array
  /** ms since 1970. */
  readonly updatedAt: number
}

/** Where slots are kept, durably: storage implements it. */
export interface SlotStore {
  highest(slotKey: Uint8Array): SlotRecord | null
  /** Durable when it returns. A lower seq changes nothing; the same seq keeps what came first. */
  save(record: SlotRecord): boolean
  /** Forget days before this one. */
  prune(beforeDay: number): number
}

/** Times of following a channel, ms. Tests shorten them; no flag or file does. */
export interface SlotTiming {
  readonly checkMinMs: number
  readonly checkMaxMs: number
  readonly refreshMs: number
  readonly aheadMinMs: number
  readonly aheadMaxMs: number
  readonly spreadMs: number
}

/** A channel whose slots are looked after. */
export interface FollowedChannel {
  readonly keys: ChannelKeys
  /** For a channel of ours: its slots of any day can then be signed, not only put back. */
  readonly publisher?: PublisherKeys
  /** Keep the item under the plain key, too. Channels of ours only. */
  readonly isOpen?: boolean
  /** The newest head that this node acts on, or null when it has none. Asked at every look. */
  head(): Head | null
  /** Slots that the publisher signed ahead, verified, or null. Asked when one is missing. */
  slotSet?(): SlotSet | null
  /** Nodes known to look after the channel, ourselves included. */
  knownHolders(): number
  /** A look has found a newer head, or a conflict. Already saved. Must not throw. */
  onFound(found: { readonly newest: FoundHead | null; readonly conflicts: readonly FoundHead[] }): void
}

/** What is saved of a slot. */
export function recordOf(
  keys: ChannelKeys,
  place: SlotPlace,
  item: MutableItem,
  head: Uint8Array,
  nowMs: number,
): SlotRecord {
  return {
    slotKey: item.publicKey,
    publicKey: keys.publicKey,
    day: place.day,
    replica: place.replica,
    seq: item.seq,
    signature: item.signature,
    head,
    updatedAt: nowMs,
  }
}
