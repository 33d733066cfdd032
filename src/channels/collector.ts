/**
 * Collecting garbage: blobs that nothing needs are removed, on request or when a limit
 * of the store is reached. What is needed is decided in channels/needed.ts.
 *
 * The order makes it safe beside everything else that runs: first a lease, so that
 * what anybody writes, reads or finds held from now on is spared
 * (storage/blob-leases.ts); then one look at the database; then the manifests; then the
 * sweep, a batch at a time, between which others write. Rows go before files, so a
 * crash at any point leaves at most files that the next start takes for held blobs:
 * garbage again. Reads wait for nothing.
 *
 * @module channels/collector
 */
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import {
  COLLECT_RETRY_MS,
  DELETE_BATCH_BLOBS,
  MAX_ROOM_BLOBS,
  MIN_ROOM_BLOBS,
  ROOM_SHARE,
} from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { batchesOf, Semaphore } from '../base/queue.ts'
import type { BlobStore, HeldBlob } from '../storage/blob-store.ts'
import { IdSet } from '../storage/id-set.ts'
import type { State } from '../storage/state.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import { decodeHead } from '../wire/head.ts'
import { addManifestIds } from './manifest-ids.ts'
import { decideNeeded, type Needed } from './needed.ts'
import { LOOKUPS_A_TURN, nextTurn, Pacer } from './turns.ts'

export interface CollectorDeps {
  readonly state: State
  readonly store: BlobStore
  readonly clock: Clock
  readonly log: Log
}

export interface CollectOptions {
  readonly signal?: AbortSignal
  /** Told of blobs looked at, of all. */
  readonly onProgress?: (done: number, total: number) => void
}

export interface Collected {
  /** Blobs. */
  readonly removed: number
  readonly freedBytes: number
}

export class Collector {
  readonly #deps: CollectorDeps
  /** One at a time: two would look at the same blobs. */
  readonly #turn = new Semaphore(1)
  #makingRoom: Promise<boolean> | null = null
  /** Monotonic; when there was nothing to remove last. */
  #foundNothingAtMs = Number.NEGATIVE_INFINITY
  /** Held blobs that are needed, as they were counted last; monotonic. */
  #needed: { readonly atMs: number; readonly count: Promise<number> } | null = null
  #closed = false

  constructor(deps: CollectorDeps) {
    this.#deps = deps
  }

