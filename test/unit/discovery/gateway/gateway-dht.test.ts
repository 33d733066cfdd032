/**
 * The DHT through gateways: honest ones over a DHT in memory, and those that lie about
 * what they stored, withhold, make up, refuse or are not there.
 */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../../src/base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../../../../src/base/errors.ts'
import { DHT_CLOSEST_NODES, GATEWAY_REST_MS } from '../../../../src/base/limits.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import { dayOf } from '../../../../src/crypto/key-schedule.ts'
import { type Errand, GatewayDht, type GatewayLink } from '../../../../src/discovery/gateway/gateway-dht.ts'
import { inTurn, judgeClaim } from '../../../../src/discovery/gateway/gateway-plan.ts'
import { SlotService } from '../../../../src/discovery/slot-service.ts'
import type { Address } from '../../../../src/wire/address.ts'
import { PUBLISH_OUTCOMES, type PublishAnswer, type PublishedItem } from '../../../../src/wire/message.ts'
import { newChannel, newHead } from '../channel-fixture.ts'
import { MemorySlotStore } from '../memory-dht.ts'
import { asker, NOON, newKey, signed, World } from './gateway-rig.ts'

type Manner =
  | 'honest'
  | 'says stored'
  | 'withholds'
  | 'makes up'
  | 'refuses'
  | 'is gone'
  | 'is cut off'
  | 'boasts'

const SPREAD_MS = 1000

/** Gateways of different manners over one DHT, and what they were asked. */
class Net {
  readonly world = new World({ rules: { workBits: 0 } })
  readonly asked: {
    readonly gateway: string
    readonly errand: Errand
    readonly what: string
    atMs: number
  }[] = []
  readonly warned: unknown[] = []
  readonly peers: Address[] = []
  readonly dht: GatewayDht<Manner>
  /** To those that boast: they put nothing, and give it back as if all the world had it. */
  readonly #given = new Map<string, PublishedItem>()
  seed: number

  constructor(manners: readonly Manner[], seed = 1, maxPeers = 16) {
    this.seed = seed
    this.dht = new GatewayDht({
      gateways: new Map(manners.map((manner, i) => [`gateway ${i}`, manner])),
      link: this.#link(),
      clock: this.world.clock,
      random: seededRandom(seed),
      log: { ...silentLog, warn: (_message, fields) => void this.warned.push(fields) },
      spreadMs: SPREAD_MS,
      maxPeers,
    })
  }

  /** What it comes to, with time moved on. */
  async wait<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    let result: { value: T } | { error: unknown } | null = null
    void settled.then((one) => {
      result = one
    })
    while (result === null) await this.world.clock.advance(100)
    const one = await settled
    if ('error' in one) throw one.error
    return one.value
  }

  #note(manner: Manner, errand: Errand, what: string): void {
    const gateway = errand.subject.match(/gateway \d/)?.[0] ?? ''
    this.asked.push({ gateway, errand, what, atMs: this.world.clock.monotonicMs() })
    if (manner === 'is gone') throw new MegatorrentError('ERR_DIAL_FAILED', 'nobody there')
  }

  #link(): GatewayLink<Manner> {
    const { gateway } = this.world
    return {
      publish: async (manner, errand, item) => {
        this.#note(manner, errand, 'put')
        if (manner === 'says stored') return answer(PUBLISH_OUTCOMES.stored, 8)
        if (manner === 'refuses') return answer(PUBLISH_OUTCOMES.quota)
        if (manner === 'boasts') {
          this.#given.set(toHex(item.slotKey), item)
          return answer(PUBLISH_OUTCOMES.stored, 0xffff)
        }
        const from = asker(toHex(item.slotKey))
        return gateway.publish(from, this.world.message(from, item))
      },
      readSlot: async (manner, errand, slotKey) => {
        this.#note(manner, errand, 'read')
        if (manner === 'is cut off') return { nearest: 0, items: [] }
        const given = this.#given.get(toHex(slotKey))
        if (manner === 'boasts' && given !== undefined) {
          return { nearest: 0xffff, items: [{ holders: 0xffff, ...given }] }
        }
        const found = await gateway.readSlot(asker(toHex(slotKey)), slotKey)
        if (manner === 'withholds' || manner === 'says stored') return { ...found, items: [] }
        if (manner !== 'makes up') return found
        const forged = { holders: 8, seq: 99, signature: new Uint8Array(64), value: new Uint8Array(608) }
        return { nearest: 8, items: [forged] }
      },
      findPeers: async (manner, errand) => {
        this.#note(manner, errand, 'peers')
        return manner === 'withholds' ? [] : this.peers
      },
    }
  }
}

