/**
 * Names of onion services, version 3 (Tor's rend-spec-v3, section 6; PROTOCOL_FINAL.md §4.4).
 *
 * The name is the base32 of public key 32 || checksum 2 || version 1, so it proves
 * itself: whoever answers under it holds the key. Version 2 is not known here.
 *
 * @module wire/onion
 */
import { createHash } from 'node:crypto'
import { concatBytes, equalBytes, utf8Bytes } from '../base/bytes.ts'
import { checkPublicKey, PUBLIC_KEY_BYTES } from '../crypto/ed25519.ts'

export const ONION_HOST_BYTES = 35
const ONION_VERSION = 3
const CHECKSUM_BYTES = 2
const CHECKSUM_LABEL = utf8Bytes('.onion checksum')

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
/** 35 bytes in groups of five bits, no padding left over. */
const LABEL_CHARS = 56
const SUFFIX = '.onion'

/** Does the text claim to be an onion name, of whatever version? Any case. */
export function looksLikeOnion(text: string): boolean {
  return text.toLowerCase().endsWith(SUFFIX)
}

/** @returns the 35 bytes of a valid name `<56 characters>.onion`, any case; else null. */
export function parseOnion(text: string): Uint8Array | null {
  if (!/^[a-z2-7]{56}\.onion$/i.test(text)) return null
  const name = text.toLowerCase()
  const host = new Uint8Array(ONION_HOST_BYTES)
  let bits = 0
  let value = 0
  let at = 0
  for (const character of name.slice(0, LABEL_CHARS)) {
    value = ((value << 5) | BASE32.indexOf(character)) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      host[at++] = value >> bits
    }
  }
  return isOnionHost(host) ? host : null
}

/** The name of a host, lower case. @param host - 35 bytes. */
export function formatOnion(host: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of host) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += BASE32[(value >> bits) & 0x1f]
    }
  }
  return text + SUFFIX
}

/** The host of a service key. @param publicKey - 32 bytes. @returns 35 fresh bytes. */
export function onionHost(publicKey: Uint8Array): Uint8Array {
  const version = Uint8Array.of(ONION_VERSION)
  const hash = createHash('sha3-256').update(CHECKSUM_LABEL).update(publicKey).update(version).digest()
  return concatBytes(publicKey, hash.subarray(0, CHECKSUM_BYTES), version)
}

/** As text: `<56 characters>.onion`. @param publicKey - 32 bytes. */
export function onionName(publicKey: Uint8Array): string {
  return formatOnion(onionHost(publicKey))
}

/** The key that answers under this name: a view. */
export function onionKey(host: Uint8Array): Uint8Array {
  return host.subarray(0, PUBLIC_KEY_BYTES)
}

/** Checksum, version and key as §4.4 asks. The cheap tests come first; the key costs 1 ms. */
export function isOnionHost(host: Uint8Array): boolean {
  if (host.length !== ONION_HOST_BYTES || host[ONION_HOST_BYTES - 1] !== ONION_VERSION) return false
  const key = onionKey(host)
  return equalBytes(onionHost(key), host) && checkPublicKey(key)
}
