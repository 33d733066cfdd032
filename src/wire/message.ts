/**
 * Messages: what peers say to each other, and how it is cut into small frames
 * (PROTOCOL_FINAL.md §7, and §6.4 for fragments).
 *
 * Message numbers, error codes and BYE reasons stand here and nowhere else; the
 * codecs of the bodies are in wire/message-body.ts. A type that this version does not
 * decode comes out as `unknown`: ignored when its request id is 0, answered with
 * ERROR unsupported otherwise, so that the protocol can grow.
 *
 * @module wire/message
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Address } from './address.ts'
import { FRAME_BODY_BYTES, MAX_MESSAGE_FRAGMENTS } from './constants.ts'
import { decodeFrame, encodeFrame } from './frame.ts'
import { decodeBody, encodeBody } from './message-body.ts'

/** Type bytes, §7.1. */
export const MESSAGE_TYPES = {
  hello: 0x01,
  request: 0x02,
  data: 0x03,
  findPeers: 0x04,
  peers: 0x05,
  publish: 0x06,
  announce: 0x07,
  ok: 0x08,
  have: 0x09,
  cancel: 0x0a,
  bye: 0x0b,
  pad: 0x0c,
  published: 0x0d,
  keep: 0x0e,
  kept: 0x0f,
  error: 0xff,
} as const

/** What a REQUEST asks for and a DATA holds. */
export const REQUEST_KINDS = { blob: 1, head: 2, slotSet: 3, slot: 4 } as const

/** What became of an item that was published (§7.8). From `work` on it was not taken, and why. */
export const PUBLISH_OUTCOMES = {
  stored: 0,
  kept: 1,
  work: 2,
  item: 3,
  size: 4,
  stale: 5,
  window: 6,
  quota: 7,
  puzzle: 8,
} as const

/** What becomes of a blob that a gateway is to keep (§7.9). */
export const KEEP_STATES = { held: 0, coming: 1, refused: 2 } as const

/** Codes of ERROR. */
export const ERROR_CODES = { unsupported: 1, notFound: 2, busy: 3, malformed: 4, cancelled: 5 } as const

/** Reasons of BYE. */
export const BYE_REASONS = {
  shuttingDown: 0,
  notNeeded: 1,
  tooManyConnections: 2,
  protocolError: 3,
  banned: 4,
} as const

/** `length` blobs from `start` on, in manifest order. */
export interface HaveRange {
  readonly start: number
  readonly length: number
}

export interface HelloMessage {
  readonly type: 'hello'
  readonly highestVersion: number
  readonly lowestVersion: number
  /** Bits: HELLO_NEIGHBOUR or 0; others mean nothing yet. */
  readonly features: number
  readonly counter: number
  /** The address from which the sender sees the receiver, or null. */
  readonly observedAddress: Address | null
  /** HELLO_PLACES * HELLO_PLACE_BYTES bytes: wire/hello.ts. */
  readonly places: Uint8Array
}

/** A kind that this version does not know is answered with ERROR unsupported. */
export type RequestMessage = { readonly type: 'request'; readonly requestId: number } & (
  | { readonly kind: typeof REQUEST_KINDS.blob; readonly blobId: Uint8Array }
  | { readonly kind: typeof REQUEST_KINDS.head; readonly handle: Uint8Array }
  | {
      readonly kind: typeof REQUEST_KINDS.slotSet
      readonly handle: Uint8Array
      /** `headHash` of the head whose slots they are. */
      readonly headHash: Uint8Array
    }
  /** `slotKey`: the key of a BEP 44 item, 32 bytes. */
  | { readonly kind: typeof REQUEST_KINDS.slot; readonly slotKey: Uint8Array }
  | { readonly kind: 'unknown' }
)

/** Kinds that a blob frame follows. */
export type FramedKind = typeof REQUEST_KINDS.blob | typeof REQUEST_KINDS.slotSet

