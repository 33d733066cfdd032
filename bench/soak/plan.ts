/**
 * What happens in a soak and when: it follows from the seed alone, so that a run
 * that broke can be had again, as far as real processes repeat themselves.
 */
import { type Random, randomInteger, seededRandom } from '../../src/base/random.ts'

export type Happening =
  | { readonly kind: 'restart'; readonly how: 'stop' | 'kill'; readonly downMs: number }
  | { readonly kind: 'publish' | 'toggle' | 'collect' | 'verify' }

export interface PlannedEvent {
  readonly atMs: number
  readonly happening: Happening
  /** In [0, 1): which of those that it can happen to. */
  readonly choice: number
  /** Seed of whatever else it has to draw. */
  readonly seed: number
}

/** Mean time from one to the next of its kind. Each costs a second of processor time, or a few MB. */
const MEAN_MS: Readonly<Record<Happening['kind'], number>> = {
  restart: 45_000,
  publish: 75_000,
  toggle: 120_000,
  collect: 300_000,
  verify: 900_000,
}
/** The first ones wait until everybody has had a look at the first releases. */
const QUIET_MS = 10_000
const DOWN_MS = [2_000, 30_000] as const

/** Events of a run of that length, in order. */
export function planSoak(seed: number, durationMs: number): readonly PlannedEvent[] {
  const random = seededRandom(seed)
  const events: PlannedEvent[] = []
  for (const kind of Object.keys(MEAN_MS) as Happening['kind'][]) {
    for (let atMs = QUIET_MS; ; ) {
      // Between half the mean and half more than it: no bursts, and no rhythm that everything falls into.
      atMs += MEAN_MS[kind] * (0.5 + random.fraction())
      if (atMs >= durationMs) break
      const happening = happeningOf(kind, random)
      events.push({ atMs, happening, choice: random.fraction(), seed: randomInteger(random, 1, 2 ** 31) })
    }
  }
  return events.sort((a, b) => a.atMs - b.atMs)
}

function happeningOf(kind: Happening['kind'], random: Random): Happening {
  if (kind !== 'restart') return { kind }
  const how = random.fraction() < 0.5 ? 'kill' : 'stop'
  return { kind, how, downMs: randomInteger(random, ...DOWN_MS) }
}
