/**
 * argon2id (RFC 9106, version 0x13, one lane, 32 bytes): the hash behind memory-hard
 * puzzles (PROTOCOL_FINAL.md §7.8).
 *
 * It takes a tenth of a second and all the memory that it is told to take, in the
 * thread that calls it: only worker threads do. Not for passphrases: those are
 * scrypt's (crypto/passphrase.ts), which node brings along.
 *
 * @module crypto/argon2id
 */
import { assertBytes } from '../base/bytes.ts'

export interface Argon2idInput {
  /** At least one byte. */
  readonly password: Uint8Array
  /** ARGON2ID_SALT_BYTES. */
  readonly salt: Uint8Array
  /** Memory in KiB, from ARGON2ID_MIN_MEMORY_KIB on. Bounding it is the caller's matter. */
  readonly memoryKib: number
  /** Passes over it, from 1 on. */
  readonly passes: number
}

export const ARGON2ID_SALT_BYTES = 32
export const ARGON2ID_BYTES = 32
/** The least that the RFC allows for one lane. */
export const ARGON2ID_MIN_MEMORY_KIB = 8

/** Whoever makes such hashes away from the main thread. */
export type MemoryHash = (input: Argon2idInput) => Promise<Uint8Array>

/**
 * @returns ARGON2ID_BYTES fresh bytes.
 * Cost: 2.5 ms of this thread for each MiB and pass. The library is loaded with the first call.
 */
export async function argon2id({ password, salt, memoryKib, passes }: Argon2idInput): Promise<Uint8Array> {
  assertBytes(salt, ARGON2ID_SALT_BYTES, 'salt')
  const library = await import('hash-wasm')
  return library.argon2id({
    password,
    salt,
    memorySize: memoryKib,
    iterations: passes,
    parallelism: 1,
    hashLength: ARGON2ID_BYTES,
    outputType: 'binary',
  })
}
