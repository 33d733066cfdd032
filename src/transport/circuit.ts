/**
 * What a connection through the proxy is for, and the credentials that keep it apart from all
 * others: Tor gives streams of different user names different circuits.
 *
 * Credentials follow from a key that is drawn anew at each start, so that the proxy, and whoever reads its
 * log, learns neither channels nor that two starts belong together.
 *
 * @module transport/circuit
 */
import { toHex, utf8Bytes } from '../base/bytes.ts'
import { hmacSha256 } from '../crypto/hash.ts'

/** Circuits that differ in anything are kept apart. */
export interface Circuit {
  readonly purpose:
    | 'channel'
    | 'gateway'
    | 'slot'
    | 'topic'
    | 'blobs'
    | 'relay'
    | 'announce'
    | 'find'
    | 'user'
  /** Which of them: a key, a topic or an address, as text without a line end. */
  readonly subject: string
  /** Days since 1970, UTC: nothing is for longer than a day. */
  readonly day: number
}

export interface ProxyCredentials {
  readonly user: string
  readonly password: string
}

const CREDENTIAL_BYTES = 16

/** @param key - 32 random bytes of this start. @returns 32 hex digits each. */
export function circuitCredentials(key: Uint8Array, { purpose, subject, day }: Circuit): ProxyCredentials {
  const mac = hmacSha256(key, utf8Bytes([purpose, subject, String(day)].join('\n')))
  return {
    user: toHex(mac.subarray(0, CREDENTIAL_BYTES)),
    password: toHex(mac.subarray(CREDENTIAL_BYTES)),
  }
}
