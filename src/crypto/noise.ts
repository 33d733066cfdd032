/**
 * Noise XX and XXpsk0 with 25519, ChaChaPoly and SHA-256 (PROTOCOL_FINAL.md §6.1):
 * bytes in and bytes out, no I/O, no randomness, no clock.
 *
 *   XX                        XXpsk0
 *     -> e                      -> psk, e
 *     <- e, ee, s, es           <- e, ee, s, es
 *     -> s, se                  -> s, se
 *
 * The daemon speaks XXpsk0 alone. XX is here because more public vectors exist
 * for it and it is the same code.
 *
 * A responder that has many pre-shared keys prepares each once (`PreparedPsk`)
 * and tries them on the first message: a trial costs one hash, one HKDF and one
 * AEAD opening, and leaves nothing behind when it fails.
 *
 * What follows the handshake is crypto/counter-cipher.ts under the keys of `split`.
 *
 * @module crypto/noise
 */
import { assertBytes, concatBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { TAG_BYTES } from './aead.ts'
import { SymmetricState } from './noise-state.ts'
import { X25519_KEY_BYTES, type X25519KeyPair } from './x25519.ts'

export const PSK_BYTES = 32
export const HANDSHAKE_HASH_BYTES = 32
/** Noise, section 3. */
export const MAX_NOISE_MESSAGE_BYTES = 65_535

export type NoisePattern = 'XX' | 'XXpsk0'
type Token = 'psk' | 'e' | 's' | 'ee' | 'es' | 'se'

const TAIL: readonly (readonly Token[])[] = [
  ['e', 'ee', 's', 'es'],
  ['s', 'se'],
]
const MESSAGES: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  XX: [['e'], ...TAIL],
  XXpsk0: [['psk', 'e'], ...TAIL],
}
const SUITE = '25519_ChaChaPoly_SHA256'

/** This side's own keys. */
export interface LocalKeys {
  readonly staticKey: X25519KeyPair
  /** Fresh for each handshake. A fixed one is for vectors. */
  readonly ephemeralKey: X25519KeyPair
}

export interface HandshakeInit extends LocalKeys {
  readonly pattern: NoisePattern
  readonly initiator: boolean
  /** Both sides must have the same, or nothing opens. */
  readonly prologue: Uint8Array
  /** 32 bytes, for XXpsk0 and only there. */
  readonly psk?: Uint8Array
}

/** Where a handshake stands when a state is made for it. */
interface Progress {
  readonly pattern: NoisePattern
  /** Still to be mixed in, if `next` is 0. */
  readonly psk: Uint8Array | null
  readonly symmetric: SymmetricState
  readonly remoteEphemeral: Uint8Array | null
  readonly next: number
}

/** A message that opened. */
export interface ReadMessage {
  /** Fresh bytes. */
  readonly payload: Uint8Array
  /** The handshake hash just before the payload was decrypted: what certificates sign (§6.2). */
  readonly hash: Uint8Array
}

/** What a finished handshake leaves. */
export interface SplitKeys {
  /** 32 bytes: the key of the frames that this side sends. */
  readonly sendKey: Uint8Array
  /** 32 bytes: the key of the frames that this side receives. */
  readonly receiveKey: Uint8Array
  /** 32 bytes, the same on both sides and unlike those of any other handshake. */
  readonly handshakeHash: Uint8Array
}

/**
 * The payload of a message: bytes, or a function of the handshake hash just before the payload
 * is encrypted, for payloads that sign it.
 */
export type PayloadSource = Uint8Array | ((hash: Uint8Array) => Uint8Array)

/** One side of one handshake. After any failure it is of no more use, and says so. */
export class HandshakeState {
  readonly #initiator: boolean
  readonly #pattern: NoisePattern
  readonly #psk: Uint8Array | null
  readonly #keys: LocalKeys
  readonly #symmetric: SymmetricState
  #remoteStatic: Uint8Array | null = null
  #remoteEphemeral: Uint8Array | null
  /** Messages written and read so far; the initiator writes the even ones. */
  #next: number
  #failed = false

  /** Use `start` or `respond`. */
  private constructor(initiator: boolean, keys: LocalKeys, from: Progress) {
    this.#initiator = initiator
    this.#keys = keys
    this.#pattern = from.pattern
    this.#psk = from.psk
    this.#symmetric = from.symmetric
    this.#remoteEphemeral = from.remoteEphemeral
    this.#next = from.next
  }

