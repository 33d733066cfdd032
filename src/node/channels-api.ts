/**
 * Channels of this node: keys, ingest and publish, as NodeApi names them.
 *
 * @module node/channels-api
 */
import { basename } from 'node:path'
import { linkSignals } from '../base/abort.ts'
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { ingest } from '../channels/ingest.ts'
import { dropIngest, type IngestRecord, loadIngest } from '../channels/ingest-record.ts'
import { loadManifest } from '../channels/manifest-loader.ts'
import { ingestGone, type Publisher, type Release } from '../channels/publisher.ts'
import type { ChannelSession, ChannelSessions } from '../channels/session.ts'
import { type PublisherKeys, publisherKeys } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { Keystore } from '../storage/keystore.ts'
import type { State } from '../storage/state.ts'
import type { ChannelRow } from '../storage/tables/channels-table.ts'
import { type Head, isSameRelease } from '../wire/head.ts'
import type {
  CallOptions,
  ChannelInfo,
  CreateChannelParams,
  ExportChannelParams,
  ImportChannelParams,
  IngestParams,
  IngestResult,
  PublishParams,
  PublishResult,
  UnpublishParams,
  UnpublishResult,
} from './api.ts'
import { exportChannelKey, importChannelKey, importedMark, NEW_CHANNEL } from './channel-keys.ts'
import { chooseChannel, findChannel } from './choose-channel.ts'
import { putNow } from './put-now.ts'

export interface ChannelsApiDeps {
  readonly state: State
  readonly store: BlobStore
  readonly keystore: Keystore
  readonly sessions: ChannelSessions
  readonly publisher: Publisher
  /** Its link, with addresses by which a reader finds us at once. @param readKey - null for a public one. */
  readonly linkTo: (publicKey: Uint8Array, readKey: Uint8Array | null) => string
  /** As `IngestDeps`. */
  readonly statedClock: Pick<Clock, 'now'>
  /** Absolute. */
  readonly dataDir: string
  /** Is there any way to put a slot? */
  readonly canPut: boolean
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** A channel of ours that is looked after as long as we run. */
interface OwnChannel {
  readonly keys: PublisherKeys
  readonly session: ChannelSession
  /** Ends what goes on for it when it is removed. */
  readonly stopping: AbortController
}

export class ChannelsApi {
  readonly #deps: ChannelsApiDeps
  readonly #own = new Map<string, OwnChannel>()
  readonly #stopping = new AbortController()
  readonly #background = new Set<Promise<void>>()

  constructor(deps: ChannelsApiDeps) {
    this.#deps = deps
  }