  /**
   * Remove every blob that nothing needs.
   *
   * @throws MegatorrentError ERR_COLLECT_UNSURE when the manifest of a release that was whole here is not any
   *   more, ERR_BLOB_DAMAGED when one is damaged (nothing was removed then: `verify` mends both), or what the
   *   store throws. What the signal says, when it fires: what was removed by then stays so.
   */
  collect(options: CollectOptions = {}): Promise<Collected> {
    return this.#run(options, (isNeeded) => {
      const { store } = this.#deps
      return filterPaced(store.ids(), (id) => !isNeeded(id))
    })
  }

  /**
   * Remove the blobs of a channel's releases that nothing else needs: it is followed no more, or unpublished.
   * Never rejects: what stays is garbage, and the next collection takes it.
   */
  async collectChannel(publicKey: Uint8Array): Promise<void> {
    const { state, store, log } = this.#deps
    try {
      // Before the lease, since reading a manifest would make it spare the manifest's own blobs.
      const ofChannel = new IdSet()
      for (const row of state.releases.list(publicKey)) {
        const head = decodeHead(row.head)
        if (!head.isUnpublished) await addManifestIds(head.root, store, ofChannel)
      }
      if (ofChannel.size === 0) return
      await this.#run({}, (isNeeded) => filterPaced(store.ids(), (id) => ofChannel.has(id) && !isNeeded(id)))
    } catch (error) {
      if (this.#closed) return
      log.warn('blobs of a channel were not removed', {
        channel: short(publicKey),
        why: errorMessage(error),
      })
    }
  }

  /** Remove those of these blobs that nothing needs. Never rejects: what stays is garbage, as above. */
  async collectBlobs(ids: readonly Uint8Array[]): Promise<void> {
    const { store, log } = this.#deps
    try {
      await this.#run({}, (isNeeded) => filterPaced(ids, (id) => store.has(id) && !isNeeded(id)))
    } catch (error) {
      if (!this.#closed) log.warn('blobs that were kept for others stay', { why: errorMessage(error) })
    }
  }

  /**
   * A limit is reached: remove some of what nothing needs, what has been here longest first. Whoever asks
   * while that goes on waits for it. Never rejects.
   *
   * @returns whether something was removed.
   */
  makeRoom(): Promise<boolean> {
    const sinceMs = this.#deps.clock.monotonicMs() - this.#foundNothingAtMs
    if (this.#closed || sinceMs < COLLECT_RETRY_MS) return Promise.resolve(false)
    this.#makingRoom ??= this.#removeOldest().finally(() => {
      this.#makingRoom = null
    })
    return this.#makingRoom
  }

  /**
   * How many held blobs no collection would remove. Known for COLLECT_RETRY_MS, since whatever finds no place
   * asks again and again. Where it cannot be told what is needed, all are. Never rejects.
   */
  async countNeeded(): Promise<number> {
    const known = this.#needed
    if (known !== null && this.#deps.clock.monotonicMs() - known.atMs < COLLECT_RETRY_MS) return known.count
    const count = this.#countNeeded()
    this.#needed = { atMs: this.#deps.clock.monotonicMs(), count }
    return count
  }

  /** Something is not needed any more: the next write that finds no place may look again. */
  needsChanged(): void {
    this.#needed = null
    this.#foundNothingAtMs = Number.NEGATIVE_INFINITY
  }

  /** Begin nothing new, and wait until what runs has ended. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn.run(async () => {})
  }

  #countNeeded(): Promise<number> {
    const { store, log } = this.#deps
    return this.#turn.run(async () => {
      try {
        const needed = await this.#neededIds(undefined)
        const pacer = new Pacer(LOOKUPS_A_TURN)
        let count = 0
        for (const id of store.ids()) {
          if (this.#closed) break
          if (needed.has(id)) count++
          if (pacer.due()) await nextTurn()
        }
        return count
      } catch (error) {
        log.warn('what is needed could not be told', { why: errorMessage(error) })
        return store.count
      }
    })
  }

  async #removeOldest(): Promise<boolean> {
    const { store, clock, log } = this.#deps
    const count = Math.min(MAX_ROOM_BLOBS, Math.max(MIN_ROOM_BLOBS, Math.ceil(store.count * ROOM_SHARE)))
    try {
      const { removed } = await this.#run({}, async function* (isNeeded) {
        const oldest = await oldestOf(store.held(), count, (id) => !isNeeded(id))
        yield* batchesOf(oldest, DELETE_BATCH_BLOBS)
      })
      if (removed === 0) this.#foundNothingAtMs = clock.monotonicMs()
      else log.info('removed blobs that nothing needs, to make room', { blobs: removed })
      return removed > 0
    } catch (error) {
      this.#foundNothingAtMs = clock.monotonicMs()
      log.warn('no room could be made', { why: errorMessage(error) })
      return false
    }
  }

  #run(
    { signal, onProgress }: CollectOptions,
    choose: (isNeeded: (id: Uint8Array) => boolean) => AsyncIterable<Uint8Array[]>,
  ): Promise<Collected> {
    return this.#turn.run(async () => {
      if (this.#closed) throw new MegatorrentError('ERR_STORE_CLOSED', 'the node is stopping')
      const { store } = this.#deps
      const lease = store.openLease()
      try {
        const needed = await this.#neededIds(signal)
        const total = store.count
        let removed = 0
        let done = 0
        const batches = choose((id) => {
          done++
          return needed.has(id)
        })
        for await (const batch of batches) {
          signal?.throwIfAborted()
          if (this.#closed) break
          removed += await store.collect(batch)
          onProgress?.(Math.min(done, total), total)
        }
        return { removed, freedBytes: removed * BLOB_BYTES }
      } finally {
        lease.release()
      }
    })
  }

  /** Ids of all that is needed. Rows of ingests that expired are removed by it. */
  async #neededIds(signal: AbortSignal | undefined): Promise<IdSet> {
    const { store, state } = this.#deps
    const { manifests } = this.#decide()
    const ids = new IdSet()
    for (const { id } of state.gatewayBlobs.all()) ids.add(id)
    for (const { root, publicKey, wasWhole } of manifests) {
      signal?.throwIfAborted()
      const isWhole = await addManifestIds(root, store, ids, signal)
      if (isWhole || !wasWhole) continue
      throw new MegatorrentError(
        'ERR_COLLECT_UNSURE',
        `blobs of the list of files of channel ${toHex(publicKey).slice(0, 8)} are missing, so nothing is removed: run "megatorrent verify", or publish the folder again`,
      )
    }
    return ids
  }

  #decide(): Needed {
    const { state, clock, log } = this.#deps
    return state.database.transaction(() => {
      const needed = decideNeeded({
        now: clock.now(),
        channels: state.channels.list(),
        subscriptions: state.subscriptions.list(),
        ingests: state.ingests.all(),
        releasesOf: (publicKey) => state.releases.list(publicKey),
      })
      for (const id of needed.expiredIngests) {
        const row = state.ingests.get(id)
        if (row !== null) state.pieces.remove(row.publicKey, id)
        state.ingests.remove(id)
      }
      if (needed.expiredIngests.length > 0) {
        log.info('ingests that were never published are forgotten', { ingests: needed.expiredIngests.length })
      }
      return needed
    })
  }
}

/** Those that may go, in batches, with pauses for others. */
async function* filterPaced(
  ids: Iterable<Uint8Array>,
  mayGo: (id: Uint8Array) => boolean,
): AsyncGenerator<Uint8Array[], void, void> {
  const pacer = new Pacer(LOOKUPS_A_TURN)
  let batch: Uint8Array[] = []
  for (const id of ids) {
    if (mayGo(id)) batch.push(id)
    if (batch.length >= DELETE_BATCH_BLOBS) {
      yield batch
      batch = []
    }
    if (pacer.due()) await nextTurn()
  }
  if (batch.length > 0) yield batch
}

/** The `count` that came first, of those that may go: in memory are twice as many at the most. */
async function oldestOf(
  held: Iterable<HeldBlob>,
  count: number,
  mayGo: (id: Uint8Array) => boolean,
): Promise<Uint8Array[]> {
  const pacer = new Pacer(LOOKUPS_A_TURN)
  let candidates: HeldBlob[] = []
  const cut = (): void => {
    candidates = candidates.sort((a, b) => a.storedAt - b.storedAt).slice(0, count)
  }
  for (const blob of held) {
    if (mayGo(blob.id)) candidates.push(blob)
    if (candidates.length >= 2 * count) cut()
    if (pacer.due()) await nextTurn()
  }
  cut()
  return candidates.map(({ id }) => id)
}
