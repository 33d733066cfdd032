/**
 * PEX on the connections of the swarm (PROTOCOL_FINAL.md §7.6): asks members of a
 * channel for more of them, answers who asks, and finds out which addresses may be
 * told. What is decided stands in discovery/pex.ts and discovery/peer-book.ts.
 *
 * Only addresses that we dialled ourselves and met a member at are told. Peers that
 * came in say where they accept connections; such a claim is dialled like any other
 * address of the book, and where it is true that connection is one too many: it is
 * closed, and has shown what it was for.
 *
 * @module swarm/peer-exchange
 */
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { MAX_PEX_ASKS, PEX_LOOK_MS, TARGET_PEERS_PER_CHANNEL } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { dayOf, topic } from '../crypto/key-schedule.ts'
import { addressGroup } from '../discovery/address-group.ts'
import { type AddressSource, isFresh, type KnownAddress } from '../discovery/peer-book.ts'
import { PexAsker, PexTeller, type Tellable } from '../discovery/pex.ts'
import { mayBeTold } from '../discovery/told-address.ts'
import { hostGroup } from '../transport/host-group.ts'
import { type Address, formatAddress, formatPeerAddress, type PeerAddress } from '../wire/address.ts'
import { type AddressClass, addressClass } from '../wire/address-class.ts'
import { parseIpv4, parseIpv6 } from '../wire/ip.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'

export interface PeerExchangeDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly channels: ReadonlySet<SwarmChannel>
  readonly peers: ReadonlySet<Peer>
  /** Where we accept connections, or 0 if that is nobody's business. */
  readonly listenPort: () => number
  /** May others be told of an address that we met a member at? Where absent, as far as it is reachable for them. */
  readonly isTellable?: (address: Address) => boolean
  addAddresses(
    channel: SwarmChannel,
    addresses: readonly PeerAddress[],
    source: AddressSource,
    origin: string,
  ): number
}

/** What PEX knows of one connection. */
interface Exchange {
  readonly teller: PexTeller
  readonly askers: Map<SwarmChannel, PexAsker>
  /** Where a peer that came in says that it accepts connections; the first word counts. */
  claim: Address | null
}

interface Topics {
  readonly day: number
  readonly today: Uint8Array
  /** Of yesterday, today and tomorrow, as hex. */
  readonly accepted: readonly string[]
}

export class PeerExchange {
  readonly #deps: PeerExchangeDeps
  readonly #exchanges = new Map<Peer, Exchange>()
  /** When a channel is looked at again, monotonic ms: there may be hundreds, with nothing to do. */
  readonly #lookMs = new Map<SwarmChannel, number>()
  readonly #topics = new Map<SwarmChannel, Topics>()
  /** Connections that have shown that a claim is true, and are not needed besides. */
  readonly #spare = new Set<Peer>()
  /** Questions without an answer. */
  #open = 0

  constructor(deps: PeerExchangeDeps) {
    this.#deps = deps
  }

