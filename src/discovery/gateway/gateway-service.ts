/**
 * What a gateway does for nodes without a DHT (PROTOCOL_FINAL.md §7.8): takes their
 * items, reads slots and looks up topics. What it takes is looked after by
 * item-keeper.ts; what may be taken stands in gateway-rules.ts.
 *
 * It knows no channel and cannot open what it holds.
 *
 * @module discovery/gateway/gateway-service
 */
import { toHex } from '../../base/bytes.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import { errorMessage } from '../../base/errors.ts'
import {
  GATEWAY_ANSWER_MS,
  GATEWAY_HOST_ITEMS,
  GATEWAY_MAX_PUZZLES,
  GATEWAY_MAX_PUZZLES_PER_HOST,
  GATEWAY_MAX_WAITING,
  GATEWAY_MAX_WAITING_PER_HOST,
  GATEWAY_PARALLEL_WALKS,
  GATEWAY_PUZZLE_LOAD,
  GATEWAY_PUZZLE_MEMORY_KIB,
  GATEWAY_PUZZLE_PASSES,
  GATEWAY_SHARED_ITEMS,
  GATEWAY_USE_HALF_LIFE_MS,
  MAX_GATEWAY_ITEMS,
  REQUEST_TIMEOUT_MS,
} from '../../base/limits.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { MemoryHash } from '../../crypto/argon2id.ts'
import type { Address } from '../../wire/address.ts'
import type { AddressClass } from '../../wire/address-class.ts'
import { MAX_PEERS_ADDRESSES, MAX_SLOT_ITEMS, PUBLISH_WORK_BITS } from '../../wire/constants.ts'
import {
  PUBLISH_OUTCOMES,
  type PublishAnswer,
  type PublishMessage,
  type PuzzleParameters,
  type SlotAnswer,
} from '../../wire/message.ts'
import { publishWork } from '../../wire/publish-work.ts'
import { addressGroup } from '../address-group.ts'
import type { Dht } from '../dht.ts'
import { spread } from '../pex.ts'
import { isHintedPort, mayBeTold } from '../told-address.ts'
import type { BlobKeeper } from './blob-keeper.ts'
import { closed, FairQueue, type FairQueueRules } from './fair-queue.ts'
import {
  isOlder,
  itemOf,
  puzzleOf,
  refusal,
  refuseKnown,
  refuseUnseen,
  staleAgainst,
} from './gateway-rules.ts'
import type { GatewayStore, KeptItem } from './gateway-store.ts'
import { ItemKeeper, type KeeperTiming } from './item-keeper.ts'
import { BEFORE_RESTART, PlaceLedger, type PlaceRules } from './place-ledger.ts'
import { PuzzleDesk, type PuzzleRules } from './puzzle-desk.ts'

/** Who asks, as far as a gateway cares. */
export interface GatewayAsker {
  /** Hosts that count as one have one name. */
  readonly host: string
  /** Are many behind that host, as behind loopback and onions? */
  readonly isShared: boolean
  /** Where it comes from: addresses of our own network are for those in it. */
  readonly hostClass: AddressClass
  /** Of the connection. */
  readonly handshakeHash: Uint8Array
}

/** Bounds, in base/limits.ts but for tests and simulations. */
export interface GatewayRules extends PlaceRules, FairQueueRules {
  /** Work that is asked of everybody. */
  readonly workBits: number
  readonly puzzle: PuzzleRules
  readonly answerMs: number
}

export const GATEWAY_RULES: GatewayRules = {
  places: MAX_GATEWAY_ITEMS,
  perHost: GATEWAY_HOST_ITEMS,
  sharedHost: GATEWAY_SHARED_ITEMS,
  parallel: GATEWAY_PARALLEL_WALKS,
  waiting: GATEWAY_MAX_WAITING,
  waitingPerHost: GATEWAY_MAX_WAITING_PER_HOST,
  halfLifeMs: GATEWAY_USE_HALF_LIFE_MS,
  workBits: PUBLISH_WORK_BITS,
  puzzle: {
    fromLoad: GATEWAY_PUZZLE_LOAD,
    memoryKib: GATEWAY_PUZZLE_MEMORY_KIB,
    passes: GATEWAY_PUZZLE_PASSES,
    waiting: GATEWAY_MAX_PUZZLES,
    waitingPerHost: GATEWAY_MAX_PUZZLES_PER_HOST,
    halfLifeMs: GATEWAY_USE_HALF_LIFE_MS,
  },
  answerMs: GATEWAY_ANSWER_MS,
}

export interface GatewayServiceOptions {
  readonly dht: Dht
  readonly store: GatewayStore
  /** Checks puzzles, away from the main thread. */
  readonly memoryHash: MemoryHash
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Keeps blobs besides; null while it cannot, or where it does not. */
  readonly blobs?: () => BlobKeeper | null
  readonly rules?: Partial<GatewayRules>
  readonly timing?: Partial<KeeperTiming>
}

export class GatewayService {
  readonly #options: GatewayServiceOptions
  readonly #rules: GatewayRules
  readonly #places: PlaceLedger
  readonly #queue: FairQueue
  readonly #puzzles: PuzzleDesk
  readonly #keeper: ItemKeeper
  readonly #stopping = new AbortController()

