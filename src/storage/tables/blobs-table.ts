/**
 * Which blobs are held. A row says that the file is complete and durable; the
 * blob store writes it last and deletes it first.
 *
 * @module storage/tables/blobs-table
 */
import type { Database } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

const LAST_ID = new Uint8Array(32).fill(0xff)

export class BlobsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Some 5 microseconds. */
  has(id: Uint8Array): boolean {
    return this.#database.get('SELECT 1 AS held FROM blobs WHERE id = ?', id) !== null
  }

  /** Reads the whole index: once, at the start. */
  count(): number {
    const row = this.#database.get('SELECT count(*) AS n FROM blobs')
    return row === null ? 0 : numberOf(row, 'n')
  }

  /** In one transaction. @returns those that were not there before. */
  add(ids: Iterable<Uint8Array>, storedAt: number): Uint8Array[] {
    return this.#database.transaction(() => {
      const added: Uint8Array[] = []
      for (const id of ids) {
        const changed = this.#database.run(
          'INSERT INTO blobs (id, stored_at) VALUES (?, ?) ON CONFLICT DO NOTHING',
          id,
          storedAt,
        )
        if (changed > 0) added.push(id)
      }
      return added
    })
  }

  /** In one transaction. @returns those that were there. */
  remove(ids: Iterable<Uint8Array>): Uint8Array[] {
    return this.#database.transaction(() => {
      const removed: Uint8Array[] = []
      for (const id of ids) {
        if (this.#database.run('DELETE FROM blobs WHERE id = ?', id) > 0) removed.push(id)
      }
      return removed
    })
  }

  /** Ids in ascending order, beginning after `after` (null: with the first). */
  page(after: Uint8Array | null, limit: number): Uint8Array[] {
    const rows =
      after === null
        ? this.#database.all('SELECT id FROM blobs ORDER BY id LIMIT ?', limit)
        : this.#database.all('SELECT id FROM blobs WHERE id > ? ORDER BY id LIMIT ?', after, limit)
    return rows.map((row) => bytesOf(row, 'id'))
  }

  /** All ids whose first byte is `shard`: a 256th of the store. */
  inShard(shard: number): Uint8Array[] {
    const first = new Uint8Array(32)
    first[0] = shard
    const last = Uint8Array.from(LAST_ID)
    last[0] = shard
    return this.#database
      .all('SELECT id FROM blobs WHERE id BETWEEN ? AND ?', first, last)
      .map((row) => bytesOf(row, 'id'))
  }
}
