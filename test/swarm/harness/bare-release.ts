/**
 * Heads, manifests and blobs of PROTOCOL_FINAL.md §4, read a second time: see
 * bare-crypto.ts for why. A release is fetched over a BareConnection into memory,
 * so releases of tests are small, and can then be served again, honestly or not.
 */
import { randomBytes } from 'node:crypto'
import { type BareConnection, type BareMessage, TYPES } from './bare-connection.ts'
import { type BareChannel, open, sha256, u16, verifyEd25519 } from './bare-crypto.ts'

export interface BareHead {
  readonly bytes: Buffer
  readonly release: number
  readonly revision: number
  readonly signedAtMs: number
  readonly rootId: Buffer
  readonly rootKey: Buffer
  readonly slotVersion: bigint
}

/** Fields of a head whose signature holds; else it throws. */
export function readHead(channel: BareChannel, bytes: Buffer): BareHead {
  const signed = Buffer.concat([Buffer.from('megatorrent/1 head'), bytes.subarray(0, 454)])
  if (bytes.length !== 568 || bytes[0] !== 1) throw new Error('not a head of version 1')
  if (!verifyEd25519(channel.publicKey, signed, bytes.subarray(454, 518))) {
    throw new Error('the signature of the head is wrong')
  }
  const release = bytes.readBigUInt64BE(1)
  const revision = bytes.readUInt16BE(9)
  return {
    bytes,
    release: Number(release),
    revision,
    signedAtMs: Number(bytes.readBigUInt64BE(11)),
    rootId: bytes.subarray(19, 51),
    rootKey: bytes.subarray(51, 83),
    slotVersion: release * 65_536n + BigInt(revision),
  }
}

export interface BareRelease {
  readonly head: BareHead
  readonly title: string
  /** Path to content; null for an empty folder. */
  readonly files: ReadonlyMap<string, Buffer | null>
  /** Blobs by id in hex. */
  readonly blobs: ReadonlyMap<string, Buffer>
  /** Ids in hex in manifest order (§4.2). */
  readonly order: readonly string[]
}

/** Ask the other side for the head of a channel and for everything below it. */
export async function fetchRelease(connection: BareConnection, channel: BareChannel): Promise<BareRelease> {
  const answer = await connection.answerTo(connection.requestHead(channel))
  if (answer.type !== TYPES.DATA) throw new Error(`no head: message of type ${answer.type}`)
  const head = readHead(channel, Buffer.from(answer.body.subarray(1, 569)))
  const blobs = new Map<string, Buffer>()
  const fetchChunk = async (reference: Buffer): Promise<Buffer> => {
    const id = reference.subarray(0, 32)
    const blob =
      blobs.get(id.toString('hex')) ?? (await connection.answerTo(connection.requestBlob(id), 30_000)).blob
    if (blob === undefined || !sha256(blob).equals(id)) throw new Error('not the blob that was asked for')
    blobs.set(id.toString('hex'), blob)
    const chunk = open(reference.subarray(32, 64), 0n, blob)
    if (chunk === null) throw new Error('the blob does not open under its key')
    return chunk
  }
  const rootReference = Buffer.concat([head.rootId, head.rootKey])
  const root = readDictionary(await fetchChunk(rootReference))
  const partReferences = root.has('parts') ? references(root.get('parts')) : []
  const parts = root.has('parts') ? [] : [root]
  for (const reference of partReferences) parts.push(readDictionary(await fetchChunk(reference)))

  const order = [rootReference, ...partReferences].map((reference) => reference.toString('hex', 0, 32))
  const files = new Map<string, Buffer | null>()
  for (const part of parts) {
    const chunks: Buffer[] = []
    for (const reference of references(part.get('blobs'))) {
      order.push(reference.toString('hex', 0, 32))
      chunks.push(await fetchChunk(reference))
    }
    const all = Buffer.concat(chunks)
    for (const entry of part.get('entries') as Bencoded[][]) addEntry(files, entry, all)
  }
  return { head, title: String(root.get('title')), files, blobs, order: [...new Set(order)] }
}

// Forms of §4.2: [path], [path, size, extents...] and, with a start, [path, size, start, extents...].
function addEntry(files: Map<string, Buffer | null>, entry: Bencoded[], chunks: Buffer): void {
  const path = String(entry[0])
  if (entry.length === 1) {
    files.set(path, null)
    return
  }
  const isFragment = (entry.length - 2) % 3 === 1
  const numbers = entry.slice(isFragment ? 3 : 2) as number[]
  const content: Buffer[] = isFragment ? [files.get(path) ?? Buffer.alloc(0)] : []
  for (let i = 0; i < numbers.length; i += 3) {
    const [blob = 0, offset = 0, length = 0] = numbers.slice(i, i + 3)
    const start = blob * 1_048_576 + offset
    content.push(chunks.subarray(start, start + length))
  }
  files.set(path, Buffer.concat(content))
}

