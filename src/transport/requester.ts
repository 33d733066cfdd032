/**
 * Our requests on one connection and what comes of them (PROTOCOL_FINAL.md §7.1,
 * §7.4): the counterpart of transport/blob-server.ts and transport/question-server.ts.
 *
 * Every promise settles once: by its answer, when it is called off, when the other
 * side answers later requests and not this one, or when the connection closes.
 *
 * @module transport/requester
 */
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_OPEN_REQUESTS_PER_PEER, REQUEST_TIMEOUT_MS } from '../base/limits.ts'
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import {
  codeToError,
  ERROR_CODES,
  type KeepAnswer,
  type KeepMessage,
  type Message,
  type PublishAnswer,
  type PublishMessage,
  REQUEST_KINDS,
  type SlotAnswer,
} from '../wire/message.ts'
import { type Answers, type OpenRequest, OpenRequests, type Wanted } from './open-requests.ts'
import type { NextFrame } from './secure-channel.ts'

/** What is asked for. */
type Query =
  | { readonly kind: typeof REQUEST_KINDS.blob; readonly blobId: Uint8Array }
  | { readonly kind: typeof REQUEST_KINDS.head; readonly handle: Uint8Array }
  | {
      readonly kind: typeof REQUEST_KINDS.slotSet
      readonly handle: Uint8Array
      readonly headHash: Uint8Array
    }
  | { readonly kind: typeof REQUEST_KINDS.slot; readonly slotKey: Uint8Array }
  | { readonly kind: 'peers'; readonly topic: Uint8Array; readonly port: number }
  | { readonly kind: 'publish'; readonly item: Omit<PublishMessage, 'type' | 'requestId'> }
  | { readonly kind: 'keep'; readonly list: Omit<KeepMessage, 'type' | 'requestId'> }

export interface RequesterDeps {
  readonly clock: Clock
  send(message: Message): void
  /** Nobody wants the blob that is coming in any more. */
  dropBlob(): void
  /** An answer came, or waiting for one begins. */
  progressed(): void
}

export class Requester {
  readonly #deps: RequesterDeps
  readonly #open = new OpenRequests()
  /** The request whose blob frame is coming in. */
  #receiving: OpenRequest | null = null
  #closed = false

  constructor(deps: RequesterDeps) {
    this.#deps = deps
  }

  /** Requests without an answer, given-up ones included. */
  get openRequests(): number {
    return this.#open.size + (this.#receiving === null ? 0 : 1)
  }

  /** Is a blob frame coming in? */
  get isReceiving(): boolean {
    return this.#receiving !== null
  }

  /** Does somebody wait for an answer, or for the rest of one? */
  get isWaiting(): boolean {
    return this.#receiving !== null || this.#open.isWaiting
  }

  /** When the longest unanswered request of those given up was given up, monotonic ms; null if there is none. */
  get givenUpMs(): number | null {
    return this.#open.givenUpMs
  }

  /** Errors of all: as `Connection.requestBlob`. */
  askBlob(blobId: Uint8Array, signal: AbortSignal | undefined): Promise<SealedFrame> {
    return this.#ask('blob', { kind: REQUEST_KINDS.blob, blobId }, signal)
  }

  askHead(handle: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return this.#ask('head', { kind: REQUEST_KINDS.head, handle }, signal)
  }

