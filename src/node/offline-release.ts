/**
 * A release signed on a machine that needs no network and no daemon: the folder is ingested, the head and the
 * slots of the coming days are signed, and all of it is written into one file, which another machine publishes
 * (PROTOCOL_FINAL.md §8). The key stays here.
 *
 * The data folder remembers what was signed last, so the next release has the next number. A file that could not
 * be written costs nothing: the same folder again is the same release, with the slots of the days from then on.
 *
 * @module node/offline-release
 */
import { existsSync } from 'node:fs'
import { basename, dirname, isAbsolute, relative } from 'node:path'
import { isZeroBytes, toHex } from '../base/bytes.ts'
import { type Clock, hourClock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { writeBundle } from '../channels/bundle-writer.ts'
import { NO_DISCOVERY } from '../channels/discovery.ts'
import { HeadLog } from '../channels/head-log.ts'
import { heldManifest } from '../channels/held-manifest.ts'
import { ingest } from '../channels/ingest.ts'
import { dropIngest } from '../channels/ingest-record.ts'
import { loadManifest } from '../channels/manifest-loader.ts'
import { ingestGone, Publisher, type ReleaseSession } from '../channels/publisher.ts'
import { SlotSets } from '../channels/slot-sets.ts'
import { splitHeld } from '../channels/store-fit.ts'
import type { Config } from '../config/schema.ts'
import { type PublisherKeys, publisherKeys } from '../crypto/key-schedule.ts'
import { wipe } from '../crypto/wipe.ts'
import { IdSet } from '../storage/id-set.ts'
import type { ChannelRow } from '../storage/tables/channels-table.ts'
import { formatLink } from '../wire/uri.ts'
import type { Progress, PublishResult } from './api.ts'
import { importedMark } from './channel-keys.ts'
import { chooseChannel } from './choose-channel.ts'
import { type Closers, type DataFolder, openDataFolder } from './data-folder.ts'

export interface OfflineReleaseParams {
  /** Absolute. */
  readonly source: string
  readonly channel: string | null
  /** Null: the name of the file or folder. */
  readonly title: string | null
  readonly rehash: boolean
  /** Absolute path of the bundle; there is no such file yet. */
  readonly bundle: string
  /** The newest release number that others have of an imported channel, 0 for none; null: not said. */
  readonly after: number | null
  /** A release that who receives the bundle holds: its blobs are left out. Null: all are in it. */
  readonly since: number | null
}

export interface OfflineReleaseDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
  /** As `NetworkTuning`. */
  readonly slotSetDays?: number
}

export interface OfflineReleaseResult extends Omit<PublishResult, 'pending'> {
  readonly bundle: string
  readonly bundleBytes: number
}

/**
 * Sign a release and write its bundle.
 *
 * @throws MegatorrentError ERR_DATA_DIR_LOCKED (a daemon runs on the folder), ERR_NOT_FOUND, ERR_USAGE,
 *   ERR_FILE_EXISTS, ERR_ABORTED, what an ingest throws, or one of kind auth or storage.
 */
export async function signOffline(
  config: Config,
  params: OfflineReleaseParams,
  deps: OfflineReleaseDeps,
): Promise<OfflineReleaseResult> {
  assertPlace(params)
  const closers: Closers = []
  try {
    const folder = await openDataFolder(config, deps, closers)
    // What this release relies on is no garbage, though the database does not know it yet.
    const lease = folder.store.openLease()
    try {
      return await signIn(folder, config, params, deps)
    } finally {
      lease.release()
    }
  } finally {
    for (const closer of closers.reverse()) await closer()
  }
}

/** Before a number is given: the file must have a place. */
function assertPlace({ bundle, source }: OfflineReleaseParams): void {
  if (existsSync(bundle)) {
    throw new MegatorrentError('ERR_FILE_EXISTS', `${bundle} exists already: choose another name`)
  }
  if (!existsSync(dirname(bundle))) {
    const message = `there is no folder ${dirname(bundle)}: make it, or choose another place`
    throw new MegatorrentError('ERR_USAGE', message)
  }
  const below = relative(source, bundle)
  if (below === '' || (!below.startsWith('..') && !isAbsolute(below))) {
    throw new MegatorrentError('ERR_USAGE', 'the bundle would lie in what is published: choose another place')
  }
}

