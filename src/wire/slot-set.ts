/**
 * Slots signed ahead: what keeps a channel in the DHT after its publisher has gone
 * (PROTOCOL_FINAL.md §5.4).
 *
 * Key, seq and value of a slot follow from link, head, day and replica (wire/slot.ts), so that of each only
 * the signature has to be kept: 400 days are 75 KiB. A set proves who made it, never that it is the newest: its
 * head is as old as its time of signing says.
 *
 *   offset  size       field
 *        0     1       version     SLOT_SET_VERSION
 *        1     4       first day   t of the first slots
 *        5     2       days        1..MAX_SLOT_SET_DAYS
 *        7   568       head
 *      575   192 each  signatures  of each day, replica by replica, 64 bytes each
 *
 * On its way it fills a blob frame: zero up to BLOB_BYTES.
 *
 * @module wire/slot-set
 */
import { assertBytes, ByteReader, ByteWriter, isZeroBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { KeyBlinder } from '../crypto/blinding.ts'
import { SIGNATURE_BYTES, verifySignature } from '../crypto/ed25519.ts'
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import {
  BLOB_BYTES,
  HEAD_BYTES,
  MAX_SLOT_SET_DAYS,
  SLOT_REPLICAS,
  SLOT_SET_HEADER_BYTES,
  SLOT_SET_VERSION,
} from './constants.ts'
import { type Head, verifyHead } from './head.ts'
import type { MutableItem } from './mutable-item.ts'
import { rebuildSlot, requireHead, type SlotPlace, signSlot, slotKey, slotMessage } from './slot.ts'

const DAY_BYTES = SLOT_REPLICAS * SIGNATURE_BYTES

/** A set in form; whether the channel signed it is `verifySlotSetDay`'s to say. */
export interface SlotSet {
  /** HEAD_BYTES. */
  readonly head: Uint8Array
  /** Whole days since 1970, UTC. */
  readonly firstDay: number
  /** 1..MAX_SLOT_SET_DAYS. */
  readonly days: number
  /** `days` times SLOT_REPLICAS signatures. */
  readonly signatures: Uint8Array
}

/**
 * Sign the slots of a head for some days, one after the other.
 *
 * @param head - HEAD_BYTES, signed by that channel. @throws TypeError when it is not.
 * @yields a set that grows, after each day, some 2 ms: who has other work to do may pause between two.
 */
export function* signSlotSet(
  keys: PublisherKeys,
  head: Uint8Array,
  firstDay: number,
  days: number,
): Generator<SlotSet, void, void> {
  if (!Number.isInteger(days) || days < 1 || days > MAX_SLOT_SET_DAYS) {
    throw new RangeError(`"days" expected 1..${MAX_SLOT_SET_DAYS}, got ${days}`)
  }
  requireHead(keys, head)
  const signatures = new Uint8Array(days * DAY_BYTES)
  for (let n = 0; n < days; n++) {
    for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
      const { signature } = signSlot(keys, { day: firstDay + n, replica }, head)
      signatures.set(signature, n * DAY_BYTES + replica * SIGNATURE_BYTES)
    }
    yield { head, firstDay, days: n + 1, signatures: signatures.subarray(0, (n + 1) * DAY_BYTES) }
  }
}

/** @returns fresh bytes without the padding of a frame. */
export function encodeSlotSet({ head, firstDay, days, signatures }: SlotSet): Uint8Array {
  assertBytes(head, HEAD_BYTES, 'head')
  assertBytes(signatures, days * DAY_BYTES, 'signatures')
  return new ByteWriter(SLOT_SET_HEADER_BYTES + signatures.length)
    .u8(SLOT_SET_VERSION)
    .u32(firstDay)
    .u16(days)
    .put(head)
    .put(signatures).bytes
}

/**
 * @param bytes - a set, with or without zeros behind it.
 * @returns views of `bytes`.
 * @throws MegatorrentError ERR_SLOT_SET, kind 'peer': rules (1) to (3) of §5.4. Cost: a look at each byte.
 */
export function decodeSlotSet(bytes: Uint8Array): SlotSet {
  if (bytes.length < SLOT_SET_HEADER_BYTES || bytes.length > BLOB_BYTES) throw refused('is of a wrong length')
  const reader = new ByteReader(bytes)
  if (reader.u8() !== SLOT_SET_VERSION) throw refused('is of an unknown version')
  const firstDay = reader.u32()
  const days = reader.u16()
  if (days < 1 || days > MAX_SLOT_SET_DAYS) throw refused(`has ${days} days`)
  const head = reader.take(HEAD_BYTES)
  const end = SLOT_SET_HEADER_BYTES + days * DAY_BYTES
  if (bytes.length < end) throw refused('is shorter than its days')
  if (!isZeroBytes(bytes.subarray(end))) throw refused('has bytes behind its days that are not zero')
  return { head, firstDay, days, signatures: bytes.subarray(SLOT_SET_HEADER_BYTES, end) }
}

/** Some days of a set, from its day number `from` on: a set of its own, in memory of its own. */
export function slotSetDays({ head, firstDay, signatures }: SlotSet, from: number, days: number): SlotSet {
  return {
    head: new Uint8Array(head),
    firstDay: firstDay + from,
    days,
    signatures: new Uint8Array(signatures.subarray(from * DAY_BYTES, (from + days) * DAY_BYTES)),
  }
}

/**
 * The head of a set, when the channel signed it: rule (4) of §5.4.
 *
 * @throws as `verifyHead`.
 */
export function slotSetHead(keys: ChannelKeys, set: SlotSet): Head {
  return verifyHead(set.head, keys.publicKey)
}

/**
 * The item of a slot in a set, as the DHT takes it.
 *
 * @param set - whose head was verified.
 * @param blinder - of the channel's key, where many items are made.
 * @returns null for a day that it does not have.
 * @throws MegatorrentError ERR_SLOT_SET, kind 'peer', when the channel did not sign that slot: rule (5). Cost: 2 ms.
 */
export function slotSetItem(
  keys: ChannelKeys,
  set: SlotSet,
  place: SlotPlace,
  blinder?: KeyBlinder,
): MutableItem | null {
  const n = place.day - set.firstDay
  if (n < 0 || n >= set.days) return null
  const slot = rebuildSlot(keys, place, set.head, slotKey(keys, place, blinder))
  const at = n * DAY_BYTES + place.replica * SIGNATURE_BYTES
  const signature = set.signatures.slice(at, at + SIGNATURE_BYTES)
  if (!verifySignature(signature, slotMessage(slot), slot.publicKey)) {
    throw refused(`has a signature of day ${place.day} that is not valid`)
  }
  return { publicKey: slot.publicKey, seq: slot.seq, value: slot.value, signature }
}

/**
 * Verify all of a set, one day at a time: who passes a set on has verified all of it.
 *
 * @yields after each day, some 2 ms.
 * @throws as `slotSetHead` and `slotSetItem`.
 */
export function* verifySlotSet(keys: ChannelKeys, set: SlotSet): Generator<number, Head, void> {
  const head = slotSetHead(keys, set)
  const blinder = new KeyBlinder(keys.publicKey)
  for (let day = set.firstDay; day < set.firstDay + set.days; day++) {
    for (let replica = 0; replica < SLOT_REPLICAS; replica++)
      slotSetItem(keys, set, { day, replica }, blinder)
    yield day
  }
  return head
}

function refused(how: string): MegatorrentError {
  return new MegatorrentError('ERR_SLOT_SET', `a set of slots ${how}`)
}
