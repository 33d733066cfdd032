/**
 * What of a blob is written to files by one task of a worker.
 *
 * @module channels/assemble-tasks
 */
import { MAX_ASSEMBLE_TASK_BYTES } from '../base/limits.ts'
import type { FilePiece } from '../storage/blob-store.ts'

/** Runs of pieces that one task writes: a blob whose content is wanted once is one run. */
export function* cutTasks(pieces: readonly FilePiece[]): Generator<readonly FilePiece[]> {
  let start = 0
  let bytes = 0
  for (const [index, { length }] of pieces.entries()) {
    if (bytes + length > MAX_ASSEMBLE_TASK_BYTES) {
      yield pieces.slice(start, index)
      start = index
      bytes = 0
    }
    bytes += length
  }
  yield pieces.slice(start)
}
