/**
 * Blobs that a gateway keeps for others (PROTOCOL_FINAL.md §7.9): it is given bare ids,
 * fetches what they name from whoever gave them, and holds it until its time is over.
 * It has no key, and cannot read it.
 *
 * Each blob has a place, shared out among hosts as those of items are
 * (place-ledger.ts), taken before it is fetched and written down: what a crash leaves
 * half fetched is on the list and not on the shelf, and goes at the next start.
 *
 * @module discovery/gateway/blob-keeper
 */
import { linkDeadline, linkSignals } from '../../base/abort.ts'
import { fromHex, toHex } from '../../base/bytes.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../../base/errors.ts'
import { GATEWAY_BLOB_TIMEOUT_MS, GATEWAY_BLOBS_LOOK_MS } from '../../base/limits.ts'
import type { Log } from '../../base/log.ts'
import { BLOB_ID_BYTES, MAX_KEEP_AHEAD_MS } from '../../wire/constants.ts'
import { KEEP_STATES, type KeepAnswer, type KeepMessage, PUBLISH_OUTCOMES } from '../../wire/message.ts'
import { keepWork } from '../../wire/publish-work.ts'
import { FairQueue, type FairQueueRules } from './fair-queue.ts'
import type { AskBlob, BlobShelf, KeptBlob, KeptBlobList } from './kept-blobs.ts'
import { BEFORE_RESTART, PlaceLedger, type PlaceRules } from './place-ledger.ts'

export interface BlobKeeperRules extends PlaceRules, FairQueueRules {
  readonly workBits: number
}

export interface BlobKeeperOptions {
  readonly list: KeptBlobList
  readonly shelf: BlobShelf
  readonly clock: Clock
  readonly log: Log
  readonly rules: BlobKeeperRules
}

/** Who asks, as far as it matters here. */
export interface KeepAsker {
  readonly host: string
  readonly isShared: boolean
  readonly handshakeHash: Uint8Array
}

/** The connection by which a list came. */
export interface KeepSource {
  readonly ask: AskBlob
  /** Fires when it is over. */
  readonly signal: AbortSignal
  /** It gave what is not the blob that it named. */
  onFalse(): void
}

export class BlobKeeper {
  readonly #options: BlobKeeperOptions
  readonly #places: PlaceLedger
  readonly #queue: FairQueue
  /** Those on the list, by id as hex. */
  readonly #kept = new Map<string, KeptBlob>()
  /** Of these, those that are not on the shelf yet. */
  readonly #coming = new Set<string>()
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #timer: Timer | null = null

  /** @param options - the shelf has recovered: what it has not, it will not have. */
  constructor(options: BlobKeeperOptions) {
    this.#options = options
    this.#places = new PlaceLedger(options.rules)
    this.#queue = new FairQueue(options.rules, options.clock)
    const lost: Uint8Array[] = []
    for (const blob of options.list.all()) {
      const key = toHex(blob.id)
      // A smaller quota than before: the rest goes.
      const fits = this.#kept.size < options.rules.places && options.shelf.has(blob.id)
      if (!fits) lost.push(blob.id)
      else {
        this.#kept.set(key, blob)
        this.#places.take(key, BEFORE_RESTART, true)
      }
    }
    if (lost.length > 0) this.#track(this.#drop(lost))
    this.#lookLater()
  }

