/**
 * Bodies of what is said to and by gateways: PUBLISH, PUBLISHED, and the DATA that
 * answers a question for a slot (PROTOCOL_FINAL.md §7.4, §7.8).
 *
 * Codecs alone: no signature, work or window is looked at here. An item has one
 * encoding, since all of its fields but the value have one length; what is left of
 * "canonical" are the points of its key and signature, which the verifier looks at.
 *
 * @module wire/gateway-body
 */
import { assertBytes, type ByteReader, ByteWriter } from '../base/bytes.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../crypto/ed25519.ts'
import { type Body, malformed, take } from './body.ts'
import { MAX_PUBLISH_VALUE_BYTES, MAX_SLOT_ITEMS, PUBLISH_NONCE_BYTES } from './constants.ts'
import type {
  PUBLISH_OUTCOMES,
  PublishedItem,
  PublishedMessage,
  PublishMessage,
  SlotAnswer,
  SlotItem,
} from './message.ts'

// It stands in wire/message.ts, which imports this file: its type holds this to it.
const OUTCOME_PUZZLE: (typeof PUBLISH_OUTCOMES)['puzzle'] = 8

/** What of PUBLISH comes before the value. */
const PUBLISHED_ITEM_BYTES = 8 + 8 + PUBLIC_KEY_BYTES + 8 + SIGNATURE_BYTES + 2
/** What of PUBLISHED comes with every outcome. */
const PUBLISHED_BYTES = 1 + 1 + 2 + 8
/** Memory, passes, bits. */
const PUZZLE_BYTES = 4 + 1 + 1
const SLOT_ANSWER_BYTES = 2 + 1
const SLOT_ITEM_BYTES = 2 + 8 + SIGNATURE_BYTES + 2

export const publish: Body<PublishMessage> = {
  minBytes: PUBLISH_NONCE_BYTES + PUBLISHED_ITEM_BYTES + 1,
  size: ({ value, puzzleNonce }) =>
    PUBLISH_NONCE_BYTES + PUBLISHED_ITEM_BYTES + value.length + (puzzleNonce?.length ?? 0),
  write(writer, message) {
    assertBytes(message.nonce, PUBLISH_NONCE_BYTES, 'nonce')
    writeItem(writer.put(message.nonce), message)
    if (message.puzzleNonce === undefined) return
    assertBytes(message.puzzleNonce, PUBLISH_NONCE_BYTES, 'puzzleNonce')
    writer.put(message.puzzleNonce)
  },
  read(reader, requestId) {
    const nonce = take(reader, PUBLISH_NONCE_BYTES)
    const item = {
      notBefore: readNumber(reader, 'not before'),
      notAfter: readNumber(reader, 'not after'),
      slotKey: take(reader, PUBLIC_KEY_BYTES),
      ...readSigned(reader),
    }
    const message: PublishMessage = { type: 'publish', requestId, nonce, ...item }
    if (reader.remaining < PUBLISH_NONCE_BYTES) return message
    return { ...message, puzzleNonce: take(reader, PUBLISH_NONCE_BYTES) }
  },
}

/** All of a PUBLISH but the nonce: what its work is over. @returns fresh bytes. */
export function encodePublishedItem(item: PublishedItem): Uint8Array {
  const writer = new ByteWriter(PUBLISHED_ITEM_BYTES + item.value.length)
  writeItem(writer, item)
  return writer.bytes
}

function writeItem(writer: ByteWriter, item: PublishedItem): void {
  assertBytes(item.slotKey, PUBLIC_KEY_BYTES, 'slotKey')
  writer.u64(item.notBefore).u64(item.notAfter).put(item.slotKey)
  writeSigned(writer, item)
}

type Signed = Pick<PublishedItem, 'seq' | 'signature' | 'value'>

