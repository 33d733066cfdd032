/**
 * Whom to connect to: addresses of channels and of the user, tried with back-off,
 * a few at a time.
 *
 * @module swarm/dialing
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { DIAL_TIMEOUT_MS, MAX_DIALS, TARGET_PEERS_PER_CHANNEL } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import { dayOf, handshakeKey, NETWORK_HANDSHAKE_KEY, nodeHandshakeKey } from '../crypto/key-schedule.ts'
import { initiateHandshake, type Secured } from '../transport/handshake.ts'
import type { HandshakePurpose } from '../transport/handshake-keys.ts'
import type { Dialer, Endpoint } from '../transport/transport.ts'
import { type Address, encodeAddress, formatPeerAddress, type PeerAddress } from '../wire/address.ts'
import { AddressList, type AddressSource, type KnownAddress } from './address-list.ts'
import type { Bans } from './bans.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'

/** A connection that came up, and what it was made for. */
export interface Dialled {
  readonly secured: Secured
  readonly address: PeerAddress
  readonly remote: Endpoint
  /** The channel under whose key it was made; null for an address of the user. */
  readonly channel: SwarmChannel | null
  /** Tell the list how the connection ended. */
  readonly onEnd: (well: boolean) => void
  /** It leads to ourselves: never again. */
  readonly forget: () => void
}

export interface DialingDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dialer: Dialer
  /** IP literals of a host name; only what users typed and links name is ever a name. */
  readonly resolve: (host: string) => Promise<readonly string[]>
  /** May an address from a link, a peer or a slot be dialled? (DESIGN: public, or of our own class.) */
  readonly isAcceptable: (address: Address) => boolean
  readonly nodeKey: SigningKey
  readonly bans: Bans
  readonly channels: ReadonlySet<SwarmChannel>
  readonly peers: ReadonlySet<Peer>
  readonly maxPeers: number
  onDialled(dialled: Dialled): void
}

export class Dialing {
  readonly #deps: DialingDeps
  readonly #userAddresses = new AddressList<PeerAddress>()
  #dialling = 0
  readonly #stopping = new AbortController()

  constructor(deps: DialingDeps) {
    this.#deps = deps
  }

  /** An address from the user: kept, and connected to as long as we run. */
  addUserAddress(address: PeerAddress): void {
    this.#userAddresses.add(formatPeerAddress(address), address, 'user', this.#deps.clock.monotonicMs())
    this.tick()
  }

  /** Addresses for a channel; those that are not acceptable are left out. @returns how many were news. */
  addAddresses(channel: SwarmChannel, addresses: readonly PeerAddress[], source: AddressSource): number {
    let news = 0
    for (const address of addresses) {
      if (
        address.kind === 'name'
          ? source !== 'user' && source !== 'link'
          : source !== 'user' && !this.#deps.isAcceptable(address)
      ) {
        continue
      }
      if (channel.addresses.add(formatPeerAddress(address), address, source, this.#deps.clock.monotonicMs()))
        news++
    }
    if (news > 0) this.tick()
    return news
  }

  /** Dial what is due and wanted. */
  tick(): void {
    if (this.#stopping.signal.aborted) return
    this.#dialDue(this.#userAddresses, null, Number.POSITIVE_INFINITY)
    for (const channel of this.#deps.channels) {
      let connected = 0
      for (const peer of this.#deps.peers)
        if (peer.expected.has(channel) && peer.direction === 'out') connected++
      this.#dialDue(channel.addresses, channel, TARGET_PEERS_PER_CHANNEL - connected)
    }
  }

  stop(): void {
    this.#stopping.abort()
  }

  #dialDue(list: AddressList<PeerAddress>, channel: SwarmChannel | null, wanted: number): void {
    const room = Math.min(wanted, MAX_DIALS - this.#dialling, this.#deps.maxPeers - this.#deps.peers.size)
    if (room <= 0) return
    for (const known of list.due(this.#deps.clock.monotonicMs(), room)) {
      if (this.#deps.bans.isBanned(`address:${known.key}`)) continue
      void this.#dial(list, known, channel)
    }
  }

  /** Never rejects: a failure is a matter of back-off. */
  async #dial(
    list: AddressList<PeerAddress>,
    known: KnownAddress<PeerAddress>,
    channel: SwarmChannel | null,
  ): Promise<void> {
    const { clock, random, log } = this.#deps
    list.setBusy(known.key, true)
    this.#dialling++
    try {
      const dialled = await this.#connect(known.address, channel)
      list.succeeded(known.key)
      this.#deps.onDialled({
        ...dialled,
        address: known.address,
        channel,
        onEnd: (well) => {
          list.setBusy(known.key, false)
          if (well) list.ended(known.key, clock.monotonicMs(), random.fraction())
          else list.failed(known.key, clock.monotonicMs(), random.fraction())
        },
        forget: () => list.remove(known.key),
      })
    } catch (error) {
      list.setBusy(known.key, false)
      list.failed(known.key, clock.monotonicMs(), random.fraction())
      log.debug('connecting failed', { why: errorMessage(error) })
    } finally {
      this.#dialling--
    }
  }

  async #connect(
    address: PeerAddress,
    channel: SwarmChannel | null,
  ): Promise<{ secured: Secured; remote: Endpoint }> {
    const { clock, random, dialer, nodeKey } = this.#deps
    const host = await this.#hostOf(address)
    const remote = { host, port: address.port }
    const stream = await dialer.dial(remote, { signal: this.#stopping.signal, timeoutMs: DIAL_TIMEOUT_MS })
    const { psk, purpose } = handshakeFor(address, channel, clock.now())
    const secured = await initiateHandshake(stream, {
      psk,
      purpose,
      dialled: channel === null || address.kind === 'name' ? null : encodeAddress(address),
      expectedNodeKey: address.nodeKey,
      nodeKey,
      clock,
      random,
    })
    return { secured, remote }
  }

  async #hostOf(address: PeerAddress): Promise<string> {
    if (address.kind !== 'name') return address.host
    const hosts = await this.#deps.resolve(address.host)
    const first = hosts[0]
    if (first === undefined) throw new RangeError('a name without addresses')
    return first
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
  if (address.nodeKey !== null) return { psk: nodeHandshakeKey(address.nodeKey), purpose: { kind: 'node' } }
  return { psk: NETWORK_HANDSHAKE_KEY, purpose: { kind: 'network' } }
}

/** Same node key? Null is nobody's. */
export function isSameNode(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a !== null && b !== null && equalBytes(a, b)
}
