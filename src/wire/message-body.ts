/**
 * Bodies of the messages: for each type its size, how it is written and how it is
 * read, side by side (PROTOCOL_FINAL.md §7.2, §7.4 to §7.7). Those of gateways are in
 * wire/gateway-body.ts.
 *
 * Bytes after the fields known here are ignored, so that later versions can add
 * fields; too few bytes, or a field out of its range, is an error. What is read is
 * copied: nothing in a message is a view into a frame.
 *
 * @module wire/message-body
 */
import { assertBytes, ByteReader, ByteWriter, isZeroBytes } from '../base/bytes.ts'
import { PUBLIC_KEY_BYTES } from '../crypto/ed25519.ts'
import { decodeAddress, encodeAddress } from './address.ts'
import { type Body, malformed, take } from './body.ts'
import {
  ADDRESS_BYTES,
  BLOB_ID_BYTES,
  CHANNEL_HANDLE_BYTES,
  HEAD_BYTES,
  HELLO_PLACE_BYTES,
  HELLO_PLACES,
  MAX_ANNOUNCE_HOPS,
  MAX_ANNOUNCE_STATEMENTS,
  MAX_HAVE_RANGES,
  MAX_PEERS_ADDRESSES,
  MAX_RELEASE_NUMBER,
  ONION_STATEMENT_BYTES,
  TOPIC_BYTES,
} from './constants.ts'
import { publish, published, readSlotAnswer, slotAnswerBytes, writeSlotAnswer } from './gateway-body.ts'
import { keep, kept } from './keep-body.ts'
import type {
  AnnounceMessage,
  DataMessage,
  FindPeersMessage,
  HaveMessage,
  HaveRange,
  HelloMessage,
  HopStatement,
  Message,
  PeersMessage,
  REQUEST_KINDS,
  RequestMessage,
  UnknownMessage,
} from './message.ts'

type Known = Exclude<Message, UnknownMessage>
type Named<N extends Known['type']> = Extract<Known, { type: N }>

const HASH_BYTES = 32

// The numbers stand in wire/message.ts, which imports this file: their types hold these to them.
const KIND_BLOB: (typeof REQUEST_KINDS)['blob'] = 1
const KIND_HEAD: (typeof REQUEST_KINDS)['head'] = 2
const KIND_SLOT_SET: (typeof REQUEST_KINDS)['slotSet'] = 3
const KIND_SLOT: (typeof REQUEST_KINDS)['slot'] = 4

const HELLO_RESERVED_BYTES = 6
const HELLO_PLACES_BYTES = HELLO_PLACES * HELLO_PLACE_BYTES
const HELLO_BYTES = 12 + ADDRESS_BYTES + HELLO_RESERVED_BYTES + HELLO_PLACES_BYTES

const hello: Body<HelloMessage> = {
  minBytes: HELLO_BYTES,
  size: () => HELLO_BYTES,
  write(writer, message) {
    assertBytes(message.places, HELLO_PLACES_BYTES, 'places')
    writer
      .u16(message.highestVersion)
      .u16(message.lowestVersion)
      .u32(message.features)
      .u32(message.counter)
      .put(encodeAddress(message.observedAddress))
      .skip(HELLO_RESERVED_BYTES)
      .put(message.places)
  },
  read(reader) {
    const highestVersion = reader.u16()
    const lowestVersion = reader.u16()
    if (lowestVersion > highestVersion) throw malformed('HELLO with versions the wrong way round')
    const features = reader.u32()
    const counter = reader.u32()
    const observedAddress = decodeAddress(reader.take(ADDRESS_BYTES))
    if (!isZeroBytes(reader.take(HELLO_RESERVED_BYTES))) throw malformed('HELLO with reserved bytes set')
    const places = take(reader, HELLO_PLACES_BYTES)
    return { type: 'hello', highestVersion, lowestVersion, features, counter, observedAddress, places }
  },
}

