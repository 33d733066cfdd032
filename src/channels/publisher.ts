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
import { equalBytes, toHex } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { PUT_RETRY_MS } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { PublisherKeys } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import type { Address } from '../wire/address.ts'
import { referenceId, referenceKey } from '../wire/blob.ts'
import { type Head, headHash, signHead } from '../wire/head.ts'
import { ManifestReader } from '../wire/manifest-reader.ts'
import type { ChannelDiscovery } from './discovery.ts'
import { type IngestRecord, loadIngest } from './ingest-record.ts'
import { loadManifest } from './manifest-loader.ts'
import { retitleManifest } from './manifest-writer.ts'
import type { ChannelSession } from './session.ts'

export interface PublisherDeps {
  readonly state: State
  readonly store: BlobStore
  readonly discovery: ChannelDiscovery
  readonly clock: Clock
  readonly log: Log
  /** Addresses that a head may name. */
  readonly addresses: () => readonly Address[]
}

export interface PublishRequest {
  readonly keys: PublisherKeys
  readonly open: boolean
  readonly session: ChannelSession
  readonly record: IngestRecord
  /** Null: the title that the ingest was made with. */
  readonly title: string | null
}

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
    return this.#turn.run(async () => {
      const { keys, session } = request
      const before = session.newest
      if (before !== null && (await this.#isUnchanged(request, before))) {
        return { head: before, unchanged: true }
      }
      const root = await this.#rootOf(request)
      // All that can fail comes before the signature: a number is signed once and then stays taken.
      const manifest = await loadManifest({ root, store: this.#deps.store, fetch: notHeld })
      const held = await session.heldOf(manifest)
      const newest = session.newest
      const head = signHead(
        {
          releaseNumber: (newest?.releaseNumber ?? 0) + 1,
          revision: 0,
          signedAt: this.#deps.clock.now(),
          root,
          previousHash: newest === null ? null : headHash(newest.bytes),
          successorKey: null,
          addresses: this.#deps.addresses(),
        },
        keys.signingKey,
      )
      this.#keep(request, head)
      // What we hold is told before the head is: whoever hears of the release can ask at once.
      session.serve(head, manifest, held)
      session.adopt(head)
      this.#deps.log.info('release signed', { channel: short(keys.publicKey), sequence: head.releaseNumber })
      return { head, unchanged: false }
    })
  }

  /**
   * Put a head until somebody has confirmed.
   *
   * @returns how many nodes have confirmed; 0 when the signal fired first.
   */
  async put(keys: PublisherKeys, open: boolean, head: Head, signal: AbortSignal): Promise<number> {
    const { state, discovery, clock, log } = this.#deps
    while (!signal.aborted) {
      try {
        const storedBy = await discovery.publish(keys, open, head, signal)
        if (storedBy > 0) {
          state.pendingPuts.remove(keys.publicKey, head.releaseNumber)
          return storedBy
        }
      } catch (error) {
        if (isMegatorrentError(error, 'ERR_SLOT_NEWER_KNOWN')) {
          state.pendingPuts.remove(keys.publicKey, head.releaseNumber)
          throw error
        }
        if (!signal.aborted) log.info('slots not put yet', { why: errorMessage(error) })
      }
      await sleep(clock, PUT_RETRY_MS, signal).catch(() => {}) // called off: the loop ends
    }
    return 0
  }

  /** The head and all that a restart needs to go on, in one transaction. */
  #keep(request: PublishRequest, head: Head): void {
    const { keys, record } = request
    const { state, clock } = this.#deps
    const previous = state.channels.get(keys.publicKey)?.publishedIngest ?? null
    state.database.transaction(() => {
      state.releases.upsertHead({
        publicKey: keys.publicKey,
        sequence: head.releaseNumber,
        revision: head.revision,
        rootId: referenceId(head.root),
        head: head.bytes,
        signedAt: head.signedAt,
        receivedAt: clock.now(),
      })
      state.channels.setPublished(keys.publicKey, head.releaseNumber, head.revision, record.ingestId)
      state.pendingPuts.add({ publicKey: keys.publicKey, sequence: head.releaseNumber, since: clock.now() })
      if (previous !== null && previous !== record.ingestId) state.pieces.remove(keys.publicKey, previous)
    })
  }

  async #rootOf(request: PublishRequest): Promise<Uint8Array> {
    const { title, record, keys } = request
    if (title === null || title === (await this.#titleOf(record.root))) return record.root
    const change = { title, time: this.#deps.clock.now() }
    return retitleManifest(this.#deps.store, keys.convergenceSecret, record.root, change)
  }

  async #isUnchanged(request: PublishRequest, newest: Head): Promise<boolean> {
    const { state } = this.#deps
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

/** For manifests of our own: every blob of them is held. */
function notHeld(reference: Uint8Array): Promise<void> {
  const text = `a blob of our own manifest is not held: ${toHex(reference.subarray(0, 4))}`
  return Promise.reject(new MegatorrentError('ERR_NOT_FOUND', text))
}
