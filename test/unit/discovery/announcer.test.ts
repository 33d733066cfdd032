import { describe, expect, it } from 'vitest'
import { equalBytes, toHex } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import {
  BLOB_ANNOUNCES_PER_HOUR,
  TOPIC_ANNOUNCE_MAX_MS,
  TOPIC_ANNOUNCE_MIN_MS,
} from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { dayOf, topic } from '../../../src/crypto/key-schedule.ts'
import { Announcer, type AnnouncerOptions } from '../../../src/discovery/announcer.ts'
import type { DhtAddress } from '../../../src/discovery/dht.ts'
import { newChannel } from './channel-fixture.ts'
import { MemoryNetwork } from './memory-dht.ts'

const HOUR = 3_600_000
const NOON = Date.UTC(2026, 5, 1, 12)

function newWorld(startMs = NOON) {
  const clock = new ManualClock(startMs)
  const network = new MemoryNetwork(clock)
  let seed = 1
  const open = (options: Partial<AnnouncerOptions> = {}): Announcer =>
    new Announcer({
      dht: network.dht(),
      clock,
      random: seededRandom(seed++),
      log: silentLog,
      port: () => 7_117,
      ...options,
    })
  return { clock, network, open }
}

const ignore = (): void => {}

describe('topics', () => {
  it('are announced at once and then every 25 to 30 minutes, and others find the peer by the link alone', async () => {
    const { clock, network, open } = newWorld()
    const keys = newChannel()
    const announcer = open()
    announcer.follow({ keys, onPeer: ignore })
    await clock.advance(0)
    expect(network.announces).toHaveLength(1)
    expect(network.announces[0]?.infohash).toEqual(topic(keys.secret, dayOf(NOON)))
    const found: DhtAddress[] = []
    const reader = open()
    expect(await reader.lookup({ keys, onPeer: (peer) => found.push(peer) })).toBe(1)
    expect(found).toEqual([{ host: '192.0.2.1', port: 7_117 }])
    await clock.advance(6 * HOUR)
    const times = network.announces.map(({ atMs }) => atMs)
    for (const [index, atMs] of times.slice(1).entries()) {
      expect(atMs - (times[index] as number)).toBeGreaterThanOrEqual(TOPIC_ANNOUNCE_MIN_MS)
      expect(atMs - (times[index] as number)).toBeLessThanOrEqual(TOPIC_ANNOUNCE_MAX_MS)
    }
    expect(times.length).toBeGreaterThan(11)
    await Promise.all([announcer.close(), reader.close()])
    expect(clock.pendingTimers).toBe(0)
  })

  it('of both days are announced and looked for around midnight', async () => {
    const { clock, network, open } = newWorld(Date.UTC(2026, 5, 1, 22))
    const keys = newChannel()
    const announcer = open()
    const days: number[] = []
    announcer.follow({ keys, onPeer: ignore })
    await clock.advance(0)
    const today = dayOf(clock.now())
    const topics = network.announces.map(({ infohash }) => toHex(infohash))
    expect(topics).toEqual([today, today + 1].map((day) => toHex(topic(keys.secret, day))))
    await open().lookup({ keys, onPeer: (_peer, day) => days.push(day) })
    expect(days).toEqual([today, today + 1])
    await announcer.close()
  })

  it('give out the peers that are met, while announcing and while we have no port', async () => {
    const { clock, network, open } = newWorld()
    const keys = newChannel()
    const met: number[] = []
    const first = open()
    first.follow({ keys, onPeer: ({ port }) => met.push(port) })
    await clock.advance(0)
    const second = open({ port: () => 8_000 })
    second.follow({ keys, onPeer: ({ port }) => met.push(port) })
    await clock.advance(0)
    expect(met).toEqual([7_117])
    const hidden = open({ port: () => null })
    hidden.follow({ keys, onPeer: ({ port }) => met.push(port) })
    await clock.advance(0)
    expect(met).toEqual([7_117, 7_117, 8_000])
    expect(network.announces).toHaveLength(2)
    await Promise.all([first.close(), second.close(), hidden.close()])
  })

  it('are looked up at once when there is news and nobody can find us, and then go on as before', async () => {
    const { clock, network, open } = newWorld()
    const keys = newChannel()
    const met: number[] = []
    const hidden = open({ port: () => null })
    const stop = hidden.follow({ keys, onPeer: ({ port }) => met.push(port) })
    hidden.onNews(keys.publicKey) // the first round runs
    await clock.advance(0)
    const reader = open()
    reader.follow({ keys, onPeer: ignore })
    await clock.advance(0)
    expect(met).toEqual([])
    hidden.onNews(keys.publicKey)
    hidden.onNews(keys.publicKey) // that round runs
    await clock.advance(0)
    expect(met).toEqual([7_117])
    await clock.advance(TOPIC_ANNOUNCE_MIN_MS - 1)
    expect(met).toHaveLength(1)
    await clock.advance(TOPIC_ANNOUNCE_MAX_MS - TOPIC_ANNOUNCE_MIN_MS + 1)
    expect(met).toHaveLength(2)
    const before = network.announces.length
    reader.onNews(keys.publicKey) // it is found as it is
    await clock.advance(0)
    expect(network.announces).toHaveLength(before)
    stop()
    hidden.onNews(keys.publicKey)
    await clock.advance(0)
    expect(met).toHaveLength(2)
    await Promise.all([hidden.close(), reader.close()])
    expect(clock.pendingTimers).toBe(0)
  })

  it('are left alone when they are no longer followed', async () => {
    const { clock, network, open } = newWorld()
    const announcer = open()
    const keys = newChannel()
    announcer.follow({ keys, onPeer: ignore })
    const stop = announcer.follow({ keys, onPeer: ignore })
    await clock.advance(1)
    const before = network.announces.length
    stop()
    await clock.advance(5 * HOUR)
    expect(network.announces).toHaveLength(before)
    expect(clock.pendingTimers).toBe(0)
    await announcer.close()
  })

  it('are tried again soon while no node is known', async () => {
    const { clock, network, open } = newWorld()
    const dht = network.dht()
    dht.isReachable = false
    const announcer = open({ dht })
    announcer.follow({ keys: newChannel(), onPeer: ignore })
    await clock.advance(10 * 60_000)
    expect(network.announces).toHaveLength(0)
    dht.isReachable = true
    await clock.advance(60_001)
    expect(network.announces).toHaveLength(1)
    await announcer.close()
  })
})

