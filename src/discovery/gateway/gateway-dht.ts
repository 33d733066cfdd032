/**
 * The DHT as nodes without one have it: through gateways (PROTOCOL_FINAL.md §7.8).
 * In place of discovery/mainline.ts for slots and topics; how a gateway is reached is
 * handed in.
 *
 * No gateway's word is taken. Items are verified here; what it says that it stored
 * counts as stored only when another one, on another connection, gives it back. One
 * that is found out is reported and rests for a while. With a single gateway there is
 * no other, and its own word over another connection has to do.
 *
 * @module discovery/gateway/gateway-dht
 */

import { type LinkedSignal, linkSignals } from '../../base/abort.ts'
import { toHex } from '../../base/bytes.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../../base/errors.ts'
import { DHT_CLOSEST_NODES, GATEWAY_REST_MS, GATEWAY_SPREAD_MS, GATEWAY_TRIES } from '../../base/limits.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { Address } from '../../wire/address.ts'
import { MAX_PEERS_ADDRESSES, MAX_PUBLISH_AHEAD_MS } from '../../wire/constants.ts'
import {
  PUBLISH_OUTCOMES,
  type PublishAnswer,
  type PublishedItem,
  type SlotAnswer,
} from '../../wire/message.ts'
import { isValidItem, type MutableItem } from '../../wire/mutable-item.ts'
import type {
  Dht,
  DhtAddress,
  DhtCandidate,
  DhtGetResult,
  DhtOptions,
  DhtPutResult,
  DhtUpdateResult,
} from '../dht.ts'
import { isSameItem } from '../slots.ts'
import {
  type Claim,
  type GatewayRecord,
  inTurn,
  isResting,
  judgeClaim,
  type Reading,
} from './gateway-plan.ts'

/** What a connection to a gateway is for: each errand has one of its own. */
export interface Errand {
  readonly purpose: 'slot' | 'topic' | 'blobs'
  /** What tells it from others: never two on one circuit. Text without a line end. */
  readonly subject: string
}

/** How gateways are reached: each call is one connection. Errors as of any connection. */
export interface GatewayLink<G> {
  publish(gateway: G, errand: Errand, item: PublishedItem, signal: AbortSignal): Promise<PublishAnswer>
  readSlot(gateway: G, errand: Errand, slotKey: Uint8Array, signal: AbortSignal): Promise<SlotAnswer>
  findPeers(gateway: G, errand: Errand, topic: Uint8Array, signal: AbortSignal): Promise<readonly Address[]>
}

export interface GatewayDhtOptions<G> {
  /** By their addresses as text; at least one. */
  readonly gateways: ReadonlyMap<string, G>
  readonly link: GatewayLink<G>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** ms that an item waits before it goes to a gateway, at most. */
  readonly spreadMs?: number
  /** They are asked, and given nothing to put; false by default. */
  readonly isReadOnly?: boolean
  /** Peers that one look for a topic gives out, at most; all that a gateway tells by default. */
  readonly maxPeers?: number
}

interface Known<G> extends GatewayRecord {
  readonly address: G
  /** From 1, in the order in which they were given: the log names no addresses. */
  readonly place: number
}

export class GatewayDht<G> implements Dht {
  readonly isServer = false
  readonly #options: GatewayDhtOptions<G>
  readonly #gateways: readonly Known<G>[]
  readonly #stopping = new AbortController()

