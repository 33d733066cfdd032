/**
 * A node that has been in a channel for long, with eight honest peers, when 500
 * Sybils begin to tell of each other; then it starts again. How many of the eight
 * places it dials are honest? On the real peer book; the same seed gives the same run.
 *
 * Sybils behave as well as they can: they answer, prove good, tell of each other
 * under many names and announce themselves under the topic more often than anybody.
 */
import {
  ANCHOR_AGE_MS,
  DIAL_BACKOFF_MAX_MS,
  GOOD_CONNECTION_MS,
  MAX_DIALS_PER_CHANNEL,
  TARGET_PEERS_PER_CHANNEL,
} from '../../../src/base/limits.ts'
import { randomInteger, seededRandom, shuffle } from '../../../src/base/random.ts'
import { addressGroup } from '../../../src/discovery/address-group.ts'
import { type AddressSource, PeerBook } from '../../../src/discovery/peer-book.ts'
import type { Address } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address.ts'

const SYBILS = 500
const HONEST = 8
/** Peers of a topic that one lookup gives out. */
const LOOKUP = 200

export interface SybilOptions {
  /** /16 networks that the Sybils have. */
  readonly sybilNetworks: number
  /** Controls: what the book would be without. */
  readonly withAnchors?: boolean
  readonly withGroups?: boolean
}

export function honestAfterRestart(seed: number, options: SybilOptions): number {
  const { withAnchors = true, withGroups = true } = options
  const random = seededRandom(seed)
  const ipv4 = (network: number): Address => ({
    kind: 'ipv4',
    host: `${20 + (network >> 8)}.${network & 255}.${randomInteger(random, 0, 255)}.${randomInteger(random, 1, 254)}`,
    port: 7117,
  })
  const honest = Array.from({ length: HONEST }, (_, i) => ipv4(5_000 + 7 * i))
  const sybils = Array.from({ length: SYBILS }, (_, i) => ipv4(i % options.sybilNetworks))
  const isHonest = new Set(honest.map(formatAddress))
  const groupOf = withGroups ? addressGroup : formatAddress
  const tell = (
    book: PeerBook<Address>,
    addresses: readonly Address[],
    source: AddressSource,
    nowMs: number,
  ): void => {
    for (const address of addresses) {
      const origin = source === 'pex' ? `teller ${randomInteger(random, 0, 99)}` : source
      book.add(formatAddress(address), address, source, nowMs, origin)
    }
  }

  // Before: connected to honest peers, some of them for longer; one by one they go, and Sybils take their places.
  const before = new PeerBook<Address>(random, groupOf)
  tell(before, honest, 'topic', 0)
  let nowMs = 0
  for (let turn = 0; turn < 2; turn++) dial(before, nowMs)
  nowMs += 10 * ANCHOR_AGE_MS
  for (let round = 0; round < 8; round++) {
    tell(before, lookup(random, honest, sybils), 'topic', nowMs)
    tell(before, shuffle(random, [...sybils]).slice(0, 50), 'pex', nowMs)
    const [lost] = shuffle(
      random,
      before.fresh(nowMs).filter(({ busy }) => busy),
    )
    if (round < 4 && lost !== undefined) before.ended(lost.key, true, nowMs)
    nowMs += GOOD_CONNECTION_MS
    dial(before, nowMs)
  }
  const anchors = withAnchors ? before.anchors(nowMs) : []

  // After: what was written down, then what the topic and the peers say, some at a time.
  const after = new PeerBook<Address>(random, groupOf)
  tell(after, anchors, 'anchor', 0)
  dial(after, 0)
  const told = lookup(random, honest, sybils)
  for (
    let atMs = 1_000;
    after.busyCount < TARGET_PEERS_PER_CHANNEL && atMs < DIAL_BACKOFF_MAX_MS;
    atMs += 1_000
  ) {
    tell(after, told.splice(0, 50), 'topic', atMs)
    dial(after, atMs)
    tell(after, shuffle(random, [...sybils]).slice(0, 8), 'pex', atMs)
  }
  return [...isHonest].filter((key) => after.fresh(0).some((known) => known.key === key && known.busy)).length

  /** Fill what places there are; everybody answers. */
  function dial(book: PeerBook<Address>, atMs: number): void {
    const free = Math.min(TARGET_PEERS_PER_CHANNEL - book.busyCount, MAX_DIALS_PER_CHANNEL)
    for (const known of book.due(atMs, free, () => true)) {
      book.setBusy(known.key, true)
      book.reached(known.key, atMs)
    }
  }
}

/** A lookup that Sybils fill as far as their number goes: all that is given out is drawn from all that was announced. */
function lookup(
  random: ReturnType<typeof seededRandom>,
  honest: readonly Address[],
  sybils: readonly Address[],
): Address[] {
  return shuffle(random, [...honest, ...sybils]).slice(0, LOOKUP)
}
