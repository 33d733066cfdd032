/**
 * What DHT traffic costs, measured at the guard of a real node and put into the model.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DHT_IDLE_BYTES_PER_DAY, SLOT_REFRESH_MS } from '../../src/base/limits.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import {
  type DhtLoad,
  dailyTraffic,
  type MessageSizes,
  WORLD_SIZES,
  WORLD_WALK,
} from '../../src/discovery/dht-traffic.ts'
import type { MainlineDht } from '../../src/discovery/mainline.ts'
import { SLOT_VALUE_BYTES } from '../../src/wire/constants.ts'
import { signItem } from '../../src/wire/mutable-item.ts'
import { DhtNet } from './harness/dht-net.ts'

/** IPv4 and UDP headers. */
const HEADERS = 28

/** A hundred channels, looked after by nobody else; a tenth of the looks find nodes gone. */
const LOAD: DhtLoad = { channels: 100, holders: 1, putBackShare: 0.1 }

let net: DhtNet
let node: MainlineDht

beforeAll(async () => {
  net = await DhtNet.start(24)
  node = await net.addReader()
})

afterAll(() => net.dispose())

interface Cost {
  readonly queries: number
  readonly answers: number
  readonly bytesOut: number
  readonly bytesIn: number
}

/** What an operation costs, headers included. */
async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const before = { ...node.counters }
  await work()
  const after = node.counters
  const [out, answers] = [after.datagramsOut - before.datagramsOut, after.datagramsIn - before.datagramsIn]
  return {
    ...{ queries: out, answers },
    bytesOut: after.bytesOut - before.bytesOut + out * HEADERS,
    bytesIn: after.bytesIn - before.bytesIn + answers * HEADERS,
  }
}

/** On a busy machine an answer may come too late, and what is asked for it again is not the protocol's. */
const TRIES = 20

async function measure(): Promise<{ sizes: MessageSizes; knownQueries: number }> {
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const { costs, isComparable, ...measured } = await measureOnce()
    if (isComparable && costs.every(({ queries, answers }) => queries === answers)) return measured
  }
  throw new Error(`answers were late, or walks differed, in each of ${TRIES} tries`)
}

interface Measured {
  readonly sizes: MessageSizes
  readonly knownQueries: number
  readonly costs: readonly Cost[]
  /** Did all walks take as many queries? Only then is the difference of two of them what was written. */
  readonly isComparable: boolean
}

async function measureOnce(): Promise<Measured> {
  // A slot's item: its seq has 13 digits or more.
  const item = signItem(new SigningKey(randomBytes(32)), 2 ** 43, randomBytes(SLOT_VALUE_BYTES))
  const infohash = randomBytes(20)
  await node.putMutable(item)
  const get = await costOf(() => node.getMutable(item.publicKey))
  const put = await costOf(() => node.putMutable(item))
  const lookup = await costOf(() => node.lookup(infohash, () => {}))
  const again = await costOf(() => node.lookup(infohash, () => {}))
  const announce = await costOf(() => node.announce(infohash, 7_117))
  const writes = put.queries - get.queries
  const announcements = announce.queries - again.queries
  return {
    costs: [get, put, lookup, again, announce],
    isComparable: writes === announcements && get.queries === again.queries && get.queries === lookup.queries,
    knownQueries: Math.max(get.queries, again.queries),
    sizes: {
      walkQuery: Math.max(get.bytesOut / get.queries, lookup.bytesOut / lookup.queries),
      nodesReply: lookup.bytesIn / lookup.queries,
      slotReply: get.bytesIn / get.queries,
      putQuery: (put.bytesOut - get.bytesOut) / writes,
      announceQuery: (announce.bytesOut - again.bytesOut) / announcements,
      shortReply: Math.max(put.bytesIn - get.bytesIn, announce.bytesIn - again.bytesIn) / writes,
    },
  }
}

describe('the traffic of a hundred channels', () => {
  it('has messages of ours as long as the model says, and walks as short', async () => {
    const { sizes, knownQueries } = await measure()
    for (const field of ['walkQuery', 'putQuery', 'announceQuery'] as const) {
      expect(sizes[field], field).toBeLessThanOrEqual(WORLD_SIZES[field])
      expect(sizes[field], field).toBeGreaterThan(WORLD_SIZES[field] * 0.75)
    }
    expect(sizes.shortReply).toBeLessThanOrEqual(WORLD_SIZES.shortReply)
    expect(sizes.slotReply).toBeLessThanOrEqual(WORLD_SIZES.slotReply)
    expect(knownQueries).toBeLessThanOrEqual(WORLD_WALK.knownQueries)
  })

  it('stays within its budget, with the sizes measured here and with those of the world', async () => {
    const { sizes } = await measure()
    for (const assumed of [sizes, WORLD_SIZES]) {
      const traffic = dailyTraffic(LOAD, assumed, WORLD_WALK)
      expect(traffic.total).toBeLessThan(DHT_IDLE_BYTES_PER_DAY)
      // The model counts all of it, and not by accident nothing.
      const { slotReads, slotPuts, topics, blobs, upkeep } = traffic
      expect(slotReads + slotPuts + topics + blobs + upkeep).toBeCloseTo(traffic.total)
      expect(Math.min(slotReads, slotPuts, topics, blobs, upkeep)).toBeGreaterThan(10 ** 6)
    }
  })

  it('would not be within it if all refreshed what others do, or wrote to a hundred nodes', () => {
    const { total } = dailyTraffic({ ...LOAD, putBackShare: 1 }, WORLD_SIZES, WORLD_WALK)
    expect(total).toBeGreaterThan(DHT_IDLE_BYTES_PER_DAY)
    const far = dailyTraffic(LOAD, WORLD_SIZES, { ...WORLD_WALK, knownQueries: 36 })
    expect(far.total).toBeGreaterThan(DHT_IDLE_BYTES_PER_DAY)
    expect(SLOT_REFRESH_MS).toBeLessThan(7_200_000)
  })
})
