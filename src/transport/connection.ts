/**
 * Connection: typed messages over a SecureChannel, with requests and answers in
 * both directions (PROTOCOL_FINAL.md §7).
 *
 * Both sides may ask. Answers to our requests settle promises; requests of the
 * other side are served by transport/blob-server.ts. What can go quiet is judged
 * by transport/liveness.ts, what can be too much by transport/work-meter.ts.
 *
 * @module transport/connection
 */
import type { Clock, Timer } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import {
  CLOSE_LINGER_MS,
  MAX_QUEUED_SMALL_BYTES,
  MIN_PROGRESS_BYTES,
  REQUEST_TIMEOUT_MS,
} from '../base/limits.ts'
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import type { Address } from '../wire/address.ts'
import { BLOB_FRAME_BYTES } from '../wire/constants.ts'
import {
  BYE_REASONS,
  ERROR_CODES,
  type FramedKind,
  type KeepAnswer,
  type KeepMessage,
  type Message,
  MessageAssembler,
  type PublishAnswer,
  type PublishMessage,
  REQUEST_KINDS,
  type SlotAnswer,
  splitMessage,
} from '../wire/message.ts'
import { decodePeerAddresses, encodePeerAddresses } from '../wire/peers.ts'
import { BlobServer } from './blob-server.ts'
import type { Answer, BlobMemory, ConnectionHandlers, FoundPeers, Notice } from './connection-handlers.ts'
import { judge, ProgressMark } from './liveness.ts'
import { QuestionServer, twoWithOneId } from './question-server.ts'
import { Requester } from './requester.ts'
import type { NextFrame, SecureChannel } from './secure-channel.ts'
import { REFUSAL_WORK, WASTED_READ_WORK, WorkMeter, type WorkShare, workOf } from './work-meter.ts'

export type { BlobMemory, ConnectionHandlers, FoundPeers, Notice }

export type ByeReason = keyof typeof BYE_REASONS

/** ms between two looks at what has gone quiet. */
const WATCH_INTERVAL_MS = REQUEST_TIMEOUT_MS / 6

export class Connection {
  readonly #channel: SecureChannel
  readonly #clock: Clock
  #handlers: ConnectionHandlers | null = null
  readonly #assembler = new MessageAssembler()
  readonly #requester: Requester
  readonly #server: BlobServer
  readonly #questions: QuestionServer
  readonly #work: WorkMeter
  /** BYE was said, by either side. */
  #ended = false
  #sentMs: number
  #receivedMs: number
  readonly #answers: ProgressMark
  readonly #taken: ProgressMark
  #watchTimer: Timer | null = null
  #lingerTimer: Timer | null = null

