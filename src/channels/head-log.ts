/**
 * Heads as they come in, from whatever carrier: verified, ordered and made durable
 * before anybody acts on them (PROTOCOL_FINAL.md §4.3).
 *
 * @module channels/head-log
 */
import type { Clock } from '../base/clock.ts'
import { type Log, short } from '../base/log.ts'
import type { ReleaseRow, ReleasesTable } from '../storage/tables/releases-table.ts'
import { BLOB_ID_BYTES } from '../wire/constants.ts'
import { decodeHead, type Head, verifyHead } from '../wire/head.ts'
import { silentSince } from './subscription-status.ts'

/** How a head came to us: shown to the user, decides nothing. */
export type HeadCarrier = 'slot' | 'peer' | 'bundle' | 'ours'

/** What a head was to us. `newer` and `refreshed` ones are the newest from now on. */
export type HeadOutcome = 'newer' | 'refreshed' | 'known' | 'conflict' | 'older'

export class HeadLog {
  readonly #releases: ReleasesTable
  readonly #clock: Clock
  readonly #log: Log

  constructor(releases: ReleasesTable, clock: Clock, log: Log) {
    this.#releases = releases
    this.#clock = clock
    this.#log = log
  }

  /** The head to act on, or null when none is known. */
  newest(publicKey: Uint8Array): Head | null {
    const row = this.#releases.newest(publicKey)
    return row === null ? null : decodeHead(row.head)
  }

  /** The same with when it came and when it was last seen. */
  newestRow(publicKey: Uint8Array): ReleaseRow | null {
    return this.#releases.newest(publicKey)
  }

  /** Release numbers under which there is more than one release, newest first. */
  conflicts(publicKey: Uint8Array): number[] {
    return [...new Set(this.#releases.conflicts(publicKey).map(({ sequence }) => sequence))]
  }

  /** All that are known of a channel, newest first; conflicts after what they contradict. */
  list(publicKey: Uint8Array): ReleaseRow[] {
    return this.#releases.list(publicKey)
  }

  /**
   * Take a head in. Durable when it returns.
   *
   * @throws MegatorrentError of kind peer when the channel did not sign it or it is malformed.
   */
  accept(
    publicKey: Uint8Array,
    bytes: Uint8Array,
    carrier: HeadCarrier,
  ): { readonly head: Head; readonly outcome: HeadOutcome } {
    const head = verifyHead(bytes, publicKey)
    const outcome = this.#releases.upsertHead({
      publicKey,
      sequence: head.releaseNumber,
      revision: head.revision,
      rootId: head.root.subarray(0, BLOB_ID_BYTES),
      head: head.bytes,
      signedAt: head.signedAt,
      receivedAt: this.#clock.now(),
    })
    const fields = { channel: short(publicKey), sequence: head.releaseNumber, carrier }
    if (outcome === 'conflict') this.#log.warn('two releases under one number', fields)
    else if (outcome === 'newer') {
      this.#log.info('new release', fields)
      const silent = silentSince(head.signedAt, this.#clock.now())
      if (silent !== null) {
        const notRefreshedSince = new Date(silent).toISOString()
        this.#log.warn('the publisher of a release may be gone', { ...fields, notRefreshedSince })
      }
    }
    return { head, outcome }
  }

  /** The newest head was seen again, now: "not refreshed since" counts from here. */
  seenAgain(head: Head, publicKey: Uint8Array): void {
    const rootId = head.root.subarray(0, BLOB_ID_BYTES)
    this.#releases.touch(publicKey, head.releaseNumber, rootId, this.#clock.now())
  }
}
