/**
 * Subscriptions of this node, as NodeApi names them: following a link, fetching it
 * once, listing its files.
 *
 * @module node/subscriptions-api
 */
import { join } from 'node:path'
import { fromHex, toHex } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { type ErrorCode, MegatorrentError } from '../base/errors.ts'
import { LOOK_FIRST_MS, LOOK_MAX_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Assembly } from '../channels/assemble.ts'
import { compileGlobs } from '../channels/globs.ts'
import type { HeadLog } from '../channels/head-log.ts'
import { heldManifest } from '../channels/held-manifest.ts'
import { loadManifest } from '../channels/manifest-loader.ts'
import type { ChannelSession, ChannelSessions } from '../channels/session.ts'
import { Subscription } from '../channels/subscription.ts'
import { removeWritten } from '../channels/unassemble.ts'
import { WrittenLedger } from '../channels/written-ledger.ts'
import type { Config } from '../config/schema.ts'
import { channelKeys, PUBLIC_READ_KEY } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { dropSubscription, type State } from '../storage/state.ts'
import type { SubscriptionRow } from '../storage/tables/subscriptions-table.ts'
import { referenceId } from '../wire/blob.ts'
import type { Head } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import { type Link, parseLink } from '../wire/uri.ts'
import type {
  AddSubscriptionParams,
  AddSubscriptionResult,
  CallOptions,
  ListFilesParams,
  ListFilesResult,
  RemoveSubscriptionParams,
  RemoveSubscriptionResult,
  SubscriptionInfo,
} from './api.ts'