  /** Begin before the first message, on either side. */
  static start(init: HandshakeInit): HandshakeState {
    const { pattern, prologue, psk = null } = init
    if ((pattern === 'XXpsk0') !== (psk !== null))
      throw new TypeError('"psk" expected with XXpsk0 and only there')
    if (psk !== null) assertBytes(psk, PSK_BYTES, 'psk')
    const symmetric = startSymmetric(pattern, prologue)
    return new HandshakeState(init.initiator, init, {
      pattern,
      psk,
      symmetric,
      remoteEphemeral: null,
      next: 0,
    })
  }

  /** Go on as the responder after a first message that `PreparedPsk.open` has read: `write` comes next. */
  static respond(first: FirstMessage, keys: LocalKeys): HandshakeState {
    return new HandshakeState(false, keys, {
      pattern: 'XXpsk0',
      psk: null,
      symmetric: first.state.clone(),
      remoteEphemeral: first.remoteEphemeral,
      next: 1,
    })
  }

  /** Have all three messages been exchanged? */
  get finished(): boolean {
    return !this.#failed && this.#next === MESSAGES[this.#pattern].length
  }

  /** 32 bytes, or null before the message that carries it. */
  get remoteStatic(): Uint8Array | null {
    return this.#remoteStatic
  }

  /** 32 bytes, or null before the message that carries it. */
  get remoteEphemeral(): Uint8Array | null {
    return this.#remoteEphemeral
  }

