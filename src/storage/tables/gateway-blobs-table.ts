/**
 * Blobs that this node keeps for others, as a gateway (PROTOCOL_FINAL.md §7.9): ids and
 * times, and nothing of whose they are.
 *
 * @module storage/tables/gateway-blobs-table
 */
import type { Database } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

export interface GatewayBlobRow {
  readonly id: Uint8Array
  /** ms since 1970. */
  readonly until: number
}

export class GatewayBlobsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  all(): GatewayBlobRow[] {
    return this.#database
      .all('SELECT * FROM gateway_blobs')
      .map((row) => ({ id: bytesOf(row, 'id'), until: numberOf(row, 'until') }))
  }

  /** All of them or none, durably; each takes the place of what was said of its id. */
  save(rows: readonly GatewayBlobRow[]): void {
    this.#database.transaction(() => {
      for (const { id, until } of rows) {
        this.#database.run('INSERT OR REPLACE INTO gateway_blobs (id, until) VALUES (?, ?)', id, until)
      }
    })
  }

  /** All of them or none. */
  remove(ids: readonly Uint8Array[]): void {
    this.#database.transaction(() => {
      for (const id of ids) this.#database.run('DELETE FROM gateway_blobs WHERE id = ?', id)
    })
  }
}
