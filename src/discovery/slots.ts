/**
 * Slots: which are read, which values count, and when one is put back
 * (PROTOCOL_FINAL.md §5). Decisions only; slot-service.ts and slot-follower.ts act on them.
 *
 * The newest valid head wins, and what is older than what was known before is never
 * given out, whoever returns it. Two heads that contradict each other are both shown:
 * the one known first, else the one that more nodes hold, is acted on.
 *
 * @module discovery/slots
 */
import { compareBytes, equalBytes } from '../base/bytes.ts'
import { isMegatorrentError } from '../base/errors.ts'
import { DHT_ENOUGH_HOLDERS, MAX_SLOT_CANDIDATES } from '../base/limits.ts'
import { type Random, shuffle } from '../base/random.ts'
import { type ChannelKeys, dayOf } from '../crypto/key-schedule.ts'
import { DAY_MS, DAY_OVERLAP_MS, SLOT_REPLICAS } from '../wire/constants.ts'
import { classifyHead, type Head, slotVersion } from '../wire/head.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import { openSlot, type SlotPlace } from '../wire/slot.ts'
import type { DhtGetResult } from './dht.ts'

/** Stands for "no day" where the item of an open channel is kept: it has none. */
export const OPEN_SLOT_DAY = 0xffff_ffff

/** A valid head, and the slot that it was found in. */
export interface FoundHead {
  readonly head: Head
  readonly place: SlotPlace
  readonly item: MutableItem
  /** Nodes nearest to the slot that hold it. */
  readonly holders: number
}

/** What the values of one slot come to. */
export interface SlotReading {
  /** Newest first. */
  readonly found: readonly FoundHead[]
  /** Values that no reader of this channel may take: not opened, not by the channel, not signed. */
  readonly invalid: number
}

/** Days that are read at this moment: today, and within DAY_OVERLAP_MS of midnight UTC the neighbour. */
export function daysToRead(nowMs: number): readonly number[] {
  const day = dayOf(nowMs)
  const sinceMidnightMs = nowMs - day * DAY_MS
  if (sinceMidnightMs < DAY_OVERLAP_MS) return day === 0 ? [day] : [day, day - 1]
  return DAY_MS - sinceMidnightMs <= DAY_OVERLAP_MS ? [day, day + 1] : [day]
}

/** Two replicas of each day at random, and the third for when those give nothing. */
export function placesToRead(
  nowMs: number,
  random: Random,
): { readonly first: readonly SlotPlace[]; readonly spare: readonly SlotPlace[] } {
  const first: SlotPlace[] = []
  const spare: SlotPlace[] = []
  for (const day of daysToRead(nowMs)) {
    const replicas = shuffle(
      random,
      Array.from({ length: SLOT_REPLICAS }, (_, replica) => replica),
    )
    for (const [index, replica] of replicas.entries()) (index < 2 ? first : spare).push({ day, replica })
  }
  return { first, spare }
}

/** All replicas of a day. */
export function placesOfDay(day: number): readonly SlotPlace[] {
  return Array.from({ length: SLOT_REPLICAS }, (_, replica) => ({ day, replica }))
}

/**
 * Open the values that the DHT returned for one slot.
 *
 * Cost: 2 ms a value, MAX_SLOT_CANDIDATES at most, the highest seq first.
 *
 * @param opened - an item that was opened before, and its head: it is not opened again.
 */
export function readSlot(
  keys: ChannelKeys,
  place: SlotPlace,
  result: DhtGetResult,
  opened: { readonly item: MutableItem; readonly head: Head } | null = null,
): SlotReading {
  const found: FoundHead[] = []
  let invalid = result.refused
  for (const { item, holders } of result.candidates.slice(0, MAX_SLOT_CANDIDATES)) {
    const isOpened = opened !== null && isSameItem(opened.item, item)
    const head = isOpened ? opened.head : tryOpen(keys, place, item)
    if (head === null) invalid++
    else found.push({ head, place, item, holders })
  }
  return { found, invalid }
}

/** The same version with the same value. */
export function isSameItem(a: MutableItem, b: MutableItem): boolean {
  return a.seq === b.seq && equalBytes(a.value, b.value)
}

function tryOpen(keys: ChannelKeys, place: SlotPlace, item: MutableItem): Head | null {
  try {
    return openSlot(keys, place, item)
  } catch (error) {
    if (isMegatorrentError(error) && error.kind === 'peer') return null
    throw error
  }
}

/** What all that was found comes to. */
export interface HeadChoice {
  /** The head to act on: at least as new as `known`, and no contradiction of it. Null when there is none. */
  readonly newest: FoundHead | null
  /** Heads that contradict the newest, or the known one: shown to the user, never acted on. */
  readonly conflicts: readonly FoundHead[]
  /** Values older than what is acted on. */
  readonly stale: number
}

