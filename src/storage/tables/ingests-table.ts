/**
 * Ingests: folders that were cut and sealed, published or not, by the reference
 * of their manifest. `root_key` opens it: the database is as secret as the keys.
 *
 * @module storage/tables/ingests-table
 */
import type { Database, Row } from '../database.ts'
import { bytesOf, numberOf, textOf } from '../row.ts'

export interface IngestRow {
  readonly id: string
  readonly publicKey: Uint8Array
  /** Blob reference of the manifest's root. */
  readonly rootId: Uint8Array
  readonly rootKey: Uint8Array
  /** What the caller wants to know later; JSON in the file. */
  readonly stats: Readonly<Record<string, unknown>>
  readonly createdAt: number
}

export class IngestsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Write or replace. */
  save(row: IngestRow): void {
    this.#database.run(
      `INSERT INTO ingests (id, public_key, root_id, root_key, stats, created_at) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET public_key = excluded.public_key, root_id = excluded.root_id,
         root_key = excluded.root_key, stats = excluded.stats, created_at = excluded.created_at`,
      row.id,
      row.publicKey,
      row.rootId,
      row.rootKey,
      JSON.stringify(row.stats),
      row.createdAt,
    )
  }

  get(id: string): IngestRow | null {
    const row = this.#database.get('SELECT * FROM ingests WHERE id = ?', id)
    return row === null ? null : decodeRow(row)
  }

  /** Of one channel, newest first. */
  list(publicKey: Uint8Array): IngestRow[] {
    return this.#database
      .all('SELECT * FROM ingests WHERE public_key = ? ORDER BY created_at DESC, id', publicKey)
      .map(decodeRow)
  }

  /** Of all channels, oldest first. */
  all(): IngestRow[] {
    return this.#database.all('SELECT * FROM ingests ORDER BY created_at, id').map(decodeRow)
  }

  /** @returns whether there was one. */
  remove(id: string): boolean {
    return this.#database.run('DELETE FROM ingests WHERE id = ?', id) > 0
  }
}

function decodeRow(row: Row): IngestRow {
  const stats: unknown = JSON.parse(textOf(row, 'stats'))
  return {
    id: textOf(row, 'id'),
    publicKey: bytesOf(row, 'public_key'),
    rootId: bytesOf(row, 'root_id'),
    rootKey: bytesOf(row, 'root_key'),
    stats: typeof stats === 'object' && stats !== null ? (stats as Record<string, unknown>) : {},
    createdAt: numberOf(row, 'created_at'),
  }
}
