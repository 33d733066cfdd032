/**
 * The keys of PROTOCOL_FINAL.md §3 and the primitives below them, a second time.
 *
 * Written from the document alone, on node:crypto, and importing nothing of
 * src: when a bare peer and a real node understand each other, two readings of
 * the document agree. It favours being short over being fast or strict, and
 * has no place outside of tests.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'

/** Every label begins with it, and it is the prologue. */
export const LABEL = 'megatorrent/1'

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

function hkdf(secret: Uint8Array, label: string, context: Uint8Array, bytes: number): Buffer {
  const info = Buffer.concat([Buffer.from(`${LABEL} ${label}`), context])
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), info, bytes))
}

export function u16(value: number): Buffer {
  const out = Buffer.alloc(2)
  out.writeUInt16BE(value)
  return out
}

export function u32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

export function u64(value: number | bigint): Buffer {
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(BigInt(value))
  return out
}

/** Day number of a moment (§1). */
export function dayOf(timeMs = Date.now()): number {
  return Math.floor(timeMs / 86_400_000)
}

/** Hour number of a moment (§1). */
export function hourOf(timeMs = Date.now()): number {
  return Math.floor(timeMs / 3_600_000)
}

/** What a link gives: enough to derive all that link holders share. */
export class BareChannel {
  readonly publicKey: Buffer
  readonly readKey: Buffer
  readonly secret: Buffer
  readonly tagKey: Buffer

  constructor(publicKey: Uint8Array, readKey: Uint8Array = Buffer.alloc(32)) {
    this.publicKey = Buffer.from(publicKey)
    this.readKey = Buffer.from(readKey)
    this.secret = hkdf(Buffer.concat([publicKey, readKey]), 'channel secret', Buffer.alloc(0), 32)
    this.tagKey = hkdf(this.secret, 'tag key', Buffer.alloc(0), 32)
  }

  /** `megatorrent://KEY[:READKEY][?...]`; what follows the keys is left aside. */
  static fromLink(link: string): BareChannel {
    const match = /^megatorrent:\/\/([0-9a-f]{64})(?::([0-9a-f]{64}))?(?:[/?#].*)?$/i.exec(link.trim())
    if (match === null) throw new Error('not a link')
    const readKey = match[2] === undefined ? Buffer.alloc(32) : Buffer.from(match[2], 'hex')
    return new BareChannel(Buffer.from(match[1] as string, 'hex'), readKey)
  }

  handshakeKey(day = dayOf()): Buffer {
    return hkdf(this.secret, 'handshake key', u32(day), 32)
  }

  topic(day = dayOf()): Buffer {
    return hkdf(this.secret, 'topic', u32(day), 20)
  }

  /** The place of this channel in a HELLO (§7.2). */
  helloPlace(handshakeHash: Uint8Array, role: number, counter: number, slotVersion: bigint): Buffer {
    const x = this.#helloMac(handshakeHash, role, counter)
    const version = x.readBigUInt64BE(8) ^ slotVersion
    return Buffer.concat([x.subarray(0, 8), u64(version)])
  }

  /** Slot version that a HELLO tells of this channel, or null when it does not tell of it. */
  findInHello(body: Uint8Array, handshakeHash: Uint8Array, role: number): bigint | null {
    const bytes = Buffer.from(body)
    const x = this.#helloMac(handshakeHash, role, bytes.readUInt32BE(8))
    for (let at = 56; at + 16 <= 56 + 56 * 16; at += 16) {
      if (bytes.subarray(at, at + 8).equals(x.subarray(0, 8))) {
        return bytes.readBigUInt64BE(at + 8) ^ x.readBigUInt64BE(8)
      }
    }
    return null
  }

  #helloMac(handshakeHash: Uint8Array, role: number, counter: number): Buffer {
    const label = Buffer.from(`${LABEL} hello tag`)
    return hmac(this.tagKey, label, handshakeHash, Buffer.from([role]), u32(counter))
  }

  /** Name of this channel on one connection, in messages of that role (§7.3). */
  handle(handshakeHash: Uint8Array, role: number): Buffer {
    const label = Buffer.from(`${LABEL} channel handle`)
    return hmac(this.tagKey, label, handshakeHash, Buffer.from([role])).subarray(0, 16)
  }
}

/** Handshake key for whoever was given the node key (§3.2). */
export function nodeHandshakeKey(nodeKey: Uint8Array): Buffer {
  return hkdf(nodeKey, 'node handshake key', Buffer.alloc(0), 32)
}

/** Handshake key of the network: a constant (§3.2). */
export function networkHandshakeKey(): Buffer {
  return sha256(Buffer.from(`${LABEL} network handshake key`))
}

const ED25519_SEED = Buffer.from('302e020100300506032b657004220420', 'hex')
const ED25519_PUBLIC = Buffer.from('302a300506032b6570032100', 'hex')
const X25519_SECRET = Buffer.from('302e020100300506032b656e04220420', 'hex')
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex')

function secretKeyObject(prefix: Buffer, secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([prefix, secret]), format: 'der', type: 'pkcs8' })
}

