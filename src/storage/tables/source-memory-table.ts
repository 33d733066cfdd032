/**
 * What an ingest of a channel found in its folder, so that the next one need not
 * read what did not change. Pages in the caller's encoding; page 0 comes last, so
 * that there is either all of it or nothing.
 *
 * @module storage/tables/source-memory-table
 */
import type { Database } from '../database.ts'
import { bytesOf } from '../row.ts'

export class SourceMemoryTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Write or replace a page, numbered from 0. */
  save(publicKey: Uint8Array, page: number, content: Uint8Array): void {
    this.#database.run(
      `INSERT INTO source_memory (public_key, page, content) VALUES (?, ?, ?)
       ON CONFLICT (public_key, page) DO UPDATE SET content = excluded.content`,
      publicKey,
      page,
      content,
    )
  }

  get(publicKey: Uint8Array, page: number): Uint8Array | null {
    const row = this.#database.get(
      'SELECT content FROM source_memory WHERE public_key = ? AND page = ?',
      publicKey,
      page,
    )
    return row === null ? null : bytesOf(row, 'content')
  }

  /** Forget a page. @returns whether it was there. */
  removePage(publicKey: Uint8Array, page: number): boolean {
    return (
      this.#database.run('DELETE FROM source_memory WHERE public_key = ? AND page = ?', publicKey, page) > 0
    )
  }

  /** Forget all of a channel. @returns the number of pages. */
  remove(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM source_memory WHERE public_key = ?', publicKey)
  }
}
