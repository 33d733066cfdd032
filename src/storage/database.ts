/**
 * The database: everything that is not a blob or a key, in one SQLite file.
 * The only file that knows libsql, whose place another SQLite binding with
 * better-sqlite3's manner could take.
 *
 * Calls are synchronous: single rows take some microseconds and a commit, which
 * waits for the disk, a fraction of a millisecond to some milliseconds. Whoever
 * writes many rows does so in one `transaction`.
 *
 * Traps of libsql 0.5.29 that are dealt with here and nowhere else: a lone byte
 * string given as parameter is taken for named parameters, so parameters always
 * go in one array; byte strings come back as ArrayBuffer or Buffer; `get`
 * adds a `_metadata` column; the key must be text (its own derivation is weak, so we
 * only ever give it 32 random bytes in hex); statements are freed by the garbage
 * collector alone, so the file is checkpointed before it is closed.
 *
 * @module storage/database
 */
import { chmodSync, closeSync, constants, copyFileSync, existsSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import SqliteDatabase from 'libsql'
import { assertBytes, toHex } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { DATABASE_BUSY_MS, MAX_PREPARED_STATEMENTS } from '../base/limits.ts'
import { fsyncFolder, PRIVATE_FILE_MODE, renameOverSecret, shredFile } from './atomic-file.ts'
import { databaseError, keyAdvice, sqliteCode, translate } from './database-error.ts'
import { withDiskErrors } from './disk-error.ts'

/** What a column holds. Integers are safe integers, texts UTF-8, byte strings copies of the caller's. */
export type SqlValue = string | number | Uint8Array | null
export type Row = Readonly<Record<string, SqlValue>>

type Native = SqliteDatabase.Database
type NativeStatement = SqliteDatabase.Statement<unknown[]>

export interface DatabaseOptions {
  /** File to open or make (mode 0600). */
  readonly path: string
  /** 32 random bytes: the file is encrypted with them. Without, it is plain. */
  readonly key?: Uint8Array | undefined
  /** Scripts that lead from `user_version` n to n + 1. Never edited once released, only appended. */
  readonly migrations: readonly string[]
}

/** One open database. One process, one thread. */
export class Database {
  readonly path: string
  readonly #native: Native
  readonly #statements = new Map<string, NativeStatement>()
  #depth = 0
  #open = true

  private constructor(path: string, native: Native) {
    this.path = path
    this.#native = native
  }

  /**
   * Open or make the file and bring it to the newest version.
   *
   * @throws MegatorrentError ERR_DATABASE_KEY (wrong key, or one is needed, or there is one and the file
   *   is plain), ERR_DATABASE_CORRUPT, ERR_DATABASE_NEWER, or another of kind 'storage'.
   */
  static open(options: DatabaseOptions): Database {
    const { path, key } = options
    makePrivateFile(path)
    const native = openNative(path, key)
    try {
      return translate(path, () => {
        native.exec(`PRAGMA busy_timeout = ${DATABASE_BUSY_MS}`)
        native.exec('PRAGMA journal_mode = WAL')
        native.exec('PRAGMA synchronous = FULL')
        native.exec('PRAGMA foreign_keys = ON')
        native.exec('PRAGMA secure_delete = ON')
        native.exec('PRAGMA temp_store = MEMORY')
        const database = new Database(path, native)
        database.#migrate(options.migrations)
        return database
      })
    } catch (error) {
      native.close()
      throw keyAdvice(error, path, key !== undefined)
    }
  }

  /** Execute a statement that returns no rows. @returns how many rows it changed. */
  run(sql: string, ...parameters: readonly SqlValue[]): number {
    return translate(this.path, () => this.#prepare(sql).run(checked(parameters)).changes)
  }

  /** First row, or null. */
  get(sql: string, ...parameters: readonly SqlValue[]): Row | null {
    return translate(this.path, () => {
      const row = this.#prepare(sql).get(checked(parameters))
      return row === undefined || row === null ? null : cleanRow(row)
    })
  }

  /** All rows: bound them by LIMIT where their number is not small. */
  all(sql: string, ...parameters: readonly SqlValue[]): Row[] {
    return translate(this.path, () => this.#prepare(sql).all(checked(parameters)).map(cleanRow))
  }

  /**
   * Run `work` in one transaction: all of it is durable when this returns, or
   * none of it happened when it throws. Within another transaction it joins that.
   */
  transaction<T>(work: () => T): T {
    if (this.#depth > 0) return work()
    this.#exec('BEGIN IMMEDIATE')
    this.#depth++
    try {
      const result = work()
      if (result instanceof Promise) throw new TypeError('"work" expected to be synchronous')
      this.#exec('COMMIT')
      return result
    } catch (error) {
      this.#rollback()
      throw error
    } finally {
      this.#depth--
    }
  }

  /** Move everything from the write-ahead log into the file, so that deleted rows are gone from the log too. */
  checkpoint(): void {
    translate(this.path, () => void this.#prepare('PRAGMA wal_checkpoint(TRUNCATE)').all([]))
  }

  /** Idempotent. */
  close(): void {
    if (!this.#open) return
    this.checkpoint()
    this.#open = false
    this.#statements.clear()
    this.#native.close()
  }

  #prepare(sql: string): NativeStatement {
    if (!this.#open) throw new MegatorrentError('ERR_STORE_CLOSED', 'the database is closed')
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      if (this.#statements.size >= MAX_PREPARED_STATEMENTS) this.#statements.clear()
      statement = this.#native.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #exec(sql: string): void {
    if (!this.#open) throw new MegatorrentError('ERR_STORE_CLOSED', 'the database is closed')
    translate(this.path, () => void this.#native.exec(sql))
  }

  #rollback(): void {
    try {
      this.#native.exec('ROLLBACK')
    } catch {
      // A full disk or a fault has ended the transaction already; the first error is the one to report.
    }
  }

  #migrate(migrations: readonly string[]): void {
    const found = Number(this.get('PRAGMA user_version')?.user_version ?? 0)
    if (found > migrations.length) {
      throw new MegatorrentError(
        'ERR_DATABASE_NEWER',
        `${this.path} was written by a newer version (${found}, this one knows ${migrations.length}): update megatorrent`,
      )
    }
    for (const [index, script] of migrations.entries()) {
      if (index < found) continue
      this.transaction(() => {
        this.#exec(script)
        this.#exec(`PRAGMA user_version = ${index + 1}`)
      })
    }
  }
}

/** A lock that ends with the process, however that ends. */
export interface HeldFileLock {
  release(): void
}

/**
 * Take the exclusive lock of SQLite on a file of its own, or null when another
 * process (or another part of this one) has it. Nobody else in this process may
 * open that file: POSIX drops a process's locks on a file when it closes any
 * descriptor of it.
 */
export function lockDatabaseFile(path: string): HeldFileLock | null {
  makePrivateFile(path)
  const native = openNative(path, undefined)
  try {
    native.exec('PRAGMA busy_timeout = 0')
    native.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    native.close()
    if (sqliteCode(error).startsWith('SQLITE_BUSY')) return null
    throw databaseError(error, path)
  }
  return {
    release: () => {
      native.exec('ROLLBACK')
      native.close()
    },
  }
}

/**
 * Encrypt a plain database file that nobody uses, in one step: a copy is encrypted and renamed over it,
 * and what it held is overwritten. A crash leaves the plain file as it was, or the encrypted one.
 *
 * @param key - 32 random bytes.
 * @throws MegatorrentError ERR_DATABASE_BUSY when somebody does use it.
 */
export function encryptDatabaseFile(path: string, key: Uint8Array): void {
  assertBytes(key, 32, 'key')
  const copy = `${path}.encrypting`
  const logs = [`${path}-wal`, `${path}-shm`]
  shredFile(copy)
  // The log is plain too: fold it into the file.
  executeOnce(path, ['PRAGMA wal_checkpoint(TRUNCATE)'])
  withDiskErrors(`encrypting ${path}`, () => {
    if (existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0) {
      throw new MegatorrentError('ERR_DATABASE_BUSY', `${path}: another program holds the file`)
    }
    copyFileSync(path, copy, constants.COPYFILE_EXCL)
    chmodSync(copy, PRIVATE_FILE_MODE)
  })
  // No journal beside the copy, which would hold plain pages: if this fails, the copy is thrown away.
  const rekey = [
    'PRAGMA journal_mode = DELETE',
    'PRAGMA journal_mode = MEMORY',
    `PRAGMA rekey = '${toHex(key)}'`,
  ]
  executeOnce(copy, rekey)
  for (const log of logs) shredFile(log)
  renameOverSecret(copy, path)
}

/** `exec` prepares nothing that the garbage collector would have to free, so the file is closed at the end. */
function executeOnce(path: string, statements: readonly string[]): void {
  const native = openNative(path, undefined)
  try {
    translate(path, () => {
      for (const statement of statements) native.exec(statement)
    })
  } finally {
    native.close()
  }
}

/**
 * SQLite gives its log files the mode of the database, so this is the one place to set it. An existing
 * file is never opened here: closing it again would drop the locks that this process has on it.
 */
function makePrivateFile(path: string): void {
  withDiskErrors(`making ${path}`, () => {
    if (existsSync(path)) {
      if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, PRIVATE_FILE_MODE)
      return
    }
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, PRIVATE_FILE_MODE))
    fsyncFolder(dirname(path))
  })
}

function openNative(path: string, key: Uint8Array | undefined): Native {
  if (key !== undefined) assertBytes(key, 32, 'key')
  // The two names are missing from libsql's own types.
  const options: SqliteDatabase.Options & { encryptionCipher?: string; encryptionKey?: string } = {}
  if (key !== undefined) {
    options.encryptionCipher = 'aes256cbc'
    options.encryptionKey = toHex(key)
  }
  try {
    return new SqliteDatabase(path, options)
  } catch (error) {
    throw databaseError(error, path)
  }
}

/** libsql reads a text up to its first zero byte: one that has such a byte would come back cut off. */
function checked(parameters: readonly SqlValue[]): readonly SqlValue[] {
  for (const value of parameters) {
    if (typeof value === 'string' && value.includes('\0')) {
      throw new RangeError('"parameters" expected texts without a zero byte')
    }
  }
  return parameters
}

function cleanRow(native: unknown): Row {
  const row: Record<string, SqlValue> = {}
  for (const [name, value] of Object.entries(native as object)) {
    if (name === '_metadata') continue
    row[name] = typeof value === 'object' && value !== null ? plainBytes(value) : (value as SqlValue)
  }
  return row
}

function plainBytes(value: object): Uint8Array {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  return new Uint8Array(value as ArrayBuffer)
}
