/**
 * Waiting for a condition: the only sleep that tests may use.
 *
 * A test says what must become true and by when. It goes on the moment that it
 * is, and when it never is the failure says what was waited for and what the
 * condition last said, instead of only that time ran out.
 */

/** How often a condition is looked at. */
const POLL_MS = 25

/**
 * Look at `predicate` until it gives something truthy, and give that back.
 *
 * @param predicate - may be asynchronous; what it throws counts as "not yet", and the last such error is
 *   part of the failure.
 * @param timeoutMs - a bound for the broken case, not a measure: make it generous.
 * @param what - the condition as a claim, such as "the subscriber is complete", or a function that also
 *   tells the state seen, called only on failure.
 */
export async function waitUntil<T>(
  predicate: () => T | Promise<T>,
  timeoutMs: number,
  what: string | (() => string | Promise<string>),
): Promise<T> {
  const startMs = performance.now()
  let lastError: unknown
  let looks = 0
  do {
    if (looks++ > 0) await pause(POLL_MS)
    try {
      const value = await predicate()
      if (value) return value
      lastError = undefined
    } catch (error) {
      lastError = error
    }
  } while (performance.now() - startMs < timeoutMs)
  const claim = typeof what === 'string' ? what : await what()
  const last = lastError === undefined ? '' : `; the last look failed with: ${String(lastError)}`
  throw new Error(`not within ${timeoutMs} ms (${looks} looks): ${claim}${last}`, { cause: lastError })
}

/**
 * Look at `predicate` for the whole time and fail at once when it does not hold:
 * for claims such as "nothing is sent". It costs the time that it is given.
 */
export async function holdsFor(
  predicate: () => boolean | Promise<boolean>,
  durationMs: number,
  what: string,
): Promise<void> {
  const startMs = performance.now()
  while (performance.now() - startMs < durationMs) {
    if (!(await predicate())) {
      throw new Error(`held only ${Math.round(performance.now() - startMs)} of ${durationMs} ms: ${what}`)
    }
    await pause(POLL_MS)
  }
}

/** `promise`, or a failure that says what was waited for, as in `waitUntil`. The timer does not outlive it. */
export async function within<T>(
  promise: Promise<T>,
  timeoutMs: number,
  what: string | (() => string | Promise<string>),
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  }).then(async () => {
    throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : await what()}`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs))
}
