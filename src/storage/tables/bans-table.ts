/**
 * Who is not talked to, and until when. A subject is a text that the owner
 * chooses: `key:<hex>` for a proven node key, `address:<host>` for one that we dialled.
 *
 * @module storage/tables/bans-table
 */
import type { Database, Row } from '../database.ts'
import { numberOf, textOf } from '../row.ts'

export interface BanRow {
  readonly subject: string
  /** ms since 1970. */
  readonly until: number
  readonly reason: string
  readonly createdAt: number
}

export class BansTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** A ban that is there already is only ever made longer. */
  add(ban: BanRow): void {
    this.#database.run(
      `INSERT INTO bans (subject, until, reason, created_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (subject) DO UPDATE SET until = excluded.until, reason = excluded.reason
       WHERE excluded.until > bans.until`,
      ban.subject,
      ban.until,
      ban.reason,
      ban.createdAt,
    )
  }

  isActive(subject: string, now: number): boolean {
    return (
      this.#database.get('SELECT 1 AS banned FROM bans WHERE subject = ? AND until > ?', subject, now) !==
      null
    )
  }

  /** Bans in force at that time, those that end first in front. */
  active(now: number): BanRow[] {
    return this.#database
      .all('SELECT * FROM bans WHERE until > ? ORDER BY until, subject', now)
      .map(decodeRow)
  }

  /** All, also those that are over and not yet pruned. */
  list(): BanRow[] {
    return this.#database.all('SELECT * FROM bans ORDER BY until, subject').map(decodeRow)
  }

  /** @returns whether there was one. */
  remove(subject: string): boolean {
    return this.#database.run('DELETE FROM bans WHERE subject = ?', subject) > 0
  }

  /** Forget bans that are over. @returns the number removed. */
  prune(now: number): number {
    return this.#database.run('DELETE FROM bans WHERE until <= ?', now)
  }
}

function decodeRow(row: Row): BanRow {
  return {
    subject: textOf(row, 'subject'),
    until: numberOf(row, 'until'),
    reason: textOf(row, 'reason'),
    createdAt: numberOf(row, 'created_at'),
  }
}
