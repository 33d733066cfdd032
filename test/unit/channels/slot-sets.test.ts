/** Slots signed ahead: which sets are made, kept and given, and which are refused (PROTOCOL_FINAL.md §5.4). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../../../src/base/errors.ts'
import { SLOT_SET_DAYS_PER_TASK, SLOT_SET_SIGN_RETRY_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { SlotSets } from '../../../src/channels/slot-sets.ts'
import { channelKeys, dayOf, type PublisherKeys } from '../../../src/crypto/key-schedule.ts'
import { BLOB_BYTES, DAY_MS, MAX_SLOT_SET_DAYS, SLOT_SET_HEADER_BYTES } from '../../../src/wire/constants.ts'
import { type Head, headHash } from '../../../src/wire/head.ts'
import { buildSlot } from '../../../src/wire/slot.ts'
import {
  decodeSlotSet,
  encodeSlotSet,
  type SlotSet,
  signSlotSet,
  slotSetDays,
  slotSetItem,
} from '../../../src/wire/slot-set.ts'
import { newHead } from '../discovery/channel-fixture.ts'
import { InlineRunner } from '../storage/harness.ts'
import { keysOf } from './channel-node.ts'
import { Bench } from './harness.ts'

const OURS = keysOf(1)
const OTHER = keysOf(2)
const HEAD = newHead(OURS, 7)
const NEWER = newHead(OURS, 8)
const READER = channelKeys(OURS.publicKey, OURS.readKey)
const NOW = Date.UTC(2026, 5, 1, 12)
const TODAY = dayOf(NOW)
const DAYS = SLOT_SET_DAYS_PER_TASK + 3

function setOf(keys: PublisherKeys, head: Head, firstDay = TODAY, days = DAYS): SlotSet {
  return [...signSlotSet(keys, head.bytes, firstDay, days)].at(-1) as SlotSet
}

/** As a frame carries it. */
function framed(set: SlotSet): Uint8Array {
  const bytes = new Uint8Array(BLOB_BYTES)
  bytes.set(encodeSlotSet(set))
  return bytes
}

const GOOD = setOf(OURS, HEAD)

/** Counts its tasks, and can be told to fail. */
class CountingRunner extends InlineRunner {
  readonly kinds: string[] = []
  fail: (() => void) | null = null

  override run(...[kind, input]: Parameters<InlineRunner['run']>): ReturnType<InlineRunner['run']> {
    this.kinds.push(kind)
    this.fail?.()
    return super.run(kind, input)
  }
}

let bench: Bench
let clock: ManualClock
let runner: CountingRunner
let publisher: PublisherKeys | null
let sets: SlotSets
const never = new AbortController().signal

/** What a restart finds: the same database. */
function newSets(days = DAYS): SlotSets {
  return new SlotSets({
    ...{ table: bench.state.slotSets, runner, clock, log: silentLog, days },
    publisherKeys: () => publisher,
  })
}

beforeEach(() => {
  bench = new Bench()
  clock = new ManualClock(NOW)
  runner = new CountingRunner()
  publisher = null
  sets = newSets()
})

afterEach(() => bench.close())

function follow(kind: 'follow' | 'once' | 'host' = 'follow'): void {
  bench.state.subscriptions.add({
    ...{
      publicKey: OURS.publicKey,
      uri: 'a link',
      readKey: OURS.readKey,
      directory: '/',
      onlyGlobs: [],
      kind,
    },
    ...{ state: 'complete', paused: false, addedAt: 0, completeSequence: 0 },
    ...{ errorCode: null, errorMessage: null, title: null },
  })
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'taken'
  } catch (error) {
    return isMegatorrentError(error) ? `${error.kind} ${error.code}` : String(error)
  }
}

