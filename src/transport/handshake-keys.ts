/**
 * The handshake keys that a responder tries on a first message, and its memory of
 * ephemeral keys (PROTOCOL_FINAL.md §6.3).
 *
 * @module transport/handshake-keys
 */
import { toHex, utf8Bytes } from '../base/bytes.ts'
import { MAX_REMEMBERED_EPHEMERALS, MAX_STORED_EPHEMERALS_PER_HOUR } from '../base/limits.ts'
import { DOMAINS } from '../crypto/domains.ts'
import { sha256 } from '../crypto/hash.ts'
import {
  type ChannelKeys,
  dayOf,
  handshakeKey,
  NETWORK_HANDSHAKE_KEY,
  nodeHandshakeKey,
  RELAY_SECRET,
} from '../crypto/key-schedule.ts'
import { PreparedPsk } from '../crypto/noise.ts'
import { EPHEMERAL_MEMORY_HOURS } from '../wire/constants.ts'

/** Noise prologue: protocol name and version (§6.1). */
export const PROLOGUE = utf8Bytes(DOMAINS.prologue)

/** Under what a connection was made: who proved what by opening or making its first message. */
export type HandshakePurpose =
  | { readonly kind: 'channel'; readonly channel: ChannelKeys }
  | { readonly kind: 'relay' }
  | { readonly kind: 'node' }
  | { readonly kind: 'network' }

export interface HandshakeKey {
  readonly purpose: HandshakePurpose
  /** First 16 bytes of SHA-256 of the key: names it in the store without telling it. */
  readonly keyId: Uint8Array
  readonly prepared: PreparedPsk
}

function handshakeKeyOf(purpose: HandshakePurpose, key: Uint8Array): HandshakeKey {
  return { purpose, keyId: sha256(key).slice(0, 16), prepared: new PreparedPsk(PROLOGUE, key) }
}

/** All keys under which this node answers; rebuilt when the day or the channels change. */
export class HandshakeKeyring {
  readonly #fixed: HandshakeKey[]
  /** Those whose keys are other ones each day, by their secrets as hex. */
  readonly #daily = new Map<string, DailyKeys>()

  /** @param isForAll - the network's key is among them: an onion answers only who knows it or its channel. */
  constructor(nodeKey: Uint8Array, isForAll = true) {
    this.#fixed = [handshakeKeyOf({ kind: 'node' }, nodeHandshakeKey(nodeKey))]
    if (isForAll) this.#fixed.push(handshakeKeyOf({ kind: 'network' }, NETWORK_HANDSHAKE_KEY))
  }

  addChannel(keys: ChannelKeys): void {
    this.#addDaily({ kind: 'channel', channel: keys }, keys.secret)
  }

  removeChannel(keys: ChannelKeys): void {
    this.#daily.delete(toHex(keys.secret))
  }

  /** Answer relays, which everybody can be (§7.7). */
  addRelays(): void {
    this.#addDaily({ kind: 'relay' }, RELAY_SECRET)
  }

  /** Every key that may open a first message now: each channel's and relays' of three days, ours, the network's. */
  *candidates(nowMs: number): Generator<HandshakeKey> {
    const today = dayOf(nowMs)
    for (const day of [today, today - 1, today + 1]) {
      for (const daily of this.#daily.values()) yield dayKey(daily, day, today)
    }
    yield* this.#fixed
  }

  #addDaily(purpose: HandshakePurpose, secret: Uint8Array): void {
    const id = toHex(secret)
    if (!this.#daily.has(id)) this.#daily.set(id, { purpose, secret, days: new Map() })
  }
}

interface DailyKeys {
  readonly purpose: HandshakePurpose
  readonly secret: Uint8Array
  readonly days: Map<number, HandshakeKey>
}

function dayKey({ purpose, secret, days }: DailyKeys, day: number, today: number): HandshakeKey {
  const known = days.get(day)
  if (known !== undefined) return known
  for (const old of days.keys()) if (Math.abs(old - today) > 1) days.delete(old)
  const fresh = handshakeKeyOf(purpose, handshakeKey(secret, day))
  days.set(day, fresh)
  return fresh
}

/** Where remembered ephemeral keys outlive the process. Given by the node, over its database. */
export interface EphemeralStore {
  load(): Iterable<{ readonly keyId: Uint8Array; readonly ephemeral: Uint8Array; readonly hour: number }>
  /** At most MAX_STORED_EPHEMERALS_PER_HOUR of one key id come in an hour. */
  add(keyId: Uint8Array, ephemeral: Uint8Array, hour: number): void
  prune(beforeHour: number): void
}

/**
 * Ephemeral keys accepted lately: the same first message is answered once.
 *
 * What is accepted under the network's key or that of relays is not stored, and past a rate nothing is: anybody, or
 * anybody with that link, can fill the disk with these, and would gain by a replay after a restart
 * only what a first message of his own gives him.
 */
export class EphemeralMemory {
  readonly #store: EphemeralStore
  /** key id -> ephemeral -> hour of acceptance, in order of acceptance. */
  readonly #seen = new Map<string, Map<string, number>>()
  /** key id -> how many were stored in this hour. */
  readonly #stored = new Map<string, number>()
  #prunedHour = 0

  constructor(store: EphemeralStore) {
    this.#store = store
    const rows = [...store.load()].sort((a, b) => a.hour - b.hour)
    for (const row of rows) this.#remember(toHex(row.keyId), toHex(row.ephemeral), row.hour)
  }

  /**
   * @param hour - of now.
   * @returns false when it was accepted before; else it is remembered from now on.
   */
  accept(key: Pick<HandshakeKey, 'keyId' | 'purpose'>, ephemeral: Uint8Array, hour: number): boolean {
    this.#prune(hour)
    const id = toHex(key.keyId)
    const text = toHex(ephemeral)
    if (this.#seen.get(id)?.has(text)) return false
    this.#remember(id, text, hour)
    const stored = this.#stored.get(id) ?? 0
    const isForAll = key.purpose.kind === 'network' || key.purpose.kind === 'relay'
    if (!isForAll && stored < MAX_STORED_EPHEMERALS_PER_HOUR) {
      this.#stored.set(id, stored + 1)
      this.#store.add(key.keyId, ephemeral, hour)
    }
    return true
  }

  #remember(id: string, ephemeral: string, hour: number): void {
    const seen = this.#seen.get(id) ?? new Map<string, number>()
    this.#seen.set(id, seen)
    seen.set(ephemeral, hour)
    if (seen.size <= MAX_REMEMBERED_EPHEMERALS) return
    const oldest = seen.keys().next()
    if (!oldest.done) seen.delete(oldest.value)
  }

  #prune(hour: number): void {
    if (hour === this.#prunedHour) return
    this.#prunedHour = hour
    this.#stored.clear()
    const before = hour - EPHEMERAL_MEMORY_HOURS
    for (const [id, seen] of this.#seen) {
      for (const [ephemeral, acceptedHour] of seen) if (acceptedHour < before) seen.delete(ephemeral)
      if (seen.size === 0) this.#seen.delete(id)
    }
    this.#store.prune(before)
  }
}
