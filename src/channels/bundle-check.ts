/**
 * Is a bundle what its channel signed, all of it? Asked before anything changes (PROTOCOL_FINAL.md §8).
 *
 * Whoever made the file, or carried it, may be hostile. Every blob is hashed here by the workers, and once more
 * when it is taken: the file may change in between.
 *
 * @module channels/bundle-check
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { BUNDLE_BLOBS_PER_TASK } from '../base/limits.ts'
import { Semaphore } from '../base/queue.ts'
import { type ChannelKeys, channelKeys, dayOf } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { TaskRunner } from '../storage/task-runner.ts'
import { openBlobInto, verifyBlob } from '../wire/blob.ts'
import { recordBlobOffset } from '../wire/bundle.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import { type Head, slotVersion, verifyHead } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import { openOpenItem } from '../wire/slot.ts'
import type { BundleFile } from './bundle-file.ts'
import { loadManifest } from './manifest-loader.ts'
import type { SlotSets } from './slot-sets.ts'
import { LOOKUPS_A_TURN, nextTurn, Pacer } from './turns.ts'

export interface BundleCheckDeps {
  /** What is held need not be in the bundle. */
  readonly store: Pick<BlobStore, 'has' | 'open' | 'buffers'>
  readonly slotSets: Pick<SlotSets, 'verify'>
  readonly runner: TaskRunner
  readonly clock: Pick<Clock, 'now'>
}

/** Who signed what: known before the many GiB of blobs are looked at. */
export interface BundleClaim {
  readonly keys: ChannelKeys
  readonly head: Head
  /** Of an open channel; null for others. */
  readonly openItem: MutableItem | null
}

export interface CheckedBundle {
  readonly manifest: Manifest
  /** For each record of the file, which blob of the manifest it is: ascending. */
  readonly numbers: Uint32Array
}

/** The channel and its head, when the channel signed it: rules (5) and (6) of §8. @throws MegatorrentError ERR_BUNDLE_CONTENT. */
export function claimOf({ start }: Pick<BundleFile, 'start'>): BundleClaim {
  return asContent(() => {
    const keys = channelKeys(start.publicKey, start.readKey)
    const head = verifyHead(start.set.head, keys.publicKey)
    if (head.isUnpublished) throw wrong('it says that nothing is published')
    if (start.openSignature === null) return { keys, head, openItem: null }
    const openItem: MutableItem = {
      publicKey: keys.publicKey,
      seq: slotVersion(head),
      value: head.bytes,
      signature: start.openSignature,
    }
    openOpenItem(keys.publicKey, openItem)
    return { keys, head, openItem }
  })
}

/**
 * Verify the rest: slots, manifest, blobs, and that nothing of the release is missing. Rules (7) to (9) of §8.
 *
 * @throws MegatorrentError ERR_BUNDLE_CONTENT, ERR_BUNDLE_DAYS, what the signal says, or one of kind 'storage'.
 * Cost: reading and hashing the file once. Memory: the manifest and some blobs.
 */
export async function checkBundle(
  file: BundleFile,
  { keys, head }: BundleClaim,
  deps: BundleCheckDeps,
  signal: AbortSignal,
  onBlobs: (done: number) => void = () => {},
): Promise<CheckedBundle> {
  await verifySlots(file, keys, head, deps, signal)
  const manifest = await asContentLater(() =>
    loadManifest({
      root: head.root,
      store: bundledBlobs(file, deps.store),
      fetch: async () => {}, // what is not there is missed when it is opened
      signal,
    }),
  )
  const numbers = await numbersOf(file, manifest, deps.store, signal)
  await hashAll(file, manifest, numbers, deps.runner, signal, onBlobs)
  return { manifest, numbers }
}

async function verifySlots(
  { start }: BundleFile,
  keys: ChannelKeys,
  head: Head,
  { slotSets, clock }: BundleCheckDeps,
  signal: AbortSignal,
): Promise<void> {
  const { firstDay, days } = start.set
  const today = dayOf(clock.now())
  if (firstDay + days <= today) throw outOfTime('are over: sign the release again')
  if (firstDay > today) throw outOfTime('have not come: one of the two clocks is wrong')
  try {
    await slotSets.verify(keys, head, start.slotSet, signal)
  } catch (error) {
    throw contentError(error)
  }
}