describe('a set from a peer', () => {
  it('is verified whole, in parts that a worker has done soon, and kept over a restart', async () => {
    await sets.take(READER, HEAD, framed(GOOD), never)
    expect(runner.kinds).toEqual(['verifySlots', 'verifySlots'])
    const kept = newSets().get(OURS.publicKey, HEAD) as SlotSet
    for (const day of [TODAY, TODAY + DAYS - 1]) {
      const place = { day, replica: 2 }
      expect(slotSetItem(READER, kept, place)).toEqual(buildSlot(OURS, place, HEAD.bytes))
    }
    expect(newSets().give(OURS.publicKey, headHash(HEAD.bytes))).toEqual(encodeSlotSet(GOOD))
  })

  it('is of the head that was asked for, or it is nobody’s', async () => {
    await sets.take(READER, HEAD, framed(GOOD), never)
    expect(sets.get(OURS.publicKey, NEWER)).toBeNull()
    expect(sets.give(OURS.publicKey, headHash(NEWER.bytes))).toBeNull()
    expect(sets.give(OTHER.publicKey, headHash(HEAD.bytes))).toBeNull()
    await sets.take(READER, NEWER, framed(setOf(OURS, NEWER)), never)
    expect(sets.get(OURS.publicKey, HEAD)).toBeNull()
    expect(sets.get(OURS.publicKey, NEWER)?.head).toEqual(NEWER.bytes)
  })

  const changed = (at: number, change: (byte: number) => number): Uint8Array => {
    const bytes = framed(GOOD)
    bytes[at] = change(bytes[at] as number)
    return bytes
  }
  const flip = (at: number): Uint8Array => changed(at, (byte) => byte ^ 1)
  const REFUSED: readonly [string, () => Uint8Array][] = [
    ['of another channel', () => framed(setOf(OTHER, newHead(OTHER, 7)))],
    [
      'of another channel, under our head',
      () => framed({ ...setOf(OTHER, newHead(OTHER, 7)), head: HEAD.bytes }),
    ],
    ['of an older head', () => framed(setOf(OURS, newHead(OURS, 6)))],
    ['of a newer head', () => framed(setOf(OURS, NEWER))],
    ['of another head under the same number', () => framed(setOf(OURS, newHead(OURS, 7, { root: 99 })))],
    ['of an older head, under ours', () => framed({ ...setOf(OURS, newHead(OURS, 6)), head: HEAD.bytes })],
    ['said to begin a day later', () => framed({ ...GOOD, firstDay: TODAY + 1 })],
    ['said to begin a day sooner', () => framed({ ...GOOD, firstDay: TODAY - 1 })],
    ['with its first signature altered', () => flip(SLOT_SET_HEADER_BYTES)],
    ['with its last signature altered', () => flip(SLOT_SET_HEADER_BYTES + DAYS * 192 - 1)],
    ['of a day less than it says', () => changed(6, () => DAYS + 1)],
    ['with something behind its days', () => changed(6, () => DAYS - 1)],
    ['with a bit set in its padding', () => flip(BLOB_BYTES - 1)],
    ['of a later version', () => flip(0)],
    ['of which days were left out at the end', () => framed(slotSetDays(GOOD, 0, DAYS - 1))],
    ['of which days were left out at the beginning', () => framed(slotSetDays(GOOD, 1, DAYS - 1))],
    ['cut short', () => encodeSlotSet(GOOD).subarray(0, -1)],
    ['cut within its head', () => encodeSlotSet(GOOD).subarray(0, 300)],
    ['of nothing', () => new Uint8Array(BLOB_BYTES)],
  ]

  it.each(REFUSED)('%s is refused, and nothing changes', async (_name, bytes) => {
    expect(await codeOf(sets.take(READER, HEAD, bytes(), never))).toBe('peer ERR_SLOT_SET')
    expect(sets.get(OURS.publicKey, HEAD)).toBeNull()
    await sets.take(READER, HEAD, framed(GOOD), never)
    expect(await codeOf(sets.take(READER, HEAD, bytes(), never))).toBe('peer ERR_SLOT_SET')
    expect(sets.give(OURS.publicKey, headHash(HEAD.bytes))).toEqual(encodeSlotSet(GOOD))
  })

  it('whose days are over is of no use and nobody’s fault; clocks may be 3 hours apart', async () => {
    const last = (TODAY + DAYS) * DAY_MS // the midnight after its last day
    const hours = 3_600_000
    for (const [atMs, expected] of [
      [last - 1, 'taken'],
      [last + 3 * hours, 'taken'], // ours is 3 hours ahead of those who still put its last day
      [last + DAY_MS, 'not-found ERR_NOT_FOUND'],
      [TODAY * DAY_MS - 3 * hours, 'taken'], // ours is 3 hours behind: it begins tomorrow
    ] as const) {
      clock.jumpWall(atMs - clock.now())
      expect([atMs, await codeOf(sets.take(READER, HEAD, framed(GOOD), never))]).toEqual([atMs, expected])
    }
    const hash = headHash(HEAD.bytes)
    clock.jumpWall(last - 1 - clock.now())
    expect(sets.give(OURS.publicKey, hash)).not.toBeNull()
    clock.jumpWall(1)
    expect(sets.give(OURS.publicKey, hash)).toBeNull()
  })

  it('is not kept when its head is not the newest any more', async () => {
    const over = new AbortController()
    runner.fail = () => over.abort()
    await expect(sets.take(READER, HEAD, framed(GOOD), over.signal)).rejects.toThrow()
    expect(runner.kinds).toHaveLength(1)
    expect(sets.get(OURS.publicKey, HEAD)).toBeNull()
  })
})

