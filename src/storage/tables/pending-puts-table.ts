/**
 * Releases that were signed and that no node has confirmed yet: the queue of
 * puts that survives a restart.
 *
 * @module storage/tables/pending-puts-table
 */
import type { Database } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

export interface PendingPut {
  readonly publicKey: Uint8Array
  readonly sequence: number
  /** ms since 1970: when the first attempt began. */
  readonly since: number
}

export class PendingPutsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Queue a put; a newer release takes the place of an older one. */
  add(put: PendingPut): void {
    this.#database.run(
      `INSERT INTO pending_puts (public_key, sequence, since) VALUES (?, ?, ?)
       ON CONFLICT (public_key) DO UPDATE SET sequence = excluded.sequence, since = excluded.since
       WHERE excluded.sequence > pending_puts.sequence`,
      put.publicKey,
      put.sequence,
      put.since,
    )
  }

  /** Oldest first. */
  list(): PendingPut[] {
    return this.#database.all('SELECT * FROM pending_puts ORDER BY since, public_key').map((row) => ({
      publicKey: bytesOf(row, 'public_key'),
      sequence: numberOf(row, 'sequence'),
      since: numberOf(row, 'since'),
    }))
  }

  /** That release is confirmed: a newer one that was queued meanwhile stays. @returns whether one went. */
  remove(publicKey: Uint8Array, sequence: number): boolean {
    return (
      this.#database.run(
        'DELETE FROM pending_puts WHERE public_key = ? AND sequence <= ?',
        publicKey,
        sequence,
      ) > 0
    )
  }
}
