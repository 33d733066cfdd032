/**
 * Peers of each channel to connect to first after a restart. An address is the text
 * that the owner gives; it is secret in so far as it tells what this node follows,
 * as all of the database is.
 *
 * @module storage/tables/anchors-table
 */
import type { Database } from '../database.ts'
import { textOf } from '../row.ts'

export class AnchorsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** In the order in which they were saved. */
  list(publicKey: Uint8Array): string[] {
    return this.#database
      .all('SELECT address FROM anchors WHERE public_key = ? ORDER BY place', publicKey)
      .map((row) => textOf(row, 'address'))
  }

  /** These and no others, in one transaction. */
  replace(publicKey: Uint8Array, addresses: readonly string[]): void {
    this.#database.transaction(() => {
      this.#database.run('DELETE FROM anchors WHERE public_key = ?', publicKey)
      for (const [place, address] of addresses.entries()) {
        this.#database.run(
          'INSERT INTO anchors (public_key, address, place) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          publicKey,
          address,
          place,
        )
      }
    })
  }

  /** Forget those of channels that are neither published here nor followed. @returns the number removed. */
  prune(): number {
    return this.#database.run(
      `DELETE FROM anchors WHERE public_key NOT IN (SELECT public_key FROM channels)
       AND public_key NOT IN (SELECT public_key FROM subscriptions)`,
    )
  }
}
