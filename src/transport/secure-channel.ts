/**
 * SecureChannel: sealed frames of two sizes over a ByteStream
 * (PROTOCOL_FINAL.md §6.4).
 *
 * It knows sizes, keys and counters, and nothing of messages: its owner is given
 * the plaintext of each small frame and says whether a blob frame comes next.
 * The first frame that does not open ends the channel, without a word to the
 * other side.
 *
 * @module transport/secure-channel
 */
import { MegatorrentError } from '../base/errors.ts'
import type { CounterCipher } from '../crypto/counter-cipher.ts'
import {
  BLOB_BYTES,
  BLOB_FRAME_BYTES,
  SMALL_FRAME_BYTES,
  SMALL_FRAME_PLAIN_BYTES,
} from '../wire/constants.ts'
import type { ByteStream } from './transport.ts'

/** What comes after a small frame: another small one, or the blob that it announced. */
export type NextFrame = 'small' | 'blob'

export interface SecureChannelHandlers {
  /**
   * One small frame, opened. The view is valid only during the call.
   *
   * @returns 'blob' exactly when a blob frame must follow; the owner has then
   *   accounted for its buffer. Throws MegatorrentError of kind peer to end the channel.
   */
  onSmallFrame(plaintext: Uint8Array): NextFrame
  /** The blob frame, opened: BLOB_BYTES in a buffer of its own that the owner may keep. */
  onBlobFrame(blob: Uint8Array): void
  /** More may be sent after `sendBlob` gave false. */
  onDrain(): void
  /** The last call, once. `reason` is null when the stream just closed. */
  onClose(reason: unknown): void
}

export interface ChannelCiphers {
  readonly send: CounterCipher
  readonly receive: CounterCipher
}

export class SecureChannel {
  readonly stream: ByteStream
  readonly #ciphers: ChannelCiphers
  #handlers: SecureChannelHandlers | null = null
  #closed = false
  /** Sealed bytes of the frame being received. The blob buffer lives only while a blob comes in. */
  readonly #small = new Uint8Array(SMALL_FRAME_BYTES)
  #target: Uint8Array = this.#small
  #filled = 0
  #bytesIn = 0
  #bytesOut = 0

  constructor(stream: ByteStream, ciphers: ChannelCiphers) {
    this.stream = stream
    this.#ciphers = ciphers
  }

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
   * Begin to deliver.
   *
   * @param early - bytes of frames that came with the last handshake message.
   */
  start(handlers: SecureChannelHandlers, early: Uint8Array): void {
    this.#handlers = handlers
    // The early bytes go first: the stream delivers nothing before its own start.
    if (early.length > 0) this.#receive(early)
    this.stream.start({
      onData: (chunk) => this.#receive(chunk),
      onDrain: () => handlers.onDrain(),
      onClose: () => this.#end(null),
    })
  }

  /** @param plaintext - SMALL_FRAME_PLAIN_BYTES. Read, not kept. Returns false under back-pressure. */
  sendSmall(plaintext: Uint8Array): boolean {
    if (plaintext.length !== SMALL_FRAME_PLAIN_BYTES) {
      throw new RangeError(`"plaintext" expected ${SMALL_FRAME_PLAIN_BYTES} bytes, got ${plaintext.length}`)
    }
    return this.#write(plaintext)
  }

  /** @param blob - BLOB_BYTES. Read, not kept. Returns false under back-pressure: wait for `onDrain`. */
  sendBlob(blob: Uint8Array): boolean {
    if (blob.length !== BLOB_BYTES)
      throw new RangeError(`"blob" expected ${BLOB_BYTES} bytes, got ${blob.length}`)
    return this.#write(blob)
  }

  /** Send what is queued, then close. */
  end(): void {
    if (!this.#closed) this.stream.end()
  }

  /** Close at once. */
  destroy(reason: unknown = null): void {
    if (this.#closed) return
    this.stream.destroy()
    this.#end(reason)
  }

  #write(plaintext: Uint8Array): boolean {
    if (this.#closed) return true
    const frame = this.#ciphers.send.seal(plaintext)
    this.#bytesOut += frame.length
    return this.stream.write(frame)
  }

  #receive(chunk: Uint8Array): void {
    this.#bytesIn += chunk.length
    for (let offset = 0; offset < chunk.length && !this.#closed; ) {
      const part = chunk.subarray(offset, offset + this.#target.length - this.#filled)
      this.#target.set(part, this.#filled)
      this.#filled += part.length
      offset += part.length
      if (this.#filled === this.#target.length) this.#openFrame()
    }
  }

  #openFrame(): void {
    const sealed = this.#target
    this.#target = this.#small
    this.#filled = 0
    try {
      const plaintext = this.#ciphers.receive.open(sealed)
      if (plaintext === null) throw new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open')
      if (sealed !== this.#small) this.#handlers?.onBlobFrame(plaintext)
      else if (this.#handlers?.onSmallFrame(plaintext) === 'blob')
        this.#target = new Uint8Array(BLOB_FRAME_BYTES)
    } catch (error) {
      this.destroy(error)
    }
  }

  #end(reason: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#target = this.#small
    this.#handlers?.onClose(reason)
  }
}