function answer(outcome: number, nodes = 0): PublishAnswer {
  return { outcome, workBits: 0, nodes, highestSeq: 0 }
}

describe('putting through gateways', () => {
  it.each([1, 2, 3, 4, 5, 6])('gives the item to one and reads it back by another (%i)', async (seed) => {
    const net = new Net(['honest', 'honest', 'honest'], seed)
    const item = signed()
    const put = await net.wait(net.dht.putMutable(item))
    expect(put).toEqual({ storedBy: DHT_CLOSEST_NODES, alreadyHeldBy: 0, asked: 1, newer: null })
    expect(net.asked.map(({ what }) => what)).toEqual(['put', 'read'])
    expect(new Set(net.asked.map(({ gateway }) => gateway)).size).toBe(2)
    expect(net.dht.usable).toBe(2)
  })

  it('makes do with one gateway, over another connection', async () => {
    const net = new Net(['honest'])
    for (let i = 0; i < 2; i++) {
      expect((await net.wait(net.dht.putMutable(signed()))).storedBy).toBe(DHT_CLOSEST_NODES)
    }
    expect(new Set(net.asked.map(({ errand }) => errand.subject)).size).toBe(4)
  })

  it.each([1, 2, 3, 4, 5, 6])(
    'finds out a gateway that only says that it has stored it, at once, and has another do it (%i)',
    async (seed) => {
      const net = new Net(['says stored', 'honest', 'honest'], seed)
      // Each gateway has its turn within three puts: one cycle of a slot.
      for (let replica = 0; replica < 3; replica++) {
        const item = signed()
        const put = await net.wait(net.dht.putMutable(item))
        expect(put.storedBy).toBe(DHT_CLOSEST_NODES)
        expect(net.world.network.holders(item.publicKey)).toBe(DHT_CLOSEST_NODES)
      }
      expect(net.warned).toHaveLength(1)
      expect(net.warned[0]).toMatchObject({ gateway: 1 })
      // From now on it is asked for nothing, until its time is over.
      const before = net.asked.length
      for (let i = 0; i < 4; i++) await net.wait(net.dht.putMutable(signed()))
      expect(net.asked.slice(before).some(({ gateway }) => gateway === 'gateway 0')).toBe(false)
      await net.world.clock.advance(GATEWAY_REST_MS)
      for (let i = 0; i < 4; i++) await net.wait(net.dht.putMutable(signed()))
      expect(net.asked.slice(before).some(({ gateway }) => gateway === 'gateway 0')).toBe(true)
    },
  )

  it('counts nothing that nobody reads back', async () => {
    const net = new Net(['says stored', 'says stored', 'says stored'])
    const put = await net.wait(net.dht.putMutable(signed()))
    expect([put.storedBy, put.asked]).toEqual([0, 3])
    expect(net.warned).toHaveLength(3)
    const alone = new Net(['says stored'])
    expect((await alone.wait(alone.dht.putMutable(signed()))).storedBy).toBe(0)
    expect(alone.warned).toHaveLength(1)
  })

  it.each([1, 2, 3, 4, 5, 6])('does not take one that withholds for a witness (%i)', async (seed) => {
    const net = new Net(['withholds', 'honest', 'honest'], seed)
    for (let i = 0; i < 6; i++) {
      expect((await net.wait(net.dht.putMutable(signed()))).storedBy).toBe(DHT_CLOSEST_NODES)
    }
    expect(net.warned).toEqual([{ gateway: 1, why: 'does not find what another one does' }])
  })

  it('accuses nobody on the word of a gateway that does not reach the DHT itself', async () => {
    const net = new Net(['honest', 'is cut off', 'is cut off'])
    for (let i = 0; i < 6; i++) await net.wait(net.dht.putMutable(signed()))
    expect(net.warned).toEqual([])
  })

  it.each<Manner>(['refuses', 'is gone'])('goes on to the next when one %s', async (manner) => {
    const net = new Net([manner, manner, 'honest'])
    for (let i = 0; i < 3; i++) {
      const item = signed()
      await net.wait(net.dht.putMutable(item))
      expect(net.world.network.holders(item.publicKey)).toBe(DHT_CLOSEST_NODES)
    }
    expect(net.dht.usable).toBe(manner === 'is gone' ? 1 : 3)
  })

  it('says what newer value there is', async () => {
    const net = new Net(['honest', 'honest'])
    const key = newKey()
    const newer = signed(key, 9)
    net.world.network.plant(newer)
    const put = await net.wait(net.dht.putMutable(signed(key, 3)))
    expect(put).toEqual({ storedBy: 0, alreadyHeldBy: 0, asked: 1, newer })
  })

  it('sends nothing that is not signed', async () => {
    const net = new Net(['honest'])
    const item = { ...signed(), seq: 7 }
    await expect(net.dht.putMutable(item)).rejects.toBeInstanceOf(TypeError)
    expect(net.asked).toEqual([])
  })

  it('waits a random time before each, and ends when it is called off', async () => {
    const waits = new Set<number>()
    for (let seed = 0; seed < 8; seed++) {
      const net = new Net(['honest'], seed)
      await net.wait(net.dht.putMutable(signed()))
      const [first] = net.asked
      expect(first?.atMs).toBeLessThanOrEqual(SPREAD_MS)
      waits.add(Math.round(first?.atMs ?? 0))
    }
    expect(waits.size).toBeGreaterThan(5)
    const net = new Net(['honest'])
    const stopping = new AbortController()
    const failed = net.dht.putMutable(signed(), { signal: stopping.signal }).catch((error: unknown) => error)
    stopping.abort()
    expect(isMegatorrentError(await failed, 'ERR_ABORTED')).toBe(true)
    await net.dht.close()
    const closed = await net.dht.getMutable(newKey().publicKey).catch((error: unknown) => error)
    expect(isMegatorrentError(closed, 'ERR_DHT_CLOSED')).toBe(true)
  })
})

