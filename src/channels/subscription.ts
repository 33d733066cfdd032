/**
 * One subscription: follows a channel and keeps a folder equal to its newest
 * release, whatever is interrupted.
 *
 * A loop with one task at a time: look for a head, fetch what is missing, put the
 * files in place, wait for news. A newer release calls off the task for the one
 * before it; blobs that are held by then stay held.
 *
 * @module channels/subscription
 */
import { setMaxListeners } from 'node:events'
import { linkSignals } from '../base/abort.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import {
  FAILED_RETRY_MS,
  LOOK_FIRST_MS,
  LOOK_MAX_MS,
  LOOK_QUIET_MS,
  MANIFEST_PARTS_IN_FLIGHT,
  STALLED_MS,
} from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import type { SubscriptionRow } from '../storage/tables/subscriptions-table.ts'
import { referenceId } from '../wire/blob.ts'
import { type Head, isSameRelease } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import { blobFault } from './blob-fault.ts'
import type { Collector } from './collector.ts'
import type { ReleaseTarget } from './holding.ts'
import { loadManifest } from './manifest-loader.ts'
import { Rest, untilOver } from './rest.ts'
import type { ChannelSession } from './session.ts'
import { assertFits, splitHeld } from './store-fit.ts'
import type { SubscriptionPhase, SubscriptionStatus } from './subscription-status.ts'
import { unpublished } from './unpublished.ts'

export interface SubscriptionDeps {
  readonly state: State
  readonly store: BlobStore
  readonly collector: Pick<Collector, 'countNeeded'>
  readonly clock: Clock
  readonly log: Log
  /** Makes the folder equal to a release (channels/assemble.ts), or only holds it (channels/holding.ts). */
  readonly assemble: (row: SubscriptionRow, manifest: Manifest) => Promise<ReleaseTarget>
}

export class Subscription {
  readonly session: ChannelSession
  readonly #deps: SubscriptionDeps
  #row: SubscriptionRow
  #phase: SubscriptionPhase = 'resolving'
  #error: { readonly code: string; readonly message: string } | null = null
  #manifest: Manifest | null = null
  /** What of it the user wants, when that is known. */
  #selected: { readonly files: number; readonly bytes: number } | null = null
  #target: Head | null = null
  #completeSequence: number
  #blobsDone = 0
  #blobsTotal = 0
  #lastBlobMs: number
  readonly #stopping = new AbortController()
  /** Called off when a newer release is known, or all stops. */
  #task = new AbortController()
  readonly #rest: Rest
  /** The look that every start begins with, while it lasts. */
  #firstLook: Promise<void> | null = null
  #running: Promise<void> = Promise.resolve()
  readonly #watchers = new Set<() => void>()
  readonly #stopHearing: () => void

  constructor(row: SubscriptionRow, session: ChannelSession, deps: SubscriptionDeps) {
    this.#row = row
    this.session = session
    this.#deps = deps
    this.#completeSequence = row.completeSequence
    this.#lastBlobMs = deps.clock.monotonicMs()
    this.#rest = new Rest(deps.clock, this.#stopping.signal)
    this.#stopHearing = session.onNews((head) => this.#onNews(head))
  }

  get row(): SubscriptionRow {
    return this.#row
  }