  askSlotSet(
    handle: Uint8Array,
    headHash: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<SealedFrame> {
    return this.#ask('slotSet', { kind: REQUEST_KINDS.slotSet, handle, headHash }, signal)
  }

  /** Addresses of ADDRESS_BYTES each, undecoded. */
  askPeers(topic: Uint8Array, port: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return this.#ask('peers', { kind: 'peers', topic, port }, signal)
  }

  askSlot(slotKey: Uint8Array, signal: AbortSignal | undefined): Promise<SlotAnswer> {
    return this.#ask('slot', { kind: REQUEST_KINDS.slot, slotKey }, signal)
  }

  publish(
    item: Omit<PublishMessage, 'type' | 'requestId'>,
    signal: AbortSignal | undefined,
  ): Promise<PublishAnswer> {
    return this.#ask('published', { kind: 'publish', item }, signal)
  }

  keep(list: Omit<KeepMessage, 'type' | 'requestId'>, signal: AbortSignal | undefined): Promise<KeepAnswer> {
    return this.#ask('kept', { kind: 'keep', list }, signal)
  }

  #ask<W extends Wanted>(wanted: W, query: Query, signal: AbortSignal | undefined): Promise<Answers[W]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw connectionClosed(null)
      if (signal?.aborted) throw calledOff()
      if (this.openRequests >= MAX_OPEN_REQUESTS_PER_PEER) {
        throw new MegatorrentError('ERR_REMOTE_BUSY', 'too many requests to this peer are open')
      }
      if (!this.isWaiting) this.#deps.progressed()
      const onAbort = (): void => this.#giveUp(request, calledOff())
      const settled = (): void => signal?.removeEventListener('abort', onAbort)
      const request = this.#open.add(wanted, this.#deps.clock.monotonicMs(), {
        resolve: (answer) => {
          settled()
          resolve(answer as Answers[W]) // `onData` has compared the kinds
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#deps.send(askFor(query, request.id))
    })
  }

  /** @throws MegatorrentError ERR_PROTOCOL for a blob that nobody asked for, or an answer of another kind. */
  onData(message: Extract<Message, { type: 'data' }>): NextFrame {
    const request = this.#open.get(message.requestId)
    if (message.kind === REQUEST_KINDS.blob || message.kind === REQUEST_KINDS.slotSet) {
      if (request?.wanted !== (message.kind === REQUEST_KINDS.blob ? 'blob' : 'slotSet')) {
        throw new MegatorrentError('ERR_PROTOCOL', 'a blob that nobody asked for')
      }
      this.#answered(request)
      this.#receiving = request
      return request.givenUpMs === null ? 'blob' : 'unwanted blob'
    }
    if (request === undefined) return 'small'
    const { kind } = message
    const wanted = kind === 'unknown' ? ['head', 'slot'] : [kind === REQUEST_KINDS.head ? 'head' : 'slot']
    if (!wanted.includes(request.wanted)) throw wrongAnswer()
    this.#answered(request)
    if (message.kind === REQUEST_KINDS.head) request.resolve(message.head)
    else if (message.kind === REQUEST_KINDS.slot) request.resolve(message.slot)
    else request.reject(new MegatorrentError('ERR_REMOTE_REFUSED', 'an answer of an unknown kind'))
    return 'small'
  }

  /** @throws MegatorrentError ERR_PROTOCOL where something else was asked for. */
  onAnswer(message: Extract<Message, { type: 'peers' | 'published' | 'kept' }>): void {
    const request = this.#open.get(message.requestId)
    if (request === undefined) return
    if (request.wanted !== message.type) throw wrongAnswer()
    this.#answered(request)
    request.resolve(message.type === 'peers' ? message.addresses : message)
  }

  /** @param frame - null if it was dropped. */
  onBlob(frame: SealedFrame | null): void {
    this.#deps.progressed()
    const request = this.#receiving
    this.#receiving = null
    if (request === null) return
    if (frame !== null) request.resolve(frame)
    const beforeMs = this.#deps.clock.monotonicMs() - REQUEST_TIMEOUT_MS
    for (const left of this.#open.overtaken(request, beforeMs)) {
      this.#giveUp(left, new MegatorrentError('ERR_TIMEOUT', 'the peer answers later requests and not this'))
    }
  }

  /** @throws MegatorrentError ERR_PROTOCOL: OK is no answer to anything that we ask. */
  onRefusal(message: Extract<Message, { type: 'ok' | 'error' }>): void {
    const request = this.#open.get(message.requestId)
    if (request === undefined) return
    if (message.type === 'ok') throw wrongAnswer()
    this.#answered(request)
    // Whoever was cancelled has been told; others cannot be cancelled by the other side.
    request.reject(
      message.code === ERROR_CODES.cancelled
        ? new MegatorrentError('ERR_REMOTE_REFUSED', 'the peer cancelled what nobody cancelled')
        : codeToError(message.code),
    )
  }

  /** Reject all, ask nothing more, and take no notice of answers that still come. */
  close(cause: unknown): void {
    this.#closed = true
    const nowMs = this.#deps.clock.monotonicMs()
    for (const request of this.#open.all()) request.giveUp(nowMs, connectionClosed(cause))
    this.#receiving?.giveUp(nowMs, connectionClosed(cause))
    this.#deps.dropBlob()
  }

  /** No answers can come any more. */
  clear(): void {
    this.#open.clear()
    this.#receiving = null
  }

  #giveUp(request: OpenRequest, error: MegatorrentError): void {
    request.giveUp(this.#deps.clock.monotonicMs(), error)
    if (request === this.#receiving) this.#deps.dropBlob()
    else this.#deps.send({ type: 'cancel', requestId: request.id })
  }

  #answered(request: OpenRequest): void {
    this.#open.close(request)
    this.#deps.progressed()
  }
}

function askFor(query: Query, requestId: number): Message {
  if (query.kind === 'keep') return { type: 'keep', requestId, ...query.list }
  if (query.kind === 'publish') return { type: 'publish', requestId, ...query.item }
  if (query.kind !== 'peers') return { type: 'request', requestId, ...query }
  return { type: 'findPeers', requestId, topic: query.topic, port: query.port }
}

function connectionClosed(cause: unknown): MegatorrentError {
  return new MegatorrentError('ERR_CONNECTION_CLOSED', 'the connection closed', { cause })
}

function wrongAnswer(): MegatorrentError {
  return new MegatorrentError('ERR_PROTOCOL', 'an answer of the wrong kind')
}

function calledOff(): MegatorrentError {
  return new MegatorrentError('ERR_ABORTED', 'the request was called off')
}
