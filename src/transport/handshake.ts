/**
 * Drives the Noise handshake over a ByteStream, with a deadline
 * (PROTOCOL_FINAL.md §6.1 to §6.3).
 *
 * A responder answers only a first message that it accepts. Everything else is
 * read and dropped until the deadline and then closed: a prober sees the same
 * silence and the same delay whatever it sent.
 *
 * @module transport/handshake
 */
import { concatBytes, EMPTY_BYTES, equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { HANDSHAKE_DEADLINE_MS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { TokenBucket } from '../base/token-bucket.ts'
import { CounterCipher } from '../crypto/counter-cipher.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import { hourOf } from '../crypto/key-schedule.ts'
import { type FirstMessage, HandshakeState, type SplitKeys } from '../crypto/noise.ts'
import { ROLE_INITIATOR, ROLE_RESPONDER, type Role } from '../crypto/tags.ts'
import { wipe } from '../crypto/wipe.ts'
import { X25519KeyPair } from '../crypto/x25519.ts'
import {
  HANDSHAKE_HOUR_TOLERANCE,
  HANDSHAKE_MESSAGE_1_BYTES,
  HANDSHAKE_MESSAGE_2_BYTES,
  HANDSHAKE_MESSAGE_3_BYTES,
  REKEY_INTERVAL_FRAMES,
} from '../wire/constants.ts'
import { type EphemeralMemory, type HandshakeKey, type HandshakePurpose, PROLOGUE } from './handshake-keys.ts'
import {
  decodeFirstPayload,
  decodeIdentityPayload,
  encodeFirstPayload,
  encodeIdentityPayload,
} from './handshake-payload.ts'
import { SecureChannel } from './secure-channel.ts'
import type { ByteStream } from './transport.ts'

export interface Secured {
  readonly channel: SecureChannel
  /** Frames that came with the last handshake message: hand them to `Connection.start`. */
  readonly early: Uint8Array
  readonly role: Role
  readonly handshakeHash: Uint8Array
  /** The key that the other side proved, or null: initiators show none by default. */
  readonly remoteNodeKey: Uint8Array | null
  readonly purpose: HandshakePurpose
}

export interface InitiateOptions {
  readonly psk: Uint8Array
  readonly purpose: HandshakePurpose
  /** ADDRESS_BYTES for message 1, or null (§6.2). */
  readonly dialled: Uint8Array | null
  /** The key that the responder must prove, or null when any will do. */
  readonly expectedNodeKey: Uint8Array | null
  /** Shown only to a pinned responder. */
  readonly nodeKey: SigningKey | null
  readonly clock: Clock
  /** Makes the keys of this handshake: the operating system's. */
  readonly random: Random
}

/**
 * Be the initiator on a fresh stream.
 *
 * @throws MegatorrentError ERR_HANDSHAKE_FAILED, ERR_TIMEOUT or ERR_CONNECTION_CLOSED; the
 *   stream is destroyed then.
 */
export async function initiateHandshake(stream: ByteStream, options: InitiateOptions): Promise<Secured> {
  const { clock } = options
  const deadline = clock.setTimer(() => stream.destroy(), HANDSHAKE_DEADLINE_MS)
  try {
    const reader = new HandshakeReader(stream)
    const staticKey = X25519KeyPair.generate(options.random)
    const state = HandshakeState.start({
      pattern: 'XXpsk0',
      initiator: true,
      prologue: PROLOGUE,
      psk: options.psk,
      staticKey,
      ephemeralKey: X25519KeyPair.generate(options.random),
    })
    stream.write(state.write(encodeFirstPayload({ hour: hourOf(clock.now()), dialled: options.dialled })))
    const second = state.read(await reader.take(HANDSHAKE_MESSAGE_2_BYTES))
    const remoteStatic = state.remoteStatic ?? EMPTY_BYTES
    const remoteNodeKey = decodeIdentityPayload(second.payload, ROLE_RESPONDER, remoteStatic, second.hash)
    if (remoteNodeKey === null) throw failure('the responder shows no node key')
    if (options.expectedNodeKey !== null && !equalBytes(remoteNodeKey, options.expectedNodeKey)) {
      throw failure('the responder is not the expected node')
    }
    const shown = options.expectedNodeKey === null ? null : options.nodeKey
    stream.write(
      state.write((hash) => encodeIdentityPayload(shown, ROLE_INITIATOR, staticKey.publicKey, hash)),
    )
    return secured(stream, state.split(), reader.release(), ROLE_INITIATOR, remoteNodeKey, options.purpose)
  } catch (error) {
    stream.destroy()
    throw error
  } finally {
    deadline.cancel()
  }
}

export interface RespondOptions {
  /** Keys to try, the likeliest first. */
  readonly candidates: (nowMs: number) => Iterable<HandshakeKey>
  readonly ephemerals: EphemeralMemory
  /** Is this dialled address (ADDRESS_BYTES) one of ours, on this stream? */
  readonly isOwnAddress: (dialled: Uint8Array, stream: ByteStream) => boolean
  readonly nodeKey: SigningKey
  /** Bounds the trials of all handshakes together. */
  readonly trials: TokenBucket
  readonly clock: Clock
  /** Makes the keys of this handshake: the operating system's. */
  readonly random: Random
}

/**
 * Be the responder on a stream that was just accepted.
 *
 * @returns null when there is nobody to talk to, after the stream has closed: what came was
 *   drained until the deadline.
 */
export async function respondHandshake(stream: ByteStream, options: RespondOptions): Promise<Secured | null> {
  const { clock } = options
  const deadline = clock.setTimer(() => stream.destroy(), HANDSHAKE_DEADLINE_MS)
  const reader = new HandshakeReader(stream)
  try {
    const message = await reader.take(HANDSHAKE_MESSAGE_1_BYTES)
    const accepted = await acceptFirst(message, stream, options)
    if (accepted === null) return await reader.drain()
    const staticKey = X25519KeyPair.generate(options.random)
    const state = HandshakeState.respond(accepted.first, {
      staticKey,
      ephemeralKey: X25519KeyPair.generate(options.random),
    })
    const { nodeKey } = options
    stream.write(
      state.write((hash) => encodeIdentityPayload(nodeKey, ROLE_RESPONDER, staticKey.publicKey, hash)),
    )
    const third = state.read(await reader.take(HANDSHAKE_MESSAGE_3_BYTES))
    const remoteStatic = state.remoteStatic ?? EMPTY_BYTES
    const remoteNodeKey = decodeIdentityPayload(third.payload, ROLE_INITIATOR, remoteStatic, third.hash)
    const { purpose } = accepted.key
    const result = secured(stream, state.split(), reader.release(), ROLE_RESPONDER, remoteNodeKey, purpose)
    deadline.cancel()
    return result
  } catch (error) {
    if (!(error instanceof MegatorrentError)) {
      stream.destroy()
      throw error
    }
    return await reader.drain() // the deadline closes it, as it closes all junk
  }
}

interface Accepted {
  readonly key: HandshakeKey
  readonly first: FirstMessage
}

async function acceptFirst(
  message: Uint8Array,
  stream: ByteStream,
  options: RespondOptions,
): Promise<Accepted | null> {
  const { clock } = options
  for (const key of options.candidates(clock.now())) {
    if (!options.trials.take(1)) await waitForTrial(options)
    const first = key.prepared.open(message)
    if (first === null) continue
    return isFresh(key, first, stream, options) ? { key, first } : null
  }
  return null
}

/** Over the rate, a first message waits rather than fails: an honest peer is then late, not refused. */
function waitForTrial({ trials, clock }: RespondOptions): Promise<void> {
  return new Promise((resolve) => {
    const attempt = (): void => {
      if (trials.take(1)) resolve()
      else clock.setTimer(attempt, Math.max(1, trials.waitMs(1)))
    }
    attempt()
  })
}

/** Rules (2) to (4) of §6.3. The ephemeral key is remembered only when all else holds. */
function isFresh(
  key: HandshakeKey,
  first: FirstMessage,
  stream: ByteStream,
  options: RespondOptions,
): boolean {
  const payload = decodeFirstPayload(first.payload)
  if (payload === null) return false
  const hour = hourOf(options.clock.now())
  if (Math.abs(payload.hour - hour) > HANDSHAKE_HOUR_TOLERANCE) return false
  if (key.purpose.kind === 'channel' && payload.dialled !== null) {
    if (!options.isOwnAddress(payload.dialled, stream)) return false
  }
  return options.ephemerals.accept(key.keyId, first.remoteEphemeral, hour)
}

function secured(
  stream: ByteStream,
  keys: SplitKeys,
  early: Uint8Array,
  role: Role,
  remoteNodeKey: Uint8Array | null,
  purpose: HandshakePurpose,
): Secured {
  const channel = new SecureChannel(stream, {
    send: new CounterCipher(keys.sendKey, REKEY_INTERVAL_FRAMES),
    receive: new CounterCipher(keys.receiveKey, REKEY_INTERVAL_FRAMES),
  })
  wipe(keys.sendKey)
  wipe(keys.receiveKey)
  return { channel, early, role, handshakeHash: keys.handshakeHash, remoteNodeKey, purpose }
}

/** Collects the bytes of whole handshake messages, however the stream splits them. */
class HandshakeReader {
  readonly #stream: ByteStream
  #buffered: Uint8Array = EMPTY_BYTES
  #wanted = 0
  #resolve: ((bytes: Uint8Array) => void) | null = null
  #reject: ((error: unknown) => void) | null = null
  #discarding = false
  #drained: (() => void) | null = null
  #closed = false

  constructor(stream: ByteStream) {
    this.#stream = stream
    stream.start({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => {},
      onClose: () => this.#onClose(),
    })
  }

  take(count: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#wanted = count
      this.#resolve = resolve
      this.#reject = reject
      if (this.#closed) this.#onClose()
      else this.#deliver()
    })
  }

  /** Read and drop from now on. @returns null once the stream has closed. */
  drain(): Promise<null> {
    this.#discarding = true
    this.#buffered = EMPTY_BYTES
    this.#stream.resume()
    return new Promise((resolve) => {
      this.#drained = () => resolve(null)
      if (this.#closed) resolve(null)
    })
  }

  /** Give up the stream: what is left over belongs to the frames that follow. */
  release(): Uint8Array {
    this.#stream.pause()
    const rest = this.#buffered
    this.#buffered = EMPTY_BYTES
    return rest
  }

  #onData(chunk: Uint8Array): void {
    if (this.#discarding) return
    this.#buffered = concatBytes(this.#buffered, chunk)
    this.#deliver()
    // Nobody sends more than a message and the first frames before we have answered.
    if (this.#buffered.length > MAX_EARLY_BYTES) this.#stream.pause()
  }

  #deliver(): void {
    const resolve = this.#resolve
    if (resolve === null || this.#buffered.length < this.#wanted) return
    this.#resolve = null
    this.#reject = null
    const taken = this.#buffered.slice(0, this.#wanted)
    this.#buffered = this.#buffered.slice(this.#wanted)
    resolve(taken)
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

/** Bytes that may wait for a handshake message to be worked on: some messages and frames. */
const MAX_EARLY_BYTES = 65_536

function failure(why: string): MegatorrentError {
  return new MegatorrentError('ERR_HANDSHAKE_FAILED', `handshake: ${why}`)
}