  get status(): SubscriptionStatus {
    const newest = this.session.newest
    return {
      phase: this.#shownPhase(),
      title: this.#manifest?.title ?? this.#row.title,
      sequence: newest?.releaseNumber ?? 0,
      files: this.#selected?.files ?? this.#manifest?.files ?? 0,
      bytes: this.#selected?.bytes ?? this.#manifest?.bytes ?? 0,
      blobsDone: this.#blobsDone,
      // How many there are is known when the manifest is, whose blobs come first.
      blobsTotal: Math.max(this.#blobsTotal, this.#blobsDone),
      error: this.#error,
    }
  }

  /** Is the newest release in place? */
  get isComplete(): boolean {
    const { newest } = this.session
    return newest !== null && this.#completeSequence >= newest.releaseNumber
  }

  /** Nothing more will happen here. */
  get isStopped(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Is some blob of the newest release held? Tells "unfinished" from "timed out". */
  get hasSome(): boolean {
    return this.#blobsDone > 0
  }

  /** A `get` that somebody wants to follow now. */
  keep(): void {
    this.#row = { ...this.#row, kind: 'follow' }
  }

  /**
   * Want other files of it, from now on; durable when it returns. What is in the folder and is wanted no
   * more stays there. @param onlyGlobs - empty for all.
   */
  select(onlyGlobs: readonly string[]): void {
    this.#update({ onlyGlobs: [...onlyGlobs], completeSequence: 0 })
    this.#completeSequence = 0
    this.#target = null
    this.#selected = null
    this.#task.abort()
    this.#notify()
    this.#rest.wake()
  }

  /**
   * Fetch nothing until `resume`, over restarts too; durable when it returns. News of releases is still heard,
   * and what is held is given to others.
   */
  pause(): void {
    this.#update({ paused: true })
    this.#task.abort()
    this.#notify()
    this.#rest.wake()
  }

  resume(): void {
    this.#update({ paused: false })
    // What came to be known meanwhile is not in place.
    if (!this.isComplete) this.#show(this.session.newest === null ? 'resolving' : 'fetching', null)
    this.#notify()
    this.#rest.wake()
  }

  /** There may be place again: if that is what was missing, do not wait any longer. */
  spaceFreed(): void {
    const code = this.#error?.code
    if (code === 'ERR_STORE_FULL' || code === 'ERR_DISK_FULL') this.#rest.wake()
  }

  start(): void {
    // A first look in any case: what is known may be old, and nobody may be there to tell.
    const looking = this.session.look(this.#stopping.signal).then(() => {
      this.#firstLook = null
    })
    this.#firstLook = looking
    this.#running = Promise.all([this.#run(), looking]).then(() => {})
  }

  /** Hear of every change of `status`. @returns how to stop. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** Resolves when no task runs any more. */
  async stop(): Promise<void> {
    this.#stopHearing()
    this.#stopping.abort()
    this.#task.abort()
    this.#rest.wake()
    this.#notify()
    await this.#running
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    let lookDelayMs = LOOK_FIRST_MS
    while (!this.#stopping.signal.aborted) {
      if (this.#row.paused) {
        await this.#rest.wait(LOOK_MAX_MS * 10)
        continue
      }
      const head = this.session.newest
      if (head === null) {
        this.#show('resolving', null)
        await this.#look(this.#stopping.signal)
        if (this.session.newest === null) {
          await this.#rest.wait(lookDelayMs)
          lookDelayMs = Math.min(lookDelayMs * 2, this.session.lookMaxMs)
        }
        continue
      }
      lookDelayMs = LOOK_FIRST_MS
      if (head.isUnpublished) await this.#unpublished(head)
      else if (this.isComplete && isSameRelease(this.#target, head)) await this.#rest.wait(LOOK_MAX_MS * 10)
      else await this.#follow(head)
    }
  }

  /** Nothing to fetch any more: shown, and waited for news, since a later release may come. Files stay. */
  async #unpublished(head: Head): Promise<void> {
    this.#target = head
    this.#blobsDone = 0
    this.#blobsTotal = 0
    const { code, message } = unpublished()
    this.#note({ state: 'error', errorCode: code, errorMessage: message })
    this.#show('error', { code, message })
    await this.#rest.wait(LOOK_MAX_MS * 10)
  }

  /** Bring the folder to this release. Never rejects: what goes wrong is shown and tried again. */
  async #follow(head: Head): Promise<void> {
    this.#task = new AbortController()
    const { signal } = this.#task
    setMaxListeners(MANIFEST_PARTS_IN_FLIGHT + 8, signal)
    if (this.#stopping.signal.aborted) return
    this.#target = head
    const looking = this.#lookWhileFetching(signal)
    try {
      await this.#fetchRelease(head, signal)
    } catch (error) {
      if (signal.aborted) return
      await this.#failed(error)
    } finally {
      this.#task.abort()
      await looking
    }
  }

  async #fetchRelease(head: Head, signal: AbortSignal): Promise<void> {
    this.#blobsDone = 0
    this.#blobsTotal = 0
    this.#show('fetching', null)
    const { store } = this.#deps
    // What a crash left may be what is missing: fetched before it was looked at, it would come twice.
    await untilOver(store.recovered, signal)
    signal.throwIfAborted()
    this.session.begin(head)
    const manifest = await loadManifest({
      root: head.root,
      store: this.session.blobs,
      signal,
      fetch: (reference, number) => {
        const want = { indexes: [number], idOf: () => referenceId(reference) }
        return this.session.fetch(head, want, { signal, onStored: () => this.#onBlob() })
      },
    })
    this.#manifest = manifest
    this.session.serve(head, manifest, await this.session.heldOf(manifest))
    signal.throwIfAborted()
    const { onlyGlobs } = this.#row
    const assembly = await this.#deps.assemble(this.#row, manifest)
    try {
      this.#selected = assembly.selected
      await this.#fetchData(head, manifest, assembly, signal)
      await assembly.finish()
    } finally {
      await assembly.close()
    }
    // Other files may have come to be wanted while these were put in place.
    if (this.#row.onlyGlobs === onlyGlobs) this.#completed(head, manifest)
  }

  /** Fetch what is not held; what is held, and what comes, is written to its files meanwhile. */
  async #fetchData(
    head: Head,
    manifest: Manifest,
    assembly: ReleaseTarget,
    signal: AbortSignal,
  ): Promise<void> {
    const isHeld = (index: number): boolean => this.session.blobs.has(manifest.blobId(index))
    const { held, missing } = await splitHeld(assembly.neededBlobs(), isHeld)
    // Of a part, what is in place already is not counted.
    const ofPart = manifest.manifestBlobCount + held.length + missing.length
    this.#blobsTotal = this.#row.onlyGlobs.length > 0 ? ofPart : manifest.blobCount
    this.#blobsDone = this.#blobsTotal - missing.length
    this.#notify()
    await assertFits(missing.length, this.#deps.store, this.#deps.collector)
    const wants = { indexes: missing, idOf: (index: number) => manifest.blobId(index) }
    // A file that cannot be written ends the fetch: `finish` says why.
    const linked = linkSignals(signal, assembly.failed)
    const fetching = this.session.fetch(head, wants, {
      signal: linked.signal,
      placeOf: (index) => assembly.placementOf(index),
      onStored: (index, isPlaced) => {
        this.#onBlob()
        if (isPlaced) assembly.markWritten(index)
        else assembly.accept(index)
      },
    })
    for (const index of held) assembly.accept(index)
    await fetching.finally(linked.release).catch(async (error: unknown) => {
      await assembly.settle()
      throw blobFault(error)
    })
  }

  #completed(head: Head, manifest: Manifest): void {
    this.#completeSequence = head.releaseNumber
    this.#blobsDone = this.#blobsTotal
    this.#update({
      completeSequence: head.releaseNumber,
      title: manifest.title,
      state: 'complete',
      errorCode: null,
      errorMessage: null,
    })
    this.#deps.log.info('release complete', {
      channel: short(this.session.keys.publicKey),
      sequence: head.releaseNumber,
    })
    this.#show('complete', null)
  }

  async #failed(error: unknown): Promise<void> {
    const code = isMegatorrentError(error) ? error.code : 'ERR_BUG'
    const message = errorMessage(error)
    this.#deps.log.warn('release not complete', {
      channel: short(this.session.keys.publicKey),
      code,
      why: message,
    })
    this.#note({ state: 'error', errorCode: code, errorMessage: message })
    this.#show('error', { code, message })
    await this.#rest.wait(FAILED_RETRY_MS)
  }

  /** While nobody gives what is missing, peers are looked for again and again, more and more seldom. */
  async #lookWhileFetching(signal: AbortSignal): Promise<void> {
    const { lookMaxMs } = this.session
    for (let delayMs = LOOK_FIRST_MS; !signal.aborted; delayMs = Math.min(delayMs * 2, lookMaxMs)) {
      const quietMs = this.#deps.clock.monotonicMs() - this.#lastBlobMs
      if (this.session.peers === 0 || quietMs > LOOK_QUIET_MS) await this.#look(signal)
      await sleep(this.#deps.clock, delayMs, signal).catch(() => {}) // called off: the loop ends
    }
  }

  /** Look for heads and peers, or wait for the look that is under way. Never rejects. */
  #look(signal: AbortSignal): Promise<void> {
    const first = this.#firstLook
    return first === null ? this.session.look(signal) : untilOver(first, signal)
  }

  #onNews(head: Head): void {
    // A refresh names other addresses for the same content: nothing to fetch.
    if (this.#target === null || head.releaseNumber > this.#target.releaseNumber) this.#task.abort()
    this.#notify()
    this.#rest.wake()
  }

  #onBlob(): void {
    this.#lastBlobMs = this.#deps.clock.monotonicMs()
    this.#blobsDone++
    this.#notify()
  }

  #shownPhase(): SubscriptionPhase {
    if (this.#row.paused) return 'paused'
    const isQuiet = this.#deps.clock.monotonicMs() - this.#lastBlobMs > STALLED_MS
    return this.#phase === 'fetching' && isQuiet ? 'stalled' : this.#phase
  }

  #show(phase: SubscriptionPhase, error: { readonly code: string; readonly message: string } | null): void {
    if (phase === 'fetching' && this.#phase !== 'fetching') this.#lastBlobMs = this.#deps.clock.monotonicMs()
    this.#phase = phase
    this.#error = error
    this.#notify()
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }

  /** Write down what is shown. Where the database is what fails, it is shown all the same. */
  #note(change: Parameters<State['subscriptions']['update']>[1]): void {
    try {
      this.#update(change)
    } catch (error) {
      this.#deps.log.error('the state of a subscription was not written down', { why: errorMessage(error) })
    }
  }

  #update(change: Parameters<State['subscriptions']['update']>[1]): void {
    this.#deps.state.subscriptions.update(this.#row.publicKey, change)
    this.#row = { ...this.#row, ...change }
  }
}
