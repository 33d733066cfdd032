/**
 * Memory that node allocates for each piece of a cipher's output, and that nobody
 * needs once it was copied.
 *
 * V8 lets some 50 MiB of it gather in every thread before it looks, by when each
 * piece has come from fresh pages. Looking after each few MiB keeps the pieces in the
 * processor's cache: a thread that opens 1 GiB takes 14 MiB instead of 45, and no
 * more time (bench/results.md). Only the young generation is looked at.
 *
 * @module crypto/scratch
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of pieces after which they are collected: four blobs. */
const COLLECT_BYTES = 4_194_304

let leftBytes = COLLECT_BYTES
let collect: ((options: { readonly type: 'minor' }) => void) | null = null

/** So many bytes of memory were used for a moment. */
export function usedScratch(bytes: number): void {
  leftBytes -= bytes
  if (leftBytes > 0) return
  leftBytes = COLLECT_BYTES
  collect ??= youngCollector()
  collect({ type: 'minor' })
}

function youngCollector(): NonNullable<typeof collect> {
  setFlagsFromString('--expose-gc')
  // There is little to look at: waking further threads for it takes longer than the look.
  setFlagsFromString('--no-parallel-scavenge')
  const gc: unknown = runInNewContext('gc')
  // Without it there is more garbage and nothing else.
  return typeof gc === 'function' ? (gc as NonNullable<typeof collect>) : () => {}
}
