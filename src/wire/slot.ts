/**
 * Slot: the DHT item of a day that carries a head (PROTOCOL_FINAL.md §5.1).
 *
 * Its key is blinded, its value sealed and its seq shifted, so who stores it learns
 * neither the channel nor that two days belong together. The value follows from
 * head, day and replica: holders of the link can build it again, and for a day that
 * was signed ahead only the signature has to be kept.
 *
 * @module wire/slot
 */
import { assertBytes, ByteWriter, concatBytes, equalBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_RECENT_SLOT_KEYS } from '../base/limits.ts'
import { blindingFactor, KeyBlinder, slotSigner } from '../crypto/blinding.ts'
import {
  type ChannelKeys,
  type PublisherKeys,
  recordKey,
  seqOffset,
  slotNonce,
} from '../crypto/key-schedule.ts'
import { openXChaCha, sealXChaCha, XNONCE_BYTES } from '../crypto/xchacha.ts'
import { HEAD_BYTES, SLOT_REPLICAS, SLOT_VALUE_BYTES } from './constants.ts'
import { decodeHead, type Head, slotVersion, verifyHead } from './head.ts'
import { checkItem, itemMessage, type MutableItem, signItem } from './mutable-item.ts'

/** Which slot of a channel: t and i. */
export interface SlotPlace {
  /** Whole days since 1970, UTC. */
  readonly day: number
  /** 0..SLOT_REPLICAS - 1. */
  readonly replica: number
}

/** A slot's item but for its signature: what follows from link and head. */
export interface UnsignedSlot {
  readonly publicKey: Uint8Array
  readonly seq: number
  readonly value: Uint8Array
}

/**
 * Sign the slot of a day and replica.
 *
 * @param keys - of a channel of our own.
 * @param head - HEAD_BYTES, signed by that channel. @throws TypeError when it is not.
 * Cost: some 1 ms, curve arithmetic.
 */
export function buildSlot(keys: PublisherKeys, place: SlotPlace, head: Uint8Array): MutableItem {
  requireHead(keys, head)
  return signSlot(keys, place, head)
}

/** As `buildSlot`, of a head that was verified before: for many slots of one. Cost: some 0.7 ms. */
export function signSlot(keys: PublisherKeys, place: SlotPlace, head: Uint8Array): MutableItem {
  const signer = slotSigner(keys, place.day, place.replica)
  const { seq, value } = rebuildSlot(keys, place, head, signer.publicKey)
  return signItem(signer, seq, value)
}

/**
 * Key, seq and value of a slot, which follow from link and head. With a signature that was
 * kept they are the item again.
 *
 * @param head - HEAD_BYTES, verified before.
 * @param publicKey - `slotKey`, where it is known: 1 ms to compute.
 */
export function rebuildSlot(
  keys: ChannelKeys,
  place: SlotPlace,
  head: Uint8Array,
  publicKey: Uint8Array = slotKey(keys, place),
): UnsignedSlot {
  assertBytes(head, HEAD_BYTES, 'head')
  const seq = slotVersion(decodeHead(head)) + seqOffset(keys.secret, place.day, place.replica)
  const key = recordKey(keys.secret, place.day)
  const nonce = slotNonce(key, publicKey, seq, head)
  const value = concatBytes(nonce, sealXChaCha(key, nonce, head, additionalData(publicKey, seq)))
  return { publicKey, seq, value }
}

/** The bytes whose signature makes `rebuildSlot`'s result an item. */
export function slotMessage(slot: UnsignedSlot): Uint8Array {
  return itemMessage(slot.seq, slot.value)
}

/** Keys of the slots that were asked for last, of each channel as long as its keys are in use. */
const recentKeys = new WeakMap<ChannelKeys, Map<number, Uint8Array>>()

/**
 * A'(t,i): under it the slot is found. Those asked for last are remembered: each look at a slot asks more than once.
 *
 * @param blinder - of the channel's key, where many slots are computed: 0.2 ms for each, else 1 ms.
 * @returns 32 bytes, shared: not to be written to.
 */
