/**
 * Subscriptions as NodeApi shows them.
 *
 * @module node/subscription-info
 */
import { toHex } from '../base/bytes.ts'
import type { HeadLog } from '../channels/head-log.ts'
import type { Subscription } from '../channels/subscription.ts'
import { silentSince } from '../channels/subscription-status.ts'
import type { AddSubscriptionResult, SubscriptionInfo } from './api.ts'

export function subscriptionInfo(
  { row, session, status }: Subscription,
  heads: HeadLog,
  nowMs: number,
): SubscriptionInfo {
  const newest = heads.newestRow(row.publicKey)
  return {
    publicKey: toHex(row.publicKey),
    uri: row.uri,
    title: status.title,
    sequence: status.sequence,
    state: status.phase,
    directory: row.kind === 'host' ? null : row.directory,
    hosted: row.kind === 'host',
    files: status.files,
    bytes: status.bytes,
    blobsDone: status.blobsDone,
    blobsTotal: status.blobsTotal,
    downloadRate: session.downloadRate,
    uploadRate: session.uploadRate,
    peers: session.peers,
    onionAddress: session.onionAddress,
    signedAt: newest?.signedAt ?? null,
    refreshedAt: newest?.refreshedAt ?? null,
    silentSince: newest === null ? null : silentSince(newest.signedAt, nowMs),
    conflicts: heads.conflicts(row.publicKey),
    error: status.error,
  }
}

/** What is known right after it was asked for. */
export function subscriptionAdded({ row, status }: Subscription): AddSubscriptionResult {
  return {
    publicKey: toHex(row.publicKey),
    uri: row.uri,
    directory: row.directory,
    state: status.phase,
    sequence: status.sequence,
    files: status.files,
    bytes: status.bytes,
  }
}
