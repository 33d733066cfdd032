/**
 * The newest version of each slot that we know or signed (PROTOCOL_FINAL.md §5),
 * so that none below it is ever acted on, put or put back.
 *
 * @module storage/tables/slots-table
 */
import type { Database, Row } from '../database.ts'
import { bytesOf, numberOf } from '../row.ts'

export interface SlotRow {
  /** A'(t,i), 32 bytes; for the slot of an open channel, its own key. */
  readonly slotKey: Uint8Array
  /** The channel, 32 bytes. */
  readonly publicKey: Uint8Array
  readonly day: number
  readonly replica: number
  readonly seq: number
  /** Of the item, 64 bytes. */
  readonly signature: Uint8Array
  readonly head: Uint8Array
  readonly updatedAt: number
}

export class SlotsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** The highest version known, or null. */
  highest(slotKey: Uint8Array): SlotRow | null {
    const row = this.#database.get('SELECT * FROM slots WHERE slot_key = ?', slotKey)
    return row === null ? null : decodeRow(row)
  }

  /**
   * Keep this version, durably, unless a higher one is known. The same seq
   * keeps what was first: two values under one seq are a conflict for the caller.
   *
   * @returns whether it is now what is kept.
   */
  save(row: SlotRow): boolean {
    return (
      this.#database.run(
        `INSERT INTO slots (slot_key, public_key, day, replica, seq, signature, head, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (slot_key) DO UPDATE SET seq = excluded.seq, signature = excluded.signature,
           head = excluded.head, updated_at = excluded.updated_at
         WHERE excluded.seq > slots.seq`,
        row.slotKey,
        row.publicKey,
        row.day,
        row.replica,
        row.seq,
        row.signature,
        row.head,
        row.updatedAt,
      ) > 0
    )
  }

  /** All slots of a channel from that day on, in order of day and replica. */
  list(publicKey: Uint8Array, fromDay: number): SlotRow[] {
    return this.#database
      .all('SELECT * FROM slots WHERE public_key = ? AND day >= ? ORDER BY day, replica', publicKey, fromDay)
      .map(decodeRow)
  }

  /** Forget days that are over. @returns the number removed. */
  prune(beforeDay: number): number {
    return this.#database.run('DELETE FROM slots WHERE day < ?', beforeDay)
  }

  /** Forget a channel. */
  remove(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM slots WHERE public_key = ?', publicKey)
  }
}

function decodeRow(row: Row): SlotRow {
  return {
    slotKey: bytesOf(row, 'slot_key'),
    publicKey: bytesOf(row, 'public_key'),
    day: numberOf(row, 'day'),
    replica: numberOf(row, 'replica'),
    seq: numberOf(row, 'seq'),
    signature: bytesOf(row, 'signature'),
    head: bytesOf(row, 'head'),
    updatedAt: numberOf(row, 'updated_at'),
  }
}
