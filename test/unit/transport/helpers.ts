/** Small parts that several tests of the transport share. */
import { networkInterfaces } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** One turn of the event loop: I/O, timers that are due, and every promise that can settle. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Wait for a condition in real time. */
export async function until(
  condition: () => boolean,
  what = 'the condition',
  timeoutMs = 10_000,
): Promise<void> {
  const startMs = performance.now()
  await turn()
  while (!condition()) {
    if (performance.now() - startMs > timeoutMs) throw new Error(`timed out waiting for ${what}`)
    await turn()
  }
}

export function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
}

/** The error that a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}

/** Memory of byte strings that are still referenced, in bytes. Keep what is to be measured alive. */
export async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  let least = Number.POSITIVE_INFINITY
  // What was in the hands of timers and promises is let go in some turns.
  for (let round = 0; round < 20; round++) {
    gc()
    await turn()
    least = Math.min(least, process.memoryUsage().arrayBuffers)
  }
  return least
}
