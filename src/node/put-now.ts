/**
 * The end of a publish: wait for the first confirmation, and go on without the caller when none comes in time.
 *
 * @module node/put-now
 */
import { linkDeadline } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { PUBLISH_TIMEOUT_MS } from '../base/limits.ts'
import type { PublishResult } from './api.ts'

export interface PutNow {
  /** Is there any way to put a slot? */
  readonly canPut: boolean
  readonly clock: Clock
  /** Null: PUBLISH_TIMEOUT_MS. */
  readonly timeoutMs: number | null
  readonly signals: readonly AbortSignal[]
  /** @returns how many nodes have confirmed; 0 when the signal fired first. */
  readonly put: (signal: AbortSignal) => Promise<number>
  /** Nobody has confirmed in time. */
  readonly putLater: () => void
}

/** Never rejects for a network that is not there: `pending` says what is still to come. */
export async function putNow(request: PutNow): Promise<Pick<PublishResult, 'storedBy' | 'pending'>> {
  const { canPut, clock, timeoutMs, signals, put, putLater } = request
  if (!canPut) {
    const message = 'this node has neither a DHT nor gateways: peers hear of the release, nobody else'
    return { storedBy: 0, pending: { code: 'ERR_NO_CARRIER', message } }
  }
  const linked = linkDeadline(clock, timeoutMs ?? PUBLISH_TIMEOUT_MS, ...signals)
  try {
    const storedBy = await put(linked.signal)
    if (storedBy > 0) return { storedBy, pending: null }
  } catch (error) {
    if (!isMegatorrentError(error)) throw error
    return { storedBy: 0, pending: { code: error.code, message: errorMessage(error) } }
  } finally {
    linked.release()
  }
  putLater()
  const message = 'no other node has confirmed the release yet: it is kept and put again until one does'
  return { storedBy: 0, pending: { code: 'ERR_TIMEOUT', message } }
}
