/**
 * Thrown values to JSON-RPC errors. The detail of a bug goes to the log and
 * nowhere else; everything else carries our own stable code and kind in `data`.
 *
 * @module rpc/errors
 */
import { type ErrorCode, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { KIND_NUMBERS, RPC_INTERNAL_ERROR } from './schema/kinds.ts'

export interface RpcError {
  readonly code: number
  readonly message: string
  readonly data?: Readonly<Record<string, unknown>>
}

/** An error that carries what was achieved all the same. */
export class PartialResultError extends MegatorrentError {
  readonly result: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, result: Readonly<Record<string, unknown>>) {
    super(code, message)
    this.result = result
  }
}

/** What the caller is told. Bugs are logged here, with their stack. */
export function toRpcError(error: unknown, method: string, log: Log): RpcError {
  const numbers = isMegatorrentError(error) ? KIND_NUMBERS[error.kind] : null
  if (!isMegatorrentError(error) || error.kind === 'bug' || numbers === null || numbers.rpc === null) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.error('a call failed by a fault of ours', { method, stack })
    return { code: RPC_INTERNAL_ERROR, message: 'Internal error' }
  }
  const data = { code: error.code, kind: error.kind }
  if (!(error instanceof PartialResultError)) return { code: numbers.rpc, message: error.message, data }
  return { code: numbers.rpc, message: error.message, data: { ...data, result: error.result } }
}
