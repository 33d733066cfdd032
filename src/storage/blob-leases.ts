/**
 * Who is relying on blobs at this moment: what keeps a collection of garbage from
 * taking a blob between the moment in which somebody found it held and the moment in
 * which the database says what it is needed for.
 *
 * An ingest that meets a blob of an earlier one does not write it again. A publish
 * signs what it has just looked at. Neither is in the database yet. Each holds a lease
 * meanwhile; as long as one is open, every blob that anybody writes, reads or finds
 * held is noted in it, and what an open lease has noted is not collected. The
 * collection holds one itself, so that what is found held while it runs is spared too.
 *
 * Noting is for all alike and asks nobody to name blobs: who forgets to name one
 * would lose it. It spares too much at times, and the next collection takes that.
 *
 * @module storage/blob-leases
 */
import { IdSet } from './id-set.ts'

/** Ends with `release`. Idempotent. */
export interface BlobLease {
  release(): void
}

export class BlobLeases {
  /** One set a lease, so that memory goes when its lease does, whatever others are open. */
  readonly #open = new Set<IdSet>()

  open(): BlobLease {
    const noted = new IdSet()
    this.#open.add(noted)
    return { release: () => void this.#open.delete(noted) }
  }

  /** Somebody relies on this blob from now on. Some 0.1 microseconds a lease. */
  note(id: Uint8Array): void {
    for (const noted of this.#open) noted.add(id)
  }

  isNoted(id: Uint8Array): boolean {
    for (const noted of this.#open) if (noted.has(id)) return true
    return false
  }
}