  constructor(options: GatewayDhtOptions<G>) {
    this.#options = options
    this.#gateways = [...options.gateways].map(([key, address], index) => {
      return { key, address, place: index + 1, putMs: -1, readMs: -1, restUntilMs: 0, isReached: null }
    })
  }

  /** Gateways: more is not known of what lies behind them. */
  get nodeCount(): number {
    return this.#gateways.length
  }

  /** Gateways that answered when they were asked last, and are not resting for what they said. */
  get usable(): number {
    const nowMs = this.#options.clock.monotonicMs()
    return this.#gateways.filter((one) => one.isReached === true && !isResting(one, nowMs)).length
  }

  /** Asks one gateway, and others while none answers. */
  async getMutable(publicKey: Uint8Array, options: DhtOptions = {}): Promise<DhtGetResult> {
    for (const gateway of this.#inTurn('readMs').slice(0, GATEWAY_TRIES)) {
      const read = await this.#read(gateway, publicKey, options)
      if (read !== null && read.replied > 0) return read
    }
    return { candidates: [], refused: 0, asked: 0, replied: 0, nearest: 0 }
  }

  /**
   * Gives it to one gateway at a time until it was read back by another: whoever only says that he has
   * stored it is found out, since nobody else had it.
   */
  async putMutable(item: MutableItem, options: DhtOptions = {}): Promise<DhtPutResult> {
    if (!isValidItem(item)) throw new TypeError('"item" expected a valid signature')
    const { random, spreadMs = GATEWAY_SPREAD_MS, isReadOnly = false } = this.#options
    let asked = 0
    if (isReadOnly) return { storedBy: 0, alreadyHeldBy: 0, asked, newer: null }
    const tried = new Set<Known<G>>()
    while (tried.size < Math.min(GATEWAY_TRIES, this.#gateways.length)) {
      await this.#wait(random.fraction() * spreadMs, options)
      // Drawn now: others may have been given something meanwhile.
      const gateway = this.#inTurn('putMs').find((one) => !tried.has(one))
      if (gateway === undefined) break
      tried.add(gateway)
      gateway.putMs = this.#options.clock.monotonicMs()
      const answer = await this.#publish(gateway, item, options)
      if (answer === null) continue
      asked++
      if (answer.outcome === PUBLISH_OUTCOMES.stale) {
        const newest = (await this.getMutable(item.publicKey, options)).candidates[0]?.item
        if (newest !== undefined && newest.seq > item.seq) {
          return { storedBy: 0, alreadyHeldBy: 0, asked, newer: newest }
        }
      }
      if (answer.outcome !== PUBLISH_OUTCOMES.stored) continue
      const storedBy = await this.#readBack(gateway, item, options)
      if (storedBy > 0) return { storedBy, alreadyHeldBy: 0, asked, newer: null }
    }
    return { storedBy: 0, alreadyHeldBy: 0, asked, newer: null }
  }

  async updateMutable(
    publicKey: Uint8Array,
    decide: (read: DhtGetResult) => MutableItem | null,
    options: DhtOptions = {},
  ): Promise<DhtUpdateResult> {
    const read = await this.getMutable(publicKey, options)
    const item = decide(read)
    return { read, put: item === null ? null : await this.putMutable(item, options) }
  }

  /** Looks only: a gateway cannot announce for us, since the DHT takes the address from the datagram. */
  async announce(
    infohash: Uint8Array,
    _port: number,
    options: DhtOptions & { readonly onPeer?: (peer: DhtAddress) => void } = {},
  ): Promise<{ readonly storedBy: number }> {
    await this.lookup(infohash, options.onPeer ?? (() => {}), options)
    return { storedBy: 0 }
  }

  async lookup(
    infohash: Uint8Array,
    onPeer: (peer: DhtAddress) => void,
    options: DhtOptions = {},
  ): Promise<{ readonly peers: number }> {
    const given = new Set<string>()
    const { maxPeers = MAX_PEERS_ADDRESSES } = this.#options
    for (const gateway of this.#inTurn('readMs').slice(0, GATEWAY_TRIES)) {
      gateway.readMs = this.#options.clock.monotonicMs()
      const errand: Errand = { purpose: 'topic', subject: `${gateway.key} ${toHex(infohash)}` }
      const found = await this.#ask(gateway, options, (signal) =>
        this.#options.link.findPeers(gateway.address, errand, infohash, signal),
      )
      for (const { kind, host, port } of found ?? []) {
        if (kind !== 'ipv4' || given.has(`${host}:${port}`) || given.size >= maxPeers) continue
        given.add(`${host}:${port}`)
        onPeer({ host, port })
      }
      if (given.size > 0) break
    }
    return { peers: given.size }
  }

  /** There is no table that nodes could enter. */
  async addNode(): Promise<boolean> {
    return false
  }

  nodes(): readonly DhtAddress[] {
    return []
  }

  async close(): Promise<void> {
    this.#stopping.abort()
  }

  async #publish(gateway: Known<G>, item: MutableItem, options: DhtOptions): Promise<PublishAnswer | null> {
    const { link, clock, log } = this.#options
    const key = toHex(item.publicKey)
    const errand: Errand = { purpose: 'slot', subject: `put ${gateway.key} ${key}` }
    const offer: PublishedItem = {
      notBefore: 0,
      // In whole hours: the milliseconds of a clock tell nodes apart.
      notAfter: Math.floor(clock.now() / HOUR_MS) * HOUR_MS + MAX_PUBLISH_AHEAD_MS - CLOCK_MARGIN_MS,
      slotKey: item.publicKey,
      seq: item.seq,
      signature: item.signature,
      value: item.value,
    }
    const answer = await this.#ask(gateway, options, (signal) =>
      link.publish(gateway.address, errand, offer, signal),
    )
    if (answer !== null && answer.outcome > PUBLISH_OUTCOMES.kept) {
      log.debug('a gateway did not take an item', { gateway: gateway.place, outcome: answer.outcome })
    }
    return answer
  }

  /** @returns the nodes that hold it, by what others than the one that put it read; 0 when none of them finds it. */
  async #readBack(claimant: Known<G>, item: MutableItem, options: DhtOptions): Promise<number> {
    const claim: Claim = { gateway: claimant.key, seq: item.seq, value: item.value }
    const readings: Reading[] = []
    const isAlone = this.#gateways.length === 1
    for (const gateway of this.#inTurn('readMs').filter((one) => isAlone || one !== claimant)) {
      const read = await this.#read(gateway, item.publicKey, options)
      if (read === null || read.nearest === 0) continue
      const found = read.candidates.map((candidate) => candidate.item)
      readings.push({ gateway: gateway.key, found })
      const judged = judgeClaim(claim, readings, this.#gateways.length)
      for (const key of judged?.withheldBy ?? []) this.#distrust(key, 'does not find what another one does')
      if (judged?.isTrue === false) this.#distrust(claimant.key, 'said that it had stored what nobody finds')
      if (judged !== null) {
        return read.candidates.find((candidate) => isSameItem(candidate.item, item))?.holders ?? 0
      }
    }
    return 0
  }

  async #read(gateway: Known<G>, publicKey: Uint8Array, options: DhtOptions): Promise<DhtGetResult | null> {
    const errand: Errand = { purpose: 'slot', subject: `read ${gateway.key} ${toHex(publicKey)}` }
    gateway.readMs = this.#options.clock.monotonicMs()
    const answer = await this.#ask(gateway, options, (signal) =>
      this.#options.link.readSlot(gateway.address, errand, publicKey, signal),
    )
    return answer === null ? null : this.#verified(gateway, publicKey, answer)
  }

  #distrust(key: string, why: string): void {
    const { clock, log } = this.#options
    const gateway = this.#gateways.find((one) => one.key === key)
    const nowMs = clock.monotonicMs()
    if (gateway === undefined || isResting(gateway, nowMs)) return
    gateway.restUntilMs = nowMs + GATEWAY_REST_MS
    log.warn('a gateway is left alone for a while', { gateway: gateway.place, why })
  }

  #verified(gateway: Known<G>, publicKey: Uint8Array, { nearest: said, items }: SlotAnswer): DhtGetResult {
    const nearest = Math.min(said, DHT_CLOSEST_NODES) // no walk counts more
    const candidates: DhtCandidate[] = []
    let refused = 0
    for (const { holders, seq, signature, value } of items) {
      const item = { publicKey, seq, signature, value }
      if (!isValidItem(item)) refused++
      else candidates.push({ item, holders: Math.min(holders, nearest) })
    }
    if (refused > 0) this.#distrust(gateway.key, 'gave what nobody signed')
    return { candidates, refused, asked: nearest, replied: nearest, nearest }
  }

  /** Those to ask, the best first. */
  #inTurn(errand: 'putMs' | 'readMs'): Known<G>[] {
    return inTurn(this.#gateways, errand, this.#options.clock.monotonicMs(), this.#options.random)
  }

  /** One question to one gateway. @returns null when there was no answer. @throws ERR_ABORTED, ERR_DHT_CLOSED. */
  async #ask<T>(
    gateway: Known<G>,
    options: DhtOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | null> {
    const { log } = this.#options
    const { signal, release } = this.#signalOf(options)
    this.#throwIfOver(options)
    try {
      const answer = await work(signal).finally(release)
      gateway.isReached = true
      return answer
    } catch (error) {
      this.#throwIfOver(options)
      if (!isMegatorrentError(error)) throw error
      gateway.isReached = false
      log.debug('a gateway did not answer', { gateway: gateway.place, why: errorMessage(error) })
      return null
    }
  }

  async #wait(delayMs: number, options: DhtOptions): Promise<void> {
    const { signal, release } = this.#signalOf(options)
    await sleep(this.#options.clock, delayMs, signal).catch(() => {}) // seen when it is asked
    release()
  }

  #signalOf({ signal }: DhtOptions): LinkedSignal {
    return linkSignals(this.#stopping.signal, ...(signal === undefined ? [] : [signal]))
  }

  #throwIfOver({ signal }: DhtOptions): void {
    if (this.#stopping.signal.aborted) throw new MegatorrentError('ERR_DHT_CLOSED', 'the node is stopping')
    if (signal?.aborted) throw new MegatorrentError('ERR_ABORTED', 'it was called off')
  }
}

const HOUR_MS = 3_600_000
/** ms by which our clock may be ahead of a gateway's without its refusing what we ask to keep. */
const CLOCK_MARGIN_MS = HOUR_MS