function publicKeyObject(prefix: Buffer, key: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([prefix, key]), format: 'der', type: 'spki' })
}

function publicBytes(secret: KeyObject): Buffer {
  return createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32)
}

/** An Ed25519 key pair: a node key, or the key of a channel. */
export class BareIdentity {
  readonly #secret: KeyObject
  readonly publicKey: Buffer

  constructor(seed: Uint8Array = randomBytes(32)) {
    this.#secret = secretKeyObject(ED25519_SEED, seed)
    this.publicKey = publicBytes(this.#secret)
  }

  sign(message: Uint8Array): Buffer {
    return sign(null, message, this.#secret)
  }
}

export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verify(null, message, publicKeyObject(ED25519_PUBLIC, publicKey), signature)
}

export interface KeyPair {
  readonly secret: KeyObject
  readonly publicKey: Buffer
}

export function x25519Pair(secret: Uint8Array = randomBytes(32)): KeyPair {
  const object = secretKeyObject(X25519_SECRET, secret)
  return { secret: object, publicKey: publicBytes(object) }
}

export function x25519(pair: KeyPair, publicKey: Uint8Array): Buffer {
  return diffieHellman({ privateKey: pair.secret, publicKey: publicKeyObject(X25519_PUBLIC, publicKey) })
}

/** ChaCha20-Poly1305 with nonce 4 zero bytes || n u64 little-endian. */
export function seal(key: Uint8Array, n: bigint, plaintext: Uint8Array, data: Uint8Array = EMPTY): Buffer {
  const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(n), { authTagLength: 16 })
  cipher.setAAD(data, { plaintextLength: plaintext.length })
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** The plaintext, or null when it does not open. */
export function open(
  key: Uint8Array,
  n: bigint,
  sealed: Uint8Array,
  data: Uint8Array = EMPTY,
): Buffer | null {
  if (sealed.length < 16) return null
  const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(n), { authTagLength: 16 })
  decipher.setAAD(data, { plaintextLength: sealed.length - 16 })
  decipher.setAuthTag(sealed.subarray(-16))
  const plaintext = decipher.update(sealed.subarray(0, -16))
  try {
    decipher.final()
    return plaintext
  } catch {
    return null // a wrong tag is what final throws for
  }
}

export const EMPTY: Buffer = Buffer.alloc(0)

function nonceOf(n: bigint): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64LE(n, 4)
  return nonce
}

/** REKEY of the Noise specification: the first 32 bytes of 32 zeros sealed at the last nonce. */
export function rekey(key: Uint8Array): Buffer {
  return seal(key, 2n ** 64n - 1n, Buffer.alloc(32)).subarray(0, 32)
}
