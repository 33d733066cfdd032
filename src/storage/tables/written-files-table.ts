/**
 * Files that we wrote into the folders of subscriptions, and how they looked
 * then: what the user changed or put there himself is never overwritten or removed.
 *
 * Rows with `staged` are the journal of renames: written before a file is
 * renamed into place and confirmed after it, so that a file which was renamed just
 * before a crash is still known as ours.
 *
 * @module storage/tables/written-files-table
 */
import type { Database, Row } from '../database.ts'
import { bytesOf, flagOf, numberOf, textOf } from '../row.ts'

export interface WrittenFile {
  /** As in the manifest, relative to the folder of the subscription. */
  readonly path: string
  readonly size: number
  /** Decimal text: nanoseconds do not fit a number. */
  readonly mtimeNs: string
  /** Decimal text, for the same reason. */
  readonly inode: string
  /** What the content was: chosen by the caller, compared by equality. */
  readonly identity: Uint8Array
  readonly staged: boolean
}

const PAGE_ROWS = 1_000

export class WrittenFilesTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Write or replace rows in one transaction: the journal (staged) or what is in place (not staged). */
  save(publicKey: Uint8Array, files: Iterable<WrittenFile>): void {
    this.#database.transaction(() => {
      for (const file of files) {
        this.#database.run(
          `INSERT INTO written_files (public_key, path, size, mtime_ns, inode, identity, staged)
           VALUES (?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (public_key, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
             inode = excluded.inode, identity = excluded.identity, staged = excluded.staged`,
          publicKey,
          file.path,
          file.size,
          file.mtimeNs,
          file.inode,
          file.identity,
          file.staged ? 1 : 0,
        )
      }
    })
  }

  get(publicKey: Uint8Array, path: string): WrittenFile | null {
    const row = this.#database.get(
      'SELECT * FROM written_files WHERE public_key = ? AND path = ?',
      publicKey,
      path,
    )
    return row === null ? null : decodeRow(row)
  }

  /** All files of a subscription in order of path, read in pages: a million of them are never in memory at once. */
  *list(publicKey: Uint8Array): Generator<WrittenFile, void, void> {
    let after = ''
    for (;;) {
      const rows = this.#database.all(
        'SELECT * FROM written_files WHERE public_key = ? AND path > ? ORDER BY path LIMIT ?',
        publicKey,
        after,
        PAGE_ROWS,
      )
      const page = rows.map(decodeRow)
      yield* page
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE_ROWS) return
      after = last.path
    }
  }

  /** The journal of renames that a crash left. */
  staged(publicKey: Uint8Array): WrittenFile[] {
    return this.#database
      .all('SELECT * FROM written_files WHERE public_key = ? AND staged = 1 ORDER BY path', publicKey)
      .map(decodeRow)
  }

  /** The renames of these files are done and durable. */
  confirm(publicKey: Uint8Array, paths: Iterable<string>): void {
    this.#database.transaction(() => {
      for (const path of paths) {
        this.#database.run(
          'UPDATE written_files SET staged = 0 WHERE public_key = ? AND path = ?',
          publicKey,
          path,
        )
      }
    })
  }

  count(publicKey: Uint8Array): number {
    const row = this.#database.get('SELECT count(*) AS n FROM written_files WHERE public_key = ?', publicKey)
    return row === null ? 0 : numberOf(row, 'n')
  }

  remove(publicKey: Uint8Array, paths: Iterable<string>): void {
    this.#database.transaction(() => {
      for (const path of paths) {
        this.#database.run('DELETE FROM written_files WHERE public_key = ? AND path = ?', publicKey, path)
      }
    })
  }

  /** Forget all files of a subscription. @returns their number. */
  removeAll(publicKey: Uint8Array): number {
    return this.#database.run('DELETE FROM written_files WHERE public_key = ?', publicKey)
  }
}

function decodeRow(row: Row): WrittenFile {
  return {
    path: textOf(row, 'path'),
    size: numberOf(row, 'size'),
    mtimeNs: textOf(row, 'mtime_ns'),
    inode: textOf(row, 'inode'),
    identity: bytesOf(row, 'identity'),
    staged: flagOf(row, 'staged'),
  }
}
