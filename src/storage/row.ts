/**
 * Columns of a database row with their types checked: the schema promises them,
 * and a file that breaks the promise is damaged.
 *
 * @module storage/row
 */
import { MegatorrentError } from '../base/errors.ts'
import type { Row, SqlValue } from './database.ts'

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column]
  return value instanceof Uint8Array ? value : wrongType(column, value, 'bytes')
}

export function numberOf(row: Row, column: string): number {
  const value = row[column]
  return typeof value === 'number' ? value : wrongType(column, value, 'a number')
}

export function textOf(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : wrongType(column, value, 'text')
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column)
}

export function flagOf(row: Row, column: string): boolean {
  return numberOf(row, column) !== 0
}

function wrongType(column: string, value: SqlValue | undefined, expected: string): never {
  const found = value === null ? 'null' : value instanceof Uint8Array ? 'bytes' : typeof value
  throw new MegatorrentError('ERR_DATABASE_CORRUPT', `column "${column}" expected ${expected}, got ${found}`)
}

/** An integer that may be absent. */
export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : numberOf(row, column)
}
