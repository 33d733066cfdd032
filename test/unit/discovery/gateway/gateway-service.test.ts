import { describe, expect, it } from 'vitest'
import { sleep } from '../../../../src/base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../../../../src/base/errors.ts'
import {
  DHT_CLOSEST_NODES,
  GATEWAY_ANSWER_MS,
  GATEWAY_PUZZLE_BITS,
  GATEWAY_PUZZLE_FULL_BITS,
  GATEWAY_PUZZLE_GRACE_MS,
  GATEWAY_SAVE_MS,
  REQUEST_TIMEOUT_MS,
} from '../../../../src/base/limits.ts'
import {
  GATEWAY_RULES,
  type GatewayAsker,
  type GatewayRules,
} from '../../../../src/discovery/gateway/gateway-service.ts'
import { HEAD_BYTES, MAX_PUBLISH_AHEAD_MS } from '../../../../src/wire/constants.ts'
import {
  isBearable,
  isSolution,
  puzzleInput,
  puzzleNonce,
  puzzleSalt,
} from '../../../../src/wire/memory-puzzle.ts'
import { PUBLISH_OUTCOMES, type PublishedItem, type PuzzleParameters } from '../../../../src/wire/message.ts'
import { findPublishNonce, publishWork } from '../../../../src/wire/publish-work.ts'
import { asker, HOUR_MS, NOON, newKey, offered, quickHash, signed, WORK_BITS, World } from './gateway-rig.ts'

const NOTHING = { workBits: 0, nodes: 0, highestSeq: 0 }

const outcomeName = (outcome: number): string | undefined =>
  Object.entries(PUBLISH_OUTCOMES).find(([, number]) => number === outcome)?.[0]

