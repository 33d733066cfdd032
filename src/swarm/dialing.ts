/**
 * Whom to connect to: addresses of channels and of the user, tried with back-off,
 * a few at a time and in turns, so that no channel full of dead addresses keeps the
 * others waiting.
 *
 * @module swarm/dialing
 */
import { setMaxListeners } from 'node:events'
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import {
  DIAL_TIMEOUT_MS,
  MAX_DIALS,
  MAX_DIALS_PER_CHANNEL,
  MAX_USER_DIALS,
  PEER_TRIAL_MS,
  TARGET_PEERS_PER_CHANNEL,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import { dayOf, handshakeKey, NETWORK_HANDSHAKE_KEY, nodeHandshakeKey } from '../crypto/key-schedule.ts'
import { type AddressSource, type KnownAddress, PeerBook } from '../discovery/peer-book.ts'
import { isHintedPort, isPublicName } from '../discovery/told-address.ts'
import { initiateHandshake, type Secured } from '../transport/handshake.ts'
import type { HandshakePurpose } from '../transport/handshake-keys.ts'
import type { Dialer } from '../transport/transport.ts'
import {
  type Address,
  encodeAddress,
  formatPeerAddress,
  type PeerAddress,
  parseAddress,
  provenKey,
} from '../wire/address.ts'
import type { SwarmBans } from './bans.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'

/** A connection that came up, and what it was made for. */
export interface Dialled {
  readonly secured: Secured
  readonly address: PeerAddress
  /** The channel under whose key it was made; null for an address of the user. */
  readonly channel: SwarmChannel | null
  /** Tell the list that the connection is over. @param wasGood - it lasted, and was of use. */
  readonly onEnd: (wasGood: boolean) => void
  /** It leads to ourselves: never again. */
  readonly retire: () => void
}

export interface DialingDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dialer: Dialer
  /**
   * IP literals of a host name; only what users typed and links name is ever a name. Null where
   * nothing is resolved here: the dialler takes names as they are.
   */
  readonly resolve: ((host: string) => Promise<readonly string[]>) | null
  /** May an address be dialled that a link, a peer or a slot told of? */
  readonly isAcceptable: (address: Address, source: AddressSource) => boolean
  /** ms for a connection to come up; where absent, DIAL_TIMEOUT_MS. */
  readonly dialTimeoutMs?: number
  /** Is nobody to be dialled yet? */
  readonly isQuiet?: () => boolean
  readonly nodeKey: SigningKey
  /** False: it is shown to nobody whom we dial; else to those whom the user pinned. */
  readonly showsKey?: boolean
  readonly bans: SwarmBans
  readonly channels: ReadonlySet<SwarmChannel>
  readonly peers: ReadonlySet<Peer>
  readonly maxPeers: number
  /** Is a member there that is connected to us anyway? */
  isCovered(channel: SwarmChannel, known: KnownAddress<PeerAddress>): boolean
  onDialled(dialled: Dialled): void
}

/** Dials that a list has yet to make, the next one first. */
interface Due {
  readonly list: PeerBook<PeerAddress>
  readonly channel: SwarmChannel | null
  readonly addresses: KnownAddress<PeerAddress>[]
}

export class Dialing {
  readonly #deps: DialingDeps
  readonly #userAddresses: PeerBook<PeerAddress>
  /** Dials under way: in all, and of each channel or of the user. */
  #dialling = 0
  readonly #diallingFor = new Map<SwarmChannel | null, number>()
  /** Which channel comes first: another one each time. */
  #turn = 0
  readonly #stopping = new AbortController()

