/**
 * Writing a manifest: entries are laid into parts, each is sealed, and the root
 * that lists them (or holds the entries itself) is sealed last
 * (PROTOCOL_FINAL.md §4.2).
 *
 * @module channels/manifest-writer
 */
import { MegatorrentError } from '../base/errors.ts'
import type { BlobStore, SealedChunk } from '../storage/blob-store.ts'
import { blobReference, referenceId, referenceKey } from '../wire/blob.ts'
import { BLOB_REF_BYTES } from '../wire/constants.ts'
import type { Manifest, ReleaseSummary } from '../wire/manifest.ts'
import { encodePart, encodeRoot, type PartInput, type RootInput } from '../wire/manifest-encode.ts'
import { ManifestReader } from '../wire/manifest-reader.ts'
import { inOrder } from './in-order.ts'
import { boundaryOf, fitsInRoot, layoutParts, type PartBoundary } from './manifest-layout.ts'
import { type PartPlan, planPart } from './manifest-part.ts'
import type { ReleaseBlobs, ReleaseEntry } from './release-entry.ts'

/** Parts encoded and being sealed at a time: 1 MiB each. */
const PARTS_IN_FLIGHT = 4

export interface ManifestJob {
  readonly store: Pick<BlobStore, 'sealBytes'>
  /** 32 bytes: the publisher's secret. */
  readonly convergenceSecret: Uint8Array
  readonly summary: ReleaseSummary
  /** In strictly ascending path order. */
  readonly entries: Iterable<ReleaseEntry>
  readonly blobs: ReleaseBlobs
  /** Of the previous release, so that unchanged parts stay the same blobs. */
  readonly previousBoundaries: readonly PartBoundary[]
  readonly signal?: AbortSignal
}

export interface WrittenManifest {
  /** Blob reference of the root: 64 bytes, fresh. */
  readonly root: Uint8Array
  /** Blob references of the parts. */
  readonly parts: readonly Uint8Array[]
  /** Root and parts. */
  readonly manifestBlobs: number
  /** Those of them that were not held before. */
  readonly newManifestBlobs: number
  readonly boundaries: readonly PartBoundary[]
}

/**
 * Seal the manifest of a release; all of it is durable when this resolves.
 *
 * @throws what the store throws.
 */
export async function writeManifest(job: ManifestJob): Promise<WrittenManifest> {
  const boundaries: PartBoundary[] = []
  const references: Uint8Array[] = []
  let newBlobs = 0
  const { inline, parts } = holdBack(layoutParts(job.entries, job.previousBoundaries))
  const sealed = inOrder(parts, PARTS_IN_FLIGHT, async (part) => {
    job.signal?.throwIfAborted()
    boundaries.push(boundaryOf(part))
    return job.store.sealBytes(encodePart(partInput(job.blobs, part)), job.convergenceSecret)
  })
  for await (const part of sealed) {
    references.push(blobReference(part.id, part.key))
    if (part.isNew) newBlobs += 1
  }
  const root = await sealRoot(
    job,
    inline === null
      ? { ...job.summary, parts: joinReferences(references) }
      : { ...job.summary, ...partInput(job.blobs, inline) },
  )
  return {
    root: blobReference(root.id, root.key),
    parts: references,
    manifestBlobs: references.length + 1,
    newManifestBlobs: newBlobs + (root.isNew ? 1 : 0),
    boundaries,
  }
}

/**
 * The same release under another title and time: a new root over the same parts.
 *
 * @param root - blob reference of a root that we made, held.
 * @returns blob reference of the new root, fresh; durable when this resolves.
 * @throws MegatorrentError ERR_NOT_FOUND when the root is not held.
 */
export async function retitleManifest(
  store: Pick<BlobStore, 'open' | 'sealBytes' | 'buffers'>,
  convergenceSecret: Uint8Array,
  root: Uint8Array,
  change: Pick<ReleaseSummary, 'title' | 'time'>,
): Promise<Uint8Array> {
  const chunk = await store.open(referenceId(root), referenceKey(root))
  if (chunk === null) throw new MegatorrentError('ERR_NOT_FOUND', 'the root of the manifest is not held')
  const reader = new ManifestReader(root, chunk)
  store.buffers.give(chunk)
  const summary = { ...reader.summary, ...change }
  const { partCount } = reader
  const content =
    partCount === 0
      ? inlineContent(reader.finish())
      : { parts: joinReferences(Array.from({ length: partCount }, (_, part) => reader.partReference(part))) }
  const sealed = await store.sealBytes(encodeRoot({ ...summary, ...content }), convergenceSecret)
  return blobReference(sealed.id, sealed.key)
}

/**
 * Whether the only part goes into the root is known when there is no second one: the
 * first is held back until then.
 */
function holdBack(plans: Generator<PartPlan>): {
  readonly inline: PartPlan | null
  readonly parts: Iterable<PartPlan>
} {
  const first = plans.next()
  if (first.done === true) return { inline: planPart([]), parts: [] }
  const second = plans.next()
  if (second.done === true && fitsInRoot(first.value)) return { inline: first.value, parts: [] }
  return {
    inline: null,
    parts: (function* () {
      yield first.value
      if (second.done === true) return
      yield second.value
      yield* plans
    })(),
  }
}

function partInput(blobs: ReleaseBlobs, part: PartPlan): PartInput {
  return { blobs: joinReferences(part.blobs.map((blob) => blobs.reference(blob))), entries: part.entries }
}

function inlineContent(manifest: Manifest): PartInput {
  const entries = [...manifest.entries()].map((entry) => ({
    path: entry.path,
    size: entry.kind === 'folder' ? null : entry.size,
    extents: entry.extents,
  }))
  const part = planPart(entries.map((entry) => ({ ...entry, start: null })))
  const references = part.blobs.map((blob) => {
    return blobReference(manifest.blobId(blob), manifest.blobKey(blob))
  })
  return { blobs: joinReferences(references), entries: part.entries }
}

function joinReferences(references: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(references.length * BLOB_REF_BYTES)
  references.forEach((reference, index) => {
    joined.set(reference, index * BLOB_REF_BYTES)
  })
  return joined
}

function sealRoot(job: ManifestJob, root: RootInput): Promise<SealedChunk> {
  return job.store.sealBytes(encodeRoot(root), job.convergenceSecret)
}
