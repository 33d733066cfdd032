/**
 * What an ingest makes sure of before it is one: that its files stayed what they
 * were, and that a subscriber can read what was written.
 *
 * @module channels/ingest-check
 */
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { loadManifest } from './manifest-loader.ts'
import { quotePath } from './path-gate.ts'
import { sameStamp, statAll } from './stat-all.ts'
import type { SourceTree } from './walk.ts'

/** Files looked at again before their stats are let go. */
const STATS_AT_A_TIME = 1_024

/**
 * Everything read was read from files that are still what they were before.
 *
 * @throws MegatorrentError ERR_SOURCE_CHANGED.
 */
export async function checkUnchanged(tree: SourceTree, signal?: AbortSignal): Promise<void> {
  for (let start = 0; start < tree.entries.length; start += STATS_AT_A_TIME) {
    const files = tree.entries.slice(start, start + STATS_AT_A_TIME).filter((entry) => entry.stamp !== null)
    const paths = files.map((entry) => tree.sourceOf(entry.path))
    const stats = await statAll(paths, signal)
    files.forEach(({ path, stamp }, index) => {
      const stat = stats[index] ?? null
      if (stamp === null || (stat?.isFile === true && sameStamp(stat.stamp, stamp))) return
      throw new MegatorrentError(
        'ERR_SOURCE_CHANGED',
        `${quotePath(path)} changed while it was read: let it rest, then ingest again`,
      )
    })
  }
}

/**
 * What is published must be readable: judged by the same code as a subscriber's.
 *
 * @throws MegatorrentError ERR_INGEST_SOURCE when it is more than a release can hold.
 */
export async function readBack(
  root: Uint8Array,
  store: Pick<BlobStore, 'has' | 'open' | 'buffers'>,
  signal?: AbortSignal,
): Promise<void> {
  const fetch = (): Promise<void> => Promise.resolve()
  try {
    await loadManifest({ root, store, fetch, ...(signal === undefined ? {} : { signal }) })
  } catch (error) {
    if (!isMegatorrentError(error, 'ERR_RELEASE_INVALID')) throw error
    const { cause } = error
    if (isMegatorrentError(cause, 'ERR_MANIFEST_LIMIT')) {
      const message = `this is more than one release can hold: ${cause.message}`
      throw new MegatorrentError('ERR_INGEST_SOURCE', message, { cause })
    }
    throw new MegatorrentError('ERR_BUG', 'the manifest that was written is not valid', { cause: error })
  }
}