  constructor(options: GatewayServiceOptions) {
    this.#options = options
    this.#rules = { ...GATEWAY_RULES, ...options.rules }
    this.#places = new PlaceLedger(this.#rules)
    this.#queue = new FairQueue(this.#rules, options.clock)
    this.#puzzles = new PuzzleDesk(this.#rules.puzzle, options.clock, options.memoryHash)
    this.#keeper = new ItemKeeper({
      ...options,
      onForgotten: (key) => this.#places.free(toHex(key)),
    })
    for (const key of this.#keeper.keys()) this.#places.take(key, BEFORE_RESTART, true)
  }

  /** Null for a gateway that keeps no blobs. */
  get blobs(): BlobKeeper | null {
    return this.#options.blobs?.() ?? null
  }

  get isClosed(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Items that are kept. */
  get kept(): number {
    return this.#places.taken
  }

  /** The puzzle that a PUBLISH has to solve now, if any: harder, the more wait and the fewer places are left. */
  get puzzle(): PuzzleParameters | null {
    return this.#puzzles.asked(Math.max(this.#queue.load, 2 * this.#places.fill - 1, 0))
  }

  /**
   * Rejects when the item could not be written down; with ERR_DHT_BUSY when too many puzzles wait to be checked,
   * and with ERR_DHT_CLOSED after `close`.
   */
  async publish(asker: GatewayAsker, message: PublishMessage): Promise<PublishAnswer> {
    const { clock } = this.#options
    if (this.#stopping.signal.aborted) throw closed()
    const work = publishWork(asker.handshakeHash, message, message.nonce)
    const nowMs = clock.now()
    const refused = refuseUnseen({ item: message, work, workBits: this.#rules.workBits, nowMs })
    if (refused !== null) return refused
    const key = toHex(message.slotKey)
    const mayHavePlace = this.#places.judge(key, asker.host, asker.isShared).granted
    if (!mayHavePlace) return refusal(PUBLISH_OUTCOMES.quota)
    const unfit = refuseKnown(message, this.#keeper.newest(message.slotKey))
    if (unfit !== null) return unfit
    const { puzzle } = this
    if (puzzle !== null && !(await this.#puzzles.isSolved(asker, message, puzzle))) return puzzleOf(puzzle)
    if (this.#stopping.signal.aborted) throw closed()
    // Others may have been given a place while the puzzle was checked.
    const verdict = this.#places.judge(key, asker.host, asker.isShared)
    if (!verdict.granted) return refusal(PUBLISH_OUTCOMES.quota)
    const { notBefore, notAfter } = message
    await this.#keep(key, asker, verdict.evict, { item: itemOf(message), notBefore, notAfter })
    const kept = this.#keeper.newest(message.slotKey)
    if (kept !== null && isOlder(message, kept)) return staleAgainst(kept.seq) // it came together with this one
    return notBefore > nowMs ? refusal(PUBLISH_OUTCOMES.kept) : this.#putNow(asker, message)
  }

  /** @throws MegatorrentError as `Dht.getMutable`, ERR_DHT_BUSY also when others come first. */
  async readSlot(asker: GatewayAsker, slotKey: Uint8Array): Promise<SlotAnswer> {
    const { signal } = this.#stopping
    const walk = () => this.#options.dht.getMutable(slotKey, { signal })
    const read = await this.#queue.run(asker.host, walk, REQUEST_TIMEOUT_MS)
    const items = read.candidates.slice(0, MAX_SLOT_ITEMS).map(({ item, holders }) => ({
      holders: asU16(holders),
      seq: item.seq,
      signature: item.signature,
      value: item.value,
    }))
    return { nearest: asU16(read.nearest), items: items.filter(({ value }) => value.length > 0) }
  }

  /** Peers that announced the topic; nobody has tried them. Errors as `readSlot`. */
  async findPeers(asker: GatewayAsker, topic: Uint8Array): Promise<readonly Address[]> {
    const { dht, random } = this.#options
    const { signal } = this.#stopping
    const found: Address[] = []
    const walk = () =>
      dht.lookup(topic, ({ host, port }) => found.push({ kind: 'ipv4', host, port }), { signal })
    await this.#queue.run(asker.host, walk, REQUEST_TIMEOUT_MS)
    const tellable = found
      .filter((address) => isHintedPort(address.port) && mayBeTold(address, asker.hostClass))
      .map((address) => ({ address, group: addressGroup(address) }))
    return spread(tellable, MAX_PEERS_ADDRESSES, random).map(({ address }) => address)
  }

  /** Resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all([this.blobs?.close(), this.#puzzles.close(), this.#queue.close(), this.#keeper.close()])
  }

  /** The place is taken before the item is written down: others that come meanwhile see it. The keeper frees it. */
  async #keep(key: string, asker: GatewayAsker, evict: string | null, kept: KeptItem): Promise<void> {
    if (evict !== null) this.#keeper.forget([evict])
    this.#places.take(key, asker.host, asker.isShared)
    await this.#keeper.keep(kept)
  }

  /** Put it in its turn, and say how that went; when it takes long, that it is kept. */
  async #putNow({ host }: GatewayAsker, { slotKey, seq }: PublishMessage): Promise<PublishAnswer> {
    const { clock, log } = this.#options
    const late = new AbortController()
    const putting = this.#queue
      .run(host, () => this.#keeper.put(slotKey))
      .then(({ nodes, newestSeq }): PublishAnswer => {
        if (newestSeq > seq) return staleAgainst(newestSeq)
        return nodes === 0 ? refusal(PUBLISH_OUTCOMES.kept) : { ...refusal(PUBLISH_OUTCOMES.stored), nodes }
      })
      .catch((error: unknown) => {
        log.debug('an item was kept and not put', { why: errorMessage(error) })
        return refusal(PUBLISH_OUTCOMES.kept)
      })
      .finally(() => late.abort())
    const waiting = sleep(clock, this.#rules.answerMs, late.signal).then(
      () => refusal(PUBLISH_OUTCOMES.kept),
      () => putting, // it was put in time
    )
    return waiting
  }
}

function asU16(count: number): number {
  return Math.min(count, 0xffff)
}
