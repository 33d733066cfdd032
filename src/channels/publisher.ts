/**
 * Publishing: an ingest becomes a release of a channel, signed, durable, told to
 * peers and put into the day's slots.
 *
 * The order keeps what was acknowledged: the head is in the database before
 * anybody hears of it, and the wish to put it is there too, so that a restart goes
 * on where a crash stopped.
 *
 * @module channels/publisher
 */
import { equalBytes } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { HEAD_REFRESH_LOOK_MAX_MS, HEAD_REFRESH_LOOK_MIN_MS, HEAD_REFRESH_MS } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import { type Random, randomInteger } from '../base/random.ts'
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import type { Address } from '../wire/address.ts'
import { referenceId, referenceKey } from '../wire/blob.ts'
import { BLOB_REF_BYTES, DAY_OVERLAP_MS, REVISIONS_PER_RELEASE } from '../wire/constants.ts'
import { decodeHead, type Head, type HeadFields, headHash, signHead } from '../wire/head.ts'
import { ManifestReader } from '../wire/manifest-reader.ts'
import type { ChannelDiscovery } from './discovery.ts'
import { type IngestRecord, loadIngest } from './ingest-record.ts'
import { loadManifest } from './manifest-loader.ts'
import { retitleManifest } from './manifest-writer.ts'
import { putUntilConfirmed } from './put-head.ts'
import type { ChannelSession } from './session.ts'

export interface PublisherDeps {
  readonly state: State
  readonly store: BlobStore
  readonly discovery: ChannelDiscovery
  readonly clock: Clock
  readonly log: Log
  /** What a head and a manifest with another title say the time is; where absent, `clock`. */
  readonly statedClock?: Pick<Clock, 'now'>
  /** Addresses that a head of that channel may name. */
  readonly addressesOf: (keys: ChannelKeys) => readonly Address[]
  /** Safe mode: no head of ours is told that names a clear address. */
  readonly hidesAddresses?: boolean
}

export interface PublishRequest {
  readonly keys: PublisherKeys
  readonly open: boolean
  readonly session: ReleaseSession
  readonly record: IngestRecord
  /** Null: the title that the ingest was made with. */
  readonly title: string | null
  /** A release number that others have and this machine does not know; 0 by default. */
  readonly after?: number
}

/** What a release asks of who takes part in its channel; a machine without a network has less than a session. */
export type ReleaseSession = Pick<ChannelSession, 'newest' | 'heldOf' | 'serve' | 'adopt'>

/** A release that is durable; whether others hold its head is another matter. */
export interface Release {
  readonly head: Head
  /** Same content and title as the newest release: nothing was made. */
  readonly unchanged: boolean
}

export class Publisher {
  readonly #deps: PublisherDeps
  /** One release at a time, whatever the channel: numbers are given in order. */
  readonly #turn = new Semaphore(1)

  constructor(deps: PublisherDeps) {
    this.#deps = deps
  }

  /** Sign a release and make it durable, known to peers, and due to be put. */
  release(request: PublishRequest): Promise<Release> {
    return this.#inTurn(async () => {
      const { keys, session } = request
      if (!this.#deps.store.has(referenceId(request.record.root))) throw ingestGone()
      const before = session.newest
      if (before !== null && (await this.#isUnchanged(request, before))) {
        return { head: before, unchanged: true }
      }
      const root = await this.#rootOf(request)
      // All that can fail comes before the signature: a number is signed once and then stays taken.
      const manifest = await loadManifest({
        root,
        store: this.#deps.store,
        fetch: () => Promise.reject(ingestGone()),
      })
      const held = await session.heldOf(manifest)
      if (held.length < manifest.blobCount) throw ingestGone()
      const newest = session.newest
      const known = newest?.releaseNumber ?? 0
      const { after = 0 } = request
      const head = signHead(
        {
          releaseNumber: Math.max(known, after) + 1,
          revision: 0,
          signedAt: this.#statedMs(),
          root,
          previousHash: newest === null || after > known ? null : headHash(newest.bytes),
          successorKey: null,
          addresses: this.#deps.addressesOf(keys),
        },
        keys.signingKey,
      )
      this.#keep(keys.publicKey, request.record.ingestId, head)
      // What we hold is told before the head is: whoever hears of the release can ask at once.
      session.serve(head, manifest, held)
      session.adopt(head)
      this.#deps.log.info('release signed', { channel: short(keys.publicKey), sequence: head.releaseNumber })
      return { head, unchanged: false }
    })
  }

