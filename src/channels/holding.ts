/**
 * A release that is held and served, but not read: what hosting puts in the place of
 * an assembly. Every blob is wanted, nothing is written anywhere.
 *
 * @module channels/holding
 */
import type { Manifest } from '../wire/manifest.ts'
import type { Assembly } from './assemble.ts'

/** What a subscription asks of where the blobs of a release go. */
export type ReleaseTarget = Pick<
  Assembly,
  'selected' | 'neededBlobs' | 'placementOf' | 'accept' | 'markWritten' | 'failed' | 'settle' | 'close'
> & {
  finish(): Promise<unknown>
}

/** Nothing here can fail. */
const NEVER = new AbortController().signal

export function holdRelease(manifest: Manifest): ReleaseTarget {
  const { manifestBlobCount, blobCount, files, bytes } = manifest
  return {
    selected: { files, bytes },
    neededBlobs: () => Array.from({ length: blobCount - manifestBlobCount }, (_, n) => manifestBlobCount + n),
    placementOf: async () => null,
    accept: () => {},
    markWritten: () => {},
    failed: NEVER,
    settle: async () => {},
    finish: async () => {},
    close: async () => {},
  }
}
