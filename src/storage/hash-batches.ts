/**
 * Hashing many small files in few tasks: what a task costs on its way to a
 * worker and back, some 40 microseconds, is more than hashing 10 KiB.
 *
 * @module storage/hash-batches
 */
import { MAX_PIECE_BYTES_PER_TASK, MAX_PIECES_PER_TASK } from '../base/limits.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import type { HashPiece } from './blob-store.ts'
import { assertPieces } from './file-pieces.ts'
import type { TaskRunner } from './task-runner.ts'

const HASH_BYTES = 32

/**
 * SHA-256 of each piece, in the order given. The batches run at the same time.
 *
 * @throws as `BlobStore.hashPieces`.
 */
export async function hashInBatches(runner: TaskRunner, pieces: readonly HashPiece[]): Promise<Uint8Array[]> {
  const batches = [...cutBatches(pieces)]
  const results = await Promise.allSettled(batches.map((batch) => runner.run('hash', { pieces: batch })))
  const hashes: Uint8Array[] = []
  for (const [index, result] of results.entries()) {
    if (result.status === 'rejected') throw result.reason
    const joined = result.value
    const count = batches[index]?.length ?? 0
    for (let n = 0; n < count; n++) hashes.push(joined.slice(n * HASH_BYTES, (n + 1) * HASH_BYTES))
  }
  return hashes
}

/** Runs of pieces that one task takes. @throws RangeError for a piece longer than a chunk. */
export function* cutBatches(pieces: readonly HashPiece[]): Generator<HashPiece[], void, void> {
  let batch: HashPiece[] = []
  let bytes = 0
  for (const piece of pieces) {
    assertPieces([{ ...piece, chunkOffset: CHUNK_BYTES - piece.length }])
    if (
      batch.length >= MAX_PIECES_PER_TASK ||
      (batch.length > 0 && bytes + piece.length > MAX_PIECE_BYTES_PER_TASK)
    ) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(piece)
    bytes += piece.length
  }
  if (batch.length > 0) yield batch
}
