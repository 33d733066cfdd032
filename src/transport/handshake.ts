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
import { EMPTY_BYTES, equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { HANDSHAKE_ANSWER_UNITS, HANDSHAKE_DEADLINE_MS, HANDSHAKE_TRIALS_PER_SLICE } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
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
import type { HandshakeGate } from './handshake-gate.ts'
import { type EphemeralMemory, type HandshakeKey, type HandshakePurpose, PROLOGUE } from './handshake-keys.ts'
import {
  decodeFirstPayload,
  decodeIdentityPayload,
  encodeFirstPayload,
  encodeIdentityPayload,
} from './handshake-payload.ts'
import { HandshakeReader } from './handshake-reader.ts'
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
  readonly signal?: AbortSignal
}

/**
 * Be the initiator on a fresh stream.
 *
 * @throws MegatorrentError ERR_HANDSHAKE_FAILED (peer), ERR_TIMEOUT, ERR_CONNECTION_CLOSED or
 *   ERR_ABORTED; the stream is destroyed then.
 */
export async function initiateHandshake(stream: ByteStream, options: InitiateOptions): Promise<Secured> {
  const { clock, signal } = options
  let ranOut = false
  const deadline = clock.setTimer(() => {
    ranOut = true
    stream.destroy()
  }, HANDSHAKE_DEADLINE_MS)
  const onAbort = (): void => stream.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    return await initiate(stream, options)
  } catch (error) {
    stream.destroy()
    if (signal?.aborted) {
      throw new MegatorrentError('ERR_ABORTED', 'the handshake was called off', { cause: error })
    }
    if (ranOut) throw new MegatorrentError('ERR_TIMEOUT', 'the handshake took too long', { cause: error })
    throw error
  } finally {
    deadline.cancel()
    signal?.removeEventListener('abort', onAbort)
  }
}

async function initiate(stream: ByteStream, options: InitiateOptions): Promise<Secured> {
  const reader = new HandshakeReader(stream, false)
  const staticKey = X25519KeyPair.generate(options.random)
  const state = HandshakeState.start({
    pattern: 'XXpsk0',
    initiator: true,
    prologue: PROLOGUE,
    psk: options.psk,
    staticKey,
    ephemeralKey: X25519KeyPair.generate(options.random),
  })
  const hour = hourOf(options.clock.now())
  stream.write(state.write(encodeFirstPayload({ hour, dialled: options.dialled })))
  const second = state.read(await reader.take(HANDSHAKE_MESSAGE_2_BYTES))
  const remoteStatic = state.remoteStatic ?? EMPTY_BYTES
  const remoteNodeKey = decodeIdentityPayload(second.payload, ROLE_RESPONDER, remoteStatic, second.hash)
  if (remoteNodeKey === null) throw failure('the responder shows no node key')
  if (options.expectedNodeKey !== null && !equalBytes(remoteNodeKey, options.expectedNodeKey)) {
    throw failure('the responder is not the expected node')
  }
  // A responder has no keys for frames before it has read message 3.
  if (reader.restBytes > 0) throw failure('bytes follow message 2')
  const shown = options.expectedNodeKey === null ? null : options.nodeKey
  stream.write(state.write((hash) => encodeIdentityPayload(shown, ROLE_INITIATOR, staticKey.publicKey, hash)))
  return secured(stream, state.split(), reader.release(), ROLE_INITIATOR, remoteNodeKey, options.purpose)
}

export interface RespondOptions {
  /** Keys to try, the likeliest first. */
  readonly candidates: (nowMs: number) => Iterable<HandshakeKey>
  readonly ephemerals: EphemeralMemory
  /** Is this dialled address (ADDRESS_BYTES) one of ours, on this stream? */
  readonly isOwnAddress: (dialled: Uint8Array, stream: ByteStream) => boolean
  /** The key that we prove. */
  readonly nodeKey: SigningKey
  /** Whom it takes turns as: streams that may be of one host. */
  readonly group: string
  /** Bounds the work of all handshakes together. */
  readonly gate: HandshakeGate
  readonly clock: Clock
  /** Makes the keys of this handshake: the operating system's. */
  readonly random: Random
}

/**
 * Be the responder on a stream that was just accepted.
 *
 * @returns null when there is nobody to talk to, after the stream has closed: what came was
 *   drained until the deadline.
 * @throws what failed on our side, after the same silence and delay.
 */
export async function respondHandshake(stream: ByteStream, options: RespondOptions): Promise<Secured | null> {
  const deadline = options.clock.setTimer(() => stream.destroy(), HANDSHAKE_DEADLINE_MS)
  const reader = new HandshakeReader(stream, true)
  try {
    const result = await respond(stream, reader, options)
    return result ?? (await reader.drain())
  } catch (error) {
    await reader.drain() // the deadline closes it, as it closes all junk
    if (isMegatorrentError(error) && (error.kind === 'peer' || error.code === 'ERR_CONNECTION_CLOSED'))
      return null
    throw error
  } finally {
    deadline.cancel()
  }
}

async function respond(
  stream: ByteStream,
  reader: HandshakeReader,
  options: RespondOptions,
): Promise<Secured | null> {
  const { nodeKey, random, gate, group } = options
  const message = await reader.take(HANDSHAKE_MESSAGE_1_BYTES)
  // Nobody who waits for an answer has more to say.
  if (reader.restBytes > 0) return null
  const accepted = await acceptFirst(message, stream, reader, options)
  if (accepted === null) return null
  if (!(await gate.pass(group, HANDSHAKE_ANSWER_UNITS, () => reader.closed, true))) return null
  const staticKey = X25519KeyPair.generate(random)
  const ephemeralKey = X25519KeyPair.generate(random)
  const state = HandshakeState.respond(accepted.first, { staticKey, ephemeralKey })
  stream.write(
    state.write((hash) => encodeIdentityPayload(nodeKey, ROLE_RESPONDER, staticKey.publicKey, hash)),
  )
  const third = state.read(await reader.take(HANDSHAKE_MESSAGE_3_BYTES))
  const remoteStatic = state.remoteStatic ?? EMPTY_BYTES
  const remoteNodeKey = decodeIdentityPayload(third.payload, ROLE_INITIATOR, remoteStatic, third.hash)
  const { purpose } = accepted.key
  return secured(stream, state.split(), reader.release(), ROLE_RESPONDER, remoteNodeKey, purpose)
}

interface Accepted {
  readonly key: HandshakeKey
  readonly first: FirstMessage
}

async function acceptFirst(
  message: Uint8Array,
  stream: ByteStream,
  reader: HandshakeReader,
  options: RespondOptions,
): Promise<Accepted | null> {
  const { gate, group } = options
  const keys = [...options.candidates(options.clock.now())]
  for (let from = 0; from < keys.length; from += HANDSHAKE_TRIALS_PER_SLICE) {
    const slice = keys.slice(from, from + HANDSHAKE_TRIALS_PER_SLICE)
    if (!(await gate.pass(group, slice.length, () => reader.closed, from > 0))) return null
    for (const key of slice) {
      const first = key.prepared.open(message)
      if (first !== null) return isFresh(key, first, stream, options) ? { key, first } : null
    }
  }
  return null
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
  if (payload.dialled !== null) {
    if (key.purpose.kind !== 'channel' || !options.isOwnAddress(payload.dialled, stream)) return false
  }
  return options.ephemerals.accept(key, first.remoteEphemeral, hour)
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

function failure(why: string): MegatorrentError {
  return new MegatorrentError('ERR_HANDSHAKE_FAILED', `handshake: ${why}`)
}
