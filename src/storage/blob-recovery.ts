/**
 * What a blob store does when it starts: folders, leftovers of a crash, and
 * agreement between files and table.
 *
 * After a clean stop nothing is looked at. After a crash the names (not the
 * contents) of all files are compared with the table: rows without a file are
 * dropped; files without a row, at most what one unfinished batch wrote, move to
 * `adopt/`, where they wait to be hashed. So whatever has a blob's final name and
 * place can be trusted, and nothing recorded as held is fetched again.
 *
 * Synchronous: the start waits for it anyway, and a folder is listed in a
 * twentieth of the time that a detour over the thread pool takes.
 *
 * @module storage/blob-recovery
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '../base/bytes.ts'
import { errorMessage } from '../base/errors.ts'
import { ADOPT_PARALLEL } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { forEachLimited } from '../base/queue.ts'
import { fsyncFolder, PRIVATE_FOLDER_MODE } from './atomic-file.ts'
import {
  adoptFolder,
  adoptPath,
  blobPath,
  idOfFileName,
  SHARD_COUNT,
  shardFolder,
  tempFolder,
} from './blob-files.ts'
import { diskError } from './disk-error.ts'
import type { BlobsTable } from './tables/blobs-table.ts'

/** What the start found. */
export interface RecoveryScan {
  /** Waiting in `adopt/` to be hashed. */
  readonly orphans: readonly Uint8Array[]
  /** Rows that had no file. */
  readonly droppedRows: number
}

/** What the start had to mend. */
export interface RecoveryReport {
  /** Unrecorded blobs that a crash left and that are held now. */
  readonly adopted: number
  /** Unrecorded files that were not what their name says, removed. */
  readonly discarded: number
  /** Recorded blobs that had no file, no longer recorded. */
  readonly droppedRows: number
}

/**
 * Hash what waits in `adopt/`. Never rejects: what could not be looked at is in neither count.
 *
 * @param adopt - hash one and keep it when it is good: whether it was; null to leave it for the next start.
 */
export async function adoptOrphans(
  { orphans, droppedRows }: RecoveryScan,
  log: Log,
  adopt: (id: Uint8Array) => Promise<boolean | null>,
): Promise<RecoveryReport> {
  const report = { adopted: 0, discarded: 0, droppedRows }
  if (droppedRows > 0) log.warn('recorded blobs were missing on the disk', { blobs: droppedRows })
  try {
    await forEachLimited(orphans, ADOPT_PARALLEL, async (id) => {
      const good = await adopt(id)
      if (good === true) report.adopted++
      else if (good === false) report.discarded++
    })
  } catch (error) {
    log.warn('blobs of an earlier run could not be adopted', { reason: errorMessage(error) })
  }
  if (orphans.length > 0) log.info('blobs of an earlier run were adopted', report)
  return report
}

/** Make the folders. @returns false when some were missing, so that a table with rows cannot be trusted. */
export function prepareFolders(root: string): boolean {
  const shards = Array.from({ length: SHARD_COUNT }, (_, shard) => shardFolder(root, shard))
  const missing = [root, tempFolder(root), adoptFolder(root), ...shards].filter((path) => !existsSync(path))
  if (missing.length === 0) return true
  try {
    for (const path of missing) mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER_MODE })
    fsyncFolder(root)
    fsyncFolder(join(root, '..'))
  } catch (error) {
    throw diskError(error, `making the blob folders in ${root}`)
  }
  return false
}

/** Remove what was being written when the process ended. */
export function clearTemp(root: string): void {
  const folder = tempFolder(root)
  try {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { force: true, recursive: true })
  } catch (error) {
    throw diskError(error, `clearing ${folder}`)
  }
}

/** Make files and table agree. Cost: a listing of 256 folders and one pass over the table. */
export function scanStore(root: string, table: BlobsTable): RecoveryScan {
  try {
    let droppedRows = 0
    for (let shard = 0; shard < SHARD_COUNT; shard++) droppedRows += scanShard(root, table, shard)
    return { orphans: listOrphans(root), droppedRows }
  } catch (error) {
    throw diskError(error, `checking the blobs in ${root}`)
  }
}

function scanShard(root: string, table: BlobsTable, shard: number): number {
  const files = new Map<string, Uint8Array>()
  for (const name of readdirSync(shardFolder(root, shard))) {
    const id = idOfFileName(name)
    // Foreign files are nobody's business: they are not read, served or removed.
    if (id !== null && id[0] === shard) files.set(name, id)
  }
  const withoutFile: Uint8Array[] = []
  for (const id of table.inShard(shard)) {
    if (!files.delete(toHex(id))) withoutFile.push(id)
  }
  for (const id of files.values()) renameSync(blobPath(root, id), adoptPath(root, id))
  return withoutFile.length === 0 ? 0 : table.remove(withoutFile).length
}

function listOrphans(root: string): Uint8Array[] {
  const orphans: Uint8Array[] = []
  for (const name of readdirSync(adoptFolder(root))) {
    const id = idOfFileName(name)
    if (id !== null) orphans.push(id)
  }
  return orphans
}
