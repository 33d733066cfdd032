/**
 * What the user follows, or gets once, and how far it is.
 *
 * @module storage/tables/subscriptions-table
 */
import { MegatorrentError } from '../../base/errors.ts'
import type { Database, Row, SqlValue } from '../database.ts'
import { bytesOf, flagOf, numberOf, textOf, textOrNull } from '../row.ts'

export interface SubscriptionRow {
  readonly publicKey: Uint8Array
  /** The link as it was given. Holds the read key: never logged. */
  readonly uri: string
  /** 32 bytes; zeros for a public channel. */
  readonly readKey: Uint8Array
  /** Absolute path; empty for what is hosted. */
  readonly directory: string
  /** Globs of wanted paths; empty means all. */
  readonly onlyGlobs: readonly string[]
  /** host: held and served, not read; it has no directory. */
  readonly kind: 'follow' | 'once' | 'host'
  /** resolving, fetching, complete, stalled, error: what the owner last wrote. */
  readonly state: string
  readonly paused: boolean
  readonly addedAt: number
  /** Number of the release that is in the directory complete; 0 for none. */
  readonly completeSequence: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly title: string | null
}

/** What may change after a subscription was made. */
export type SubscriptionChange = Partial<Omit<SubscriptionRow, 'publicKey' | 'addedAt'>>

export class SubscriptionsTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** @throws MegatorrentError ERR_KEY_EXISTS when the channel is subscribed already. */
  add(row: SubscriptionRow): void {
    this.#database.transaction(() => {
      if (this.get(row.publicKey) !== null) {
        throw new MegatorrentError('ERR_KEY_EXISTS', 'this channel is subscribed already')
      }
      const columns = encode(row)
      const names = Object.keys(columns)
      const places = names.map(() => '?').join(', ')
      this.#database.run(
        `INSERT INTO subscriptions (${names.join(', ')}) VALUES (${places})`,
        ...Object.values(columns),
      )
    })
  }

  get(publicKey: Uint8Array): SubscriptionRow | null {
    const row = this.#database.get('SELECT * FROM subscriptions WHERE public_key = ?', publicKey)
    return row === null ? null : decodeRow(row)
  }

  /** Oldest first. */
  list(): SubscriptionRow[] {
    return this.#database.all('SELECT * FROM subscriptions ORDER BY added_at, public_key').map(decodeRow)
  }

  /** Change the named fields, all at once. @returns whether there is such a subscription. */
  update(publicKey: Uint8Array, change: SubscriptionChange): boolean {
    const columns = encode(change)
    const names = Object.keys(columns)
    if (names.length === 0) return this.get(publicKey) !== null
    const places = names.map((name) => `${name} = ?`).join(', ')
    return (
      this.#database.run(
        `UPDATE subscriptions SET ${places} WHERE public_key = ?`,
        ...Object.values(columns),
        publicKey,
      ) > 0
    )
  }

  /** @returns whether there was one. */
  remove(publicKey: Uint8Array): boolean {
    return this.#database.run('DELETE FROM subscriptions WHERE public_key = ?', publicKey) > 0
  }
}

const KINDS = ['follow', 'once', 'host'] as const

const COLUMNS = {
  publicKey: 'public_key',
  uri: 'uri',
  readKey: 'read_key',
  directory: 'directory',
  onlyGlobs: 'only_globs',
  kind: 'kind',
  state: 'state',
  paused: 'paused',
  addedAt: 'added_at',
  completeSequence: 'complete_sequence',
  errorCode: 'error_code',
  errorMessage: 'error_message',
  title: 'title',
} as const satisfies Record<keyof SubscriptionRow, string>

function encode(fields: Partial<SubscriptionRow>): Record<string, SqlValue> {
  const out: Record<string, SqlValue> = {}
  for (const [name, column] of Object.entries(COLUMNS)) {
    const value = fields[name as keyof SubscriptionRow]
    if (value === undefined) continue
    if (typeof value === 'boolean') out[column] = value ? 1 : 0
    else if (Array.isArray(value)) out[column] = JSON.stringify(value)
    else out[column] = value as SqlValue
  }
  return out
}

function decodeRow(row: Row): SubscriptionRow {
  const globs: unknown = JSON.parse(textOf(row, 'only_globs'))
  return {
    publicKey: bytesOf(row, 'public_key'),
    uri: textOf(row, 'uri'),
    readKey: bytesOf(row, 'read_key'),
    directory: textOf(row, 'directory'),
    onlyGlobs: Array.isArray(globs) ? globs.map(String) : [],
    kind: KINDS.find((kind) => kind === textOf(row, 'kind')) ?? 'follow',
    state: textOf(row, 'state'),
    paused: flagOf(row, 'paused'),
    addedAt: numberOf(row, 'added_at'),
    completeSequence: numberOf(row, 'complete_sequence'),
    errorCode: textOrNull(row, 'error_code'),
    errorMessage: textOrNull(row, 'error_message'),
    title: textOrNull(row, 'title'),
  }
}