describe('a gateway that is given an item', () => {
  it('writes it down, puts it, reads it back, and says how many nodes gave it', async () => {
    const world = new World()
    const item = signed()
    const answer = await world.publish(asker(), offered(item))
    expect(answer).toEqual({
      outcome: PUBLISH_OUTCOMES.stored,
      workBits: 0,
      nodes: DHT_CLOSEST_NODES,
      highestSeq: 0,
    })
    expect(world.network.holders(item.publicKey)).toBe(DHT_CLOSEST_NODES)
    expect(world.store.all().map((kept) => kept.item)).toEqual([item])
  })

  it('takes the head in clear of an open channel too', async () => {
    const world = new World()
    const answer = await world.publish(asker(), offered(signed(newKey(), 1, 1, HEAD_BYTES)))
    expect(answer.outcome).toBe(PUBLISH_OUTCOMES.stored)
  })

  const key = newKey()
  const small = (bytes: number): PublishedItem => offered(signed(newKey(), 1, 1, bytes))
  const good = offered(signed(key, 5))
  const turned = (bytes: Uint8Array, at: number, mask: number): Uint8Array => {
    const out = new Uint8Array(bytes)
    out[at] = (out[at] as number) ^ mask
    return out
  }
  /** S + L: the same equation, another encoding. */
  const uncanonical = (signature: Uint8Array): Uint8Array => {
    const order = (1n << 252n) + 27742317777372353535851937790883648493n
    const out = new Uint8Array(signature)
    let sum = order
    for (let i = 0; i < 32; i++) sum += BigInt(signature[32 + i] as number) << BigInt(8 * i)
    for (let i = 0; i < 32; i++) out[32 + i] = Number((sum >> BigInt(8 * i)) & 0xffn)
    return out
  }

  it.each<[string, PublishedItem, keyof typeof PUBLISH_OUTCOMES]>([
    ['a forged value', { ...good, value: turned(good.value, 9, 1) }, 'item'],
    ['a forged seq', { ...good, seq: 6 }, 'item'],
    ['a forged signature', { ...good, signature: turned(good.signature, 3, 1) }, 'item'],
    ['another key', { ...good, slotKey: newKey().publicKey }, 'item'],
    ['a signature that is not canonical', { ...good, signature: uncanonical(good.signature) }, 'item'],
    // 2^255 - 18, which is 1 encoded anew: a point of small order, not canonical.
    [
      'a key that is not canonical',
      { ...good, slotKey: Uint8Array.from([0xee, ...new Array(30).fill(0xff), 0x7f]) },
      'item',
    ],
    ['a key of small order', { ...good, slotKey: Uint8Array.from([1, ...new Array(31).fill(0)]) }, 'item'],
    ['one byte too many', small(609), 'size'],
    ['one byte too few', small(567), 'size'],
    ['as much as BEP 44 allows', small(996), 'size'],
    ['a time that is over', { ...good, notAfter: NOON }, 'window'],
    ['a time that ends before it begins', { ...good, notBefore: NOON + 2, notAfter: NOON + 1 }, 'window'],
    ['a time too far away', { ...good, notAfter: NOON + MAX_PUBLISH_AHEAD_MS + 1000 }, 'window'],
    ['an older seq', offered(signed(key, 3)), 'stale'],
    ['another value under the seq that is known', offered(signed(key, 4, 9)), 'stale'],
  ])('refuses %s, says why, and keeps nothing of it', async (_name, item, outcome) => {
    const world = new World()
    await world.publish(asker(), offered(signed(key, 4)))
    const before = [world.network.puts.length, world.store.saves]
    const answer = await world.publish(asker(), item)
    expect(outcomeName(answer.outcome)).toBe(outcome)
    expect(answer.highestSeq).toBe(outcome === 'stale' ? 4 : 0)
    expect([world.network.puts.length, world.store.saves]).toEqual(before)
  })

  it('looks at the work before anything else, and says how much it asks for', async () => {
    const world = new World()
    const from = asker()
    const item = { ...good, value: turned(good.value, 9, 1) }
    // A nonce that does less, and one that was done for another connection.
    let nonce = new Uint8Array(8)
    for (let at = 0; ; at++) {
      nonce = findPublishNonce(from.handshakeHash, item, 0, at, 1) as Uint8Array<ArrayBuffer>
      if (findPublishNonce(from.handshakeHash, item, WORK_BITS, at, 1) === null) break
    }
    const answer = await world.publish(from, item, { nonce })
    expect(answer).toEqual({ outcome: PUBLISH_OUTCOMES.work, workBits: WORK_BITS, nodes: 0, highestSeq: 0 })
  })

  it('never puts below what the DHT has, says so, and looks after the newer one from then on', async () => {
    const world = new World()
    const newer = signed(key, 9)
    world.network.plant(newer)
    const answer = await world.publish(asker(), good)
    expect(answer).toEqual({ outcome: PUBLISH_OUTCOMES.stale, workBits: 0, nodes: 0, highestSeq: 9 })
    expect(world.network.puts).toEqual([])
    expect(world.store.all().map((kept) => kept.item)).toEqual([newer])
  })

  it('takes a newer value in place of an older, and the same again for longer', async () => {
    const world = new World()
    await world.publish(asker(), good)
    await world.publish(asker(), offered(signed(key, 6)))
    expect(world.gateway.kept).toBe(1)
    const again = await world.publish(asker(), offered(signed(key, 6), { notAfter: NOON + 48 * HOUR_MS }))
    expect(again.outcome).toBe(PUBLISH_OUTCOMES.stored)
    await world.publish(asker(), offered(signed(key, 6)))
    expect(world.store.all().map((kept) => [kept.item.seq, kept.notAfter])).toEqual([
      [6, NOON + 48 * HOUR_MS],
    ])
  })

  it.each([
    ['later', { notBefore: NOON + 24 * HOUR_MS, notAfter: NOON + 25 * HOUR_MS }],
    ['for less', { notAfter: NOON + 1000 }],
  ])('is not made to drop it by a stranger who gives the same again %s', async (_name, window) => {
    const world = new World()
    await world.publish(asker(), good)
    await world.publish(asker('203.0.113.9'), { ...good, ...window })
    world.network.replaceAll()
    await world.clock.advance(2 * HOUR_MS)
    expect(world.network.holders(good.slotKey)).toBe(DHT_CLOSEST_NODES)
  })

  it('is not made to drop a key by a stranger who gives its newer value for a moment', async () => {
    const world = new World()
    await world.publish(asker(), good)
    const newer = offered(signed(key, 6), { notAfter: NOON + 1000 })
    await world.publish(asker('203.0.113.9'), newer)
    await world.clock.advance(2 * HOUR_MS)
    expect(world.store.all().map(({ item, notAfter }) => [item.seq, notAfter])).toEqual([[6, good.notAfter]])
  })

  it('waits with it until its time has come', async () => {
    const world = new World()
    const answer = await world.publish(asker(), { ...good, notBefore: NOON + 5 * HOUR_MS })
    expect(answer.outcome).toBe(PUBLISH_OUTCOMES.kept)
    await world.clock.advance(4 * HOUR_MS)
    expect(world.network.puts).toEqual([])
    await world.clock.advance(1.1 * HOUR_MS)
    expect(world.network.holders(good.slotKey)).toBe(DHT_CLOSEST_NODES)
  })

  it('says that it is kept when the DHT does not answer, and puts it when it does', async () => {
    const world = new World()
    world.dht.isReachable = false
    const answer = await world.publish(asker(), good)
    expect(answer).toEqual({ outcome: PUBLISH_OUTCOMES.kept, workBits: 0, nodes: 0, highestSeq: 0 })
    world.dht.isReachable = true
    await world.clock.advance(HOUR_MS / 4)
    expect(world.network.holders(good.slotKey)).toBe(DHT_CLOSEST_NODES)
  })

  it('says so in time when a put takes long', async () => {
    const world = new World()
    world.dht.updateMutable = () => new Promise(() => {})
    const from = asker()
    const answer = world.gateway.publish(from, world.message(from, good))
    await world.clock.advance(GATEWAY_SAVE_MS + GATEWAY_ANSWER_MS)
    expect((await answer).outcome).toBe(PUBLISH_OUTCOMES.kept)
  })

  it('is busy when the disk is full, and gives the place back', async () => {
    const world = new World({ rules: { places: 1 } })
    world.store.isFull = true
    const failed = await world.publish(asker(), good).catch((error: unknown) => error)
    expect(isMegatorrentError(failed, 'ERR_DISK_FULL')).toBe(true)
    await Promise.allSettled([1, 2, 3].map(() => world.publish(asker(), good)))
    expect(world.warned).toHaveLength(2) // not for each item: strangers would fill the log as well
    world.store.isFull = false
    expect((await world.publish(asker(), good)).outcome).toBe(PUBLISH_OUTCOMES.stored)
  })

  it('has no more than its places, also when one has to go that is not written down yet', async () => {
    const world = new World({ rules: { places: 2, workBits: -20 } })
    const publish = (host: string) => {
      const from = asker(host)
      return world.gateway.publish(from, world.message(from, offered(signed())))
    }
    const settling = Promise.allSettled([publish('a'), publish('a'), publish('b')])
    await world.clock.advance(1000)
    const settled = await settling
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(world.warned).toEqual([])
    expect([world.gateway.kept, world.store.items.size]).toEqual([2, 2])
  })

  it('has no more than its places, also when what had to go is given again at once', async () => {
    const world = new World({ rules: { places: 3, workBits: -20 } })
    const publish = (host: string, item: PublishedItem) => {
      const from = asker(host)
      return world.gateway.publish(from, world.message(from, item))
    }
    const twice = offered(signed())
    const settling = Promise.allSettled([
      publish('a', offered(signed())),
      publish('a', offered(signed())),
      publish('a', twice),
      publish('b', offered(signed())), // in the place of `twice`
      publish('c', twice),
    ])
    await world.clock.advance(1000)
    await settling
    expect([world.gateway.kept, world.store.items.size]).toEqual([3, 3])
  })

  it('writes nothing down again of what had to go while it was put', async () => {
    const world = new World({ rules: { places: 2, workBits: -20 } })
    const publish = (host: string, item: PublishedItem) => {
      const from = asker(host)
      return world.gateway.publish(from, world.message(from, item))
    }
    await Promise.all([publish('a', offered(signed())), world.clock.advance(100)])
    const update = world.dht.updateMutable.bind(world.dht)
    world.dht.updateMutable = async (...args) => {
      await sleep(world.clock, 1000)
      return update(...args)
    }
    const key = newKey()
    const going = publish('a', offered(signed(key, 1)))
    await world.clock.advance(100)
    world.network.plant(signed(key, 2))
    const coming = publish('b', offered(signed()))
    await world.clock.advance(5000)
    await Promise.all([going, coming])
    expect([world.gateway.kept, world.store.items.size]).toEqual([2, 2])
  })

  it('says of two values under one seq that come together that one is not taken', async () => {
    const world = new World({ rules: { workBits: -20 } })
    const key = newKey()
    const settling = Promise.all(
      [1, 2].map((fill) => {
        const from = asker(`host ${fill}`)
        return world.gateway.publish(from, world.message(from, offered(signed(key, 7, fill))))
      }),
    )
    await world.clock.advance(100)
    const answers = await settling
    expect(answers.map(({ outcome }) => outcomeName(outcome))).toEqual(['stored', 'stale'])
    expect(world.store.all().map(({ item }) => item.value[0])).toEqual([1])
  })

  it('writes nothing down when it is shown the same again', async () => {
    const world = new World()
    const from = asker()
    for (let i = 0; i < 3; i++) await world.publish(from, good)
    expect(world.store.saves).toBe(1)
    await world.publish(from, { ...good, notAfter: good.notAfter + 1 })
    expect(world.store.saves).toBe(2)
  })

  it('writes down a flood in few syncs of the disk', async () => {
    const world = new World({ rules: { workBits: 0 } })
    const items = Array.from({ length: 100 }, () => offered(signed()))
    const answers = items.map((item) => {
      const from = asker()
      return world.gateway.publish(from, world.message(from, item))
    })
    await world.clock.advance(GATEWAY_SAVE_MS)
    expect(world.store.saves).toBe(1)
    await world.clock.advance(1000)
    await Promise.all(answers)
  })
})

