/**
 * Bots against ten honest publishers, all on hosts of their own, a quarter of an hour
 * of simulated time: more items than there are places, more puts than the DHT takes,
 * and much that is false. The DHT answers in half a second, and a hash of a puzzle
 * takes whoever makes it 40 ms: bots solve puzzles as honest ones do, and show false
 * solutions besides.
 */
import { expect } from 'vitest'
import { sleep } from '../../../../src/base/clock.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import {
  GATEWAY_RULES,
  type GatewayAsker,
  type GatewayRules,
} from '../../../../src/discovery/gateway/gateway-service.ts'
import { puzzleNonce } from '../../../../src/wire/memory-puzzle.ts'
import { PUBLISH_OUTCOMES, type PublishAnswer, type PublishedItem } from '../../../../src/wire/message.ts'
import { asker, newKey, offered, signed, World } from './gateway-rig.ts'

const MINUTE_MS = 60_000
const HONEST = 10
const SLOTS = 3
const ITEMS_PER_BOT = 6
const WALK_MS = 500
const HASH_MS = 40

interface Tally {
  /** Outcomes of honest items, and of each kind that bots send. */
  readonly honest: { readonly item: PublishedItem; outcome: number }[]
  readonly bots: Map<string, Map<number, number>>
  mostKept: number
  mostRows: number
  /** Puzzles that honest ones solved, and false solutions that bots showed. */
  solved: number
  shown: number
}

async function simulate(botCount: number, rules: Partial<GatewayRules>): Promise<Tally & { world: World }> {
  const world = new World({ rules })
  const random = seededRandom(77)
  const { dht, clock } = world
  for (const name of ['updateMutable', 'getMutable'] as const) {
    const answer = dht[name].bind(dht) as (...args: unknown[]) => Promise<never>
    dht[name] = async (...args: unknown[]) => {
      await sleep(clock, WALK_MS)
      return answer(...args)
    }
  }
  const tally: Tally = { honest: [], bots: new Map(), mostKept: 0, mostRows: 0, solved: 0, shown: 0 }
  const look = (): void => {
    tally.mostKept = Math.max(tally.mostKept, world.gateway.kept)
    tally.mostRows = Math.max(tally.mostRows, world.store.items.size)
  }
  const running: Promise<void>[] = []
  world.hashes.takesMs = HASH_MS

  /** As an asker does it: the puzzle that is asked for is solved, once. */
  const publish = async (from: GatewayAsker, item: PublishedItem): Promise<PublishAnswer> => {
    const answer = await world.gateway.publish(from, world.message(from, item))
    if (answer.puzzle === undefined) return answer
    const puzzleNonce = await world.solve(from, item, answer.puzzle)
    const tries = Number(new DataView(puzzleNonce.buffer).getBigUint64(0)) + 1
    await sleep(clock, tries * HASH_MS)
    if (from.host.startsWith('honest')) tally.solved++
    return world.gateway.publish(from, world.message(from, item, { puzzleNonce }))
  }

  const showFalse = (from: GatewayAsker, item: PublishedItem): Promise<PublishAnswer> => {
    tally.shown++
    return world.gateway.publish(from, world.message(from, item, { puzzleNonce: puzzleNonce(2 ** 40) }))
  }
  const bot = async (host: string): Promise<void> => {
    const key = newKey()
    const stale = offered(signed(key, 1))
    const mine = [
      ['good', offered(signed(key, 2))],
      ...Array.from({ length: ITEMS_PER_BOT - 1 }, () => ['good', offered(signed())]),
      ['stale', stale],
      ['forged', { ...stale, seq: 7 }],
      ['oversized', offered(signed(newKey(), 1, 1, 700))],
      ['too far away', { ...stale, notAfter: Number.MAX_SAFE_INTEGER }],
      ...Array.from({ length: 2 }, () => ['false', offered(signed())]),
    ] as [string, PublishedItem][]
    for (const [kind, item] of mine) {
      await sleep(clock, random.fraction() * 2 * MINUTE_MS)
      const from = asker(host)
      const asking = kind === 'false' ? showFalse(from, item) : publish(from, item)
      const answer = await asking.catch(() => null)
      const counts = tally.bots.get(kind) ?? new Map<number, number>()
      tally.bots.set(kind, counts)
      if (answer !== null) counts.set(answer.outcome, (counts.get(answer.outcome) ?? 0) + 1)
      look()
    }
  }
  const honest = async (host: string): Promise<void> => {
    await sleep(clock, (2 + random.fraction() * 6) * MINUTE_MS) // in the thick of it
    for (let slot = 0; slot < SLOTS; slot++) {
      const item = offered(signed())
      const from = asker(host)
      const { outcome } = await publish(from, item)
      tally.honest.push({ item, outcome })
    }
  }
  for (let i = 0; i < botCount; i++) running.push(bot(`bot ${i}`))
  for (let i = 0; i < HONEST; i++) running.push(honest(`honest ${i}`))
  let done = false
  void Promise.all(running).then(() => {
    done = true
  })
  while (!done) await clock.advance(MINUTE_MS)
  return { ...tally, world }
}

/**
 * Run it, and hold what must not happen against it.
 *
 * The work is next to none: real work would only make this slow, and what it costs is tested elsewhere.
 */
export async function expectHonestSuccess(botCount: number, places: number): Promise<void> {
  const { honest, bots, mostKept, mostRows, solved, shown, world } = await simulate(botCount, {
    places,
    waiting: botCount,
    workBits: -4,
    puzzle: GATEWAY_RULES.puzzle,
  })
  const arrived = honest.filter(
    ({ item, outcome }) => outcome <= PUBLISH_OUTCOMES.kept && world.network.holders(item.slotKey) >= 8,
  )
  expect(honest).toHaveLength(HONEST * SLOTS)
  const outcomes = honest.map(({ outcome }) => outcome).join(' ')
  expect(arrived.length / honest.length, outcomes).toBeGreaterThanOrEqual(0.95)

  expect(mostKept).toBe(places) // else it was no flood
  expect(mostRows).toBeLessThanOrEqual(places)
  expect(world.hashes.most).toBe(1)
  expect(solved).toBeGreaterThan(HONEST) // else it was under no load
  expect(shown).toBe(2 * botCount)

  const only = (kind: string): number[] => [...(bots.get(kind)?.keys() ?? [])].sort()
  expect(only('oversized')).toEqual([PUBLISH_OUTCOMES.size])
  expect(only('too far away')).toEqual([PUBLISH_OUTCOMES.window])
  // What is forged or stale is refused as that, or for want of a place where the bot has none.
  expect(only('forged').every((outcome) => outcome >= PUBLISH_OUTCOMES.item)).toBe(true)
  expect(bots.get('forged')?.get(PUBLISH_OUTCOMES.item) ?? 0).toBeGreaterThan(botCount / 2)
  expect(bots.get('stale')?.get(PUBLISH_OUTCOMES.stale) ?? 0).toBeGreaterThan(botCount / 2)
}
