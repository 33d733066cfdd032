/**
 * SecureChannel: sealed frames of two sizes over a ByteStream
 * (PROTOCOL_FINAL.md §6.4).
 *
 * It knows sizes, keys and counters, and nothing of messages: its owner is given
 * the plaintext of each small frame and says whether a blob frame comes next.
 * The first frame that does not open ends the channel, without a word to the
 * other side.
 *
 * A blob frame is handed on as it came, with the key that opens it: opening it takes
 * as long as hashing it, so both are done in one place, away from the socket
 * (crypto/sealed-frame.ts). Whoever finds that it does not open ends the channel. One
 * that nobody wants any more is passed over without being held.
 *
 * @module transport/secure-channel
 */
import { MegatorrentError } from '../base/errors.ts'
import type { CounterCipher } from '../crypto/counter-cipher.ts'
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import { wipe } from '../crypto/wipe.ts'
import {
  BLOB_BYTES,
  BLOB_FRAME_BYTES,
  SMALL_FRAME_BYTES,
  SMALL_FRAME_PLAIN_BYTES,
} from '../wire/constants.ts'
import type { ByteStream } from './transport.ts'

/** What comes after a small frame: another one, the blob that it announced, or a blob not wanted any more. */
export type NextFrame = 'small' | 'blob' | 'unwanted blob'

export interface SecureChannelHandlers {
  /**
   * One small frame, opened. The view is valid only during the call.
   *
   * @returns `blob` exactly when a blob frame must follow; the owner has then accounted for its
   *   buffer of 1 MiB. Throws MegatorrentError of kind peer to end the channel.
   */
  onSmallFrame(plaintext: Uint8Array): NextFrame
  /** The blob frame, not opened yet, in memory that is the owner's from now on; or null if it was dropped. */
  onBlobFrame(frame: SealedFrame | null): void
  /** BLOB_FRAME_BYTES of memory with anything in it for a blob that comes in; where absent it is made. */
  blobBuffer?(): Uint8Array
  /** More may be sent after a `send` gave false. */
  onDrain(): void
  /** The last call, once. `reason` is null when the stream just closed. */
  onClose(reason: unknown): void
}

export interface ChannelCiphers {
  readonly send: CounterCipher
  readonly receive: CounterCipher
}

interface IncomingBlob {
  /** BLOB_FRAME_BYTES; null when it is dropped. */
  bytes: Uint8Array | null
  filled: number
}

export class SecureChannel {
  readonly stream: ByteStream
  readonly #ciphers: ChannelCiphers
  #handlers: SecureChannelHandlers | null = null
  #closed = false
  #reason: unknown = null
  #ending = false
  #readingPaused = false
  /** The small frame being received, and how much of it is there. Opened in place. */
  readonly #small = new Uint8Array(SMALL_FRAME_BYTES)
  #smallFilled = 0
  /** The blob frame being received; null while small frames are. */
  #blob: IncomingBlob | null = null
  #bytesIn = 0
  #bytesOut = 0

  /** @param ciphers - its own from now on: wiped when it closes. */
  constructor(stream: ByteStream, ciphers: ChannelCiphers) {
    this.stream = stream
    this.#ciphers = ciphers
  }

  /** Bytes of frames received and queued to be sent, sealed. The handshake is not counted. */
  get bytesIn(): number {
    return this.#bytesIn
  }

