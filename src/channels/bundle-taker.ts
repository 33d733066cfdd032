/**
 * Taking the blobs of a bundle into the store, after all of it was verified (channels/bundle-check.ts).
 *
 * @module channels/bundle-taker
 */
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { BUNDLE_BLOBS_IN_FLIGHT } from '../base/limits.ts'
import { forEachLimited } from '../base/queue.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { CheckedBundle } from './bundle-check.ts'
import type { BundleFile } from './bundle-file.ts'
import type { Collector } from './collector.ts'
import { assertFits, splitHeld } from './store-fit.ts'

export interface BundleTakerDeps {
  readonly store: BlobStore
  readonly collector: Pick<Collector, 'countNeeded'>
}

/**
 * Take in the blobs that are not held. Each is hashed as it is taken, since the file may have changed. A lease of
 * the caller spares them until the database needs them.
 *
 * @returns how many data blobs were not held before.
 * @throws MegatorrentError ERR_STORE_FULL (before the first one, where it can be told), ERR_BUNDLE_CONTENT, what
 *   the signal says, or one of kind 'storage'. What was taken until then is garbage.
 */
export async function takeBlobs(
  file: BundleFile,
  { manifest, numbers }: CheckedBundle,
  { store, collector }: BundleTakerDeps,
  signal: AbortSignal,
  onBlobs: (done: number, total: number) => void = () => {},
): Promise<number> {
  const { missing } = await splitHeld(numbers.keys(), (n) => store.has(manifest.blobId(at(numbers, n))))
  await assertFits(missing.length, store, collector)
  let done = 0
  await forEachLimited(missing, BUNDLE_BLOBS_IN_FLIGHT, async (n) => {
    signal.throwIfAborted()
    const blob = await file.readBlob(n, store.buffers.take())
    try {
      await store.put(manifest.blobId(at(numbers, n)), blob)
    } catch (error) {
      if (!isMegatorrentError(error, 'ERR_BLOB_ID')) throw error
      throw new MegatorrentError('ERR_BUNDLE_CONTENT', 'this bundle changed while it was read', {
        cause: error,
      })
    }
    onBlobs(++done, missing.length)
  })
  return missing.filter((n) => at(numbers, n) >= manifest.manifestBlobCount).length
}

function at(numbers: Uint32Array, n: number): number {
  const number = numbers[n]
  if (number === undefined) throw new RangeError(`"n" expected 0..${numbers.length - 1}, got ${n}`)
  return number
}
