/**
 * Small stores that lower layers declare, over the tables of the database.
 *
 * @module node/stores
 */
import type { Clock, Timer } from '../base/clock.ts'
import { EPHEMERAL_FLUSH_MS, MAX_REMEMBERED_EPHEMERALS_LOADED } from '../base/limits.ts'
import { hourOf } from '../crypto/key-schedule.ts'
import type { AnchorsTable } from '../storage/tables/anchors-table.ts'
import type { BansTable } from '../storage/tables/bans-table.ts'
import type { EphemeralRow, EphemeralsTable } from '../storage/tables/ephemerals-table.ts'
import type { MetaTable } from '../storage/tables/meta-table.ts'
import type { AnchorStore } from '../swarm/anchors.ts'
import type { BanStore } from '../swarm/bans.ts'
import type { RelayDialingDeps } from '../swarm/relay-dialing.ts'
import type { EphemeralStore } from '../transport/handshake-keys.ts'
import { EPHEMERAL_MEMORY_HOURS } from '../wire/constants.ts'

/**
 * Ephemeral keys, written a little later and many at a time: an fsync for each
 * handshake would let anybody keep our disk busy. What a crash loses is the last
 * moment's, and a replay of those gets no further than a handshake.
 */
export class BatchedEphemeralStore implements EphemeralStore {
  readonly #table: EphemeralsTable
  readonly #clock: Clock
  #waiting: EphemeralRow[] = []
  #timer: Timer | null = null

  constructor(table: EphemeralsTable, clock: Clock) {
    this.#table = table
    this.#clock = clock
  }

  load(): Iterable<EphemeralRow> {
    const since = hourOf(this.#clock.now()) - EPHEMERAL_MEMORY_HOURS
    return this.#table.recent(since, MAX_REMEMBERED_EPHEMERALS_LOADED)
  }

  add(keyId: Uint8Array, ephemeral: Uint8Array, hour: number): void {
    this.#waiting.push({ keyId, ephemeral, hour })
    this.#timer ??= this.#clock.setTimer(() => this.flush(), EPHEMERAL_FLUSH_MS)
  }

  prune(beforeHour: number): void {
    this.#table.prune(beforeHour)
  }

  /** Write what waits; called once more before the database closes. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    const rows = this.#waiting
    this.#waiting = []
    if (rows.length > 0) this.#table.add(rows)
  }
}

export function banStore(table: BansTable, clock: Clock): BanStore {
  return {
    load() {
      table.prune(clock.now())
      return table.active(clock.now())
    },
    save: (ban) => table.add({ ...ban, createdAt: clock.now() }),
    remove: (subject) => void table.remove(subject),
  }
}

const RELAY_ANCHORS = 'relay anchors'

/** No address has a blank. */
export function relayAnchorStore(meta: Pick<MetaTable, 'get' | 'set'>): RelayDialingDeps['anchors'] {
  return {
    load: () => String(meta.get(RELAY_ANCHORS) ?? '').split(' '),
    save: (addresses) => meta.set(RELAY_ANCHORS, addresses.join(' ')),
  }
}

export function anchorStore(table: AnchorsTable): AnchorStore {
  return {
    load: (publicKey) => table.list(publicKey),
    save: (publicKey, addresses) => table.replace(publicKey, addresses),
  }
}
