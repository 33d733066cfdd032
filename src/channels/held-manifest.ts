/**
 * The manifest of an earlier release, if all of it is still held.
 *
 * @module channels/held-manifest
 */
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import { decodeHead } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import { loadManifest } from './manifest-loader.ts'

/** Null when the release is not known, or its manifest not held or not valid. */
export async function heldManifest(
  state: Pick<State, 'releases'>,
  store: BlobStore,
  publicKey: Uint8Array,
  sequence: number,
): Promise<Manifest | null> {
  const row = state.releases.list(publicKey).find((each) => each.sequence === sequence && !each.conflict)
  if (row === undefined) return null
  return manifestIfHeld(decodeHead(row.head).root, store)
}

/** Null when a blob of it is not held, or it is not valid. @param root - blob reference. */
export async function manifestIfHeld(
  root: Uint8Array,
  store: Pick<BlobStore, 'has' | 'open' | 'buffers'>,
): Promise<Manifest | null> {
  const fetch = (): Promise<void> => Promise.reject(new MegatorrentError('ERR_NOT_FOUND', 'not held'))
  try {
    return await loadManifest({ root, store, fetch })
  } catch (error) {
    if (isMegatorrentError(error)) return null
    throw error
  }
}
