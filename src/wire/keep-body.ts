/**
 * Bodies of KEEP and KEPT: blobs that a gateway is to keep, named by their ids and by
 * nothing else (PROTOCOL_FINAL.md §7.9).
 *
 * Ids stand in ascending order: one set has one encoding, and the order in which a
 * manifest names them is nobody's business.
 *
 * @module wire/keep-body
 */
import { assertBytes, type ByteReader, ByteWriter, compareBytes } from '../base/bytes.ts'
import { type Body, malformed, take } from './body.ts'
import { BLOB_ID_BYTES, MAX_KEEP_IDS, PUBLISH_NONCE_BYTES } from './constants.ts'
import type { KeepList, KeepMessage, KeptMessage } from './message.ts'

/** Until, count. */
const KEEP_LIST_BYTES = 8 + 2
const KEPT_BYTES = 1 + 1 + 2
const MAX_KEEP_STATE = 2

export const keep: Body<KeepMessage> = {
  minBytes: PUBLISH_NONCE_BYTES + KEEP_LIST_BYTES + BLOB_ID_BYTES,
  size: ({ blobIds }) => PUBLISH_NONCE_BYTES + KEEP_LIST_BYTES + blobIds.length * BLOB_ID_BYTES,
  write(writer, message) {
    assertBytes(message.nonce, PUBLISH_NONCE_BYTES, 'nonce')
    writeList(writer.put(message.nonce), message)
  },
  read(reader, requestId) {
    const nonce = take(reader, PUBLISH_NONCE_BYTES)
    const until = reader.u64()
    if (until > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('until is above 2^53 - 1')
    const blobIds = readIds(reader, reader.u16())
    return { type: 'keep', requestId, nonce, until: Number(until), blobIds }
  },
}

/** All of a KEEP but the nonce: what its work is over. @returns fresh bytes. */
export function encodeKeepList(list: KeepList): Uint8Array {
  const writer = new ByteWriter(KEEP_LIST_BYTES + list.blobIds.length * BLOB_ID_BYTES)
  writeList(writer, list)
  return writer.bytes
}

function writeList(writer: ByteWriter, { until, blobIds }: KeepList): void {
  if (!isCount(blobIds.length)) {
    throw new RangeError(`"blobIds" expected 1..${MAX_KEEP_IDS}, got ${blobIds.length}`)
  }
  writer.u64(until).u16(blobIds.length)
  let before: Uint8Array | null = null
  for (const id of blobIds) {
    assertBytes(id, BLOB_ID_BYTES, 'blobIds')
    if (before !== null && compareBytes(before, id) >= 0) {
      throw new RangeError('"blobIds" expected in ascending order')
    }
    writer.put(id)
    before = id
  }
}

function readIds(reader: ByteReader, count: number): Uint8Array[] {
  if (!isCount(count)) throw malformed(`KEEP of ${count} blobs`)
  const ids: Uint8Array[] = []
  for (let i = 0; i < count; i++) {
    const id = take(reader, BLOB_ID_BYTES)
    const before = ids.at(-1)
    if (before !== undefined && compareBytes(before, id) >= 0) throw malformed('KEEP whose ids do not ascend')
    ids.push(id)
  }
  return ids
}

export const kept: Body<KeptMessage> = {
  minBytes: KEPT_BYTES,
  size: ({ states }) => KEPT_BYTES + states.length,
  write(writer, { outcome, workBits, states }) {
    if (states.length > MAX_KEEP_IDS || states.some((state) => state > MAX_KEEP_STATE)) {
      throw new RangeError('"states" expected one of three for each blob')
    }
    writer.u8(outcome).u8(workBits).u16(states.length).put(states)
  },
  read(reader, requestId) {
    const [outcome, workBits, count] = [reader.u8(), reader.u8(), reader.u16()]
    if (count > MAX_KEEP_IDS) throw malformed(`KEPT of ${count} blobs`)
    const states = take(reader, count)
    if (states.some((state) => state > MAX_KEEP_STATE)) throw malformed('KEPT with a state of no meaning')
    return { type: 'kept', requestId, outcome, workBits, states }
  },
}

function isCount(count: number): boolean {
  return count >= 1 && count <= MAX_KEEP_IDS
}
