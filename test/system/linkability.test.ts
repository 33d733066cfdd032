/**
 * Does a crawler of the DHT link the days of a channel? It has all items, the hours at which they were put,
 * and learns from half of the channels, whose truth it knows, what tells the others. What the
 * items say must be worth nothing; what the hours say is measured, and stands in docs/ANONYMITY.md.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { type CrawledChannel, crawl, HABITS } from '../unit/linkability/crawl.ts'
import { BYTE_FEATURES, FEATURES, pairsOf, TIME_FEATURES } from '../unit/linkability/crawled-pairs.ts'
import { CRAWL_FAULTS, withFault } from '../unit/linkability/planted-in-crawl.ts'
import { learntAuc, type Pairs, separation } from '../unit/linkability/statistics.ts'

/** An AUC further from 0.5 is not chance. */
const CHANCE = 0.05
const FOUND = 0.9

const say = (text: string): void => void process.stdout.write(`${text}\n`)

interface Linked {
  /** Learnt from half of the channels, on the other half. */
  readonly learnt: number
  /** The best of each kind of feature alone. */
  readonly ofBytes: number
  readonly ofTimes: number
}

function only({ together, apart }: Pairs, names: readonly string[]): Pairs {
  const pick = (row: readonly number[]): number[] => names.map((name) => row[FEATURES.indexOf(name)] ?? 0)
  return { together: together.map(pick), apart: apart.map(pick) }
}

function learnt(channels: readonly CrawledChannel[], names = FEATURES, daysApart = 1): number {
  const half = channels.length / 2
  const of = (some: readonly CrawledChannel[], seed: number): Pairs =>
    only(pairsOf(some, seededRandom(seed), daysApart), names)
  return learntAuc(of(channels.slice(0, half), 11), of(channels.slice(half), 12))
}

function linked(name: string, channels: readonly CrawledChannel[], daysApart = 1): Linked {
  const pairs = pairsOf(channels, seededRandom(10), daysApart)
  const best = (names: readonly string[]): number =>
    Math.max(...names.map((feature) => separation(pairs, FEATURES.indexOf(feature))))
  const result = {
    learnt: learnt(channels, FEATURES, daysApart),
    ofBytes: best(BYTE_FEATURES),
    ofTimes: best(TIME_FEATURES),
  }
  say(
    `${name}, ${daysApart} days apart: ${pairs.together.length} pairs, AUC learnt ${result.learnt.toFixed(3)},` +
      ` best of bytes ${result.ofBytes.toFixed(3)}, best of times ${result.ofTimes.toFixed(3)}`,
  )
  return result
}

describe('200 channels over 14 days, with releases at irregular times', () => {
  let channels: CrawledChannel[]

  beforeAll(async () => {
    channels = await crawl({ channels: 200, days: 14, habit: HABITS.irregular, seed: 1 })
  })

  it('were all seen', () => {
    expect(channels.every(({ slots }) => slots.length === 14 * 3)).toBe(true)
    expect(channels.some(({ slots }) => slots.some(({ seen }) => seen.versions.length > 1))).toBe(true)
  })

  it('are not linked from day to day, by what the items say or when they changed', () => {
    const { learnt: auc, ofBytes, ofTimes } = linked('irregular', channels)
    expect(Math.max(ofBytes, ofTimes)).toBeLessThan(0.5 + CHANCE)
    expect(Math.abs(auc - 0.5)).toBeLessThan(CHANCE)
    expect(Math.abs(learnt(channels, BYTE_FEATURES) - 0.5)).toBeLessThan(CHANCE)
  })

  it('have replicas of a day that news gives away', () => {
    expect(linked('irregular', channels, 0).learnt).toBeGreaterThan(0.75)
  })
})

describe('60 channels over 6 days, without news', () => {
  let channels: CrawledChannel[]

  beforeAll(async () => {
    channels = await crawl({ channels: 60, days: 6, habit: HABITS.quiet, seed: 2 })
  })

  it.each([0, 1])('are not linked by anything, %i days apart', (daysApart) => {
    const { learnt: auc, ofBytes, ofTimes } = linked('quiet', channels, daysApart)
    expect(Math.abs(auc - 0.5)).toBeLessThan(CHANCE)
    expect(Math.max(ofBytes, ofTimes)).toBeLessThan(0.5 + CHANCE)
  })

  it.each(Object.entries(CRAWL_FAULTS))('would be linked by their %s', (feature, { what, fault }) => {
    const faulty = withFault(channels, fault)
    const found = separation(pairsOf(faulty, seededRandom(10)), FEATURES.indexOf(feature))
    say(`planted, ${what}: AUC of ${feature} ${found.toFixed(3)}, learnt ${learnt(faulty).toFixed(3)}`)
    expect(found).toBeGreaterThan(FOUND)
    expect(learnt(faulty)).toBeGreaterThan(FOUND)
  })
})

describe('what is not hidden', () => {
  it.each([
    ['sameHour', 'who releases at the same hour each day'],
    ['partTime', 'whose node runs at the same hours each day, without readers'],
  ] as const)('%s: %s', async (habit, _who) => {
    const channels = await crawl({ channels: 60, days: 4, habit: HABITS[habit], seed: 3 })
    const { learnt: auc, ofBytes } = linked(habit, channels)
    expect(auc).toBeGreaterThan(FOUND)
    expect(ofBytes).toBeLessThan(0.5 + CHANCE)
  })
})
