/**
 * Two hosts of a memory network under a clock that tests move: a responder that
 * knows a channel, whoever dials it, and first messages made to order.
 */

import { concatBytes, EMPTY_BYTES, equalBytes } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import {
  type ChannelKeys,
  channelKeys,
  dayOf,
  handshakeKey,
  hourOf,
} from '../../../src/crypto/key-schedule.ts'
import { HandshakeState } from '../../../src/crypto/noise.ts'
import { openFrame } from '../../../src/crypto/sealed-frame.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { Acceptor, type Door } from '../../../src/transport/acceptor.ts'
import { Connection, type ConnectionHandlers } from '../../../src/transport/connection.ts'
import { type InitiateOptions, initiateHandshake, type Secured } from '../../../src/transport/handshake.ts'
import {
  EphemeralMemory,
  type EphemeralStore,
  HandshakeKeyring,
  PROLOGUE,
} from '../../../src/transport/handshake-keys.ts'
import { encodeFirstPayload } from '../../../src/transport/handshake-payload.ts'
import { MemoryNetwork, type MemoryNetworkOptions } from '../../../src/transport/memory.ts'
import type { SecureChannel } from '../../../src/transport/secure-channel.ts'
import type { ByteStream, Listener } from '../../../src/transport/transport.ts'
import { encodeAddress } from '../../../src/wire/address.ts'
import { BLOB_BYTES, BLOB_FRAME_BYTES, BLOB_ID_BYTES } from '../../../src/wire/constants.ts'
import { encodeFrame } from '../../../src/wire/frame.ts'
import {
  type FramedKind,
  type Message,
  MessageAssembler,
  REQUEST_KINDS,
  splitMessage,
} from '../../../src/wire/message.ts'

export const random = seededRandom(20_26)
export const CHANNEL: ChannelKeys = channelKeys(new SigningKey(random.bytes(32)).publicKey)
export const PORT = 7000

/** An ephemeral store that a restart can be made with. */
export class MapStore implements EphemeralStore {
  readonly rows: { keyId: Uint8Array; ephemeral: Uint8Array; hour: number }[] = []

  load(): Iterable<{ keyId: Uint8Array; ephemeral: Uint8Array; hour: number }> {
    return [...this.rows]
  }

  add(keyId: Uint8Array, ephemeral: Uint8Array, hour: number): void {
    this.rows.push({ keyId, ephemeral, hour })
  }

  prune(beforeHour: number): void {
    const kept = this.rows.filter((row) => row.hour >= beforeHour)
    this.rows.splice(0, this.rows.length, ...kept)
  }
}

export interface ResponderOptions {
  readonly host?: string
  readonly channels?: readonly ChannelKeys[]
  readonly store?: EphemeralStore
  readonly trialsPerSecond?: number
}

/** A node as far as its listener goes. */
export class Responder {
  readonly host: string
  readonly nodeKey = new SigningKey(random.bytes(32))
  readonly keyring: HandshakeKeyring
  readonly store: EphemeralStore
  readonly secured: Secured[] = []
  readonly accepted: ByteStream[] = []
  /** What went wrong on its own side. */
  readonly errors: unknown[] = []
  readonly acceptor: Acceptor
  readonly door: Door
  #listener: Listener | null = null

  constructor(clock: ManualClock, options: ResponderOptions = {}) {
    this.host = options.host ?? '10.0.0.2'
    this.keyring = new HandshakeKeyring(this.nodeKey.publicKey)
    for (const keys of options.channels ?? [CHANNEL]) this.keyring.addChannel(keys)
    this.store = options.store ?? new MapStore()
    const own = encodeAddress({ kind: 'ipv4', host: this.host, port: PORT })
    const rate = options.trialsPerSecond ?? 12_000
    this.door = {
      candidates: (nowMs) => this.keyring.candidates(nowMs),
      isOwnAddress: (dialled) => equalBytes(dialled, own),
      nodeKey: this.nodeKey,
      onSecured: (secured) => this.secured.push(secured),
    }
    this.acceptor = new Acceptor({
      ephemerals: new EphemeralMemory(this.store),
      trials: new TokenBucket(clock, rate, rate),
      clock,
      random,
      log: { ...silentLog, error: (_message, fields) => void this.errors.push(fields?.why) },
    })
  }

