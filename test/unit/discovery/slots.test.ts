import { describe, expect, it } from 'vitest'
import { DHT_ENOUGH_HOLDERS, MAX_SLOT_CANDIDATES } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { slotSigner } from '../../../src/crypto/blinding.ts'
import { dayOf } from '../../../src/crypto/key-schedule.ts'
import type { DhtGetResult } from '../../../src/discovery/dht.ts'
import {
  chooseHead,
  daysToFollow,
  daysToRead,
  type FoundHead,
  needsPutBack,
  newerHead,
  nextLookMs,
  placesToRead,
  readingStartsMs,
  readSlot,
  slotPhase,
} from '../../../src/discovery/slots.ts'
import { DAY_MS, DAY_OVERLAP_MS } from '../../../src/wire/constants.ts'
import type { Head } from '../../../src/wire/head.ts'
import { type MutableItem, signItem } from '../../../src/wire/mutable-item.ts'
import { buildSlot } from '../../../src/wire/slot.ts'
import { newChannel, newHead } from './channel-fixture.ts'

const DAY = dayOf(Date.UTC(2026, 5, 1))
const MIDNIGHT = DAY * DAY_MS

describe('days', () => {
  it.each([
    ['at midnight', 0, [DAY, DAY - 1]],
    ['before 3 o’clock', DAY_OVERLAP_MS - 1, [DAY, DAY - 1]],
    ['at 3 o’clock', DAY_OVERLAP_MS, [DAY]],
    ['at noon', DAY_MS / 2, [DAY]],
    ['before 21 o’clock', DAY_MS - DAY_OVERLAP_MS - 1, [DAY]],
    ['at 21 o’clock', DAY_MS - DAY_OVERLAP_MS, [DAY, DAY + 1]],
    ['before midnight', DAY_MS - 1, [DAY, DAY + 1]],
  ])('that are read %s', (_name, sinceMs, days) => {
    expect(daysToRead(MIDNIGHT + sinceMs)).toEqual(days)
  })

  it('are in the phase reading exactly while they are read', () => {
    for (let atMs = MIDNIGHT; atMs < MIDNIGHT + DAY_MS; atMs += 600_000) {
      for (const day of [DAY - 2, DAY - 1, DAY, DAY + 1, DAY + 2]) {
        expect(slotPhase(day, atMs) === 'reading', `${day} ${atMs}`).toBe(daysToRead(atMs).includes(day))
      }
      expect(daysToFollow(atMs)).toContain(DAY + 1)
    }
    expect(slotPhase(DAY + 1, MIDNIGHT)).toBe('ahead')
    expect(slotPhase(DAY - 1, MIDNIGHT + DAY_OVERLAP_MS)).toBe('over')
    expect(slotPhase(DAY + 1, readingStartsMs(DAY + 1))).toBe('reading')
  })

  it('are read in two replicas each, all pairs in turn, with the third to spare', () => {
    const random = seededRandom(7)
    const pairs = new Set<string>()
    for (let i = 0; i < 60; i++) {
      const { first, spare } = placesToRead(MIDNIGHT, random)
      expect(first.map(({ day }) => day)).toEqual([DAY, DAY, DAY - 1, DAY - 1])
      expect(spare.map(({ day }) => day)).toEqual([DAY, DAY - 1])
      const today = [...first.slice(0, 2), ...spare.slice(0, 1)].map(({ replica }) => replica)
      expect([...today].sort()).toEqual([0, 1, 2])
      pairs.add(today.slice(0, 2).sort().join())
    }
    expect([...pairs].sort()).toEqual(['0,1', '0,2', '1,2'])
  })
})

describe('reading a slot', () => {
  const keys = newChannel()
  const place = { day: DAY, replica: 1 }
  const resultOf = (...items: MutableItem[]): DhtGetResult => ({
    candidates: items.map((item) => ({ item, holders: 1 })),
    refused: 2,
    asked: 1,
    replied: 1,
    nearest: 1,
  })

  it('gives the heads that open, and counts what does not', () => {
    const good = buildSlot(keys, place, newHead(keys, 3).bytes)
    const junk = signItem(slotSigner(keys, place.day, place.replica), 2 ** 45, new Uint8Array(608))
    const ofAnotherDay = buildSlot(keys, { ...place, day: DAY + 1 }, newHead(keys, 4).bytes)
    const { found, invalid } = readSlot(keys, place, resultOf(junk, good, ofAnotherDay))
    expect(found.map(({ head }) => head.releaseNumber)).toEqual([3])
    expect(invalid).toBe(2 + 2)
  })

  it('opens no more values than a publisher may make us open', () => {
    const signer = slotSigner(keys, place.day, place.replica)
    const many = Array.from({ length: MAX_SLOT_CANDIDATES + 9 }, (_, i) =>
      signItem(signer, 1_000 - i, new Uint8Array(608)),
    )
    expect(readSlot(keys, place, resultOf(...many)).invalid).toBe(2 + MAX_SLOT_CANDIDATES)
  })
})

