/**
 * `verify`: every held blob is hashed; bad ones are deleted and fetched again where
 * a channel that we take part in has them. Not for long: while no connected peer
 * says that it has any, waiting is in vain, and the caller can try again later.
 *
 * @module node/verify
 */
import { linkDeadline } from '../base/abort.ts'
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { VERIFY_IN_FLIGHT, VERIFY_REPAIR_MS } from '../base/limits.ts'
import { forEachLimited } from '../base/queue.ts'
import type { ChannelSessions } from '../channels/session.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { CallOptions, VerifyResult } from './api.ts'

export interface VerifyDeps {
  readonly clock: Clock
  readonly store: BlobStore
  readonly sessions: ChannelSessions
}

export async function verifyStore(
  { store, sessions, clock }: VerifyDeps,
  options: CallOptions,
): Promise<VerifyResult> {
  const bad = new Map<string, Uint8Array>()
  const total = store.count
  let checked = 0
  await forEachLimited(store.ids(), VERIFY_IN_FLIGHT, async (id) => {
    options.signal.throwIfAborted()
    const health = await store.verify(id)
    if (health === 'bad') bad.set(toHex(id), id)
    if (health !== 'missing') checked++
    options.onProgress({ phase: 'verifying', done: checked, total, unit: 'blobs' })
  })
  if (bad.size === 0) return { checked, bad: 0, repaired: 0 }
  await store.delete(bad.values())
  const { signal, release } = linkDeadline(clock, VERIFY_REPAIR_MS, options.signal)
  await sessions.refetch(bad, clock, signal).finally(release)
  const repaired = [...bad.values()].filter((id) => store.has(id)).length
  return { checked, bad: bad.size, repaired }
}
