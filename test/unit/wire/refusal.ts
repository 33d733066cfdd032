/**
 * How tests of decoders ask for a refusal, and how they hurt good input.
 *
 * @module test/unit/wire/refusal
 */
import { MegatorrentError } from '../../../src/base/errors.ts'
import type { Random } from '../../../src/base/random.ts'
import { randomInteger } from '../../../src/base/random.ts'

/**
 * The code with which our own error is thrown, or null when nothing is thrown. Any other
 * error goes on: a decoder that throws it has a fault.
 */
export function codeOf(work: () => unknown): string | null {
  try {
    work()
    return null
  } catch (error) {
    if (error instanceof MegatorrentError) return error.code
    throw error
  }
}

/** Input that was cut, extended, or changed in some bits and bytes. Never the same as what came in. */
export function* damaged(good: Uint8Array, random: Random): Generator<{ how: string; bytes: Uint8Array }> {
  for (const length of [0, 1, good.length >> 1, good.length - 1]) {
    if (length < good.length) yield { how: `cut to ${length}`, bytes: good.slice(0, length) }
  }
  const longer = new Uint8Array(good.length + 1)
  longer.set(good)
  yield { how: 'one byte longer', bytes: longer }
  for (let bit = 0; bit < 8 && good.length > 0; bit++) {
    const at = randomInteger(random, 0, good.length - 1)
    const bytes = good.slice()
    bytes[at] = (bytes[at] as number) ^ (1 << bit)
    yield { how: `bit ${bit} of byte ${at}`, bytes }
  }
}

/**
 * Processor time of the cheapest of some runs, ms: what the work costs, on a machine that may be
 * busy with other things.
 */
export function leastMs(work: () => unknown, runs = 5): number {
  let least = Number.POSITIVE_INFINITY
  for (let run = 0; run < runs; run++) {
    const before = process.cpuUsage()
    work()
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}