  /** Both sides have shown the channel. */
  onMutual(peer: Peer, channel: SwarmChannel): void {
    this.#lookMs.delete(channel)
    const { address } = peer.init
    if (address === null) return
    channel.addresses.reached(formatPeerAddress(address), this.#deps.clock.monotonicMs())
    const text = formatAddress(address)
    if (peer.byUser || ![...peer.expected].every((expected) => this.#isClaimed(expected, text))) return
    this.#spare.add(peer)
  }

  /** Ask where more members are wanted. Called about once a second. */
  tick(): void {
    for (const peer of this.#spare) {
      this.#spare.delete(peer)
      if (peer.connection.closed || peer.inFlight.size > 0) continue
      peer.isSpare = true
      peer.connection.close('notNeeded')
    }
    const nowMs = this.#deps.clock.monotonicMs()
    for (const channel of this.#deps.channels) {
      if (nowMs >= (this.#lookMs.get(channel) ?? 0)) this.#lookMs.set(channel, this.#askFor(channel, nowMs))
    }
  }

  /** FIND_PEERS of a peer: addresses, or why there are none. */
  readPeers(peer: Peer, wanted: Uint8Array, port: number): readonly Address[] | 'notFound' | 'busy' {
    const channel = this.#byTopic(peer, toHex(wanted))
    if (channel === null) return 'notFound'
    const exchange = this.#exchangeOf(peer)
    this.#takeClaim(peer, exchange, channel, port)
    const { address, remote } = peer.init
    const own = address ?? exchange.claim
    return exchange.teller.answer(
      channel.id,
      this.#tellable(channel, classOf(remote.host)),
      own === null ? null : formatAddress(own),
      this.#deps.random,
    )
  }

  /** Is it the address of a member that is connected to us anyway, as we have seen for ourselves? */
  isCovered(channel: SwarmChannel, known: KnownAddress<PeerAddress>): boolean {
    const nowMs = this.#deps.clock.monotonicMs()
    return isFresh(known, nowMs) && this.#isClaimed(channel, formatAddress(known.address))
  }

  peerGone(peer: Peer): void {
    this.#exchanges.delete(peer)
    this.#spare.delete(peer)
  }

  channelLeft(channel: SwarmChannel): void {
    this.#topics.delete(channel)
    this.#lookMs.delete(channel)
    for (const { askers, teller } of this.#exchanges.values()) {
      askers.delete(channel)
      teller.forget(channel.id)
    }
  }

  /** Ask one peer that is due, if there is. @returns when to look again, monotonic ms. */
  #askFor(channel: SwarmChannel, nowMs: number): number {
    const members = [...this.#deps.peers].filter(
      (peer) => peer.shared.get(channel)?.isMutual && !peer.connection.closed && !this.#spare.has(peer),
    )
    if (this.#open >= MAX_PEX_ASKS) return nowMs
    let nextMs = nowMs + PEX_LOOK_MS
    if (members.length >= TARGET_PEERS_PER_CHANNEL) return nextMs
    for (const peer of members) {
      const { askers } = this.#exchangeOf(peer)
      const asker = askers.get(channel) ?? new PexAsker()
      askers.set(channel, asker)
      nextMs = Math.min(nextMs, asker.dueMs)
      if (!asker.isDue(nowMs)) continue
      void this.#ask(peer, channel, asker)
      return nowMs
    }
    return nextMs
  }

  /** Never rejects. */
  async #ask(peer: Peer, channel: SwarmChannel, asker: PexAsker): Promise<void> {
    const { clock, random, log, listenPort } = this.#deps
    asker.asked()
    this.#open++
    let news = 0
    try {
      const found = await peer.connection.requestPeers(this.#topicsOf(channel).today, listenPort())
      const addresses = found.map((address) => ({ ...address, nodeKey: null }))
      const origin = hostGroup(peer.init.remote.host)
      if (this.#deps.channels.has(channel)) news = this.#deps.addAddresses(channel, addresses, 'pex', origin)
      log.debug('peers told', { count: found.length, news })
    } catch (error) {
      log.debug('no peers told', { why: errorMessage(error) })
    } finally {
      this.#open--
      asker.answered(clock.monotonicMs(), news, random)
    }
  }

  /** What may be told: members that we dialled, from the book and of those that the user named. */
  #tellable(channel: SwarmChannel, peerClass: AddressClass): Tellable<Address>[] {
    const { clock, peers, isTellable = () => true } = this.#deps
    const met = channel.addresses.fresh(clock.monotonicMs()).map(({ address }) => address)
    for (const { init, shared } of peers) {
      if (init.address !== null && shared.get(channel)?.isMutual) met.push(init.address)
    }
    const tellable = new Map<string, Tellable<Address>>()
    for (const { kind, host, port } of met) {
      if (kind === 'name' || !mayBeTold({ kind, host }, peerClass)) continue
      const address = { kind, host, port }
      if (!isTellable(address)) continue
      tellable.set(formatAddress(address), {
        key: formatAddress(address),
        address,
        group: addressGroup(address),
      })
    }
    return [...tellable.values()]
  }

  #takeClaim(peer: Peer, exchange: Exchange, channel: SwarmChannel, port: number): void {
    if (peer.direction === 'out' || port === 0) return
    const { host } = peer.init.remote
    exchange.claim ??= addressAt(host, port)
    const { claim } = exchange
    if (claim === null) return
    this.#deps.addAddresses(channel, [{ ...claim, nodeKey: null }], 'claim', hostGroup(host))
  }

  #isClaimed(channel: SwarmChannel, text: string): boolean {
    for (const [peer, { claim }] of this.#exchanges) {
      const isMember = !peer.connection.closed && peer.shared.get(channel)?.isMutual === true
      if (isMember && claim !== null && formatAddress(claim) === text) return true
    }
    return false
  }

  #byTopic(peer: Peer, wanted: string): SwarmChannel | null {
    for (const [channel, { isMutual }] of peer.shared) {
      if (isMutual && this.#topicsOf(channel).accepted.includes(wanted)) return channel
    }
    return null
  }

  /** Derived once a day. */
  #topicsOf(channel: SwarmChannel): Topics {
    const day = dayOf(this.#deps.clock.now())
    const known = this.#topics.get(channel)
    if (known?.day === day) return known
    const ofDay = (each: number): Uint8Array => topic(channel.keys.secret, each)
    const accepted = [day - 1, day, day + 1].map((each) => toHex(ofDay(each)))
    const made = { day, today: ofDay(day), accepted }
    this.#topics.set(channel, made)
    return made
  }

  #exchangeOf(peer: Peer): Exchange {
    const known = this.#exchanges.get(peer)
    if (known !== undefined) return known
    const made = { teller: new PexTeller(this.#deps.clock), askers: new Map(), claim: null }
    this.#exchanges.set(peer, made)
    return made
  }
}

/** An address at an IP literal; null for what is none. */
function addressAt(host: string, port: number): Address | null {
  if (parseIpv4(host) !== null) return { kind: 'ipv4', host, port }
  return parseIpv6(host) === null ? null : { kind: 'ipv6', host, port }
}

/** Of whom we know nothing but an onion or a scoped address, nothing private is told. */
export function classOf(host: string): AddressClass {
  const address = addressAt(host, 1)
  return address === null ? 'public' : addressClass(address)
}