  /**
   * Write the next message, which must be this side's.
   *
   * @returns fresh bytes.
   * @throws MegatorrentError ERR_HANDSHAKE_FAILED if the other side's keys give a zero secret.
   * @throws RangeError if the message would be over 65,535 bytes.
   */
  write(payload: PayloadSource): Uint8Array {
    const symmetric = this.#begin(true)
    const parts: Uint8Array[] = []
    for (const token of this.#tokens()) {
      if (token === 'e') {
        parts.push(this.#keys.ephemeralKey.publicKey)
        this.#mixEphemeral(this.#keys.ephemeralKey.publicKey)
      } else if (token === 's') {
        parts.push(symmetric.encryptAndHash(this.#keys.staticKey.publicKey))
      } else {
        this.#mixSecret(token)
      }
    }
    parts.push(symmetric.encryptAndHash(typeof payload === 'function' ? payload(symmetric.hash) : payload))
    const message = concatBytes(...parts)
    if (message.length > MAX_NOISE_MESSAGE_BYTES) {
      throw new RangeError(`"payload" makes a message of ${message.length} bytes`)
    }
    this.#end()
    return message
  }

  /**
   * Read the next message, which must be the other side's, whole.
   *
   * @throws MegatorrentError ERR_HANDSHAKE_FAILED if it is too short or too long, does not
   *   open, or its keys give a zero secret. The other side is not told which.
   */
  read(message: Uint8Array): ReadMessage {
    const symmetric = this.#begin(false)
    if (message.length > MAX_NOISE_MESSAGE_BYTES) throw failure('message is too long')
    let offset = 0
    const take = (length: number): Uint8Array => {
      if (message.length - offset < length) throw failure('message is too short')
      offset += length
      return new Uint8Array(message.subarray(offset - length, offset))
    }
    for (const token of this.#tokens()) {
      if (token === 'e') {
        this.#remoteEphemeral = take(X25519_KEY_BYTES)
        this.#mixEphemeral(this.#remoteEphemeral)
      } else if (token === 's') {
        const sealed = take(symmetric.hasKey ? X25519_KEY_BYTES + TAG_BYTES : X25519_KEY_BYTES)
        this.#remoteStatic = symmetric.decryptAndHash(sealed)
        if (this.#remoteStatic === null) throw failure('static key does not open')
      } else {
        this.#mixSecret(token)
      }
    }
    const hash = symmetric.hash
    const payload = symmetric.decryptAndHash(message.subarray(offset))
    if (payload === null) throw failure('payload does not open')
    this.#end()
    return { payload, hash }
  }

  /** The keys of the two directions. Only when `finished`; the state is of no more use after it. */
  split(): SplitKeys {
    if (!this.finished) throw new MegatorrentError('ERR_BUG', 'split before the handshake was finished')
    this.#failed = true
    const [initiatorKey, responderKey] = this.#symmetric.split()
    return {
      sendKey: this.#initiator ? initiatorKey : responderKey,
      receiveKey: this.#initiator ? responderKey : initiatorKey,
      handshakeHash: this.#symmetric.hash,
    }
  }

  #begin(writing: boolean): SymmetricState {
    const ours = this.#initiator === (this.#next % 2 === 0)
    if (this.#failed || this.#next >= MESSAGES[this.#pattern].length || ours !== writing) {
      throw new MegatorrentError('ERR_BUG', 'handshake used after its end or out of turn')
    }
    // Cleared by #end: whatever is thrown in between leaves a state that cannot be used.
    this.#failed = true
    return this.#symmetric
  }

  #end(): void {
    this.#next++
    this.#failed = false
  }

  #tokens(): readonly Token[] {
    return MESSAGES[this.#pattern][this.#next] ?? []
  }

  #mixEphemeral(publicKey: Uint8Array): void {
    mixEphemeral(this.#symmetric, publicKey, this.#pattern)
  }

  #mixSecret(token: Exclude<Token, 'e' | 's'>): void {
    if (token === 'psk') {
      if (this.#psk !== null) this.#symmetric.mixKeyAndHash(this.#psk)
      return
    }
    // The first letter is the initiator's key, the second the responder's.
    const [initiatorKey, responderKey] = token
    const ours =
      (this.#initiator ? initiatorKey : responderKey) === 'e' ? this.#keys.ephemeralKey : this.#keys.staticKey
    const theirs =
      (this.#initiator ? responderKey : initiatorKey) === 'e' ? this.#remoteEphemeral : this.#remoteStatic
    const shared = theirs === null ? null : ours.dh(theirs)
    if (shared === null) throw failure('key agreement gives zero')
    this.#symmetric.mixKey(shared)
  }
}

/** A first message that opened under a pre-shared key. */
export interface FirstMessage extends ReadMessage {
  /** 32 bytes: what a responder remembers against replay (§6.3). */
  readonly remoteEphemeral: Uint8Array
  /** For `HandshakeState.respond`. */
  readonly state: SymmetricState
}

/** One pre-shared key made ready to be tried on first messages. Never changes. */
export class PreparedPsk {
  readonly #state: SymmetricState

  /** @param psk - 32 bytes; not kept. */
  constructor(prologue: Uint8Array, psk: Uint8Array) {
    assertBytes(psk, PSK_BYTES, 'psk')
    this.#state = startSymmetric('XXpsk0', prologue)
    this.#state.mixKeyAndHash(psk)
  }

  /**
   * Try this key on a first message of XXpsk0.
   *
   * @param message - whole, of any length.
   * @returns null if it does not open. Cost: about 20 us, and no public-key work.
   */
  open(message: Uint8Array): FirstMessage | null {
    if (message.length < X25519_KEY_BYTES + TAG_BYTES || message.length > MAX_NOISE_MESSAGE_BYTES) return null
    const state = this.#state.clone()
    const remoteEphemeral = new Uint8Array(message.subarray(0, X25519_KEY_BYTES))
    mixEphemeral(state, remoteEphemeral, 'XXpsk0')
    const hash = state.hash
    const payload = state.decryptAndHash(message.subarray(X25519_KEY_BYTES))
    return payload === null ? null : { payload, hash, remoteEphemeral, state }
  }
}

function startSymmetric(pattern: NoisePattern, prologue: Uint8Array): SymmetricState {
  const symmetric = new SymmetricState(`Noise_${pattern}_${SUITE}`)
  symmetric.mixHash(prologue)
  return symmetric
}

// Section 9.2: where a pre-shared key is used, each ephemeral key is mixed into the key too.
function mixEphemeral(symmetric: SymmetricState, publicKey: Uint8Array, pattern: NoisePattern): void {
  symmetric.mixHash(publicKey)
  if (pattern === 'XXpsk0') symmetric.mixKey(publicKey)
}

function failure(why: string): MegatorrentError {
  return new MegatorrentError('ERR_HANDSHAKE_FAILED', `handshake: ${why}`)
}
