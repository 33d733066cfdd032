/**
 * Which blobs came by which channel, for safe mode: written down a little later and many at a time, since
 * each write waits for the disk. What a crash loses is fetched by the channel again.
 *
 * @module node/blob-origins
 */
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { ORIGIN_FLUSH_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { BlobOrigin, BlobOriginsTable } from '../storage/tables/blob-origins-table.ts'

/** What came by one channel. */
export interface ChannelOrigins {
  /** Has it come by this channel? It may be gone since. */
  has(blobId: Uint8Array): boolean
  add(blobId: Uint8Array): void
}

export class BlobOrigins {
  readonly #table: Pick<BlobOriginsTable, 'has' | 'add'>
  readonly #clock: Clock
  readonly #log: Log
  /** Not written yet, by channel and blob as hex. */
  #waiting = new Map<string, BlobOrigin>()
  #timer: Timer | null = null

  constructor(table: Pick<BlobOriginsTable, 'has' | 'add'>, clock: Clock, log: Log) {
    this.#table = table
    this.#clock = clock
    this.#log = log
  }

  of(publicKey: Uint8Array): ChannelOrigins {
    const channel = toHex(publicKey)
    const nameOf = (blobId: Uint8Array): string => channel + toHex(blobId)
    return {
      has: (blobId) => this.#waiting.has(nameOf(blobId)) || this.#table.has(publicKey, blobId),
      add: (blobId) => {
        this.#waiting.set(nameOf(blobId), { publicKey, blobId: blobId.slice() })
        this.#schedule()
      },
    }
  }

  /** Write what waits; called once more before the database closes. Where the disk is full, it waits on. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#waiting.size === 0) return
    try {
      this.#table.add(this.#waiting.values())
      this.#waiting = new Map()
    } catch (error) {
      this.#log.warn('by which channels blobs came was not written down', { why: errorMessage(error) })
    }
  }

  #schedule(): void {
    this.#timer ??= this.#clock.setTimer(() => {
      this.flush()
      if (this.#waiting.size > 0) this.#schedule()
    }, ORIGIN_FLUSH_MS)
  }
}
