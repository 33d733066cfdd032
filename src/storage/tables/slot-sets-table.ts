/**
 * Slots signed ahead (PROTOCOL_FINAL.md §5.4), one set for each channel that is published
 * here or followed: of the newest head of which there was one. 75 KiB each.
 *
 * @module storage/tables/slot-sets-table
 */
import type { Database } from '../database.ts'
import { bytesOf } from '../row.ts'

export class SlotSetsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** The set of that channel, if it is of the head of that hash: as it was encoded. */
  get(publicKey: Uint8Array, headHash: Uint8Array): Uint8Array | null {
    const row = this.#database.get(
      'SELECT content FROM slot_sets WHERE public_key = ? AND head_hash = ?',
      publicKey,
      headHash,
    )
    return row === null ? null : bytesOf(row, 'content')
  }

  /** The same without reading it. */
  has(publicKey: Uint8Array, headHash: Uint8Array): boolean {
    const sql = 'SELECT 1 AS held FROM slot_sets WHERE public_key = ? AND head_hash = ?'
    return this.#database.get(sql, publicKey, headHash) !== null
  }

  /** Keep it, durably, in the place of the one before. That it is newer is for the caller to know. */
  replace(publicKey: Uint8Array, headHash: Uint8Array, content: Uint8Array): void {
    this.#database.run(
      `INSERT INTO slot_sets (public_key, head_hash, content) VALUES (?, ?, ?)
       ON CONFLICT (public_key) DO UPDATE SET head_hash = excluded.head_hash, content = excluded.content`,
      publicKey,
      headHash,
      content,
    )
  }

  /** Is the channel published, followed or hosted here? Only of those a set is kept. */
  isKept(publicKey: Uint8Array): boolean {
    const sql = `SELECT 1 AS kept FROM channels WHERE public_key = ?
                 UNION SELECT 1 FROM subscriptions WHERE public_key = ? AND kind <> 'once'`
    return this.#database.get(sql, publicKey, publicKey) !== null
  }

  /** Forget those of channels that are neither. @returns the number removed. */
  prune(): number {
    return this.#database.run(
      `DELETE FROM slot_sets WHERE public_key NOT IN (SELECT public_key FROM channels)
       AND public_key NOT IN (SELECT public_key FROM subscriptions WHERE kind <> 'once')`,
    )
  }
}
