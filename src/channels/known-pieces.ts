/**
 * Where the pieces of a published ingest lie: pages of the table of pieces, read for
 * the next ingest and written after it.
 *
 * A row's `extents` hold one or two places of 72 bytes: blob reference 64, offset
 * u32, length u32, in the order of the piece's bytes.
 *
 * @module channels/known-pieces
 */
import { Buffer } from 'node:buffer'
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { PieceRow, PiecesTable } from '../storage/tables/pieces-table.ts'
import { BLOB_ID_BYTES, BLOB_REF_BYTES } from '../wire/constants.ts'
import type { PiecePlace } from './pack.ts'
import type { ReleaseBlobs } from './release-entry.ts'
import { nextTurn } from './turns.ts'

const PLACE_BYTES = BLOB_REF_BYTES + 8

/** Rows between two turns of the event loop, and in one page. */
const BATCH_ROWS = 2_000

/** A hash as a text, the key of a map: a character of one byte for each byte. */
export type HashName = string

export function hashName(hash: Uint8Array): HashName {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1')
}

/** The bytes that a name stands for, fresh. */
export function hashOfName(name: HashName): Uint8Array {
  return new Uint8Array(Buffer.from(name, 'latin1'))
}

/** What one ingest knew about its pieces. Some 200 bytes of memory a piece. */
export class KnownPieces {
  readonly #extents = new Map<HashName, string>()
  /** By name of the blob: many pieces share one. */
  readonly #held = new Map<HashName, boolean>()

  /** All pieces of an ingest, read with pauses for others; none when `ingestId` is null. */
  static async load(
    table: PiecesTable,
    publicKey: Uint8Array,
    ingestId: string | null,
  ): Promise<KnownPieces> {
    const known = new KnownPieces()
    if (ingestId === null) return known
    let rows = 0
    for (const row of table.list(publicKey, ingestId)) {
      known.#extents.set(hashName(row.hash), hashName(row.extents))
      rows += 1
      if (rows % BATCH_ROWS === 0) await nextTurn()
    }
    return known
  }

  /**
   * Where a piece lies, if all of it is still held; its blobs get numbers in `blobs`.
   * A row that does not make up `length` bytes is as good as none.
   */
  find(
    name: HashName,
    length: number,
    blobs: ReleaseBlobs,
    store: Pick<BlobStore, 'has'>,
  ): PiecePlace[] | null {
    const extents = this.#extents.get(name)
    if (extents === undefined || extents.length === 0 || extents.length % PLACE_BYTES !== 0) return null
    const reader = new ByteReader(hashOfName(extents))
    const places: { id: Uint8Array; key: Uint8Array; offset: number; length: number }[] = []
    let total = 0
    while (reader.remaining > 0) {
      const reference = reader.take(BLOB_REF_BYTES)
      const place = {
        id: reference.subarray(0, BLOB_ID_BYTES),
        key: reference.subarray(BLOB_ID_BYTES),
        offset: reader.u32(),
        length: reader.u32(),
      }
      if (!this.#isHeld(place.id, store)) return null
      total += place.length
      places.push(place)
    }
    if (total !== length) return null
    return places.map(({ id, key, ...place }) => ({ blob: blobs.add(id, key), ...place }))
  }

  #isHeld(id: Uint8Array, store: Pick<BlobStore, 'has'>): boolean {
    const name = hashName(id)
    let held = this.#held.get(name)
    if (held === undefined) {
      held = store.has(id)
      this.#held.set(name, held)
    }
    return held
  }
}

/** The row of a piece that lies at `places`. */
export function pieceRow(
  hash: Uint8Array,
  size: number,
  places: readonly PiecePlace[],
  blobs: ReleaseBlobs,
): PieceRow {
  const writer = new ByteWriter(places.length * PLACE_BYTES)
  for (const place of places) writer.put(blobs.reference(place.blob)).u32(place.offset).u32(place.length)
  return { hash, size, extents: writer.bytes }
}

/** Keep the rows of an ingest, with pauses for others. Once for each ingest. */
export async function savePieces(
  table: PiecesTable,
  publicKey: Uint8Array,
  ingestId: string,
  rows: Iterable<PieceRow>,
): Promise<void> {
  let batch: PieceRow[] = []
  for (const row of rows) {
    batch.push(row)
    if (batch.length < BATCH_ROWS) continue
    table.save(publicKey, ingestId, batch)
    batch = []
    await nextTurn()
  }
  if (batch.length > 0) table.save(publicKey, ingestId, batch)
}
