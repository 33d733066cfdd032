/**
 * Signatures of slots, made and verified by the worker threads (PROTOCOL_FINAL.md §5.4):
 * 2 ms a day, for 400 days, is too long for the thread that answers everybody.
 *
 * A call is for a few days, so that blobs do not wait long behind it.
 *
 * @module storage/slot-tasks
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import { channelKeys, publisherKeys } from '../crypto/key-schedule.ts'
import { wipe } from '../crypto/wipe.ts'
import { type SlotSet, signSlotSet, verifySlotSet } from '../wire/slot-set.ts'

export interface SignSlotsInput {
  /** Of the channel; a copy, which is wiped. */
  readonly seed: Uint8Array
  readonly readKey: Uint8Array
  /** HEAD_BYTES. */
  readonly head: Uint8Array
  readonly firstDay: number
  readonly days: number
}

export interface VerifySlotsInput {
  readonly publicKey: Uint8Array
  readonly readKey: Uint8Array
  readonly set: SlotSet
}

/** @returns signatures of these days, as a set holds them. */
export function signSlots(_context: unknown, input: SignSlotsInput): Uint8Array {
  const { seed, readKey, head, firstDay, days } = input
  const keys = publisherKeys(seed, readKey)
  let signatures: Uint8Array = EMPTY_BYTES
  for (const set of signSlotSet(keys, head, firstDay, days)) signatures = set.signatures
  for (const secret of [seed, keys.seed, keys.convergenceSecret]) wipe(secret)
  return signatures
}

/** @throws as `verifySlotSet`. */
export function verifySlots(_context: unknown, { publicKey, readKey, set }: VerifySlotsInput): null {
  for (const _day of verifySlotSet(channelKeys(publicKey, readKey), set)) {
    // What is not valid throws.
  }
  return null
}