async function signIn(
  folder: DataFolder,
  config: Config,
  params: OfflineReleaseParams,
  deps: OfflineReleaseDeps,
): Promise<OfflineReleaseResult> {
  const { state, store, runner, keystore } = folder
  const { clock, random, log, signal, onProgress } = deps
  const row = chooseChannel(state, params.channel)
  const key = keystore.get(row.publicKey)
  if (key === null) throw new MegatorrentError('ERR_KEY_MISSING', 'the key of this channel is missing')
  const keys = publisherKeys(key.seed, key.readKey)
  wipe(key.seed)
  const heads = new HeadLog(state.releases, clock, log)
  const session = sessionWithoutNetwork(folder, heads, keys)
  const after = afterOf(folder, row, params)
  const without = params.since === null ? null : await blobsOfRelease(folder, row, params.since)
  // In whole hours, as in safe mode: the milliseconds would tell the clock of a machine that nobody should know.
  const statedClock = hourClock(clock)
  const record = await ingest(
    { store, state, clock, statedClock, random, log },
    {
      source: params.source,
      rehash: params.rehash,
      publicKey: row.publicKey,
      convergenceSecret: keys.convergenceSecret,
      title: params.title ?? basename(params.source),
      privateFolders: [config.dataDir],
      publishedIngest: row.publishedIngest,
      onProgress: ({ bytesDone: done, bytesTotal: total }) =>
        onProgress({ phase: 'sealing', done, total, unit: 'bytes' }),
      signal,
    },
  )
  const publisher = new Publisher({
    ...{ state, store, clock, log, statedClock },
    discovery: NO_DISCOVERY,
    addressesOf: () => [],
  })
  const request = { keys, open: row.open, session, record, title: params.title, after }
  const { unchanged } = await publisher.release(request)
  // So that readers see that the publisher is there, as one that runs shows them.
  await publisher.refresh(keys, session)
  const head = session.newest
  if (head === null) throw new MegatorrentError('ERR_BUG', 'a release was signed and is not there')
  state.meta.remove(importedMark(row.publicKey))
  if (unchanged) dropIngest(state, row.publicKey, record.ingestId)
  const slotSets = new SlotSets({
    ...{ table: state.slotSets, runner, clock, log },
    publisherKeys: () => keys,
    days: deps.slotSetDays,
  })
  const slotSet = await slotSets.signNow(row.publicKey, head, signal)
  const fetch = (): Promise<never> => Promise.reject(ingestGone())
  const manifest = await loadManifest({ root: head.root, store, fetch, signal })
  const bundleBytes = await writeBundle(
    params.bundle,
    { keys, open: row.open, head, slotSet, manifest, without },
    { store, random },
    signal,
    (done) => onProgress({ phase: 'writing', done, total: null, unit: 'blobs' }),
  )
  const { files, bytes, blobs, newBlobs, manifestBlobs, skipped } = record
  return {
    bundle: params.bundle,
    bundleBytes,
    uri: linkOf(keys),
    publicKey: toHex(row.publicKey),
    sequence: head.releaseNumber,
    ...{ files, bytes, blobs, newBlobs, manifestBlobs, skipped, unchanged },
    storedBy: 0,
  }
}

/** What the newest head is, and which blobs are held: nobody is there to be told of anything. */
function sessionWithoutNetwork(
  { store }: Pick<DataFolder, 'store'>,
  heads: HeadLog,
  { publicKey }: PublisherKeys,
): ReleaseSession {
  let newest = heads.newest(publicKey)
  return {
    get newest() {
      return newest
    },
    heldOf: async (manifest) => {
      const all = Array.from({ length: manifest.blobCount }, (_, blob) => blob)
      return (await splitHeld(all, (blob) => store.has(manifest.blobId(blob)))).held
    },
    serve: () => {},
    adopt: (head) => {
      newest = head
    },
  }
}

/**
 * An imported channel may have releases that this machine never saw, and there is nobody to ask: a number that
 * others have already would contradict what they have.
 */
function afterOf({ state }: DataFolder, row: ChannelRow, { after }: OfflineReleaseParams): number {
  if (after !== null) return after
  const isUnsure = state.meta.get(importedMark(row.publicKey)) !== null
  if (!isUnsure || state.releases.newest(row.publicKey) !== null) return 0
  throw new MegatorrentError(
    'ERR_USAGE',
    'this key was imported, and nothing here knows its newest release: say its number with --after, 0 for none',
  )
}

/** Before anything is signed: a release that is not known here cannot be left out. */
async function blobsOfRelease({ state, store }: DataFolder, row: ChannelRow, since: number): Promise<IdSet> {
  const manifest = await heldManifest(state, store, row.publicKey, since)
  if (manifest === null) {
    throw new MegatorrentError(
      'ERR_RELEASE_NOT_FOUND',
      `release ${since} of this channel is not held here (any more): leave out --since`,
    )
  }
  const ids = new IdSet()
  for (let blob = 0; blob < manifest.blobCount; blob++) ids.add(manifest.blobId(blob))
  return ids
}

function linkOf({ publicKey, readKey }: PublisherKeys): string {
  return formatLink({ publicKey, readKey: isZeroBytes(readKey) ? null : readKey, peers: [], gateways: [] })
}
