/**
 * One signal out of several.
 *
 * `AbortSignal.any` leaves an entry in each of its sources for as long as that source lives: with one that
 * lives as long as the node, that is a leak for each call.
 *
 * @module base/abort
 */
import { setMaxListeners } from 'node:events'

export interface LinkedSignal {
  /** Fires when the first of the sources does, with its reason. */
  readonly signal: AbortSignal
  /** It is not needed any more: the sources forget it. */
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
