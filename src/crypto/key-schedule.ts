/**
 * The key schedule: one function for each row of PROTOCOL_FINAL.md §3.2 but the
 * blinded ones, which are curve arithmetic and stand in crypto/blinding.ts.
 *
 * Everything is a pure function of its arguments; nothing is cached. Vectors of
 * each row: test/vectors/key-schedule.json.
 *
 * @module crypto/key-schedule
 */
import { assertBytes, concatBytes, equalBytes } from '../base/bytes.ts'
import { type Domain, label } from './domains.ts'
import { type ExpandedSeed, expandSeed, PUBLIC_KEY_BYTES, SEED_BYTES, SigningKey } from './ed25519.ts'
import { hkdfSha256, hmacSha256, sha256 } from './hash.ts'

const SECRET_BYTES = 32
const TOPIC_BYTES = 20
const SLOT_NONCE_BYTES = 24
const SEQ_OFFSET_BYTES = 5
const MS_PER_DAY = 86_400_000
const MS_PER_HOUR = 3_600_000
const MAX_U32 = 0xffff_ffff

/** The read key of every public channel: 32 zero bytes. Not to be written to. */
export const PUBLIC_READ_KEY: Uint8Array = new Uint8Array(SECRET_BYTES)

/** What the holder of a link knows of a channel. */
export interface ChannelKeys {
  /** A. Checked with `checkPublicKey` when it was first seen. */
  readonly publicKey: Uint8Array
  /** PUBLIC_READ_KEY for a public channel. */
  readonly readKey: Uint8Array
  /** The channel secret. */
  readonly secret: Uint8Array
}

/** What the publisher knows besides. */
export interface PublisherKeys extends ChannelKeys {
  readonly seed: Uint8Array
  readonly expanded: ExpandedSeed
  readonly signingKey: SigningKey
  readonly convergenceSecret: Uint8Array
}

/**
 * Keys of a link. Copies its arguments.
 *
 * It does not check that the key is acceptable (§3.1): whoever reads a key from outside
 * calls `checkPublicKey` once.
 */
export function channelKeys(publicKey: Uint8Array, readKey: Uint8Array = PUBLIC_READ_KEY): ChannelKeys {
  assertBytes(publicKey, PUBLIC_KEY_BYTES, 'publicKey')
  assertBytes(readKey, SECRET_BYTES, 'readKey')
  return {
    publicKey: new Uint8Array(publicKey),
    readKey: new Uint8Array(readKey),
    secret: channelSecret(publicKey, readKey),
  }
}

/** Keys of a channel of our own. Copies its arguments. Cost: under 1 ms. */
export function publisherKeys(seed: Uint8Array, readKey: Uint8Array = PUBLIC_READ_KEY): PublisherKeys {
  const expanded = expandSeed(seed)
  return {
    ...channelKeys(expanded.publicKey, readKey),
    seed: new Uint8Array(seed),
    expanded,
    signingKey: new SigningKey(seed),
    convergenceSecret: convergenceSecret(seed),
  }
}

/** Day t of a time in ms since 1970 (§1). */
export function dayOf(timeMs: number): number {
  return wholeUnits(timeMs, MS_PER_DAY)
}

/** Hour of a time in ms since 1970 (§1). */
export function hourOf(timeMs: number): number {
  return wholeUnits(timeMs, MS_PER_HOUR)
}

/** @returns 32 bytes: what all keys of link holders come from. */
export function channelSecret(publicKey: Uint8Array, readKey: Uint8Array): Uint8Array {
  assertBytes(publicKey, PUBLIC_KEY_BYTES, 'publicKey')
  assertBytes(readKey, SECRET_BYTES, 'readKey')
  return derive('channelSecret', concatBytes(publicKey, readKey), SECRET_BYTES)
}

/** @returns 32 bytes: what makes blob keys. Never given to readers, who could test guesses of content with it. */
export function convergenceSecret(seed: Uint8Array): Uint8Array {
  assertBytes(seed, SEED_BYTES, 'seed')
  return derive('convergenceSecret', seed, SECRET_BYTES)
}

/** @returns 32 bytes that seal the slot values of a day. */
export function recordKey(secret: Uint8Array, day: number): Uint8Array {
  return deriveFromSecret('recordKey', secret, SECRET_BYTES, u32(day, 'day'))
}

