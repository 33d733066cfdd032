/** Pairs of crawled keys, and all that tells whether they are of one channel. */
import { type Random, randomInteger } from '../../../src/base/random.ts'
import { XNONCE_BYTES } from '../../../src/crypto/xchacha.ts'
import { SLOT_REPLICAS } from '../../../src/wire/constants.ts'
import type { CrawledChannel, SeenKey, SeenVersion, Slot } from './crawl.ts'
import { commonPrefix, likeness, type Pairs } from './statistics.ts'

const HOURS = 24

/** By name: what a feature of `a`, of the earlier day, and `b` says for their being of one channel. */
const OF_BYTES: Readonly<Record<string, (a: SeenKey, b: SeenKey) => number>> = {
  'seq apart': (a, b) => -Math.log2(1 + Math.abs(last(b).seq - last(a).seq)),
  'seq above': (a, b) => (last(b).seq >= last(a).seq ? 1 : 0),
  'seq low bits': (a, b) => -Math.abs((last(b).seq % 2 ** 16) - (last(a).seq % 2 ** 16)),
  'key bits': (a, b) => likeness(a.publicKey, b.publicKey),
  'nonce bits': (a, b) => likeness(nonce(a), nonce(b)),
  'value bits': (a, b) => likeness(last(a).value, last(b).value),
  'value prefix': (a, b) => commonPrefix(last(a).value, last(b).value),
  'signature bits': (a, b) => likeness(last(a).signature, last(b).signature),
  size: (a, b) => -Math.abs(last(a).value.length - last(b).value.length),
}

const OF_TIMES: Readonly<Record<string, (a: SeenKey, b: SeenKey) => number>> = {
  versions: (a, b) => -Math.abs(a.versions.length - b.versions.length),
  growth: (a, b) => -Math.abs(growth(a) - growth(b)),
  'first hour': (a, b) => -clockApart(first(a).hour, first(b).hour),
  'hour of news': (a, b) => -clockApart(last(a).hour, last(b).hour),
  'news apart': (a, b) => -newsApart(a, b),
  'hours of puts': (a, b) => hoursAlike(a.putHours, b.putHours),
}

export const BYTE_FEATURES = Object.keys(OF_BYTES)
export const TIME_FEATURES = Object.keys(OF_TIMES)
export const FEATURES = [...BYTE_FEATURES, ...TIME_FEATURES]

/** `count` others for each that belong together, drawn by chance. */
const APART_EACH = 4

/**
 * Keys of `daysApart` days from each other, any replica of each: those of one channel, and of two.
 * With 0 days apart, two replicas of a day.
 */
export function pairsOf(channels: readonly CrawledChannel[], random: Random, daysApart = 1): Pairs {
  const byPlace = channels.map(
    ({ slots }) => new Map(slots.map((slot) => [`${slot.day} ${slot.replica}`, slot])),
  )
  const together: number[][] = []
  const apart: number[][] = []
  for (const [channel, { slots }] of channels.entries()) {
    for (const a of slots) {
      const replica =
        daysApart === 0 ? (a.replica + 1) % SLOT_REPLICAS : randomInteger(random, 0, SLOT_REPLICAS - 1)
      const place = `${a.day + daysApart} ${replica}`
      const own = byPlace[channel]?.get(place)
      if (own === undefined) continue
      together.push(featuresOf(a, own))
      for (let i = 0; i < APART_EACH; i++) {
        const step = randomInteger(random, 1, channels.length - 1)
        const other = byPlace[(channel + step) % channels.length]?.get(place)
        if (other !== undefined) apart.push(featuresOf(a, other))
      }
    }
  }
  return { together, apart }
}

function featuresOf({ seen: a }: Slot, { seen: b }: Slot): number[] {
  return [...Object.values(OF_BYTES), ...Object.values(OF_TIMES)].map((feature) => feature(a, b))
}

function first({ versions }: SeenKey): SeenVersion {
  return versions[0] as SeenVersion
}

function last({ versions }: SeenKey): SeenVersion {
  return versions.at(-1) as SeenVersion
}

function nonce(seen: SeenKey): Uint8Array {
  return last(seen).value.subarray(0, XNONCE_BYTES)
}

/** Between the first and the last version of a key the offset of its seq cancels out. */
function growth(seen: SeenKey): number {
  return last(seen).seq - first(seen).seq
}

function clockApart(a: number, b: number): number {
  const apart = Math.abs(a - b) % HOURS
  return Math.min(apart, HOURS - apart)
}

/** Hours between the nearest changes of two keys: one release changes slots of several days. */
function newsApart(a: SeenKey, b: SeenKey): number {
  let nearest = 4 * HOURS
  for (const { hour } of a.versions.slice(1)) {
    for (const other of b.versions) nearest = Math.min(nearest, Math.abs(other.hour - hour))
  }
  return nearest
}

function hoursAlike(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  const ofDay = (hours: ReadonlySet<number>): Set<number> => new Set([...hours].map((hour) => hour % HOURS))
  const [ownHours, otherHours] = [ofDay(a), ofDay(b)]
  const both = [...ownHours].filter((hour) => otherHours.has(hour)).length
  return both / (ownHours.size + otherHours.size - both)
}