describe('a gateway that keeps an item', () => {
  const timing = { checkMinMs: HOUR_MS / 2, checkMaxMs: 1.5 * HOUR_MS, refreshMs: 1.5 * HOUR_MS }

  it('puts it back when the nodes have gone, and before they forget it', async () => {
    const world = new World({ timing })
    const item = offered(signed(), { notAfter: NOON + 48 * HOUR_MS })
    await world.publish(asker(), item)
    let least = DHT_CLOSEST_NODES
    for (let hour = 0; hour < 40; hour++) {
      if (hour === 20) world.network.replaceAll()
      await world.clock.advance(HOUR_MS)
      if (hour !== 20) least = Math.min(least, world.network.holders(item.slotKey))
    }
    expect(least).toBeGreaterThanOrEqual(8)
    const { length } = world.network.puts
    expect(length).toBeGreaterThan(20)
    expect(length).toBeLessThan(50)
  })

  it('forgets it when its time is over', async () => {
    const world = new World({ timing })
    await world.publish(asker(), offered(signed(), { notAfter: NOON + 3 * HOUR_MS }))
    await world.clock.advance(3 * HOUR_MS + 1000)
    expect([world.gateway.kept, world.store.items.size]).toEqual([0, 0])
    const { length } = world.network.puts
    await world.clock.advance(24 * HOUR_MS)
    expect([world.network.puts.length, world.clock.pendingTimers]).toEqual([length, 0])
  })

  it('looks after it over a restart', async () => {
    const world = new World({ timing })
    const item = offered(signed(), { notAfter: NOON + 48 * HOUR_MS })
    await world.publish(asker(), item)
    await world.restart()
    world.network.replaceAll()
    expect(world.gateway.kept).toBe(1)
    await world.clock.advance(HOUR_MS)
    expect(world.network.holders(item.slotKey)).toBe(DHT_CLOSEST_NODES)
    expect((await world.publish(asker(), { ...item, seq: 0 })).outcome).toBe(PUBLISH_OUTCOMES.stale)
  })

  it('takes over a newer value that it finds, and never puts the older one again', async () => {
    const world = new World({ timing })
    const key = newKey()
    await world.publish(asker(), offered(signed(key, 1), { notAfter: NOON + 48 * HOUR_MS }))
    const newer = signed(key, 2)
    world.network.plant(newer, 3)
    await world.clock.advance(24 * HOUR_MS)
    expect(world.store.all().map((kept) => kept.item)).toEqual([newer])
    expect(world.network.puts.slice(1).every((put) => put.item.seq === 2)).toBe(true)
    expect(world.network.holders(key.publicKey)).toBe(DHT_CLOSEST_NODES)
  })

  it('drops it when its owner has put something there that is no value of a channel', async () => {
    const world = new World({ timing })
    const key = newKey()
    await world.publish(asker(), offered(signed(key, 1), { notAfter: NOON + 48 * HOUR_MS }))
    world.network.plant(signed(key, 2, 1, 40))
    await world.clock.advance(3 * HOUR_MS)
    expect([world.gateway.kept, world.store.items.size]).toEqual([0, 0])
  })

  it('outlives a jump of the clock', async () => {
    const world = new World({ timing })
    await world.publish(asker(), offered(signed(), { notBefore: NOON + HOUR_MS }))
    world.clock.jumpWall(-24 * HOUR_MS)
    await world.clock.advance(2 * HOUR_MS)
    expect(world.network.puts).toEqual([])
    world.clock.jumpWall(72 * HOUR_MS)
    await world.clock.advance(HOUR_MS)
    expect(world.gateway.kept).toBe(0)
  })

  it('puts it when its time has come by the wall clock, whatever that does meanwhile', async () => {
    const world = new World({ timing })
    const item = offered(signed(), { notBefore: NOON + 20 * HOUR_MS })
    await world.publish(asker(), item)
    world.clock.jumpWall(20 * HOUR_MS)
    await world.clock.advance(HOUR_MS / 2)
    expect(world.network.holders(item.slotKey)).toBe(DHT_CLOSEST_NODES)
  })

  it('leaves nothing running when it is closed', async () => {
    const world = new World({ timing })
    await world.publish(asker(), offered(signed()))
    await world.gateway.close()
    expect(world.clock.pendingTimers).toBe(0)
  })

  it('has ended every put when it says that it is closed, and takes nothing after that', async () => {
    const world = new World({ timing })
    let isEnded = false
    world.dht.updateMutable = async (_key, _decide, options) => {
      await sleep(world.clock, HOUR_MS, options?.signal).catch(() => {})
      for (let turn = 0; turn < 20; turn++) await null // what a real one has to tidy up
      isEnded = true
      throw new MegatorrentError('ERR_ABORTED', 'stopped')
    }
    const from = asker()
    const answer = world.gateway.publish(from, world.message(from, offered(signed())))
    await world.clock.advance(GATEWAY_SAVE_MS)
    await world.gateway.close()
    expect(isEnded).toBe(true)
    await answer
    const { saves } = world.store
    const late = world.gateway.publish(from, world.message(from, offered(signed()))).catch((error) => error)
    expect(isMegatorrentError(await late, 'ERR_DHT_CLOSED')).toBe(true)
    expect([world.store.saves, world.clock.pendingTimers]).toEqual([saves, 0])
  })
})

