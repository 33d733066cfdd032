/**
 * Logging as an interface: lower layers are handed a Log and know no library.
 *
 * Keys, tokens, link texts, addresses and channel ids are not logged at any
 * level unless through `short`, which keeps eight hex digits: enough to follow one
 * thing through a log, too little to use. The pino-backed implementation and its
 * redaction stand in node/log.ts.
 *
 * @module base/log
 */
import { toHex } from './bytes.ts'

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields & { readonly stack?: string }): void
  /** A log whose lines carry the name of the part. */
  child(part: string): Log
}

/** Drops everything: the default where nobody listens. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}

/** First eight hex digits of an id: enough to follow it, not to use it. */
export function short(id: Uint8Array): string {
  return toHex(id.subarray(0, 4))
}
