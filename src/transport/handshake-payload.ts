/**
 * Payloads of the three handshake messages (PROTOCOL_FINAL.md §6.2): fixed
 * lengths, zero where nothing is told.
 *
 * @module transport/handshake-payload
 */
import { ByteReader, ByteWriter, isZeroBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { signNodeCertificate, verifyNodeCertificate } from '../crypto/certificate.ts'
import { checkPublicKey, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type SigningKey } from '../crypto/ed25519.ts'
import { ROLE_RESPONDER, type Role } from '../crypto/tags.ts'
import {
  ADDRESS_BYTES,
  HANDSHAKE_PAYLOAD_1_BYTES,
  HANDSHAKE_PAYLOAD_2_BYTES,
  HANDSHAKE_PAYLOAD_3_BYTES,
} from '../wire/constants.ts'

export interface FirstPayload {
  readonly hour: number
  /** ADDRESS_BYTES as dialled, or null. */
  readonly dialled: Uint8Array | null
}

export function encodeFirstPayload(payload: FirstPayload): Uint8Array {
  const writer = new ByteWriter(HANDSHAKE_PAYLOAD_1_BYTES).u32(payload.hour)
  if (payload.dialled !== null) writer.put(payload.dialled)
  return writer.bytes
}

/** @returns null for anything that is not laid out as the table says. `dialled` is a copy. */
export function decodeFirstPayload(bytes: Uint8Array): FirstPayload | null {
  if (bytes.length !== HANDSHAKE_PAYLOAD_1_BYTES) return null
  const reader = new ByteReader(bytes)
  const hour = reader.u32()
  const dialled = reader.take(ADDRESS_BYTES)
  if (!isZeroBytes(reader.rest())) return null
  return { hour, dialled: isZeroBytes(dialled) ? null : dialled.slice() }
}

/**
 * Payload of message 2 or 3.
 *
 * @param nodeKey - shown and proved, or null to show none.
 * @param noiseStatic - our static of this handshake, 32 bytes.
 * @param hash - Noise handshake hash just before this payload is encrypted.
 */
export function encodeIdentityPayload(
  nodeKey: SigningKey | null,
  role: Role,
  noiseStatic: Uint8Array,
  hash: Uint8Array,
): Uint8Array {
  const writer = new ByteWriter(
    role === ROLE_RESPONDER ? HANDSHAKE_PAYLOAD_2_BYTES : HANDSHAKE_PAYLOAD_3_BYTES,
  )
  if (nodeKey === null) return writer.bytes
  const signature = signNodeCertificate(nodeKey, role, noiseStatic, hash)
  return writer.u8(1).put(nodeKey.publicKey).put(signature).bytes
}

/**
 * The node key that a payload of `role` proves.
 *
 * @returns 32 bytes, or null when none is shown.
 * @throws MegatorrentError ERR_HANDSHAKE_FAILED for a wrong layout, key or signature.
 */
export function decodeIdentityPayload(
  bytes: Uint8Array,
  role: Role,
  noiseStatic: Uint8Array,
  hash: Uint8Array,
): Uint8Array | null {
  const length = role === ROLE_RESPONDER ? HANDSHAKE_PAYLOAD_2_BYTES : HANDSHAKE_PAYLOAD_3_BYTES
  if (bytes.length !== length) throw failure('identity payload has the wrong length')
  const reader = new ByteReader(bytes)
  const shown = reader.u8()
  const nodeKey = reader.take(PUBLIC_KEY_BYTES)
  const signature = reader.take(SIGNATURE_BYTES)
  if (!isZeroBytes(reader.rest()) || shown > 1) throw failure('identity payload is malformed')
  if (shown === 0) {
    if (!isZeroBytes(nodeKey) || !isZeroBytes(signature)) throw failure('identity payload is malformed')
    return null
  }
  if (!checkPublicKey(nodeKey) || !verifyNodeCertificate(signature, nodeKey, role, noiseStatic, hash)) {
    throw failure('node key is not proved')
  }
  return nodeKey.slice()
}

function failure(why: string): MegatorrentError {
  return new MegatorrentError('ERR_HANDSHAKE_FAILED', `handshake: ${why}`)
}