describe('blobs', () => {
  const ids = Array.from({ length: 200 }, (_, i) => new Uint8Array(32).fill(i))
  const nextBlob = async (after: Uint8Array | null): Promise<Uint8Array | null> =>
    ids.find((id) => after === null || Buffer.compare(id, after) > 0) ?? null

  it('are announced by the first 20 bytes of their ids, within the budget, each in turn', async () => {
    const { clock, network, open } = newWorld()
    const announcer = open({ nextBlob })
    await clock.advance(HOUR)
    expect(network.announces.length).toBeLessThanOrEqual(BLOB_ANNOUNCES_PER_HOUR * 1.2)
    expect(network.announces.length).toBeGreaterThan(BLOB_ANNOUNCES_PER_HOUR * 0.8)
    await clock.advance(8 * HOUR)
    expect(network.announces.every(({ infohash }) => infohash.length === 20)).toBe(true)
    // However many there are, the budget is the same; and after some hours all had their turn.
    const distinct = new Set(network.announces.map(({ infohash }) => infohash[0]))
    expect(network.announces.length).toBeLessThan(9 * BLOB_ANNOUNCES_PER_HOUR * 1.1)
    expect(distinct.size).toBe(200)
    await announcer.close()
  })

  it('begin at another one after each start', async () => {
    const firsts = new Set<number>()
    const { clock, network, open } = newWorld()
    for (let i = 0; i < 6; i++) {
      const announcer = open({ nextBlob })
      const before = network.announces.length
      await clock.advance(HOUR / 10)
      firsts.add(network.announces[before]?.infohash[0] ?? -1)
      await announcer.close()
    }
    expect(firsts.size).toBeGreaterThan(3)
    expect(firsts.has(-1)).toBe(false)
  })

  it('are not announced while we have no port, no nodes or no blobs, and failures pass', async () => {
    const { clock, network, open } = newWorld()
    const unreachable = network.dht()
    unreachable.isReachable = false
    const announcers = [
      open({ nextBlob, port: () => null }),
      open({ nextBlob, dht: unreachable }),
      open({ nextBlob: async () => null }),
      open({ nextBlob: () => Promise.reject(new Error('a database that is closed')) }),
      open(),
    ]
    await clock.advance(2 * HOUR)
    expect(network.announces).toHaveLength(0)
    await Promise.all(announcers.map((announcer) => announcer.close()))
    expect(clock.pendingTimers).toBe(0)
  })

  it('leave room for channels: at most two announcements run at a time', async () => {
    const { clock, network, open } = newWorld()
    const dht = network.dht()
    let running = 0
    let most = 0
    const slow = dht.announce.bind(dht)
    dht.announce = async (...args) => {
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => void clock.setTimer(resolve, 1_000))
      running--
      return slow(...args)
    }
    const announcer = open({ dht })
    const channels = Array.from({ length: 7 }, () => newChannel())
    for (const keys of channels) announcer.follow({ keys, onPeer: ignore })
    await clock.advance(10_000)
    expect(most).toBe(2)
    const announced = (secret: Uint8Array): boolean =>
      network.announces.some(({ infohash }) => equalBytes(infohash, topic(secret, dayOf(NOON))))
    expect(channels.every(({ secret }) => announced(secret))).toBe(true)
    await announcer.close()
  })
})
