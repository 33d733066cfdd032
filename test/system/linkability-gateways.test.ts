/**
 * Do three gateways that work together link what is put through them? Not by what the connections
 * and items say, whatever day; by the seconds in which they come, those of one day.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { sha256 } from '../../src/crypto/hash.ts'
import { FIRST_DAY, HOUR_MS } from '../unit/linkability/crawl.ts'
import {
  GATEWAY_FEATURES,
  type KnownVisit,
  TIME_APART,
  type Visit,
  visits,
} from '../unit/linkability/gateway-view.ts'
import { allPairs, auc, bestSeparation, type Pairs, separation } from '../unit/linkability/statistics.ts'

const CHANCE = 0.05
const FOUND = 0.9
const CHANNELS = 40
const DAYS = 3
const FEATURES = Object.keys(GATEWAY_FEATURES)

const say = (text: string): void => void process.stdout.write(`${text}\n`)

function pairs(
  seen: readonly KnownVisit[],
  isCompared: (a: KnownVisit, b: KnownVisit) => boolean,
  features: readonly ((a: Visit, b: Visit) => number)[] = Object.values(GATEWAY_FEATURES),
): Pairs {
  return allPairs(seen, { isCompared, isTogether: (a, b) => a.channel === b.channel, features })
}

const otherDays = (a: KnownVisit, b: KnownVisit): boolean => a.day !== b.day
const sameDay = (a: KnownVisit, b: KnownVisit): boolean => a.day === b.day

describe(`${CHANNELS} publishers behind one exit, three gateways`, () => {
  let seen: KnownVisit[]

  beforeAll(async () => {
    seen = await visits(CHANNELS, DAYS, 8)
  })

  it('put all slots of all days', () => {
    expect(new Set(seen.map(({ slotKey }) => slotKey.join())).size).toBe(CHANNELS * DAYS * 3)
    expect(new Set(seen.map(({ gateway }) => gateway)).size).toBe(3)
    expect(new Set(seen.map(({ host }) => host)).size).toBe(1)
  })

  it('are not linked from day to day', () => {
    const days = pairs(seen, otherDays)
    const figures = FEATURES.map((name, at) => `${name} ${separation(days, at).toFixed(3)}`)
    say(`gateways, other days, ${days.together.length} pairs: ${figures.join(', ')}`)
    expect(bestSeparation(days)).toBeLessThan(0.5 + CHANCE)
  })

  it('are linked within a day by the seconds in which they come, and by nothing else but that no gateway has two', () => {
    const byTime = pairs(seen, sameDay, [TIME_APART])
    const column = (rows: Pairs['together']): number[] => rows.map(([value]) => value ?? 0)
    const found = auc(column(byTime.together), column(byTime.apart))
    say(`gateways, one day: AUC of times ${found.toFixed(3)}`)
    expect(found).toBeGreaterThan(FOUND)
    const { gateway: _, ...others } = GATEWAY_FEATURES
    expect(bestSeparation(pairs(seen, sameDay, Object.values(others)))).toBeLessThan(0.5 + CHANCE)
  })

  it.each<[string, keyof typeof GATEWAY_FEATURES, (visit: KnownVisit) => Partial<Visit>]>([
    ['a node key is shown', 'node key', ({ channel }) => ({ shownKey: sha256(Uint8Array.of(channel)) })],
    [
      'notAfter has the milliseconds of a clock that is wrong',
      'minutes of notAfter',
      ({ channel, notAfter }) => ({ notAfter: notAfter + ((channel * 7_919_000) % HOUR_MS) }),
    ],
    [
      'a slot has no offset',
      'seq apart',
      ({ channel, day }) => ({ seq: channel * 65_536 + day - FIRST_DAY }),
    ],
    ['a channel keeps to one gateway', 'gateway', ({ channel }) => ({ gateway: channel })],
  ])('would be linked, if %s, by %s', (_what, feature, change) => {
    const faulty = seen.map((visit) => ({ ...visit, ...change(visit) }))
    expect(separation(pairs(faulty, otherDays), FEATURES.indexOf(feature))).toBeGreaterThan(FOUND)
  })
})
