/**
 * Which blobs a manifest needs, as far as its own blobs are held: for the collection
 * of garbage, which judges nothing and fetches nothing.
 *
 * @module channels/manifest-ids
 */
import { isMegatorrentError } from '../base/errors.ts'
import { forEachLimited } from '../base/queue.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { IdSet } from '../storage/id-set.ts'
import { referenceId, referenceKey } from '../wire/blob.ts'
import { BLOB_REF_BYTES } from '../wire/constants.ts'
import { listReferences, type References } from '../wire/manifest-reader.ts'

/** Parts read at a time: 1 MiB of memory each. */
const PARTS_IN_FLIGHT = 4

/**
 * Add the ids of a manifest's blobs, and of the blobs that it names.
 *
 * @param root - blob reference.
 * @returns false when a blob of the manifest is not held: what it would have named is not in `ids`.
 * @throws MegatorrentError ERR_BLOB_DAMAGED and others of kind 'storage': then nothing is known, which is not
 *   the same as that nothing is needed.
 */
export async function addManifestIds(
  root: Uint8Array,
  store: Pick<BlobStore, 'open' | 'buffers'>,
  ids: IdSet,
  signal?: AbortSignal,
): Promise<boolean> {
  ids.add(referenceId(root))
  const top = await readReferences(root, store)
  if (top === null) return false
  addAll(top.references, ids)
  if (top.kind === 'data') return true
  let isWhole = true
  await forEachLimited(eachReference(top.references), PARTS_IN_FLIGHT, async (reference) => {
    signal?.throwIfAborted()
    const part = await readReferences(reference, store)
    if (part === null) isWhole = false
    else addAll(part.references, ids)
  })
  return isWhole
}

/** What one blob of a manifest names, or null when it is not held. */
async function readReferences(
  reference: Uint8Array,
  store: Pick<BlobStore, 'open' | 'buffers'>,
): Promise<References | null> {
  try {
    const chunk = await store.open(referenceId(reference), referenceKey(reference))
    if (chunk === null) return null
    const { kind, references } = listReferences(chunk)
    const copy = references.slice()
    store.buffers.give(chunk)
    return { kind, references: copy }
  } catch (error) {
    // What the publisher signed cannot be read: it names nothing, now or ever.
    const isTheirs = isMegatorrentError(error) && (error.kind === 'peer' || error.code === 'ERR_BLOB_OPEN')
    if (isTheirs) return { kind: 'data', references: new Uint8Array(0) }
    throw error
  }
}

function addAll(references: Uint8Array, ids: IdSet): void {
  for (const reference of eachReference(references)) ids.add(reference)
}

function* eachReference(references: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at + BLOB_REF_BYTES <= references.length; at += BLOB_REF_BYTES) {
    yield references.subarray(at, at + BLOB_REF_BYTES)
  }
}
