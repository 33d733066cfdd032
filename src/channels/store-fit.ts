/**
 * What a release still lacks, and whether that can come to fit into the quota: before
 * the first blob of it is asked for.
 *
 * @module channels/store-fit
 */
import { MegatorrentError } from '../base/errors.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { Collector } from './collector.ts'
import { LOOKUPS_A_TURN, nextTurn, Pacer } from './turns.ts'

/** Which of these are held, and which are not. Pauses: a release may have two million. */
export async function splitHeld(
  blobs: Iterable<number>,
  isHeld: (blob: number) => boolean,
): Promise<{ readonly held: number[]; readonly missing: number[] }> {
  const held: number[] = []
  const missing: number[] = []
  const pacer = new Pacer(LOOKUPS_A_TURN)
  for (const blob of blobs) {
    if (isHeld(blob)) held.push(blob)
    else missing.push(blob)
    if (pacer.due()) await nextTurn()
  }
  return { held, missing }
}

/**
 * Blobs of other releases on their way are not counted: each may fit alone.
 *
 * @param missing - blobs that are wanted and not held.
 * @throws MegatorrentError ERR_STORE_FULL when they do not fit, whatever garbage is removed.
 */
export async function assertFits(
  missing: number,
  store: Pick<BlobStore, 'count' | 'limits'>,
  collector: Pick<Collector, 'countNeeded'>,
): Promise<void> {
  const { maxBytes } = store.limits
  const fits = (held: number): boolean => (held + missing) * BLOB_BYTES <= maxBytes
  // Counting reads every list of files: only where garbage has to go.
  if (missing === 0 || fits(store.count)) return
  const needed = await collector.countNeeded()
  if (fits(needed)) return
  throw new MegatorrentError(
    'ERR_STORE_FULL',
    `${(needed + missing) * BLOB_BYTES} bytes would have to be held and the limit is ${maxBytes}: raise --max-store, follow less, or want less with --only`,
  )
}
