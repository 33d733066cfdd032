/**
 * What SQLite says went wrong, in our words and with a remedy. Messages name the
 * file and never a row.
 *
 * @module storage/database-error
 */
import { Buffer } from 'node:buffer'
import { type ErrorCode, errorMessage, MegatorrentError } from '../base/errors.ts'
import { readFileStart } from './atomic-file.ts'

/** Run work on the database at `path`; what it throws is ours. */
export function translate<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw databaseError(error, path)
  }
}

/** SQLite's own code, or the empty text when it has none. */
export function sqliteCode(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

const BY_PREFIX: readonly (readonly [string, ErrorCode, string])[] = [
  ['SQLITE_FULL', 'ERR_DISK_FULL', 'the disk is full: free some space, then it goes on'],
  ['SQLITE_IOERR', 'ERR_DISK_FAULT', 'the disk reports a fault: check the system log and the disk'],
  ['SQLITE_READONLY', 'ERR_DISK_READ_ONLY', 'the file or its file system is read-only'],
  ['SQLITE_CANTOPEN', 'ERR_FILE_ACCESS', 'the file cannot be opened: check its folder and mode'],
  ['SQLITE_PERM', 'ERR_FILE_ACCESS', 'the file may not be opened: check its mode'],
  ['SQLITE_CORRUPT', 'ERR_DATABASE_CORRUPT', 'the file is damaged: restore it from a copy, or move it away'],
  ['SQLITE_NOTADB', 'ERR_DATABASE_CORRUPT', 'the file is no database, or an encrypted one'],
  ['SQLITE_BUSY', 'ERR_DATABASE_BUSY', 'another program holds the file: close it and try again'],
  ['SQLITE_LOCKED', 'ERR_DATABASE_BUSY', 'another program holds the file: close it and try again'],
  ['SQLITE_CONSTRAINT', 'ERR_BUG', 'a rule of the tables was broken'],
]

/** A MegatorrentError; our own errors and wrong arguments come back as they are. */
export function databaseError(error: unknown, path: string): unknown {
  if (error instanceof MegatorrentError || error instanceof TypeError || error instanceof RangeError)
    return error
  const code = sqliteCode(error)
  for (const [prefix, ours, text] of BY_PREFIX) {
    if (code.startsWith(prefix)) return new MegatorrentError(ours, `${path}: ${text}`, { cause: error })
  }
  return new MegatorrentError('ERR_DATABASE', `${path}: ${errorMessage(error)}`, { cause: error })
}

/** Tell a wrong or missing key from damage, as far as that can be told. */
export function keyAdvice(error: unknown, path: string, hasKey: boolean): unknown {
  const { cause } = error instanceof MegatorrentError ? error : {}
  if (sqliteCode(cause) !== 'SQLITE_NOTADB') return error
  const plain = isPlainDatabase(path)
  if (!hasKey && !plain) {
    const text = `${path}: encrypted, or damaged: give the passphrase that it was made with`
    return new MegatorrentError('ERR_DATABASE_KEY', text, { cause })
  }
  if (!hasKey) return error
  const text = plain
    ? `${path}: not encrypted, though there is a passphrase`
    : `${path}: the key does not open it`
  return new MegatorrentError('ERR_DATABASE_KEY', text, { cause })
}

/** Does the file begin as an unencrypted SQLite database? Empty and missing files do not. */
export function isPlainDatabase(path: string): boolean {
  const start = readFileStart(path, 16)
  return start !== null && Buffer.from(start).toString('latin1') === 'SQLite format 3\0'
}
