/**
 * Where an ingest put each piece (the part of a file that fills no chunk of its
 * own), so that the next ingest can leave it there.
 *
 * Pages of some thousand pieces, since all of them are written and read together:
 * as rows of their own, ordered by hash, a hundred thousand took seconds. A page is
 * a list of hash 32, size u32, length of the extents u16, extents.
 *
 * @module storage/tables/pieces-table
 */
import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { MegatorrentError } from '../../base/errors.ts'
import type { Database } from '../database.ts'
import { bytesOf } from '../row.ts'

export interface PieceRow {
  /** SHA-256 of the piece's bytes. */
  readonly hash: Uint8Array
  /** Bytes. */
  readonly size: number
  /** Where it lies, in the caller's encoding; at most 65,535 bytes. */
  readonly extents: Uint8Array
}

const HASH_BYTES = 32
const FIXED_BYTES = HASH_BYTES + 4 + 2

export class PiecesTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Add a page: give some thousand pieces at a time and let others run between. */
  save(publicKey: Uint8Array, ingestId: string, pieces: readonly PieceRow[]): void {
    this.#database.run(
      `INSERT INTO piece_pages (public_key, ingest_id, page, content)
       SELECT ?1, ?2, coalesce(max(page) + 1, 0), ?3 FROM piece_pages WHERE public_key = ?1 AND ingest_id = ?2`,
      publicKey,
      ingestId,
      encodePage(pieces),
    )
  }

  /** All pieces of an ingest in the order in which they were saved, read page by page. */
  *list(publicKey: Uint8Array, ingestId: string): Generator<PieceRow, void, void> {
    for (let page = 0; ; page++) {
      const row = this.#database.get(
        'SELECT content FROM piece_pages WHERE public_key = ? AND ingest_id = ? AND page = ?',
        publicKey,
        ingestId,
        page,
      )
      if (row === null) return
      yield* decodePage(bytesOf(row, 'content'))
    }
  }

  /** Forget the pieces of one ingest. @returns the number of pages. */
  remove(publicKey: Uint8Array, ingestId: string): number {
    return this.#database.run(
      'DELETE FROM piece_pages WHERE public_key = ? AND ingest_id = ?',
      publicKey,
      ingestId,
    )
  }

  /** Forget the pieces of a channel. @returns the number of pages. */
  removeChannel(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM piece_pages WHERE public_key = ?', publicKey)
  }
}

function encodePage(pieces: readonly PieceRow[]): Uint8Array {
  let bytes = 0
  for (const { extents } of pieces) bytes += FIXED_BYTES + extents.length
  const writer = new ByteWriter(bytes)
  for (const { hash, size, extents } of pieces) {
    if (hash.length !== HASH_BYTES) throw new RangeError(`"hash" expected ${HASH_BYTES} bytes`)
    writer.put(hash).u32(size).u16(extents.length).put(extents)
  }
  return writer.bytes
}

function decodePage(content: Uint8Array): PieceRow[] {
  const pieces: PieceRow[] = []
  const reader = new ByteReader(content)
  try {
    while (reader.remaining > 0) {
      const hash = reader.take(HASH_BYTES)
      const size = reader.u32()
      pieces.push({ hash, size, extents: reader.take(reader.u16()) })
    }
  } catch (error) {
    throw new MegatorrentError('ERR_DATABASE_CORRUPT', 'a page of pieces in the database is damaged', {
      cause: error,
    })
  }
  return pieces
}
