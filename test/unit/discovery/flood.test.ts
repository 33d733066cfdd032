import { describe, expect, it } from 'vitest'
import {
  FLOOD_EMBARGO_MS,
  FLOOD_GUEST_BURST,
  FLOOD_GUEST_STATEMENTS_PER_SECOND,
  FLOOD_NARROW_NEIGHBOURS,
  FLOOD_PEER_BURST,
  FLOOD_PEER_STATEMENTS_PER_SECOND,
  FLOOD_STATEMENT_BURST,
  FLOOD_STATEMENTS_PER_SECOND,
  FLOOD_WIDE_STATEMENTS,
  MAX_FLOOD_HELD,
  MAX_FLOOD_NEIGHBOURS,
  MAX_FLOOD_QUEUE,
  MAX_FLOOD_SEEN,
} from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Flood, type FloodDeps, relayIdOf } from '../../../src/discovery/flood.ts'
import { DAY_MS, MAX_ANNOUNCE_HOPS } from '../../../src/wire/constants.ts'
import { readStatement, verifyStatement } from '../../../src/wire/onion-statement.ts'
import { SimClock } from '../swarm/sim-clock.ts'
import { FloodNet } from './flood-graph.ts'
import { spiesFindOrigin } from './flood-spies.ts'
import { madeUpStatement, signedStatement, TEST_WORK_BITS } from './statements.ts'

const NOON = Date.UTC(2026, 0, 1, 12)

function node(neighbours = 4, change: Partial<FloodDeps> = {}): { flood: Flood; clock: SimClock } {
  const clock = new SimClock(NOON)
  const flood = new Flood({
    clock,
    random: seededRandom(1),
    relayId: relayIdOf(new Uint8Array(32)),
    verify: (statement) => verifyStatement(statement, TEST_WORK_BITS),
    ...change,
  })
  for (let i = 0; i < neighbours; i++) flood.join(`n${i}`, relayIdOf(seededRandom(i).bytes(32)))
  return { flood, clock }
}

/** What is sent in the next so many ms: neighbour and hops of each statement. */
async function sentIn(flood: Flood, clock: SimClock, ms: number): Promise<string[]> {
  const endMs = clock.monotonicMs() + ms
  const sent: string[] = []
  while (flood.nextMs <= endMs) {
    await clock.advance(Math.max(0, flood.nextMs - clock.monotonicMs()))
    for (const { neighbour, statements } of flood.take()) {
      for (const { hops } of statements) sent.push(`${neighbour} ${hops}`)
    }
  }
  await clock.advance(endMs - clock.monotonicMs())
  return sent.sort()
}

describe('one announcement', () => {
  // The same with many more seeds: test/slow/flood.test.ts.
  it.each([
    [50, 3],
    [200, 1],
  ])(
    'in connected random 8-regular graphs of %i nodes reaches all, at most twice an edge, and stops',
    async (nodes, seeds) => {
      for (let seed = 1; seed <= seeds; seed++) {
        const net = new FloodNet({ nodes, seed })
        const bytes = madeUpStatement(net.random, NOON)
        expect(net.announce(net.anyNode(), bytes)).toBe(true)
        expect(await net.run(), `seed ${seed} comes to rest`).toBe(true)
        expect(net.reached(readStatement(bytes).topic), `seed ${seed}`).toBe(nodes)
        expect(net.sent, `seed ${seed}`).toBeLessThanOrEqual(2 * net.edgeCount)
        expect(net.stemSent).toBeGreaterThan(0)
        // It really was a flood: nearly every edge saw it.
        expect(net.sent).toBeGreaterThan(net.edgeCount)
      }
    },
  )

  it('reaches all although a fifth of the nodes hand nothing on, the first of the stem among them', async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const silent = new Set(Array.from({ length: 10 }, (_, i) => i + 1))
      const net = new FloodNet({ nodes: 50, seed, silent })
      const bytes = madeUpStatement(net.random, NOON)
      net.announce(0, bytes)
      await net.run()
      expect(net.reached(readStatement(bytes).topic), `seed ${seed}`).toBe(50)
    }
  })
})

describe('the origin of an announcement in 100 nodes, a tenth of them spies', () => {
  // The figures, of many more runs: test/slow/flood.test.ts.
  it('is guessed in under a fifth of the runs, and more often in a flood without a stem', async () => {
    const share = async (runs: number, isPlain: boolean): Promise<number> => {
      let guessed = 0
      for (let seed = 1; seed <= runs; seed++) {
        if (await spiesFindOrigin({ nodes: 100, spyShare: 0.1, seed, isPlain })) guessed++
      }
      return guessed / runs
    }
    expect(await share(60, false)).toBeLessThan(0.2)
    expect(await share(40, true)).toBeGreaterThan(0.3)
  })
})

