/**
 * Two hosts of a memory network under a clock that tests move: a responder that
 * knows a channel, whoever dials it, and first messages made to order.
 */

import { equalBytes } from '../../../src/base/bytes.ts'
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
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { Acceptor } from '../../../src/transport/acceptor.ts'
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
import type { ByteStream, Listener } from '../../../src/transport/transport.ts'
import { encodeAddress } from '../../../src/wire/address.ts'

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
  #listener: Listener | null = null

  constructor(clock: ManualClock, options: ResponderOptions = {}) {
    this.host = options.host ?? '10.0.0.2'
    this.keyring = new HandshakeKeyring(this.nodeKey.publicKey)
    for (const keys of options.channels ?? [CHANNEL]) this.keyring.addChannel(keys)
    this.store = options.store ?? new MapStore()
    const own = encodeAddress({ kind: 'ipv4', host: this.host, port: PORT })
    const rate = options.trialsPerSecond ?? 12_000
    this.acceptor = new Acceptor({
      candidates: (nowMs) => this.keyring.candidates(nowMs),
      ephemerals: new EphemeralMemory(this.store),
      isOwnAddress: (dialled) => equalBytes(dialled, own),
      nodeKey: this.nodeKey,
      trials: new TokenBucket(clock, rate, rate),
      clock,
      random,
      onSecured: (secured) => this.secured.push(secured),
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
      this.acceptor.accept(stream)
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

  /** Two connections that talk, the dialler's first, with what their owners hear. */
  async connect(to: Responder): Promise<[Peer, Peer]> {
    const [ours, theirs] = await this.secure(to)
    return [new Peer(ours, this.clock), new Peer(theirs, this.clock)]
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