  /** Look after all channels of ours, and go on with puts that a stop interrupted. */
  start(): void {
    for (const row of this.#deps.state.channels.list()) this.#open(row)
    for (const put of this.#deps.state.pendingPuts.list()) {
      const row = this.#deps.state.channels.get(put.publicKey)
      if (row === null) continue // of a bundle: node/bundles-api.ts
      const own = this.#own.get(toHex(put.publicKey))
      if (own === undefined || own.session.newest?.releaseNumber !== put.sequence) {
        this.#deps.state.pendingPuts.remove(put.publicKey, put.sequence)
      } else this.#putInBackground(own, row.open, own.session.newest)
    }
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#background)
  }

  /** Keys of a channel of ours: what the discovery signs slots with. */
  keysOf(publicKey: Uint8Array): PublisherKeys | null {
    const known = this.#own.get(toHex(publicKey))
    if (known !== undefined) return known.keys
    const record = this.#deps.keystore.get(publicKey)
    return record === null ? null : publisherKeys(record.seed, record.readKey)
  }

  /** The session of a channel of ours, by its public key as hex; null for others. */
  sessionOf(publicKey: string): ChannelSession | null {
    return this.#own.get(publicKey)?.session ?? null
  }

  async create(params: CreateChannelParams): Promise<ChannelInfo> {
    const { keystore, state, clock } = this.#deps
    if (params.private && params.open) {
      throw new MegatorrentError('ERR_USAGE', 'a channel is private or open, not both: leave one out')
    }
    if (state.channels.byName(params.name) !== null) {
      throw new MegatorrentError('ERR_NAME_TAKEN', 'there is a channel of that name: choose another')
    }
    const { publicKey } = keystore.create(params)
    const row: ChannelRow = { ...NEW_CHANNEL, ...params, publicKey, createdAt: clock.now() }
    state.channels.add(row)
    this.#open(row)
    return this.#info(row)
  }

  list(): ChannelInfo[] {
    return this.#deps.state.channels.list().map((row) => this.#info(row))
  }

  show(channel: string): ChannelInfo {
    return this.#info(findChannel(this.#deps.state, channel))
  }

  async export({ channel, ...file }: ExportChannelParams): Promise<ChannelInfo> {
    const row = findChannel(this.#deps.state, channel)
    await exportChannelKey(this.#deps, row.publicKey, file)
    return this.#info(row)
  }

  async import(params: ImportChannelParams): Promise<ChannelInfo> {
    const row = await importChannelKey(this.#deps, params)
    if (!this.#own.has(toHex(row.publicKey))) this.#open(row)
    return this.#info(row)
  }

  remove(channel: string): ChannelInfo {
    const { state, keystore, sessions } = this.#deps
    const row = findChannel(this.#deps.state, channel)
    const info = this.#info(row)
    const own = this.#own.get(info.publicKey)
    this.#own.delete(info.publicKey)
    own?.stopping.abort()
    state.database.transaction(() => {
      state.channels.remove(row.publicKey)
      state.pieces.removeChannel(row.publicKey)
      state.sourceMemory.remove(row.publicKey)
      state.meta.remove(importedMark(row.publicKey))
      state.slotSets.prune()
      for (const put of state.pendingPuts.list()) {
        if (toHex(put.publicKey) === info.publicKey) state.pendingPuts.remove(put.publicKey, put.sequence)
      }
    })
    keystore.remove(row.publicKey)
    if (own === undefined) return info
    sessions.release(own.session)
    state.anchors.prune()
    own.session.followAgain(null) // who follows it besides goes on without our key
    return info
  }

  async ingest(params: IngestParams, options: CallOptions): Promise<IngestResult> {
    const row = chooseChannel(this.#deps.state, params.channel)
    const record = await this.#ingest(row, params, basename(params.path), options)
    const { ingestId, files, bytes, blobs, newBlobs, skipped } = record
    return { ingestId, publicKey: toHex(row.publicKey), files, bytes, blobs, newBlobs, skipped }
  }

  async publish(params: PublishParams, options: CallOptions): Promise<PublishResult> {
    const row = chooseChannel(this.#deps.state, params.channel)
    const own = this.#ownOf(row)
    if (this.#deps.state.meta.get(importedMark(row.publicKey)) !== null)
      await this.#lookFirst(own, options.signal)
    const record = await this.#recordOf(row, params, options)
    const request = { keys: own.keys, open: row.open, session: own.session, record, title: params.title }
    const release = await this.#deps.publisher.release(request)
    if (release.unchanged && 'path' in params.source)
      dropIngest(this.#deps.state, row.publicKey, record.ingestId)
    options.onProgress({ phase: 'putting', done: 0, total: null, unit: 'nodes' })
    const put = await this.#putNow(own, row.open, release, params.timeoutMs, options.signal)
    const { files, bytes, blobs, newBlobs, manifestBlobs, skipped } = record
    return {
      uri: this.#link(row),
      publicKey: toHex(row.publicKey),
      sequence: release.head.releaseNumber,
      ...{ files, bytes, blobs, newBlobs, manifestBlobs, skipped },
      storedBy: put.storedBy,
      unchanged: release.unchanged,
      pending: put.pending,
    }
  }

  async unpublish(params: UnpublishParams, options: CallOptions): Promise<UnpublishResult> {
    const row = findChannel(this.#deps.state, params.channel)
    const own = this.#ownOf(row)
    if (this.#deps.state.meta.get(importedMark(row.publicKey)) !== null)
      await this.#lookFirst(own, options.signal)
    const release = await this.#deps.publisher.unpublish(own.keys, own.session)
    options.onProgress({ phase: 'putting', done: 0, total: null, unit: 'nodes' })
    const put = await this.#putNow(own, row.open, release, params.timeoutMs, options.signal)
    const { releaseNumber: sequence } = release.head
    return { publicKey: toHex(row.publicKey), sequence, ...put, unchanged: release.unchanged }
  }

  /** Look after a channel: join its swarm, and serve what we hold of its newest release. */
  #open(row: ChannelRow): void {
    const { keystore, sessions, publisher, log } = this.#deps
    const record = keystore.get(row.publicKey)
    if (record === null) {
      log.error('the key file of a channel is missing: it cannot be published until it is imported again')
      return
    }
    const keys = publisherKeys(record.seed, record.readKey)
    // Before the session: it tells of the newest head, and asks for our keys when it begins to follow the slots.
    const session = sessions.acquire(keys, row.open, publisher.hideAddresses(keys))
    const own: OwnChannel = { keys, session, stopping: new AbortController() }
    this.#own.set(toHex(row.publicKey), own)
    const { signal, release } = linkSignals(this.#stopping.signal, own.stopping.signal)
    this.#inBackground(publisher.keepFresh(keys, session, this.#deps.random, signal).finally(release))
    const { newest } = own.session
    if (newest !== null && !newest.isUnpublished) this.#inBackground(this.#serve(own.session, newest))
  }

  async #serve(session: ChannelSession, head: Head): Promise<void> {
    const { store } = this.#deps
    const manifest = await loadManifest({
      root: head.root,
      store,
      fetch: () => Promise.reject(new MegatorrentError('ERR_NOT_FOUND', 'our own manifest is not held')),
    })
    const held = await session.heldOf(manifest)
    if (isSameRelease(session.newest, head)) session.serve(head, manifest, held)
  }

  async #recordOf(row: ChannelRow, params: PublishParams, options: CallOptions): Promise<IngestRecord> {
    const { source } = params
    if ('path' in source)
      return this.#ingest(row, { ...params, ...source }, params.title ?? basename(source.path), options)
    const record = loadIngest(this.#deps.state.ingests, source.ingestId)
    if (record === null) throw ingestGone()
    if (toHex(record.publicKey) !== toHex(row.publicKey)) {
      throw new MegatorrentError('ERR_USAGE', 'that ingest was made for another channel')
    }
    return record
  }

  #ingest(
    row: ChannelRow,
    { path, rehash }: Pick<IngestParams, 'path' | 'rehash'>,
    title: string,
    options: CallOptions,
  ): Promise<IngestRecord> {
    const { keys } = this.#ownOf(row)
    return ingest(this.#deps, {
      source: path,
      rehash: rehash ?? false,
      publicKey: row.publicKey,
      convergenceSecret: keys.convergenceSecret,
      title,
      // Somebody may publish a folder above ours: keys and blobs are never part of it.
      privateFolders: [this.#deps.dataDir],
      publishedIngest: this.#deps.state.channels.get(row.publicKey)?.publishedIngest ?? null,
      onProgress: ({ bytesDone, bytesTotal }) => {
        options.onProgress({ phase: 'sealing', done: bytesDone, total: bytesTotal, unit: 'bytes' })
      },
      signal: options.signal,
    })
  }

  /** An imported channel may have releases that this node has not seen: find the newest before a number is given. */
  async #lookFirst(own: OwnChannel, signal: AbortSignal): Promise<void> {
    await own.session.look(signal)
    if (own.session.newest !== null) this.#deps.state.meta.remove(importedMark(own.keys.publicKey))
  }

  async #putNow(
    own: OwnChannel,
    open: boolean,
    release: Release,
    timeoutMs: number | null,
    signal: AbortSignal,
  ): ReturnType<typeof putNow> {
    const { canPut, clock, publisher } = this.#deps
    return putNow({
      ...{ canPut, clock, timeoutMs },
      signals: [signal, this.#stopping.signal, own.stopping.signal],
      put: (linked) => publisher.put(own.keys, open, release.head, linked),
      putLater: () => this.#putInBackground(own, open, release.head),
    })
  }

  #putInBackground(own: OwnChannel, open: boolean, head: Head): void {
    const { signal, release } = linkSignals(this.#stopping.signal, own.stopping.signal)
    const put = own.session.mayBeSeen.then(() => this.#deps.publisher.put(own.keys, open, head, signal))
    this.#inBackground(put.then(() => {}).finally(release))
  }

  #inBackground(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) =>
        this.#deps.log.warn('work on a channel failed', { why: errorMessage(error) }),
      )
      .finally(() => void this.#background.delete(tracked))
    this.#background.add(tracked)
  }

  #ownOf(row: ChannelRow): OwnChannel {
    const own = this.#own.get(toHex(row.publicKey))
    if (own === undefined) throw new MegatorrentError('ERR_KEY_MISSING', 'the key of this channel is missing')
    own.session.hurry()
    return own
  }

  #info(row: ChannelRow): ChannelInfo {
    const { name, open, publicKey } = row
    const session = this.#own.get(toHex(publicKey))?.session
    const newest = session?.newest ?? null
    return {
      name,
      publicKey: toHex(publicKey),
      uri: this.#link(row),
      onionAddress: session?.onionAddress ?? null,
      private: row.private,
      open,
      sequence: newest?.releaseNumber ?? row.sequence,
      unpublished: newest?.isUnpublished ?? false,
    }
  }

  #link({ publicKey, private: isPrivate }: ChannelRow): string {
    const readKey = isPrivate ? (this.#deps.keystore.get(publicKey)?.readKey ?? null) : null
    return this.#deps.linkTo(publicKey, readKey)
  }
}