const request: Body<RequestMessage> = {
  minBytes: 1,
  size(message) {
    if (message.kind === KIND_BLOB) return 1 + BLOB_ID_BYTES
    if (message.kind === KIND_SLOT) return 1 + PUBLIC_KEY_BYTES
    return 1 + CHANNEL_HANDLE_BYTES + (message.kind === KIND_SLOT_SET ? HASH_BYTES : 0)
  },
  write(writer, message) {
    if (message.kind === KIND_BLOB) {
      assertBytes(message.blobId, BLOB_ID_BYTES, 'blobId')
      writer.u8(KIND_BLOB).put(message.blobId)
    } else if (message.kind === KIND_HEAD) {
      assertBytes(message.handle, CHANNEL_HANDLE_BYTES, 'handle')
      writer.u8(KIND_HEAD).put(message.handle)
    } else if (message.kind === KIND_SLOT_SET) {
      assertBytes(message.handle, CHANNEL_HANDLE_BYTES, 'handle')
      assertBytes(message.headHash, HASH_BYTES, 'headHash')
      writer.u8(KIND_SLOT_SET).put(message.handle).put(message.headHash)
    } else if (message.kind === KIND_SLOT) {
      assertBytes(message.slotKey, PUBLIC_KEY_BYTES, 'slotKey')
      writer.u8(KIND_SLOT).put(message.slotKey)
    }
  },
  read(reader, requestId) {
    const kind = reader.u8()
    if (kind === KIND_BLOB) {
      return { type: 'request', requestId, kind, blobId: take(reader, BLOB_ID_BYTES) }
    }
    if (kind === KIND_HEAD) {
      return { type: 'request', requestId, kind, handle: take(reader, CHANNEL_HANDLE_BYTES) }
    }
    if (kind === KIND_SLOT_SET) {
      const handle = take(reader, CHANNEL_HANDLE_BYTES)
      return { type: 'request', requestId, kind, handle, headHash: take(reader, HASH_BYTES) }
    }
    if (kind === KIND_SLOT) {
      return { type: 'request', requestId, kind, slotKey: take(reader, PUBLIC_KEY_BYTES) }
    }
    return { type: 'request', requestId, kind: 'unknown' }
  },
}

const data: Body<DataMessage> = {
  minBytes: 1,
  size(message) {
    if (message.kind === KIND_SLOT) return 1 + slotAnswerBytes(message.slot)
    return 1 + (message.kind === KIND_HEAD ? HEAD_BYTES : 0)
  },
  write(writer, message) {
    if (message.kind === KIND_BLOB || message.kind === KIND_SLOT_SET) writer.u8(message.kind)
    if (message.kind === KIND_SLOT) writeSlotAnswer(writer.u8(KIND_SLOT), message.slot)
    if (message.kind === KIND_HEAD) {
      assertBytes(message.head, HEAD_BYTES, 'head')
      writer.u8(KIND_HEAD).put(message.head)
    }
  },
  read(reader, requestId) {
    const kind = reader.u8()
    if (kind === KIND_BLOB || kind === KIND_SLOT_SET) return { type: 'data', requestId, kind }
    if (kind === KIND_HEAD) return { type: 'data', requestId, kind, head: take(reader, HEAD_BYTES) }
    if (kind === KIND_SLOT) return { type: 'data', requestId, kind, slot: readSlotAnswer(reader) }
    return { type: 'data', requestId, kind: 'unknown' }
  },
}

const HAVE_HEADER_BYTES = CHANNEL_HANDLE_BYTES + 8 + BLOB_ID_BYTES + 2
const RANGE_BYTES = 8
const MAX_POSITION = 0xffff_ffff

const have: Body<HaveMessage> = {
  minBytes: HAVE_HEADER_BYTES,
  size: (message) => HAVE_HEADER_BYTES + message.ranges.length * RANGE_BYTES,
  write(writer, message) {
    assertBytes(message.handle, CHANNEL_HANDLE_BYTES, 'handle')
    assertBytes(message.rootId, BLOB_ID_BYTES, 'rootId')
    if (!isReleaseNumber(message.releaseNumber)) throw new RangeError('"releaseNumber" out of range')
    if (message.ranges.length > MAX_HAVE_RANGES) {
      throw new RangeError(`"ranges" expected <= ${MAX_HAVE_RANGES}, got ${message.ranges.length}`)
    }
    writer.put(message.handle).u64(message.releaseNumber).put(message.rootId).u16(message.ranges.length)
    let end = 0
    for (const range of message.ranges) {
      if (!followsOn(range, end)) throw new RangeError('"ranges" expected ascending, without overlap')
      writer.u32(range.start).u32(range.length)
      end = range.start + range.length
    }
  },
  read(reader) {
    const handle = take(reader, CHANNEL_HANDLE_BYTES)
    const releaseNumber = Number(reader.u64())
    if (!isReleaseNumber(releaseNumber)) throw malformed('HAVE with a release number out of range')
    const rootId = take(reader, BLOB_ID_BYTES)
    const count = reader.u16()
    if (count > MAX_HAVE_RANGES) throw malformed('HAVE with too many ranges')
    if (reader.remaining < count * RANGE_BYTES) throw malformed('HAVE ends in its ranges')
    const ranges: HaveRange[] = []
    let end = 0
    for (let i = 0; i < count; i++) {
      const range = { start: reader.u32(), length: reader.u32() }
      if (!followsOn(range, end)) throw malformed('HAVE with ranges that do not ascend')
      ranges.push(range)
      end = range.start + range.length
    }
    return { type: 'have', handle, releaseNumber, rootId, ranges }
  },
}

