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

/**
 * @param rate - bytes a second, 0 is unlimited.
 * @param most - places of this swarm, where a node has several.
 */
export function paceOf(rate: number, most = MAX_BLOBS_IN_FLIGHT): Pace {
  if (rate === 0) return { places: most, lateMs: 0 }
  const ahead = Math.ceil((rate * WINDOW_AHEAD_MS) / 1000 / BLOB_BYTES)
  const places = Math.min(most, Math.max(1, ahead))
  return { places, lateMs: ((places * BLOB_BYTES * 1000) / rate) * LATE_BLOB_FACTOR }
}