/** @param known - the newest head that this node ever acted on or saw, or null. */
export function chooseHead(found: readonly FoundHead[], known: Head | null): HeadChoice {
  const ordered = [...found].sort(
    (a, b) =>
      slotVersion(b.head) - slotVersion(a.head) ||
      b.holders - a.holders ||
      compareBytes(a.head.bytes, b.head.bytes),
  )
  const newest = ordered.find(({ head }) => isAcceptable(head, known)) ?? null
  const reference = newest?.head ?? known
  const conflicts: FoundHead[] = []
  let stale = 0
  for (const candidate of ordered) {
    if (reference === null || equalBytes(candidate.head.bytes, reference.bytes)) continue
    if (contradicts(candidate.head, reference)) {
      // The same head in several slots is one conflict.
      const isKnown = conflicts.some(({ head }) => equalBytes(head.bytes, candidate.head.bytes))
      if (!isKnown) conflicts.push(candidate)
    } else stale++
  }
  return { newest, conflicts, stale }
}

function isAcceptable(head: Head, known: Head | null): boolean {
  if (known === null) return true
  const news = classifyHead(head, known)
  if (news === 'newer' || news === 'refresh') return true
  return equalBytes(head.bytes, known.bytes)
}

/** Same release with another root, or another text under the very same number and revision. */
function contradicts(head: Head, reference: Head): boolean {
  if (equalBytes(head.bytes, reference.bytes)) return false
  return classifyHead(head, reference) === 'conflict' || slotVersion(head) === slotVersion(reference)
}

/** The newer of two heads that may be missing; of two equals the first. */
export function newerHead(a: Head | null, b: Head | null): Head | null {
  if (a === null || b === null) return a ?? b
  return slotVersion(b) > slotVersion(a) ? b : a
}

/** What a look at a slot has shown. */
export interface SlotState {
  /** Of the nearest nodes, those that hold exactly the newest value. */
  readonly holders: number
  /** Nearest nodes that answered. */
  readonly nearest: number
  /** ms since we last knew it refreshed. */
  readonly sinceRefreshMs: number
  /** Nodes that are known to look after it as we do, we ourselves among them. */
  readonly knownHolders: number
}

/**
 * Is a slot put back?
 *
 * Yes when too few of the nearest nodes hold it; and when it has not been refreshed for so
 * long that they will forget it, in one of `knownHolders` cases, so that one of all does it.
 *
 * @param refreshMs - how long nodes hold it safely.
 * @param chance - uniform in [0, 1).
 */
export function needsPutBack(state: SlotState, refreshMs: number, chance: number): boolean {
  // A network smaller than what is enough can hold it no more often than it has nodes.
  if (state.holders < Math.min(DHT_ENOUGH_HOLDERS, state.nearest)) return true
  return state.sinceRefreshMs >= refreshMs && chance < 1 / Math.max(1, state.knownHolders)
}

/**
 * When a slot is looked at next: at a random time, and where that can be had, when the
 * refresh is due and before nodes forget. Nodes keep a value for a third longer than `refreshMs`.
 *
 * All times monotonic, ms. @param fraction - uniform in [0, 1).
 */
export function nextLookMs(
  at: { readonly nowMs: number; readonly refreshedMs: number },
  timing: { readonly checkMinMs: number; readonly checkMaxMs: number; readonly refreshMs: number },
  fraction: number,
): number {
  const earliestMs = at.nowMs + timing.checkMinMs
  const latestMs = at.nowMs + timing.checkMaxMs
  const refreshFromMs = at.refreshedMs + timing.refreshMs
  const refreshToMs = refreshFromMs + timing.refreshMs / 4
  const isInReach = latestMs >= refreshFromMs + timing.refreshMs / 8 && at.nowMs < refreshFromMs
  const fromMs = isInReach ? Math.min(Math.max(earliestMs, refreshFromMs), refreshToMs) : earliestMs
  const toMs = isInReach ? Math.min(latestMs, refreshToMs) : latestMs
  return fromMs + fraction * (toMs - fromMs)
}

/**
 * What a day's slots are at a moment: `reading` while any reader asks for them, `ahead`
 * from the day before until then.
 */
export type SlotPhase = 'ahead' | 'reading' | 'over'

export function slotPhase(day: number, nowMs: number): SlotPhase {
  if (nowMs < readingStartsMs(day)) return 'ahead'
  return nowMs < (day + 1) * DAY_MS + DAY_OVERLAP_MS ? 'reading' : 'over'
}

/** From this moment on readers ask for slots of that day. */
export function readingStartsMs(day: number): number {
  return day * DAY_MS - DAY_OVERLAP_MS
}

/** Days whose slots are looked after: those that are read, and tomorrow. */
export function daysToFollow(nowMs: number): readonly number[] {
  const today = dayOf(nowMs)
  return [today - 1, today, today + 1].filter((day) => day >= 0 && slotPhase(day, nowMs) !== 'over')
}
