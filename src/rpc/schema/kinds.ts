/**
 * What each kind of error becomes: exit code of a command, JSON-RPC code, HTTP
 * status. The one place where these numbers stand; INTERFACE.md has the table.
 *
 * @module rpc/schema/kinds
 */
import type { ErrorKind } from '../../base/errors.ts'

export interface KindNumbers {
  readonly exit: number
  /** Null where no answer in JSON-RPC form exists: nobody answers. */
  readonly rpc: number | null
  /** Of an answer in JSON-RPC form. */
  readonly http: number
}

export const KIND_NUMBERS: Readonly<Record<ErrorKind, KindNumbers>> = {
  bug: { exit: 1, rpc: -32603, http: 500 },
  aborted: { exit: 1, rpc: -32014, http: 200 },
  timeout: { exit: 2, rpc: -32016, http: 200 },
  'not-found': { exit: 3, rpc: -32015, http: 200 },
  auth: { exit: 4, rpc: -32019, http: 200 },
  integrity: { exit: 5, rpc: -32017, http: 200 },
  network: { exit: 6, rpc: -32012, http: 200 },
  peer: { exit: 6, rpc: -32011, http: 200 },
  unfinished: { exit: 7, rpc: -32018, http: 200 },
  storage: { exit: 9, rpc: -32013, http: 200 },
  usage: { exit: 64, rpc: -32602, http: 200 },
  'no-daemon': { exit: 69, rpc: null, http: 200 },
  config: { exit: 78, rpc: -32010, http: 200 },
}

/** Codes that JSON-RPC 2.0 itself defines and no kind stands for. */
export const RPC_PARSE_ERROR = -32700
export const RPC_INVALID_REQUEST = -32600
export const RPC_METHOD_NOT_FOUND = -32601
export const RPC_INVALID_PARAMS = -32602
export const RPC_INTERNAL_ERROR = -32603

/** Exit code for an error of that kind. */
export function exitCodeOf(kind: ErrorKind): number {
  return KIND_NUMBERS[kind].exit
}

/** Kind for a JSON-RPC code, for answers that carry no kind of their own. */
export function kindOfRpcCode(code: number): ErrorKind {
  if (code === RPC_METHOD_NOT_FOUND || code === RPC_INVALID_REQUEST || code === RPC_PARSE_ERROR)
    return 'usage'
  for (const [kind, numbers] of Object.entries(KIND_NUMBERS)) {
    if (numbers.rpc === code) return kind as ErrorKind
  }
  return 'bug'
}

/** Is this text one of our kinds? What comes from another process may be anything. */
export function isErrorKind(text: unknown): text is ErrorKind {
  return typeof text === 'string' && Object.hasOwn(KIND_NUMBERS, text)
}
