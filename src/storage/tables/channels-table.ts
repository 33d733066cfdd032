/**
 * Channels of our own: what is not secret about them. Seeds and read keys are in
 * the keystore, which is the authority for which channels exist.
 *
 * @module storage/tables/channels-table
 */
import { equalBytes } from '../../base/bytes.ts'
import { MegatorrentError } from '../../base/errors.ts'
import type { Database, Row } from '../database.ts'
import { bytesOf, flagOf, numberOf, textOf, textOrNull } from '../row.ts'

export interface ChannelRow {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  readonly name: string
  readonly private: boolean
  readonly open: boolean
  /** ms since 1970. */
  readonly createdAt: number
  /** Number of the newest release signed here, 0 when there is none. Never goes down. */
  readonly sequence: number
  readonly revision: number
  /** Id of the ingest that the newest release was made of. */
  readonly publishedIngest: string | null
}

export class ChannelsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** @throws MegatorrentError ERR_NAME_TAKEN when another channel has the name; ERR_KEY_EXISTS for the same key. */
  add(row: ChannelRow): void {
    this.#database.transaction(() => {
      const other = this.byName(row.name)
      if (other !== null) throw nameTaken(row.name)
      if (this.get(row.publicKey) !== null) {
        throw new MegatorrentError('ERR_KEY_EXISTS', 'this channel is here already')
      }
      this.#database.run(
        `INSERT INTO channels (public_key, name, private, open, created_at, sequence, revision, published_ingest)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        row.publicKey,
        row.name,
        row.private ? 1 : 0,
        row.open ? 1 : 0,
        row.createdAt,
        row.sequence,
        row.revision,
        row.publishedIngest,
      )
    })
  }

  get(publicKey: Uint8Array): ChannelRow | null {
    return decode(this.#database.get('SELECT * FROM channels WHERE public_key = ?', publicKey))
  }

  byName(name: string): ChannelRow | null {
    return decode(this.#database.get('SELECT * FROM channels WHERE name = ?', name))
  }

  /** In order of names. */
  list(): ChannelRow[] {
    return this.#database.all('SELECT * FROM channels ORDER BY name').map(decodeRow)
  }

  /** @throws MegatorrentError ERR_NAME_TAKEN. */
  rename(publicKey: Uint8Array, name: string): void {
    this.#database.transaction(() => {
      const other = this.byName(name)
      if (other !== null && !equalBytes(other.publicKey, publicKey)) throw nameTaken(name)
      this.#database.run('UPDATE channels SET name = ? WHERE public_key = ?', name, publicKey)
    })
  }

  /**
   * Record what was signed, before it leaves this machine.
   *
   * @returns false, and nothing changes, when a newer (sequence, revision) is recorded already: whoever
   *   signed this must not send it.
   */
  setPublished(publicKey: Uint8Array, sequence: number, revision: number, ingestId: string | null): boolean {
    return (
      this.#database.run(
        `UPDATE channels SET sequence = ?, revision = ?, published_ingest = ?
         WHERE public_key = ? AND (sequence < ? OR (sequence = ? AND revision <= ?))`,
        sequence,
        revision,
        ingestId,
        publicKey,
        sequence,
        sequence,
        revision,
      ) > 0
    )
  }

  /** @returns whether there was one. */
  remove(publicKey: Uint8Array): boolean {
    return this.#database.run('DELETE FROM channels WHERE public_key = ?', publicKey) > 0
  }
}

function nameTaken(name: string): MegatorrentError {
  return new MegatorrentError(
    'ERR_NAME_TAKEN',
    `a channel named "${name}" exists already: choose another name`,
  )
}

function decode(row: Row | null): ChannelRow | null {
  return row === null ? null : decodeRow(row)
}

function decodeRow(row: Row): ChannelRow {
  return {
    publicKey: bytesOf(row, 'public_key'),
    name: textOf(row, 'name'),
    private: flagOf(row, 'private'),
    open: flagOf(row, 'open'),
    createdAt: numberOf(row, 'created_at'),
    sequence: numberOf(row, 'sequence'),
    revision: numberOf(row, 'revision'),
    publishedIngest: textOrNull(row, 'published_ingest'),
  }
}
