/**
 * By which channel each blob came: in safe mode it counts as held in that channel and in no other
 * (ADR 0019). A row goes with its blob.
 *
 * @module storage/tables/blob-origins-table
 */
import type { Database } from '../database.ts'

export interface BlobOrigin {
  /** Of the channel. */
  readonly publicKey: Uint8Array
  readonly blobId: Uint8Array
}

export class BlobOriginsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Did it come by that channel, and is it held since? Some 5 microseconds. */
  has(publicKey: Uint8Array, blobId: Uint8Array): boolean {
    const sql = 'SELECT 1 AS came FROM blob_origins WHERE blob_id = ? AND public_key = ?'
    return this.#database.get(sql, blobId, publicKey) !== null
  }

  /** In one transaction. Blobs that are not held are left out. */
  add(origins: Iterable<BlobOrigin>): void {
    this.#database.transaction(() => {
      for (const { publicKey, blobId } of origins) {
        this.#database.run(
          `INSERT INTO blob_origins (blob_id, public_key) SELECT id, ? FROM blobs WHERE id = ?
           ON CONFLICT DO NOTHING`,
          publicKey,
          blobId,
        )
      }
    })
  }
}