export interface SubscriptionsApiDeps {
  readonly config: Config
  readonly state: State
  readonly store: BlobStore
  readonly sessions: ChannelSessions
  readonly heads: HeadLog
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

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
      else this.#run(row)
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
    const subscription = known ?? this.#create(link, params)
    if (known !== undefined) this.#meet(known, link, params)
    subscription.session.addPeers(link.peers, 'link')
    if (!params.wait && !params.once) return resultOf(subscription)
    this.#waiting.set(subscription, (this.#waiting.get(subscription) ?? 0) + 1)
    try {
      await this.#waitUntilComplete(subscription, params.timeoutMs, options)
      return resultOf(subscription)
    } finally {
      await this.#waited(subscription)
    }
  }

  async remove(params: RemoveSubscriptionParams): Promise<RemoveSubscriptionResult> {
    const subscription = this.#find(params.subscription)
    const { publicKey, directory } = subscription.row
    await this.#stop(subscription)
    const ledger = new WrittenLedger(this.#deps.state, publicKey)
    const deletedFiles = params.deleteFiles ? (await removeWritten(directory, ledger)).deleted : 0
    dropSubscription(this.#deps.state, publicKey)
    return { publicKey: toHex(publicKey), directory, deletedFiles }
  }

  list(): SubscriptionInfo[] {
    return [...this.#running.values()]
      .filter(({ row }) => row.kind === 'follow')
      .map((each) => this.#info(each))
  }

  async listFiles(params: ListFilesParams, options: CallOptions): Promise<ListFilesResult> {
    const link = this.#linkOf(params.uri)
    const keys = channelKeys(link.publicKey, link.readKey ?? PUBLIC_READ_KEY)
    const session = this.#deps.sessions.acquire(keys)
    try {
      session.addPeers(link.peers, 'link')
      const signal = withTimeout(options.signal, params.timeoutMs)
      const head = await this.#newestHead(session, signal, options)
      const manifest = await this.#manifest(session, head, signal)
      return pageOf(toHex(link.publicKey), head, manifest, params)
    } finally {
      this.#deps.sessions.release(session)
    }
  }

  #create(link: Link, params: AddSubscriptionParams): Subscription {
    const row: SubscriptionRow = {
      publicKey: link.publicKey,
      uri: params.uri.trim(),
      readKey: link.readKey ?? PUBLIC_READ_KEY,
      directory: params.dir ?? join(this.#deps.config.downloadDir, toHex(link.publicKey)),
      onlyGlobs: params.only ?? [],
      kind: params.once ? 'once' : 'follow',
      state: 'resolving',
      paused: false,
      addedAt: this.#deps.clock.now(),
      completeSequence: 0,
      errorCode: null,
      errorMessage: null,
      title: null,
    }
    this.#deps.state.subscriptions.add(row)
    return this.#run(row)
  }

  /**
   * The same link again is the same subscription, perhaps with other files; another folder or another read
   * key is a mistake.
   */
  #meet(known: Subscription, link: Link, params: AddSubscriptionParams): void {
    const { directory, readKey, kind } = known.row
    if (params.dir !== null && params.dir !== directory) {
      throw new MegatorrentError('ERR_SUBSCRIPTION_DIR', `this channel is followed into ${directory} already`)
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
    if (isOther && (params.only !== null || kind === 'once')) known.select(params.only ?? [])
    if (kind === 'once') {
      this.#deps.state.subscriptions.update(known.row.publicKey, { kind: 'follow' })
      known.keep()
    }
  }

  #run(row: SubscriptionRow): Subscription {
    const { state, store, sessions, clock, random, log, config } = this.#deps
    const session = sessions.acquire(channelKeys(row.publicKey, row.readKey))
    session.addPeers(parseLink(row.uri).peers, 'link')
    const subscription = new Subscription(row, session, {
      state,
      store,
      clock,
      log,
      assemble: ({ publicKey, directory, onlyGlobs, completeSequence }, manifest) =>
        Assembly.begin({
          directory,
          manifest,
          onlyGlobs,
          ledger: new WrittenLedger(state, publicKey),
          store,
          previous: () => heldManifest(state, store, publicKey, completeSequence),
          minFreeBytes: config.minFree,
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
    dropSubscription(this.#deps.state, subscription.row.publicKey)
  }

  async #waitUntilComplete(
    subscription: Subscription,
    timeoutMs: number | null,
    options: CallOptions,
  ): Promise<void> {
    const deadline = timeoutMs === null ? null : AbortSignal.timeout(timeoutMs)
    await new Promise<void>((resolve, reject) => {
      const settle = (end: () => void): void => {
        unwatch()
        deadline?.removeEventListener('abort', onDeadline)
        options.signal.removeEventListener('abort', onAbort)
        end()
      }
      const onDeadline = (): void => settle(() => reject(timedOut(subscription)))
      const onAbort = (): void => settle(() => reject(new MegatorrentError('ERR_ABORTED', 'called off')))
      const look = (): void => {
        const { phase, blobsDone, blobsTotal, error } = subscription.status
        options.onProgress({
          phase: phase === 'resolving' ? 'resolving' : 'fetching',
          done: blobsDone,
          total: blobsTotal === 0 ? null : blobsTotal,
          unit: 'blobs',
        })
        if (subscription.isComplete) settle(resolve)
        else if (subscription.isStopped) onAbort()
        else if (error !== null && isFinal(error.code)) {
          settle(() => reject(new MegatorrentError(error.code as ErrorCode, error.message)))
        }
      }
      const unwatch = subscription.watch(look)
      deadline?.addEventListener('abort', onDeadline, { once: true })
      options.signal.addEventListener('abort', onAbort, { once: true })
      if (options.signal.aborted) onAbort()
      else look()
    })
  }

  async #newestHead(session: ChannelSession, signal: AbortSignal, options: CallOptions): Promise<Head> {
    for (let delayMs = LOOK_FIRST_MS; ; delayMs = Math.min(delayMs * 2, LOOK_MAX_MS)) {
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
        store: this.#deps.store,
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
    const { row, session, status } = subscription
    const newest = this.#deps.heads.newestRow(row.publicKey)
    return {
      publicKey: toHex(row.publicKey),
      uri: row.uri,
      title: status.title,
      sequence: status.sequence,
      state: status.phase,
      directory: row.directory,
      files: status.files,
      bytes: status.bytes,
      blobsDone: status.blobsDone,
      blobsTotal: status.blobsTotal,
      downloadRate: session.downloadRate,
      uploadRate: session.uploadRate,
      peers: session.peers,
      signedAt: newest?.signedAt ?? null,
      refreshedAt: newest?.refreshedAt ?? null,
      conflicts: this.#deps.heads.conflicts(row.publicKey),
      error: status.error,
    }
  }
}

/** In whatever order they were given. */
function isSameSelection(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify([...new Set(a)].sort()) === JSON.stringify([...new Set(b)].sort())
}

/** Errors that no waiting mends: whoever waits is told at once. */
function isFinal(code: string): boolean {
  return code === 'ERR_FOREIGN_FILE' || code === 'ERR_DISK_FULL' || code === 'ERR_RELEASE_INVALID'
}

function timedOut(subscription: Subscription): MegatorrentError {
  if (subscription.session.newest === null) {
    return new MegatorrentError('ERR_RELEASE_NOT_FOUND', 'no release of this channel was found')
  }
  if (subscription.hasSome) {
    return new MegatorrentError('ERR_UNFINISHED', 'part of the release is here: it goes on where it stopped')
  }
  return new MegatorrentError('ERR_TIMEOUT', 'no peer gave anything of the release in time')
}

function withTimeout(signal: AbortSignal, timeoutMs: number | null): AbortSignal {
  return timeoutMs === null ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
}

function resultOf(subscription: Subscription): AddSubscriptionResult {
  const { row, status } = subscription
  return {
    publicKey: toHex(row.publicKey),
    uri: row.uri,
    directory: row.directory,
    state: status.phase,
    sequence: status.sequence,
    files: status.files,
    bytes: status.bytes,
  }
}

function pageOf(publicKey: string, head: Head, manifest: Manifest, params: ListFilesParams): ListFilesResult {
  const files: { path: string; size: number }[] = []
  let index = 0
  if (params.after !== null) {
    const last = manifest.indexOf(params.after)
    if (last < 0) throw new MegatorrentError('ERR_USAGE', 'the path to go on after is not in the release')
    index = last + 1
  }
  for (; index < manifest.entryCount && files.length < params.limit; index++) {
    const entry = manifest.entry(index)
    if (entry.kind === 'file') files.push({ path: entry.path, size: entry.size })
  }
  const last = files.at(-1)
  return {
    publicKey,
    sequence: head.releaseNumber,
    title: manifest.title,
    totalFiles: manifest.files,
    totalBytes: manifest.bytes,
    files,
    next: index < manifest.entryCount && last !== undefined ? last.path : null,
  }
}