/** One value of a slot as a gateway found it. The key is that of the question. */
export interface SlotItem {
  /** Of the nearest nodes of the DHT, those that returned it. */
  readonly holders: number
  readonly seq: number
  /** 64 bytes, verified by nobody yet. */
  readonly signature: Uint8Array
  /** 1..MAX_PUBLISH_VALUE_BYTES. */
  readonly value: Uint8Array
}

/** What a gateway found when it read a slot. */
export interface SlotAnswer {
  /** Nearest nodes of the DHT that answered it: 0 means that it did not reach any. */
  readonly nearest: number
  /** At most MAX_SLOT_ITEMS, the highest seq first. */
  readonly items: readonly SlotItem[]
}

export type DataMessage = { readonly type: 'data'; readonly requestId: number } & (
  | { readonly kind: FramedKind }
  | { readonly kind: typeof REQUEST_KINDS.head; readonly head: Uint8Array }
  | { readonly kind: typeof REQUEST_KINDS.slot; readonly slot: SlotAnswer }
  | { readonly kind: 'unknown' }
)

export interface HaveMessage {
  readonly type: 'have'
  readonly handle: Uint8Array
  readonly releaseNumber: number
  /** Blob id of the manifest's root. */
  readonly rootId: Uint8Array
  /** Ascending, without overlap, at most MAX_HAVE_RANGES. */
  readonly ranges: readonly HaveRange[]
}

export interface FindPeersMessage {
  readonly type: 'findPeers'
  readonly requestId: number
  /** TOPIC_BYTES. */
  readonly topic: Uint8Array
  /** Where the sender accepts connections, at the address that it comes from; 0: nowhere, or it does not say. */
  readonly port: number
}

export interface PeersMessage {
  readonly type: 'peers'
  readonly requestId: number
  /** ADDRESS_BYTES each, undecoded: wire/peers.ts. An onion costs 1 ms, and nobody may have asked. */
  readonly addresses: Uint8Array
}

/** A statement on its way. */
export interface HopStatement {
  /** 0 on the stem; in the flood how often it was handed on, 1..MAX_ANNOUNCE_HOPS. */
  readonly hops: number
  /** ONION_STATEMENT_BYTES, undecoded: wire/onion-statement.ts. */
  readonly statement: Uint8Array
}

export interface AnnounceMessage {
  readonly type: 'announce'
  /** 1..MAX_ANNOUNCE_STATEMENTS. */
  readonly statements: readonly HopStatement[]
}

/** A signed item for a gateway to put, and from when to when. */
export interface PublishedItem {
  /** ms since 1970; 0 is at once. */
  readonly notBefore: number
  /** ms since 1970. */
  readonly notAfter: number
  /** 32 bytes. */
  readonly slotKey: Uint8Array
  readonly seq: number
  /** 64 bytes. */
  readonly signature: Uint8Array
  /** 1..MAX_PUBLISH_VALUE_BYTES. */
  readonly value: Uint8Array
}

export interface PublishMessage extends PublishedItem {
  readonly type: 'publish'
  readonly requestId: number
  /** PUBLISH_NONCE_BYTES: proof of work (wire/publish-work.ts). */
  readonly nonce: Uint8Array
  /** PUBLISH_NONCE_BYTES: what solves the puzzle that was asked for (wire/memory-puzzle.ts). */
  readonly puzzleNonce?: Uint8Array
}

/** A memory-hard puzzle: argon2id over so much memory, until a hash begins with so many zero bits. */
export interface PuzzleParameters {
  readonly memoryKib: number
  readonly passes: number
  readonly bits: number
}

/** What a gateway says of an item. */
export interface PublishAnswer {
  /** One of PUBLISH_OUTCOMES, or of a later version: a refusal. */
  readonly outcome: number
  /** With `work`: leading zero bits that it asks for. Else 0. */
  readonly workBits: number
  /** Nodes of the DHT that gave it back to the gateway; 0 where it was not stored or not asked for yet. */
  readonly nodes: number
  /** With `stale`: the highest seq that it knows. Else 0. */
  readonly highestSeq: number
  /** With `puzzle`, and never else: the one that it asks for. */
  readonly puzzle?: PuzzleParameters
}