function references(value: Bencoded | undefined): Buffer[] {
  const bytes = value as Buffer
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 64) found.push(bytes.subarray(at, at + 64))
  return found
}

type Bencoded = number | Buffer | Bencoded[] | Map<string, Bencoded>

function readDictionary(chunk: Buffer): Map<string, Bencoded> {
  const [value, end] = decode(chunk, 0)
  if (!(value instanceof Map)) throw new Error('not a dictionary')
  if (chunk.subarray(end).some((byte) => byte !== 0)) throw new Error('not zero after the value')
  return value
}

function decode(bytes: Buffer, at: number): [value: Bencoded, end: number] {
  const kind = String.fromCharCode(bytes[at] ?? 0)
  if (kind === 'i') {
    const end = bytes.indexOf('e', at)
    return [Number(bytes.toString('latin1', at + 1, end)), end + 1]
  }
  if (kind === 'l' || kind === 'd') {
    const items: Bencoded[] = []
    let next = at + 1
    while (bytes[next] !== 0x65) {
      const [item, end] = decode(bytes, next)
      items.push(item)
      next = end
    }
    if (kind === 'l') return [items, next + 1]
    const map = new Map<string, Bencoded>()
    for (let i = 0; i < items.length; i += 2) map.set(String(items[i]), items[i + 1] as Bencoded)
    return [map, next + 1]
  }
  const colon = bytes.indexOf(':', at)
  const length = Number(bytes.toString('latin1', at, colon))
  if (!Number.isSafeInteger(length) || colon < 0) throw new Error(`not bencode at ${at}`)
  return [bytes.subarray(colon + 1, colon + 1 + length), colon + 1 + length]
}

/** What a peer does with requests for blobs. */
export type Serving =
  | 'honest'
  | 'junk' // random bytes of the right length
  | 'other' // a true blob, but not the one asked for
  | 'silent' // takes the request and never answers
  | 'missing' // says that it has everything, then that it has not
  | 'partly' // gives the manifest's root and one blob of data, of a small release

export interface ServingCounts {
  /** For blobs. */
  requests: number
  /** Requests of any kind that were called off before there was an answer. */
  cancels: number
  blobsSent: number
}

/**
 * Play a peer that has the whole release: HELLO, HAVE of everything, then answers
 * until the other side goes. Gives what it was asked for.
 */
export async function serveRelease(
  connection: BareConnection,
  channel: BareChannel,
  release: BareRelease,
  serving: Serving,
  counts: ServingCounts = { requests: 0, cancels: 0, blobsSent: 0 },
): Promise<ServingCounts> {
  const { handshakeHash, remoteRole } = connection
  let hasTold = false
  connection.sendHello()
  for (;;) {
    const message = await connection.receive(120_000)
    if (message === null || message.type === TYPES.BYE) return counts
    if (message.type === TYPES.HELLO && !hasTold) {
      // It is told of the channel when it has shown that it knows it, as §7.2 says.
      if (channel.findInHello(message.body, handshakeHash, remoteRole) === null) continue
      connection.sendHello([[channel, release.head.slotVersion]])
      connection.sendHave(channel, release.head.release, release.head.rootId, [[0, release.order.length]])
      hasTold = true
    }
    if (message.type === TYPES.REQUEST) answer(connection, release, serving, message, counts)
    if (message.type === TYPES.CANCEL) counts.cancels++
  }
}

function answer(
  connection: BareConnection,
  release: BareRelease,
  serving: Serving,
  message: BareMessage,
  counts: ServingCounts,
): void {
  const { requestId, body } = message
  if (body[0] === 2) {
    const data = Buffer.concat([Buffer.from([2]), release.head.bytes])
    connection.sendMessage(TYPES.DATA, requestId, data)
    return
  }
  if (body[0] !== 1) {
    // No set of slots: a blob as the answer would break the protocol, and is another lie than these.
    connection.sendMessage(TYPES.ERROR, requestId, u16(2))
    return
  }
  counts.requests++
  if (serving === 'silent') return
  const id = body.toString('hex', 1, 33)
  const blob = blobToSend(release, serving, id)
  if (blob === undefined) {
    connection.sendMessage(TYPES.ERROR, requestId, u16(2))
    return
  }
  counts.blobsSent++
  connection.sendBlob(requestId, blob)
}

function blobToSend(release: BareRelease, serving: Serving, id: string): Buffer | undefined {
  if (serving === 'missing') return undefined
  if (serving === 'partly' && !release.order.slice(0, 2).includes(id)) return undefined
  if (serving === 'junk') return randomBytes(1_048_592)
  if (serving === 'other') return [...release.blobs].find(([other]) => other !== id)?.[1]
  return release.blobs.get(id)
}