  /** The address that a dialler names, ADDRESS_BYTES. */
  get address(): Uint8Array {
    return encodeAddress({ kind: 'ipv4', host: this.host, port: PORT })
  }

  async listen(network: MemoryNetwork): Promise<this> {
    this.#listener = await network.transport(this.host).listen({ host: this.host, port: PORT }, (stream) => {
      this.accepted.push(stream)
      this.acceptor.accept(stream, this.door)
    })
    return this
  }

  async stop(): Promise<void> {
    await this.#listener?.close()
    this.acceptor.close()
  }
}

export class Rig {
  readonly clock: ManualClock
  readonly network: MemoryNetwork

  constructor(options: MemoryNetworkOptions = {}, clock = new ManualClock()) {
    this.clock = clock
    this.network = new MemoryNetwork(clock, random, options)
  }

  responder(options: ResponderOptions = {}): Promise<Responder> {
    return new Responder(this.clock, options).listen(this.network)
  }

  async dial(to: Responder, from = '10.0.0.1'): Promise<ByteStream> {
    const dialling = this.network.transport(from).dial({ host: to.host, port: PORT }, { timeoutMs: 5000 })
    await this.clock.advance(2 * this.network.latencyMs)
    return dialling
  }

  /** As a swarm dials for a channel. */
  initiateOptions(to: Responder, changes: Partial<InitiateOptions> = {}): InitiateOptions {
    return {
      psk: handshakeKey(CHANNEL.secret, dayOf(this.clock.now())),
      purpose: { kind: 'channel', channel: CHANNEL },
      dialled: to.address,
      expectedNodeKey: null,
      nodeKey: null,
      clock: this.clock,
      random,
      ...changes,
    }
  }

  /** Both sides of a finished handshake, the dialler's first. */
  async secure(to: Responder, changes: Partial<InitiateOptions> = {}): Promise<[Secured, Secured]> {
    const stream = await this.dial(to)
    const before = to.secured.length
    const handshake = initiateHandshake(stream, this.initiateOptions(to, changes))
    await this.clock.advance(20 * this.network.latencyMs + 10)
    const ours = await handshake
    return [ours, to.secured[before] as Secured]
  }

  /** A connection, and what is at the other end of it: by default the connection is the responder's. */
  async meet(to: Responder, dials: 'raw' | 'peer' = 'raw'): Promise<{ peer: Peer; raw: RawPeer }> {
    const [ours, theirs] = await this.secure(to)
    const peer = new Peer(dials === 'raw' ? theirs : ours, this.clock)
    const raw = new RawPeer(dials === 'raw' ? ours : theirs)
    await this.clock.advance(0)
    return { peer, raw }
  }

  /** Two connections that talk, the dialler's first, with what their owners hear. */
  async connect(to: Responder, handlers: Partial<ConnectionHandlers> = {}): Promise<[Peer, Peer]> {
    const [ours, theirs] = await this.secure(to)
    return [new Peer(ours, this.clock, handlers), new Peer(theirs, this.clock, handlers)]
  }
}

/** A connection whose owner takes notes. */
export class Peer {
  readonly secured: Secured
  readonly connection: Connection
  readonly notices: unknown[] = []
  readonly closes: unknown[] = []
  /** What it holds, by the first byte of the id. */
  readonly blobs = new Map<number, Uint8Array>()
  readonly read: number[] = []
  head: Uint8Array | null = null
  onRead: (blobId: Uint8Array) => Promise<Uint8Array | null> = async (id) =>
    this.blobs.get(id[0] ?? 0) ?? null

  constructor(secured: Secured, clock: ManualClock, handlers: Partial<ConnectionHandlers> = {}) {
    this.secured = secured
    this.connection = new Connection(secured.channel, clock)
    this.connection.start(
      {
        onNotice: (notice) => this.notices.push(notice),
        readBlob: (blobId) => {
          this.read.push(blobId[0] ?? 0)
          return this.onRead(blobId)
        },
        readHead: () => this.head,
        onClose: (reason) => this.closes.push(reason),
        ...handlers,
      },
      secured.early,
    )
  }
}

/** The other end of a connection, which says what a test wants it to say and answers nothing by itself. */
export class RawPeer {
  readonly channel: SecureChannel
  /** Messages as they came; a blob that came with a DATA is named in its place. */
  readonly got: (Message | { type: 'blob'; bytes: Uint8Array })[] = []
  closes = 0