describe('reading through gateways', () => {
  it('gives what was signed, and how many nodes hold it', async () => {
    const net = new Net(['honest', 'honest'])
    const item = signed()
    net.world.network.plant(item, 3)
    const read = await net.wait(net.dht.getMutable(item.publicKey))
    expect(read.candidates).toEqual([{ item, holders: 3 }])
    expect([read.replied, read.nearest]).toEqual([DHT_CLOSEST_NODES, DHT_CLOSEST_NODES])
  })

  it('believes nothing that was made up, and leaves who did it alone', async () => {
    const net = new Net(['makes up', 'honest'])
    const item = signed()
    net.world.network.plant(item)
    const reads = [
      await net.wait(net.dht.getMutable(item.publicKey)),
      await net.wait(net.dht.getMutable(item.publicKey)),
    ]
    expect(reads.map(({ candidates }) => candidates.length).sort()).toEqual([0, 1])
    expect(net.warned).toEqual([{ gateway: 1, why: 'gave what nobody signed' }])
  })

  it('asks different gateways for what follows each other, and others when one does not answer', async () => {
    const net = new Net(['honest', 'honest', 'honest'])
    for (let i = 0; i < 3; i++) await net.wait(net.dht.getMutable(newKey().publicKey))
    expect(new Set(net.asked.map(({ gateway }) => gateway)).size).toBe(3)
    const broken = new Net(['is gone', 'is cut off', 'honest'])
    const item = signed()
    broken.world.network.plant(item)
    for (let i = 0; i < 4; i++) {
      expect((await broken.wait(broken.dht.getMutable(item.publicKey))).candidates).toHaveLength(1)
    }
  })

  it('is no error when no gateway answers: the counts show it', async () => {
    const net = new Net(['is gone', 'is gone'])
    const read = await net.wait(net.dht.getMutable(newKey().publicKey))
    expect([read.replied, read.candidates.length, net.dht.usable]).toEqual([0, 0, 0])
  })

  it('looks up peers once each, and announces nothing', async () => {
    const net = new Net(['withholds', 'honest'])
    net.peers.push(
      { kind: 'ipv4', host: '192.0.2.1', port: 7117 },
      { kind: 'ipv4', host: '192.0.2.1', port: 7117 },
    )
    const found: unknown[] = []
    const topic = new Uint8Array(20)
    await net.wait(net.dht.announce(topic, 7117, { onPeer: (peer) => found.push(peer) }))
    expect(found).toEqual([{ host: '192.0.2.1', port: 7117 }])
    expect(net.world.network.announces).toEqual([])
  })
})

describe('peers that gateways find', () => {
  it('are given out up to the number that is wanted', async () => {
    const net = new Net(['honest'], 1, 2)
    for (let i = 1; i <= 5; i++) net.peers.push({ kind: 'ipv4', host: `9.9.9.${i}`, port: 7117 })
    const found: unknown[] = []
    expect(await net.wait(net.dht.lookup(new Uint8Array(20), (peer) => found.push(peer)))).toEqual({
      peers: 2,
    })
    expect(found).toHaveLength(2)
  })
})

