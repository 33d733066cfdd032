/**
 * Randomness is passed in. Keys come from the operating system; everything that
 * only has to be unpredictable to luck (delays, choices, simulations) may come
 * from a seeded generator, so that a failing run replays from its seed.
 *
 * @module base/random
 */

export interface Random {
  /** Uniform in [0, 1). */
  fraction(): number
  /** Fresh bytes. */
  bytes(count: number): Uint8Array
}

/** The operating system's randomness. */
export const systemRandom: Random = {
  fraction: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
}

/** Integer in [min, max], both included. */
export function randomInteger(random: Random, min: number, max: number): number {
  return min + Math.floor(random.fraction() * (max - min + 1))
}

/** Shuffle in place (Fisher-Yates) and return the same array. */
export function shuffle<T>(random: Random, items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = randomInteger(random, 0, i)
    const held = items[i] as T
    items[i] = items[j] as T
    items[j] = held
  }
  return items
}

/** Deterministic generator (mulberry32) for tests and simulations. Never for keys. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    fraction: () => next() / 2 ** 32,
    bytes(count) {
      const out = new Uint8Array(count)
      for (let i = 0; i < count; i++) out[i] = next() & 0xff
      return out
    },
  }
}