export interface PublishedMessage extends PublishAnswer {
  readonly type: 'published'
  readonly requestId: number
}

/** Blobs for a gateway to keep. */
export interface KeepList {
  /** ms since 1970; 0 asks how it stands with them, and for nothing. */
  readonly until: number
  /** 1..MAX_KEEP_IDS of BLOB_ID_BYTES, ascending. */
  readonly blobIds: readonly Uint8Array[]
}

export interface KeepMessage extends KeepList {
  readonly type: 'keep'
  readonly requestId: number
  /** PUBLISH_NONCE_BYTES: proof of work (wire/publish-work.ts). */
  readonly nonce: Uint8Array
}

/** What a gateway says of them. */
export interface KeepAnswer {
  /** One of PUBLISH_OUTCOMES: `stored` where the states say what became of each, else why it did nothing. */
  readonly outcome: number
  /** With `work`: leading zero bits that it asks for. Else 0. */
  readonly workBits: number
  /** One of KEEP_STATES for each blob in its order; empty unless `stored`. */
  readonly states: Uint8Array
}

export interface KeptMessage extends KeepAnswer {
  readonly type: 'kept'
  readonly requestId: number
}

export interface UnknownMessage {
  readonly type: 'unknown'
  readonly code: number
  readonly requestId: number
}

export type Message =
  | HelloMessage
  | RequestMessage
  | DataMessage
  | HaveMessage
  | FindPeersMessage
  | PeersMessage
  | AnnounceMessage
  | PublishMessage
  | PublishedMessage
  | KeepMessage
  | KeptMessage
  | { readonly type: 'ok'; readonly requestId: number }
  | { readonly type: 'cancel'; readonly requestId: number }
  | { readonly type: 'bye'; readonly reason: number }
  | { readonly type: 'pad' }
  | { readonly type: 'error'; readonly requestId: number; readonly code: number }
  | UnknownMessage

/**
 * The small frames of a message, in order, ready to be sealed.
 *
 * @returns 1 to MAX_MESSAGE_FRAGMENTS plaintexts of SMALL_FRAME_PLAIN_BYTES, all fresh.
 * @throws RangeError for a field out of range or a message of kind `unknown`.
 */
export function splitMessage(message: Message): Uint8Array[] {
  if (message.type === 'unknown' || ('kind' in message && message.kind === 'unknown')) {
    throw new RangeError('"message" expected a kind of this version')
  }
  const body = encodeBody(message)
  if (body.length > MAX_MESSAGE_FRAGMENTS * FRAME_BODY_BYTES) {
    throw new RangeError(`"message" expected <= ${MAX_MESSAGE_FRAGMENTS} frames, got ${body.length} bytes`)
  }
  const type = MESSAGE_TYPES[message.type]
  const requestId = 'requestId' in message ? message.requestId : 0
  if (requestId === 0 && 'requestId' in message) throw new RangeError('"requestId" expected >= 1, got 0')
  const frames: Uint8Array[] = []
  let offset = 0
  do {
    const part = body.subarray(offset, offset + FRAME_BODY_BYTES)
    offset += part.length
    frames.push(encodeFrame({ type, more: offset < body.length, requestId, body: part }))
  } while (offset < body.length)
  return frames
}

/**
 * Puts the fragments of one direction together again. One for each connection.
 *
 * Holds at most MAX_MESSAGE_FRAGMENTS * FRAME_BODY_BYTES bytes. After an error it is of no
 * more use: the connection is closed.
 */
export class MessageAssembler {
  #parts: Uint8Array[] = []
  #type = 0
  #requestId = 0

  /** Between the fragments of a message: no other frame may come now, a blob frame neither. */
  get pending(): boolean {
    return this.#parts.length > 0
  }

