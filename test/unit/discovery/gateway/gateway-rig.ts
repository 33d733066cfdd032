/** A gateway on a DHT in memory, and strangers that publish to it. */
import { randomBytes } from 'node:crypto'
import { concatBytes, toHex } from '../../../../src/base/bytes.ts'
import { type Clock, ManualClock, sleep } from '../../../../src/base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { type Random, seededRandom } from '../../../../src/base/random.ts'
import type { Argon2idInput } from '../../../../src/crypto/argon2id.ts'
import { SigningKey } from '../../../../src/crypto/ed25519.ts'
import { sha256 } from '../../../../src/crypto/hash.ts'
import {
  GATEWAY_RULES,
  type GatewayAsker,
  type GatewayRules,
  GatewayService,
} from '../../../../src/discovery/gateway/gateway-service.ts'
import type { GatewayStore, KeptItem } from '../../../../src/discovery/gateway/gateway-store.ts'
import type { KeeperTiming } from '../../../../src/discovery/gateway/item-keeper.ts'
import { SLOT_VALUE_BYTES } from '../../../../src/wire/constants.ts'
import { isSolution, puzzleInput, puzzleNonce, puzzleSalt } from '../../../../src/wire/memory-puzzle.ts'
import type {
  PublishAnswer,
  PublishedItem,
  PublishMessage,
  PuzzleParameters,
} from '../../../../src/wire/message.ts'
import { type MutableItem, signItem } from '../../../../src/wire/mutable-item.ts'
import { findPublishNonce } from '../../../../src/wire/publish-work.ts'
import { MemoryNetwork } from '../memory-dht.ts'

export const NOON = Date.UTC(2026, 5, 1, 12)
export const HOUR_MS = 3_600_000
/** Cheap, so that a test can do a thousand. */
export const WORK_BITS = 4

export class MemoryGatewayStore implements GatewayStore {
  readonly items = new Map<string, KeptItem>()
  saves = 0
  isFull = false

  all(): readonly KeptItem[] {
    return [...this.items.values()]
  }

  save(kept: readonly KeptItem[]): void {
    if (this.isFull) throw new MegatorrentError('ERR_DISK_FULL', 'no room')
    this.saves++
    for (const one of kept) this.items.set(toHex(one.item.publicKey), one)
  }

  remove(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.items.delete(toHex(key))
  }
}

/** In place of argon2id, whose time is no simulated one: what it costs is tested with the real one. */
export const quickHash = async ({ password, salt }: Argon2idInput): Promise<Uint8Array> =>
  sha256(concatBytes(salt, password))

/** A gateway of that DHT, with nothing on disk. @param rules - {}: those of a real one. */
export function serviceIn(
  network: MemoryNetwork,
  clock: Clock,
  rules: Partial<GatewayRules> = { workBits: WORK_BITS },
  random: Random = seededRandom(4),
): GatewayService {
  return new GatewayService({
    dht: network.dht(),
    store: new MemoryGatewayStore(),
    memoryHash: quickHash,
    ...{ clock, random, log: silentLog, rules },
  })
}

/** What it comes to, or the code of its error, with time moved on. */
export async function outcomeOf<T>(clock: ManualClock, work: Promise<T>): Promise<T | string> {
  let isDone = false
  const settled = work
    .catch((error: unknown) => {
      if (isMegatorrentError(error)) return error.code as string
      throw error
    })
    .finally(() => {
      isDone = true
    })
  while (!isDone) await clock.advance(20)
  return settled
}

/** Whoever tests something else is never asked for one. */
const NO_PUZZLE = { ...GATEWAY_RULES.puzzle, fromLoad: Number.POSITIVE_INFINITY }

export interface WorldOptions {
  readonly rules?: Partial<GatewayRules>
  readonly timing?: Partial<KeeperTiming>
}

export class World {
  readonly clock = new ManualClock(NOON)
  readonly network = new MemoryNetwork(this.clock)
  readonly dht = this.network.dht()
  readonly store = new MemoryGatewayStore()
  readonly warned: string[] = []
  /** Of puzzles that the gateway checks. */
  readonly hashes = { made: 0, running: 0, most: 0, takesMs: 0 }
  readonly #options: WorldOptions
  gateway: GatewayService

  constructor(options: WorldOptions = {}) {
    this.#options = options
    this.gateway = this.#start()
  }

  async restart(): Promise<void> {
    await this.gateway.close()
    this.gateway = this.#start()
  }

  /** What became of a publish, with time moved on for it. */
  async publish(
    asker: GatewayAsker,
    item: PublishedItem,
    changes: Partial<PublishMessage> = {},
  ): Promise<PublishAnswer> {
    const message = this.message(asker, item, changes)
    const [answer] = await Promise.all([this.gateway.publish(asker, message), this.clock.advance(100)])
    return answer
  }

  /** A PUBLISH with the work that is asked for now. */
  message(asker: GatewayAsker, item: PublishedItem, changes: Partial<PublishMessage> = {}): PublishMessage {
    const bits = this.#options.rules?.workBits ?? WORK_BITS
    const nonce = findPublishNonce(asker.handshakeHash, item, bits, 0, 1 << 24)
    if (nonce === null) throw new Error('no nonce')
    return { type: 'publish', requestId: 1, nonce, ...item, ...changes }
  }

  /** What solves a puzzle for an item on a connection, by the hash that the gateway checks with. */
  async solve(asker: GatewayAsker, item: PublishedItem, puzzle: PuzzleParameters): Promise<Uint8Array> {
    const salt = puzzleSalt(asker.handshakeHash, item)
    for (let count = 0; ; count++) {
      const nonce = puzzleNonce(count)
      if (isSolution(await quickHash(puzzleInput(salt, nonce, puzzle)), puzzle)) return nonce
    }
  }

  #start(): GatewayService {
    const { rules, timing } = this.#options
    return new GatewayService({
      dht: this.dht,
      store: this.store,
      memoryHash: async (input) => {
        this.hashes.running++
        this.hashes.most = Math.max(this.hashes.most, this.hashes.running)
        this.hashes.made++
        if (this.hashes.takesMs > 0) await sleep(this.clock, this.hashes.takesMs)
        this.hashes.running--
        return quickHash(input)
      },
      clock: this.clock,
      random: seededRandom(6),
      log: { ...silentLog, warn: (message) => void this.warned.push(message) },
      rules: { workBits: WORK_BITS, puzzle: NO_PUZZLE, ...rules },
      ...(timing === undefined ? {} : { timing }),
    })
  }
}

/** A stranger on a connection of its own. */
export function asker(host = '198.51.100.7', changes: Partial<GatewayAsker> = {}): GatewayAsker {
  const handshakeHash = Uint8Array.from(randomBytes(32))
  return { host, isShared: false, hostClass: 'public', handshakeHash, ...changes }
}

export const newKey = (): SigningKey => new SigningKey(Uint8Array.from(randomBytes(32)))

/** An item as a channel would have it signed. */
export function signed(key = newKey(), seq = 1, fill = 1, bytes: number = SLOT_VALUE_BYTES): MutableItem {
  return signItem(key, seq, new Uint8Array(bytes).fill(fill))
}

/** The same for a PUBLISH, for a day. */
export function offered(item: MutableItem, changes: Partial<PublishedItem> = {}): PublishedItem {
  const { publicKey, seq, signature, value } = item
  return {
    notBefore: 0,
    notAfter: NOON + 24 * HOUR_MS,
    slotKey: publicKey,
    seq,
    signature,
    value,
    ...changes,
  }
}