describe('a statement', () => {
  it('of a guest goes to one neighbour, on the stem, and to all when no flood of it comes back', async () => {
    const { flood, clock } = node()
    const statement = signedStatement(1, NOON)
    expect(flood.receive(null, { hops: 0, statement })).toBe('taken')
    expect(flood.receive(null, { hops: 0, statement })).toBe('known')
    const first = await sentIn(flood, clock, FLOOD_EMBARGO_MS / 2)
    expect(first).toHaveLength(1)
    expect(first[0]).toMatch(/^n\d 0$/)
    expect(await sentIn(flood, clock, 3 * FLOOD_EMBARGO_MS)).toEqual(['n0 1', 'n1 1', 'n2 1', 'n3 1'])
    expect(flood.nextMs).toBe(Number.POSITIVE_INFINITY)
  })

  it('of a guest that comes back in a flood is handed on like any other', async () => {
    const { flood, clock } = node()
    const statement = signedStatement(1, NOON)
    flood.receive(null, { hops: 0, statement })
    await sentIn(flood, clock, FLOOD_EMBARGO_MS / 2)
    expect(flood.receive('n2', { hops: 5, statement })).toBe('known')
    expect(await sentIn(flood, clock, 3 * FLOOD_EMBARGO_MS)).toEqual(['n0 6', 'n1 6', 'n3 6'])
  })

  it('told to one that has no neighbours is found there, and nowhere else', () => {
    const { flood } = node(0)
    const statement = signedStatement(1, NOON)
    expect(flood.receive(null, { hops: 0, statement })).toBe('taken')
    expect(flood.find(readStatement(statement).topic)).toHaveLength(1)
    expect(flood.nextMs).toBe(Number.POSITIVE_INFINITY)
  })

  it('of a guest never begins the flood at once, whoever ends stems', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const { flood, clock } = node(6, { random: seededRandom(seed) })
      flood.receive(null, { hops: 0, statement: signedStatement(1, NOON) })
      expect(await sentIn(flood, clock, FLOOD_EMBARGO_MS / 2), `seed ${seed}`).toEqual([
        expect.stringMatching(/^n\d 0$/),
      ])
    }
  })

  it('from the stem is sent on to one other, the same for all of that neighbour, or flooded', async () => {
    const ways = new Map<string, number>()
    for (let seed = 0; seed < 200; seed++) {
      const { flood, clock } = node(6, { random: seededRandom(seed), verify: () => true })
      const random = seededRandom(seed)
      for (let i = 0; i < 3; i++) {
        expect(flood.receive('n0', { hops: 0, statement: madeUpStatement(random, NOON) })).toBe('taken')
      }
      const sent = await sentIn(flood, clock, FLOOD_EMBARGO_MS / 2)
      const isFlood = sent.every((text) => text.endsWith(' 1'))
      if (isFlood)
        expect(sent).toHaveLength(3 * 6) // also to whom it came from, who has it on the stem only
      else {
        expect(sent).toHaveLength(3)
        expect(new Set(sent).size).toBe(1)
        expect(sent[0]).not.toMatch(/^n0/)
      }
      ways.set(isFlood ? 'flood' : 'stem', (ways.get(isFlood ? 'flood' : 'stem') ?? 0) + 1)
    }
    expect(ways.get('flood')).toBeGreaterThan(5)
    expect(ways.get('flood')).toBeLessThan(45)
  })

  it('that comes round on the stem is flooded', async () => {
    const { flood, clock } = node(6, { random: seededRandom(2) })
    const statement = signedStatement(1, NOON)
    flood.receive('n0', { hops: 0, statement })
    expect(await sentIn(flood, clock, 10_000)).toHaveLength(1)
    flood.receive('n4', { hops: 0, statement })
    expect(await sentIn(flood, clock, 60_000)).toHaveLength(6)
  })

  it('is not sent to those who sent it meanwhile, and only once to the others', async () => {
    const { flood, clock } = node()
    const statement = signedStatement(1, NOON)
    expect(flood.receive('n0', { hops: 1, statement })).toBe('taken')
    for (const from of ['n0', 'n1', 'n1']) expect(flood.receive(from, { hops: 2, statement })).toBe('known')
    expect(await sentIn(flood, clock, 60_000)).toEqual(['n2 2', 'n3 2'])
    expect(flood.receive('n3', { hops: 9, statement })).toBe('known')
    expect(await sentIn(flood, clock, 3_600_000)).toEqual([])
  })

  it('travels no more than 64 hops', async () => {
    const { flood, clock } = node()
    const random = seededRandom(1)
    const real = { ...node(4, { verify: () => true }), random }
    expect(
      real.flood.receive('n0', { hops: MAX_ANNOUNCE_HOPS - 1, statement: madeUpStatement(random, NOON) }),
    ).toBe('taken')
    expect(await sentIn(real.flood, real.clock, 60_000)).toEqual(['n1 64', 'n2 64', 'n3 64'])
    expect(flood.receive('n0', { hops: MAX_ANNOUNCE_HOPS, statement: signedStatement(1, NOON) })).toBe(
      'taken',
    )
    expect(await sentIn(flood, clock, 60_000)).toEqual([])
  })

  it('is taken once for onion, topic and day, whatever else it says', () => {
    const { flood } = node(4, { verify: () => true })
    const statement = madeUpStatement(seededRandom(1), NOON)
    const again = new Uint8Array(statement)
    again[61] = (again[61] as number) - 1 // another hour
    again[53] = 9 // another port
    expect(flood.receive('n0', { hops: 1, statement })).toBe('taken')
    expect(flood.receive('n1', { hops: 1, statement: again })).toBe('known')
  })

  it('of another day is dropped, one that is over forgotten', async () => {
    const { flood, clock } = node()
    const late = signedStatement(1, NOON, { day: 20_000 })
    expect(flood.receive('n0', { hops: 1, statement: late })).toBe('not current')
    const statement = signedStatement(1, NOON)
    flood.receive('n0', { hops: 1, statement })
    const { topic } = readStatement(statement)
    expect(flood.find(topic).map(({ bytes }) => bytes)).toEqual([statement])
    await clock.advance(DAY_MS)
    expect(flood.receive('n1', { hops: 1, statement })).toBe('not current')
    expect([flood.find(topic).length, flood.size, flood.heldCount]).toEqual([0, 0, 0])
  })

  it('that proves nothing is the fault of who sent it, and is neither kept nor handed on', async () => {
    const { flood, clock } = node()
    const statement = signedStatement(1, NOON)
    statement[100] = (statement[100] as number) ^ 1
    expect(flood.receive('n0', { hops: 1, statement })).toBe('false')
    expect(flood.size).toBe(0)
    expect(await sentIn(flood, clock, 60_000)).toEqual([])
    expect(flood.receive('nobody', { hops: 1, statement: signedStatement(2, NOON) })).toBe('not current')
  })

  it('waits for nobody who has left', async () => {
    const { flood, clock } = node()
    flood.receive('n0', { hops: 1, statement: signedStatement(1, NOON) })
    flood.leave('n1')
    expect(await sentIn(flood, clock, 60_000)).toEqual(['n2 2', 'n3 2'])
    for (const neighbour of ['n0', 'n2', 'n3']) flood.leave(neighbour)
    expect(flood.nextMs).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a flood of 100,000 announcements from one peer', () => {
  it('is forwarded no further than its bucket, bounded in memory, and leaves the others their share', async () => {
    const { flood, clock } = node(8, { verify: () => true })
    const random = seededRandom(1)
    let forwarded = 0
    const seconds = 1_000
    for (let second = 0; second < seconds; second++) {
      for (let i = 0; i < 100; i++) {
        if (flood.receive('n0', { hops: 1, statement: madeUpStatement(random, NOON) }) === 'taken')
          forwarded++
      }
      await clock.advance(1_000)
      flood.take()
    }
    const bucket = FLOOD_PEER_BURST + seconds * FLOOD_PEER_STATEMENTS_PER_SECOND
    expect(forwarded).toBeLessThanOrEqual(bucket + 1)
    expect(forwarded).toBeGreaterThan(bucket - 2)
    expect(flood.size).toBe(forwarded)
    expect(flood.queued).toBeLessThanOrEqual(8 * MAX_FLOOD_QUEUE)
    expect(flood.receive('n1', { hops: 1, statement: madeUpStatement(random, NOON) })).toBe('taken')
  })

  it('from guests is bounded by the one bucket that they share, and leaves the neighbours theirs', async () => {
    const { flood, clock } = node(8, { verify: () => true })
    const random = seededRandom(1)
    const tell = (from: string | null) =>
      flood.receive(from, { hops: 0, statement: madeUpStatement(random, NOON) })
    let taken = 0
    const seconds = 200
    for (let second = 0; second < seconds; second++) {
      for (let i = 0; i < 100; i++) if (tell(null) === 'taken') taken++
      await clock.advance(1_000)
    }
    const bucket = FLOOD_GUEST_BURST + seconds * FLOOD_GUEST_STATEMENTS_PER_SECOND
    expect(taken).toBeLessThanOrEqual(bucket + 1)
    expect(taken).toBeGreaterThan(bucket - 2)
    expect(tell('n1')).toBe('taken')
  })

  it('costs none of the budget of all when it proves nothing', () => {
    const { flood } = node(8)
    const random = seededRandom(1)
    let looked = 0
    for (let i = 0; i < 1_000; i++) {
      if (flood.receive('n0', { hops: 1, statement: madeUpStatement(random, NOON) }) === 'false') looked++
    }
    expect(looked).toBe(FLOOD_PEER_BURST)
    expect(flood.size).toBe(0)
  })

  it('from all neighbours at once is bounded by the budget of all', async () => {
    const { flood, clock } = node(12, { verify: () => true })
    const random = seededRandom(1)
    let taken = 0
    for (let i = 0; i < 20_000; i++) {
      if (flood.receive(`n${i % 12}`, { hops: 1, statement: madeUpStatement(random, NOON) }) === 'taken')
        taken++
    }
    expect(taken).toBe(FLOOD_STATEMENT_BURST)
    expect(flood.queued).toBeLessThanOrEqual(12 * MAX_FLOOD_QUEUE)
    // What was beyond the budget may come again.
    const late = madeUpStatement(random, NOON)
    expect(flood.receive('n0', { hops: 1, statement: late })).toBe('over budget')
    await clock.advance(10_000)
    expect(flood.receive('n1', { hops: 1, statement: late })).toBe('taken')
  })
})