  /** Blobs that are on the shelf, and those that may be. */
  get counts(): { readonly kept: number; readonly places: number } {
    return { kept: this.#kept.size - this.#coming.size, places: this.#options.rules.places }
  }

  /** Is it one that was given to be kept, and is here? */
  has(id: Uint8Array): boolean {
    const key = toHex(id)
    return this.#kept.has(key) && !this.#coming.has(key) && this.#options.shelf.has(id)
  }

  /**
   * What becomes of each; those that are coming are fetched from then on.
   *
   * @throws what the list throws when it cannot be saved: all have the places and times then that they had.
   */
  async keep(asker: KeepAsker, message: KeepMessage, source: KeepSource): Promise<KeepAnswer> {
    const { clock, rules } = this.#options
    const { until, blobIds } = message
    if (until === 0) return this.#answer(blobIds)
    if (keepWork(asker.handshakeHash, message, message.nonce) < rules.workBits) {
      return { ...refusal(PUBLISH_OUTCOMES.work), workBits: rules.workBits }
    }
    const nowMs = clock.now()
    if (until <= nowMs || until > nowMs + MAX_KEEP_AHEAD_MS) return refusal(PUBLISH_OUTCOMES.window)
    if (this.#stopping.signal.aborted || source.signal.aborted) return refusal(PUBLISH_OUTCOMES.quota)
    const { wanted, evicted } = this.#takePlaces(asker, message)
    await this.#forget(evicted)
    if (wanted.length > 0) this.#track(this.#fetchAll(asker.host, wanted, source))
    return this.#answer(blobIds)
  }

  /** Resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
    await Promise.all([this.#queue.close(), ...this.#running])
  }

  #takePlaces(
    { host, isShared }: KeepAsker,
    { until, blobIds }: KeepMessage,
  ): { wanted: Uint8Array[]; evicted: string[] } {
    const wanted: Uint8Array[] = []
    const evicted: string[] = []
    const changed: KeptBlob[] = []
    const before: (() => void)[] = []
    for (const id of blobIds) {
      const key = toHex(id)
      const known = this.#kept.get(key)
      const verdict = this.#places.judge(key, host, isShared)
      if (known === undefined) {
        if (!verdict.granted) continue
        if (verdict.evict !== null) {
          evicted.push(verdict.evict)
          before.push(this.#remember(verdict.evict))
          this.#places.free(verdict.evict)
          this.#kept.delete(verdict.evict)
        }
        wanted.push(id)
        this.#coming.add(key)
      }
      before.push(this.#remember(key))
      this.#places.take(key, host, isShared)
      const blob = { id, until: Math.max(until, known?.until ?? 0) }
      this.#kept.set(key, blob)
      if (known?.until !== blob.until) changed.push(blob)
    }
    const rows = changed.filter(({ id }) => this.#kept.has(toHex(id)))
    try {
      if (rows.length > 0) this.#options.list.save(rows)
    } catch (error) {
      for (const restore of before.reverse()) restore()
      throw error
    }
    return { wanted, evicted }
  }

  /** @returns what gives it the place and the time again that it has now, or none. */
  #remember(key: string): () => void {
    const blob = this.#kept.get(key)
    const owner = this.#places.ownerOf(key)
    return () => {
      if (blob === undefined || owner === null) return this.#lose(key)
      this.#kept.set(key, blob)
      if (this.#places.ownerOf(key) === owner) return
      this.#places.free(key)
      this.#places.take(key, owner, true)
    }
  }

  /** It did not come, or will not. */
  #lose(key: string): void {
    this.#coming.delete(key)
    this.#places.free(key)
    this.#kept.delete(key)
  }

  #answer(blobIds: readonly Uint8Array[]): KeepAnswer {
    const states = blobIds.map((id) => {
      const key = toHex(id)
      if (!this.#kept.has(key)) return KEEP_STATES.refused
      return this.#coming.has(key) ? KEEP_STATES.coming : KEEP_STATES.held
    })
    return { outcome: PUBLISH_OUTCOMES.stored, workBits: 0, states: Uint8Array.from(states) }
  }

  /** Never rejects: what does not come loses its place. */
  async #fetchAll(host: string, ids: readonly Uint8Array[], source: KeepSource): Promise<void> {
    const { signal, release } = linkSignals(source.signal, this.#stopping.signal)
    const failed: string[] = []
    await Promise.all(
      ids.map(async (id) => {
        const key = toHex(id)
        try {
          await this.#queue.run(host, () => this.#fetch(id, source, signal))
          this.#coming.delete(key)
        } catch (error) {
          this.#options.log.debug('a blob was not kept', { why: errorMessage(error) })
          if (isMegatorrentError(error) && error.kind === 'peer') source.onFalse()
          failed.push(key)
        }
      }),
    )
    release()
    for (const key of failed) this.#lose(key)
    await this.#forget(failed)
  }

  async #fetch(id: Uint8Array, source: KeepSource, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // It may have had to make room while it waited.
    if (!this.#kept.has(toHex(id))) return
    const linked = linkDeadline(this.#options.clock, GATEWAY_BLOB_TIMEOUT_MS, signal)
    try {
      const frame = await source.ask(id, linked.signal)
      await this.#options.shelf.put(id, frame)
    } finally {
      linked.release()
    }
    if (!this.#kept.has(toHex(id))) await this.#options.shelf.release([id])
  }

  /** Off the list, and off the shelf. Never rejects. */
  async #forget(keys: readonly string[]): Promise<void> {
    const ids = keys.map((key) => fromHex(key, BLOB_ID_BYTES)).filter((id) => id !== null)
    if (ids.length > 0) await this.#drop(ids)
  }

  async #drop(ids: readonly Uint8Array[]): Promise<void> {
    const { list, shelf, log } = this.#options
    try {
      list.remove(ids)
    } catch (error) {
      log.warn('blobs that are kept no more are still on the list', { why: errorMessage(error) })
      return
    }
    await shelf.release(ids)
  }

  #lookLater(): void {
    if (this.#stopping.signal.aborted) return
    this.#timer = this.#options.clock.setTimer(() => {
      const nowMs = this.#options.clock.now()
      const over = [...this.#kept].filter(([, { until }]) => until <= nowMs).map(([key]) => key)
      for (const key of over) {
        this.#places.free(key)
        this.#kept.delete(key)
      }
      this.#track(this.#forget(over))
      this.#lookLater()
    }, GATEWAY_BLOBS_LOOK_MS)
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => void this.#running.delete(tracked))
    this.#running.add(tracked)
  }
}

function refusal(outcome: number): KeepAnswer {
  return { outcome, workBits: 0, states: new Uint8Array() }
}
