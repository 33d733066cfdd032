/**
 * A peer that says what a test wants: a connection to a SimNode with nothing behind
 * it, made by the real handshake.
 */
import type { Clock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { dayOf, handshakeKey, nodeHandshakeKey, tagKey } from '../../../src/crypto/key-schedule.ts'
import { channelHandle, otherRole } from '../../../src/crypto/tags.ts'
import type { BlobRange } from '../../../src/swarm/blob-set.ts'
import { Acceptor, type Door } from '../../../src/transport/acceptor.ts'
import { Connection, type Notice } from '../../../src/transport/connection.ts'
import { initiateHandshake, type Secured } from '../../../src/transport/handshake.ts'
import { EphemeralMemory, HandshakeKeyring } from '../../../src/transport/handshake-keys.ts'
import type { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Address, PeerAddress } from '../../../src/wire/address.ts'
import { buildPlaces, scanPlaces } from '../../../src/wire/hello.ts'
import type { HaveMessage, HelloMessage } from '../../../src/wire/message.ts'
import type { SimClock } from './sim-clock.ts'
import { SIM_PORT, type SimChannel, type SimNode, type SimRelease } from './sim-node.ts'

/** A channel and the slot version that is told of it. */
export type Told = readonly [channel: SimChannel, slotVersion: number]

export interface SimPeerBehaviour {
  /** What a REQUEST for a blob is answered with; nothing: not found. */
  readBlob?: (id: Uint8Array) => Promise<Uint8Array | null>
  readHead?: (handle: Uint8Array) => Uint8Array | null
  readSlotSet?: (handle: Uint8Array, headHash: Uint8Array) => Promise<Uint8Array | null>
  readPeers?: (topic: Uint8Array, port: number) => readonly Address[] | 'notFound' | 'busy'
}

let nextHost = 1
/** Each handshake has keys of its own: the same ephemeral key again is a replay. */
let nextSeed = 1

export class SimPeer {
  readonly secured: Secured
  readonly connection: Connection
  readonly behaviour: SimPeerBehaviour
  readonly notices: Notice[] = []
  /** Ids of blobs that were asked of it. */
  readonly asked: Uint8Array[] = []
  headsAsked = 0
  /** Hashes of heads whose slots were asked of it. */
  readonly setsAsked: Uint8Array[] = []
  readonly peersAsked: { readonly topic: Uint8Array; readonly port: number }[] = []
  isClosed = false
  closeReason: unknown = null
  #counter = 0

  constructor(secured: Secured, clock: Clock, behaviour: SimPeerBehaviour) {
    this.secured = secured
    this.behaviour = behaviour
    this.connection = new Connection(secured.channel, clock)
    this.connection.start(
      {
        onNotice: (notice) => void this.notices.push(notice),
        readBlob: async (id) => {
          this.asked.push(id)
          return (await behaviour.readBlob?.(id)) ?? null
        },
        readHead: (handle) => {
          this.headsAsked++
          return behaviour.readHead?.(handle) ?? null
        },
        readSlotSet: async (handle, headHash) => {
          this.setsAsked.push(headHash)
          return (await behaviour.readSlotSet?.(handle, headHash)) ?? null
        },
        readPeers: (topic, port) => {
          this.peersAsked.push({ topic, port })
          return behaviour.readPeers?.(topic, port) ?? []
        },
        onClose: (reason) => {
          this.isClosed = true
          this.closeReason = reason
        },
      },
      secured.early,
    )
  }

  /** Dial a node under the key of a channel, or of the node when `channel` is null. */
  static async dial(
    node: SimNode,
    channel: SimChannel | null,
    behaviour: SimPeerBehaviour = {},
    host = `172.16.${nextHost >> 8}.${nextHost++ & 255}`,
  ): Promise<SimPeer> {
    const { network } = node.options
    const clock = node.options.clock as SimClock
    let peer: SimPeer | null = null
    void (async () => {
      const stream = await network
        .transport(host)
        .dial({ host: node.host, port: SIM_PORT }, { timeoutMs: 10_000 })
      const secured = await initiateHandshake(stream, {
        psk:
          channel === null
            ? nodeHandshakeKey(node.nodeKey.publicKey)
            : handshakeKey(channel.keys.secret, dayOf(clock.now())),
        purpose: { kind: 'network' },
        dialled: null,
        expectedNodeKey: null,
        nodeKey: null,
        clock,
        random: seededRandom(nextSeed++),
      })
      peer = new SimPeer(secured, clock, behaviour)
    })()
    if (!(await clock.until(() => peer !== null, 20_000)) || peer === null) throw new Error('no connection')
    return peer
  }

  /** HELLO that tells of these channels. */
  hello(told: readonly Told[], counter = this.#counter++, change: Partial<HelloMessage> = {}): void {
    const { handshakeHash, role } = this.secured
    const channels = told.map(([channel, slotVersion]) => ({
      tagKey: tagKey(channel.keys.secret),
      slotVersion,
    }))
    this.connection.notify({
      type: 'hello',
      highestVersion: 1,
      lowestVersion: 1,
      features: 0,
      counter,
      observedAddress: null,
      places: buildPlaces({ handshakeHash, role, counter }, channels, seededRandom(counter)),
      ...change,
    })
  }

  /** Which of these channels the node has shown here, with the slot version told last. */
  shown(channels: readonly SimChannel[]): Map<SimChannel, number> {
    const { handshakeHash, role } = this.secured
    const shown = new Map<SimChannel, number>()
    for (const hello of this.hellos) {
      const context = { handshakeHash, role: otherRole(role), counter: hello.counter }
      const candidates = channels.map((channel) => ({ channel, tagKey: tagKey(channel.keys.secret) }))
      for (const found of scanPlaces(hello.places, context, candidates)) {
        shown.set(found.channel.channel, found.slotVersion)
      }
    }
    return shown
  }

  get hellos(): HelloMessage[] {
    return this.notices.filter((notice) => notice.type === 'hello')
  }

  get haves(): HaveMessage[] {
    return this.notices.filter((notice) => notice.type === 'have')
  }

  /** Our handle of a channel. */
  handle(channel: SimChannel): Uint8Array {
    const { handshakeHash, role } = this.secured
    return channelHandle(tagKey(channel.keys.secret), handshakeHash, role)
  }

  have(
    channel: SimChannel,
    release: Pick<SimRelease, 'id'>,
    ranges: readonly BlobRange[],
    number = 1,
  ): boolean {
    return this.connection.notify({
      type: 'have',
      handle: this.handle(channel),
      releaseNumber: number,
      rootId: release.id(0),
      ranges,
    })
  }
}

/** Listens where a node can dial it; each connection becomes a SimPeer that `onPeer` gets. */
export async function listenBare(
  network: MemoryNetwork,
  clock: Clock,
  host: string,
  channels: readonly SimChannel[],
  onPeer: (peer: SimPeer) => void,
  behaviour: SimPeerBehaviour = {},
): Promise<PeerAddress> {
  const nodeKey = new SigningKey(seededRandom(nextSeed++).bytes(32))
  const keyring = new HandshakeKeyring(nodeKey.publicKey)
  for (const channel of channels) keyring.addChannel(channel.keys)
  const acceptor = new Acceptor({
    ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
    trials: new TokenBucket(clock, 1e9, 1e9),
    clock,
    random: seededRandom(nextSeed++),
    log: silentLog,
  })
  const door: Door = {
    candidates: (nowMs) => keyring.candidates(nowMs),
    isOwnAddress: () => true,
    nodeKey,
    onSecured: (secured) => onPeer(new SimPeer(secured, clock, behaviour)),
  }
  await network.transport(host).listen({ host, port: SIM_PORT }, (stream) => acceptor.accept(stream, door))
  return { kind: 'ipv4', host, port: SIM_PORT, nodeKey: nodeKey.publicKey }
}