export function slotKey(keys: ChannelKeys, place: SlotPlace, blinder?: KeyBlinder): Uint8Array {
  if (!Number.isInteger(place.replica) || place.replica < 0 || place.replica >= SLOT_REPLICAS) {
    throw new RangeError(`"replica" expected 0..${SLOT_REPLICAS - 1}, got ${place.replica}`)
  }
  const factor = (): bigint => blindingFactor(keys, place.day, place.replica)
  if (blinder !== undefined) return blinder.blind(factor())
  const recent = recentKeys.get(keys) ?? new Map<number, Uint8Array>()
  recentKeys.set(keys, recent)
  const number = place.day * SLOT_REPLICAS + place.replica
  const known = recent.get(number)
  if (known !== undefined) return known
  const key = new KeyBlinder(keys.publicKey, false).blind(factor())
  recent.set(number, key)
  const oldest = recent.keys().next()
  if (recent.size > MAX_RECENT_SLOT_KEYS && oldest.done !== true) recent.delete(oldest.value)
  return key
}

/**
 * The head in an item found under a slot's key: all six rules of §5.1.
 *
 * @param item - as any node returned it; nothing of it is trusted.
 * @throws MegatorrentError, kind 'peer': ERR_SLOT_KEY, ERR_ITEM_FIELD, ERR_ITEM_SIGNATURE,
 *   ERR_SLOT_VALUE (length, seal or nonce), ERR_SLOT_SEQ, or those of `verifyHead`.
 * Cost: 2 ms.
 */
export function openSlot(keys: ChannelKeys, place: SlotPlace, item: MutableItem): Head {
  const publicKey = slotKey(keys, place)
  if (!equalBytes(item.publicKey, publicKey) || hasSalt(item)) {
    throw new MegatorrentError('ERR_SLOT_KEY', 'the item is not of this slot')
  }
  checkItem(item)
  if (item.value.length !== SLOT_VALUE_BYTES) {
    throw new MegatorrentError('ERR_SLOT_VALUE', `a slot value has ${SLOT_VALUE_BYTES} bytes`)
  }
  const key = recordKey(keys.secret, place.day)
  const nonce = item.value.subarray(0, XNONCE_BYTES)
  const sealed = item.value.subarray(XNONCE_BYTES)
  const head = openXChaCha(key, nonce, sealed, additionalData(publicKey, item.seq))
  if (head === null) throw new MegatorrentError('ERR_SLOT_VALUE', 'the slot value does not open')
  if (!equalBytes(nonce, slotNonce(key, publicKey, item.seq, head))) {
    throw new MegatorrentError('ERR_SLOT_VALUE', 'the nonce of the slot value is not that of its head')
  }
  const verified = verifyHead(head, keys.publicKey)
  if (item.seq !== slotVersion(verified) + seqOffset(keys.secret, place.day, place.replica)) {
    throw new MegatorrentError('ERR_SLOT_SEQ', 'the seq of the slot is not that of its head')
  }
  return verified
}

/** The item of an open channel: the head in clear under the plain key. @throws TypeError as `buildSlot`. */
export function buildOpenItem(keys: PublisherKeys, head: Uint8Array): MutableItem {
  const verified = requireHead(keys, head)
  return signItem(keys.signingKey, slotVersion(verified), head)
}

/** The head in an item found under the plain key of a channel. @throws as `openSlot`. */
export function openOpenItem(channelKey: Uint8Array, item: MutableItem): Head {
  if (!equalBytes(item.publicKey, channelKey) || hasSalt(item)) {
    throw new MegatorrentError('ERR_SLOT_KEY', 'the item is not of this channel')
  }
  checkItem(item)
  if (item.value.length !== HEAD_BYTES) {
    throw new MegatorrentError('ERR_SLOT_VALUE', `the value of an open item has ${HEAD_BYTES} bytes`)
  }
  const verified = verifyHead(item.value, channelKey)
  if (item.seq !== slotVersion(verified)) {
    throw new MegatorrentError('ERR_SLOT_SEQ', 'the seq of the item is not that of its head')
  }
  return verified
}

/** A head of another key in our slot would be refused by all readers: our own bug, caught here. */
export function requireHead(keys: PublisherKeys, head: Uint8Array): Head {
  try {
    return verifyHead(head, keys.publicKey)
  } catch (cause) {
    throw new TypeError('"head" expected a head signed by this channel', { cause })
  }
}

function hasSalt(item: MutableItem): boolean {
  return item.salt !== undefined && item.salt.length > 0
}

function additionalData(publicKey: Uint8Array, seq: number): Uint8Array {
  return concatBytes(publicKey, new ByteWriter(8).u64(seq).bytes)
}
