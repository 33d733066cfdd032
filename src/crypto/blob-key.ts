/**
 * The key of a blob (PROTOCOL_FINAL.md §3.2), apart from the rest of the key schedule: the worker threads
 * need this one alone, and the curves behind the others are half of what they would load.
 *
 * @module crypto/blob-key
 */
import { assertBytes } from '../base/bytes.ts'
import { hmacSha256, SHA256_BYTES } from './hash.ts'

/**
 * @param chunkHash - SHA-256 of the padded chunk.
 * @returns 32 bytes: the key of the one blob of that content in that channel.
 */
export function blobKey(secretOfConvergence: Uint8Array, chunkHash: Uint8Array): Uint8Array {
  assertBytes(secretOfConvergence, SHA256_BYTES, 'secretOfConvergence')
  assertBytes(chunkHash, SHA256_BYTES, 'chunkHash')
  return hmacSha256(secretOfConvergence, chunkHash)
}
