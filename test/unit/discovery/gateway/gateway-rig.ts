/** A gateway on a DHT in memory, and strangers that publish to it. */
import { randomBytes } from 'node:crypto'
import { toHex } from '../../../../src/base/bytes.ts'
import { ManualClock } from '../../../../src/base/clock.ts'
import { MegatorrentError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import { SigningKey } from '../../../../src/crypto/ed25519.ts'
import {
  type GatewayAsker,
  type GatewayRules,
  GatewayService,
} from '../../../../src/discovery/gateway/gateway-service.ts'
import type { GatewayStore, KeptItem } from '../../../../src/discovery/gateway/gateway-store.ts'
import type { KeeperTiming } from '../../../../src/discovery/gateway/item-keeper.ts'
import { SLOT_VALUE_BYTES } from '../../../../src/wire/constants.ts'
import type { PublishAnswer, PublishedItem, PublishMessage } from '../../../../src/wire/message.ts'
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
    const nonce = findPublishNonce(asker.handshakeHash, item, this.gateway.workBits, 0, 1 << 24)
    if (nonce === null) throw new Error('no nonce')
    return { type: 'publish', requestId: 1, nonce, ...item, ...changes }
  }

  #start(): GatewayService {
    const { rules, timing } = this.#options
    return new GatewayService({
      dht: this.dht,
      store: this.store,
      clock: this.clock,
      random: seededRandom(6),
      log: { ...silentLog, warn: (message) => void this.warned.push(message) },
      rules: { workBits: WORK_BITS, ...rules },
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
