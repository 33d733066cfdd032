/**
 * What a user sees of a subscription.
 *
 * @module channels/subscription-status
 */
import { PUBLISHER_SILENT_MS } from '../base/limits.ts'

/**
 * Since when nothing shows that the publisher is there, or null when something does: a head that it signed lately.
 * Slots, and peers that hand it on, show nothing, since slots are signed ahead.
 */
export function silentSince(signedAt: number, nowMs: number): number | null {
  return nowMs - signedAt > PUBLISHER_SILENT_MS ? signedAt : null
}

export type SubscriptionPhase = 'resolving' | 'fetching' | 'complete' | 'stalled' | 'paused' | 'error'

export interface SubscriptionStatus {
  readonly phase: SubscriptionPhase
  readonly title: string | null
  /** Number of the newest release known, 0 for none. */
  readonly sequence: number
  /** Files that the user wants of it, and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly blobsDone: number
  readonly blobsTotal: number
  readonly error: { readonly code: string; readonly message: string } | null
}
