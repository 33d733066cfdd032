/**
 * Collects the bytes of whole handshake messages, however the stream splits them,
 * and hands the stream over without losing one.
 *
 * It holds one message at most: once that is complete it pauses the stream, so
 * that whoever floods a handshake waits in the system's buffers.
 *
 * @module transport/handshake-reader
 */
import { concatBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { ByteStream } from './transport.ts'

export class HandshakeReader {
  readonly #stream: ByteStream
  /** The message being collected; null between two. */
  #message: Uint8Array | null = null
  #filled = 0
  /** What came in one piece with the end of the last message. */
  #rest: Uint8Array = EMPTY_BYTES
  #resolve: ((bytes: Uint8Array) => void) | null = null
  #reject: ((error: unknown) => void) | null = null
  #discarding = false
  #drained: (() => void) | null = null
  #closed = false

  /**
   * @param staysOpen - when the other side ends, keep our side open and silent until somebody
   *   destroys the stream: a responder must not tell by closing early. Else the stream is destroyed.
   */
  constructor(stream: ByteStream, staysOpen: boolean) {
    this.#stream = stream
    stream.start({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => {},
      onEnd: () => {
        if (!staysOpen) stream.destroy()
      },
      onClose: () => this.#onClose(),
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes of what follows the last message that are here already. */
  get restBytes(): number {
    return this.#rest.length
  }

  /**
   * The next `count` bytes. The stream is paused when they are complete.
   *
   * @throws MegatorrentError ERR_CONNECTION_CLOSED.
   */
  take(count: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#message = new Uint8Array(count)
      this.#filled = 0
      const rest = this.#rest
      this.#rest = EMPTY_BYTES
      this.#stream.resume()
      if (this.#closed) this.#onClose()
      else this.#onData(rest)
    })
  }

  /** Read and drop from now on. @returns null once the stream has closed. */
  drain(): Promise<null> {
    this.#discarding = true
    this.#message = null
    this.#rest = EMPTY_BYTES
    this.#stream.resume()
    return new Promise((resolve) => {
      this.#drained = () => resolve(null)
      if (this.#closed) resolve(null)
    })
  }

  /** Give up the stream, which is paused: what is left over belongs to the frames that follow. */
  release(): Uint8Array {
    const rest = this.#rest
    this.#rest = EMPTY_BYTES
    return rest
  }

  #onData(chunk: Uint8Array): void {
    if (this.#discarding) return
    const message = this.#message
    if (message === null) {
      this.#rest = concatBytes(this.#rest, chunk)
      return
    }
    const part = chunk.subarray(0, message.length - this.#filled)
    message.set(part, this.#filled)
    this.#filled += part.length
    if (this.#filled < message.length) return
    this.#stream.pause()
    this.#message = null
    this.#rest = chunk.slice(part.length)
    this.#resolve?.(message)
    this.#resolve = null
    this.#reject = null
  }

  #onClose(): void {
    this.#closed = true
    this.#drained?.()
    this.#reject?.(
      new MegatorrentError('ERR_CONNECTION_CLOSED', 'the connection closed during the handshake'),
    )
    this.#resolve = null
    this.#reject = null
  }
}
