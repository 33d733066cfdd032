/**
 * What a gateway takes, and why it does not (PROTOCOL_FINAL.md §7.8): pure decisions
 * in the order of what they cost. Work first: one hash stands between a stranger and
 * everything else that he can make us do.
 *
 * @module discovery/gateway/gateway-rules
 */
import { equalBytes } from '../../base/bytes.ts'
import { HEAD_BYTES, MAX_PUBLISH_AHEAD_MS, SLOT_VALUE_BYTES } from '../../wire/constants.ts'
import {
  PUBLISH_OUTCOMES,
  type PublishAnswer,
  type PublishedItem,
  type PuzzleParameters,
} from '../../wire/message.ts'
import { isValidItem, type MutableItem } from '../../wire/mutable-item.ts'

export interface Offer {
  readonly item: PublishedItem
  /** `publishWork` of it on its connection. */
  readonly work: number
  /** Work that is asked for now. */
  readonly workBits: number
  /** Wall time, ms. */
  readonly nowMs: number
}

/** Rules 1 to 3, which need nothing but the message. @returns a refusal, or null. */
export function refuseUnseen({ item, work, workBits, nowMs }: Offer): PublishAnswer | null {
  if (work < workBits) return { ...refusal(PUBLISH_OUTCOMES.work), workBits }
  if (!isSlotSize(item.value.length)) return refusal(PUBLISH_OUTCOMES.size)
  const { notBefore, notAfter } = item
  const isWindow = notBefore <= notAfter && notAfter > nowMs && notAfter <= nowMs + MAX_PUBLISH_AHEAD_MS
  return isWindow ? null : refusal(PUBLISH_OUTCOMES.window)
}

/**
 * Rules 5 and 6. Cost: 0.15 ms for the signature.
 *
 * @param known - the newest value that is known under its key, or null.
 */
export function refuseKnown(item: PublishedItem, known: MutableItem | null): PublishAnswer | null {
  if (known !== null && isOlder(item, known)) return staleAgainst(known.seq)
  return isValidItem(itemOf(item)) ? null : refusal(PUBLISH_OUTCOMES.item)
}

/** A value of a channel: a sealed head, or one in clear under a plain key. */
export function isSlotSize(bytes: number): boolean {
  return bytes === SLOT_VALUE_BYTES || bytes === HEAD_BYTES
}

/** The item as the DHT has it. */
export function itemOf({ slotKey, seq, signature, value }: PublishedItem): MutableItem {
  return { publicKey: slotKey, seq, signature, value }
}

export function staleAgainst(highestSeq: number): PublishAnswer {
  return { ...refusal(PUBLISH_OUTCOMES.stale), highestSeq }
}

export function refusal(outcome: number): PublishAnswer {
  return { outcome, workBits: 0, nodes: 0, highestSeq: 0 }
}

/** It has to solve a puzzle first. */
export function puzzleOf(puzzle: PuzzleParameters): PublishAnswer {
  return { ...refusal(PUBLISH_OUTCOMES.puzzle), puzzle }
}

/** Is there something at least as new that it contradicts? */
export function isOlder(item: PublishedItem, known: MutableItem): boolean {
  return item.seq < known.seq || (item.seq === known.seq && !equalBytes(item.value, known.value))
}
