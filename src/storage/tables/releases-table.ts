/**
 * Heads of the channels that concern us, ours and others', in the order of
 * PROTOCOL_FINAL.md §4.3: (release number, revision). Heads are bytes here; that
 * they are valid is for the caller to know before they are stored.
 *
 * @module storage/tables/releases-table
 */
import { MAX_CONFLICTS_PER_RELEASE, MAX_RELEASES_PER_CHANNEL } from '../../base/limits.ts'
import type { Database, Row } from '../database.ts'
import { bytesOf, flagOf, numberOf } from '../row.ts'

export interface ReleaseRow {
  readonly publicKey: Uint8Array
  readonly sequence: number
  readonly revision: number
  /** Blob id of the manifest's root. */
  readonly rootId: Uint8Array
  /** The head as it was signed. */
  readonly head: Uint8Array
  /** ms since 1970, as the publisher says. */
  readonly signedAt: number
  /** ms since 1970: when this release came here first. */
  readonly receivedAt: number
  /** ms since 1970: when it was last seen, from anywhere. */
  readonly refreshedAt: number
  /** True for a head that contradicts an earlier one of the same number: shown, never acted on. */
  readonly conflict: boolean
}

/** What `upsertHead` is given: `conflict` and `refreshedAt` follow. */
export type NewHead = Omit<ReleaseRow, 'conflict' | 'refreshedAt'>

/**
 * newer: a higher release number than any before (or the first). refreshed: the
 * same release with a higher revision. known: nothing new. conflict: another root
 * under a number that is taken. older: a lower number; not stored.
 */
export type HeadOutcome = 'newer' | 'refreshed' | 'known' | 'conflict' | 'older'

export class ReleasesTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Store a valid head durably and say what it was. */
  upsertHead(head: NewHead): HeadOutcome {
    return this.#database.transaction(() => {
      const same = this.get(head.publicKey, head.sequence, head.rootId)
      const newest = this.newest(head.publicKey)
      const isOlder = newest !== null && newest.sequence > head.sequence
      // Signed again before the newest was: nothing to go back for.
      if (isOlder && same?.conflict === false) return 'older'
      if (same !== null) return this.#refresh(head, same)
      if (isOlder) {
        if (!this.#isTaken(head)) return 'older'
        this.#addConflict(head)
        return 'conflict'
      }
      if (newest !== null && newest.sequence === head.sequence) {
        this.#addConflict(head)
        return 'conflict'
      }
      this.#insert(head, false)
      this.#dropOldest(head.publicKey)
      return 'newer'
    })
  }

  get(publicKey: Uint8Array, sequence: number, rootId: Uint8Array): ReleaseRow | null {
    const row = this.#database.get(
      'SELECT * FROM releases WHERE public_key = ? AND sequence = ? AND root_id = ?',
      publicKey,
      sequence,
      rootId,
    )
    return row === null ? null : decodeRow(row)
  }

  /** The release to act on: the highest number, and of that number the head that was first. */
  newest(publicKey: Uint8Array): ReleaseRow | null {
    const row = this.#database.get(
      'SELECT * FROM releases WHERE public_key = ? AND conflict = 0 ORDER BY sequence DESC LIMIT 1',
      publicKey,
    )
    return row === null ? null : decodeRow(row)
  }

  /** Newest first, conflicts after the release that they contradict. */
  list(publicKey: Uint8Array): ReleaseRow[] {
    return this.#database
      .all(
        'SELECT * FROM releases WHERE public_key = ? ORDER BY sequence DESC, conflict, received_at',
        publicKey,
      )
      .map(decodeRow)
  }

  /** Heads that contradict another one, of a channel. */
  conflicts(publicKey: Uint8Array): ReleaseRow[] {
    return this.#database
      .all(
        'SELECT * FROM releases WHERE public_key = ? AND conflict = 1 ORDER BY sequence DESC, received_at',
        publicKey,
      )
      .map(decodeRow)
  }

  /** Channels of which a release is known. */
  channels(): Uint8Array[] {
    return this.#database
      .all('SELECT DISTINCT public_key FROM releases')
      .map((row) => bytesOf(row, 'public_key'))
  }

  /** The release was seen again at that time. */
  touch(publicKey: Uint8Array, sequence: number, rootId: Uint8Array, refreshedAt: number): void {
    this.#database.run(
      `UPDATE releases SET refreshed_at = max(refreshed_at, ?)
       WHERE public_key = ? AND sequence = ? AND root_id = ?`,
      refreshedAt,
      publicKey,
      sequence,
      rootId,
    )
  }

  /** Forget a channel. @returns the number of heads removed. */
  remove(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM releases WHERE public_key = ?', publicKey)
  }

  #refresh(head: NewHead, stored: ReleaseRow): HeadOutcome {
    if (head.revision <= stored.revision) return stored.conflict ? 'conflict' : 'known'
    this.#database.run(
      `UPDATE releases SET revision = ?, head = ?, signed_at = ?, refreshed_at = max(refreshed_at, ?)
       WHERE public_key = ? AND sequence = ? AND root_id = ?`,
      head.revision,
      head.head,
      head.signedAt,
      head.receivedAt,
      head.publicKey,
      head.sequence,
      head.rootId,
    )
    return stored.conflict ? 'conflict' : 'refreshed'
  }

  #isTaken(head: NewHead): boolean {
    return (
      this.#database.get(
        'SELECT 1 AS taken FROM releases WHERE public_key = ? AND sequence = ? LIMIT 1',
        head.publicKey,
        head.sequence,
      ) !== null
    )
  }

  #addConflict(head: NewHead): void {
    const row = this.#database.get(
      'SELECT count(*) AS n FROM releases WHERE public_key = ? AND sequence = ? AND conflict = 1',
      head.publicKey,
      head.sequence,
    )
    if (row !== null && numberOf(row, 'n') < MAX_CONFLICTS_PER_RELEASE) this.#insert(head, true)
  }

  #insert(head: NewHead, conflict: boolean): void {
    this.#database.run(
      `INSERT INTO releases
         (public_key, sequence, root_id, revision, head, signed_at, received_at, refreshed_at, conflict)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      head.publicKey,
      head.sequence,
      head.rootId,
      head.revision,
      head.head,
      head.signedAt,
      head.receivedAt,
      head.receivedAt,
      conflict ? 1 : 0,
    )
  }

  #dropOldest(publicKey: Uint8Array): void {
    this.#database.run(
      `DELETE FROM releases WHERE public_key = ? AND sequence <= (
         SELECT sequence FROM releases WHERE public_key = ? AND conflict = 0
         ORDER BY sequence DESC LIMIT 1 OFFSET ?)`,
      publicKey,
      publicKey,
      MAX_RELEASES_PER_CHANNEL,
    )
  }
}

function decodeRow(row: Row): ReleaseRow {
  return {
    publicKey: bytesOf(row, 'public_key'),
    sequence: numberOf(row, 'sequence'),
    revision: numberOf(row, 'revision'),
    rootId: bytesOf(row, 'root_id'),
    head: bytesOf(row, 'head'),
    signedAt: numberOf(row, 'signed_at'),
    receivedAt: numberOf(row, 'received_at'),
    refreshedAt: numberOf(row, 'refreshed_at'),
    conflict: flagOf(row, 'conflict'),
  }
}