describe('where the set of a head comes from', () => {
  const source = (): string => sets.sourceOf(OURS.publicKey, HEAD)

  it('is nobody for a channel that is looked at or got once, and peers for one that is followed or hosted', () => {
    expect(source()).toBe('none')
    follow('once')
    expect(source()).toBe('none')
    for (const kind of ['follow', 'host'] as const) {
      bench.state.subscriptions.update(OURS.publicKey, { kind })
      expect(source()).toBe('ask')
    }
  })

  it('is our key where we have it, until the set is there', async () => {
    follow()
    publisher = OURS
    expect(source()).toBe('sign')
    await sets.take(READER, HEAD, framed(GOOD), never)
    expect(source()).toBe('held')
    expect(sets.sourceOf(OURS.publicKey, NEWER)).toBe('sign')
  })

  it('is forgotten with the subscription', async () => {
    follow()
    await sets.take(READER, HEAD, framed(GOOD), never)
    expect(bench.state.slotSets.prune()).toBe(0)
    bench.state.subscriptions.remove(OURS.publicKey)
    expect(bench.state.slotSets.prune()).toBe(1)
    expect(sets.get(OURS.publicKey, HEAD)).toBeNull()
  })

  it('is forgotten with our channel, though it is being got once', async () => {
    publisher = OURS
    follow('once')
    await sets.sign(OURS.publicKey, HEAD, never)
    expect(bench.state.slotSets.prune()).toBe(1)
  })
})

describe('signing ahead', () => {
  it('makes 400 days from today on in small tasks, the very slots that would be put, and leaves the key alone', async () => {
    publisher = OURS
    sets = newSets(MAX_SLOT_SET_DAYS)
    await sets.sign(OURS.publicKey, HEAD, never)
    expect(runner.kinds).toHaveLength(MAX_SLOT_SET_DAYS / SLOT_SET_DAYS_PER_TASK)
    const set = sets.get(OURS.publicKey, HEAD) as SlotSet
    expect(set).toMatchObject({ firstDay: TODAY, days: MAX_SLOT_SET_DAYS })
    for (const day of [TODAY, TODAY + SLOT_SET_DAYS_PER_TASK, TODAY + MAX_SLOT_SET_DAYS - 1]) {
      const place = { day, replica: 1 }
      expect(slotSetItem(READER, set, place)).toEqual(buildSlot(OURS, place, HEAD.bytes))
    }
    expect(slotSetItem(READER, set, { day: TODAY + MAX_SLOT_SET_DAYS, replica: 0 })).toBeNull()
    // Copies of the seed go to workers and are wiped there.
    expect(OURS.seed).toEqual(keysOf(1).seed)
  })

  it('that is called off in the middle keeps nothing, and the next start makes it again', async () => {
    publisher = OURS
    follow()
    const over = new AbortController()
    runner.fail = () => {
      if (runner.kinds.length === 2) over.abort()
    }
    await newSets(MAX_SLOT_SET_DAYS).sign(OURS.publicKey, HEAD, over.signal)
    expect(runner.kinds).toHaveLength(2)
    expect(newSets().sourceOf(OURS.publicKey, HEAD)).toBe('sign')
  })

  it('goes on after a failure, in a while', async () => {
    publisher = OURS
    let failures = 2
    runner.fail = () => {
      if (failures-- > 0) throw new MegatorrentError('ERR_WORKER_CRASHED', 'planted')
      throw over.signal.reason // what it does after that is the matter of other tests
    }
    const over = new AbortController()
    const signing = sets.sign(OURS.publicKey, HEAD, over.signal)
    await clock.advance(SLOT_SET_SIGN_RETRY_MS - 1)
    expect(runner.kinds).toHaveLength(1)
    await clock.advance(1)
    expect(runner.kinds).toHaveLength(2)
    over.abort()
    await signing
    expect(clock.pendingTimers).toBe(0)
  })
})

it('a set that was read back is one of its own: what is given does not change what is kept', async () => {
  await sets.take(READER, HEAD, framed(GOOD), never)
  sets.give(OURS.publicKey, headHash(HEAD.bytes))?.fill(0)
  expect(decodeSlotSet(sets.give(OURS.publicKey, headHash(HEAD.bytes)) as Uint8Array)).toEqual(GOOD)
})
