/**
 * Stat of many paths at once, and what is kept of it.
 *
 * Reach: node:fs, for the publisher's own files and for what a subscription has
 * written.
 *
 * @module channels/stat-all
 */
import { lstat, type Stats } from 'node:fs'
import { errnoOf } from '../storage/disk-error.ts'

/** Calls handed to the system at once: enough to keep its threads busy, few enough to stop soon. */
const STAT_BATCH = 256

/** What tells that a file is still the one that was looked at. */
export interface FileStamp {
  readonly size: number
  readonly mtimeMs: number
  readonly ctimeMs: number
  readonly inode: number
}

/** What a path is, without the dates that the system's answer drags along. */
export interface Looked {
  readonly isFile: boolean
  readonly stamp: FileStamp
}

export function stampOf(stat: Stats): FileStamp {
  return { size: stat.size, mtimeMs: stat.mtimeMs, ctimeMs: stat.ctimeMs, inode: stat.ino }
}

export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.inode === b.inode
}

/**
 * What each path is, null where there is nothing. A symlink is reported, not followed,
 * as the last part of a path; symlinks before it are followed.
 *
 * @throws the system's error for anything but a missing path.
 */
export async function statAll<P extends string | Buffer>(
  paths: readonly P[],
  signal?: AbortSignal,
): Promise<(Looked | null)[]> {
  const stats: (Looked | null)[] = []
  for (let at = 0; at < paths.length; at += STAT_BATCH) {
    signal?.throwIfAborted()
    for (const stat of await statBatch(paths.slice(at, at + STAT_BATCH))) stats.push(stat)
  }
  return stats
}

// Callbacks: the promises of node:fs cost twice the call itself, and there is one call for each file.
function statBatch(paths: readonly (string | Buffer)[]): Promise<(Looked | null)[]> {
  return new Promise((resolve, reject) => {
    const stats: (Looked | null)[] = new Array(paths.length).fill(null)
    let pending = paths.length
    let failure: { readonly error: unknown } | null = null
    paths.forEach((path, index) => {
      lstat(path, (error, stat) => {
        if (error === null) stats[index] = { isFile: stat.isFile(), stamp: stampOf(stat) }
        else if (!isMissing(error)) failure ??= { error }
        pending -= 1
        if (pending > 0) return
        if (failure === null) resolve(stats)
        else reject(failure.error)
      })
    })
  })
}

/** Is it the system's way of saying that there is nothing at that path? */
export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR'
}
