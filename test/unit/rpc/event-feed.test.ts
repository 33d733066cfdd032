/** The feed: what is kept, and what who comes again is given. */
import { beforeEach, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { EVENT_IDLE_MS, EVENT_LOOK_MS, MAX_KEPT_EVENTS } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { Look } from '../../../src/rpc/event-diff.ts'
import { EventFeed, type FeedEvent } from '../../../src/rpc/event-feed.ts'
import { fakeNode, SUBSCRIPTION } from './fake-node.ts'

const status = await fakeNode().api.getStatus()

let clock: ManualClock
let look: Look
let looks: number
let faults: unknown[]
let feed: EventFeed

beforeEach(() => {
  clock = new ManualClock()
  look = { status, channels: [], subscriptions: [], peers: [], jobs: [] }
  looks = 0
  faults = []
  feed = openFeed(1)
})

function openFeed(seed: number): EventFeed {
  return new EventFeed({
    look: async () => {
      looks++
      return look
    },
    onFault: (error) => void faults.push(error),
    clock,
    random: seededRandom(seed),
  })
}

/** A look later, something has happened. */
async function happen(blobsDone: number): Promise<void> {
  look = { ...look, subscriptions: [{ ...SUBSCRIPTION, blobsDone }] }
  await clock.advance(EVENT_LOOK_MS)
}

function recorder(): {
  readonly events: FeedEvent[]
  readonly listener: (events: readonly FeedEvent[]) => void
} {
  const events: FeedEvent[] = []
  return { events, listener: (more) => void events.push(...more) }
}

it('gives who comes all that there is, then what happens, under growing ids', async () => {
  const { events, listener } = recorder()
  await feed.listen(null, listener)
  expect(events.map(({ event }) => event)).toEqual(['status'])
  await happen(1)
  await happen(2)
  expect(events.map(({ event }) => event)).toEqual(['status', 'release', 'subscription', 'subscription'])
  const numbers = events.map(({ id }) => Number(id.split('-')[1]))
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  expect(new Set(numbers.slice(1)).size).toBe(numbers.length - 1)
})

it('gives who comes again with an id what was missed, and nothing twice', async () => {
  const first = recorder()
  const stop = await feed.listen(null, first.listener)
  await happen(1)
  stop()
  const last = first.events.at(-1) as FeedEvent
  await happen(2)
  const again = recorder()
  await feed.listen(last.id, again.listener)
  expect(again.events.map(({ data }) => (data as { blobsDone?: number }).blobsDone)).toEqual([2])
  await happen(3)
  expect(again.events).toHaveLength(2)
})

it.each([
  ['an id of another start', () => `${'00'.repeat(8)}-1`],
  ['an id that was not given out yet', (last: string) => last.replace(/[0-9]+$/, '999')],
  ['what is no id', () => 'abc'],
])('gives who comes with %s all that there is', async (_name, idFrom) => {
  const { events, listener } = recorder()
  await feed.listen(null, listener)
  await happen(1)
  const again = recorder()
  await feed.listen(idFrom((events.at(-1) as FeedEvent).id), again.listener)
  expect(again.events.map(({ event }) => event)).toEqual(['status', 'subscription'])
})

it('keeps a bounded number of events', async () => {
  const { events, listener } = recorder()
  await feed.listen(null, listener)
  await happen(1)
  const early = (events.at(-1) as FeedEvent).id
  for (let i = 0; i <= MAX_KEPT_EVENTS; i++) await happen(i + 2)
  const again = recorder()
  await feed.listen(early, again.listener)
  expect(again.events.map(({ event }) => event)).toEqual(['status', 'subscription'])
})

it('looks only while somebody listens, and a while after', async () => {
  const { events, listener } = recorder()
  const stop = await feed.listen(null, listener)
  await happen(1)
  stop()
  await clock.advance(EVENT_IDLE_MS + 2 * EVENT_LOOK_MS)
  const before = looks
  await clock.advance(10 * EVENT_IDLE_MS)
  expect(looks).toBe(before)
  expect(clock.pendingTimers).toBe(0)
  // What happened meanwhile is not known, so nothing can be continued.
  const again = recorder()
  await feed.listen((events.at(-1) as FeedEvent).id, again.listener)
  expect(again.events.map(({ event }) => event)).toEqual(['status', 'subscription'])
})

it('goes on after a look that failed', async () => {
  const { events, listener } = recorder()
  await feed.listen(null, listener)
  const good = look
  look = null as unknown as Look
  await clock.advance(EVENT_LOOK_MS)
  expect(faults).toHaveLength(1)
  look = good
  await happen(1)
  expect(events.length).toBeGreaterThan(1)
})

it('tells who came while no look succeeded all that there is, once one does', async () => {
  const good = look
  look = null as unknown as Look
  const { events, listener } = recorder()
  await feed.listen(null, listener)
  expect(events).toEqual([])
  look = good
  await clock.advance(EVENT_LOOK_MS)
  expect(events.map(({ event }) => event)).toEqual(['status'])
})

it('leaves no timer when it is closed', async () => {
  await feed.listen(null, () => {})
  feed.close()
  expect(clock.pendingTimers).toBe(0)
})
