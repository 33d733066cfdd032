/**
 * Single values under a name: marks, counters, versions.
 *
 * @module storage/tables/meta-table
 */
import type { Database, SqlValue } from '../database.ts'

export class MetaTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** The value, or null when there is none. */
  get(key: string): SqlValue {
    return this.#database.get('SELECT value FROM meta WHERE key = ?', key)?.value ?? null
  }

  set(key: string, value: Exclude<SqlValue, null>): void {
    this.#database.run(
      'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      key,
      value,
    )
  }

  /** @returns whether there was one. */
  remove(key: string): boolean {
    return this.#database.run('DELETE FROM meta WHERE key = ?', key) > 0
  }
}