  constructor(deps: DialingDeps) {
    this.#deps = deps
    this.#userAddresses = new PeerBook(deps.random)
    setMaxListeners(2 * MAX_DIALS, this.#stopping.signal) // each dial hears of the end
  }

  /** An address from the user: kept, and connected to as long as we run. */
  addUserAddress(address: PeerAddress): void {
    this.#userAddresses.add(formatPeerAddress(address), address, 'user', this.#deps.clock.monotonicMs())
    this.tick()
  }

  /** Addresses for a channel; those that are not acceptable are left out. @returns how many were news. */
  addAddresses(
    channel: SwarmChannel,
    addresses: readonly PeerAddress[],
    source: AddressSource,
    origin: string = source,
  ): number {
    const nowMs = this.#deps.clock.monotonicMs()
    let news = 0
    for (const address of addresses) {
      if (!this.#mayBeTold(address, source)) continue
      if (channel.addresses.add(formatPeerAddress(address), address, source, nowMs, origin)) news++
    }
    if (news > 0) this.#dialInTurns([this.#dueOf(channel, this.#connected().get(channel) ?? 0)])
    return news
  }

  /** Dial what is due and wanted. */
  tick(): void {
    const userDue = this.#due(this.#userAddresses, null, MAX_USER_DIALS)
    this.#dialInTurns([userDue])
    const connected = this.#connected()
    const channels = [...this.#deps.channels]
    const from = channels.length === 0 ? 0 : this.#turn++ % channels.length
    const inTurn = [...channels.slice(from), ...channels.slice(0, from)]
    this.#dialInTurns(inTurn.map((channel) => this.#dueOf(channel, connected.get(channel) ?? 0)))
  }

  stop(): void {
    this.#stopping.abort()
  }

  /** Names come from people alone, and so do ports where other services listen. */
  #mayBeTold(address: PeerAddress, source: AddressSource): boolean {
    if (source === 'user') return true
    if (address.kind === 'name') {
      // What is resolved here is looked at then.
      return source === 'link' && (this.#deps.resolve !== null || isPublicName(address.host))
    }
    // An anchor was told, and at such a port it is one that a link or the user named.
    if (source !== 'link' && source !== 'anchor' && !isHintedPort(address.port)) return false
    return this.#deps.isAcceptable(address, source)
  }

  /** Connections that we made, by the channels that they are for; one of the user may be for none. */
  #connected(): ReadonlyMap<SwarmChannel, number> {
    const counts = new Map<SwarmChannel, number>()
    for (const peer of this.#deps.peers) {
      if (peer.direction === 'in' || peer.connection.closed) continue
      for (const channel of peer.byUser ? peer.shared.keys() : peer.expected) {
        counts.set(channel, (counts.get(channel) ?? 0) + 1)
      }
    }
    return counts
  }

  #dueOf(channel: SwarmChannel, connected: number): Due {
    const wanted = TARGET_PEERS_PER_CHANNEL - connected - (this.#diallingFor.get(channel) ?? 0)
    return this.#due(channel.addresses, channel, Math.min(wanted, MAX_DIALS_PER_CHANNEL))
  }

  #due(list: PeerBook<PeerAddress>, channel: SwarmChannel | null, limit: number): Due {
    const { bans, clock } = this.#deps
    if (limit <= 0) return { list, channel, addresses: [] }
    const mayDial = (known: KnownAddress<PeerAddress>): boolean =>
      !bans.isAddressBanned(known.address) && (channel === null || !this.#deps.isCovered(channel, known))
    return { list, channel, addresses: list.due(clock.monotonicMs(), limit, mayDial) }
  }

  #dialInTurns(dues: readonly Due[]): void {
    const { peers, maxPeers, isQuiet } = this.#deps
    if (isQuiet?.() === true) return
    for (let round = 0; dues.some(({ addresses }) => round < addresses.length); round++) {
      for (const { list, channel, addresses } of dues) {
        const known = addresses[round]
        const limit = channel === null ? MAX_USER_DIALS : MAX_DIALS_PER_CHANNEL
        if (known === undefined || (this.#diallingFor.get(channel) ?? 0) >= limit) continue
        if (this.#dialling >= MAX_DIALS || peers.size + this.#dialling >= maxPeers) return
        if (this.#stopping.signal.aborted) return
        void this.#dial(list, known, channel)
      }
    }
  }

  /** Never rejects: a failure is a matter of back-off. */
  async #dial(
    list: PeerBook<PeerAddress>,
    known: KnownAddress<PeerAddress>,
    channel: SwarmChannel | null,
  ): Promise<void> {
    const { clock, log } = this.#deps
    const onEnd = (wasGood: boolean): void => list.ended(known.key, wasGood, clock.monotonicMs())
    list.setBusy(known.key, true)
    this.#countDial(channel, 1)
    try {
      const secured = await this.#connect(known, channel)
      const { address } = known
      this.#deps.onDialled({ secured, address, channel, onEnd, retire: () => list.retire(known.key) })
    } catch (error) {
      onEnd(false)
      log.debug('connecting failed', { why: errorMessage(error) })
    } finally {
      this.#countDial(channel, -1)
    }
  }

  #countDial(channel: SwarmChannel | null, change: 1 | -1): void {
    this.#dialling += change
    const count = (this.#diallingFor.get(channel) ?? 0) + change
    if (count === 0) this.#diallingFor.delete(channel)
    else this.#diallingFor.set(channel, count)
  }

  async #connect(known: KnownAddress<PeerAddress>, channel: SwarmChannel | null): Promise<Secured> {
    const {
      clock,
      random,
      dialer,
      nodeKey,
      showsKey = true,
      resolve,
      dialTimeoutMs = DIAL_TIMEOUT_MS,
    } = this.#deps
    const { signal } = this.#stopping
    const { address } = known
    const host =
      address.kind === 'name' && resolve !== null
        ? this.#acceptableOf(await resolve(address.host), address, known.source)
        : address.host
    const stream = await dialer.dial({ host, port: address.port }, { signal, timeoutMs: dialTimeoutMs })
    const { psk, purpose } = handshakeFor(address, channel, clock.now())
    return initiateHandshake(stream, {
      psk,
      purpose,
      dialled: channel === null || address.kind === 'name' ? null : encodeAddress(address),
      expectedNodeKey: provenKey(address),
      // Shown only where the user pinned the other side (§6.2): a link's pin is the link's, not the user's.
      nodeKey: channel === null && showsKey ? nodeKey : null,
      clock,
      random,
      signal,
    })
  }

  /** A name in a link is its author's, and so is what it resolves to: no way into networks of ours. */
  #acceptableOf(hosts: readonly string[], { port }: PeerAddress, source: AddressSource): string {
    for (const host of hosts) {
      const address = parseAddress(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
      if (source === 'user' || this.#deps.isAcceptable(address, source)) return host
    }
    throw new MegatorrentError('ERR_NAME_NOT_RESOLVED', 'the name has no address that may be dialled')
  }
}

/** Which pre-shared key an address is dialled with (PROTOCOL_FINAL.md §6.1). */
function handshakeFor(
  address: PeerAddress,
  channel: SwarmChannel | null,
  nowMs: number,
): { psk: Uint8Array; purpose: HandshakePurpose } {
  if (channel !== null) {
    return {
      psk: handshakeKey(channel.keys.secret, dayOf(nowMs)),
      purpose: { kind: 'channel', channel: channel.keys },
    }
  }
  const nodeKey = provenKey(address)
  if (nodeKey !== null) return { psk: nodeHandshakeKey(nodeKey), purpose: { kind: 'node' } }
  return { psk: NETWORK_HANDSHAKE_KEY, purpose: { kind: 'network' } }
}

/** Same node key? Null is nobody's. */
export function isSameNode(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a !== null && b !== null && equalBytes(a, b)
}

/** The open connection that we made to that node before, or null. */
export function dialledTwin(peers: Iterable<Peer>, nodeKey: Uint8Array | null): Peer | null {
  for (const peer of peers) {
    const isOpen = peer.direction === 'out' && !peer.connection.closed
    if (isOpen && isSameNode(peer.init.remoteNodeKey, nodeKey)) return peer
  }
  return null
}

/** Where all whom we dialled give nothing and others could be dialled: the one that should go, or null. */
export function idlePeer(channel: SwarmChannel, peers: Iterable<Peer>, nowMs: number): Peer | null {
  if (channel.fetches.size === 0) return null
  const dialled = [...peers].filter((peer) => peer.direction === 'out' && peer.expected.has(channel))
  if (dialled.length < TARGET_PEERS_PER_CHANNEL) return null
  if (channel.addresses.due(nowMs, 1, () => true).length === 0) return null
  const isIdle = (peer: Peer): boolean => !peer.isProven && !peer.byUser && peer.expected.size === 1
  return dialled.find((peer) => isIdle(peer) && nowMs - peer.init.sinceMs > PEER_TRIAL_MS) ?? null
}
