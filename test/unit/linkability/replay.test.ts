/** What a crawler can do with what it holds: give it out in the wrong place, or too late. Readers take none of it. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { DhtGetResult } from '../../../src/discovery/dht.ts'
import { chooseHead, readSlot } from '../../../src/discovery/slots.ts'
import { DAY_MS } from '../../../src/wire/constants.ts'
import type { MutableItem } from '../../../src/wire/mutable-item.ts'
import { openSlot } from '../../../src/wire/slot.ts'
import { codeOf } from '../wire/refusal.ts'
import { type CrawledChannel, crawl, type SeenKey, type Slot } from './crawl.ts'

const itemOf = ({ publicKey, versions }: SeenKey, at: number): MutableItem => {
  const version = versions.at(at)
  if (version === undefined) throw new Error('no such version')
  return { publicKey, seq: version.seq, value: version.value, signature: version.signature }
}

describe('a crawled item', () => {
  let channels: CrawledChannel[]
  let slot: Slot

  beforeAll(async () => {
    // A release at noon of the first day, which changes slots that are there.
    const habit = () => ({ releasesMs: [1.5 * DAY_MS], isOnline: () => true })
    channels = await crawl({ channels: 2, days: 2, habit, seed: 4 })
    slot = channels[0]?.slots[0] as Slot
  })

  const refusal = (channel: number, place: { day: number; replica: number }, item: MutableItem) =>
    codeOf(() => openSlot((channels[channel] as CrawledChannel).keys, place, item))

  it('opens in its place', () => {
    for (const [channel, { slots }] of channels.entries()) {
      expect(slots).toHaveLength(6)
      for (const one of slots) expect(refusal(channel, one, itemOf(one.seen, -1))).toBeNull()
    }
  })

  it('is refused on the wrong day, also under the key of that day', () => {
    const { day, replica, seen } = slot
    const tomorrow = channels[0]?.slots.find((one) => one.day === day + 1 && one.replica === replica) as Slot
    expect(refusal(0, tomorrow, itemOf(seen, -1))).toBe('ERR_SLOT_KEY')
    const moved = { ...itemOf(seen, -1), publicKey: tomorrow.seen.publicKey }
    expect(refusal(0, tomorrow, moved)).toBe('ERR_ITEM_SIGNATURE')
  })

  it('is refused for the wrong channel, also under a key of that channel', () => {
    const other = channels[1]?.slots[0] as Slot
    expect(refusal(1, other, itemOf(slot.seen, -1))).toBe('ERR_SLOT_KEY')
    const moved = { ...itemOf(slot.seen, -1), publicKey: other.seen.publicKey }
    expect(refusal(1, other, moved)).toBe('ERR_ITEM_SIGNATURE')
  })

  it('that is older than what a reader knows is stale, though it opens', () => {
    const { keys } = channels[0] as CrawledChannel
    const known = openSlot(keys, slot, itemOf(slot.seen, -1))
    const old = itemOf(slot.seen, 0)
    expect(old.seq).toBeLessThan(itemOf(slot.seen, -1).seq)
    const replayed: DhtGetResult = {
      candidates: [{ item: old, holders: 8 }],
      refused: 0,
      asked: 8,
      replied: 8,
      nearest: 8,
    }
    const { found } = readSlot(keys, slot, replayed)
    expect(found).toHaveLength(1)
    expect(chooseHead(found, known)).toMatchObject({ newest: null, stale: 1 })
    expect(chooseHead(found, null).newest).not.toBeNull()
  })
})
