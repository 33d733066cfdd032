/**
 * Connection: typed messages over a SecureChannel, with requests and answers in
 * both directions (PROTOCOL_FINAL.md §7).
 *
 * Both sides may ask. Answers to our requests settle promises; requests of the
 * other side are served one after the other, so that a peer that does not read
 * costs one blob in memory and waits for itself.
 *
 * @module transport/connection
 */
import type { Clock, Timer } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import {
  IDLE_CLOSE_MS,
  IDLE_PAD_MS,
  MAX_OPEN_REQUESTS_PER_PEER,
  MAX_QUEUED_SMALL_BYTES,
  REQUEST_TIMEOUT_MS,
} from '../base/limits.ts'
import {
  BYE_REASONS,
  codeToError,
  ERROR_CODES,
  type Message,
  MessageAssembler,
  REQUEST_KINDS,
  splitMessage,
} from '../wire/message.ts'
import type { NextFrame, SecureChannel } from './secure-channel.ts'

export type ByeReason = keyof typeof BYE_REASONS

/** Messages that ask nothing: what the owner hears of. */
export type Notice = Extract<Message, { type: 'hello' | 'have' }>

export interface ConnectionHandlers {
  /** HELLO and HAVE, in order. Throw kind peer to close the connection. */
  onNotice(notice: Notice): void
  /** The sealed blob, or null for "not found". May take its time: others of the same peer wait. */
  readBlob(blobId: Uint8Array): Promise<Uint8Array | null>
  /** The newest head of the channel of that handle, or null. */
  readHead(handle: Uint8Array): Uint8Array | null
  /** The last call, once. `reason` is null when nobody did wrong. */
  onClose(reason: unknown): void
}

interface OpenRequest {
  readonly blobId: Uint8Array | null
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
  /** Given up by us: the answer is read and dropped. */
  cancelled: boolean
}

interface Upload {
  readonly requestId: number
  readonly blobId: Uint8Array
}

export class Connection {
  readonly #channel: SecureChannel
  readonly #clock: Clock
  #handlers: ConnectionHandlers | null = null
  readonly #assembler = new MessageAssembler()
  readonly #requests = new Map<number, OpenRequest>()
  #nextRequestId = 1
  /** The request whose blob frame is coming in. */
  #receiving: OpenRequest | null = null
  readonly #uploads: Upload[] = []
  #serving = false
  #drained: (() => void) | null = null
  #ended = false
  #lastSentMs: number
  #lastReceivedMs: number
  #progressMs: number
  #bytesAtProgress = 0
  #timer: Timer | null = null

  constructor(channel: SecureChannel, clock: Clock) {
    this.#channel = channel
    this.#clock = clock
    this.#lastSentMs = this.#lastReceivedMs = this.#progressMs = clock.monotonicMs()
  }

  get bytesIn(): number {
    return this.#channel.bytesIn
  }

  get bytesOut(): number {
    return this.#channel.bytesOut
  }

  get closed(): boolean {
    return this.#channel.closed
  }

  /** Our requests that have no answer yet, given-up ones included. */
  get openRequests(): number {
    return this.#requests.size
  }

