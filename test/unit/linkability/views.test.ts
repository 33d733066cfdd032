/**
 * Does what an observer sees tell what belongs together? For a peer without the link, the line and the proxy; the
 * DHT and gateways take longer: test/system/linkability*.test.ts. Every planted fault must be
 * found, or a clean result says nothing.
 */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { allPairs, auc, bestSeparation, learntAuc, type Pairs, separation } from './statistics.ts'
import {
  CREDENTIAL_FEATURES,
  DESTINATION_FEATURES,
  dialThroughProxy,
  type Joined,
  joinChannels,
  LINE_FEATURES,
  type LineFault,
  MEMBER_FEATURES,
  type MemberFault,
  type Met,
  meet,
  type Passed,
  PEER_FEATURES,
  type PeerFault,
  type Proxied,
  type ProxyFault,
  pass,
} from './views.ts'

const CHANCE = 0.05
const FOUND = 0.9

describe('the statistics', () => {
  it('give 1, 0 and 0.5 where all, none and half are told apart, equal scores counting half', () => {
    expect(auc([3, 4], [1, 2])).toBe(1)
    expect(auc([1, 2], [3, 4])).toBe(0)
    expect(auc([1, 1], [1, 1])).toBe(0.5)
    expect(auc([2, 1], [1, 0])).toBe(0.875)
  })

  const made = (seed: number, shift: number): Pairs => {
    const random = seededRandom(seed)
    const rows = (by: number): number[][] =>
      Array.from({ length: 2_000 }, () => [random.fraction() + by, random.fraction(), 7])
    return { together: rows(shift), apart: rows(0) }
  }

  it('learn what there is to learn, and from noise nothing', () => {
    expect(learntAuc(made(1, 0.6), made(2, 0.6))).toBeGreaterThan(FOUND)
    expect(Math.abs(learntAuc(made(3, 0), made(4, 0)) - 0.5)).toBeLessThan(CHANCE)
    expect(separation(made(5, -0.6), 0)).toBeGreaterThan(FOUND)
    expect(bestSeparation(made(6, 0))).toBeLessThan(0.5 + CHANCE)
  })

  it('learn that belonging together is being near, not being high', () => {
    const near = (seed: number): Pairs => {
      const random = seededRandom(seed)
      const rows = (width: number): number[][] =>
        Array.from({ length: 1_000 }, () => [width * (random.fraction() - 0.5)])
      return { together: rows(0.2), apart: rows(2) }
    }
    expect(bestSeparation(near(1))).toBeLessThan(0.5 + CHANCE)
    expect(learntAuc(near(2), near(3))).toBeGreaterThan(FOUND)
  })
})

describe('a peer that shares no channel with a node', () => {
  const pairs = (met: readonly Met[]): Pairs =>
    allPairs(met, { isTogether: (a, b) => a.node === b.node, features: Object.values(PEER_FEATURES) })

  it('does not tell that it was dialled by it before', async () => {
    expect(bestSeparation(pairs(await meet(16, 6)))).toBeLessThan(0.5 + CHANCE)
  })

  it.each<[PeerFault, keyof typeof PEER_FEATURES]>([
    ['shows its key', 'node key'],
    ['fills nothing up', 'empty places'],
    ['has the same tags on each connection', 'places in common'],
  ])('would tell, if it %s, by %s', async (fault, feature) => {
    const found = separation(pairs(await meet(12, 2, fault)), Object.keys(PEER_FEATURES).indexOf(feature))
    expect(found).toBeGreaterThan(FOUND)
  })
})

describe('a member of two channels', () => {
  const pairs = (joined: readonly Joined[]): Pairs =>
    allPairs(joined, {
      isCompared: (a, b) => a.channel !== b.channel,
      isTogether: (a, b) => a.node === b.node,
      features: Object.values(MEMBER_FEATURES),
    })

  it('does not tell by onions and keys which of them are of one node', () => {
    expect(bestSeparation(pairs(joinChannels(40, 3)))).toBeLessThan(0.5 + CHANCE)
  })

  it.each<[MemberFault, keyof typeof MEMBER_FEATURES]>([
    ['has one key for all channels', 'key'],
    ['has one key for all channels', 'onion'],
    ['has a port of its own', 'port'],
  ])('would tell, if a node %s, by its %s', (fault, feature) => {
    const found = separation(pairs(joinChannels(20, 3, fault)), Object.keys(MEMBER_FEATURES).indexOf(feature))
    expect(found).toBeGreaterThan(FOUND)
  })
})

describe('who is on the line', () => {
  const pairs = (passed: readonly Passed[]): Pairs =>
    allPairs(passed, { isTogether: (a, b) => a.kind === b.kind, features: Object.values(LINE_FEATURES) })

  it('does not tell whether two messages are of a kind', () => {
    expect(bestSeparation(pairs(pass(16)))).toBeLessThan(0.5 + CHANCE)
  })

  it.each<[LineFault, keyof typeof LINE_FEATURES]>([
    ['is not padded', 'size'],
    ['has its type in clear', 'first bytes'],
  ])('would tell, if one %s, by its %s', (fault, feature) => {
    const found = separation(pairs(pass(8, fault)), Object.keys(LINE_FEATURES).indexOf(feature))
    expect(found).toBeGreaterThan(FOUND)
  })
})

describe('the proxy', () => {
  const ofNode = (dialled: readonly Proxied[], features = CREDENTIAL_FEATURES): Pairs =>
    allPairs(dialled, {
      isCompared: (a, b) => a.channel !== b.channel && a.day === b.day,
      isTogether: (a, b) => a.node === b.node,
      features: Object.values(features),
    })
  const ofChannel = (dialled: readonly Proxied[], features = CREDENTIAL_FEATURES): Pairs =>
    allPairs(dialled, {
      isCompared: (a, b) => a.day !== b.day,
      isTogether: (a, b) => a.channel === b.channel,
      features: Object.values(features),
    })

  it('does not tell by user names which channels are of one node, or which days of one channel', () => {
    const dialled = dialThroughProxy(12, 6, 3)
    expect(bestSeparation(ofNode(dialled))).toBeLessThan(0.5 + CHANCE)
    expect(bestSeparation(ofChannel(dialThroughProxy(20, 4, 6)))).toBeLessThan(0.5 + CHANCE)
  })

  it.each<[ProxyFault, (dialled: readonly Proxied[]) => Pairs]>([
    ['uses one user name for all channels', ofNode],
    ['uses one user name for all days', ofChannel],
  ])('would tell, if a node %s', (fault, of) => {
    expect(bestSeparation(of(dialThroughProxy(8, 4, 2, fault)))).toBeGreaterThan(FOUND)
  })

  // The onion of a peer is the same tomorrow: docs/ANONYMITY.md.
  it('tells the days of a channel by where connections lead, and not which channels are of one node', () => {
    const dialled = dialThroughProxy(8, 4, 2)
    expect(bestSeparation(ofChannel(dialled, DESTINATION_FEATURES))).toBe(1)
    expect(bestSeparation(ofNode(dialled, DESTINATION_FEATURES))).toBe(0.5)
  })
})
