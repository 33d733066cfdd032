/**
 * Which releases this node needs, and why: a decision on rows of the database, without
 * any I/O. Blobs of what is not named here are garbage (channels/collector.ts).
 *
 * For each channel that is ours, followed, hosted or being fetched:
 *   - the newest release, always;
 *   - the one before it, for a day, since subscribers that have not heard of the newest
 *     may still be fetching it, and longer while we have not the newest complete;
 *   - the one that is in the folder of a subscription, until the newest is.
 * A channel that was unpublished needs nothing (PROTOCOL_FINAL.md §4.3). Heads that
 * contradict another are never acted on, so nothing is kept for them.
 *
 * And of ingests: the one that a channel's newest release was made of, since the next
 * ingest keeps its places; any other for INGEST_KEEP_MS, to be published. What is
 * running is not in the database: storage/blob-leases.ts.
 *
 * @module channels/needed
 */
import { toHex } from '../base/bytes.ts'
import { INGEST_KEEP_MS, PREVIOUS_RELEASE_KEEP_MS } from '../base/limits.ts'
import type { ChannelRow } from '../storage/tables/channels-table.ts'
import type { IngestRow } from '../storage/tables/ingests-table.ts'
import type { ReleaseRow } from '../storage/tables/releases-table.ts'
import type { SubscriptionRow } from '../storage/tables/subscriptions-table.ts'
import { blobReference } from '../wire/blob.ts'
import { decodeHead } from '../wire/head.ts'

export type NeedReason = 'newest' | 'previous' | 'in directory' | 'ingest'

/** A manifest whose blobs, and those that it names, are needed. */
export interface NeededManifest {
  readonly publicKey: Uint8Array
  /** Blob reference of its root. */
  readonly root: Uint8Array
  readonly reason: NeedReason
  /** It was whole here once: where a blob of it is missing now, we cannot know what it needs. */
  readonly wasWhole: boolean
}

interface WithKey {
  readonly publicKey: Uint8Array
}

export interface NeededInput {
  /** ms since 1970. */
  readonly now: number
  readonly channels: readonly Pick<ChannelRow, 'publicKey' | 'sequence' | 'publishedIngest'>[]
  readonly subscriptions: readonly Pick<SubscriptionRow, 'publicKey' | 'completeSequence'>[]
  readonly ingests: readonly Pick<IngestRow, 'id' | 'publicKey' | 'rootId' | 'rootKey' | 'createdAt'>[]
  /** Newest first. */
  readonly releasesOf: (
    publicKey: Uint8Array,
  ) => readonly Pick<ReleaseRow, 'sequence' | 'head' | 'receivedAt' | 'conflict'>[]
}

export interface Needed {
  readonly manifests: readonly NeededManifest[]
  /** Ids of ingests that nobody published in time: their rows go before their blobs do. */
  readonly expiredIngests: readonly string[]
}

export function decideNeeded(input: NeededInput): Needed {
  const own = new Map(input.channels.map((row) => [toHex(row.publicKey), row]))
  const followed = new Map(input.subscriptions.map((row) => [toHex(row.publicKey), row]))
  const manifests: NeededManifest[] = []
  for (const [name, { publicKey }] of new Map<string, WithKey>([...own, ...followed])) {
    const ours = own.get(name)
    const publishedHere = ours === undefined || ours.publishedIngest === null ? null : ours.sequence
    const inDirectory = followed.get(name)?.completeSequence ?? null
    manifests.push(...releasesNeeded(input, publicKey, publishedHere, inDirectory))
  }
  const published = new Set(input.channels.map((row) => row.publishedIngest))
  const expiredIngests: string[] = []
  for (const ingest of input.ingests) {
    if (!published.has(ingest.id) && input.now - ingest.createdAt >= INGEST_KEEP_MS) {
      expiredIngests.push(ingest.id)
      continue
    }
    const { publicKey, rootId, rootKey } = ingest
    manifests.push({ publicKey, root: blobReference(rootId, rootKey), reason: 'ingest', wasWhole: false })
  }
  return { manifests, expiredIngests }
}

/**
 * @param publishedHere - number of the release that was made on this node, or null.
 * @param inDirectory - number of the release that a subscription has complete, 0 for none; null without one.
 */
function* releasesNeeded(
  { now, releasesOf }: NeededInput,
  publicKey: Uint8Array,
  publishedHere: number | null,
  inDirectory: number | null,
): Generator<NeededManifest> {
  const [newest, previous, ...older] = releasesOf(publicKey).filter((row) => !row.conflict)
  if (newest === undefined || decodeHead(newest.head).isUnpublished) return
  const isBehind = inDirectory !== null && inDirectory < newest.sequence
  const isRecent = now - newest.receivedAt < PREVIOUS_RELEASE_KEEP_MS
  const wanted: [typeof newest | undefined, NeedReason][] = [[newest, 'newest']]
  if (isBehind || isRecent) wanted.push([previous, 'previous'])
  if (isBehind) wanted.push([older.find((row) => row.sequence === inDirectory), 'in directory'])
  for (const [row, reason] of wanted) {
    if (row === undefined) continue
    const head = decodeHead(row.head)
    if (head.isUnpublished) continue
    const wasWhole = row.sequence === publishedHere || row.sequence === inDirectory
    yield { publicKey, root: head.root, reason, wasWhole }
  }
}