describe('a gateway that is asked', () => {
  it('reads slots: values as the DHT has them, the highest first, and how many nodes answered', async () => {
    const world = new World()
    const key = newKey()
    const [old, young] = [signed(key, 1), signed(key, 2)]
    world.network.plant(old)
    world.network.plant(young, 3)
    const found = await world.gateway.readSlot(asker(), key.publicKey)
    expect(found.nearest).toBe(DHT_CLOSEST_NODES)
    expect(found.items).toEqual([
      { holders: 3, seq: 2, signature: young.signature, value: young.value },
      { holders: DHT_CLOSEST_NODES - 3, seq: 1, signature: old.signature, value: old.value },
    ])
    expect(await world.gateway.readSlot(asker(), newKey().publicKey)).toEqual({
      nearest: DHT_CLOSEST_NODES,
      items: [],
    })
  })

  it('gives out what the DHT has, not what it keeps', async () => {
    const world = new World()
    const item = offered(signed())
    await world.publish(asker(), item)
    world.network.replaceAll()
    expect((await world.gateway.readSlot(asker(), item.slotKey)).items).toEqual([])
  })

  it('looks up peers: a few, at ports that may be dialled, of our own network only to those in it', async () => {
    const world = new World()
    const topic = new Uint8Array(20).fill(3)
    const told = [
      ...Array.from({ length: 40 }, (_, i) => ({ host: `198.51.${i}.7`, port: 7117 })),
      { host: '198.51.100.9', port: 22 },
      { host: '10.0.0.3', port: 7117 },
      { host: '127.0.0.1', port: 7117 },
    ]
    world.dht.lookup = async (_topic, onPeer) => {
      told.forEach(onPeer)
      return { peers: told.length }
    }
    const found = await world.gateway.findPeers(asker(), topic)
    expect(found).toHaveLength(16)
    expect(found.every(({ host, port }) => host.startsWith('198.51.') && port === 7117)).toBe(true)
    told.splice(0, 40)
    expect(await world.gateway.findPeers(asker(), topic)).toEqual([])
    expect(await world.gateway.findPeers(asker('127.0.0.1', { hostClass: 'loopback' }), topic)).toHaveLength(
      2,
    )
  })

  it('is busy when one host asks too much at once, and not for others', async () => {
    const world = new World({ rules: { parallel: 1, waitingPerHost: 2 } })
    world.dht.getMutable = async (_key, options) => {
      await sleep(world.clock, HOUR_MS, options?.signal).catch(() => {})
      throw new MegatorrentError('ERR_ABORTED', 'stopped')
    }
    const reads = Array.from({ length: 4 }, () => world.gateway.readSlot(asker('a'), newKey().publicKey))
    const other = world.gateway.readSlot(asker('b'), newKey().publicKey)
    const failed = await reads[3]?.catch((error: unknown) => error)
    expect(isMegatorrentError(failed, 'ERR_DHT_BUSY')).toBe(true)
    await world.gateway.close()
    const settled = await Promise.allSettled([...reads.slice(0, 3), other])
    const codes = settled.map((one) => (one.status === 'rejected' ? one.reason.code : null))
    expect(codes).toEqual(['ERR_ABORTED', ...Array(3).fill('ERR_DHT_CLOSED')])
  })

  it('walks for nobody who has given up waiting', async () => {
    const world = new World({ rules: { parallel: 1 } })
    const topic = new Uint8Array(20)
    world.dht.getMutable = async () => {
      await sleep(world.clock, REQUEST_TIMEOUT_MS)
      return world.network.read(newKey().publicKey)
    }
    const settling = Promise.allSettled([
      world.gateway.readSlot(asker('a'), newKey().publicKey),
      world.gateway.readSlot(asker('b'), newKey().publicKey),
      world.gateway.findPeers(asker('c'), topic),
    ])
    await world.clock.advance(2 * REQUEST_TIMEOUT_MS)
    const settled = await settling
    expect(settled.map((one) => (one.status === 'rejected' ? one.reason.code : null))).toEqual([
      null,
      'ERR_DHT_BUSY',
      'ERR_DHT_BUSY',
    ])
  })
})

