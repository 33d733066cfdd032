/**
 * The secret key of an onion service as Tor takes it (ADD_ONION ED25519-V3).
 *
 * Tor accepts any 64 bytes without a word and then serves under a key that is not the one of the seed, so the
 * clamping is done, and tested, here.
 *
 * @module crypto/onion-key
 */
import { assertBytes, concatBytes, utf8Bytes } from '../base/bytes.ts'
import { LOCAL_DOMAINS } from './domains.ts'
import { SEED_BYTES } from './ed25519.ts'
import { hkdfSha256, sha512 } from './hash.ts'

/**
 * The onion of a channel on this node: always the same one, and tied to no other but by who has the node's seed.
 *
 * @param nodeSeed - of the node key, 32 bytes.
 * @param channelSecret - 32 bytes.
 * @returns 32 fresh bytes.
 */
export function onionSeed(nodeSeed: Uint8Array, channelSecret: Uint8Array): Uint8Array {
  assertBytes(nodeSeed, SEED_BYTES, 'nodeSeed')
  return hkdfSha256(nodeSeed, concatBytes(utf8Bytes(LOCAL_DOMAINS.onionSeed), channelSecret), SEED_BYTES)
}

/** The onion of a gateway, as `onionSeed`. @returns 32 fresh bytes. */
export function gatewayOnionSeed(nodeSeed: Uint8Array): Uint8Array {
  assertBytes(nodeSeed, SEED_BYTES, 'nodeSeed')
  return hkdfSha256(nodeSeed, utf8Bytes(LOCAL_DOMAINS.gatewayOnionSeed), SEED_BYTES)
}

/**
 * RFC 8032, section 5.1.5: the clamped scalar, not reduced, and the prefix.
 *
 * @param seed - 32 bytes.
 * @returns 64 fresh bytes, as secret as the seed: to be wiped.
 */
export function onionSecretKey(seed: Uint8Array): Uint8Array {
  assertBytes(seed, SEED_BYTES, 'seed')
  const key = sha512(seed)
  key[0] = (key[0] as number) & 0xf8
  key[31] = ((key[31] as number) & 0x3f) | 0x40
  return key
}
