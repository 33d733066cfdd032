/**
 * Items that this node keeps for others, as a gateway (PROTOCOL_FINAL.md §7.8).
 *
 * @module storage/tables/gateway-items-table
 */
import type { MutableItem } from '../../wire/mutable-item.ts'
import type { Database, Row } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

export interface GatewayItemRow {
  readonly item: MutableItem
  /** ms since 1970; 0 is at once. */
  readonly notBefore: number
  /** ms since 1970. */
  readonly notAfter: number
}

export class GatewayItemsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  all(): GatewayItemRow[] {
    return this.#database.all('SELECT * FROM gateway_items').map(decodeRow)
  }

  /** All of them or none, durably; each takes the place of what was kept under its key. */
  save(rows: readonly GatewayItemRow[]): void {
    this.#database.transaction(() => {
      for (const { item, notBefore, notAfter } of rows) {
        this.#database.run(
          `INSERT OR REPLACE INTO gateway_items
           (slot_key, seq, signature, value, not_before, not_after) VALUES (?, ?, ?, ?, ?, ?)`,
          item.publicKey,
          item.seq,
          item.signature,
          item.value,
          notBefore,
          notAfter,
        )
      }
    })
  }

  /** All of them or none. */
  remove(slotKeys: readonly Uint8Array[]): void {
    this.#database.transaction(() => {
      for (const key of slotKeys) this.#database.run('DELETE FROM gateway_items WHERE slot_key = ?', key)
    })
  }
}

function decodeRow(row: Row): GatewayItemRow {
  return {
    item: {
      publicKey: bytesOf(row, 'slot_key'),
      seq: numberOf(row, 'seq'),
      value: bytesOf(row, 'value'),
      signature: bytesOf(row, 'signature'),
    },
    notBefore: numberOf(row, 'not_before'),
    notAfter: numberOf(row, 'not_after'),
  }
}
