/**
 * Floors: the same work as bare as it can be, on one thread, with nothing of src.
 *
 * A speed alone says little on a machine that others use too; how much of the
 * floor of the same minute is reached says how much is ours. Nothing is dropped
 * from the page cache: what was just written is read from memory, as it is in the
 * figures that these stand beside.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, fdatasyncSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { MIB } from './figure.ts'

const KEY = Buffer.alloc(32, 7)
const NONCE = Buffer.alloc(12)
const AEAD = { authTagLength: 16 } as const

/** Bytes given to the cipher at once: what node allocates for each answer stays in the cache. */
const PIECE_BYTES = 32_768

export interface BlobWork {
  /** Hash the plaintext first, as the publishing side does. */
  readonly convergence: boolean
  /** Sync each blob before the next. */
  readonly durable: boolean
}

/** A floor: its speed, and the processor time that it took, which a busy machine changes less. */
export interface Floor {
  readonly speed: number
  readonly cpuSeconds: number
}

/** Read a file, seal, hash and write it in blobs of 1 MiB. The speed is in MB/s. */
export function blobFloor(source: string, folder: string, work: BlobWork): Floor {
  const target = join(folder, 'floor')
  mkdirSync(target)
  const chunk = Buffer.alloc(MIB)
  const sealed = Buffer.alloc(MIB + 16)
  const from = openSync(source, 'r')
  const startMs = performance.now()
  const cpu = process.cpuUsage()
  let bytes = 0
  try {
    for (;;) {
      const count = readSync(from, chunk, 0, MIB, bytes)
      if (count === 0) break
      bytes += count
      if (work.convergence) createHash('sha256').update(chunk).digest()
      sealInto(chunk, sealed)
      const name = createHash('sha256').update(sealed).digest('hex')
      const to = openSync(join(target, name), 'w')
      writeSync(to, sealed)
      if (work.durable) fdatasyncSync(to)
      closeSync(to)
    }
    const speed = megabytesPerSecond(bytes, performance.now() - startMs)
    const { user, system } = process.cpuUsage(cpu)
    return { speed, cpuSeconds: (user + system) / 1e6 }
  } finally {
    closeSync(from)
    rmSync(target, { recursive: true })
  }
}

/** ChaCha20-Poly1305 under a key of its own, into memory of the caller. */
export function sealInto(plaintext: Uint8Array, out: Uint8Array): void {
  const cipher = createCipheriv('chacha20-poly1305', KEY, NONCE, AEAD)
  for (let at = 0; at < plaintext.length; at += PIECE_BYTES) {
    out.set(cipher.update(plaintext.subarray(at, at + PIECE_BYTES)), at)
  }
  cipher.final()
  out.set(cipher.getAuthTag(), plaintext.length)
}

/** Open, read, hash and close each file. @returns files a second. */
export function smallFileFloor(paths: readonly string[]): number {
  const buffer = Buffer.alloc(MIB)
  const startMs = performance.now()
  for (const path of paths) {
    const file = openSync(path, 'r')
    const count = readSync(file, buffer, 0, buffer.length, 0)
    closeSync(file)
    createHash('sha256').update(buffer.subarray(0, count)).digest()
  }
  return (paths.length * 1000) / (performance.now() - startMs)
}

/** @returns MB/s, a MB being 1,000,000 bytes. */
export function megabytesPerSecond(bytes: number, ms: number): number {
  return bytes / 1000 / ms
}

/** The mean of floors taken before and after a figure: the machine may have changed meanwhile. */
export function mean(...values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
