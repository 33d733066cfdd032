/**
 * Errors on their way from a worker thread: structured clone keeps neither our
 * class nor its code.
 *
 * @module storage/task-error
 */
import { ERROR_CODES, type ErrorCode, MegatorrentError } from '../base/errors.ts'

/** A thrown value as plain data. */
export interface TaskError {
  readonly name: string
  readonly message: string
  /** Our stable code, or null for anything that is not a MegatorrentError. */
  readonly code: ErrorCode | null
  readonly stack: string | null
}

export function encodeTaskError(error: unknown): TaskError {
  if (error instanceof MegatorrentError) {
    return { name: error.name, message: error.message, code: error.code, stack: error.stack ?? null }
  }
  if (error instanceof Error) {
    return { name: error.name, message: error.message, code: null, stack: error.stack ?? null }
  }
  return { name: 'Error', message: String(error), code: null, stack: null }
}

/** The same kind of error again; its stack is that of the worker. */
export function decodeTaskError(error: TaskError): Error {
  const decoded = make(error)
  if (error.stack !== null) decoded.stack = error.stack
  return decoded
}

function make({ name, message, code }: TaskError): Error {
  if (code !== null && code in ERROR_CODES) return new MegatorrentError(code, message)
  if (name === 'RangeError') return new RangeError(message)
  if (name === 'TypeError') return new TypeError(message)
  return new Error(message)
}
