/**
 * Reuse: what an ingest need not do again, because the one before it did, nothing
 * on the disk has changed since, and the blobs are still held.
 *
 * @module channels/ingest-reuse
 */
import type { BlobStore } from '../storage/blob-store.ts'
import type { SourceMemoryTable } from '../storage/tables/source-memory-table.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import { manifestIfHeld } from './held-manifest.ts'
import { comparePaths, ExtentBuilder, type ReleaseBlobs } from './release-entry.ts'
import { isSettled } from './settle.ts'
import {
  type RememberedEntry,
  rememberSource,
  type SourceHeader,
  type SourceMemory,
} from './source-memory.ts'
import type { FileContent } from './source-reader.ts'
import { sameStamp } from './stat-all.ts'
import { nextTurn, Pacer } from './turns.ts'
import type { SourceEntry, SourceTree } from './walk.ts'

/**
 * Is the tree what it was, and all of its release still held? Then there is nothing to do.
 * Damaged memory is as good as none.
 */
export async function isSameRelease(
  memory: SourceMemory,
  tree: SourceTree,
  store: Pick<BlobStore, 'has'>,
): Promise<boolean> {
  try {
    const pacer = new Pacer()
    let next = 0
    for (const remembered of memory.entries()) {
      if (pacer.due()) await nextTurn()
      const entry = tree.entries[next]
      if (entry === undefined || entry.path !== remembered.path || !isSame(entry, remembered)) return false
      next += 1
    }
    if (next !== tree.entries.length) return false
    for (const { id, used } of memory.blobs()) {
      if (pacer.due()) await nextTurn()
      if (used && !store.has(id)) return false
    }
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/**
 * The contents of the files that are what they were and whose chunks are all held, by path; their
 * blobs get numbers in `blobs`. None when the memory is damaged.
 */
export async function rememberedContents(
  memory: SourceMemory,
  tree: SourceTree,
  blobs: ReleaseBlobs,
  store: Pick<BlobStore, 'has'>,
): Promise<Map<string, FileContent>> {
  try {
    const pacer = new Pacer()
    // By their numbers in the memory; -1 for those that are no longer held.
    const numbers: number[] = []
    for (const { id, key } of memory.blobs()) {
      if (pacer.due()) await nextTurn()
      numbers.push(store.has(id) ? blobs.add(id, key) : -1)
    }
    const contents = new Map<string, FileContent>()
    let next = 0
    for (const remembered of memory.entries()) {
      if (pacer.due()) await nextTurn()
      let entry = tree.entries[next]
      while (entry !== undefined && comparePaths(entry.path, remembered.path) < 0) {
        next += 1
        entry = tree.entries[next]
      }
      if (entry === undefined) break
      if (entry.path !== remembered.path || !isSame(entry, remembered)) continue
      const content = contentOf(entry, remembered, numbers)
      if (content !== null) contents.set(entry.path, content)
    }
    return contents
  } catch (error) {
    if (error instanceof RangeError) return new Map()
    throw error
  }
}

/** What an ingest has found and made. */
export interface MadeRelease {
  readonly header: SourceHeader
  readonly tree: SourceTree
  /** When its stamps were known to be older than a tick. */
  readonly settledAt: number
  /** Of the tree's files, in its order. */
  readonly contents: readonly FileContent[]
  readonly blobs: ReleaseBlobs
  /** Those that the release needs. */
  readonly used: ReadonlySet<number>
  /** References of its root and parts. */
  readonly manifest: readonly Uint8Array[]
}

/**
 * An earlier release as an ingest would have made it, if every blob of it is held; its data blobs get numbers
 * in `blobs`. @param root - blob reference.
 */
export async function heldRelease(
  root: Uint8Array,
  store: Pick<BlobStore, 'has' | 'open' | 'buffers'>,
  blobs: ReleaseBlobs,
): Promise<(Pick<MadeRelease, 'used' | 'manifest'> & { readonly title: string }) | null> {
  const release = await manifestIfHeld(root, store)
  if (release === null) return null
  const pacer = new Pacer()
  const manifest: Uint8Array[] = []
  const used = new Set<number>()
  for (let blob = 0; blob < release.blobCount; blob++) {
    if (pacer.due()) await nextTurn()
    if (!store.has(release.blobId(blob))) return null
    if (blob < release.manifestBlobCount) manifest.push(new Uint8Array(release.reference(blob)))
    else used.add(blobs.add(release.blobId(blob), release.blobKey(blob)))
  }
  return { title: release.title, manifest, used }
}

/** Keep it for the next ingest; what is lost of it costs that one time and nothing else. */
export function rememberRelease(
  table: SourceMemoryTable,
  publicKey: Uint8Array,
  made: MadeRelease,
): Promise<void> {
  const blobs = function* (): Generator<{ readonly reference: Uint8Array; readonly used: boolean }> {
    for (let blob = 0; blob < made.blobs.count; blob++) {
      yield { reference: made.blobs.reference(blob), used: made.used.has(blob) }
    }
    for (const reference of made.manifest) yield { reference, used: true }
  }
  const entries = function* (): Generator<{
    readonly entry: SourceEntry
    readonly content: FileContent | null
  }> {
    let next = 0
    for (const entry of made.tree.entries) {
      const content = entry.stamp === null ? null : (made.contents[next++] ?? null)
      const isTrusted = content !== null && isSettled(content.stamp, made.settledAt)
      yield { entry, content: isTrusted ? content : null }
    }
  }
  return rememberSource(table, publicKey, { header: made.header, blobs: blobs(), entries: entries() })
}

function isSame({ stamp }: SourceEntry, remembered: RememberedEntry): boolean {
  if (stamp === null) return remembered.isFolder
  return remembered.stamp !== null && sameStamp(stamp, remembered.stamp)
}

/** Null for a folder, and when a chunk is not held any more. */
function contentOf(
  { path, stamp }: SourceEntry,
  { runs, pieceHash }: RememberedEntry,
  numbers: readonly number[],
): FileContent | null {
  if (stamp === null) return null
  const chunks = runs.length === 0 ? null : new ExtentBuilder()
  for (const { blob, count } of runs) {
    for (let each = blob; each < blob + count; each++) {
      const number = numbers[each] ?? -1
      if (number === -1) return null
      chunks?.add(number, 0, CHUNK_BYTES)
    }
  }
  return { path, stamp, chunks, pieceHash, pending: 0 }
}
