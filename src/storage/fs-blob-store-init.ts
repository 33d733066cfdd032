/**
 * What a blob store on disk is made of.
 *
 * @module storage/fs-blob-store-init
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { FreeBytes, StoreLimits } from './store-limits.ts'
import type { BlobsTable } from './tables/blobs-table.ts'
import type { MetaTable } from './tables/meta-table.ts'
import type { TaskRunner } from './task-runner.ts'

export interface FsBlobStoreInit {
  /** The folder `blobs`, made if missing. */
  readonly root: string
  readonly tables: { readonly blobs: BlobsTable; readonly meta: MetaTable }
  /** Closed by its owner, after the store. */
  readonly runner: TaskRunner
  readonly limits: StoreLimits
  readonly clock?: Clock
  readonly log?: Log
  readonly freeBytes?: FreeBytes
  /** Asked when a limit is reached: remove what nobody needs. Was there something? Never rejects. */
  readonly makeRoom?: () => Promise<boolean>
}
