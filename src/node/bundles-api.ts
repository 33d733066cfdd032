/**
 * Releases that were signed elsewhere: a bundle is verified, taken in and published by a node that has no key of
 * the channel. From then on it hosts the channel, as its publisher would: its blobs are given to gateways that
 * keep them, and what was signed ahead is put as long as it lasts.
 *
 * Nothing changes before all of a bundle was verified; then the database changes in one step.
 *
 * @module node/bundles-api
 */
import { linkSignals } from '../base/abort.ts'
import { EMPTY_BYTES, equalBytes, isZeroBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { type Log, short } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import { type BundleClaim, checkBundle, claimOf } from '../channels/bundle-check.ts'
import { BundleFile } from '../channels/bundle-file.ts'
import { takeBlobs } from '../channels/bundle-taker.ts'
import type { Collector } from '../channels/collector.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import type { HeadLog } from '../channels/head-log.ts'
import { putUntilConfirmed } from '../channels/put-head.ts'
import type { ChannelSession } from '../channels/session.ts'
import type { SlotSets } from '../channels/slot-sets.ts'
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import { recordOf } from '../discovery/slot-record.ts'
import { OPEN_SLOT_DAY } from '../discovery/slots.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import type { SubscriptionRow } from '../storage/tables/subscriptions-table.ts'
import type { TaskRunner } from '../storage/task-runner.ts'
import { classifyHead, type Head } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { CallOptions, PublishManifestParams, PublishResult } from './api.ts'
import { putNow } from './put-now.ts'
import type { SubscriptionsApi } from './subscriptions-api.ts'

export interface BundlesApiDeps {
  readonly state: State
  readonly store: BlobStore
  readonly runner: TaskRunner
  readonly heads: HeadLog
  readonly slotSets: SlotSets
  readonly discovery: ChannelDiscovery
  readonly collector: Pick<Collector, 'countNeeded'>
  readonly subscriptions: Pick<SubscriptionsApi, 'newHost' | 'run' | 'sessionOf'>
  /** The session of a channel whose key is here too, by its public key as hex; null for others. */
  readonly ownSessionOf: (publicKey: string) => ChannelSession | null
  /** As `ChannelsApiDeps`. */
  readonly linkTo: (publicKey: Uint8Array, readKey: Uint8Array | null) => string
  readonly canPut: boolean
  /** Gateways are to keep nothing of that channel any more. */
  readonly stopKeeping: (publicKey: Uint8Array) => void
  readonly clock: Clock
  readonly log: Log
}

/** Marks a channel that is hosted because it was published from here. */
const bundleMark = (publicKey: Uint8Array): string => `channel.bundle.${toHex(publicKey)}`

/** Was the newest release of that channel published from here, of a bundle? */
export function isPublishedHere({ meta }: Pick<State, 'meta'>, publicKey: Uint8Array): boolean {
  return meta.get(bundleMark(publicKey)) !== null
}

export class BundlesApi {
  readonly #deps: BundlesApiDeps
  /** One bundle at a time: two could be of one channel, and each fills the workers alone. */
  readonly #turn = new Semaphore(1)
  readonly #stopping = new AbortController()
  readonly #background = new Set<Promise<void>>()

  constructor(deps: BundlesApiDeps) {
    this.#deps = deps
  }

  /** Go on with puts that a stop interrupted. */
  start(): void {
    const { state } = this.#deps
    for (const { publicKey, sequence } of state.pendingPuts.list()) {
      if (state.channels.get(publicKey) !== null) continue // ours: node/channels-api.ts
      const session = this.#deps.subscriptions.sessionOf(toHex(publicKey))
      const isDue = isPublishedHere(state, publicKey) && session?.newest?.releaseNumber === sequence
      if (isDue && session !== null) this.#putInBackground(session)
      else state.pendingPuts.remove(publicKey, sequence)
    }
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#background)
  }

  /** The channel is not hosted here any more. */
  forget(publicKey: Uint8Array): void {
    const { state, stopKeeping } = this.#deps
    if (!isPublishedHere(state, publicKey)) return
    state.meta.remove(bundleMark(publicKey))
    state.pendingPuts.remove(publicKey, Number.MAX_SAFE_INTEGER)
    stopKeeping(publicKey)
  }

  /**
   * Publish what a bundle holds.
   *
   * @throws MegatorrentError ERR_BUNDLE_FORMAT, ERR_BUNDLE_CONTENT, ERR_BUNDLE_OLDER, ERR_BUNDLE_CONFLICT,
   *   ERR_BUNDLE_DAYS, ERR_SUBSCRIPTION_KEY, ERR_SUBSCRIPTION_DIR: nothing has changed then. ERR_NOT_FOUND,
   *   ERR_ABORTED, or one of kind 'storage'.
   */
  async publish(params: PublishManifestParams, options: CallOptions): Promise<PublishResult> {
    const linked = linkSignals(options.signal, this.#stopping.signal)
    try {
      const taken = await this.#turn.run(() => this.#take(params.file, { ...options, signal: linked.signal }))
      const { claim, manifest, session, newBlobs, unchanged } = taken
      options.onProgress({ phase: 'putting', done: 0, total: null, unit: 'nodes' })
      const put = await this.#putNow(claim, session, params.timeoutMs, linked.signal)
      return {
        uri: this.#link(claim.keys),
        publicKey: toHex(claim.keys.publicKey),
        sequence: claim.head.releaseNumber,
        files: manifest.files,
        bytes: manifest.bytes,
        blobs: manifest.blobCount - manifest.manifestBlobCount,
        newBlobs,
        manifestBlobs: manifest.manifestBlobCount,
        skipped: 0,
        unchanged,
        ...put,
      }
    } finally {
      linked.release()
    }
  }

  /** Verify all of it, then take it in, and serve it. */
  async #take(path: string, { signal, onProgress }: CallOptions): Promise<Taken> {
    const { store } = this.#deps
    const file = await BundleFile.open(path)
    // What is held already is relied on, and what is taken belongs to nobody until the database says so.
    const lease = store.openLease()
    try {
      const claim = claimOf(file)
      this.#newsOf(claim) // before many GiB are hashed
      const total = file.start.blobs
      const checked = await checkBundle(file, claim, this.#deps, signal, (done) =>
        onProgress({ phase: 'verifying', done, total, unit: 'blobs' }),
      )
      await store.recovered // what a crash left would be written twice
      const newBlobs = await takeBlobs(file, checked, this.#deps, signal, (done, all) =>
        onProgress({ phase: 'storing', done, total: all, unit: 'blobs' }),
      )
      const unchanged = this.#keep(claim, file.start.slotSet)
      const session = this.#sessionOf(claim.keys.publicKey)
      const held = await session.heldOf(checked.manifest)
      session.serve(claim.head, checked.manifest, held)
      if (!equalBytes(session.newest?.bytes ?? EMPTY_BYTES, claim.head.bytes)) session.adopt(claim.head)
      session.hurry()
      const { publicKey } = claim.keys
      this.#deps.log.info('release of a bundle taken', {
        channel: short(publicKey),
        sequence: claim.head.releaseNumber,
      })
      return { claim, manifest: checked.manifest, session, newBlobs, unchanged }
    } finally {
      lease.release()
      await file.close()
    }
  }

  /** Is it the release that is known already? @throws MegatorrentError when it must not be published from here. */
  #newsOf({ keys, head }: BundleClaim): { readonly isSame: boolean; readonly host: SubscriptionRow | null } {
    const { heads, subscriptions, ownSessionOf } = this.#deps
    const { publicKey } = keys
    const newest = heads.newest(publicKey)
    const news = classifyHead(head, newest)
    if (news === 'older') {
      throw new MegatorrentError(
        'ERR_BUNDLE_OLDER',
        `this bundle has release ${head.releaseNumber}, and release ${newest?.releaseNumber} is known here: publish a newer one`,
      )
    }
    if (news === 'conflict') {
      throw new MegatorrentError(
        'ERR_BUNDLE_CONFLICT',
        `this bundle has another release ${head.releaseNumber} than the one that is known here: sign the next number`,
      )
    }
    const own = ownSessionOf(toHex(publicKey))
    if (own === null) return { isSame: news === 'same', host: subscriptions.newHost(linkOf(keys)) }
    if (toHex(own.keys.readKey) === toHex(keys.readKey)) return { isSame: news === 'same', host: null }
    throw new MegatorrentError('ERR_SUBSCRIPTION_KEY', 'this channel is here with another read key')
  }

  /** All that a restart needs, in one step. @returns whether it was the newest release already. */
  #keep(claim: BundleClaim, slotSet: Uint8Array): boolean {
    const { state, heads, slotSets, clock, ownSessionOf } = this.#deps
    const { keys, head, openItem } = claim
    const { publicKey } = keys
    return state.database.transaction(() => {
      // Once more: something newer may have come while the blobs were taken.
      const { isSame, host } = this.#newsOf(claim)
      heads.accept(publicKey, head.bytes, 'bundle')
      slotSets.keep(publicKey, head, slotSet)
      if (openItem !== null) {
        const place = { day: OPEN_SLOT_DAY, replica: 0 }
        state.slots.save(recordOf(keys, place, openItem, head.bytes, clock.now()))
      }
      if (host !== null) state.subscriptions.add(host)
      if (ownSessionOf(toHex(publicKey)) === null) state.meta.set(bundleMark(publicKey), 1)
      state.pendingPuts.add({ publicKey, sequence: head.releaseNumber, since: clock.now() })
      return isSame
    })
  }

  /** Where it is served: what is new begins here. */
  #sessionOf(publicKey: Uint8Array): ChannelSession {
    const { state, subscriptions, ownSessionOf } = this.#deps
    const name = toHex(publicKey)
    const own = ownSessionOf(name)
    if (own !== null) return own
    const row = state.subscriptions.get(publicKey)
    if (subscriptions.sessionOf(name) === null && row !== null) subscriptions.run(row)
    const session = subscriptions.sessionOf(name)
    if (session === null) throw new MegatorrentError('ERR_ABORTED', 'the channel was removed meanwhile')
    session.isPublished = true
    return session
  }

  #putNow(
    claim: BundleClaim,
    session: ChannelSession,
    timeoutMs: number | null,
    signal: AbortSignal,
  ): ReturnType<typeof putNow> {
    const { canPut, clock } = this.#deps
    return putNow({
      ...{ canPut, clock, timeoutMs },
      signals: [signal],
      put: (linked) => this.#put(session, claim.head, claim.openItem, linked),
      putLater: () => this.#putInBackground(session),
    })
  }

  /** @param openItem - null also when it was saved: who looks after the slots puts it then. */
  #put(
    { keys }: ChannelSession,
    head: Head,
    openItem: BundleClaim['openItem'],
    signal: AbortSignal,
  ): Promise<number> {
    const { slotSets, discovery } = this.#deps
    const put = async (): Promise<number> => {
      const set = slotSets.get(keys.publicKey, head)
      if (set === null) throw new MegatorrentError('ERR_SLOT_NEWER_KNOWN', 'a newer release came meanwhile')
      return discovery.publishSigned(keys, { set, openItem }, signal)
    }
    return putUntilConfirmed(this.#deps, { publicKey: keys.publicKey, head, put }, signal)
  }

  #putInBackground(session: ChannelSession): void {
    const { newest } = session
    if (newest === null) return
    const put = session.mayBeSeen.then(() => this.#put(session, newest, null, this.#stopping.signal))
    const tracked = put
      .then(() => {})
      .catch((error: unknown) => this.#deps.log.warn('a bundle was not put', { why: errorMessage(error) }))
      .finally(() => void this.#background.delete(tracked))
    this.#background.add(tracked)
  }

  #link({ publicKey, readKey }: ChannelKeys): string {
    return this.#deps.linkTo(publicKey, isZeroBytes(readKey) ? null : readKey)
  }
}

interface Taken {
  readonly claim: BundleClaim
  readonly manifest: Manifest
  readonly session: ChannelSession
  readonly newBlobs: number
  readonly unchanged: boolean
}

function linkOf({ publicKey, readKey }: ChannelKeys): Parameters<SubscriptionsApi['newHost']>[0] {
  return { publicKey, readKey: isZeroBytes(readKey) ? null : readKey, peers: [], gateways: [] }
}
