/**
 * Putting a head until somebody has confirmed it, however long that takes.
 *
 * @module channels/put-head
 */
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { PUT_RETRY_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { State } from '../storage/state.ts'
import type { Head } from '../wire/head.ts'

export interface PutHeadDeps {
  readonly state: Pick<State, 'pendingPuts'>
  readonly clock: Clock
  readonly log: Log
}

export interface HeadPut {
  readonly publicKey: Uint8Array
  readonly head: Head
  /** One try. @returns how many other nodes have confirmed. */
  readonly put: () => Promise<number>
}

/**
 * Put a head, again and again; what was queued of it is done with when it is confirmed.
 *
 * @returns how many nodes have confirmed; 0 when the signal fired first.
 * @throws MegatorrentError ERR_SLOT_NEWER_KNOWN, ERR_BUNDLE_DAYS: no further try mends it.
 */
export async function putUntilConfirmed(
  { state, clock, log }: PutHeadDeps,
  { publicKey, head, put }: HeadPut,
  signal: AbortSignal,
): Promise<number> {
  while (!signal.aborted) {
    try {
      const storedBy = await put()
      if (storedBy > 0) {
        state.pendingPuts.remove(publicKey, head.releaseNumber)
        return storedBy
      }
    } catch (error) {
      const isFinal =
        isMegatorrentError(error, 'ERR_SLOT_NEWER_KNOWN') || isMegatorrentError(error, 'ERR_BUNDLE_DAYS')
      if (isFinal) {
        state.pendingPuts.remove(publicKey, head.releaseNumber)
        throw error
      }
      if (!signal.aborted) log.info('slots not put yet', { why: errorMessage(error) })
    }
    await sleep(clock, PUT_RETRY_MS, signal).catch(() => {}) // called off: the loop ends
  }
  return 0
}
