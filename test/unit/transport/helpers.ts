/** Small parts that several tests of the transport share. */
import { networkInterfaces } from 'node:os'

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

/** Growth of memory for byte strings once what is not referenced has been collected, as far as that happens. */
export async function settledGrowth(before: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 60 && least > 2 * 1_048_576; i++) {
    // Allocating is what makes the collector look.
    for (let j = 0; j < 20; j++) new Uint8Array(1_048_576).fill(j)
    await new Promise((resolve) => setImmediate(resolve))
    least = Math.min(least, process.memoryUsage().arrayBuffers - before)
  }
  return least
}
