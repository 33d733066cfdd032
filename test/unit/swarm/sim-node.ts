/**
 * Nodes of a simulation: swarm, handshakes and a store in memory, over a network in
 * memory, under a clock that tests move. No disk, no sockets, one process.
 */

import { concatBytes, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import type { Clock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { type Log, silentLog } from '../../../src/base/log.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { label } from '../../../src/crypto/domains.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { type ChannelKeys, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { openFrame, type SealedFrame } from '../../../src/crypto/sealed-frame.ts'
import type { Placement, PutOptions, PutResult } from '../../../src/storage/blob-store.ts'
import { type Ban, Bans } from '../../../src/swarm/bans.ts'
import type { ReleaseId, SwarmChannel } from '../../../src/swarm/channel.ts'
import type { FetchOptions, Wants } from '../../../src/swarm/fetch.ts'
import type { Gateway } from '../../../src/swarm/gateway-desk.ts'
import type { JoinSwarm } from '../../../src/swarm/joined.ts'
import { Swarm, type SwarmStore } from '../../../src/swarm/swarm.ts'
import { Acceptor, type Door } from '../../../src/transport/acceptor.ts'
import type { Secured } from '../../../src/transport/handshake.ts'
import { EphemeralMemory, HandshakeKeyring } from '../../../src/transport/handshake-keys.ts'
import type { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import type { Address, PeerAddress } from '../../../src/wire/address.ts'
import { blobId, blobReference, verifyBlob } from '../../../src/wire/blob.ts'
import { BLOB_BYTES, BLOB_ID_BYTES, HEAD_SIGNED_BYTES } from '../../../src/wire/constants.ts'
import { type Head, headHash, signHead, slotVersion, verifyHead } from '../../../src/wire/head.ts'

export const SIM_PORT = 7117

/** A channel with its publisher's key. */
export class SimChannel {
  readonly seed: Uint8Array
  readonly keys: ChannelKeys
  readonly #signingKey: SigningKey

  constructor(seed: number) {
    this.seed = seededRandom(seed).bytes(32)
    const { signingKey, ...keys } = publisherKeys(this.seed)
    this.keys = keys
    this.#signingKey = signingKey
  }

  head(
    release: Pick<SimRelease, 'id'>,
    number: number,
    previous: Head | null = null,
    addresses: Address[] = [],
  ): Head {
    return signHead(
      {
        releaseNumber: number,
        revision: 0,
        signedAt: Date.UTC(2026, 0, 1),
        root: blobReference(release.id(0), new Uint8Array(32).fill(1)),
        previousHash: previous === null ? null : headHash(previous.bytes),
        successorKey: null,
        addresses,
      },
      this.#signingKey,
    )
  }

  /** The bytes of a head with one byte changed, signed again: what a later version might look like. */
  resigned(head: Head, offset: number, value: number): Uint8Array {
    const bytes = head.bytes.slice()
    bytes[offset] = value
    const signed = concatBytes(label('head'), bytes.subarray(0, HEAD_SIGNED_BYTES))
    bytes.set(this.#signingKey.sign(signed), HEAD_SIGNED_BYTES)
    return bytes
  }
}

/** Blobs that are nothing but bytes. The same seed gives the same blobs. */
export class SimRelease {
  readonly #blobs: Uint8Array[] = []
  readonly #ids: Uint8Array[] = []

  constructor(seed: number, count: number) {
    for (let index = 0; index < count; index++) {
      const blob = Buffer.alloc(BLOB_BYTES, Buffer.from(`${seed}/${index} `))
      this.#blobs.push(blob)
      this.#ids.push(blobId(blob))
    }
  }

  get count(): number {
    return this.#ids.length
  }

  get indexes(): number[] {
    return this.#ids.map((_, index) => index)
  }

  id(index: number): Uint8Array {
    return this.#ids[index] as Uint8Array
  }

  blob(index: number): Uint8Array {
    return this.#blobs[index] as Uint8Array
  }

  releaseId(number: number): ReleaseId {
    return { number, rootId: this.id(0) }
  }

  get wants(): Wants {
    return { indexes: this.indexes, idOf: (index) => this.id(index) }
  }
}

/** Keeps what hashes right; can be told to fail. */
export class SimStore implements SwarmStore {
  readonly held = new Map<string, Uint8Array>()
  readonly puts = new Map<string, number>()
  reads = 0
  failPut: Error | null = null
  /** What was asked to be written where, and whether that goes wrong. */
  readonly places: Placement[] = []
  placeError: Error | null = null
  /** What a put waits for before it looks at the hash. */
  beforePut: (() => Promise<void>) | null = null
  /** Instead of what is held: how a node lies. */
  readInstead: ((id: Uint8Array) => Promise<Uint8Array | null>) | null = null

  async put(id: Uint8Array, frame: SealedFrame, { place, onWritten }: PutOptions): Promise<PutResult> {
    await this.beforePut?.()
    const sealed = openFrame(frame)
    if (sealed === null) throw new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open')
    verifyBlob(sealed, id)
    if (this.failPut !== null) throw this.failPut
    this.puts.set(toHex(id), (this.puts.get(toHex(id)) ?? 0) + 1)
    this.held.set(toHex(id), sealed)
    onWritten?.()
    if (place === undefined || place === null) return { placeError: null }
    this.places.push(place)
    return { placeError: this.placeError }
  }

  async read(id: Uint8Array): Promise<Uint8Array | null> {
    this.reads++
    if (this.readInstead !== null) return this.readInstead(id)
    return this.held.get(toHex(id)) ?? null
  }

  hold(release: SimRelease, indexes: Iterable<number> = release.indexes): void {
    for (const index of indexes) this.held.set(toHex(release.id(index)), release.blob(index))
  }
}

export interface SimNodeOptions {
  readonly clock: Clock
  readonly network: MemoryNetwork
  readonly host: string
  readonly seed: number
  readonly maxPeers?: number
  /** Where anchors are kept, for a node that starts again. */
  readonly anchors?: Map<string, readonly string[]>
  readonly listenPort?: number
  readonly log?: Log
  readonly isAcceptable?: (address: Address) => boolean
  readonly resolve?: (host: string) => Promise<readonly string[]>
  readonly transport?: Transport
  /** Instead of the node's own `store`. */
  readonly blobs?: SwarmStore
  readonly gateway?: () => Gateway | null
}

/** What a node does with one channel, as channels/session.ts would. */
export interface Following {
  readonly channel: SwarmChannel
  newest: Head | null
  /** Heads that came, newer or not. */
  readonly heads: Head[]
}

export class SimNode {
  readonly host: string
  readonly options: SimNodeOptions
  readonly nodeKey: SigningKey
  readonly store = new SimStore()
  readonly swarm: Swarm
  readonly keyring: HandshakeKeyring
  /** What of `banned` is written down. */
  readonly bans = new Map<string, Ban>()
  readonly banned: Bans
  /** By channel, as hex. */
  readonly anchors = new Map<string, readonly string[]>()
  readonly secured: Secured[] = []
  readonly #acceptor: Acceptor
  readonly #door: Door

  constructor(options: SimNodeOptions) {
    this.options = options
    this.host = options.host
    const { clock, network } = options
    const random = simRandom(options.seed)
    const log = options.log ?? silentLog
    this.nodeKey = nodeKeyOf(this.host)
    this.keyring = new HandshakeKeyring(this.nodeKey.publicKey)
    const transport = options.transport ?? network.transport(this.host)
    this.banned = new Bans(clock, {
      load: () => this.bans.values(),
      save: (ban) => void this.bans.set(ban.subject, ban),
      remove: (subject) => void this.bans.delete(subject),
    })
    this.swarm = new Swarm({
      clock,
      random,
      log,
      dialer: transport,
      resolve: options.resolve ?? (() => Promise.reject(new Error('no names here'))),
      isAcceptable: options.isAcceptable ?? (() => true),
      nodeKey: this.nodeKey,
      store: options.blobs ?? this.store,
      bans: this.banned,
      anchors: {
        load: (publicKey) => (options.anchors ?? this.anchors).get(toHex(publicKey)) ?? [],
        save: (publicKey, addresses) =>
          void (options.anchors ?? this.anchors).set(toHex(publicKey), addresses),
      },
      listenPort: () => options.listenPort ?? SIM_PORT,
      maxPeers: options.maxPeers ?? 200,
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
    })
    this.#acceptor = new Acceptor({
      ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
      trials: new TokenBucket(clock, 1e9, 1e9),
      clock,
      random,
      log,
    })
    this.#door = {
      candidates: (nowMs) => this.keyring.candidates(nowMs),
      isOwnAddress: () => true,
      nodeKey: this.nodeKey,
      onSecured: (secured) => {
        this.secured.push(secured)
        this.swarm.accept(secured)
      },
    }
  }

  /** Take part in a channel, and answer who knows it. */
  readonly joinSwarm: JoinSwarm = (keys, events) => {
    this.keyring.addChannel(keys)
    const channel = this.swarm.join(keys, events)
    const leave = (): void => {
      this.swarm.leave(channel)
      this.keyring.removeChannel(keys)
    }
    const whole = { onionAddress: null, quiet: null, holds: null, serve: () => {}, listen: () => {} }
    return { swarm: this.swarm, channel, ...whole, leave }
  }

  get address(): PeerAddress {
    return { kind: 'ipv4', host: this.host, port: SIM_PORT, nodeKey: null }
  }

  /** As `--peer` names it. */
  get pinned(): PeerAddress {
    return { ...this.address, nodeKey: this.nodeKey.publicKey }
  }

  async listen(): Promise<void> {
    const transport = this.options.network.transport(this.host)
    await transport.listen({ host: this.host, port: SIM_PORT }, (stream) =>
      this.#acceptor.accept(stream, this.#door),
    )
  }

  /** Take part in a channel, and take in heads as a session does. */
  follow({ keys }: SimChannel, onNews: (head: Head) => void = () => {}): Following {
    this.keyring.addChannel(keys)
    const following: Following = {
      channel: this.swarm.join(keys, { onHead: (bytes) => take(bytes) }),
      newest: null,
      heads: [],
    }
    const take = (bytes: Uint8Array): void => {
      const head = verifyHead(bytes, keys.publicKey)
      following.heads.push(head)
      if (following.newest !== null && slotVersion(head) <= slotVersion(following.newest)) return
      following.newest = head
      this.swarm.setHead(following.channel, head.bytes, slotVersion(head))
      onNews(head)
    }
    return following
  }

  leave(channel: SimChannel, following: Following): void {
    this.swarm.leave(following.channel)
    this.keyring.removeChannel(channel.keys)
  }

  /** Publish: hold everything, tell it, then tell the head. */
  publish(following: Following, release: SimRelease, head: Head): void {
    this.store.hold(release)
    this.swarm.setInventory(following.channel, release.releaseId(head.releaseNumber), release.indexes)
    following.newest = head
    this.swarm.setHead(following.channel, head.bytes, slotVersion(head))
  }

  /** Fetch all that is not held. Rejects as `Swarm.fetch`. */
  async fetch(
    following: Following,
    release: SimRelease,
    number: number,
    options: Partial<FetchOptions> = {},
  ): Promise<void> {
    const held = release.indexes.filter((index) => this.holds(release, index))
    this.swarm.setInventory(following.channel, release.releaseId(number), held)
    const missing = release.indexes.filter((index) => !this.holds(release, index))
    const wants = { indexes: missing, idOf: (index: number) => release.id(index) }
    await this.swarm.fetch(following.channel, release.releaseId(number), wants, {
      signal: options.signal ?? new AbortController().signal,
      onStored: options.onStored ?? (() => {}),
      ...(options.placeOf === undefined ? {} : { placeOf: options.placeOf }),
    })
  }

  holds(release: SimRelease, index: number): boolean {
    return this.store.held.has(toHex(release.id(index)))
  }

  holdsAll(release: SimRelease): boolean {
    return release.indexes.every((index) => this.holds(release, index))
  }

  /** As kill -9 does, except that the other side's system closes its connections. */
  kill(): void {
    this.#acceptor.close()
    this.swarm.destroy()
  }
}

/** Made once for each host: a key costs as much as half a handshake. */
const NODE_KEYS = new Map<string, SigningKey>()

function nodeKeyOf(host: string): SigningKey {
  const key = NODE_KEYS.get(host) ?? new SigningKey(sha256(utf8Bytes(host)))
  NODE_KEYS.set(host, key)
  return key
}

/** Seeded for choices; bytes too, since only a simulation sees these keys. */
export function simRandom(seed: number): Random {
  return seededRandom(seed * 7919 + 17)
}

/** Bytes that are no blob of anything. */
export function falseBlob(id: Uint8Array): Uint8Array {
  return concatBytes(id, new Uint8Array(BLOB_BYTES - BLOB_ID_BYTES))
}

export function diskFull(): MegatorrentError {
  return new MegatorrentError('ERR_DISK_FULL', 'no space left')
}
