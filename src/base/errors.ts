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

  // crypto
  ERR_NONCE_EXHAUSTED: 'network',
  ERR_KDF_PARAMETERS: 'storage',

  // transport
  ERR_DIAL_FAILED: 'network',
  ERR_PROXY_DOWN: 'network',
  ERR_TOR_CONTROL: 'network',
  ERR_TOR_AUTH: 'config',
  ERR_PROXY_REFUSED: 'config',
  ERR_LISTEN_FAILED: 'config',
  ERR_HANDSHAKE_FAILED: 'peer',
  ERR_CONNECTION_CLOSED: 'network',
  ERR_FRAME_OPEN: 'peer',
  ERR_PROTOCOL: 'peer',
  ERR_REMOTE_NOT_FOUND: 'network',
  ERR_REMOTE_BUSY: 'network',
  ERR_REMOTE_REFUSED: 'peer',
  ERR_NAME_NOT_RESOLVED: 'network',

  // node
  ERR_KEY_MISSING: 'config',
  ERR_NO_CARRIER: 'network',
  ERR_PASSPHRASE_FILE: 'config',
  ERR_RELEASE_NOT_FOUND: 'not-found',
  ERR_UNFINISHED: 'unfinished',
  ERR_UNREPAIRED: 'integrity',
  ERR_SUBSCRIPTION_DIR: 'usage',
  ERR_SUBSCRIPTION_KEY: 'usage',
  ERR_SUBSCRIPTION_ONLY: 'usage',

  // config, rpc, cli
  ERR_CONFIG: 'config',
  ERR_CONFIG_VALUE: 'config',
  ERR_USAGE: 'usage',
  ERR_NOT_IN_VERSION: 'usage',
  ERR_TOO_MANY_JOBS: 'usage',
  ERR_TOO_MANY_READERS: 'usage',
  ERR_FILE_RANGE: 'usage',
  ERR_NO_DAEMON: 'no-daemon',
  ERR_RPC_REFUSED: 'auth',
  ERR_SCOPE: 'auth',
  ERR_SIGN_IN: 'auth',
  ERR_RPC_ANSWER: 'network',

  // wire
  ERR_BENCODE_TRUNCATED: 'peer',
  ERR_BENCODE_CANONICAL: 'peer',
  ERR_BENCODE_SYNTAX: 'peer',
  ERR_BENCODE_LIMIT: 'peer',
  ERR_BENCODE_TRAILING: 'peer',
  ERR_PATH_EMPTY: 'peer',
  ERR_PATH_LENGTH: 'peer',
  ERR_PATH_UTF8: 'peer',
  ERR_PATH_DOTS: 'peer',
  ERR_PATH_CHARACTER: 'peer',
  ERR_PATH_ENDING: 'peer',
  ERR_PATH_DRIVE: 'peer',
  ERR_PATH_DEVICE: 'peer',
  ERR_PATH_DUPLICATE: 'peer',
  ERR_PATH_BELOW_FILE: 'peer',
  ERR_BLOB_SIZE: 'peer',
  ERR_BLOB_ID: 'peer',
  ERR_BLOB_OPEN: 'integrity', // the publisher's fault, not the sender's
  ERR_MANIFEST_SHAPE: 'peer',
  ERR_MANIFEST_VERSION: 'peer',
  ERR_MANIFEST_PADDING: 'peer',
  ERR_MANIFEST_ORDER: 'peer',
  ERR_MANIFEST_EXTENT: 'peer',
  ERR_MANIFEST_SUM: 'peer',
  ERR_MANIFEST_BLOBS: 'peer',
  ERR_MANIFEST_LIMIT: 'peer',
  ERR_ADDRESS: 'peer',
  ERR_ADDRESS_TEXT: 'usage',
  ERR_HEAD_SIZE: 'peer',
  ERR_HEAD_VERSION: 'peer',
  ERR_HEAD_FIELD: 'peer',
  ERR_HEAD_SIGNATURE: 'peer',
  ERR_ITEM_FIELD: 'peer',
  ERR_ITEM_SIGNATURE: 'peer',
  ERR_SLOT_KEY: 'peer',
  ERR_SLOT_VALUE: 'peer',
  ERR_SLOT_SEQ: 'peer',
  ERR_SLOT_SET: 'peer',
  ERR_BUNDLE_FORMAT: 'integrity',
  ERR_FRAME_SIZE: 'peer',
  ERR_FRAME_FLAGS: 'peer',
  ERR_FRAME_LENGTH: 'peer',
  ERR_FRAME_PADDING: 'peer',
  ERR_FRAME_FRAGMENT: 'peer',
  ERR_MESSAGE_BODY: 'peer',
  ERR_MESSAGE_REQUEST_ID: 'peer',
  ERR_LINK_SCHEME: 'usage',
  ERR_LINK_SYNTAX: 'usage',
  ERR_LINK_KEY: 'usage',
  ERR_LINK_READ_KEY: 'usage',
  ERR_LINK_ADDRESS: 'usage',
  ERR_LINK_LIMIT: 'usage',

  // storage
  ERR_BLOB_DAMAGED: 'storage',
  ERR_SOURCE_CHANGED: 'storage',
  ERR_STORE_FULL: 'storage',
  ERR_DISK_FULL: 'storage',
  ERR_DISK_READ_ONLY: 'storage',
  ERR_DISK_FAULT: 'storage',
  ERR_FILE_ACCESS: 'storage',
  ERR_TOO_MANY_OPEN_FILES: 'storage',
  ERR_STORE_CLOSED: 'aborted',
  ERR_WORKER_CRASHED: 'bug',
  ERR_WORKER_MISSING: 'config',
  ERR_DATABASE: 'storage',
  ERR_DATABASE_BUSY: 'storage',
  ERR_DATABASE_CORRUPT: 'storage',
  ERR_DATABASE_KEY: 'auth',
  ERR_DATABASE_NEWER: 'config',
  ERR_NAME_TAKEN: 'usage',
  ERR_DATA_DIR_LOCKED: 'config',
  ERR_DATA_DIR_MODE: 'config',
  ERR_KEY_FILE_MODE: 'config',
  ERR_KEY_FILE_FORMAT: 'storage',
  ERR_KEY_WORDS: 'usage',
  ERR_KEY_EXISTS: 'usage',
  ERR_KEYSTORE_LOCKED: 'auth',
  ERR_PASSPHRASE: 'auth',
  ERR_FILE_EXISTS: 'usage',

  // discovery
  ERR_KRPC_SIZE: 'peer',
  ERR_KRPC_BENCODE: 'peer',
  ERR_KRPC_FIELD: 'peer',
  ERR_KRPC_METHOD: 'peer',
  ERR_DHT_LISTEN: 'config',
  ERR_DHT_CLOSED: 'network',
  ERR_DHT_BUSY: 'network',
  ERR_SLOT_NEWER_KNOWN: 'integrity',

  // channels
  ERR_INGEST_SOURCE: 'usage',
  ERR_INGEST_PATHS: 'usage',
  ERR_RELEASE_INVALID: 'integrity', // what the key signed breaks a rule: the publisher's fault
  ERR_FOREIGN_FILE: 'storage',
  ERR_INGEST_GONE: 'not-found',
  ERR_COLLECT_UNSURE: 'integrity',
  ERR_UNPUBLISHED: 'not-found',
  ERR_BUNDLE_CONTENT: 'integrity',
  ERR_BUNDLE_OLDER: 'integrity',
  ERR_BUNDLE_CONFLICT: 'integrity',
  ERR_BUNDLE_DAYS: 'usage',
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
