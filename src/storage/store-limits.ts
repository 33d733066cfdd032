/**
 * How much a store may hold: a quota in bytes and a floor of free disk space,
 * both checked before a blob is written.
 *
 * @module storage/store-limits
 */
import { statfs } from 'node:fs/promises'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { FREE_SPACE_RECHECK_BYTES, FREE_SPACE_RECHECK_MS } from '../base/limits.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import { diskError } from './disk-error.ts'

export interface StoreLimits {
  /** Bytes of all held blobs together. */
  readonly maxBytes: number
  /** Bytes of the disk that are left free. */
  readonly minFreeBytes: number
}

/** Bytes of blobs for which there is place, by either limit. */
export interface StoreRoom {
  readonly quotaBytes: number
  readonly diskBytes: number
}

/** Bytes that this user can still write where `path` lies. */
export type FreeBytes = (path: string) => Promise<number>

export const systemFreeBytes: FreeBytes = async (path) => {
  const stat = await statfs(path)
  return stat.bavail * stat.bsize
}

export class StoreBudget {
  readonly #path: string
  readonly #clock: Clock
  readonly #freeBytes: FreeBytes
  #limits: StoreLimits
  #reserved = 0
  #free = 0
  #writtenSince = Number.POSITIVE_INFINITY
  #askedAtMs = 0
  #asking: Promise<void> | null = null

  constructor(path: string, limits: StoreLimits, clock: Clock, freeBytes: FreeBytes) {
    this.#path = path
    this.#limits = limits
    this.#clock = clock
    this.#freeBytes = freeBytes
  }

  get limits(): StoreLimits {
    return this.#limits
  }

  /** May be changed at any time; what is held already stays. */
  setLimits(limits: StoreLimits): void {
    this.#limits = limits
  }

  /**
   * Reserve the place of one blob. Call `release` when it is written and counted, or was not written.
   *
   * @param heldBlobs - held now.
   * @returns null; or, when there is no place, why: ERR_STORE_FULL or ERR_DISK_FULL. Nothing is reserved then.
   */
  async reserve(heldBlobs: () => number): Promise<MegatorrentError | null> {
    await this.#refresh()
    const { maxBytes, minFreeBytes } = this.#limits
    if ((heldBlobs() + this.#reserved + 1) * BLOB_BYTES > maxBytes) {
      return new MegatorrentError(
        'ERR_STORE_FULL',
        `the store holds its limit of ${maxBytes} bytes: raise --max-store, or free blobs with "megatorrent gc"`,
      )
    }
    if (this.#free - this.#writtenSince - (this.#reserved + 1) * BLOB_BYTES < minFreeBytes) {
      // Space may come back at any moment: ask again next time.
      this.#writtenSince = Number.POSITIVE_INFINITY
      return new MegatorrentError(
        'ERR_DISK_FULL',
        `less than ${minFreeBytes} bytes would stay free on the disk: free some space, or lower --min-free`,
      )
    }
    this.#reserved++
    return null
  }

  /** How much may still be written, beside what is reserved. */
  async room(heldBlobs: () => number): Promise<StoreRoom> {
    await this.#refresh()
    const { maxBytes, minFreeBytes } = this.#limits
    return {
      quotaBytes: Math.max(0, maxBytes - (heldBlobs() + this.#reserved) * BLOB_BYTES),
      diskBytes: Math.max(0, this.#free - this.#written() - this.#reserved * BLOB_BYTES - minFreeBytes),
    }
  }

  /** Blobs were removed: what the system said of the free space is old. */
  freed(): void {
    this.#writtenSince = Number.POSITIVE_INFINITY
  }

  /** @param wrote - whether a blob was written in the reserved place. */
  release(wrote: boolean): void {
    this.#reserved--
    if (wrote) this.#writtenSince += BLOB_BYTES
  }

  async #refresh(): Promise<void> {
    if (!this.#isStale()) return
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
    })
    await this.#asking
  }

  /** Infinite only until the next question. */
  #written(): number {
    return Number.isFinite(this.#writtenSince) ? this.#writtenSince : 0
  }

  #isStale(): boolean {
    return (
      this.#writtenSince >= FREE_SPACE_RECHECK_BYTES ||
      this.#clock.monotonicMs() - this.#askedAtMs >= FREE_SPACE_RECHECK_MS
    )
  }

  async #ask(): Promise<void> {
    try {
      this.#free = await this.#freeBytes(this.#path)
    } catch (error) {
      throw diskError(error, 'asking for the free disk space')
    }
    this.#writtenSince = 0
    this.#askedAtMs = this.#clock.monotonicMs()
  }
}
