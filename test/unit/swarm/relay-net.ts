/** Relays on a network in memory: handshakes, frames and messages as they are, with little work, on one clock. */
import { expect } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { NO_DISCOVERY } from '../../../src/channels/discovery.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { type ChannelKeys, RELAY_SECRET } from '../../../src/crypto/key-schedule.ts'
import { Relays } from '../../../src/node/relays.ts'
import { connectRelay } from '../../../src/swarm/relay-connect.ts'
import { Acceptor, type Door } from '../../../src/transport/acceptor.ts'
import type { Circuit } from '../../../src/transport/circuit.ts'
import type { Secured } from '../../../src/transport/handshake.ts'
import { EphemeralMemory, HandshakeKeyring } from '../../../src/transport/handshake-keys.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Dialer } from '../../../src/transport/transport.ts'
import {
  type Address,
  formatAddress,
  formatPeerAddress,
  type PeerAddress,
} from '../../../src/wire/address.ts'
import { HELLO_NEIGHBOUR } from '../../../src/wire/constants.ts'
import { onionName } from '../../../src/wire/onion.ts'
import { type OnionStatement, readStatement, statementAddress } from '../../../src/wire/onion-statement.ts'
import { TEST_WORK_BITS } from '../discovery/statements.ts'
import { SimClock } from './sim-clock.ts'
import { SimPeer, type SimPeerBehaviour } from './sim-peer.ts'

export const RELAY_PORT = 7117

export interface SimRelay {
  readonly name: string
  readonly key: SigningKey
  readonly relays: Relays
  /** Where it is reached: an onion, or for a gateway an address in the clear. */
  readonly address: PeerAddress
  /** What it asked its proxy for. */
  readonly circuits: (Circuit & { readonly host: string })[]
  /** Reached by nobody. */
  readonly isDeaf: boolean
  readonly savedAnchors: string[]
}

export interface RelayOptions {
  /** Gateways that its user named. */
  readonly given?: readonly PeerAddress[]
  /** A node in the clear, which dials no onion. */
  readonly isGateway?: boolean
  /** Behind a proxy, and reached by nobody. */
  readonly isDeaf?: boolean
  readonly anchors?: readonly string[]
}

/** A key, and the onion that is made of it. */
export function onionOfSeed(seed: number): { readonly key: SigningKey; readonly address: PeerAddress } {
  const key = new SigningKey(seededRandom(seed).bytes(32))
  return { key, address: { kind: 'onion', host: onionName(key.publicKey), port: RELAY_PORT, nodeKey: null } }
}

export class RelayNet {
  readonly clock: SimClock
  readonly network: MemoryNetwork
  readonly all: SimRelay[] = []
  /** Those that speak for themselves: closed at the end. */
  readonly peers: SimPeer[] = []
  #seed = 1

  constructor(startMs = Date.UTC(2026, 0, 1, 12)) {
    this.clock = new SimClock(startMs)
    this.network = new MemoryNetwork(this.clock, seededRandom(1), { latencyMs: 20 })
  }

  /** @param more - a node whose relay key is drawn from that seed; the same key again is a restart. */
  async add(options: RelayOptions = {}, seed = 10_000 + this.all.length): Promise<SimRelay> {
    const { key, address: onion } = onionOfSeed(seed)
    const number = this.all.length
    const clear = { kind: 'ipv4', host: `8.8.${number}.1`, port: RELAY_PORT, nodeKey: key.publicKey } as const
    const address = options.isGateway === true ? clear : onion
    const transport = this.network.transport(address.host)
    const circuits: SimRelay['circuits'] = []
    const dialer: Dialer = {
      dial: (endpoint, dial) => {
        if (dial.circuit !== undefined) circuits.push({ ...dial.circuit, host: endpoint.host })
        return transport.dial(endpoint, dial)
      },
    }
    const savedAnchors: string[] = [...(options.anchors ?? [])]
    const { clock } = this
    const relays = new Relays({
      ...{ clock, random: seededRandom(20_000 + number), log: silentLog, dialer, relayKey: key },
      resolve: null,
      dialTimeoutMs: 10_000,
      given: options.given ?? [],
      isAcceptable: ({ kind }) => kind === 'onion' || options.isGateway === true,
      anchors: {
        load: () => [...savedAnchors],
        save: (addresses) => void savedAnchors.splice(0, savedAnchors.length, ...addresses),
      },
      workBits: TEST_WORK_BITS,
    })
    const isDeaf = options.isDeaf === true
    if (!isDeaf) {
      const keyring = new HandshakeKeyring(key.publicKey, false)
      keyring.addRelays()
      const acceptor = new Acceptor({
        ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
        trials: new TokenBucket(clock, 1e9, 1e9),
        ...{ clock, random: seededRandom(30_000 + number), log: silentLog },
      })
      const door: Door = {
        candidates: (nowMs) => keyring.candidates(nowMs),
        isOwnAddress: () => false,
        nodeKey: key,
        onSecured: (secured) => relays.accept(secured),
      }
      await transport.listen({ host: address.host, port: RELAY_PORT }, (stream) =>
        acceptor.accept(stream, door),
      )
      if (options.isGateway !== true) relays.announce({ secret: RELAY_SECRET, key, port: RELAY_PORT })
    }
    const relay = { name: `relay ${number}`, key, relays, address, circuits, isDeaf, savedAnchors }
    this.all.push(relay)
    return relay
  }

