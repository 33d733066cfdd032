/** What a crawl would look like if the protocol had a fault: each must be found by the statistic, or a clean result says nothing. */
import { concatBytes } from '../../../src/base/bytes.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { type PublisherKeys, seqOffset } from '../../../src/crypto/key-schedule.ts'
import { XNONCE_BYTES } from '../../../src/crypto/xchacha.ts'
import { slotKey } from '../../../src/wire/slot.ts'
import { type CrawledChannel, FIRST_DAY, type SeenKey, type SeenVersion, type Slot } from './crawl.ts'

type Fault = (slot: Slot, keys: PublisherKeys, channel: number) => SeenKey

function inEachVersion(
  change: (version: SeenVersion, slot: Slot, keys: PublisherKeys, channel: number) => Partial<SeenVersion>,
): Fault {
  return (slot, keys, channel) => ({
    ...slot.seen,
    versions: slot.seen.versions.map((version) => ({ ...version, ...change(version, slot, keys, channel) })),
  })
}

/** By the feature that must show it. */
export const CRAWL_FAULTS: Readonly<Record<string, { readonly what: string; readonly fault: Fault }>> = {
  'seq apart': {
    what: 'a seq without offset',
    fault: inEachVersion(({ seq }, { day, replica }, { secret }) => ({
      seq: seq - seqOffset(secret, day, replica),
    })),
  },
  'nonce bits': {
    what: 'a nonce from a key that is the same all days',
    fault: inEachVersion(({ value }, _slot, { secret }) => ({
      value: concatBytes(sha256(secret).subarray(0, XNONCE_BYTES), value.subarray(XNONCE_BYTES)),
    })),
  },
  'key bits': {
    what: 'a key that is not blinded by the day',
    fault: ({ seen }, keys) => ({ ...seen, publicKey: slotKey(keys, { day: FIRST_DAY, replica: 0 }) }),
  },
  'signature bits': {
    what: 'a signing nonce that is the same all days',
    fault: inEachVersion(({ signature }, _slot, { secret }) => ({
      signature: concatBytes(sha256(secret), signature.subarray(32)),
    })),
  },
  size: {
    what: 'a head that is not padded',
    fault: inEachVersion(({ value }, _slot, _keys, channel) => ({
      value: value.subarray(0, value.length - 7 * (channel % 32)),
    })),
  },
  'first hour': {
    what: 'a day that is put at an hour of the channel',
    fault: inEachVersion((_version, { day }, _keys, channel) => ({ hour: day * 24 + (channel % 24) })),
  },
}

export function withFault(channels: readonly CrawledChannel[], fault: Fault): CrawledChannel[] {
  return channels.map(({ keys, slots }, channel) => ({
    keys,
    slots: slots.map((slot) => ({ ...slot, seen: fault(slot, keys, channel) })),
  }))
}
