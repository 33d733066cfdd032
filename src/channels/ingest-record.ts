/**
 * What is kept of an ingest: the numbers that a user is told, and what the next
 * ingest of the channel wants to know.
 *
 * @module channels/ingest-record
 */
import { fromHex, toHex } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { State } from '../storage/state.ts'
import type { IngestRow, IngestsTable } from '../storage/tables/ingests-table.ts'
import { blobReference, referenceId, referenceKey } from '../wire/blob.ts'
import type { PartBoundary } from './manifest-layout.ts'

const CONTENT_ID_BYTES = 32

/** The result of an ingest. Its blobs are held and durable. */
export interface IngestRecord {
  readonly ingestId: string
  readonly publicKey: Uint8Array
  /** Blob reference of the manifest's root: 64 bytes. */
  readonly root: Uint8Array
  readonly files: number
  readonly bytes: number
  /** Data blobs of the release. */
  readonly blobs: number
  /** Those of them that were not held before. */
  readonly newBlobs: number
  /** Root and parts. */
  readonly manifestBlobs: number
  /** Those of them that were not held before: at least the root. */
  readonly newManifestBlobs: number
  /** Symlinks and special files left out. */
  readonly skipped: number
  /**
   * Hash of paths and contents (content-id.ts), 32 bytes: two ingests of a channel with the same
   * one hold the same files. With the same title besides, a publish would change nothing.
   */
  readonly contentId: Uint8Array
  readonly boundaries: readonly PartBoundary[]
  /** ms since 1970. */
  readonly createdAt: number
}

export function saveIngest(table: IngestsTable, record: IngestRecord): void {
  table.save({
    id: record.ingestId,
    publicKey: record.publicKey,
    rootId: referenceId(record.root),
    rootKey: referenceKey(record.root),
    stats: {
      files: record.files,
      bytes: record.bytes,
      blobs: record.blobs,
      newBlobs: record.newBlobs,
      manifestBlobs: record.manifestBlobs,
      newManifestBlobs: record.newManifestBlobs,
      skipped: record.skipped,
      contentId: toHex(record.contentId),
      boundaries: record.boundaries.map(({ path, start }) => [path, start]),
    },
    createdAt: record.createdAt,
  })
}

/** The ingest of that id, or null. @throws MegatorrentError ERR_DATABASE_CORRUPT. */
export function loadIngest(table: IngestsTable, ingestId: string): IngestRecord | null {
  const row = table.get(ingestId)
  return row === null ? null : ingestOfRow(row)
}

/**
 * Forget an ingest that nothing came of: every publish of a folder that did not change makes one. The one that
 * is published stays.
 */
export function dropIngest(
  state: Pick<State, 'channels' | 'ingests' | 'pieces'>,
  publicKey: Uint8Array,
  ingestId: string,
): void {
  if (state.channels.get(publicKey)?.publishedIngest === ingestId) return
  state.ingests.remove(ingestId)
  state.pieces.remove(publicKey, ingestId)
}

export function ingestOfRow(row: IngestRow): IngestRecord {
  const { stats } = row
  const contentId = fromHex(String(stats.contentId), CONTENT_ID_BYTES)
  if (contentId === null) throw corrupt()
  return {
    ingestId: row.id,
    publicKey: row.publicKey,
    root: blobReference(row.rootId, row.rootKey),
    files: count(stats.files),
    bytes: count(stats.bytes),
    blobs: count(stats.blobs),
    newBlobs: count(stats.newBlobs),
    manifestBlobs: count(stats.manifestBlobs),
    newManifestBlobs: count(stats.newManifestBlobs),
    skipped: count(stats.skipped),
    contentId,
    boundaries: boundariesOf(stats.boundaries),
    createdAt: row.createdAt,
  }
}

function boundariesOf(value: unknown): PartBoundary[] {
  if (!Array.isArray(value)) throw corrupt()
  return value.map((each: unknown) => {
    if (!Array.isArray(each) || typeof each[0] !== 'string') throw corrupt()
    return { path: each[0], start: count(each[1]) }
  })
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw corrupt()
  return value
}

function corrupt(): MegatorrentError {
  return new MegatorrentError('ERR_DATABASE_CORRUPT', 'the record of an ingest is damaged: ingest again')
}
