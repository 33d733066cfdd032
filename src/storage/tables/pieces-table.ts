/**
 * Where an ingest put each piece (the part of a file that fills no chunk of its
 * own), so that the next ingest can leave it there.
 *
 * @module storage/tables/pieces-table
 */
import type { Database, Row } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

export interface PieceRow {
  /** SHA-256 of the piece's bytes. */
  readonly hash: Uint8Array
  /** Bytes. */
  readonly size: number
  /** Where it lies, in the caller's encoding. */
  readonly extents: Uint8Array
}

const PAGE_ROWS = 1_000

export class PiecesTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** In one transaction, some 4 microseconds a row: give some thousands at a time and let others run between. */
  save(publicKey: Uint8Array, ingestId: string, pieces: Iterable<PieceRow>): void {
    this.#database.transaction(() => {
      for (const piece of pieces) {
        this.#database.run(
          `INSERT INTO pieces (public_key, ingest_id, hash, size, extents) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (public_key, ingest_id, hash)
             DO UPDATE SET size = excluded.size, extents = excluded.extents`,
          publicKey,
          ingestId,
          piece.hash,
          piece.size,
          piece.extents,
        )
      }
    })
  }

  get(publicKey: Uint8Array, ingestId: string, hash: Uint8Array): PieceRow | null {
    const row = this.#database.get(
      'SELECT * FROM pieces WHERE public_key = ? AND ingest_id = ? AND hash = ?',
      publicKey,
      ingestId,
      hash,
    )
    return row === null ? null : decodeRow(row)
  }

  /** All pieces of an ingest in order of hash, read in pages. */
  *list(publicKey: Uint8Array, ingestId: string): Generator<PieceRow, void, void> {
    let after: Uint8Array = new Uint8Array(0)
    for (;;) {
      const page = this.#database
        .all(
          `SELECT * FROM pieces WHERE public_key = ? AND ingest_id = ? AND hash > ?
           ORDER BY hash LIMIT ?`,
          publicKey,
          ingestId,
          after,
          PAGE_ROWS,
        )
        .map(decodeRow)
      yield* page
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE_ROWS) return
      after = last.hash
    }
  }

  /** Forget the pieces of one ingest. @returns their number. */
  remove(publicKey: Uint8Array, ingestId: string): number {
    return this.#database.run(
      'DELETE FROM pieces WHERE public_key = ? AND ingest_id = ?',
      publicKey,
      ingestId,
    )
  }

  /** Forget the pieces of a channel. @returns their number. */
  removeChannel(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM pieces WHERE public_key = ?', publicKey)
  }
}

function decodeRow(row: Row): PieceRow {
  return { hash: bytesOf(row, 'hash'), size: numberOf(row, 'size'), extents: bytesOf(row, 'extents') }
}