/** @returns 20 bytes under which peers of a channel find each other on a day. */
export function topic(secret: Uint8Array, day: number): Uint8Array {
  return deriveFromSecret('topic', secret, TOPIC_BYTES, u32(day, 'day'))
}

/** @returns 32 bytes: the pre-shared key of handshakes under a channel on a day. */
export function handshakeKey(secret: Uint8Array, day: number): Uint8Array {
  return deriveFromSecret('handshakeKey', secret, SECRET_BYTES, u32(day, 'day'))
}

/** @returns 32 bytes for crypto/tags.ts. */
export function tagKey(secret: Uint8Array): Uint8Array {
  return deriveFromSecret('tagKey', secret, SECRET_BYTES)
}

/** @returns an integer in [0, 2^40) that is added to the slot version, so that seq links neither days nor replicas. */
export function seqOffset(secret: Uint8Array, day: number, replica: number): number {
  const bytes = deriveFromSecret('seqOffset', secret, SEQ_OFFSET_BYTES, slotContext(day, replica))
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  return value
}

/**
 * The nonce of a slot value follows from what it seals, so none serves twice.
 *
 * @param slotRecordKey - `recordKey` of the day.
 * @param slotKey - A' of the day and replica, 32 bytes.
 * @param seq - a safe integer >= 0.
 * @param head - as it is sealed.
 * @returns 24 bytes.
 */
export function slotNonce(
  slotRecordKey: Uint8Array,
  slotKey: Uint8Array,
  seq: number,
  head: Uint8Array,
): Uint8Array {
  assertBytes(slotRecordKey, SECRET_BYTES, 'slotRecordKey')
  assertBytes(slotKey, PUBLIC_KEY_BYTES, 'slotKey')
  return hmacSha256(slotRecordKey, label('slotNonce'), slotKey, u64(seq, 'seq'), head).slice(
    0,
    SLOT_NONCE_BYTES,
  )
}

/** @returns 32 bytes: the pre-shared key for whoever was given that node key. */
export function nodeHandshakeKey(nodeKey: Uint8Array): Uint8Array {
  assertBytes(nodeKey, PUBLIC_KEY_BYTES, 'nodeKey')
  return derive('nodeHandshakeKey', nodeKey, SECRET_BYTES)
}

/** The pre-shared key where nothing better is known: a constant, 32 bytes. Not to be written to. */
export const NETWORK_HANDSHAKE_KEY: Uint8Array = sha256(label('networkHandshakeKey'))

/**
 * What the topics and handshake keys of relays come from, as a channel's come from its secret: a constant,
 * 32 bytes. Not to be written to.
 */
export const RELAY_SECRET: Uint8Array = sha256(label('relaySecret'))

/** Is it the topic of relays, of today, yesterday or tomorrow? */
export function isRelayTopic(wanted: Uint8Array, nowMs: number): boolean {
  const today = dayOf(nowMs)
  return [today, today - 1, today + 1].some((day) => day >= 0 && equalBytes(topic(RELAY_SECRET, day), wanted))
}

export { blobKey } from './blob-key.ts'

/** t u32 || i u8: the context of what belongs to one slot. */
export function slotContext(day: number, replica: number): Uint8Array {
  if (!Number.isInteger(replica) || replica < 0 || replica > 0xff) {
    throw new RangeError(`"replica" expected 0..255, got ${replica}`)
  }
  return concatBytes(u32(day, 'day'), Uint8Array.of(replica))
}

function deriveFromSecret(
  domain: Domain,
  secret: Uint8Array,
  length: number,
  ...context: readonly Uint8Array[]
): Uint8Array {
  assertBytes(secret, SECRET_BYTES, 'secret')
  return derive(domain, secret, length, ...context)
}

function derive(
  domain: Domain,
  ikm: Uint8Array,
  length: number,
  ...context: readonly Uint8Array[]
): Uint8Array {
  return hkdfSha256(ikm, concatBytes(label(domain), ...context), length)
}

function u32(value: number, name: string): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > MAX_U32) {
    throw new RangeError(`"${name}" expected 0..2^32-1, got ${value}`)
  }
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function u64(value: number, name: string): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`"${name}" expected 0..2^53-1, got ${value}`)
  }
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

function wholeUnits(timeMs: number, unitMs: number): number {
  const units = Math.floor(timeMs / unitMs)
  if (!(units >= 0 && units <= MAX_U32))
    throw new RangeError(`"timeMs" expected a time since 1970, got ${timeMs}`)
  return units
}
