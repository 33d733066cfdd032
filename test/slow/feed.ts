/**
 * Feeding a decoder with inputs by the million, and making them.
 *
 * N=1000 runs fewer; SEED=n replays.
 *
 * @module test/slow/feed
 */
import { expect } from 'vitest'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { type Random, randomInteger, seededRandom } from '../../src/base/random.ts'

export const COUNT = Number(process.env.N ?? 1_000_000)
export const SEED = Number(process.env.SEED ?? 1)
const MAX_STALL_MS = 100
const MAX_GROWTH_BYTES = 64 * 2 ** 20

export type Maker = (random: Random) => Uint8Array

interface Figures {
  readonly decoder: string
  readonly inputs: number
  readonly accepted: number
  readonly slowestMs: number
  readonly perSecond: number
  readonly growthMiB: number
}

/** Feed `count` inputs and hold the decoder to the three promises. */
export function feed(
  decoder: string,
  decode: (input: Uint8Array) => unknown,
  make: Maker,
  count = COUNT,
): Figures {
  const random = seededRandom(SEED)
  for (let i = 0; i < Math.min(count, 20_000); i++) attempt(decode, make(random)) // warm
  const rssBefore = settledRss()
  let accepted = 0
  let slowestMs = 0
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    const input = make(random)
    const took = timed(() => {
      if (attempt(decode, input)) accepted++
    })
    if (took > MAX_STALL_MS) {
      // Was it the input, or the machine? An input that is slow is slow again.
      const again = Math.min(...[0, 1, 2, 3].map(() => timed(() => void attempt(decode, input))))
      expect(
        again,
        `seed ${SEED}, input ${i}: ${Buffer.from(input).toString('hex').slice(0, 400)}`,
      ).toBeLessThan(MAX_STALL_MS)
      slowestMs = Math.max(slowestMs, again)
    } else {
      slowestMs = Math.max(slowestMs, took)
    }
  }
  const seconds = (performance.now() - start) / 1000
  const growth = settledRss() - rssBefore
  const figures = {
    decoder,
    inputs: count,
    accepted,
    slowestMs: Math.round(slowestMs * 10) / 10,
    perSecond: Math.round(count / seconds),
    growthMiB: Math.round(growth / 2 ** 20),
  }
  process.stdout.write(`${JSON.stringify({ ...figures, seed: SEED })}\n`)
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES)
  return figures
}

/** Did it accept? Any error but our own goes on and fails the test. */
function attempt(decode: (input: Uint8Array) => unknown, input: Uint8Array): boolean {
  try {
    decode(input)
    return true
  } catch (error) {
    if (isMegatorrentError(error) && error.kind !== 'bug') return false
    throw error
  }
}

function timed(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function settledRss(): number {
  ;(globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().rss
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[randomInteger(random, 0, items.length - 1)] as T
}

/** Half of all inputs are good ones that were hurt, the rest are pieces of grammar and noise. */
export function mixed(good: readonly Uint8Array[], pieces: readonly string[], maxPieces = 30): Maker {
  return (random) => {
    const kind = random.fraction()
    if (kind < 0.5) return hurt(random, pick(random, good))
    if (kind < 0.9) {
      const count = randomInteger(random, 0, maxPieces)
      let text = ''
      for (let i = 0; i < count; i++) text += pick(random, pieces)
      return new Uint8Array(Buffer.from(text, 'latin1'))
    }
    return random.bytes(randomInteger(random, 0, 300))
  }
}

/** One to three changes: a byte set, a piece cut out, doubled or moved, a number made extreme. */
export function hurt(random: Random, good: Uint8Array): Uint8Array {
  let bytes: Uint8Array = good.slice()
  for (let change = randomInteger(random, 1, 3); change > 0; change--) {
    const at = randomInteger(random, 0, Math.max(0, bytes.length - 1))
    const length = randomInteger(random, 0, 8)
    const kind = randomInteger(random, 0, 4)
    if (kind === 0 && bytes.length > 0) bytes[at] = randomInteger(random, 0, 255)
    if (kind === 1)
      bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]))
    if (kind === 2)
      bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]))
    if (kind === 3) bytes = bytes.slice(0, at)
    if (kind === 4) {
      const number = pick(random, [
        '-1',
        '0',
        '00',
        '4294967296',
        '9007199254740991',
        '9007199254740993',
        'i-0e',
        'le',
        'de',
      ])
      bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, at), Buffer.from(number), bytes.subarray(at)]))
    }
  }
  return bytes
}
