/**
 * What a running node can be asked of what it follows, holds, keeps alive and takes back: the
 * parameters and results of these calls (node/api.ts).
 *
 * @module node/api-holding
 */
import type { PublishResult, SubscriptionState } from './api.ts'

export interface UnpublishParams {
  readonly channel: string
  readonly timeoutMs: number | null
}

export interface UnpublishResult
  extends Pick<PublishResult, 'publicKey' | 'sequence' | 'storedBy' | 'pending'> {
  /** It was unpublished before: nothing was signed. */
  readonly unchanged: boolean
}

export interface ReleasesResult {
  readonly publicKey: string
  readonly releases: readonly ReleaseInfo[]
}

export interface ReleaseInfo {
  readonly sequence: number
  readonly revision: number
  /** Blob id of the manifest's root; null when the channel was unpublished by it. */
  readonly rootId: string | null
  readonly unpublished: boolean
  /** It contradicts another of its number: shown, never acted on. */
  readonly conflict: boolean
  readonly signedAt: number
  readonly receivedAt: number
  readonly refreshedAt: number
}

export interface HostParams {
  readonly uri: string
  readonly wait: boolean
  /** Null: no limit. */
  readonly timeoutMs: number | null
}

export type HostResult = Omit<AddSubscriptionResult, 'directory'>

export interface GcResult {
  /** Blobs. */
  readonly removed: number
  readonly freedBytes: number
}

export interface VerifyResult {
  readonly checked: number
  readonly bad: number
  readonly repaired: number
}

export interface RemoveSubscriptionParams {
  readonly subscription: string
  /** Delete the files that we wrote and nobody changed since. */
  readonly deleteFiles: boolean
}

export interface RemoveSubscriptionResult {
  readonly publicKey: string
  /** Null for a hosted channel. */
  readonly directory: string | null
  readonly deletedFiles: number
}

export interface AddSubscriptionParams {
  readonly uri: string
  /** Absolute; null: `<download-dir>/<public key>`. */
  readonly dir: string | null
  /** Globs on whole paths; empty: all files. Null: what is followed stays as it is, else all files. */
  readonly only: readonly string[] | null
  readonly wait: boolean
  /** `get`: the files stay, no subscription does. Implies `wait`. */
  readonly once: boolean
  /** Null: no limit. */
  readonly timeoutMs: number | null
}

export interface AddSubscriptionResult {
  readonly publicKey: string
  readonly uri: string
  readonly directory: string
  readonly state: SubscriptionState
  /** 0 while no release is known. */
  readonly sequence: number
  readonly files: number
  readonly bytes: number
}
