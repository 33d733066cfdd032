/**
 * Tags and handles: how a channel is named on one connection, to those who know
 * it and to nobody else (PROTOCOL_FINAL.md §7.2, §7.3).
 *
 * @module crypto/tags
 */
import { assertBytes, concatBytes } from '../base/bytes.ts'
import { label } from './domains.ts'
import { hmacSha256 } from './hash.ts'

export const TAG_KEY_BYTES = 32
export const HELLO_TAG_BYTES = 8
export const HELLO_MASK_BYTES = 8
export const HANDLE_BYTES = 16

const HANDSHAKE_HASH_BYTES = 32

/** The role of the sender in the handshake, as it enters tags, handles and certificates. */
export const ROLE_INITIATOR = 1
export const ROLE_RESPONDER = 2
export type Role = typeof ROLE_INITIATOR | typeof ROLE_RESPONDER

/** The role of the other side. */
export function otherRole(role: Role): Role {
  return role === ROLE_INITIATOR ? ROLE_RESPONDER : ROLE_INITIATOR
}

/** A channel's place in one HELLO. */
export interface HelloTag {
  /** 8 bytes that whoever holds the link recognises. */
  readonly tag: Uint8Array
  /** 8 bytes, XORed over the slot version that follows the tag. */
  readonly mask: Uint8Array
}

/**
 * @param key - the tag key of the channel.
 * @param handshakeHash - of the connection, 32 bytes.
 * @param role - of the sender of the HELLO: an echoed tag is then not one of a member.
 * @param counter - of the HELLO, u32: tags do not repeat while the filling changes.
 */
export function helloTag(key: Uint8Array, handshakeHash: Uint8Array, role: Role, counter: number): HelloTag {
  assertBytes(key, TAG_KEY_BYTES, 'key')
  assertBytes(handshakeHash, HANDSHAKE_HASH_BYTES, 'handshakeHash')
  if (!Number.isInteger(counter) || counter < 0 || counter > 0xffff_ffff) {
    throw new RangeError(`"counter" expected 0..2^32-1, got ${counter}`)
  }
  const context = new Uint8Array(5)
  context[0] = role
  new DataView(context.buffer).setUint32(1, counter)
  const x = hmacSha256(key, concatBytes(label('helloTag'), handshakeHash, context))
  return {
    tag: x.slice(0, HELLO_TAG_BYTES),
    mask: x.slice(HELLO_TAG_BYTES, HELLO_TAG_BYTES + HELLO_MASK_BYTES),
  }
}

/**
 * @param role - of the sender of the message that carries the handle.
 * @returns 16 bytes that name the channel in messages of that side of that connection.
 */
export function channelHandle(key: Uint8Array, handshakeHash: Uint8Array, role: Role): Uint8Array {
  assertBytes(key, TAG_KEY_BYTES, 'key')
  assertBytes(handshakeHash, HANDSHAKE_HASH_BYTES, 'handshakeHash')
  return hmacSha256(key, label('channelHandle'), handshakeHash, Uint8Array.of(role)).slice(0, HANDLE_BYTES)
}
