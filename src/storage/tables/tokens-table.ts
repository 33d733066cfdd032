/**
 * Named tokens of the RPC. Only their hashes are kept: who reads the database cannot
 * use them.
 *
 * @module storage/tables/tokens-table
 */
import type { Database } from '../database.ts'
import { bytesOf, numberOf, numberOrNull, textOf } from '../row.ts'

export interface TokenRow {
  readonly name: string
  /** SHA-256 of the token. */
  readonly hash: Uint8Array
  /** Separated by commas. */
  readonly scopes: string
  readonly createdAt: number
  /** Null: until it is revoked. */
  readonly expiresAt: number | null
}

export class TokensTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** @throws MegatorrentError ERR_DATABASE when there is one of that name. */
  add(row: TokenRow): void {
    this.#database.run(
      'INSERT INTO tokens (name, hash, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?)',
      row.name,
      row.hash,
      row.scopes,
      row.createdAt,
      row.expiresAt,
    )
  }

  /** Oldest first. */
  list(): TokenRow[] {
    return this.#database.all('SELECT * FROM tokens ORDER BY created_at, name').map((row) => ({
      name: textOf(row, 'name'),
      hash: bytesOf(row, 'hash'),
      scopes: textOf(row, 'scopes'),
      createdAt: numberOf(row, 'created_at'),
      expiresAt: numberOrNull(row, 'expires_at'),
    }))
  }

  remove(name: string): void {
    this.#database.run('DELETE FROM tokens WHERE name = ?', name)
  }
}
