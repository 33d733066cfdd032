/** One thread of a floor: its share of the blobs of a file. See bench/floors.ts. */
import { createCipheriv, createHash, createHmac } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { FloorShare } from './floors.ts'

const NONCE = Buffer.alloc(12)
const AEAD = { authTagLength: 16 } as const
const CHUNK_BYTES = 1_048_576

/** Bytes given to the cipher at once: what node allocates for each answer stays in the cache. */
const PIECE_BYTES = 32_768

const share = workerData as FloorShare
const chunk = Buffer.alloc(CHUNK_BYTES)
const sealed = Buffer.alloc(CHUNK_BYTES + 16)
parentPort?.once('message', () => {
  work(share)
  parentPort?.postMessage('done')
})
parentPort?.postMessage('ready')

function work({ source, target, blobs, first, step, convergence, durable }: FloorShare): void {
  const from = openSync(source, 'r')
  let key: Buffer = Buffer.alloc(32, 7)
  for (let blob = first; blob < blobs; blob += step) {
    readSync(from, chunk, 0, CHUNK_BYTES, blob * CHUNK_BYTES)
    if (convergence) {
      key = createHmac('sha256', key).update(createHash('sha256').update(chunk).digest()).digest()
    }
    seal(key)
    const name = createHash('sha256').update(sealed).digest('hex')
    const to = openSync(join(target, `${name}-${blob}`), 'w')
    writeSync(to, sealed)
    if (durable) fdatasyncSync(to)
    closeSync(to)
  }
  closeSync(from)
}

function seal(key: Buffer): void {
  const cipher = createCipheriv('chacha20-poly1305', key, NONCE, AEAD)
  for (let at = 0; at < CHUNK_BYTES; at += PIECE_BYTES) {
    sealed.set(cipher.update(chunk.subarray(at, at + PIECE_BYTES)), at)
  }
  cipher.final()
  sealed.set(cipher.getAuthTag(), CHUNK_BYTES)
}
