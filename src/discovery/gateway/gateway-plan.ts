/**
 * Which gateway is asked next, and whose word is not to be taken. Pure decisions: the
 * clock is a number and chance is passed in.
 *
 * @module discovery/gateway/gateway-plan
 */
import { equalBytes } from '../../base/bytes.ts'
import { type Random, shuffle } from '../../base/random.ts'

/** What is remembered of a gateway. Times are monotonic ms. */
export interface GatewayRecord {
  /** Its address as text. */
  readonly key: string
  /** When it was last given an item, and when it was last asked something. */
  putMs: number
  readMs: number
  /** Until when it is asked only if there is no other. */
  restUntilMs: number
  /** Did it answer when it was asked last? Null before. */
  isReached: boolean | null
}

/**
 * Gateways for an errand, the best first: the one that had such an errand longest ago, by chance among
 * equals. So what follows each other, as the replicas of a slot do, goes to different ones, and no order
 * of theirs says what belongs together. Resting ones come last.
 */
export function inTurn<G extends GatewayRecord>(
  gateways: readonly G[],
  errand: 'putMs' | 'readMs',
  nowMs: number,
  random: Random,
): G[] {
  const rest = (one: G): number => (isResting(one, nowMs) ? 1 : 0)
  return shuffle(random, [...gateways]).sort((a, b) => rest(a) - rest(b) || a[errand] - b[errand])
}

export function isResting({ restUntilMs }: GatewayRecord, nowMs: number): boolean {
  return nowMs < restUntilMs
}

/** A gateway said that it has stored this under a key. */
export interface Claim {
  readonly gateway: string
  readonly seq: number
  readonly value: Uint8Array
}

/** What gateways that were asked returned under the key. */
export interface Reading {
  readonly gateway: string
  readonly found: readonly { readonly seq: number; readonly value: Uint8Array }[]
}

/**
 * Is it true that a gateway has stored an item, as far as others can tell that looked for it since?
 *
 * Yes if any of them finds the value or a newer one: then those that did not withhold it. No if two
 * find nothing, or the only other one; where there is just one gateway, its own reading counts.
 *
 * @returns null while that cannot be said.
 */
export function judgeClaim(
  claim: Claim,
  readings: readonly Reading[],
  gatewayCount: number,
): { readonly isTrue: boolean; readonly withheldBy: readonly string[] } | null {
  const others = readings.filter(({ gateway }) => gateway !== claim.gateway || gatewayCount === 1)
  const bearsOut = ({ found }: Reading): boolean =>
    found.some(({ seq, value }) => seq > claim.seq || (seq === claim.seq && equalBytes(value, claim.value)))
  const without = others.filter((reading) => !bearsOut(reading)).map(({ gateway }) => gateway)
  if (without.length < others.length) return { isTrue: true, withheldBy: without }
  const needed = Math.min(2, Math.max(1, gatewayCount - 1))
  return others.length >= needed ? { isTrue: false, withheldBy: [] } : null
}
