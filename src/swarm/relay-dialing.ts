/**
 * Which relays are known, and the connections to a few of them that are kept
 * (PROTOCOL_FINAL.md §7.7): gateways that the user named, anchors of an earlier run, and
 * what relays tell of others under the topic of relays.
 *
 * What they tell goes into a peer book, with its shares and groups: no one teller fills
 * it. Whoever we were connected to for long is dialled first after a restart. While there
 * are too few connections, relays are asked as a guest, too: one that is full still tells
 * of others, and a single neighbour could tell of none but its friends.
 *
 * @module swarm/relay-dialing
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Timer } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import {
  ANCHOR_SAVE_MS,
  MAX_RELAY_DIALS,
  RELAY_FIND_MAX_MS,
  RELAY_FIND_MIN_MS,
  RELAY_GIVEN_NEIGHBOURS,
  RELAY_LOOK_MS,
  RELAY_NEIGHBOURS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { RELAY_SECRET, topic } from '../crypto/key-schedule.ts'
import { type AddressSource, isFresh, type KnownAddress, PeerBook } from '../discovery/peer-book.ts'
import { PexAsker } from '../discovery/pex.ts'
import { daysToRead } from '../discovery/slots.ts'
import type { Connection } from '../transport/connection.ts'
import { type Address, formatPeerAddress, type PeerAddress, parsePeerAddress } from '../wire/address.ts'
import type { Flooding } from './flooding.ts'
import { connectRelay, type RelayConnectDeps } from './relay-connect.ts'
import type { RelayErrands } from './relay-errand.ts'

export interface RelayDialingDeps extends RelayConnectDeps {
  readonly log: Log
  readonly flooding: Flooding
  readonly errands: Pick<RelayErrands, 'findPeers'>
  /** 32 bytes: the key that our own relay connections prove. */
  readonly ownKey: Uint8Array
  /** Gateways that the user named. */
  readonly given: readonly PeerAddress[]
  /** May an address be dialled that others told of? */
  readonly isAcceptable: (address: Address) => boolean
  /** Where anchors outlive the process. */
  readonly anchors: { load(): Iterable<string>; save(addresses: readonly string[]): void }
  /** A relay has answered. */
  readonly onConnected?: () => void
}

interface Kept {
  readonly known: KnownAddress<PeerAddress>
  readonly connection: Connection
  readonly nodeKey: Uint8Array
  readonly asker: PexAsker
}

export class RelayDialing {
  readonly #deps: RelayDialingDeps
  readonly #book: PeerBook<PeerAddress>
  /** Keys of those that the user named. */
  readonly #given: ReadonlySet<string>
  readonly #kept = new Set<Kept>()
  readonly #stopping = new AbortController()
  #dialling = 0
  #timer: Timer | null = null
  /** When a relay is asked as a guest next, monotonic ms, and how long after that another. */
  #guestMs = 0
  #guestWaitMs = RELAY_FIND_MIN_MS
  #savedMs: number
  #saved: string

  constructor(deps: RelayDialingDeps) {
    this.#deps = deps
    this.#book = new PeerBook(deps.random)
    const nowMs = deps.clock.monotonicMs()
    this.#savedMs = nowMs
    this.#given = new Set(deps.given.map(formatPeerAddress))
    // As anchors: kept for good, and tried less and less often. Each gateway has a place for few of its users.
    for (const address of deps.given) this.#book.add(formatPeerAddress(address), address, 'anchor', nowMs)
    const anchors = [...deps.anchors.load()].map(addressOf).filter((address) => address !== null)
    this.#saved = anchors.map(formatPeerAddress).join(' ')
    this.add(anchors, 'anchor', 'anchor')
    this.#tick()
  }

  /** Connections to relays that we made and keep. */
  get connected(): number {
    return this.#kept.size
  }

