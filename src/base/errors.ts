/**
 * Errors: one class, one table of codes.
 *
 * Callers branch on `code` (exact) or `kind` (who has to act), never on the
 * message. A new code is a row here and a heading in docs/ERRORS.md;
 * test/lint/errors.test.ts fails when the two disagree.
 *
 * Wrong arguments from our own code are not in this table: they are TypeError
 * or RangeError, since nobody but us can mend them.
 *
 * @module base/errors
 */

/** Who has to act. Decides retry, ban, log level, exit code and JSON-RPC code. */
export type ErrorKind =
  | 'usage' // the caller passed something wrong; fix the call
  | 'config' // the operator must change a setting
  | 'peer' // the remote broke the protocol; drop it, do not retry it
  | 'network' // unreachable or failed on the way; retry elsewhere or later
  | 'timeout' // nothing wrong was seen, but time ran out
  | 'not-found' // what was asked for does not exist, or cannot be told from that
  | 'auth' // the caller did not show that it may do this
  | 'integrity' // what we hold does not match what was signed
  | 'unfinished' // part of the work is done and kept
  | 'storage' // local disk or state; stop writing, tell the operator
  | 'no-daemon' // nothing answered the command line; start a daemon
  | 'aborted' // an AbortSignal fired; not a failure
  | 'bug' // an invariant of ours broke; log with stack, never swallow

const CODES = {
  // base and general
  ERR_ABORTED: 'aborted',
  ERR_TIMEOUT: 'timeout',
  ERR_NOT_FOUND: 'not-found',
  ERR_BUG: 'bug',

  // transport
  ERR_DIAL_FAILED: 'network',
  ERR_LISTEN_FAILED: 'config',
  ERR_HANDSHAKE_FAILED: 'peer',
  ERR_CONNECTION_CLOSED: 'network',
  ERR_FRAME_OPEN: 'peer',
  ERR_PROTOCOL: 'peer',
  ERR_REMOTE_NOT_FOUND: 'network',
  ERR_REMOTE_BUSY: 'network',
  ERR_REMOTE_REFUSED: 'peer',

  // config, rpc, cli
  ERR_CONFIG: 'config',
  ERR_CONFIG_VALUE: 'config',
  ERR_USAGE: 'usage',
  ERR_NOT_IN_VERSION: 'usage',
  ERR_TOO_MANY_JOBS: 'usage',
  ERR_NO_DAEMON: 'no-daemon',
  ERR_RPC_REFUSED: 'auth',
  ERR_RPC_ANSWER: 'network',
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof CODES

/** All codes with their kinds, for docs/ERRORS.md and its test. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorKind>> = CODES

export class MegatorrentError extends Error {
  override readonly name = 'MegatorrentError'
  readonly code: ErrorCode
  readonly kind: ErrorKind

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.kind = CODES[code]
  }
}

/** True for our own error, of that code if one is given. */
export function isMegatorrentError(error: unknown, code?: ErrorCode): error is MegatorrentError {
  return error instanceof MegatorrentError && (code === undefined || error.code === code)
}

/** What a person should read of any thrown value: one line, no stack. */
export function errorMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n', 1)[0] ?? ''
}
