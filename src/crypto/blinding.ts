/**
 * Blinded keys: the key of a slot is h·A, and only who has the secret of A can
 * sign for it (PROTOCOL_FINAL.md §3.2). Nobody without the link can tell that two
 * slots belong to one channel.
 *
 * The arithmetic of `blindPoint` and `blindScalar` is that of Tor's onion services
 * (rend-spec-v3, appendix A.2) and passes Tor's vectors. The signing nonce is
 * not: Tor's does not depend on the period, and BEP 44 leaves the key out of what
 * is signed, so one message signed in two periods would give the secret
 * away. Here it hashes A' and the message.
 *
 * @module crypto/blinding
 */
import { ed25519 } from '@noble/curves/ed25519.js'
import { assertBytes, concatBytes } from '../base/bytes.ts'
import { label } from './domains.ts'
import { type ExpandedSeed, PUBLIC_KEY_BYTES } from './ed25519.ts'
import { sha512 } from './hash.ts'
import { type ChannelKeys, type PublisherKeys, slotContext } from './key-schedule.ts'

const { Point } = ed25519
const SCALAR_FIELD = Point.Fn
const SCALAR_BYTES = 32
const COFACTOR = 8n

/**
 * h(t,i), the factor of a slot: a clamped integer, so a multiple of 8 in [2^254, 2^255).
 *
 * @param channel - its public key and read key.
 * @param day - t.
 * @param replica - i.
 */
export function blindingFactor(
  channel: Pick<ChannelKeys, 'publicKey' | 'readKey'>,
  day: number,
  replica: number,
): bigint {
  assertBytes(channel.publicKey, PUBLIC_KEY_BYTES, 'publicKey')
  assertBytes(channel.readKey, SCALAR_BYTES, 'readKey')
  const digest = sha512(label('slotBlinding'), channel.publicKey, channel.readKey, slotContext(day, replica))
  return clampScalar(digest.subarray(0, SCALAR_BYTES))
}

/** The clamping of RFC 8032, section 5.1.5, and the bytes as a little-endian integer. Copies them. */
export function clampScalar(bytes: Uint8Array): bigint {
  assertBytes(bytes, SCALAR_BYTES, 'bytes')
  const clamped = new Uint8Array(bytes)
  clamped[0] = (clamped[0] ?? 0) & 0xf8
  clamped[31] = ((clamped[31] ?? 0) & 0x7f) | 0x40
  return littleEndian(clamped)
}

/** W of noble's table of multiples: 4 ms to make, then 0.2 ms a key; wider tables pay off after some hundred keys. */
const TABLE_WINDOW_BITS = 5

/** h·A of one A for many h: A is decoded once, and a table of its multiples is made. */
export class KeyBlinder {
  /** 8·A. */
  readonly #point: InstanceType<typeof Point>

  /**
   * @param publicKey - A, an acceptable key (§3.1), 32 bytes.
   * @param many - is it for some ten keys or more? Then the table is worth its 4 ms.
   * @throws RangeError for bytes that are not a canonical point of large order.
   */
  constructor(publicKey: Uint8Array, many = true) {
    assertBytes(publicKey, PUBLIC_KEY_BYTES, 'publicKey')
    this.#point = decodePoint(publicKey).clearCofactor()
    if (many) this.#point.precompute(TABLE_WINDOW_BITS, false)
  }

  /**
   * h·A for a clamped h.
   *
   * It is computed as (h/8)·(8·A), which is the same and within what noble takes as a scalar.
   * So the result is free of torsion whatever A is.
   *
   * @returns 32 fresh bytes.
   */
  blind(factor: bigint): Uint8Array {
    if (factor <= 0n || factor % COFACTOR !== 0n) throw new RangeError('"factor" expected a clamped integer')
    return this.#point.multiply(factor / COFACTOR).toBytes()
  }
}

/** h·A once. @throws as `KeyBlinder`. Cost: about 1 ms. */
export function blindPoint(publicKey: Uint8Array, factor: bigint): Uint8Array {
  return new KeyBlinder(publicKey, false).blind(factor)
}

/** h·a mod L: the secret of a blinded key. */
export function blindScalar(scalar: bigint, factor: bigint): bigint {
  return SCALAR_FIELD.mul(SCALAR_FIELD.create(scalar), SCALAR_FIELD.create(factor))
}

/** A'(t,i): the key of a slot, as any holder of the link computes it. @returns 32 fresh bytes. */
export function blindPublicKey(
  channel: Pick<ChannelKeys, 'publicKey' | 'readKey'>,
  day: number,
  replica: number,
): Uint8Array {
  return blindPoint(channel.publicKey, blindingFactor(channel, day, replica))
}

/** The signer of one slot: keep it while several messages are signed for that slot. */
export class BlindedSigner {
  /** A', 32 bytes. Not to be written to. */
  readonly publicKey: Uint8Array
  readonly #scalar: bigint
  readonly #prefix: Uint8Array

  /**
   * @param key - the expanded seed of A.
   * @param factor - `blindingFactor` of the slot.
   */
  constructor(key: ExpandedSeed, factor: bigint) {
    this.#scalar = blindScalar(key.scalar, factor)
    this.#prefix = key.prefix
    this.publicKey = Point.BASE.multiply(this.#scalar).toBytes()
  }

  /** @returns 64 fresh bytes, the same for the same message. Cost: about 0.3 ms. */
  sign(message: Uint8Array): Uint8Array {
    const nonce = hashToScalar(label('slotSigningNonce'), this.#prefix, this.publicKey, message)
    return signWithNonce({ scalar: this.#scalar, publicKey: this.publicKey }, nonce, message)
  }
}

/** The signer of slot (t,i) of a channel of ours. */
export function slotSigner(keys: PublisherKeys, day: number, replica: number): BlindedSigner {
  return new BlindedSigner(keys.expanded, blindingFactor(keys, day, replica))
}

/** One signature under A'(t,i). @returns 64 fresh bytes. */
export function signBlinded(
  keys: PublisherKeys,
  day: number,
  replica: number,
  message: Uint8Array,
): Uint8Array {
  return slotSigner(keys, day, replica).sign(message)
}

function signWithNonce(
  key: { readonly scalar: bigint; readonly publicKey: Uint8Array },
  nonce: bigint,
  message: Uint8Array,
): Uint8Array {
  const commitment = Point.BASE.multiply(nonce).toBytes()
  const challenge = hashToScalar(commitment, key.publicKey, message)
  const response = SCALAR_FIELD.add(nonce, SCALAR_FIELD.mul(challenge, key.scalar))
  return concatBytes(commitment, SCALAR_FIELD.toBytes(response))
}

function hashToScalar(...parts: readonly Uint8Array[]): bigint {
  return SCALAR_FIELD.create(littleEndian(sha512(...parts)))
}

function decodePoint(publicKey: Uint8Array): ReturnType<typeof Point.fromBytes> {
  let point: ReturnType<typeof Point.fromBytes>
  try {
    point = Point.fromBytes(publicKey, false)
  } catch (cause) {
    throw new RangeError('"publicKey" expected a canonical point', { cause })
  }
  if (point.isSmallOrder()) throw new RangeError('"publicKey" expected a point of large order')
  return point
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0)
  return value
}
