/**
 * Memory-hard puzzles, which gateways ask for under load in place of more hashcash
 * (PROTOCOL_FINAL.md §7.8).
 *
 * A try costs whoever solves one as much as a check costs whoever asks for it. So it
 * is looked at behind the hashcash and everything else that is cheap, and whoever is
 * asked decides by `isBearable` what it is worth to him. The hash itself is made
 * elsewhere, away from the main thread.
 *
 * @module wire/memory-puzzle
 */
import { ByteWriter, concatBytes } from '../base/bytes.ts'
import { ARGON2ID_MIN_MEMORY_KIB, type Argon2idInput } from '../crypto/argon2id.ts'
import { label } from '../crypto/domains.ts'
import { sha256 } from '../crypto/hash.ts'
import { MAX_PUZZLE_COST_KIB, MAX_PUZZLE_MEMORY_KIB, PUBLISH_NONCE_BYTES } from './constants.ts'
import { encodePublishedItem } from './gateway-body.ts'
import type { PublishedItem, PuzzleParameters } from './message.ts'
import { leadingZeroBits } from './onion-statement.ts'

/** Bits of a hash that `leadingZeroBits` counts. */
const MAX_COUNTED_BITS = 32

/** May a gateway ask that of us? More memory, or more of it written on average, and we leave it. */
export function isBearable({ memoryKib, passes, bits }: PuzzleParameters): boolean {
  if (passes < 1 || memoryKib < ARGON2ID_MIN_MEMORY_KIB || bits > MAX_COUNTED_BITS) return false
  return memoryKib <= MAX_PUZZLE_MEMORY_KIB && memoryKib * passes * 2 ** bits <= MAX_PUZZLE_COST_KIB
}

/** What ties the puzzle to one item on one connection. @returns 32 fresh bytes. */
export function puzzleSalt(handshakeHash: Uint8Array, item: PublishedItem): Uint8Array {
  return sha256(concatBytes(label('publishPuzzle'), handshakeHash, sha256(encodePublishedItem(item))))
}

/** One try: the hash of this solves the puzzle if `isSolution` says so. */
export function puzzleInput(
  salt: Uint8Array,
  nonce: Uint8Array,
  { memoryKib, passes }: PuzzleParameters,
): Argon2idInput {
  return { password: nonce, salt, memoryKib, passes }
}

/** The nonce of try number `count`, from 0 up. */
export function puzzleNonce(count: number): Uint8Array {
  return new ByteWriter(PUBLISH_NONCE_BYTES).u64(count).bytes
}

export function isSolution(hash: Uint8Array, { bits }: Pick<PuzzleParameters, 'bits'>): boolean {
  return leadingZeroBits(hash) >= bits
}
