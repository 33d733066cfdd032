/**
 * Which blobs are held. A row says that the file is complete and durable; the
 * blob store writes it last and deletes it first.
 *
 * @module storage/tables/blobs-table
 */
import { EMPTY_BYTES } from '../../base/bytes.ts'
import type { Database, Row } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

const PAGE_IDS = 1_000
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
    return this.#page('id', after, limit).map((row) => bytesOf(row, 'id'))
  }

  /** All ids in ascending order, read in pages; what changes meanwhile may or may not show. */
  *ids(): Generator<Uint8Array, void, void> {
    for (const row of this.#rows('id')) yield bytesOf(row, 'id')
  }

  /** The same with the times since when they are held. */
  *held(): Generator<{ readonly id: Uint8Array; readonly storedAt: number }, void, void> {
    for (const row of this.#rows('id, stored_at')) {
      yield { id: bytesOf(row, 'id'), storedAt: numberOf(row, 'stored_at') }
    }
  }

  *#rows(columns: string): Generator<Row, void, void> {
    for (let after: Uint8Array | null = null; ; ) {
      const page: Row[] = this.#page(columns, after, PAGE_IDS)
      yield* page
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE_IDS) return
      after = bytesOf(last, 'id')
    }
  }

  #page(columns: string, after: Uint8Array | null, limit: number): Row[] {
    const sql = `SELECT ${columns} FROM blobs WHERE id > ? ORDER BY id LIMIT ?`
    // Before the first id comes the empty byte string.
    return this.#database.all(sql, after ?? EMPTY_BYTES, limit)
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