  /** A connection to a relay, by somebody who speaks for himself. */
  async dial(to: PeerAddress, from = `10.2.0.${this.#seed}`): Promise<Secured> {
    let secured: Secured | null = null
    const deps = {
      ...{ clock: this.clock, random: seededRandom(this.#seed++), resolve: null, dialTimeoutMs: 10_000 },
      dialer: this.network.transport(from),
    }
    void connectRelay(deps, to, { purpose: 'relay', subject: '' }, new AbortController().signal).then(
      (made) => {
        secured = made
      },
      () => {},
    )
    if (!(await this.clock.until(() => secured !== null, 20_000)) || secured === null) {
      throw new Error('no connection')
    }
    return secured
  }

  /** @param features - of its HELLO; null: it says none. */
  async peer(to: PeerAddress, features: number | null): Promise<SimPeer> {
    const peer = new SimPeer(await this.dial(to), this.clock, {})
    this.peers.push(peer)
    if (features !== null) peer.hello([], 0, { features })
    await this.clock.advance(100)
    return peer
  }

  async end(): Promise<void> {
    for (const { connection } of this.peers) connection.destroy()
    const closing = Promise.all(this.all.map(({ relays }) => relays.close()))
    let isClosed = false
    void closing.then(() => {
      isClosed = true
    })
    await this.clock.until(() => isClosed, 60_000)
    await this.clock.advance(60_000)
    expect(this.clock.pendingTimers, 'timers left').toBe(0)
  }
}

/** One connection, as a relay saw it that writes everything down. */
export interface SeenConnection {
  readonly peer: SimPeer
  readonly sinceMs: number
}

/** A relay that hands nothing on, and writes down what it is told and asked. */
export class Watcher {
  readonly address: PeerAddress
  readonly seen: SeenConnection[] = []

  private constructor(address: PeerAddress) {
    this.address = address
  }

  static async listen(net: RelayNet, behaviour: SimPeerBehaviour = {}, seed = 99_000): Promise<Watcher> {
    const { key, address } = onionOfSeed(seed)
    const watcher = new Watcher(address)
    const keyring = new HandshakeKeyring(key.publicKey, false)
    keyring.addRelays()
    const { clock } = net
    const acceptor = new Acceptor({
      ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
      trials: new TokenBucket(clock, 1e9, 1e9),
      ...{ clock, random: seededRandom(seed + 1), log: silentLog },
    })
    const door: Door = {
      candidates: (nowMs) => keyring.candidates(nowMs),
      isOwnAddress: () => false,
      nodeKey: key,
      onSecured: (secured) => {
        const peer: SimPeer = new SimPeer(secured, clock, {
          readPeers: (wanted) => watcher.#answer(wanted),
          ...behaviour,
        })
        peer.hello([], 0, { features: HELLO_NEIGHBOUR })
        watcher.seen.push({ peer, sinceMs: clock.monotonicMs() })
      },
    }
    await net.network
      .transport(address.host)
      .listen({ host: address.host, port: RELAY_PORT }, (stream) => acceptor.accept(stream, door))
    return watcher
  }

  /** Statements by connection, in the order in which they came. */
  get told(): { readonly peer: SimPeer; readonly statement: OnionStatement; readonly hops: number }[] {
    return this.seen.flatMap(({ peer }) =>
      peer.notices.flatMap((notice) =>
        notice.type !== 'announce'
          ? []
          : notice.statements.map(({ hops, statement }) => ({
              peer,
              hops,
              statement: readStatement(statement),
            })),
      ),
    )
  }

  #answer(wanted: Uint8Array): readonly Address[] | 'notFound' {
    const found = this.told.filter(({ statement }) => toHex(statement.topic) === toHex(wanted))
    const addresses = new Map(
      found.map(({ statement }) => [toHex(statement.onionKey), statementAddress(statement)]),
    )
    return addresses.size === 0 ? 'notFound' : [...addresses.values()]
  }
}

/** Gateways that know each other, and nodes behind proxies, each of which knows one or two of them. */
export async function relayNetwork(gateways: number, nodes: number): Promise<RelayNet> {
  const net = new RelayNet()
  for (let i = 0; i < gateways; i++) await net.add({ isGateway: true })
  const clear = net.all.map(({ address }) => address)
  for (const { relays } of net.all) relays.addRelays(clear)
  for (let i = 0; i < nodes; i++) {
    const given = new Set([clear[i % gateways], clear[(i + 1) % gateways]] as PeerAddress[])
    await net.add({ given: [...given], isDeaf: i % 10 === 9 })
  }
  return net
}

/** Until each of these relays, asked by a guest, tells of an onion under a topic. @returns whether all did in time. */
export async function floodReaches(
  net: RelayNet,
  relays: readonly SimRelay[],
  wanted: Uint8Array,
  onion: string,
  maxMs: number,
): Promise<boolean> {
  const left = new Set(relays)
  const endMs = net.clock.monotonicMs() + maxMs
  while (left.size > 0 && net.clock.monotonicMs() < endMs) {
    for (const relay of left) {
      const guest = await net.peer(relay.address, 0)
      const asked = guest.connection.requestPeers(wanted, 0).catch(() => [])
      await net.clock.advance(1_000)
      if ((await asked).some((address) => formatAddress(address) === onion)) left.delete(relay)
      guest.connection.destroy()
    }
    await net.clock.advance(60_000)
  }
  return left.size === 0
}

/** Follow a channel at a relay. @returns what is found, as it comes. */
export function follow(
  { relays }: SimRelay,
  keys: ChannelKeys,
  peers = () => 0,
): { readonly found: Set<string>; stop(): void } {
  const found = new Set<string>()
  const followed = relays
    .discovery(NO_DISCOVERY, () => null)
    .follow(keys, false, {
      ...{ newest: () => null, slotSet: () => null, onHead: () => {}, holders: peers },
      onPeers: (addresses) => {
        for (const address of addresses) found.add(formatPeerAddress(address))
      },
    })
  return { found, stop: () => followed.stop() }
}
