/**
 * BEP 44 mutable item: what the DHT stores under the hash of a key, and what its
 * signature covers (PROTOCOL_FINAL.md §5.1 uses it without salt).
 *
 * Only items whose value is a byte string exist here; the DHT knows others, which
 * are none of ours. Messages of the DHT that carry items: discovery/krpc.ts.
 *
 * @module wire/mutable-item
 */
import { assertBytes, concatBytes, EMPTY_BYTES, utf8Bytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from '../crypto/ed25519.ts'
import { sha1 } from '../crypto/hash.ts'
import { encodeBencode, measureBytes } from './bencode.ts'

/** BEP 44: the bencoded value, its length prefix included. */
export const MAX_ITEM_VALUE_BYTES = 1000
/** BEP 44. */
export const MAX_ITEM_SALT_BYTES = 64

export interface MutableItem {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** A safe integer >= 0; a higher one replaces a lower. */
  readonly seq: number
  /** The byte string that `v` is, without its bencoding. */
  readonly value: Uint8Array
  /** 64 bytes, over `itemMessage`. */
  readonly signature: Uint8Array
  /** At most 64 bytes; left out where there is none. */
  readonly salt?: Uint8Array
}

/** What is signed: `4:salt<salt>3:seqi<seq>e1:v<bencoded value>`, the salt left out when empty. */
export function itemMessage(seq: number, value: Uint8Array, salt: Uint8Array = EMPTY_BYTES): Uint8Array {
  if (!isSeq(seq)) throw new RangeError(`"seq" expected 0..2^53-1, got ${seq}`)
  const head = salt.length === 0 ? EMPTY_BYTES : concatBytes(utf8Bytes('4:salt'), encodeBencode(salt))
  return concatBytes(head, utf8Bytes(`3:seqi${seq}e1:v`), encodeBencode(value))
}

/** Where the DHT keeps it: SHA-1(public key || salt). @returns 20 bytes. */
export function itemTarget(publicKey: Uint8Array, salt: Uint8Array = EMPTY_BYTES): Uint8Array {
  assertBytes(publicKey, PUBLIC_KEY_BYTES, 'publicKey')
  return sha1(publicKey, salt)
}

/** Sign an item under the key of `signer`: a channel's own, or one of a slot. */
export function signItem(
  signer: { readonly publicKey: Uint8Array; sign(message: Uint8Array): Uint8Array },
  seq: number,
  value: Uint8Array,
): MutableItem {
  if (measureBytes(value.length) > MAX_ITEM_VALUE_BYTES) {
    throw new RangeError(`"value" expected <= ${MAX_ITEM_VALUE_BYTES} bytes bencoded, got ${value.length}`)
  }
  return { publicKey: signer.publicKey, seq, value, signature: signer.sign(itemMessage(seq, value)) }
}

/**
 * Throws unless sizes, seq and signature are right.
 *
 * @throws MegatorrentError, kind 'peer': ERR_ITEM_FIELD, ERR_ITEM_SIGNATURE. Cost: 0.15 ms.
 */
export function checkItem(item: MutableItem): void {
  const salt = item.salt ?? EMPTY_BYTES
  if (item.publicKey.length !== PUBLIC_KEY_BYTES) throw bad('key')
  if (item.signature.length !== SIGNATURE_BYTES) throw bad('signature')
  if (!isSeq(item.seq)) throw bad('seq')
  if (salt.length > MAX_ITEM_SALT_BYTES) throw bad('salt')
  if (measureBytes(item.value.length) > MAX_ITEM_VALUE_BYTES) throw bad('value')
  if (!verifySignature(item.signature, itemMessage(item.seq, item.value, salt), item.publicKey)) {
    throw new MegatorrentError('ERR_ITEM_SIGNATURE', 'the signature of the item is not valid')
  }
}

/** As `checkItem`, as a question. Never throws, whatever the item holds. */
export function isValidItem(item: MutableItem): boolean {
  try {
    checkItem(item)
    return true
  } catch {
    return false // every reason to refuse it is the same to who asks
  }
}

function isSeq(seq: number): boolean {
  return Number.isSafeInteger(seq) && seq >= 0
}

function bad(field: string): MegatorrentError {
  return new MegatorrentError('ERR_ITEM_FIELD', `item: ${field} is out of range`)
}