describe('choosing a head', () => {
  const keys = newChannel()
  const found = (head: Head, holders = 1): FoundHead => ({
    head,
    holders,
    place: { day: DAY, replica: 0 },
    item: { publicKey: keys.publicKey, seq: 0, value: head.bytes, signature: new Uint8Array(64) },
  })
  const first = newHead(keys, 1)
  const second = newHead(keys, 2)
  const refreshed = newHead(keys, 2, { revision: 1 })
  const contradiction = newHead(keys, 2, { root: 99 })
  const retold = newHead(keys, 2, { signedAt: 5 })

  it.each<[string, Head[], Head | null, Head | null, Head[], number]>([
    ['the newest of several', [first, second], null, second, [], 1],
    ['a refresh of the same release', [second, refreshed], null, refreshed, [], 1],
    ['what is known already', [second], second, second, [], 0],
    ['nothing when all are older', [first], second, null, [], 1],
    ['nothing of nothing', [], first, null, [], 0],
    ['not what contradicts the known one', [contradiction], second, null, [contradiction], 0],
    [
      'the known one, beside what contradicts it',
      [contradiction, second],
      second,
      second,
      [contradiction],
      0,
    ],
    ['nothing of the same number with another text', [retold], second, null, [retold], 0],
    [
      'a newer one beside an old contradiction',
      [contradiction, newHead(keys, 3)],
      second,
      newHead(keys, 3),
      [],
      1,
    ],
  ])('%s', (_name, heads, known, newest, conflicts, stale) => {
    const choice = chooseHead(
      heads.map((head) => found(head)),
      known,
    )
    expect(choice.newest?.head ?? null).toEqual(newest)
    expect(choice.conflicts.map(({ head }) => head)).toEqual(conflicts)
    expect(choice.stale).toBe(stale)
  })

  it('prefers of two contradictions the one that more nodes hold, and shows the other once', () => {
    const choice = chooseHead([found(contradiction, 2), found(second, 7), found(contradiction, 1)], null)
    expect(choice.newest?.head).toEqual(second)
    expect(choice.conflicts.map(({ head }) => head)).toEqual([contradiction])
  })

  it('gives the newer of two that may be missing', () => {
    expect(newerHead(null, null)).toBeNull()
    expect(newerHead(first, null)).toBe(first)
    expect(newerHead(first, second)).toBe(second)
    expect(newerHead(second, retold)).toBe(second)
  })
})

describe('the next look', () => {
  const timing = { checkMinMs: 1_800_000, checkMaxMs: 5_400_000, refreshMs: 5_400_000 }
  const MINUTE = 60_000

  it('comes at random times, and always once between the refresh that is due and what nodes forget', () => {
    const random = seededRandom(3)
    const delays = new Set<number>()
    let nowMs = 0
    let refreshedMs = 0
    let looks = 0
    for (let cycle = 0; cycle < 500; cycle++) {
      do {
        const next = nextLookMs({ nowMs, refreshedMs }, timing, random.fraction())
        delays.add(Math.round((next - nowMs) / MINUTE))
        nowMs = next
        looks++
      } while (nowMs - refreshedMs < timing.refreshMs)
      expect((nowMs - refreshedMs) / MINUTE).toBeLessThanOrEqual(112.5)
      refreshedMs = nowMs
    }
    // What dht-traffic.ts counts with; and no two in step for long.
    expect(looks / 500).toBeGreaterThan(1.9)
    expect(looks / 500).toBeLessThan(2.1)
    expect(delays.size).toBeGreaterThan(50)
    expect(Math.max(...delays)).toBeLessThanOrEqual(90)
  })

  it('is any time in range when the refresh is far away or long past', () => {
    for (const refreshedMs of [0, 10 ** 9]) {
      const at = { nowMs: 10 ** 8, refreshedMs }
      expect(nextLookMs(at, timing, 0)).toBe(10 ** 8 + timing.checkMinMs)
      expect(nextLookMs(at, timing, 1)).toBe(10 ** 8 + timing.checkMaxMs)
    }
  })
})

describe('putting back', () => {
  const healthy = { holders: 10, nearest: 10, sinceRefreshMs: 0, knownHolders: 4 }
  const REFRESH_MS = 5_400_000

  it.each<[string, Partial<typeof healthy>, number, boolean]>([
    ['not while enough nodes hold it', {}, 0, false],
    ['not with just enough', { holders: DHT_ENOUGH_HOLDERS }, 0, false],
    ['with one less', { holders: DHT_ENOUGH_HOLDERS - 1 }, 0.99, true],
    ['not in a small network that holds it whole', { holders: 3, nearest: 3 }, 0, false],
    ['in a small network that does not', { holders: 2, nearest: 3 }, 0.99, true],
    ['after 90 minutes, for one of those who know it', { sinceRefreshMs: REFRESH_MS }, 0.24, true],
    ['after 90 minutes, not for the others', { sinceRefreshMs: REFRESH_MS }, 0.25, false],
    ['after 90 minutes, always when alone', { sinceRefreshMs: REFRESH_MS, knownHolders: 1 }, 0.99, true],
    ['not before 90 minutes, even alone', { sinceRefreshMs: REFRESH_MS - 1, knownHolders: 0 }, 0, false],
  ])('%s', (_name, state, chance, expected) => {
    expect(needsPutBack({ ...healthy, ...state }, REFRESH_MS, chance)).toBe(expected)
  })
})