/** A gateway of which more than half of the places are taken. */
async function loaded(rules: Partial<GatewayRules> = {}): Promise<World> {
  const world = new World({ rules: { places: 64, perHost: 64, puzzle: GATEWAY_RULES.puzzle, ...rules } })
  expect(world.gateway.puzzle).toBeNull()
  for (let i = 0; i < 33; i++) await world.publish(asker(), offered(signed()))
  expect(world.gateway.puzzle).toBeNull()
  await world.publish(asker(), offered(signed()))
  return world
}

describe('a gateway under load', () => {
  it('asks for a puzzle, harder the more there is to do, and never for one that nobody solves', async () => {
    const world = await loaded()
    const puzzle = world.gateway.puzzle as PuzzleParameters
    expect(puzzle).toEqual({ memoryKib: 16_384, passes: 1, bits: GATEWAY_PUZZLE_BITS })
    const next = async (): Promise<void> => {
      const [from, item] = [asker(), offered(signed())]
      const asked = await world.publish(from, item)
      if (asked.puzzle === undefined) throw new Error('no puzzle')
      const puzzleNonce = await world.solve(from, item, asked.puzzle)
      expect((await world.publish(from, item, { puzzleNonce })).outcome).toBe(PUBLISH_OUTCOMES.stored)
    }
    while (world.gateway.kept < 64) await next()
    expect(world.gateway.puzzle).toEqual({ ...puzzle, bits: GATEWAY_PUZZLE_FULL_BITS })
    expect(isBearable({ ...puzzle, bits: GATEWAY_PUZZLE_FULL_BITS })).toBe(true)
  })

  it('keeps nothing that does not solve it, nor what solves that of another connection or item', async () => {
    const world = await loaded()
    const before = [world.network.puts.length, world.store.saves, world.gateway.kept]
    const [from, item] = [asker(), offered(signed())]
    const answer = await world.publish(from, item)
    const puzzle = answer.puzzle as PuzzleParameters
    expect(answer).toEqual({ outcome: PUBLISH_OUTCOMES.puzzle, ...NOTHING, puzzle })
    expect(world.hashes.made).toBe(0) // nothing was shown
    const salt = puzzleSalt(from.handshakeHash, item)
    let miss = 0
    while (isSolution(await quickHash(puzzleInput(salt, puzzleNonce(miss), puzzle)), puzzle)) miss++
    expect((await world.publish(from, item, { puzzleNonce: puzzleNonce(miss) })).outcome).toBe(8)
    expect([world.network.puts.length, world.store.saves, world.gateway.kept]).toEqual(before)
  })

  it.each<[string, (own: GatewayAsker, item: PublishedItem) => [GatewayAsker, PublishedItem]]>([
    ['connection', (_own, item) => [asker(), item]],
    ['item', (own, item) => [own, { ...item, notAfter: item.notAfter + 1 }]],
  ])('takes no solution for that of another %s', async (_name, other) => {
    const world = await loaded()
    let taken = 0
    // Of twelve that solve it for one, all solving it for the other would be one chance in 2^24.
    for (let i = 0; i < 12; i++) {
      const [own, item] = [asker(), offered(signed())]
      const solution = await world.solve(own, item, world.gateway.puzzle as PuzzleParameters)
      const answer = await world.publish(...other(own, item), { puzzleNonce: solution })
      if (answer.outcome !== PUBLISH_OUTCOMES.puzzle) taken++
    }
    expect(taken).toBeLessThan(12)
  })

  it('checks the hashcash, and all else that is cheap, before it makes a hash for a puzzle', async () => {
    const world = await loaded()
    const [from, item] = [asker(), offered(signed())]
    const shown = { puzzleNonce: puzzleNonce(1) }
    let at = 0
    while (publishWork(from.handshakeHash, item, puzzleNonce(at)) >= WORK_BITS) at++
    const outcomes = [
      await world.publish(from, item, { ...shown, nonce: puzzleNonce(at) }),
      await world.publish(from, offered(signed(newKey(), 1, 1, 700)), shown),
      await world.publish(from, { ...item, notAfter: NOON }, shown),
      await world.publish(from, { ...item, seq: 99 }, shown),
    ].map(({ outcome }) => outcomeName(outcome))
    expect(outcomes).toEqual(['work', 'size', 'window', 'item'])
    expect(world.hashes.made).toBe(0)
  })

  it('checks one at a time, no more than so many wait, and whoever has had least comes first', async () => {
    const puzzle = { ...GATEWAY_RULES.puzzle, waiting: 4, waitingPerHost: 4 }
    const world = await loaded({ puzzle })
    world.hashes.takesMs = 1000
    const order: string[] = []
    const show = async (host: string): Promise<string> => {
      const [from, item] = [asker(host), offered(signed())]
      const message = world.message(from, item, { puzzleNonce: puzzleNonce(1) })
      const settled = await world.gateway.publish(from, message).catch((error: MegatorrentError) => error)
      const said = settled instanceof MegatorrentError ? settled.code : 'answered'
      order.push(`${host} ${said}`)
      return said
    }
    const showing = ['a', 'a', 'a', 'a', 'a', 'a'].map(show)
    await world.clock.advance(10)
    showing.push(show('b'))
    await world.clock.advance(60_000)
    await Promise.all(showing)
    expect(world.hashes).toMatchObject({ most: 1 })
    // One is being checked and four wait: one more of the same is refused, and one of them for a newcomer.
    expect(order.filter((one) => one === 'a ERR_DHT_BUSY')).toHaveLength(2)
    expect(order.filter((one) => one.endsWith('answered')).slice(0, 2)).toEqual(['a answered', 'b answered'])
  })

  it('takes what solves the easier one that it asked for a moment ago, and not for long', async () => {
    const world = await loaded()
    const show = async (asked: PuzzleParameters): Promise<string | undefined> => {
      const [from, item] = [asker(), offered(signed())]
      const salt = puzzleSalt(from.handshakeHash, item)
      let at = 0
      // Solves what was asked for, and nothing harder.
      for (; ; at++) {
        const hash = await quickHash(puzzleInput(salt, puzzleNonce(at), asked))
        if (isSolution(hash, asked) && !isSolution(hash, { bits: asked.bits + 1 })) break
      }
      return outcomeName((await world.publish(from, item, { puzzleNonce: puzzleNonce(at) })).outcome)
    }
    const easy = world.gateway.puzzle as PuzzleParameters
    const next = async (): Promise<void> => {
      const [from, item] = [asker(), offered(signed())]
      const solution = await world.solve(from, item, world.gateway.puzzle as PuzzleParameters)
      await world.publish(from, item, { puzzleNonce: solution })
    }
    while (world.gateway.puzzle?.bits === easy.bits) await next()
    expect(await show(easy)).toBe('stored')
    await world.clock.advance(GATEWAY_PUZZLE_GRACE_MS)
    expect(await show(easy)).toBe('puzzle')
  })

  it('gives a place to no more than there are, also when it was checking others meanwhile', async () => {
    const world = await loaded({ places: 64, perHost: 2 })
    world.hashes.takesMs = 100
    const shown = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const [from, item] = [asker('203.0.113.9'), offered(signed())]
        const puzzle = world.gateway.puzzle as PuzzleParameters
        return { from, item, puzzleNonce: await world.solve(from, item, { ...puzzle, bits: 6 }) }
      }),
    )
    const settling = shown.map(({ from, item, puzzleNonce: nonce }) =>
      world.gateway.publish(from, world.message(from, item, { puzzleNonce: nonce })),
    )
    await world.clock.advance(5000)
    const outcomes = (await Promise.all(settling)).map(({ outcome }) => outcomeName(outcome))
    expect(outcomes.filter((name) => name === 'stored')).toHaveLength(2)
    expect(outcomes.filter((name) => name === 'quota')).toHaveLength(4)
  })

  it('takes nothing that was being checked when it was closed', async () => {
    const world = await loaded()
    world.hashes.takesMs = 1000
    const [from, item] = [asker(), offered(signed())]
    const puzzle = world.gateway.puzzle as PuzzleParameters
    const message = world.message(from, item, { puzzleNonce: await world.solve(from, item, puzzle) })
    const answer = world.gateway.publish(from, message).catch((error: unknown) => error)
    const { saves } = world.store
    const closing = world.gateway.close()
    await world.clock.advance(2000)
    await closing
    expect(isMegatorrentError(await answer, 'ERR_DHT_CLOSED')).toBe(true)
    expect(world.store.saves).toBe(saves)
  })
})
