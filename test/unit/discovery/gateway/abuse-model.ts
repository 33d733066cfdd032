/**
 * Bots against ten honest publishers, all on hosts of their own, a quarter of an hour
 * of simulated time: more items than there are places, more puts than the DHT takes,
 * and much that is false. The DHT answers in half a second.
 */
import { expect } from 'vitest'
import { sleep } from '../../../../src/base/clock.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import type { GatewayRules } from '../../../../src/discovery/gateway/gateway-service.ts'
import { PUBLISH_OUTCOMES, type PublishedItem } from '../../../../src/wire/message.ts'
import { asker, newKey, offered, signed, World } from './gateway-rig.ts'

const MINUTE_MS = 60_000
const HONEST = 10
const SLOTS = 3
const ITEMS_PER_BOT = 6
const WALK_MS = 500

interface Tally {
  /** Outcomes of honest items, and of each kind that bots send. */
  readonly honest: { readonly item: PublishedItem; outcome: number }[]
  readonly bots: Map<string, Map<number, number>>
  mostKept: number
  mostRows: number
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
  const tally: Tally = { honest: [], bots: new Map(), mostKept: 0, mostRows: 0 }
  const look = (): void => {
    tally.mostKept = Math.max(tally.mostKept, world.gateway.kept)
    tally.mostRows = Math.max(tally.mostRows, world.store.items.size)
  }
  const running: Promise<void>[] = []

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
    ] as [string, PublishedItem][]
    for (const [kind, item] of mine) {
      await sleep(clock, random.fraction() * 2 * MINUTE_MS)
      const from = asker(host)
      const answer = await world.gateway.publish(from, world.message(from, item)).catch(() => null)
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
      const { outcome } = await world.gateway.publish(from, world.message(from, item))
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
  const { honest, bots, mostKept, mostRows, world } = await simulate(botCount, {
    places,
    waiting: botCount,
    workBits: -4,
  })
  const arrived = honest.filter(
    ({ item, outcome }) => outcome <= PUBLISH_OUTCOMES.kept && world.network.holders(item.slotKey) >= 8,
  )
  expect(honest).toHaveLength(HONEST * SLOTS)
  expect(arrived.length / honest.length).toBeGreaterThanOrEqual(0.95)

  expect(mostKept).toBe(places) // else it was no flood
  expect(mostRows).toBeLessThanOrEqual(places)

  const only = (kind: string): number[] => [...(bots.get(kind)?.keys() ?? [])].sort()
  expect(only('oversized')).toEqual([PUBLISH_OUTCOMES.size])
  expect(only('too far away')).toEqual([PUBLISH_OUTCOMES.window])
  // What is forged or stale is refused as that, or for want of a place where the bot has none.
  expect(only('forged').every((outcome) => outcome >= PUBLISH_OUTCOMES.item)).toBe(true)
  expect(bots.get('forged')?.get(PUBLISH_OUTCOMES.item) ?? 0).toBeGreaterThan(botCount / 2)
  expect(bots.get('stale')?.get(PUBLISH_OUTCOMES.stale) ?? 0).toBeGreaterThan(botCount / 2)
}
