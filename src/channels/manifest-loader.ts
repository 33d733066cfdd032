/**
 * Loading a manifest: root, then parts, fetched where they are not held, opened and
 * judged one after the other (PROTOCOL_FINAL.md §4.2).
 *
 * Whoever sent a blob answered for its hash; what is wrong inside is the publisher's
 * fault, and no peer is blamed for it.
 *
 * @module channels/manifest-loader
 */
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { MANIFEST_PARTS_IN_FLIGHT } from '../base/limits.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { referenceId, referenceKey } from '../wire/blob.ts'
import type { Manifest, ReleaseSummary } from '../wire/manifest.ts'
import { ManifestReader } from '../wire/manifest-reader.ts'
import { inOrder } from './in-order.ts'

export interface ManifestLoad {
  /** Blob reference of the root, as the head has it: 64 bytes. */
  readonly root: Uint8Array
  readonly store: Pick<BlobStore, 'has' | 'open' | 'buffers'>
  /**
   * Make a blob be held; called only for one that is not. Several calls run at a time.
   *
   * @param number - in manifest order: 0 for the root, then the parts.
   */
  readonly fetch: (reference: Uint8Array, number: number) => Promise<void>
  /** Told how many blobs the manifest has, when its root was read: not proven yet. */
  readonly onRoot?: (summary: ReleaseSummary, manifestBlobs: number) => void
  readonly random?: Random
  readonly signal?: AbortSignal
}

/**
 * Load and judge a manifest.
 *
 * @throws MegatorrentError ERR_RELEASE_INVALID (a blob does not open or a rule of §4.2 is broken;
 *   `cause` says which), ERR_NOT_FOUND (`fetch` did not make a blob be held), or what `fetch` and
 *   the store throw.
 * Memory: the manifest and some parts of 1 MiB.
 */
export async function loadManifest(load: ManifestLoad): Promise<Manifest> {
  const reader = await openChunk(load, load.root, (chunk) => {
    return new ManifestReader(load.root, chunk, load.random ?? systemRandom)
  })
  load.onRoot?.(reader.summary, reader.partCount + 1)
  const numbers = Array.from({ length: reader.partCount }, (_, number) => number)
  const chunks = inOrder(numbers, MANIFEST_PARTS_IN_FLIGHT, (number) =>
    readChunk(load, reader.partReference(number), number + 1),
  )
  for await (const chunk of chunks) {
    judge(() => reader.addPart(chunk))
    load.store.buffers.give(chunk)
  }
  return judge(() => reader.finish())
}

async function openChunk<T>(
  load: ManifestLoad,
  reference: Uint8Array,
  read: (chunk: Uint8Array) => T,
): Promise<T> {
  const chunk = await readChunk(load, reference, 0)
  const result = judge(() => read(chunk))
  load.store.buffers.give(chunk)
  return result
}

async function readChunk(load: ManifestLoad, reference: Uint8Array, number: number): Promise<Uint8Array> {
  load.signal?.throwIfAborted()
  const { store } = load
  const id = referenceId(reference)
  if (!store.has(id)) await load.fetch(reference, number)
  load.signal?.throwIfAborted()
  try {
    const chunk = await store.open(id, referenceKey(reference))
    if (chunk !== null) return chunk
  } catch (error) {
    throw publishersFault(error)
  }
  throw new MegatorrentError('ERR_NOT_FOUND', 'a blob of the manifest is not held')
}

function judge<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw publishersFault(error)
  }
}

/** Our own troubles come back as they are. */
function publishersFault(error: unknown): unknown {
  const isTheirs = isMegatorrentError(error) && (error.kind === 'peer' || error.code === 'ERR_BLOB_OPEN')
  if (!isTheirs) return error
  return new MegatorrentError(
    'ERR_RELEASE_INVALID',
    `the publisher signed a release that breaks a rule: ${error.message}`,
    { cause: error },
  )
}