function writeSigned(writer: ByteWriter, { seq, signature, value }: Signed): void {
  assertBytes(signature, SIGNATURE_BYTES, 'signature')
  if (!isValueLength(value.length)) {
    throw new RangeError(`"value" expected 1..${MAX_PUBLISH_VALUE_BYTES} bytes, got ${value.length}`)
  }
  writer.u64(seq).put(signature).u16(value.length).put(value)
}

function readSigned(reader: ByteReader): Signed {
  const seq = readNumber(reader, 'seq')
  const signature = take(reader, SIGNATURE_BYTES)
  if (reader.remaining < 2) throw malformed('an item ends before its value')
  const length = reader.u16()
  if (!isValueLength(length)) throw malformed(`an item with a value of ${length} bytes`)
  return { seq, signature, value: take(reader, length) }
}

export const published: Body<PublishedMessage> = {
  minBytes: PUBLISHED_BYTES,
  size: ({ puzzle }) => PUBLISHED_BYTES + (puzzle === undefined ? 0 : PUZZLE_BYTES),
  write(writer, { outcome, workBits, nodes, highestSeq, puzzle }) {
    if ((outcome === OUTCOME_PUZZLE) !== (puzzle !== undefined)) {
      throw new RangeError('"puzzle" expected with the outcome that names one, and with no other')
    }
    writer.u8(outcome).u8(workBits).u16(nodes).u64(highestSeq)
    if (puzzle !== undefined) writer.u32(puzzle.memoryKib).u8(puzzle.passes).u8(puzzle.bits)
  },
  read(reader, requestId) {
    const message: PublishedMessage = {
      type: 'published',
      requestId,
      outcome: reader.u8(),
      workBits: reader.u8(),
      nodes: reader.u16(),
      highestSeq: readNumber(reader, 'highest seq'),
    }
    if (message.outcome !== OUTCOME_PUZZLE) return message
    if (reader.remaining < PUZZLE_BYTES) throw malformed('PUBLISHED ends in a puzzle')
    return { ...message, puzzle: { memoryKib: reader.u32(), passes: reader.u8(), bits: reader.u8() } }
  },
}

export function slotAnswerBytes({ items }: SlotAnswer): number {
  return items.reduce((sum, { value }) => sum + SLOT_ITEM_BYTES + value.length, SLOT_ANSWER_BYTES)
}

export function writeSlotAnswer(writer: ByteWriter, { nearest, items }: SlotAnswer): void {
  if (items.length > MAX_SLOT_ITEMS) {
    throw new RangeError(`"items" expected <= ${MAX_SLOT_ITEMS}, got ${items.length}`)
  }
  writer.u16(nearest).u8(items.length)
  let before = Number.POSITIVE_INFINITY
  for (const item of items) {
    if (item.seq > before) throw new RangeError('"items" expected the highest seq first')
    before = item.seq
    writeSigned(writer.u16(item.holders), item)
  }
}

export function readSlotAnswer(reader: ByteReader): SlotAnswer {
  if (reader.remaining < SLOT_ANSWER_BYTES) throw malformed('DATA of a slot without a count')
  const nearest = reader.u16()
  const count = reader.u8()
  if (count > MAX_SLOT_ITEMS) throw malformed('DATA of a slot with too many values')
  const items: SlotItem[] = []
  for (let i = 0; i < count; i++) {
    if (reader.remaining < SLOT_ITEM_BYTES) throw malformed('DATA of a slot ends in a value')
    const holders = reader.u16()
    const item = { holders, ...readSigned(reader) }
    if (item.seq > (items.at(-1)?.seq ?? Number.POSITIVE_INFINITY)) {
      throw malformed('DATA of a slot whose values do not descend')
    }
    items.push(item)
  }
  return { nearest, items }
}

/** A u64 that a number can hold (§1). */
function readNumber(reader: ByteReader, name: string): number {
  const value = reader.u64()
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`${name} is above 2^53 - 1`)
  return Number(value)
}

function isValueLength(length: number): boolean {
  return length >= 1 && length <= MAX_PUBLISH_VALUE_BYTES
}