describe('a channel through gateways', () => {
  const service = (net: Net): SlotService =>
    new SlotService({
      dht: net.dht,
      store: new MemorySlotStore(),
      clock: net.world.clock,
      random: seededRandom(5),
      log: silentLog,
    })

  it('is published and resolved; each slot, put or read, on an errand of its own', async () => {
    const net = new Net(['honest', 'honest', 'honest', 'honest'])
    const keys = newChannel()
    const head = newHead(keys, 3)
    const { storedBy } = await net.wait(service(net).publish(keys, head.bytes))
    expect(storedBy).toBe(DHT_CLOSEST_NODES)
    const puts = net.asked.filter(({ what }) => what === 'put')
    expect(new Set(puts.map(({ gateway }) => gateway)).size).toBe(3)
    expect(new Set(puts.map(({ errand }) => errand.subject)).size).toBe(3)
    const reads = net.asked.filter(({ what }) => what === 'read').map(({ errand }) => errand.subject)
    expect(reads.filter((subject) => puts.some(({ errand }) => errand.subject === subject))).toEqual([])
    const { newest } = await net.wait(service(net).resolve(keys))
    expect(newest?.head.bytes).toEqual(head.bytes)
    expect(dayOf(NOON)).toBe(newest?.place.day)
  })

  it('is not published on the word of the gateway that says so, when no other can be asked', async () => {
    const net = new Net(['boasts', 'is gone', 'is gone'])
    const keys = newChannel()
    expect((await net.wait(service(net).publish(keys, newHead(keys, 3).bytes))).storedBy).toBe(0)
  })

  it('is on no more nodes than one look can find, whatever a gateway says', async () => {
    const net = new Net(['boasts', 'boasts'])
    const keys = newChannel()
    const { storedBy } = await net.wait(service(net).publish(keys, newHead(keys, 3).bytes))
    expect(storedBy).toBeLessThanOrEqual(DHT_CLOSEST_NODES)
  })
})

describe('whose turn it is', () => {
  const record = (key: string, readMs: number, restUntilMs = 0) => ({
    key,
    putMs: 10 - readMs,
    readMs,
    restUntilMs,
    isReached: null,
  })

  it('is that of the one asked longest ago, by chance among equals, and of resting ones last', () => {
    const all = [record('a', 5), record('b', 3), record('c', 1, 100), record('d', 3)]
    const orders = Array.from({ length: 30 }, (_, seed) =>
      inTurn(all, 'readMs', 50, seededRandom(seed))
        .map(({ key }) => key)
        .join(''),
    )
    expect(new Set(orders)).toEqual(new Set(['bdac', 'dbac']))
    expect(inTurn(all, 'readMs', 100, seededRandom(1))[0]?.key).toBe('c')
    expect(inTurn(all, 'putMs', 50, seededRandom(1))[0]?.key).toBe('a')
  })
})

describe('a claim to have stored an item', () => {
  const value = Uint8Array.of(1)
  const claim = { gateway: 'g', seq: 5, value }
  const has = (gateway: string, seq = 5, bytes = value) => ({ gateway, found: [{ seq, value: bytes }] })
  const nothing = (gateway: string) => ({ gateway, found: [] })

  it.each([
    ['one other has it', [has('a')], 3, { isTrue: true, withheldBy: [] }],
    ['one other has a newer one', [has('a', 6, Uint8Array.of(2))], 3, { isTrue: true, withheldBy: [] }],
    ['one other has nothing', [nothing('a')], 3, null],
    ['one other has an older one', [has('a', 4)], 3, null],
    ['one other has another value', [has('a', 5, Uint8Array.of(2))], 3, null],
    ['two others have nothing', [nothing('a'), nothing('b')], 3, { isTrue: false, withheldBy: [] }],
    ['the only other one has nothing', [nothing('a')], 2, { isTrue: false, withheldBy: [] }],
    ['one of two has it', [nothing('a'), has('b')], 3, { isTrue: true, withheldBy: ['a'] }],
    ['only itself has it', [has('g')], 3, null],
    ['it is alone and has it', [has('g')], 1, { isTrue: true, withheldBy: [] }],
    ['it is alone and has nothing', [nothing('g')], 1, { isTrue: false, withheldBy: [] }],
    ['nobody was asked', [], 2, null],
  ])('%s', (_name, readings, count, expected) => {
    expect(judgeClaim(claim, readings, count)).toEqual(expected)
  })
})