  constructor({ channel, early }: Secured) {
    this.channel = channel
    const assembler = new MessageAssembler()
    channel.start(
      {
        onSmallFrame: (plaintext) => {
          const message = assembler.push(plaintext)
          if (message === null) return 'small'
          this.got.push(message)
          return message.type === 'data' && FRAMED.has(message.kind) ? 'blob' : 'small'
        },
        onBlobFrame: (frame) => {
          const bytes = frame === null ? null : openFrame(frame)
          if (bytes !== null) this.got.push({ type: 'blob', bytes })
        },
        onDrain: () => {},
        onClose: () => {
          this.closes++
        },
      },
      early,
    )
  }

  /** Messages of one type, in order. */
  ofType<T extends Message['type']>(type: T): Extract<Message, { type: T }>[] {
    return this.got.filter((message): message is Extract<Message, { type: T }> => message.type === type)
  }

  send(...messages: readonly Message[]): void {
    for (const message of messages) for (const frame of splitMessage(message)) this.channel.sendSmall(frame)
  }

  /** As `send`, in pieces as large as TCP delivers them. */
  sendMany(messages: readonly Message[]): void {
    this.sendFrames(messages.flatMap(splitMessage))
  }

  /** Plaintexts of small frames, in pieces as large as TCP delivers them. */
  sendFrames(plaintexts: readonly Uint8Array[]): void {
    const { stream } = this.channel
    const write = stream.write.bind(stream)
    let held: Uint8Array[] = []
    stream.write = (bytes) => held.push(bytes) > 0
    for (const plaintext of plaintexts) {
      this.channel.sendSmall(plaintext)
      if (held.length < FRAMES_PER_WRITE) continue
      write(concatBytes(...held))
      held = []
    }
    write(concatBytes(...held))
    stream.write = write
  }

  /** A frame of any type, body and request id. */
  sendFrame(type: number, requestId: number, body: Uint8Array = EMPTY_BYTES, more = false): void {
    this.channel.sendSmall(encodeFrame({ type, requestId, body, more }))
  }

  requestBlob(requestId: number, first: number): void {
    this.send(blobRequest(requestId, first))
  }

  sendBlob(requestId: number, blob: Uint8Array, kind: FramedKind = REQUEST_KINDS.blob): void {
    this.send({ type: 'data', requestId, kind })
    const frame = new Uint8Array(BLOB_FRAME_BYTES)
    frame.set(blob)
    this.channel.sendBlob(frame)
  }
}

const FRAMED: ReadonlySet<unknown> = new Set([REQUEST_KINDS.blob, REQUEST_KINDS.slotSet])

/** Small frames in 64 KiB. */
const FRAMES_PER_WRITE = 64

export function blobRequest(requestId: number, first: number): Message {
  return { type: 'request', requestId, kind: REQUEST_KINDS.blob, blobId: idOf(first) }
}

/** A blob id that begins with that byte. */
export function idOf(first: number): Uint8Array {
  const id = new Uint8Array(BLOB_ID_BYTES)
  id[0] = first
  return id
}

/** A blob that is not another's. */
export function blobOf(first: number): Uint8Array {
  const blob = new Uint8Array(BLOB_BYTES)
  blob[0] = first
  blob[BLOB_BYTES - 1] = first
  return blob
}

export interface FirstMessageOptions {
  readonly psk: Uint8Array
  readonly hour?: number
  readonly dialled?: Uint8Array | null
  readonly ephemeral?: X25519KeyPair
  readonly prologue?: Uint8Array
  /** The whole payload instead of what §6.2 says. */
  readonly payload?: Uint8Array
}

/** A first message made to order, and the state to go on with. */
export function firstMessage(
  clock: ManualClock,
  options: FirstMessageOptions,
): { readonly bytes: Uint8Array; readonly state: HandshakeState } {
  const state = HandshakeState.start({
    pattern: 'XXpsk0',
    initiator: true,
    prologue: options.prologue ?? PROLOGUE,
    psk: options.psk,
    staticKey: X25519KeyPair.generate(random),
    ephemeralKey: options.ephemeral ?? X25519KeyPair.generate(random),
  })
  const hour = options.hour ?? hourOf(clock.now())
  const bytes = state.write(options.payload ?? encodeFirstPayload({ hour, dialled: options.dialled ?? null }))
  return { bytes, state }
}
