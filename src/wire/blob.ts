/**
 * Blob: a chunk sealed under a key that follows from it (PROTOCOL_FINAL.md §4.1).
 *
 * The key is HMAC(convergence secret, SHA-256(chunk)), so the same content
 * published again by the same channel gives the same blob, and nobody without the
 * secret can test a guess. Each key seals one chunk only; that is why the nonce
 * may be constant. Not to be used with a key that came from anywhere else.
 *
 * Hashing before anything else is the rule: whoever takes a blob from a peer calls
 * `verifyBlob` first, keeps or passes it on then, and opens it last.
 *
 * @module wire/blob
 */
import { assertBytes, EMPTY_BYTES, equalBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { NONCE_BYTES, openInto, sealInto } from '../crypto/aead.ts'
import { blobKey } from '../crypto/blob-key.ts'
import { sha256 } from '../crypto/hash.ts'
import { BLOB_BYTES, BLOB_ID_BYTES, BLOB_REF_BYTES, CHUNK_BYTES } from './constants.ts'

const ZERO_NONCE: Uint8Array = new Uint8Array(NONCE_BYTES)
const BLOB_KEY_BYTES = BLOB_REF_BYTES - BLOB_ID_BYTES

/** SHA-256 of the sealed bytes. @returns 32 fresh bytes. */
export function blobId(sealed: Uint8Array): Uint8Array {
  return sha256(sealed)
}

/** id || key: how manifests and heads name a blob. @returns BLOB_REF_BYTES fresh bytes. */
export function blobReference(id: Uint8Array, key: Uint8Array): Uint8Array {
  assertBytes(id, BLOB_ID_BYTES, 'id')
  assertBytes(key, BLOB_KEY_BYTES, 'key')
  const reference = new Uint8Array(BLOB_REF_BYTES)
  reference.set(id)
  reference.set(key, BLOB_ID_BYTES)
  return reference
}

/** The id in a reference: a view. */
export function referenceId(reference: Uint8Array): Uint8Array {
  return reference.subarray(0, BLOB_ID_BYTES)
}

/** The key in a reference: a view. */
export function referenceKey(reference: Uint8Array): Uint8Array {
  return reference.subarray(BLOB_ID_BYTES, BLOB_REF_BYTES)
}

/** `bytes`, at most CHUNK_BYTES, with zeros up to a whole chunk. Fresh. */
export function padChunk(bytes: Uint8Array): Uint8Array {
  if (bytes.length > CHUNK_BYTES) {
    throw new RangeError(`"bytes" expected <= ${CHUNK_BYTES} bytes, got ${bytes.length}`)
  }
  const chunk = new Uint8Array(CHUNK_BYTES)
  chunk.set(bytes)
  return chunk
}

/**
 * Seal one chunk.
 *
 * @param chunk - exactly CHUNK_BYTES (`padChunk`); read, not kept.
 * @returns the blob, BLOB_BYTES, and its reference, both fresh.
 */
export function sealChunk(
  chunk: Uint8Array,
  convergenceSecret: Uint8Array,
): { readonly reference: Uint8Array; readonly sealed: Uint8Array } {
  const sealed = new Uint8Array(BLOB_BYTES)
  return { reference: sealChunkInto(chunk, convergenceSecret, sealed), sealed }
}

/**
 * Seal one chunk into memory of the caller.
 *
 * @param sealed - exactly BLOB_BYTES; it may begin at the same byte of the same memory as `chunk`.
 * @returns the reference, fresh. Cost: two hashes and a cipher over 1 MiB, some 3 ms.
 */
export function sealChunkInto(
  chunk: Uint8Array,
  convergenceSecret: Uint8Array,
  sealed: Uint8Array,
): Uint8Array {
  assertBytes(chunk, CHUNK_BYTES, 'chunk')
  const key = blobKey(convergenceSecret, sha256(chunk))
  return blobReference(sealChunkWithKey(chunk, key, sealed), key)
}

/**
 * Seal one chunk under the key that is its own (`blobKey` of crypto/blob-key.ts), for a caller that hashed it already.
 *
 * @param sealed - exactly BLOB_BYTES; may begin where `chunk` begins.
 * @returns the blob id, fresh.
 */
export function sealChunkWithKey(chunk: Uint8Array, key: Uint8Array, sealed: Uint8Array): Uint8Array {
  assertBytes(chunk, CHUNK_BYTES, 'chunk')
  assertBytes(sealed, BLOB_BYTES, 'sealed')
  sealInto(key, ZERO_NONCE, chunk, sealed, EMPTY_BYTES)
  return blobId(sealed)
}

/**
 * Is this the blob that was asked for? Rules (1) and (2) of §4.1: who sent it is at fault.
 *
 * @throws MegatorrentError, kind 'peer': ERR_BLOB_SIZE, ERR_BLOB_ID. Cost: one hash over 1 MiB.
 */
export function verifyBlob(sealed: Uint8Array, id: Uint8Array): void {
  assertBytes(id, BLOB_ID_BYTES, 'id')
  checkSize(sealed)
  if (!equalBytes(blobId(sealed), id)) {
    throw new MegatorrentError('ERR_BLOB_ID', 'the bytes are not those of the blob asked for')
  }
}

/**
 * Open a blob whose id was verified: rule (3) of §4.1.
 *
 * @returns the chunk, CHUNK_BYTES, fresh.
 * @throws MegatorrentError: ERR_BLOB_SIZE (kind 'peer'), ERR_BLOB_OPEN (kind 'integrity': the
 *   publisher is at fault, never who sent it).
 */
export function openBlob(sealed: Uint8Array, key: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(CHUNK_BYTES)
  openBlobInto(sealed, key, chunk)
  return chunk
}

/**
 * As `openBlob`, into memory of the caller.
 *
 * @param chunk - exactly CHUNK_BYTES; it may begin at the same byte as `sealed`. Zero after an error.
 */
export function openBlobInto(sealed: Uint8Array, key: Uint8Array, chunk: Uint8Array): void {
  assertBytes(chunk, CHUNK_BYTES, 'chunk')
  checkSize(sealed)
  if (!openInto(key, ZERO_NONCE, sealed, chunk)) {
    throw new MegatorrentError('ERR_BLOB_OPEN', 'the blob does not open under the key of its reference')
  }
}

function checkSize(sealed: Uint8Array): void {
  if (sealed.length !== BLOB_BYTES) {
    throw new MegatorrentError('ERR_BLOB_SIZE', `a blob has ${BLOB_BYTES} bytes, not ${sealed.length}`)
  }
}
