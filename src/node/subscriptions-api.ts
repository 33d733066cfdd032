/**
 * Subscriptions of this node, as NodeApi names them: following a link, fetching it
 * once, listing its files.
 *
 * @module node/subscriptions-api
 */
import { join } from 'node:path'
import { linkDeadline } from '../base/abort.ts'
import { fromHex, toHex } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { LOOK_FIRST_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Assembly } from '../channels/assemble.ts'
import type { Collector } from '../channels/collector.ts'
import type { DiskClaims } from '../channels/disk-claims.ts'
import { compileGlobs } from '../channels/globs.ts'
import type { HeadLog } from '../channels/head-log.ts'
import { heldManifest } from '../channels/held-manifest.ts'
import { holdRelease } from '../channels/holding.ts'
import { loadManifest } from '../channels/manifest-loader.ts'
import type { ChannelSession, ChannelSessions } from '../channels/session.ts'
import { Subscription } from '../channels/subscription.ts'
import { removeWritten } from '../channels/unassemble.ts'
import { unpublished } from '../channels/unpublished.ts'
import { WrittenLedger } from '../channels/written-ledger.ts'
import type { Config } from '../config/schema.ts'
import { channelKeys, PUBLIC_READ_KEY } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { dropSubscription, type State } from '../storage/state.ts'
import type { SubscriptionRow } from '../storage/tables/subscriptions-table.ts'
import { referenceId } from '../wire/blob.ts'
import type { Head } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import { formatLink, type Link, parseLink } from '../wire/uri.ts'
import type {
  AddSubscriptionParams,
  AddSubscriptionResult,
  CallOptions,
  HostParams,
  HostResult,
  ListFilesParams,
  ListFilesResult,
  RemoveSubscriptionParams,
  RemoveSubscriptionResult,
  SubscriptionInfo,
} from './api.ts'
import { pageOf } from './file-page.ts'
import { subscriptionAdded, subscriptionInfo } from './subscription-info.ts'
import { assertNotOurs, isSameSelection } from './subscription-rules.ts'
import { waitUntilComplete } from './subscription-wait.ts'

export interface SubscriptionsApiDeps {
  readonly config: Config
  readonly state: State
  readonly store: BlobStore
  readonly sessions: ChannelSessions
  readonly heads: HeadLog
  readonly collector: Pick<Collector, 'collectChannel' | 'countNeeded' | 'needsChanged'>
  readonly claims: DiskClaims
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Was the newest release of that channel published from here, of a bundle? */
  readonly isPublishedHere?: (publicKey: Uint8Array) => boolean
  /** It is not followed or hosted any more. */
  readonly onRemoved?: (publicKey: Uint8Array) => void
}

const HOSTED = 'this channel is hosted here: "megatorrent subscribe" it to have its files too'
const FETCHED = 'this channel is being fetched once: host it when that has ended'

export class SubscriptionsApi {
  readonly #deps: SubscriptionsApiDeps
  readonly #running = new Map<string, Subscription>()
  /** How many calls wait for a subscription to be complete. */
  readonly #waiting = new Map<Subscription, number>()

  constructor(deps: SubscriptionsApiDeps) {
    this.#deps = deps
  }

  /** Go on with what is followed. A `get` that was interrupted is over: its files may be asked for again. */
  start(): void {
    for (const row of this.#deps.state.subscriptions.list()) {
      if (row.kind === 'once') this.#deps.state.subscriptions.remove(row.publicKey)
      else this.run(row)
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map((subscription) => subscription.stop()))
    this.#running.clear()
  }

  /** The session of a channel that is followed or being got, by its public key as hex; null for others. */
  sessionOf(publicKey: string): ChannelSession | null {
    return this.#running.get(publicKey)?.session ?? null
  }