  /** @param work - what it shares with other connections of what their messages may cause. */
  constructor(channel: SecureChannel, clock: Clock, work?: WorkShare) {
    this.#channel = channel
    this.#clock = clock
    this.#sentMs = this.#receivedMs = clock.monotonicMs()
    this.#answers = new ProgressMark(this.#sentMs, MIN_PROGRESS_BYTES)
    this.#taken = new ProgressMark(this.#sentMs, 1)
    this.#work = new WorkMeter(clock, channel, work)
    this.#requester = new Requester({
      clock,
      send: (message) => void this.#send(message),
      dropBlob: () => channel.dropBlob(),
      progressed: () => this.#answers.mark(clock.monotonicMs(), channel.bytesIn),
    })
    this.#server = new BlobServer({
      sendBlob: (requestId, kind, blob) => {
        this.#send({ type: 'data', requestId, kind })
        return this.#ended || this.#sendBlob(blob)
      },
      sendError: (requestId, code) => this.#sendError(requestId, code),
    })
    this.#questions = new QuestionServer({
      sendError: (requestId, code) => this.#sendError(requestId, code),
    })
  }

  /** Bytes of frames, sealed, queued ones included. */
  get bytesIn(): number {
    return this.#channel.bytesIn
  }

  get bytesOut(): number {
    return this.#channel.bytesOut
  }

  /** Bytes that wait to be taken by the system. */
  get queuedBytes(): number {
    return this.#channel.stream.queuedBytes
  }

  /** Closed or closing: nothing can be asked or told any more. */
  get closed(): boolean {
    return this.#ended || this.#channel.closed
  }

  /** Our requests that have no answer yet, given-up ones included. */
  get openRequests(): number {
    return this.#requester.openRequests
  }

  /**
   * No handler is called before this has returned.
   *
   * @param early - frames that came with the last handshake message.
   */
  start(handlers: ConnectionHandlers, early: Uint8Array): void {
    this.#handlers = handlers
    this.#watch()
    this.#channel.start(
      {
        onSmallFrame: (plaintext) => this.#onSmallFrame(plaintext),
        onBlobFrame: (frame) => {
          this.#receivedMs = this.#clock.monotonicMs()
          this.#requester.onBlob(frame)
        },
        blobBuffer: () => handlers.blobMemory?.take() ?? new Uint8Array(BLOB_FRAME_BYTES),
        onDrain: () => this.#server.drained(),
        onClose: (reason) => this.#onClose(reason),
      },
      early,
    )
  }

  /** Send a message that expects no answer. @returns false if much is queued: what can wait should. */
  notify(message: Notice): boolean {
    return this.#send(message)
  }

  /**
   * Ask for a blob.
   *
   * @returns the frame that it came in, which nobody has opened yet: who finds that it does not open
   *   destroys the connection with ERR_FRAME_OPEN.
   * @throws MegatorrentError ERR_REMOTE_NOT_FOUND, ERR_REMOTE_BUSY (also when MAX_OPEN_REQUESTS_PER_PEER
   *   of ours are open), ERR_REMOTE_REFUSED, ERR_TIMEOUT, ERR_CONNECTION_CLOSED, or ERR_ABORTED when the
   *   signal fires.
   */
  requestBlob(blobId: Uint8Array, signal?: AbortSignal): Promise<SealedFrame> {
    return this.#asking.askBlob(blobId, signal)
  }

  /** Ask for the newest head of a channel; HEAD_BYTES that nobody has verified yet. Errors as `requestBlob`. */
  requestHead(handle: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#asking.askHead(handle, signal)
  }

  /** Ask for the slots signed ahead of a head. @returns the frame they came in, as `requestBlob`, with its errors. */
  requestSlotSet(handle: Uint8Array, headHash: Uint8Array, signal?: AbortSignal): Promise<SealedFrame> {
    return this.#asking.askSlotSet(handle, headHash, signal)
  }

  /**
   * Ask for peers under a topic; nothing is known of the addresses but their form. Errors as `requestBlob`.
   *
   * @param port - where we accept connections, or 0.
   */
  async requestPeers(topic: Uint8Array, port: number, signal?: AbortSignal): Promise<Address[]> {
    const addresses = await this.#asking.askPeers(topic, port, signal)
    try {
      return decodePeerAddresses(addresses)
    } catch (error) {
      this.destroy(error) // as for any message that is not as it should be
      throw error
    }
  }

  /** Ask a gateway for a slot; signatures are verified by nobody yet. Errors as `requestBlob`. */
  requestSlot(slotKey: Uint8Array, signal?: AbortSignal): Promise<SlotAnswer> {
    return this.#asking.askSlot(slotKey, signal)
  }

  /** Give an item to a gateway. Errors as `requestBlob`; a refusal is an answer. */
  publish(message: Omit<PublishMessage, 'type' | 'requestId'>, signal?: AbortSignal): Promise<PublishAnswer> {
    return this.#asking.publish(message, signal)
  }

  /** Have a gateway keep blobs. Errors and refusals as of `publish`. */
  keep(list: Omit<KeepMessage, 'type' | 'requestId'>, signal?: AbortSignal): Promise<KeepAnswer> {
    return this.#asking.keep(list, signal)
  }

  /** Say why and close, after what is queued has gone out. Requests are rejected now, `onClose` follows. */
  close(reason: ByeReason): void {
    if (this.closed) return
    this.#send({ type: 'bye', reason: BYE_REASONS[reason] })
    if (this.#channel.closed) return // too much was queued for a last word
    this.#ended = true
    this.#server.close()
    this.#questions.close()
    this.#requester.close(null)
    this.#channel.end()
    // The other side answers our end with its own; one that does not is cut off.
    this.#lingerTimer = this.#clock.setTimer(() => this.#channel.destroy(), CLOSE_LINGER_MS)
  }

  /** Close at once, without a word; `onClose` is called before this returns. */
  destroy(reason: unknown = null): void {
    this.#channel.destroy(reason)
  }

  /** Closed if its channel has, which may be before `start`. */
  get #asking(): Requester {
    if (this.closed) this.#requester.close(null)
    return this.#requester
  }

  /** @returns false under back-pressure. */
  #sendBlob(blob: Uint8Array): boolean {
    const memory = this.#handlers?.blobMemory
    const isRoomy = blob.byteOffset === 0 && blob.buffer.byteLength === BLOB_FRAME_BYTES
    if (memory !== undefined && isRoomy) {
      const frame = new Uint8Array(blob.buffer)
      return this.#channel.sendBlob(frame, () => {
        memory.give(frame)
        this.#handlers?.onBlobTaken?.()
      })
    }
    const frame = new Uint8Array(BLOB_FRAME_BYTES)
    frame.set(blob)
    return this.#channel.sendBlob(frame, () => this.#handlers?.onBlobTaken?.())
  }

  /** @returns false under back-pressure. */
  #send(message: Message): boolean {
    if (this.closed) return false
    this.#sentMs = this.#clock.monotonicMs()
    let mayGoOn = true
    for (const frame of splitMessage(message)) mayGoOn = this.#channel.sendSmall(frame)
    // Blobs wait for the stream to drain, so what piles up beyond is small frames that nobody reads.
    if (this.#channel.stream.queuedBytes > MAX_QUEUED_SMALL_BYTES) {
      this.destroy(new MegatorrentError('ERR_PROTOCOL', 'the peer does not read what it is sent'))
    }
    return mayGoOn
  }

  #onSmallFrame(plaintext: Uint8Array): NextFrame {
    this.#receivedMs = this.#clock.monotonicMs()
    const message = this.#assembler.push(plaintext)
    this.#work.charge(workOf(message))
    if (message === null) return 'small'
    if (message.type === 'data') return this.#requester.onData(message)
    if (message.type === 'bye') this.#channel.destroy()
    else if (message.type === 'ok' || message.type === 'error') this.#requester.onRefusal(message)
    else if (message.type === 'peers' || message.type === 'published' || message.type === 'kept') {
      this.#requester.onAnswer(message)
    } else if (!this.#ended) this.#onOther(message)
    return 'small'
  }

  /** Messages that are nothing to us once we have said goodbye. */
  #onOther(message: Exclude<Message, { type: Answer | 'bye' }>): void {
    switch (message.type) {
      case 'hello':
      case 'have':
      case 'announce':
        this.#handlers?.onNotice(message)
        break
      case 'request':
        this.#onRequest(message)
        break
      case 'findPeers':
        this.#onFindPeers(message)
        break
      case 'publish':
        this.#ask(message.requestId, this.#handlers?.publish?.bind(this.#handlers, message), (answer) => {
          this.#send({ type: 'published', requestId: message.requestId, ...answer })
        })
        break
      case 'keep':
        this.#ask(message.requestId, this.#handlers?.keep?.bind(this.#handlers, message), (answer) => {
          this.#send({ type: 'kept', requestId: message.requestId, ...answer })
        })
        break
      case 'cancel':
        this.#questions.cancel(message.requestId)
        if (this.#server.cancel(message.requestId)) this.#work.charge(WASTED_READ_WORK)
        break
      case 'pad':
        break
      case 'unknown':
        if (message.requestId !== 0) this.#sendError(message.requestId, ERROR_CODES.unsupported)
    }
  }

  #onRequest(message: Extract<Message, { type: 'request' }>): void {
    const { requestId } = message
    const handlers = this.#handlers
    if (handlers === null || message.kind === 'unknown') this.#sendError(requestId, ERROR_CODES.unsupported)
    else if (message.kind === REQUEST_KINDS.blob) {
      this.#serve(requestId, message.kind, () => handlers.readBlob(message.blobId))
    } else if (message.kind === REQUEST_KINDS.slotSet) {
      const read = handlers.readSlotSet?.bind(handlers)
      if (read === undefined) this.#sendError(requestId, ERROR_CODES.unsupported)
      else this.#serve(requestId, message.kind, () => read(message.handle, message.headHash))
    } else if (message.kind === REQUEST_KINDS.slot) {
      this.#ask(requestId, handlers.readSlot?.bind(handlers, message.slotKey), (slot) => {
        this.#send({ type: 'data', requestId, kind: REQUEST_KINDS.slot, slot })
      })
    } else {
      const head = handlers.readHead(message.handle)
      if (head === null) this.#sendError(requestId, ERROR_CODES.notFound)
      else this.#send({ type: 'data', requestId, kind: REQUEST_KINDS.head, head })
    }
  }

  #onFindPeers({ requestId, topic, port }: Extract<Message, { type: 'findPeers' }>): void {
    const answer = (found: FoundPeers | 'unsupported'): void => {
      if (typeof found === 'string') this.#sendError(requestId, ERROR_CODES[found])
      else this.#send({ type: 'peers', requestId, addresses: encodePeerAddresses(found) })
    }
    const found = this.#handlers?.readPeers?.(topic, port) ?? 'unsupported'
    if (typeof found === 'function') this.#ask(requestId, found, answer)
    else answer(found)
  }

  /** What fills a blob frame. */
  #serve(requestId: number, kind: FramedKind, read: () => Promise<Uint8Array | null>): void {
    if (this.#questions.has(requestId)) throw twoWithOneId()
    this.#server.request(requestId, kind, read)
  }

  /** A question that takes a while. Without `work` it is one that we do not answer. */
  #ask<T>(requestId: number, work: (() => Promise<T>) | undefined, send: (answer: T) => void): void {
    if (this.#server.has(requestId)) throw twoWithOneId()
    if (work === undefined) this.#sendError(requestId, ERROR_CODES.unsupported)
    else this.#questions.ask(requestId, work, send)
  }

  #sendError(requestId: number, code: number): void {
    this.#work.charge(REFUSAL_WORK)
    this.#send({ type: 'error', requestId, code })
  }

  /** One timer for all that can go quiet: stalled answers, a dead peer, our own silence. */
  #watch(): void {
    this.#watchTimer = this.#clock.setTimer(() => {
      const verdict = judge(this.#vitals())
      if (verdict instanceof MegatorrentError) {
        this.destroy(verdict)
        return
      }
      if (verdict === 'pad') this.#send({ type: 'pad' })
      if (!this.#channel.closed) this.#watch()
    }, WATCH_INTERVAL_MS)
  }

  #vitals(): Parameters<typeof judge>[0] {
    const nowMs = this.#clock.monotonicMs()
    const { bytesIn, bytesOut, stream } = this.#channel
    const taken = bytesOut - stream.queuedBytes
    if (stream.queuedBytes === 0) this.#taken.mark(nowMs, taken)
    else this.#taken.see(nowMs, taken)
    const { isReceiving, isWaiting, givenUpMs } = this.#requester
    if (isReceiving) this.#answers.see(nowMs, bytesIn)
    // With blobs queued before it, our request may not have left yet.
    else if (stream.queuedBytes > 0) this.#answers.mark(nowMs, bytesIn)
    return {
      nowMs,
      isWaiting,
      answeredMs: this.#answers.atMs,
      takenMs: this.#taken.atMs,
      givenUpMs,
      receivedMs: isReceiving ? this.#answers.atMs : this.#receivedMs,
      sentMs: this.#sentMs,
    }
  }

  #onClose(reason: unknown): void {
    this.#ended = true
    this.#watchTimer?.cancel()
    this.#lingerTimer?.cancel()
    this.#work.close()
    this.#server.close()
    this.#questions.close()
    this.#requester.close(reason)
    this.#requester.clear()
    this.#handlers?.onClose(reason)
  }
}
