/**
 * Ephemeral keys of handshakes that were accepted (PROTOCOL_FINAL.md §6.3), so that
 * a recorded first message gets no answer after a restart either.
 *
 * @module storage/tables/ephemerals-table
 */
import type { Database } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

export interface EphemeralRow {
  /** Names the handshake key under which it was accepted; chosen by the caller, not the key itself. */
  readonly keyId: Uint8Array
  /** 32 bytes. */
  readonly ephemeral: Uint8Array
  /** Hours since 1970. */
  readonly hour: number
}

export class EphemeralsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** In one transaction; those that are there already stay. @returns the number added. */
  add(rows: Iterable<EphemeralRow>): number {
    return this.#database.transaction(() => {
      let added = 0
      for (const row of rows) {
        added += this.#database.run(
          'INSERT INTO ephemerals (key_id, ephemeral, hour) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          row.keyId,
          row.ephemeral,
          row.hour,
        )
      }
      return added
    })
  }

  /** From that hour on, newest first, at most `limit`. */
  recent(sinceHour: number, limit: number): EphemeralRow[] {
    return this.#database
      .all('SELECT * FROM ephemerals WHERE hour >= ? ORDER BY hour DESC LIMIT ?', sinceHour, limit)
      .map((row) => ({
        keyId: bytesOf(row, 'key_id'),
        ephemeral: bytesOf(row, 'ephemeral'),
        hour: numberOf(row, 'hour'),
      }))
  }

  /** Forget what is too old to be replayed. @returns the number removed. */
  prune(beforeHour: number): number {
    return this.#database.run('DELETE FROM ephemerals WHERE hour < ?', beforeHour)
  }
}
