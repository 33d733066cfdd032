/**
 * How long a peer has a blob to itself before another is asked for it too: a pure
 * decision on how long blobs took lately.
 *
 * Every second copy is a blob of somebody's line thrown away, and every wait for a
 * peer that has stalled is time lost. So the measure is what is usual here and now:
 * a second is long on a fast line, and on a slow one all blobs take ten.
 *
 * @module swarm/patience
 */
import {
  END_FACTOR,
  LATE_FACTOR,
  MAX_PATIENCE_MS,
  MIN_END_MS,
  MIN_LATE_MS,
  SECOND_SOURCE_MS,
} from '../base/limits.ts'

/** ms since a peer was asked. */
export interface Patience {
  /** While other blobs are open: the peer counts as stalled. */
  readonly lateMs: number
  /** When all that is left has been asked of somebody: whoever is idle helps. */
  readonly endMs: number
  /** For a blob that a reader waits for. */
  readonly urgentMs: number
}

/** @param usualMs - how long blobs took lately, from the question to the last byte; 0 while none came. */
export function patienceFor(usualMs: number): Patience {
  if (usualMs === 0) return FIRST
  const lateMs = clamp(usualMs * LATE_FACTOR, MIN_LATE_MS)
  const endMs = clamp(usualMs * END_FACTOR, MIN_END_MS)
  return { lateMs, endMs, urgentMs: endMs }
}

/** Nothing is known of the line yet. */
const FIRST: Patience = {
  lateMs: SECOND_SOURCE_MS,
  endMs: SECOND_SOURCE_MS,
  urgentMs: SECOND_SOURCE_MS / 2,
}

function clamp(ms: number, leastMs: number): number {
  return Math.min(MAX_PATIENCE_MS, Math.max(leastMs, ms))
}