  async add(params: AddSubscriptionParams, options: CallOptions): Promise<AddSubscriptionResult> {
    const link = parseLink(params.uri)
    compileGlobs(params.only ?? []) // a pattern that cannot be used is the caller's mistake, now and not later
    const known = this.#running.get(toHex(link.publicKey))
    if (known !== undefined) this.#meet(known, link, params)
    if (params.dir !== null) assertNotOurs(this.#deps.config.dataDir, params.dir)
    const kind = params.once ? 'once' : 'follow'
    const row = this.#rowOf(link, { ...params, only: params.only ?? [] }, kind)
    const subscription = await this.#begin(link, known ?? null, row)
    subscription.session.hurry()
    subscription.session.takeLink(link)
    if (params.wait || params.once) await this.#wait(subscription, params.timeoutMs, options)
    return subscriptionAdded(subscription)
  }

  /** Keep a channel alive without reading it. One that is followed is kept alive already. */
  async host(params: HostParams, options: CallOptions): Promise<HostResult> {
    const link = parseLink(params.uri)
    const known = this.#running.get(toHex(link.publicKey)) ?? null
    const asked = { uri: params.uri, dir: null, only: [] }
    if (known?.row.kind === 'once') throw new MegatorrentError('ERR_SUBSCRIPTION_DIR', FETCHED)
    if (known !== null) this.#meet(known, link, { ...params, ...asked, only: null, once: false })
    const subscription = known ?? (await this.#begin(link, null, this.#rowOf(link, asked, 'host')))
    subscription.session.hurry()
    subscription.session.takeLink(link)
    if (params.wait) await this.#wait(subscription, params.timeoutMs, options)
    const { directory: _none, ...result } = subscriptionAdded(subscription)
    return result
  }

  /** What hosting a link asks of the database; null for a channel that is followed or hosted already. */
  newHost(link: Link): SubscriptionRow | null {
    const known = this.#running.get(toHex(link.publicKey))
    if (known?.row.kind === 'once') throw new MegatorrentError('ERR_SUBSCRIPTION_DIR', FETCHED)
    const asked = { uri: formatLink(link), dir: null, only: [] }
    if (known === undefined) return this.#rowOf(link, asked, 'host')
    this.#meet(known, link, { ...asked, only: null, wait: false, once: false, timeoutMs: null })
    return null
  }

  async remove(params: RemoveSubscriptionParams): Promise<RemoveSubscriptionResult> {
    const subscription = this.#find(params.subscription)
    const { publicKey, directory, kind } = subscription.row
    await this.#stop(subscription)
    const ledger = new WrittenLedger(this.#deps.state, publicKey)
    const isRead = kind !== 'host'
    const deletedFiles = isRead && params.deleteFiles ? (await removeWritten(directory, ledger)).deleted : 0
    this.#forgetRows(subscription)
    // Without --delete-files they stay until somebody asks for their place: who follows it again has them.
    if (params.deleteFiles) await this.#deps.collector.collectChannel(publicKey)
    this.spaceFreed()
    return { publicKey: toHex(publicKey), directory: isRead ? directory : null, deletedFiles }
  }

  pause(text: string): SubscriptionInfo {
    const subscription = this.#find(text)
    subscription.pause()
    return this.#info(subscription)
  }

  resume(text: string): SubscriptionInfo {
    const subscription = this.#find(text)
    subscription.session.hurry()
    subscription.resume()
    return this.#info(subscription)
  }

  /** Blobs were removed: whatever waits for their place goes on. */
  spaceFreed(): void {
    for (const subscription of this.#running.values()) subscription.spaceFreed()
  }

  list(): SubscriptionInfo[] {
    return [...this.#running.values()]
      .filter(({ row }) => row.kind !== 'once')
      .map((each) => this.#info(each))
  }

  async listFiles(params: ListFilesParams, options: CallOptions): Promise<ListFilesResult> {
    const link = this.#linkOf(params.uri)
    const keys = channelKeys(link.publicKey, link.readKey ?? PUBLIC_READ_KEY)
    const session = this.#deps.sessions.acquire(keys)
    // What is fetched for a look belongs to nobody: it is spared while the look lasts.
    const lease = this.#deps.store.openLease()
    const { signal, release } = linkDeadline(this.#deps.clock, params.timeoutMs, options.signal)
    try {
      session.hurry()
      session.takeLink(link)
      const head = await this.#newestHead(session, signal, options)
      if (head.isUnpublished) throw unpublished()
      const manifest = await this.#manifest(session, head, signal)
      return pageOf(toHex(link.publicKey), head, manifest, params)
    } finally {
      release()
      lease.release()
      this.#deps.sessions.release(session)
    }
  }

  #rowOf(
    link: Link,
    params: { readonly uri: string; readonly dir: string | null; readonly only: readonly string[] },
    kind: SubscriptionRow['kind'],
  ): SubscriptionRow {
    const usual = kind === 'host' ? '' : join(this.#deps.config.downloadDir, toHex(link.publicKey))
    return {
      publicKey: link.publicKey,
      uri: params.uri.trim(),
      readKey: link.readKey ?? PUBLIC_READ_KEY,
      directory: params.dir ?? usual,
      onlyGlobs: params.only,
      kind,
      state: 'resolving',
      paused: false,
      addedAt: this.#deps.clock.now(),
      completeSequence: 0,
      errorCode: null,
      errorMessage: null,
      title: null,
    }
  }

  /** What is there already goes on; what was hosted is read from now on. */
  async #begin(link: Link, known: Subscription | null, row: SubscriptionRow): Promise<Subscription> {
    const { subscriptions } = this.#deps.state
    if (known !== null && known.row.kind !== 'host') return known
    if (known === null) subscriptions.add(row)
    else {
      await this.#stop(known)
      const { publicKey: _same, addedAt: _too, ...change } = row
      subscriptions.update(link.publicKey, change)
    }
    return this.run(row)
  }

  /**
   * The same link again is the same subscription, perhaps with other files; another folder or another read
   * key is a mistake.
   */
  #meet(known: Subscription, link: Link, params: AddSubscriptionParams): void {
    const { directory, readKey, kind } = known.row
    if (kind === 'host' && params.once) throw new MegatorrentError('ERR_SUBSCRIPTION_DIR', HOSTED)
    if (kind !== 'host' && params.dir !== null && params.dir !== directory) {
      throw new MegatorrentError(
        'ERR_SUBSCRIPTION_DIR',
        `this channel is followed into ${directory} already: leave out --dir, or unsubscribe first`,
      )
    }
    if (toHex(readKey) !== toHex(link.readKey ?? PUBLIC_READ_KEY)) {
      throw new MegatorrentError(
        'ERR_SUBSCRIPTION_KEY',
        'this channel is followed with another read key: unsubscribe first',
      )
    }
    const isOther = !isSameSelection(params.only ?? [], known.row.onlyGlobs)
    if (params.once) {
      if (!isOther) return
      throw new MegatorrentError(
        'ERR_SUBSCRIPTION_ONLY',
        'other files of this channel are followed or being fetched: subscribe with --only to change which',
      )
    }
    // What is hosted begins anew as what is followed, with the files that are wanted then.
    if (kind === 'host') return
    if (isOther && (params.only !== null || kind === 'once')) known.select(params.only ?? [])
    if (kind === 'once') {
      this.#deps.state.subscriptions.update(known.row.publicKey, { kind: 'follow' })
      known.keep()
      known.session.listen()
      known.session.seekSlotSet()
    }
  }

  /** Begin with a row that is in the database. */
  run(row: SubscriptionRow): Subscription {
    const { state, store, sessions, collector, clock, random, log, config, claims } = this.#deps
    const session = sessions.acquire(channelKeys(row.publicKey, row.readKey))
    session.takeLink(parseLink(row.uri))
    if (row.kind !== 'once') session.listen()
    if (this.#deps.isPublishedHere?.(row.publicKey) === true) session.isPublished = true
    const subscription = new Subscription(row, session, {
      ...{ state, store, collector, clock, log },
      assemble: async ({ publicKey, directory, onlyGlobs, completeSequence, kind }, manifest) =>
        kind === 'host'
          ? holdRelease(manifest)
          : Assembly.begin({
              directory,
              manifest,
              onlyGlobs,
              ledger: new WrittenLedger(state, publicKey),
              store,
              previous: () => heldManifest(state, store, publicKey, completeSequence),
              minFreeBytes: config.minFree,
              claims,
              random,
              log,
            }),
    })
    this.#running.set(toHex(row.publicKey), subscription)
    subscription.start()
    return subscription
  }

  async #stop(subscription: Subscription): Promise<void> {
    this.#running.delete(toHex(subscription.row.publicKey))
    await subscription.stop()
    this.#deps.sessions.release(subscription.session)
  }

  async #wait(subscription: Subscription, timeoutMs: number | null, options: CallOptions): Promise<void> {
    this.#waiting.set(subscription, (this.#waiting.get(subscription) ?? 0) + 1)
    try {
      await waitUntilComplete(subscription, this.#deps.clock, timeoutMs, options)
    } finally {
      await this.#waited(subscription)
    }
  }

  /** `get` leaves files and no subscription, unless somebody else waits for it or follows it by now. */
  async #waited(subscription: Subscription): Promise<void> {
    const left = (this.#waiting.get(subscription) ?? 1) - 1
    if (left > 0) this.#waiting.set(subscription, left)
    else this.#waiting.delete(subscription)
    const isRunning = this.#running.get(toHex(subscription.row.publicKey)) === subscription
    if (left === 0 && isRunning && subscription.row.kind === 'once') await this.#forget(subscription)
  }

  async #forget(subscription: Subscription): Promise<void> {
    await this.#stop(subscription)
    this.#forgetRows(subscription)
  }

  #forgetRows({ row, session }: Subscription): void {
    const { state, collector } = this.#deps
    dropSubscription(state, row.publicKey)
    this.#deps.onRemoved?.(row.publicKey)
    session.seekSlotSet() // who only looks at the channel besides has no use for it
    collector.needsChanged()
  }

  async #newestHead(session: ChannelSession, signal: AbortSignal, options: CallOptions): Promise<Head> {
    for (let delayMs = LOOK_FIRST_MS; ; delayMs = Math.min(delayMs * 2, session.lookMaxMs)) {
      if (session.newest !== null) return session.newest
      options.onProgress({ phase: 'resolving', done: 0, total: null, unit: 'nodes' })
      await session.look(signal)
      if (session.newest !== null) return session.newest
      if (signal.aborted)
        throw new MegatorrentError('ERR_RELEASE_NOT_FOUND', 'no release of this channel was found')
      await sleep(this.#deps.clock, delayMs, signal).catch(() => {}) // out of time: the next round says so
    }
  }

  async #manifest(session: ChannelSession, head: Head, signal: AbortSignal): Promise<Manifest> {
    try {
      return await loadManifest({
        root: head.root,
        store: session.blobs,
        signal,
        fetch: (reference, number) => {
          const want = { indexes: [number], idOf: () => referenceId(reference) }
          return session.fetch(head, want, { signal, onStored: () => {} })
        },
      })
    } catch (error) {
      if (!signal.aborted) throw error
      throw new MegatorrentError('ERR_TIMEOUT', 'no peer gave the list of files in time', { cause: error })
    }
  }

  #linkOf(text: string): Link {
    const key = fromHex(text, 32)
    if (key === null) return parseLink(text)
    const known = this.#running.get(toHex(key))
    if (known !== undefined) return parseLink(known.row.uri)
    return { publicKey: key, readKey: null, peers: [], gateways: [] }
  }

  #find(text: string): Subscription {
    const key = fromHex(text, 32) ?? parseLink(text).publicKey
    const known = this.#running.get(toHex(key))
    if (known === undefined || known.row.kind === 'once') {
      throw new MegatorrentError('ERR_NOT_FOUND', 'there is no such subscription')
    }
    return known
  }

  #info(subscription: Subscription): SubscriptionInfo {
    return subscriptionInfo(subscription, this.#deps.heads, this.#deps.clock.now())
  }
}
