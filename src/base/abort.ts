/**
 * One signal out of several, and signals that fire by themselves.
 *
 * `AbortSignal.any` leaves an entry in each of its sources for as long as that source lives: with one that
 * lives as long as the node, that is a leak for each call. And of `AbortSignal.any([x, AbortSignal.timeout(ms)])`
 * nothing holds the second: Node 20 collects it as garbage, and it never fires. A lint test refuses both.
 *
 * @module base/abort
 */
import { setMaxListeners } from 'node:events'
import type { Clock } from './clock.ts'
import { MegatorrentError } from './errors.ts'

export interface LinkedSignal {
  /** Fires when the first of the sources does, with its reason. */
  readonly signal: AbortSignal
  /** It is not needed any more: the sources forget it, and a timer is cancelled. Idempotent. */
  release(): void
}

/** Any number at a time of one source: each is to be released. */
export function linkSignals(...sources: readonly AbortSignal[]): LinkedSignal {
  const linked = new AbortController()
  const release = (): void => {
    for (const source of sources) source.removeEventListener('abort', onAbort)
  }
  const onAbort = (event: Event): void => {
    release()
    linked.abort((event.target as AbortSignal).reason)
  }
  const fired = sources.find(({ aborted }) => aborted)
  if (fired !== undefined) linked.abort(fired.reason)
  else {
    setMaxListeners(0, ...sources) // or the eleventh would be reported as a leak
    for (const source of sources) source.addEventListener('abort', onAbort, { once: true })
  }
  return { signal: linked.signal, release }
}

/** The same, that fires after `delayMs` by itself, with ERR_TIMEOUT. @param delayMs - null: never. */
export function linkDeadline(
  clock: Pick<Clock, 'setTimer'>,
  delayMs: number | null,
  ...sources: readonly AbortSignal[]
): LinkedSignal {
  if (delayMs === null) return linkSignals(...sources)
  const late = new AbortController()
  const { signal, release } = linkSignals(late.signal, ...sources)
  if (signal.aborted) return { signal, release }
  const outOfTime = new MegatorrentError('ERR_TIMEOUT', 'it took longer than it may')
  const timer = clock.setTimer(() => late.abort(outOfTime), delayMs)
  const stop = (): void => {
    timer.cancel()
    release()
  }
  signal.addEventListener('abort', stop, { once: true })
  return { signal, release: stop }
}