  get bytesOut(): number {
    return this.#bytesOut
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Begin to deliver. No handler is called before this has returned.
   *
   * @param early - bytes of frames that came with the last handshake message.
   */
  start(handlers: SecureChannelHandlers, early: Uint8Array): void {
    if (this.#closed) {
      queueMicrotask(() => handlers.onClose(this.#reason))
      return
    }
    this.#handlers = handlers
    queueMicrotask(() => {
      this.#receive(early)
      this.stream.start({
        onData: (chunk) => this.#receive(chunk),
        onDrain: () => handlers.onDrain(),
        // After its end nothing can be said or answered any more, so what is queued is for nobody.
        onEnd: () => this.destroy(),
        onClose: () => this.destroy(),
      })
      if (this.#readingPaused) this.stream.pause()
    })
  }

  /** @param plaintext - SMALL_FRAME_PLAIN_BYTES. Read, not kept. Returns false under back-pressure. */
  sendSmall(plaintext: Uint8Array): boolean {
    if (plaintext.length !== SMALL_FRAME_PLAIN_BYTES) {
      throw new RangeError(`"plaintext" expected ${SMALL_FRAME_PLAIN_BYTES} bytes, got ${plaintext.length}`)
    }
    return this.#write(plaintext)
  }

  /**
   * @param frame - BLOB_FRAME_BYTES that begin with the blob: sealed and sent where they are.
   * @param onTaken - called when the memory may be used again; never, if the channel closes before.
   * @returns false under back-pressure: wait for `onDrain`.
   */
  sendBlob(frame: Uint8Array, onTaken?: () => void): boolean {
    if (frame.length !== BLOB_FRAME_BYTES)
      throw new RangeError(`"frame" expected ${BLOB_FRAME_BYTES} bytes, got ${frame.length}`)
    return this.#write(frame.subarray(0, BLOB_BYTES), frame, onTaken)
  }

  /** Free the buffer of the blob that is coming in: the rest of it is passed over. */
  dropBlob(): void {
    if (this.#blob !== null) this.#blob.bytes = null
  }

  /** Let the other side feel back-pressure. What has been read from the system already is still delivered. */
  pauseReading(): void {
    this.#readingPaused = true
    this.stream.pause()
  }

  resumeReading(): void {
    if (this.#closed || !this.#readingPaused) return
    this.#readingPaused = false
    this.stream.resume()
  }

  /** Send what is queued, then our end. Nothing can be sent after it; frames still come in. */
  end(): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    this.stream.end()
  }

  /** Close at once, `onClose` included, and forget the keys. Idempotent. */
  destroy(reason: unknown = null): void {
    if (this.#closed) return
    this.#closed = true
    this.#reason = reason
    this.#blob = null
    this.stream.destroy()
    this.#ciphers.send.destroy()
    this.#ciphers.receive.destroy()
    this.#handlers?.onClose(reason)
  }

  #write(plaintext: Uint8Array, out?: Uint8Array, onTaken?: () => void): boolean {
    if (this.#closed || this.#ending) return true
    let frame: Uint8Array
    try {
      frame = this.#ciphers.send.seal(plaintext, out)
    } catch (error) {
      this.destroy(error) // no nonce is left: the other side would see one twice
      return true
    }
    this.#bytesOut += frame.length
    return this.stream.write(frame, onTaken)
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed) return
    this.#bytesIn += chunk.length
    try {
      for (let offset = 0; offset < chunk.length && !this.#closed; ) {
        const rest = chunk.subarray(offset)
        offset += this.#blob === null ? this.#takeSmall(rest) : this.#takeBlob(this.#blob, rest)
      }
    } catch (error) {
      this.destroy(error)
    }
  }

  /** @returns how many bytes of `rest` were taken. */
  #takeSmall(rest: Uint8Array): number {
    const part = rest.subarray(0, SMALL_FRAME_BYTES - this.#smallFilled)
    this.#small.set(part, this.#smallFilled)
    this.#smallFilled += part.length
    if (this.#smallFilled < SMALL_FRAME_BYTES) return part.length
    this.#smallFilled = 0
    const { receive } = this.#ciphers
    const plaintext = receive.open(this.#small, this.#small.subarray(0, SMALL_FRAME_PLAIN_BYTES))
    if (plaintext === null) throw notOpened()
    const next = this.#handlers?.onSmallFrame(plaintext) ?? 'small'
    if (next === 'small' || this.#closed) return part.length
    const makeBuffer = (): Uint8Array => this.#handlers?.blobBuffer?.() ?? new Uint8Array(BLOB_FRAME_BYTES)
    this.#blob = { bytes: next === 'blob' ? makeBuffer() : null, filled: 0 }
    return part.length
  }

  /** As `#takeSmall`. */
  #takeBlob(blob: IncomingBlob, rest: Uint8Array): number {
    const part = rest.subarray(0, BLOB_FRAME_BYTES - blob.filled)
    blob.bytes?.set(part, blob.filled)
    blob.filled += part.length
    if (blob.filled < BLOB_FRAME_BYTES) return part.length
    this.#blob = null
    const frameKey = this.#ciphers.receive.takeFrameKey()
    if (blob.bytes === null) wipe(frameKey.key)
    this.#handlers?.onBlobFrame(blob.bytes === null ? null : { bytes: blob.bytes, ...frameKey })
    return part.length
  }
}

function notOpened(): MegatorrentError {
  return new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open')
}
