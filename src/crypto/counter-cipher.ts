/**
 * One direction of an encrypted stream: ChaCha20-Poly1305 under a counter that
 * cannot wrap, with a new key at a fixed interval (PROTOCOL_FINAL.md §6.4).
 *
 * With an interval that is never reached it is the CipherState of Noise after a
 * handshake, without additional data. Each direction has its own object and key:
 * one shared by both would use nonces twice.
 *
 * @module crypto/counter-cipher
 */
import { assertBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { KEY_BYTES, NONCE_BYTES, openInto, seal, sealInto, TAG_BYTES } from './aead.ts'
import type { FrameKey } from './sealed-frame.ts'
import { wipe } from './wipe.ts'

/** Width of the counter: what is written into the nonce, all of it. */
const COUNTER_BITS = 64n
/** The greatest value is kept for REKEY (Noise, section 5.1), so no frame is sealed with it. */
export const REKEY_COUNTER = 2n ** COUNTER_BITS - 1n
const COUNTER_OFFSET = 4

/** The nonce of Noise's ChaChaPoly: 4 zero bytes, then the counter, little-endian. */
export function counterNonce(counter: bigint): Uint8Array {
  if (counter < 0n || counter > REKEY_COUNTER) throw new RangeError('"counter" expected 64 bits')
  const nonce = new Uint8Array(NONCE_BYTES)
  new DataView(nonce.buffer).setBigUint64(COUNTER_OFFSET, counter, true)
  return nonce
}

/** REKEY(k) of Noise, section 4.2: a key from which the old one does not follow. @returns 32 fresh bytes. */
export function rekey(key: Uint8Array): Uint8Array {
  return seal(key, counterNonce(REKEY_COUNTER), new Uint8Array(KEY_BYTES)).slice(0, KEY_BYTES)
}

export class CounterCipher {
  readonly #rekeyInterval: bigint
  #key: Uint8Array
  #counter: bigint
  #usable = true

  /**
   * @param key - 32 bytes, copied; the caller may wipe its own.
   * @param rekeyInterval - frames under one key: REKEY_INTERVAL_FRAMES for our frames,
   *   Infinity for never.
   * @param firstCounter - for tests at the limit. A real stream begins at 0.
   */
  constructor(key: Uint8Array, rekeyInterval: number, firstCounter = 0n) {
    assertBytes(key, KEY_BYTES, 'key')
    if (
      rekeyInterval !== Number.POSITIVE_INFINITY &&
      !(Number.isSafeInteger(rekeyInterval) && rekeyInterval >= 1)
    ) {
      throw new RangeError(`"rekeyInterval" expected a whole number of frames, got ${rekeyInterval}`)
    }
    if (firstCounter < 0n || firstCounter > REKEY_COUNTER) {
      throw new RangeError('"firstCounter" expected 64 bits')
    }
    this.#key = new Uint8Array(key)
    this.#rekeyInterval = rekeyInterval === Number.POSITIVE_INFINITY ? 0n : BigInt(rekeyInterval)
    this.#counter = firstCounter
  }

  /** Frames sealed or opened so far. */
  get counter(): bigint {
    return this.#counter
  }

  /**
   * Seal the next frame.
   *
   * @param out - plaintext.length + 16 bytes, if the caller has memory for it; it may begin
   *   at the same byte as `plaintext`.
   * @returns `out`, or fresh bytes.
   * @throws MegatorrentError ERR_NONCE_EXHAUSTED when no counter is left: open a new connection.
   */
  seal(plaintext: Uint8Array, out: Uint8Array = new Uint8Array(plaintext.length + TAG_BYTES)): Uint8Array {
    const nonce = this.#nextNonce()
    sealInto(this.#key, nonce, plaintext, out)
    this.#advance()
    return out
  }

  /**
   * Open the next frame.
   *
   * @param out - sealed.length - 16 bytes, if the caller has memory for it; it may begin at
   *   the same byte as `sealed`.
   * @returns `out`, or fresh bytes; null if this is not the next frame of the stream. After
   *   null the stream is broken for good: the key is wiped and every later call throws.
   * @throws MegatorrentError ERR_NONCE_EXHAUSTED when no counter is left.
   */
  open(sealed: Uint8Array, out?: Uint8Array): Uint8Array | null {
    const nonce = this.#nextNonce()
    const plaintext = out ?? new Uint8Array(Math.max(0, sealed.length - TAG_BYTES))
    if (!openInto(this.#key, nonce, sealed, plaintext)) {
      this.destroy()
      return null
    }
    this.#advance()
    return plaintext
  }

  /**
   * Go on to the frame after the next without opening the next: its key goes to whoever opens it
   * (sealed-frame.ts), or is wiped if nobody does.
   *
   * @throws MegatorrentError ERR_NONCE_EXHAUSTED when no counter is left.
   */
  takeFrameKey(): FrameKey {
    const nonce = this.#nextNonce()
    const key = this.#key.slice()
    this.#advance()
    return { key, nonce }
  }

  /** Wipe the key. Every later call throws. */
  destroy(): void {
    this.#usable = false
    wipe(this.#key)
  }

  #nextNonce(): Uint8Array {
    if (!this.#usable) throw new MegatorrentError('ERR_BUG', 'cipher used after it failed or was destroyed')
    if (this.#counter >= REKEY_COUNTER) {
      throw new MegatorrentError('ERR_NONCE_EXHAUSTED', 'no nonce is left under this key')
    }
    return counterNonce(this.#counter)
  }

  #advance(): void {
    this.#counter++
    if (this.#rekeyInterval === 0n || this.#counter % this.#rekeyInterval !== 0n) return
    const previous = this.#key
    this.#key = rekey(previous)
    wipe(previous)
  }
}
