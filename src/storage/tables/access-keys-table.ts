/**
 * Keys that let somebody read the files of one channel over HTTP. Only their hashes
 * are kept: who reads the database cannot use them.
 *
 * @module storage/tables/access-keys-table
 */
import type { Database } from '../database.ts'
import { bytesOf, numberOf, textOf } from '../row.ts'

export interface AccessKeyRow {
  /** Names the key; no secret. */
  readonly keyId: string
  /** SHA-256 of the key. */
  readonly hash: Uint8Array
  readonly publicKey: Uint8Array
  /** What the user wrote to know it by. */
  readonly label: string
  readonly createdAt: number
}

export class AccessKeysTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  add(row: AccessKeyRow): void {
    this.#database.run(
      'INSERT INTO access_keys (key_id, hash, public_key, label, created_at) VALUES (?, ?, ?, ?, ?)',
      row.keyId,
      row.hash,
      row.publicKey,
      row.label,
      row.createdAt,
    )
  }

  /** Oldest first. */
  list(): AccessKeyRow[] {
    return this.#database.all('SELECT * FROM access_keys ORDER BY created_at, key_id').map((row) => ({
      keyId: textOf(row, 'key_id'),
      hash: bytesOf(row, 'hash'),
      publicKey: bytesOf(row, 'public_key'),
      label: textOf(row, 'label'),
      createdAt: numberOf(row, 'created_at'),
    }))
  }

  /** @returns whether there was one. */
  remove(keyId: string): boolean {
    return this.#database.run('DELETE FROM access_keys WHERE key_id = ?', keyId) > 0
  }

  /** @returns how many there were. */
  removeChannel(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM access_keys WHERE public_key = ?', publicKey)
  }
}
