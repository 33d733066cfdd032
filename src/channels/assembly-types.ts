/**
 * What an assembly (channels/assemble.ts) is given, gives, and keeps of each file. Types only.
 *
 * @module channels/assembly-types
 */
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { WantedFile } from './assemble-plan.ts'
import type { DiskClaims } from './disk-claims.ts'
import type { ReadyFile } from './folder-commit.ts'
import type { FolderFs } from './folder-fs.ts'
import type { UnchangedSpans } from './unchanged-spans.ts'
import type { WrittenLedger } from './written-ledger.ts'

export interface AssemblyOptions {
  /** Absolute. Made if it is missing. */
  readonly directory: string
  readonly manifest: Manifest
  /** Globs of wanted paths; none means all. */
  readonly onlyGlobs: readonly string[]
  readonly ledger: WrittenLedger
  readonly store: Pick<BlobStore, 'has' | 'openTo'>
  /** The release that is in place, if its manifest is still at hand: asked when a large file is to be replaced. */
  readonly previous?: () => Promise<Manifest | null>
  /** Bytes of the disk that stay free. */
  readonly minFreeBytes: number
  /** What other releases on their way will still write; its own is added. */
  readonly claims?: DiskClaims
  readonly random: Random
  readonly log: Log
  readonly fs?: FolderFs
}

export interface AssemblyResult {
  /** Files of the release that the user wants and that are in place now. */
  readonly files: number
  readonly bytes: number
  /** Files that were written, and that were deleted, to get there. */
  readonly written: number
  readonly deleted: number
}

/** A file on its way. */
export interface StagedFile {
  readonly wanted: WantedFile
  /** What of it is copied from the file in place; null: nothing. */
  readonly unchanged: UnchangedSpans | null
  leftBytes: number
  /** Who may still write to it: a blob that came twice is written twice, and each write changes its times. */
  writers: number
  /** Written since it was last synced; null while that goes on. */
  unsyncedBytes: number | null
  created: Promise<void> | null
  ready: Promise<ReadyFile> | null
}