  /**
   * @param plain - one opened small frame; not kept, and nothing in the message is a view into it.
   * @returns the message that it completes, or null when more fragments follow.
   * @throws MegatorrentError, kind 'peer': those of `decodeFrame`, ERR_FRAME_FRAGMENT (another message
   *   between the fragments, or too many of them), ERR_MESSAGE_BODY, ERR_MESSAGE_REQUEST_ID, ERR_ADDRESS.
   */
  push(plain: Uint8Array): Message | null {
    const frame = decodeFrame(plain)
    if (this.pending && (frame.type !== this.#type || frame.requestId !== this.#requestId)) {
      throw new MegatorrentError('ERR_FRAME_FRAGMENT', 'another frame between the fragments of a message')
    }
    if (!frame.more && !this.pending) return decodeMessage(frame.type, frame.requestId, frame.body)
    if (this.#parts.length + 1 >= MAX_MESSAGE_FRAGMENTS && frame.more) {
      throw new MegatorrentError('ERR_FRAME_FRAGMENT', `more than ${MAX_MESSAGE_FRAGMENTS} fragments`)
    }
    this.#type = frame.type
    this.#requestId = frame.requestId
    this.#parts.push(new Uint8Array(frame.body))
    if (frame.more) return null
    const body = joinParts(this.#parts)
    this.#parts = []
    return decodeMessage(frame.type, frame.requestId, body)
  }
}

const NAMES: ReadonlyMap<number, keyof typeof MESSAGE_TYPES> = new Map(
  Object.entries(MESSAGE_TYPES).map(([name, code]) => [code, name as keyof typeof MESSAGE_TYPES]),
)

/** Types whose request id is 0; that of all others is not. */
const WITHOUT_REQUEST: ReadonlySet<string> = new Set(['hello', 'announce', 'have', 'bye', 'pad'])

/**
 * @param body - the whole body; fields are copied out of it.
 * @throws MegatorrentError, kind 'peer': ERR_MESSAGE_BODY, ERR_MESSAGE_REQUEST_ID, ERR_ADDRESS.
 */
export function decodeMessage(code: number, requestId: number, body: Uint8Array): Message {
  const name = NAMES.get(code)
  if (name === undefined) return { type: 'unknown', code, requestId }
  if (WITHOUT_REQUEST.has(name) !== (requestId === 0)) {
    throw new MegatorrentError(
      'ERR_MESSAGE_REQUEST_ID',
      `request id ${requestId} in a message of type ${code}`,
    )
  }
  return decodeBody(name, requestId, body)
}

/**
 * The code that tells a peer why its request failed. Says no more than it needs to know:
 * whatever went wrong on our side is `busy`.
 */
export function errorToCode(error: unknown): number {
  if (!isMegatorrentError(error)) return ERROR_CODES.busy
  if (error.kind === 'not-found') return ERROR_CODES.notFound
  if (error.kind === 'aborted') return ERROR_CODES.cancelled
  if (error.kind === 'peer') return ERROR_CODES.malformed
  return ERROR_CODES.busy
}

/** The error that a received code stands for. Codes of later versions are refusals. */
export function codeToError(code: number): MegatorrentError {
  if (code === ERROR_CODES.notFound) {
    return new MegatorrentError('ERR_REMOTE_NOT_FOUND', 'the peer does not hold it')
  }
  if (code === ERROR_CODES.busy) return new MegatorrentError('ERR_REMOTE_BUSY', 'the peer is busy')
  if (code === ERROR_CODES.cancelled) {
    return new MegatorrentError('ERR_ABORTED', 'the request was called off')
  }
  return new MegatorrentError('ERR_REMOTE_REFUSED', `the peer refused the request with code ${code}`)
}

function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 0) return EMPTY_BYTES
  const body = new Uint8Array((parts.length - 1) * FRAME_BODY_BYTES + (parts[parts.length - 1]?.length ?? 0))
  for (const [index, part] of parts.entries()) body.set(part, index * FRAME_BODY_BYTES)
  return body
}