/**
 * Blobs of the manifest as the loader wants them, from the file or as we hold them. Records are in manifest order
 * and the loader asks in it, so each is found where the last one was.
 */
function bundledBlobs(
  file: BundleFile,
  store: BundleCheckDeps['store'],
): Pick<BlobStore, 'has' | 'open' | 'buffers'> {
  const turn = new Semaphore(1)
  let next = 0
  return {
    buffers: store.buffers,
    has: () => true,
    open: (id, key) =>
      turn.run(async () => {
        if (next >= file.start.blobs || !equalBytes(await file.readId(next), id)) return store.open(id, key)
        const blob = await file.readBlob(next++, store.buffers.take())
        verifyBlob(blob, id)
        const chunk = blob.subarray(0, CHUNK_BYTES)
        openBlobInto(blob, key, chunk)
        return chunk
      }),
  }
}

/** Which blob each record is. Records that are none, or out of order, and blobs that nobody has end it. */
async function numbersOf(
  file: BundleFile,
  manifest: Manifest,
  store: Pick<BlobStore, 'has'>,
  signal: AbortSignal,
): Promise<Uint32Array> {
  const { blobs } = file.start
  if (blobs > manifest.blobCount) throw wrong('it has more blobs than its release')
  const numbers = new Uint32Array(blobs)
  const pacer = new Pacer(LOOKUPS_A_TURN)
  let record = 0
  let id = blobs === 0 ? null : await file.readId(0)
  for (let blob = 0; blob < manifest.blobCount; blob++) {
    if (pacer.due()) await nextTurn()
    signal.throwIfAborted()
    if (id !== null && equalBytes(id, manifest.blobId(blob))) {
      numbers[record++] = blob
      id = record < blobs ? await file.readId(record) : null
    } else if (!store.has(manifest.blobId(blob))) {
      throw wrong('a blob of its release is neither in it nor held here')
    }
  }
  if (record < blobs) throw wrong('it has a blob that is not of its release, or not where it belongs')
  return numbers
}

async function hashAll(
  file: BundleFile,
  manifest: Manifest,
  numbers: Uint32Array,
  runner: TaskRunner,
  signal: AbortSignal,
  onBlobs: (done: number) => void,
): Promise<void> {
  for (let from = 0; from < numbers.length; from += BUNDLE_BLOBS_PER_TASK) {
    signal.throwIfAborted()
    const part = [...numbers.subarray(from, from + BUNDLE_BLOBS_PER_TASK)]
    const blobs = part.map((blob, n) => ({
      offset: recordBlobOffset(file.start, from + n),
      id: manifest.blobId(blob).slice(), // a view would take all of the manifest along to the worker
    }))
    const bad = await runner.run('checkBlobs', { path: file.path, blobs })
    if (bad !== null) throw wrong(`blob ${toHex(blobs[bad]?.id ?? new Uint8Array(0))} was changed`)
    onBlobs(from + part.length)
  }
}

function asContent<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw contentError(error)
  }
}

async function asContentLater<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw contentError(error)
  }
}

/** What is wrong with what was signed or carried is told as what is wrong with the bundle; our own troubles as they are. */
function contentError(error: unknown): unknown {
  if (!isMegatorrentError(error)) return error
  const isTheirs = ['peer', 'integrity', 'not-found'].includes(error.kind)
  return isTheirs && error.code !== 'ERR_BUNDLE_CONTENT' ? wrong(error.message, error) : error
}

function outOfTime(how: string): MegatorrentError {
  return new MegatorrentError('ERR_BUNDLE_DAYS', `the days for which this bundle was signed ${how}`)
}

function wrong(why: string, cause?: unknown): MegatorrentError {
  return new MegatorrentError('ERR_BUNDLE_CONTENT', `this bundle is damaged or false: ${why}`, { cause })
}