const findPeers: Body<FindPeersMessage> = {
  minBytes: TOPIC_BYTES + 2,
  size: () => TOPIC_BYTES + 2,
  write(writer, message) {
    assertBytes(message.topic, TOPIC_BYTES, 'topic')
    writer.put(message.topic).u16(message.port)
  },
  read: (reader, requestId) => ({
    type: 'findPeers',
    requestId,
    topic: take(reader, TOPIC_BYTES),
    port: reader.u16(),
  }),
}

const peers: Body<PeersMessage> = {
  minBytes: 1,
  size: (message) => 1 + message.addresses.length,
  write(writer, { addresses }) {
    const count = addresses.length / ADDRESS_BYTES
    if (!Number.isInteger(count) || count > MAX_PEERS_ADDRESSES) {
      throw new RangeError(`"addresses" expected <= ${MAX_PEERS_ADDRESSES} whole ones, got ${count}`)
    }
    writer.u8(count).put(addresses)
  },
  read(reader, requestId) {
    const count = reader.u8()
    if (count > MAX_PEERS_ADDRESSES) throw malformed('PEERS with too many addresses')
    return { type: 'peers', requestId, addresses: take(reader, count * ADDRESS_BYTES) }
  },
}

const announce: Body<AnnounceMessage> = {
  minBytes: 1,
  size: (message) => 1 + message.statements.length * (1 + ONION_STATEMENT_BYTES),
  write(writer, { statements }) {
    if (!isStatementCount(statements.length)) {
      throw new RangeError(`"statements" expected 1..${MAX_ANNOUNCE_STATEMENTS}, got ${statements.length}`)
    }
    writer.u8(statements.length)
    for (const { hops, statement } of statements) {
      assertBytes(statement, ONION_STATEMENT_BYTES, 'statement')
      if (hops > MAX_ANNOUNCE_HOPS)
        throw new RangeError(`"hops" expected <= ${MAX_ANNOUNCE_HOPS}, got ${hops}`)
      writer.u8(hops).put(statement)
    }
  },
  read(reader) {
    const count = reader.u8()
    if (!isStatementCount(count)) throw malformed('ANNOUNCE with none or too many statements')
    if (reader.remaining < count * (1 + ONION_STATEMENT_BYTES))
      throw malformed('ANNOUNCE ends in a statement')
    const statements: HopStatement[] = []
    for (let i = 0; i < count; i++) {
      const hops = reader.u8()
      if (hops > MAX_ANNOUNCE_HOPS) throw malformed('ANNOUNCE with too many hops')
      statements.push({ hops, statement: take(reader, ONION_STATEMENT_BYTES) })
    }
    return { type: 'announce', statements }
  },
}

const bye: Body<Named<'bye'>> = {
  minBytes: 1,
  size: () => 1,
  write: (writer, message) => void writer.u8(message.reason),
  read: (reader) => ({ type: 'bye', reason: reader.u8() }),
}

const error: Body<Named<'error'>> = {
  minBytes: 2,
  size: () => 2,
  write: (writer, message) => void writer.u16(message.code),
  read: (reader, requestId) => ({ type: 'error', requestId, code: reader.u16() }),
}

function empty<M extends Known>(make: (requestId: number) => M): Body<M> {
  return { minBytes: 0, size: () => 0, write: () => {}, read: (_, requestId) => make(requestId) }
}

const BODIES: { readonly [N in Known['type']]: Body<Named<N>> } = {
  hello,
  request,
  data,
  have,
  findPeers,
  peers,
  announce,
  publish,
  published,
  keep,
  kept,
  bye,
  error,
  ok: empty((requestId) => ({ type: 'ok', requestId })),
  cancel: empty((requestId) => ({ type: 'cancel', requestId })),
  pad: empty(() => ({ type: 'pad' })),
}

function bodyOf(name: Known['type']): Body<Known> {
  return BODIES[name] as Body<Known>
}

/** @param message - fields of the right lengths and ranges. @returns the body, fresh. @throws RangeError or TypeError. */
export function encodeBody(message: Known): Uint8Array {
  const body = bodyOf(message.type)
  const writer = new ByteWriter(body.size(message))
  body.write(writer, message)
  return writer.bytes
}

/** @throws MegatorrentError ERR_MESSAGE_BODY or ERR_ADDRESS, kind 'peer'. */
export function decodeBody(name: Known['type'], requestId: number, bytes: Uint8Array): Known {
  const body = bodyOf(name)
  if (bytes.length < body.minBytes) throw malformed(`${name} of ${bytes.length} bytes`)
  return body.read(new ByteReader(bytes), requestId)
}

function followsOn(range: HaveRange, end: number): boolean {
  return range.length >= 1 && range.start >= end && range.start + range.length - 1 <= MAX_POSITION
}

function isStatementCount(count: number): boolean {
  return count >= 1 && count <= MAX_ANNOUNCE_STATEMENTS
}

function isReleaseNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= MAX_RELEASE_NUMBER
}
