/**
 * The handshake of PROTOCOL_FINAL.md §6, a second time: see bare-crypto.ts for
 * why, and for what it must not be used for.
 */
import {
  type BareIdentity,
  EMPTY,
  hmac,
  type KeyPair,
  LABEL,
  open,
  seal,
  sha256,
  verifyEd25519,
  x25519,
  x25519Pair,
} from './bare-crypto.ts'

/** What a handshake leaves. */
export interface HandshakeResult {
  readonly sendKey: Buffer
  readonly receiveKey: Buffer
  /** h after the last message. */
  readonly handshakeHash: Buffer
  /** Node key that the other side showed and proved, or null. */
  readonly remoteNodeKey: Buffer | null
}

export const INITIATOR = 1
export const RESPONDER = 2

/**
 * Noise_XXpsk0_25519_ChaChaPoly_SHA256 with the payloads of §6.2, for one side.
 * Methods are called in the order of the messages; a `read` gives null for what does not open.
 */
export class BareHandshake {
  readonly role: number
  readonly #static = x25519Pair()
  readonly #ephemeral: KeyPair
  readonly #identity: BareIdentity | null
  #remoteEphemeral: Buffer = EMPTY
  #remoteStatic: Buffer = EMPTY
  #remoteNodeKey: Buffer | null = null
  #ck: Buffer
  #h: Buffer
  #key: Buffer | null = null
  #n = 0n

  /** @param identity - the node key to show; a responder always has one, an initiator need not. */
  constructor(role: number, psk: Uint8Array, identity: BareIdentity | null, ephemeral?: Uint8Array) {
    this.role = role
    this.#identity = identity
    this.#ephemeral = x25519Pair(ephemeral)
    this.#h = sha256(Buffer.from('Noise_XXpsk0_25519_ChaChaPoly_SHA256')) // 36 bytes: hashed, not padded
    this.#ck = this.#h
    this.#mixHash(Buffer.from(LABEL))
    const [ck, h, key] = this.#expand(psk, 3)
    this.#ck = ck as Buffer
    this.#mixHash(h as Buffer)
    this.#setKey(key as Buffer)
  }

  /** -> psk, e, payload */
  writeMessage1(hour: number, dialled: Uint8Array): Buffer {
    const payload = Buffer.alloc(64)
    payload.writeUInt32BE(hour)
    payload.set(dialled, 4)
    return Buffer.concat([this.#writeEphemeral(), this.#seal(payload)])
  }

  readMessage1(message: Uint8Array): { readonly hour: number; readonly dialled: Buffer } | null {
    this.#readEphemeral(message.subarray(0, 32))
    const payload = this.#open(message.subarray(32))
    return payload === null ? null : { hour: payload.readUInt32BE(0), dialled: payload.subarray(4, 42) }
  }

  /** <- e, ee, s, es, payload */
  writeMessage2(): Buffer {
    const ephemeral = this.#writeEphemeral()
    this.#mixKey(x25519(this.#ephemeral, this.#remoteEphemeral))
    const sealedStatic = this.#seal(this.#static.publicKey)
    this.#mixKey(x25519(this.#static, this.#remoteEphemeral))
    return Buffer.concat([ephemeral, sealedStatic, this.#seal(this.#certificate())])
  }

  readMessage2(message: Uint8Array): boolean {
    this.#readEphemeral(message.subarray(0, 32))
    this.#mixKey(x25519(this.#ephemeral, this.#remoteEphemeral))
    const remoteStatic = this.#open(message.subarray(32, 80))
    if (remoteStatic === null) return false
    this.#remoteStatic = remoteStatic
    this.#mixKey(x25519(this.#ephemeral, this.#remoteStatic))
    return this.#readCertificate(message.subarray(80))
  }

  /** -> s, se, payload */
  writeMessage3(): Buffer {
    const sealedStatic = this.#seal(this.#static.publicKey)
    this.#mixKey(x25519(this.#static, this.#remoteEphemeral))
    return Buffer.concat([sealedStatic, this.#seal(this.#certificate())])
  }

  readMessage3(message: Uint8Array): boolean {
    const remoteStatic = this.#open(message.subarray(0, 48))
    if (remoteStatic === null) return false
    this.#remoteStatic = remoteStatic
    this.#mixKey(x25519(this.#ephemeral, this.#remoteStatic))
    return this.#readCertificate(message.subarray(48))
  }

  finish(): HandshakeResult {
    const [first, second] = this.#expand(EMPTY, 2) as [Buffer, Buffer]
    const [sendKey, receiveKey] = this.role === INITIATOR ? [first, second] : [second, first]
    return { sendKey, receiveKey, handshakeHash: this.#h, remoteNodeKey: this.#remoteNodeKey }
  }

  #certificate(): Buffer {
    const payload = Buffer.alloc(160)
    if (this.#identity === null) return payload
    payload[0] = 1
    payload.set(this.#identity.publicKey, 1)
    payload.set(this.#identity.sign(certified(this.role, this.#static.publicKey, this.#h)), 33)
    return payload
  }

  // The signature covers h as it was before this payload was sealed.
  #readCertificate(sealed: Uint8Array): boolean {
    const before = this.#h
    const payload = this.#open(sealed)
    if (payload === null) return false
    if (payload[0] === 0) return payload.every((byte) => byte === 0)
    const nodeKey = payload.subarray(1, 33)
    const role = this.role === INITIATOR ? RESPONDER : INITIATOR
    const message = certified(role, this.#remoteStatic, before)
    if (payload[0] !== 1 || !verifyEd25519(nodeKey, message, payload.subarray(33, 97))) return false
    this.#remoteNodeKey = Buffer.from(nodeKey)
    return payload.subarray(97).every((byte) => byte === 0)
  }

  #writeEphemeral(): Buffer {
    this.#mixHash(this.#ephemeral.publicKey)
    this.#mixKey(this.#ephemeral.publicKey)
    return this.#ephemeral.publicKey
  }

  #readEphemeral(publicKey: Uint8Array): void {
    this.#remoteEphemeral = Buffer.from(publicKey)
    this.#mixHash(this.#remoteEphemeral)
    this.#mixKey(this.#remoteEphemeral)
  }

  #mixHash(data: Uint8Array): void {
    this.#h = sha256(this.#h, data)
  }

  #mixKey(input: Uint8Array): void {
    const [ck, key] = this.#expand(input, 2)
    this.#ck = ck as Buffer
    this.#setKey(key as Buffer)
  }

  #setKey(key: Buffer): void {
    this.#key = key
    this.#n = 0n
  }

  // HKDF as the Noise specification has it: chained HMACs, numbered from 1.
  #expand(input: Uint8Array, count: number): Buffer[] {
    const secret = hmac(this.#ck, input)
    const out: Buffer[] = []
    for (let i = 1; i <= count; i++) out.push(hmac(secret, out.at(-1) ?? EMPTY, Buffer.from([i])))
    return out
  }

  #seal(plaintext: Uint8Array): Buffer {
    const sealed = seal(this.#key as Buffer, this.#n++, plaintext, this.#h)
    this.#mixHash(sealed)
    return sealed
  }

  #open(sealed: Uint8Array): Buffer | null {
    const plaintext = open(this.#key as Buffer, this.#n++, sealed, this.#h)
    this.#mixHash(sealed)
    return plaintext
  }
}

function certified(role: number, noiseStatic: Uint8Array, h: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${LABEL} node certificate`), Buffer.from([role]), noiseStatic, h])
}
