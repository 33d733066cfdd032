/**
 * Waiting until a subscription has the newest release complete, and what is said when
 * that does not come about.
 *
 * @module node/subscription-wait
 */
import type { Clock } from '../base/clock.ts'
import { type ErrorCode, MegatorrentError } from '../base/errors.ts'
import type { Subscription } from '../channels/subscription.ts'
import type { CallOptions } from './api.ts'

/**
 * Resolves when the newest release known is complete.
 *
 * @param timeoutMs - null: no limit.
 * @throws MegatorrentError ERR_RELEASE_NOT_FOUND, ERR_UNFINISHED or ERR_TIMEOUT when time ran out; ERR_ABORTED;
 *   or the error of the subscription, when no waiting mends it.
 */
export async function waitUntilComplete(
  subscription: Subscription,
  clock: Clock,
  timeoutMs: number | null,
  options: CallOptions,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (end: () => void): void => {
      unwatch()
      timer?.cancel()
      options.signal.removeEventListener('abort', onAbort)
      end()
    }
    const onDeadline = (): void => settle(() => reject(timedOut(subscription)))
    const timer = timeoutMs === null ? null : clock.setTimer(onDeadline, timeoutMs)
    const onAbort = (): void => settle(() => reject(new MegatorrentError('ERR_ABORTED', 'called off')))
    const look = (): void => {
      const { phase, blobsDone, blobsTotal, error } = subscription.status
      options.onProgress({
        phase: phase === 'resolving' ? 'resolving' : 'fetching',
        done: blobsDone,
        total: blobsTotal === 0 ? null : blobsTotal,
        unit: 'blobs',
      })
      if (subscription.isComplete) settle(resolve)
      else if (subscription.isStopped) onAbort()
      else if (error !== null && isFinal(error.code)) {
        settle(() => reject(new MegatorrentError(error.code as ErrorCode, error.message)))
      }
    }
    const unwatch = subscription.watch(look)
    options.signal.addEventListener('abort', onAbort, { once: true })
    if (options.signal.aborted) onAbort()
    else look()
  })
}

const FINAL_CODES: ReadonlySet<string> = new Set([
  'ERR_FOREIGN_FILE',
  'ERR_DISK_FULL',
  'ERR_STORE_FULL',
  'ERR_RELEASE_INVALID',
  'ERR_UNPUBLISHED',
])

/** Errors that no waiting mends: whoever waits is told at once. */
function isFinal(code: string): boolean {
  return FINAL_CODES.has(code)
}

function timedOut(subscription: Subscription): MegatorrentError {
  if (subscription.session.newest === null) {
    return new MegatorrentError('ERR_RELEASE_NOT_FOUND', 'no release of this channel was found')
  }
  if (subscription.hasSome) {
    return new MegatorrentError('ERR_UNFINISHED', 'part of the release is here: it goes on where it stopped')
  }
  return new MegatorrentError('ERR_TIMEOUT', 'no peer gave anything of the release in time')
}
