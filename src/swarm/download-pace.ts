/**
 * How many blobs are asked for at a time when receiving is limited: what comes in
 * two seconds, so that the limit is felt by few and each of them sends at a rate
 * that shows it is alive. A pure decision.
 *
 * @module swarm/download-pace
 */
import { LATE_BLOB_FACTOR, MAX_BLOBS_IN_FLIGHT, WINDOW_AHEAD_MS } from '../base/limits.ts'
import { BLOB_BYTES } from '../wire/constants.ts'

export interface Pace {
  /** Requests in flight over all peers. */
  readonly places: number
  /** ms that a blob may take because of the limit alone. */
  readonly lateMs: number
}

const UNLIMITED: Pace = { places: MAX_BLOBS_IN_FLIGHT, lateMs: 0 }

/** @param rate - bytes a second, 0 is unlimited. */
export function paceOf(rate: number): Pace {
  if (rate === 0) return UNLIMITED
  const ahead = Math.ceil((rate * WINDOW_AHEAD_MS) / 1000 / BLOB_BYTES)
  const places = Math.min(MAX_BLOBS_IN_FLIGHT, Math.max(1, ahead))
  return { places, lateMs: ((places * BLOB_BYTES * 1000) / rate) * LATE_BLOB_FACTOR }
}
