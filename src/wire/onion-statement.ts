/**
 * "This onion serves this topic until then": what ANNOUNCE carries
 * (PROTOCOL_FINAL.md §7.7), signed by the key that the onion's name is made of.
 *
 *   offset  size  field
 *        0    20  topic
 *       20    32  onion key
 *       52     2  port     1..65535
 *       54     4  day      of the topic
 *       58     4  until    hour, the first in which it no longer holds
 *       62     8  nonce    proof of work over onion, topic and day
 *       70    64  signature over domain || bytes 0..69
 *
 * An IP address proves nothing about its owner, so there is no such statement for
 * one. The checks come in the order of what they cost: window, work, signature,
 * key. Pure: the hour is passed in.
 *
 * @module wire/onion-statement
 */
import { assertBytes, ByteReader, ByteWriter, concatBytes } from '../base/bytes.ts'
import { label } from '../crypto/domains.ts'
import { checkPublicKey, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from '../crypto/ed25519.ts'
import { sha256 } from '../crypto/hash.ts'
import type { Address } from './address.ts'
import {
  ANNOUNCE_WORK_BITS,
  DAY_MS,
  DAY_OVERLAP_MS,
  ONION_STATEMENT_BYTES,
  TOPIC_BYTES,
} from './constants.ts'
import { formatOnion, onionHost } from './onion.ts'

export interface OnionStatement {
  readonly topic: Uint8Array
  /** 32 bytes. */
  readonly onionKey: Uint8Array
  readonly port: number
  readonly day: number
  /** Hour, UTC, as in the first message of the handshake. */
  readonly untilHour: number
  /** NONCE_BYTES. */
  readonly nonce: Uint8Array
  /** All of it, ONION_STATEMENT_BYTES. */
  readonly bytes: Uint8Array
}

/** What is to be signed. */
export type StatementClaim = Pick<OnionStatement, 'topic' | 'onionKey' | 'port' | 'day' | 'untilHour'>

/** What the proof of work is over. */
type Worked = Pick<StatementClaim, 'topic' | 'onionKey' | 'day'>

export const NONCE_BYTES = 8
const SIGNED_BYTES = ONION_STATEMENT_BYTES - SIGNATURE_BYTES
const HOUR_MS = 3_600_000
const DAY_HOURS = DAY_MS / HOUR_MS
const OVERLAP_HOURS = DAY_OVERLAP_MS / HOUR_MS
const MAX_PORT = 65_535
const DAY_BYTES = 4

/** Hours in which a statement for that day can hold: `first` to before `end`. */
export function statementHours(day: number): { readonly first: number; readonly end: number } {
  return { first: day * DAY_HOURS - OVERLAP_HOURS, end: (day + 1) * DAY_HOURS + OVERLAP_HOURS }
}

/**
 * @param claim - with a day and an hour within `statementHours`.
 * @param nonce - from `findNonce`.
 * @param sign - by the onion's key: Tor keeps it expanded, so that there is no seed to ask for.
 * @returns ONION_STATEMENT_BYTES fresh bytes.
 */
export function signStatement(
  claim: StatementClaim,
  nonce: Uint8Array,
  sign: (message: Uint8Array) => Uint8Array,
): Uint8Array {
  assertBytes(claim.topic, TOPIC_BYTES, 'topic')
  assertBytes(claim.onionKey, PUBLIC_KEY_BYTES, 'onionKey')
  assertBytes(nonce, NONCE_BYTES, 'nonce')
  if (claim.port < 1 || claim.port > MAX_PORT) throw new RangeError(`"port" expected 1..${MAX_PORT}`)
  const signed = new ByteWriter(SIGNED_BYTES)
    .put(claim.topic)
    .put(claim.onionKey)
    .u16(claim.port)
    .u32(claim.day)
    .u32(claim.untilHour)
    .put(nonce).bytes
  const signature = sign(concatBytes(label('onionStatement'), signed))
  assertBytes(signature, SIGNATURE_BYTES, 'signature')
  return concatBytes(signed, signature)
}

/**
 * The fields, of which nothing is proved yet.
 *
 * @param bytes - ONION_STATEMENT_BYTES; fields are views into them.
 */
export function readStatement(bytes: Uint8Array): OnionStatement {
  assertBytes(bytes, ONION_STATEMENT_BYTES, 'bytes')
  const reader = new ByteReader(bytes)
  return {
    topic: reader.take(TOPIC_BYTES),
    onionKey: reader.take(PUBLIC_KEY_BYTES),
    port: reader.u16(),
    day: reader.u32(),
    untilHour: reader.u32(),
    nonce: reader.take(NONCE_BYTES),
    bytes,
  }
}

/** Does it hold in that hour, by its own word and within the days that are looked at then? */
export function isStatementCurrent(statement: OnionStatement, hour: number): boolean {
  const { first, end } = statementHours(statement.day)
  const { untilHour } = statement
  return untilHour > first && untilHour <= end && hour >= first && hour < untilHour
}

/**
 * Work, signature and key: false is the fault of whoever handed it on, since all check before they do.
 * Never throws. Cost: 3 us without work done, 1.2 ms when all is right.
 *
 * @param workBits - ANNOUNCE_WORK_BITS but in simulations.
 */
export function verifyStatement(statement: OnionStatement, workBits = ANNOUNCE_WORK_BITS): boolean {
  const { port, onionKey, bytes } = statement
  if (port === 0 || leadingZeroBits(sha256(workInput(statement, statement.nonce))) < workBits) return false
  const message = concatBytes(label('onionStatement'), bytes.subarray(0, SIGNED_BYTES))
  return verifySignature(bytes.subarray(SIGNED_BYTES), message, onionKey) && checkPublicKey(onionKey)
}

/** Where it says that peers are. */
export function statementAddress({ onionKey, port }: OnionStatement): Address {
  return { kind: 'onion', host: formatOnion(onionHost(onionKey)), port }
}

/**
 * Look for a nonce among `tries`, beginning with `from`.
 *
 * @returns NONCE_BYTES fresh bytes, or null: go on at `from + tries`, after others had their turn.
 * Cost: 2 us a try; 2^ANNOUNCE_WORK_BITS tries on average.
 */
export function findNonce(
  claim: Worked,
  from: number,
  tries: number,
  workBits = ANNOUNCE_WORK_BITS,
): Uint8Array | null {
  const input = workInput(claim, new Uint8Array(NONCE_BYTES))
  const nonce = input.subarray(input.length - NONCE_BYTES)
  for (let at = from; at < from + tries; at++) {
    nonce.set(new ByteWriter(NONCE_BYTES).u64(at).bytes)
    if (leadingZeroBits(sha256(input)) >= workBits) return new Uint8Array(nonce)
  }
  return null
}

function workInput({ onionKey, topic, day }: Worked, nonce: Uint8Array): Uint8Array {
  const days = new ByteWriter(DAY_BYTES).u32(day).bytes
  return concatBytes(label('onionStatementWork'), onionKey, topic, days, nonce)
}

/** Of the first 32 bits: more are never asked for. */
export function leadingZeroBits(hash: Uint8Array): number {
  return Math.clz32(new ByteReader(hash).u32())
}
