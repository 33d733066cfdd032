/**
 * The proof of work in front of a PUBLISH (PROTOCOL_FINAL.md §7.8) and of a KEEP (§7.9).
 *
 * It is over the handshake hash and the whole item, so it serves one item on one
 * connection: none can be made beforehand, kept, or bought once for many. It is what
 * a gateway looks at first, since it costs it one hash.
 *
 * @module wire/publish-work
 */
import { ByteWriter, concatBytes } from '../base/bytes.ts'
import { label } from '../crypto/domains.ts'
import { sha256 } from '../crypto/hash.ts'
import { PUBLISH_NONCE_BYTES } from './constants.ts'
import { encodePublishedItem } from './gateway-body.ts'
import { encodeKeepList } from './keep-body.ts'
import type { KeepList, PublishedItem } from './message.ts'
import { leadingZeroBits } from './onion-statement.ts'

/** @returns leading zero bits that the nonce makes, 32 at most. Cost: two hashes of a KiB at most. */
export function publishWork(handshakeHash: Uint8Array, item: PublishedItem, nonce: Uint8Array): number {
  return workOf(publishSubject(handshakeHash, item), nonce)
}

/** The same for a KEEP, of 8 KiB at most. */
export function keepWork(handshakeHash: Uint8Array, list: KeepList, nonce: Uint8Array): number {
  return workOf(keepSubject(handshakeHash, list), nonce)
}

/**
 * Look for a nonce among `tries`, beginning with `from`.
 *
 * @returns PUBLISH_NONCE_BYTES fresh bytes, or null: go on at `from + tries`, after others had their turn.
 * Cost: 2 us a try; 2^bits tries on average.
 */
export function findPublishNonce(
  handshakeHash: Uint8Array,
  item: PublishedItem,
  bits: number,
  from: number,
  tries: number,
): Uint8Array | null {
  return findNonce(publishSubject(handshakeHash, item), bits, from, tries)
}

/** As `findPublishNonce`. */
export function findKeepNonce(
  handshakeHash: Uint8Array,
  list: KeepList,
  bits: number,
  from: number,
  tries: number,
): Uint8Array | null {
  return findNonce(keepSubject(handshakeHash, list), bits, from, tries)
}

function publishSubject(handshakeHash: Uint8Array, item: PublishedItem): Uint8Array {
  return concatBytes(label('publishWork'), handshakeHash, sha256(encodePublishedItem(item)))
}

function keepSubject(handshakeHash: Uint8Array, list: KeepList): Uint8Array {
  return concatBytes(label('keepWork'), handshakeHash, sha256(encodeKeepList(list)))
}

function workOf(subject: Uint8Array, nonce: Uint8Array): number {
  return leadingZeroBits(sha256(concatBytes(subject, nonce)))
}

function findNonce(subject: Uint8Array, bits: number, from: number, tries: number): Uint8Array | null {
  const input = concatBytes(subject, new Uint8Array(PUBLISH_NONCE_BYTES))
  const nonce = input.subarray(input.length - PUBLISH_NONCE_BYTES)
  for (let at = from; at < from + tries; at++) {
    nonce.set(new ByteWriter(PUBLISH_NONCE_BYTES).u64(at).bytes)
    if (leadingZeroBits(sha256(input)) >= bits) return new Uint8Array(nonce)
  }
  return null
}
