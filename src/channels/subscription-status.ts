/**
 * What a user sees of a subscription.
 *
 * @module channels/subscription-status
 */

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
