/**
 * A transport whose connections share limits of bytes a second, as counted on the
 * wire: handshakes and everything else that goes over a stream of it.
 *
 * What is sent waits here and is given to the system in pieces. What is received is
 * limited by not reading: the system's buffers fill, TCP closes its window, and
 * the sender really is slower. Without a limit bytes go straight through, and the
 * limit may come and go while the connection stands.
 *
 * @module transport/limited-stream
 */
import { RATE_PIECE_MAX_BYTES, WRITE_QUEUE_BYTES } from '../base/limits.ts'
import type { Flow, RateLimit, TransferLimits } from './rate-limit.ts'
import type { ByteStream, Endpoint, Listener, StreamHandlers, Transport } from './transport.ts'

interface Queued {
  readonly bytes: Uint8Array
  readonly onTaken: (() => void) | undefined
}

/** The same transport, within limits. */
export function limitTransport(transport: Transport, limits: TransferLimits): Transport {
  return {
    dial: async (endpoint, options) => new LimitedStream(await transport.dial(endpoint, options), limits),
    listen: (endpoint: Endpoint, onStream: (stream: ByteStream) => void): Promise<Listener> =>
      transport.listen(endpoint, (stream) => onStream(new LimitedStream(stream, limits))),
  }
}

class LimitedStream implements ByteStream {
  readonly #inner: ByteStream
  readonly #limit: RateLimit
  readonly #up: Flow
  readonly #down: Flow
  /** Not yet given to the stream below, the first one from `#offset` on. */
  #queue: Queued[] = []
  #offset = 0
  #queuedBytes = 0
  /** `write` gave false and no `onDrain` has followed yet. */
  #blocked = false
  #ended = false
  #closed = false
  #handlers: StreamHandlers | null = null
  /** Paused by the owner, and by the limit. */
  #ownerPaused = false
  #limitPaused = false

  constructor(inner: ByteStream, limits: TransferLimits) {
    this.#inner = inner
    this.#limit = limits.upload
    this.#up = limits.upload.open(() => this.#pump())
    this.#down = limits.download.open(() => this.#readOn())
  }

  get local(): Endpoint {
    return this.#inner.local
  }

  get remote(): Endpoint {
    return this.#inner.remote
  }

  get queuedBytes(): number {
    return this.#queuedBytes + this.#inner.queuedBytes
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers
    this.#ownerPaused = false
    const { onEnd } = handlers
    this.#inner.start({
      onData: (chunk) => {
        const mayReadOn = this.#down.passed(chunk.length)
        handlers.onData(chunk)
        if (!mayReadOn) this.#readLater()
      },
      onDrain: () => this.#drained(),
      ...(onEnd === undefined ? { onEnd: () => this.end() } : { onEnd: () => onEnd.call(handlers) }),
      onClose: () => {
        this.#forget()
        handlers.onClose()
      },
    })
    if (this.#limitPaused) this.#inner.pause()
  }

  write(bytes: Uint8Array, onTaken?: () => void): boolean {
    if (this.#closed || this.#ended) return true
    if (this.#queue.length === 0 && this.#limit.isUnlimited) {
      this.#blocked = !this.#inner.write(bytes, onTaken)
      return !this.#blocked
    }
    this.#queue.push({ bytes, onTaken })
    this.#queuedBytes += bytes.length
    this.#pump()
    this.#blocked = this.queuedBytes >= WRITE_QUEUE_BYTES
    return !this.#blocked
  }

  pause(): void {
    this.#ownerPaused = true
    this.#inner.pause()
  }

  resume(): void {
    this.#ownerPaused = false
    if (!this.#limitPaused) this.#inner.resume()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#queue.length === 0) this.#inner.end()
  }

  destroy(): void {
    this.#forget()
    this.#inner.destroy()
  }

  /** Give on what may pass, and little ahead: a peer that does not read takes no turns. */
  #pump(): void {
    while (!this.#closed && this.#inner.queuedBytes < RATE_PIECE_MAX_BYTES) {
      const first = this.#queue[0]
      if (first === undefined) break
      const { isUnlimited, pieceBytes } = this.#limit
      const end = isUnlimited ? first.bytes.length : this.#offset + pieceBytes
      const piece = first.bytes.subarray(this.#offset, end)
      if (!this.#up.take(piece.length)) {
        this.#up.wait()
        return
      }
      this.#queuedBytes -= piece.length
      this.#offset += piece.length
      const isWhole = this.#offset === first.bytes.length
      if (isWhole) {
        this.#queue.shift()
        this.#offset = 0
      }
      this.#inner.write(piece, () => {
        if (isWhole) first.onTaken?.()
        this.#pump()
        this.#drained()
      })
    }
    if (this.#ended && this.#queue.length === 0 && !this.#closed) this.#inner.end()
  }

  #drained(): void {
    if (!this.#blocked || this.#closed || this.queuedBytes >= WRITE_QUEUE_BYTES) return
    this.#blocked = false
    this.#handlers?.onDrain()
  }

  #readLater(): void {
    if (this.#closed || this.#limitPaused) return
    this.#limitPaused = true
    this.#inner.pause()
    this.#down.wait()
  }

  #readOn(): void {
    this.#limitPaused = false
    if (!this.#ownerPaused && !this.#closed) this.#inner.resume()
  }

  /** It is over: no turn is waited for any more. */
  #forget(): void {
    this.#closed = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#up.close()
    this.#down.close()
  }
}
