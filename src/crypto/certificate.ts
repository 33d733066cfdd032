/**
 * The certificate by which a node key vouches for the Noise static key of one
 * handshake (PROTOCOL_FINAL.md §6.2).
 *
 * It signs the handshake hash just before the payload that carries it is
 * encrypted, so it is worth nothing in any other handshake.
 *
 * @module crypto/certificate
 */
import { assertBytes, concatBytes } from '../base/bytes.ts'
import { label } from './domains.ts'
import { type SigningKey, verifySignature } from './ed25519.ts'
import type { Role } from './tags.ts'

/**
 * @param role - of the signer.
 * @param noiseStatic - the signer's, 32 bytes.
 * @param hash - the handshake hash that `HandshakeState.write` hands to its payload, 32 bytes.
 * @returns 64 fresh bytes.
 */
export function signNodeCertificate(
  signingKey: SigningKey,
  role: Role,
  noiseStatic: Uint8Array,
  hash: Uint8Array,
): Uint8Array {
  return signingKey.sign(certified(role, noiseStatic, hash))
}

/**
 * Did that node key sign this handshake? A key seen for the first time must pass
 * `checkPublicKey` besides.
 *
 * @param role - of the other side, who signed.
 * @param noiseStatic - `HandshakeState.remoteStatic`.
 * @param hash - `ReadMessage.hash` of the message that carried the certificate.
 */
export function verifyNodeCertificate(
  signature: Uint8Array,
  nodeKey: Uint8Array,
  role: Role,
  noiseStatic: Uint8Array,
  hash: Uint8Array,
): boolean {
  return verifySignature(signature, certified(role, noiseStatic, hash), nodeKey)
}

function certified(role: Role, noiseStatic: Uint8Array, hash: Uint8Array): Uint8Array {
  assertBytes(noiseStatic, 32, 'noiseStatic')
  assertBytes(hash, 32, 'hash')
  return concatBytes(label('nodeCertificate'), Uint8Array.of(role), noiseStatic, hash)
}