  /** Others told of these. @returns how many are news. */
  add(addresses: readonly Address[], source: AddressSource, origin: string): number {
    const nowMs = this.#deps.clock.monotonicMs()
    let news = 0
    for (const { kind, host, port } of addresses) {
      const address: PeerAddress = { kind, host, port, nodeKey: null }
      if (!this.#deps.isAcceptable(address)) continue
      if (this.#book.add(formatPeerAddress(address), address, source, nowMs, origin)) news++
    }
    if (news > 0) this.#dial()
    return news
  }

  /** Relays for an errand, by chance: those that have answered and those that the user named before any others. */
  pick(count: number): PeerAddress[] {
    const known = this.#book.list().filter(({ failures }) => failures === 0)
    const isTried = ({ key, isProven, memberSinceMs }: KnownAddress<PeerAddress>): boolean =>
      isProven || memberSinceMs !== null || this.#given.has(key)
    return [...known.filter(isTried), ...known.filter((each) => !isTried(each))]
      .slice(0, count)
      .map(({ address }) => address)
  }

  /** Onions of relays that we met ourselves lately. */
  met(): Address[] {
    const nowMs = this.#deps.clock.monotonicMs()
    return this.#book
      .list()
      .filter((known) => known.address.kind === 'onion' && isFresh(known, nowMs))
      .map(({ address: { kind, host, port } }) => ({ kind, host, port }))
  }

  close(): void {
    this.#stopping.abort()
    this.#timer?.cancel()
    this.#save()
  }

  #tick(): void {
    this.#timer = this.#deps.clock.setTimer(() => {
      this.#dial()
      const nowMs = this.#deps.clock.monotonicMs()
      for (const kept of this.#kept) if (kept.asker.isDue(nowMs)) void this.#ask(kept)
      if (this.#kept.size < RELAY_NEIGHBOURS && nowMs >= this.#guestMs) void this.#askAsGuest()
      if (nowMs - this.#savedMs >= ANCHOR_SAVE_MS) this.#save()
      this.#tick()
    }, RELAY_LOOK_MS)
    this.#dial()
  }

  #dial(): void {
    if (this.#stopping.signal.aborted) return
    const wanted = RELAY_NEIGHBOURS - this.#kept.size - this.#dialling
    const limit = Math.min(wanted, MAX_RELAY_DIALS - this.#dialling)
    const others = this.#book.size > this.#given.size
    const keptOfGiven = [...this.#kept].filter(({ known }) => this.#given.has(known.key)).length
    const mayDial = ({ key }: KnownAddress<PeerAddress>): boolean =>
      !others || keptOfGiven < RELAY_GIVEN_NEIGHBOURS || !this.#given.has(key)
    const due = this.#book.due(this.#deps.clock.monotonicMs(), limit, mayDial)
    for (const known of due) void this.#connect(known)
  }

  /** Never rejects: a failure is a matter of back-off. */
  async #connect(known: KnownAddress<PeerAddress>): Promise<void> {
    const { clock, log, flooding, ownKey } = this.#deps
    this.#book.setBusy(known.key, true)
    this.#dialling++
    const ended = (wasGood: boolean): void => this.#book.ended(known.key, wasGood, clock.monotonicMs())
    try {
      const circuit = { purpose: 'relay', subject: known.key } as const
      const secured = await connectRelay(this.#deps, known.address, circuit, this.#stopping.signal)
      const nodeKey = secured.remoteNodeKey ?? secured.handshakeHash
      const isTwin = [...this.#kept].some((kept) => equalBytes(kept.nodeKey, nodeKey))
      if (equalBytes(nodeKey, ownKey) || isTwin) {
        secured.channel.destroy()
        if (isTwin) ended(false)
        else this.#book.retire(known.key)
        return
      }
      let kept: Kept | null = null
      const connection = flooding.join(secured, (wasGood) => {
        if (kept !== null) this.#kept.delete(kept)
        ended(wasGood)
      })
      if (connection === null) return ended(false)
      kept = { known, connection, nodeKey, asker: new PexAsker() }
      this.#kept.add(kept)
      this.#book.reached(known.key, clock.monotonicMs())
      this.#deps.onConnected?.()
      void this.#ask(kept)
    } catch (error) {
      ended(false)
      log.debug('no relay connection', { why: errorMessage(error) })
    } finally {
      this.#dialling--
    }
  }

  /** Never rejects. */
  async #ask({ known, connection, asker }: Kept): Promise<void> {
    const { clock, random, log } = this.#deps
    asker.asked()
    let news = 0
    try {
      for (const day of daysToRead(clock.now())) {
        const found = await connection.requestPeers(topic(RELAY_SECRET, day), 0)
        news += this.add(found, 'pex', known.key)
      }
    } catch (error) {
      log.debug('no relays told', { why: errorMessage(error) })
    } finally {
      asker.answered(clock.monotonicMs(), news, random)
    }
  }

  /** Never rejects. */
  async #askAsGuest(): Promise<void> {
    const { clock, random, log, errands } = this.#deps
    const [relay] = this.pick(1)
    if (relay === undefined) return
    this.#guestMs = Number.POSITIVE_INFINITY // until it has answered
    let news = 0
    try {
      for (const day of daysToRead(clock.now())) {
        const wanted = topic(RELAY_SECRET, day)
        const origin = formatPeerAddress(relay)
        const subject = `${origin} ${toHex(wanted)}`
        const found = await errands.findPeers(relay, subject, wanted, this.#stopping.signal)
        news += this.add(found, 'pex', origin)
      }
    } catch (error) {
      log.debug('no relays told to a guest', { why: errorMessage(error) })
    } finally {
      this.#guestMs = clock.monotonicMs() + this.#guestWaitMs * (0.5 + random.fraction() / 2)
      this.#guestWaitMs = news > 0 ? RELAY_FIND_MIN_MS : Math.min(2 * this.#guestWaitMs, RELAY_FIND_MAX_MS)
    }
  }

  /** Write down who was there for long, but for those that the user named anyway. */
  #save(): void {
    const { clock, anchors, log } = this.#deps
    this.#savedMs = clock.monotonicMs()
    const texts = this.#book.anchors(this.#savedMs).map(formatPeerAddress)
    const lasting = texts.filter((text) => !this.#given.has(text))
    if (lasting.length === 0 || lasting.join(' ') === this.#saved) return
    try {
      anchors.save(lasting)
      this.#saved = lasting.join(' ')
    } catch (error) {
      log.error('relays were not written down', { why: errorMessage(error) })
    }
  }
}

function addressOf(text: string): PeerAddress | null {
  try {
    return parsePeerAddress(text)
  } catch (error) {
    if (isMegatorrentError(error)) return null
    throw error
  }
}