  /** @param early - frames that came with the last handshake message. */
  start(handlers: ConnectionHandlers, early: Uint8Array): void {
    this.#handlers = handlers
    this.#watch()
    this.#channel.start(
      {
        onSmallFrame: (plaintext) => this.#onSmallFrame(plaintext),
        onBlobFrame: (blob) => this.#onBlobFrame(blob),
        onDrain: () => this.#onDrain(),
        onClose: (reason) => this.#onClose(reason),
      },
      early,
    )
  }

  /** Send a message that expects no answer. */
  notify(message: Notice): void {
    this.#send(message)
  }

  /**
   * Ask for a blob.
   *
   * @returns BLOB_BYTES whose hash nobody has checked yet.
   * @throws MegatorrentError ERR_REMOTE_NOT_FOUND, ERR_REMOTE_BUSY, ERR_REMOTE_REFUSED,
   *   ERR_CONNECTION_CLOSED, or ERR_ABORTED when the signal fires.
   */
  requestBlob(blobId: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#request({ kind: REQUEST_KINDS.blob, blobId }, blobId, signal)
  }

  /** Ask for the newest head of a channel; HEAD_BYTES that nobody has verified yet. Errors as `requestBlob`. */
  requestHead(handle: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#request({ kind: REQUEST_KINDS.head, handle }, null, signal)
  }

  /** Say why and close, after what is queued has gone out. */
  close(reason: ByeReason): void {
    if (this.#ended || this.#channel.closed) return
    this.#send({ type: 'bye', reason: BYE_REASONS[reason] })
    this.#ended = true
    this.#channel.end()
    // The other side answers our FIN with its own; one that does not is cut off.
    this.#clock.setTimer(() => this.#channel.destroy(), REQUEST_TIMEOUT_MS)
  }

  /** Close at once, without a word. */
  destroy(reason: unknown = null): void {
    this.#channel.destroy(reason)
  }

  #request(
    query: { kind: 1; blobId: Uint8Array } | { kind: 2; handle: Uint8Array },
    blobId: Uint8Array | null,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#ended || this.#channel.closed) {
        reject(new MegatorrentError('ERR_CONNECTION_CLOSED', 'the connection is closed'))
        return
      }
      if (signal?.aborted) {
        reject(new MegatorrentError('ERR_ABORTED', 'the request was called off'))
        return
      }
      const requestId = this.#newRequestId()
      const onAbort = (): void => {
        request.cancelled = true
        this.#send({ type: 'cancel', requestId })
        reject(new MegatorrentError('ERR_ABORTED', 'the request was called off'))
      }
      const settled = (): void => signal?.removeEventListener('abort', onAbort)
      const request: OpenRequest = {
        blobId,
        cancelled: false,
        resolve: (bytes) => {
          settled()
          resolve(bytes)
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      }
      if (this.#requests.size === 0) this.#progress()
      this.#requests.set(requestId, request)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#send({ type: 'request', requestId, ...query })
    })
  }

  #newRequestId(): number {
    while (this.#requests.has(this.#nextRequestId))
      this.#nextRequestId = (this.#nextRequestId % 0xffff_ffff) + 1
    const id = this.#nextRequestId
    this.#nextRequestId = (id % 0xffff_ffff) + 1
    return id
  }

  #send(message: Message): void {
    if (this.#ended || this.#channel.closed) return
    this.#lastSentMs = this.#clock.monotonicMs()
    for (const frame of splitMessage(message)) this.#channel.sendSmall(frame)
    // Blobs wait for the stream to drain, so what piles up beyond is small frames that nobody reads.
    if (this.#channel.stream.queuedBytes > MAX_QUEUED_SMALL_BYTES) {
      this.destroy(new MegatorrentError('ERR_PROTOCOL', 'the peer does not read what it is sent'))
    }
  }

  #onSmallFrame(plaintext: Uint8Array): NextFrame {
    this.#lastReceivedMs = this.#clock.monotonicMs()
    const message = this.#assembler.push(plaintext)
    if (message === null) return 'small'
    switch (message.type) {
      case 'hello':
      case 'have':
        this.#handlers?.onNotice(message)
        return 'small'
      case 'request':
        this.#onRequest(message)
        return 'small'
      case 'data':
        return this.#onData(message)
      case 'error':
        this.#onError(message.requestId, message.code)
        return 'small'
      case 'cancel':
        this.#onCancel(message.requestId)
        return 'small'
      case 'bye':
        this.#ended = true
        this.#channel.destroy()
        return 'small'
      case 'pad':
      case 'ok':
        return 'small'
      case 'unknown':
        if (message.requestId !== 0) this.#answerError(message.requestId, 'unsupported')
        return 'small'
    }
  }

  #onRequest(message: Extract<Message, { type: 'request' }>): void {
    if (message.kind === REQUEST_KINDS.head) {
      const head = this.#handlers?.readHead(message.handle) ?? null
      if (head === null) this.#answerError(message.requestId, 'notFound')
      else this.#send({ type: 'data', requestId: message.requestId, kind: REQUEST_KINDS.head, head })
      return
    }
    if (message.kind !== REQUEST_KINDS.blob) {
      this.#answerError(message.requestId, 'unsupported')
      return
    }
    if (this.#uploads.length >= MAX_OPEN_REQUESTS_PER_PEER) {
      this.#answerError(message.requestId, 'busy')
      return
    }
    this.#uploads.push({ requestId: message.requestId, blobId: message.blobId })
    if (!this.#serving) void this.#serve()
  }

  async #serve(): Promise<void> {
    this.#serving = true
    try {
      for (;;) {
        const upload = this.#uploads[0]
        if (upload === undefined || this.#channel.closed) return
        const blob = (await this.#handlers?.readBlob(upload.blobId)) ?? null
        // A CANCEL may have taken it away while it was read.
        if (this.#uploads[0] !== upload || this.#channel.closed) continue
        this.#uploads.shift()
        if (blob === null) {
          this.#answerError(upload.requestId, 'notFound')
          continue
        }
        this.#send({ type: 'data', requestId: upload.requestId, kind: REQUEST_KINDS.blob })
        if (!this.#channel.sendBlob(blob)) await this.#drain()
      }
    } catch (error) {
      this.destroy(error)
    } finally {
      this.#serving = false
    }
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve
      if (this.#channel.closed) this.#onDrain()
    })
  }

  #onDrain(): void {
    const drained = this.#drained
    this.#drained = null
    drained?.()
  }

  #onCancel(requestId: number): void {
    const at = this.#uploads.findIndex((upload) => upload.requestId === requestId)
    if (at < 0) return // its answer is on the way already
    this.#uploads.splice(at, 1)
    this.#answerError(requestId, 'cancelled')
  }

  #onData(message: Extract<Message, { type: 'data' }>): NextFrame {
    const request = this.#requests.get(message.requestId)
    if (message.kind === REQUEST_KINDS.blob) {
      if (request === undefined || request.blobId === null) {
        throw new MegatorrentError('ERR_PROTOCOL', 'a blob that nobody asked for')
      }
      this.#requests.delete(message.requestId)
      this.#receiving = request
      this.#progress()
      return 'blob'
    }
    if (request === undefined) return 'small'
    if (request.blobId !== null) throw new MegatorrentError('ERR_PROTOCOL', 'an answer of the wrong kind')
    this.#requests.delete(message.requestId)
    this.#progress()
    if (message.kind === REQUEST_KINDS.head) request.resolve(message.head)
    else request.reject(new MegatorrentError('ERR_REMOTE_REFUSED', 'an answer of an unknown kind'))
    return 'small'
  }

  #onBlobFrame(blob: Uint8Array): void {
    this.#lastReceivedMs = this.#clock.monotonicMs()
    this.#progress()
    const request = this.#receiving
    this.#receiving = null
    if (request !== null && !request.cancelled) request.resolve(blob)
  }

  #onError(requestId: number, code: number): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    this.#requests.delete(requestId)
    this.#progress()
    if (request.cancelled) return
    request.reject(codeToError(code))
  }

  #answerError(requestId: number, code: keyof typeof ERROR_CODES): void {
    this.#send({ type: 'error', requestId, code: ERROR_CODES[code] })
  }

  #progress(): void {
    this.#progressMs = this.#clock.monotonicMs()
    this.#bytesAtProgress = this.#channel.bytesIn
  }

  /** One timer for all that can go quiet: stalled answers, a dead peer, our own silence. */
  #watch(): void {
    this.#timer = this.#clock.setTimer(() => {
      const nowMs = this.#clock.monotonicMs()
      // Bytes of a blob count as progress: a slow line is not a stalled one.
      if (this.#receiving !== null && this.#channel.bytesIn > this.#bytesAtProgress) this.#progress()
      if (
        this.#requests.size + (this.#receiving === null ? 0 : 1) > 0 &&
        nowMs - this.#progressMs > REQUEST_TIMEOUT_MS
      ) {
        this.destroy(new MegatorrentError('ERR_TIMEOUT', 'the peer does not answer'))
        return
      }
      if (nowMs - this.#lastReceivedMs > IDLE_CLOSE_MS) {
        this.destroy(new MegatorrentError('ERR_TIMEOUT', 'the peer is silent'))
        return
      }
      if (nowMs - this.#lastSentMs >= IDLE_PAD_MS) this.#send({ type: 'pad' })
      this.#watch()
    }, REQUEST_TIMEOUT_MS / 6)
  }

  #onClose(reason: unknown): void {
    this.#timer?.cancel()
    this.#ended = true
    const error = new MegatorrentError('ERR_CONNECTION_CLOSED', 'the connection closed', { cause: reason })
    const open = [...this.#requests.values()]
    if (this.#receiving !== null) open.push(this.#receiving)
    this.#requests.clear()
    this.#receiving = null
    this.#uploads.length = 0
    for (const request of open) if (!request.cancelled) request.reject(error)
    this.#onDrain()
    this.#handlers?.onClose(reason)
  }
}