  /**
   * Sign that a channel has nothing published any more: a head of its own number, so that whoever holds the
   * channel takes it for news (PROTOCOL_FINAL.md §4.3). Durable, known to peers, and due to be put.
   *
   * @returns `unchanged` when that is so already.
   * @throws MegatorrentError ERR_RELEASE_NOT_FOUND when nothing was ever published.
   */
  unpublish(keys: PublisherKeys, session: ChannelSession): Promise<Release> {
    return this.#inTurn(async () => {
      const newest = session.newest
      if (newest === null) {
        throw new MegatorrentError('ERR_RELEASE_NOT_FOUND', 'nothing was published on this channel yet')
      }
      if (newest.isUnpublished) return { head: newest, unchanged: true }
      const head = signHead(
        {
          releaseNumber: newest.releaseNumber + 1,
          revision: 0,
          signedAt: this.#statedMs(),
          root: new Uint8Array(BLOB_REF_BYTES),
          previousHash: headHash(newest.bytes),
          isUnpublished: true,
          successorKey: null,
          addresses: [],
        },
        keys.signingKey,
      )
      this.#keep(keys.publicKey, null, head)
      session.adopt(head)
      this.#deps.log.info('channel unpublished', {
        channel: short(keys.publicKey),
        sequence: head.releaseNumber,
      })
      return { head, unchanged: false }
    })
  }

  /**
   * In safe mode, before a channel of ours is looked after: a head that was signed in direct mode names where
   * we were, and would be told to every peer. So it is signed again, with the addresses that we have now.
   *
   * @returns the head that is the newest by this, or null where there was nothing to hide.
   */
  hideAddresses(keys: PublisherKeys): Head | null {
    const { state, addressesOf, hidesAddresses = false, log } = this.#deps
    const known = hidesAddresses ? state.releases.newest(keys.publicKey) : null
    if (known === null) return null
    const newest = decodeHead(known.head)
    if (newest.addresses.every(({ kind }) => kind === 'onion')) return null
    const head = signHead(
      { ...newest, ...numbersAfter(newest), addresses: addressesOf(keys) },
      keys.signingKey,
    )
    const own = state.channels.get(keys.publicKey)
    state.database.transaction(() => {
      this.#keepHead(keys.publicKey, head)
      // Else it would not be refreshed any more, as one that another machine signed.
      if (own?.sequence === known.sequence && own.revision === known.revision) {
        state.channels.setPublished(keys.publicKey, head.releaseNumber, head.revision, own.publishedIngest)
      }
    })
    log.info('a head that named a clear address was signed again', { channel: short(keys.publicKey) })
    return head
  }

  /**
   * Put a head until somebody has confirmed.
   *
   * @returns how many nodes have confirmed; 0 when the signal fired first.
   */
  async put(keys: PublisherKeys, open: boolean, head: Head, signal: AbortSignal): Promise<number> {
    const put = (): Promise<number> => this.#deps.discovery.publish(keys, open, head, signal)
    return putUntilConfirmed(this.#deps, { publicKey: keys.publicKey, head, put }, signal)
  }

  #statedMs(): number {
    const { clock, statedClock = clock } = this.#deps
    return statedClock.now()
  }

  /**
   * Sign the newest head again when it is a month old, or dated ahead, until called off: the same release with
   * a higher revision, the addresses of now and the time, which shows readers that its publisher is there.
   */
  async keepFresh(
    keys: PublisherKeys,
    session: ChannelSession,
    random: Random,
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      const lookMs = randomInteger(random, HEAD_REFRESH_LOOK_MIN_MS, HEAD_REFRESH_LOOK_MAX_MS)
      await sleep(this.#deps.clock, lookMs, signal).catch(() => {}) // called off: the loop ends
      if (signal.aborted) return
      try {
        await this.refresh(keys, session)
      } catch (error) {
        this.#deps.log.warn('a head could not be signed again', { why: errorMessage(error) })
      }
    }
  }

  /** Sign the newest head again if it is due, as `keepFresh` does. */
  refresh(keys: PublisherKeys, session: Pick<ReleaseSession, 'newest' | 'adopt'>): Promise<void> {
    return this.#turn.run(async () => this.#refresh(keys, session))
  }

  #refresh(keys: PublisherKeys, session: Pick<ReleaseSession, 'newest' | 'adopt'>): void {
    const { state, clock, addressesOf, log } = this.#deps
    const { publicKey, signingKey } = keys
    const { newest } = session
    const row = state.channels.get(publicKey)
    if (newest === null || row === null || !isStale(newest.signedAt, clock.now())) return
    // Of two nodes with one key, the one that signed last refreshes: both would contradict each other.
    if (row.sequence !== newest.releaseNumber || row.revision !== newest.revision) return
    const { root, isUnpublished, successorKey } = newest
    const head = signHead(
      {
        ...{ root, isUnpublished, successorKey },
        ...numbersAfter(newest),
        signedAt: this.#statedMs(),
        addresses: isUnpublished ? [] : addressesOf(keys),
      },
      signingKey,
    )
    state.database.transaction(() => {
      this.#keepHead(publicKey, head)
      state.channels.setPublished(publicKey, head.releaseNumber, head.revision, row.publishedIngest)
    })
    session.adopt(head)
    log.info('head signed again', { channel: short(publicKey), sequence: head.releaseNumber })
  }

  /** One after the other, and while it lasts no held blob is taken for garbage. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turn.run(async () => {
      const lease = this.#deps.store.openLease()
      try {
        return await work()
      } finally {
        lease.release()
      }
    })
  }

  /**
   * The head and all that a restart needs to go on, in one transaction.
   *
   * @param ingestId - what the release was made of; null for none.
   */
  #keep(publicKey: Uint8Array, ingestId: string | null, head: Head): void {
    const { state, clock } = this.#deps
    const previous = state.channels.get(publicKey)?.publishedIngest ?? null
    state.database.transaction(() => {
      this.#keepHead(publicKey, head)
      state.channels.setPublished(publicKey, head.releaseNumber, head.revision, ingestId)
      state.pendingPuts.add({ publicKey, sequence: head.releaseNumber, since: clock.now() })
      // What is not the newest any more is no base for the next ingest, and what was unpublished for none.
      const over = ingestId === null ? state.ingests.list(publicKey).map(({ id }) => id) : [previous]
      for (const id of over) {
        if (id === null || id === ingestId) continue
        state.pieces.remove(publicKey, id)
        state.ingests.remove(id)
      }
    })
  }

  #keepHead(publicKey: Uint8Array, head: Head): void {
    this.#deps.state.releases.upsertHead({
      publicKey,
      sequence: head.releaseNumber,
      revision: head.revision,
      rootId: referenceId(head.root),
      head: head.bytes,
      signedAt: head.signedAt,
      receivedAt: this.#deps.clock.now(),
    })
  }

  async #rootOf(request: PublishRequest): Promise<Uint8Array> {
    const { title, record, keys } = request
    if (title === null || title === (await this.#titleOf(record.root))) return record.root
    const change = { title, time: this.#statedMs() }
    return retitleManifest(this.#deps.store, keys.convergenceSecret, record.root, change)
  }

  async #isUnchanged(request: PublishRequest, newest: Head): Promise<boolean> {
    const { state } = this.#deps
    if (newest.isUnpublished) return false
    const row = state.channels.get(request.keys.publicKey)
    // The newest release may be of another machine with the same key: then nothing is known of its files.
    if (row === null || row.publishedIngest === null || row.sequence !== newest.releaseNumber) return false
    const before = loadIngest(state.ingests, row.publishedIngest)
    if (before === null || !equalBytes(before.contentId, request.record.contentId)) return false
    const wanted = request.title ?? (await this.#titleOf(request.record.root))
    return wanted !== null && wanted === (await this.#titleOf(newest.root))
  }

  /** Title in a root that we hold, or null. */
  async #titleOf(root: Uint8Array): Promise<string | null> {
    const chunk = await this.#deps.store.open(referenceId(root), referenceKey(root))
    if (chunk === null) return null
    const { title } = new ManifestReader(root, chunk).summary
    this.#deps.store.buffers.give(chunk)
    return title
  }
}

/** A head that a clock dated ahead has slots signed from then on, and none for today; clocks may be a little apart. */
function isStale(signedAt: number, nowMs: number): boolean {
  return nowMs - signedAt >= HEAD_REFRESH_MS || signedAt - nowMs > DAY_OVERLAP_MS
}

/** Of a head that is signed again: the next revision, and behind the last one the next release number. */
function numbersAfter(head: Head): Pick<HeadFields, 'releaseNumber' | 'revision' | 'previousHash'> {
  const { releaseNumber, revision, previousHash, bytes } = head
  if (revision < REVISIONS_PER_RELEASE - 1) return { releaseNumber, revision: revision + 1, previousHash }
  return { releaseNumber: releaseNumber + 1, revision: 0, previousHash: headHash(bytes) }
}

/** An ingest that was kept too long, or whose blobs were lost: nothing is signed for it. */
export function ingestGone(): MegatorrentError {
  return new MegatorrentError(
    'ERR_INGEST_GONE',
    'there is no such ingest, or it is over a week old and its blobs were removed: ingest the folder again',
  )
}