describe('limits of the flood', () => {
  it('follow from each other: what the rates let in is remembered as long as it can come again', () => {
    const hours = 30
    expect(FLOOD_STATEMENT_BURST + FLOOD_STATEMENTS_PER_SECOND * hours * 3_600).toBeLessThanOrEqual(
      MAX_FLOOD_SEEN,
    )
    expect(FLOOD_PEER_STATEMENTS_PER_SECOND * 8).toBeLessThanOrEqual(FLOOD_STATEMENTS_PER_SECOND)
    expect(FLOOD_PEER_BURST * 4).toBeLessThanOrEqual(FLOOD_STATEMENT_BURST)
    expect(MAX_FLOOD_NEIGHBOURS).toBeLessThanOrEqual(12)
  })

  it('keep in full what is nearest to us, and remember that the rest was seen', async () => {
    const { flood, clock } = node(12, { verify: () => true, relayId: new Uint8Array(20) })
    const random = seededRandom(2)
    const given: Uint8Array[] = []
    while (given.length < MAX_FLOOD_HELD + 200) {
      for (let i = 0; i < 1_100; i++) {
        const statement = madeUpStatement(random, NOON)
        if (flood.receive(`n${i % 12}`, { hops: 1, statement }) === 'taken') given.push(statement)
      }
      await clock.advance(1_800_000)
      flood.take()
    }
    expect(flood.heldCount).toBeLessThanOrEqual(MAX_FLOOD_HELD)
    expect(flood.heldCount).toBeGreaterThanOrEqual((MAX_FLOOD_HELD * 7) / 8)
    expect(flood.size).toBe(given.length)
    const isHeld = (statement: Uint8Array): boolean => flood.find(readStatement(statement).topic).length === 1
    const byDistance = [...given].sort(Buffer.compare)
    expect(byDistance.slice(0, (MAX_FLOOD_HELD * 7) / 8 - 200).every(isHeld)).toBe(true)
    expect(isHeld(byDistance.at(-1) as Uint8Array)).toBe(false)
    expect(flood.receive('n3', { hops: 1, statement: byDistance.at(-1) as Uint8Array })).toBe('known')
  })

  it('make the flood narrow when there is too much: to those nearest to the topic', async () => {
    const { flood, clock } = node(12, { verify: () => true })
    const random = seededRandom(2)
    const feed = async (): Promise<void> => {
      for (let i = 0; i < 2_000; i++)
        flood.receive(`n${i % 12}`, { hops: 1, statement: madeUpStatement(random, NOON) })
      await clock.advance(1_700_000)
      flood.take()
    }
    while (flood.size <= FLOOD_WIDE_STATEMENTS) await feed()
    await clock.advance(60_000)
    flood.take()
    const statement = madeUpStatement(random, NOON)
    const { topic } = readStatement(statement)
    expect(flood.receive('n0', { hops: 1, statement })).toBe('taken')
    const sent = await sentIn(flood, clock, 60_000)
    expect(sent).toHaveLength(FLOOD_NARROW_NEIGHBOURS)
    const far = (i: number): string =>
      Buffer.from(
        relayIdOf(seededRandom(i).bytes(32)).map((byte, at) => byte ^ (topic[at] as number)),
      ).toString('hex')
    const nearest = Array.from({ length: 11 }, (_, i) => i + 1).sort((a, b) => (far(a) < far(b) ? -1 : 1))
    expect(new Set(sent)).toEqual(new Set(nearest.slice(0, FLOOD_NARROW_NEIGHBOURS).map((i) => `n${i} 2`)))
  })
})
