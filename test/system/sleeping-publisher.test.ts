/**
 * A channel whose publisher went to sleep: 60 days later its slots are still found, put by
 * those who follow and host it; 500 days later nobody can sign any, and the topic leads on.
 *
 * Nodes are whole ones in this process, over real sockets, with a wall clock that the test moves;
 * slots are looked after in parts of a second instead of an hour, and DHT nodes forget what
 * they hold after seconds instead of two hours.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { type Log, silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { loadConfig } from '../../src/config/load.ts'
import { type ChannelKeys, channelKeys, dayOf } from '../../src/crypto/key-schedule.ts'
import type { MainlineDht } from '../../src/discovery/mainline.ts'
import { SlotService } from '../../src/discovery/slot-service.ts'
import type { RunningNode, SubscriptionInfo } from '../../src/node/api.ts'
import type { NetworkTuning } from '../../src/node/network.ts'
import { startNode } from '../../src/node/node.ts'
import { openState } from '../../src/storage/state.ts'
import { DAY_MS, SLOT_REPLICAS } from '../../src/wire/constants.ts'
import { slotKey } from '../../src/wire/slot.ts'
import { DhtNet } from '../swarm/harness/dht-net.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { MemorySlotStore } from '../unit/discovery/memory-dht.ts'

const SERVERS = 12
/** As the daemon counts it: so many nodes are enough. */
const ENOUGH_HOLDERS = 8
const LIMIT_MS = 90_000
/** Two hours become seconds, and an hour parts of one. */
const FORGET_MS = 8_000
const QUICK: NetworkTuning = {
  slots: {
    ...{ checkMinMs: 500, checkMaxMs: 1500, refreshMs: 3000 },
    ...{ aheadMinMs: 1000, aheadMaxMs: 2000, spreadMs: 1000 },
  },
  topicMinMs: 1000,
  topicMaxMs: 2000,
}
const CALL = { signal: new AbortController().signal, onProgress: () => {} }

/** The system's clock, some days on. */
class ShiftedClock implements Clock {
  days = 0

  now(): number {
    return systemClock.now() + this.days * DAY_MS
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  setTimer(callback: () => void, delayMs: number): ReturnType<Clock['setTimer']> {
    return systemClock.setTimer(callback, delayMs)
  }
}

/** A node in this process, and the messages that it logs. */
interface Local {
  readonly node: RunningNode
  readonly folder: string
  readonly lines: string[]
}

let net: DhtNet
let root: string
let clock: ShiftedClock
const locals: Local[] = []
const processes: TestNode[] = []

async function setUp(): Promise<void> {
  net = await DhtNet.start(SERVERS, { valueLifetimeMs: FORGET_MS })
  root = await mkdtemp(join(tmpdir(), 'megatorrent-sleeping-'))
  clock = new ShiftedClock()
}

afterEach(async () => {
  await Promise.all(locals.splice(0).map(({ node }) => node.close()))
  await Promise.all(processes.splice(0).map((node) => node.dispose()))
  await net?.dispose()
  await rm(root, { recursive: true, force: true })
})

async function start(name: string): Promise<Local> {
  const folder = join(root, name)
  const flags = new Map<string, readonly string[]>([
    ['data-dir', [join(folder, 'data')]],
    ['listen', ['127.0.0.1:0']],
    ['bootstrap', net.bootstrap().map(({ host, port }) => `${host}:${port}`)],
  ])
  const loaded = loadConfig({ flags, environment: {}, file: null, callerFolder: root })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const lines: string[] = []
  const note = (message: string): void => void lines.push(message)
  const log: Log = { ...silentLog, debug: note, info: note, warn: note, child: () => log }
  const node = await startNode(loaded.config, { log, clock, random: systemRandom, tuning: QUICK })
  const local = { node, folder, lines }
  locals.push(local)
  return local
}

async function stop(local: Local): Promise<void> {
  locals.splice(locals.indexOf(local), 1)
  await local.node.close()
}

function subscribe({ node, folder }: Local, uri: string): Promise<unknown> {
  const wants = { only: [], wait: true, once: false, timeoutMs: LIMIT_MS }
  return node.api.addSubscription({ uri, dir: join(folder, 'files'), ...wants }, CALL)
}

async function logged({ lines }: Local, message: string): Promise<void> {
  await waitUntil(() => lines.includes(message), LIMIT_MS, `"${message}" is logged`)
}

/** How many nodes hold each slot of today and its neighbours, and of today the fewest. */
async function slotHolders(reader: MainlineDht, keys: ChannelKeys): Promise<{ all: number; today: number }> {
  let all = 0
  let today = Number.POSITIVE_INFINITY
  for (const offset of [-1, 0, 1]) {
    for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
      const { candidates } = await reader.getMutable(
        slotKey(keys, { day: dayOf(clock.now()) + offset, replica }),
      )
      const holders = candidates[0]?.holders ?? 0
      all += holders
      if (offset === 0) today = Math.min(today, holders)
    }
  }
  return { all, today }
}

/** The number of the release that the slots alone lead to. */
async function resolveBySlots(dht: MainlineDht, keys: ChannelKeys): Promise<number | null> {
  const store = new MemorySlotStore()
  const service = new SlotService({ dht, store, clock, random: systemRandom, log: silentLog })
  return (await service.resolve(keys)).newest?.head.releaseNumber ?? null
}

/** A node that starts with nothing but the link gets all of it, and tells its user what it cannot know. */
async function newcomerCompletes(name: string, uri: string, source: string): Promise<SubscriptionInfo> {
  const newcomer = await start(name)
  await subscribe(newcomer, uri)
  expect(await compareTrees(source, join(newcomer.folder, 'files'))).toEqual([])
  const [info] = await newcomer.node.api.getSubscriptions()
  expect(newcomer.lines).toContain('the publisher of a release may be gone')
  await stop(newcomer)
  if (info === undefined) throw new Error('it follows nothing')
  return info
}

describe('a publisher that sleeps', () => {
  it('is found for 400 days by the slots that it signed ahead, and after that by topic', async () => {
    await setUp()
    const source = join(root, 'source')
    await makeTree(source, { seed: 7, smallFiles: 20, bigBytes: 3_000_000, awkward: true })
    const publisher = await start('publisher')
    await publisher.node.api.createChannel({ name: 'main', private: false, open: false })
    const request = { source: { path: source }, channel: 'main', title: null, timeoutMs: LIMIT_MS }
    const startMs = performance.now()
    const { uri, publicKey } = await publisher.node.api.publish(request, CALL)
    const publishMs = performance.now() - startMs
    await logged(publisher, 'slots signed ahead')
    process.stdout.write(
      `  published after ${publishMs.toFixed(0)} ms, signed after ${(performance.now() - startMs).toFixed(0)} ms\n`,
    )
    const keys = channelKeys(fromHex(publicKey, 32) as Uint8Array)
    const [host, before] = [await start('host'), await start('follower')]
    await subscribe(before, uri)
    await host.node.api.host({ uri, wait: true, timeoutMs: LIMIT_MS }, CALL)
    for (const holder of [before, host]) await logged(holder, 'slots signed ahead received')
    const [fresh] = await before.node.api.getSubscriptions()
    expect(fresh).toMatchObject({ state: 'complete', silentSince: null })
    for (const gone of [publisher, before]) await stop(gone)

    clock.days = 60
    const follower = await start('follower') // one that slept too; the host was there all the time
    const reader = await net.addReader()
    const isPut = async (): Promise<boolean> => (await slotHolders(reader, keys)).today >= ENOUGH_HOLDERS
    await waitUntil(isPut, LIMIT_MS, 'the slots of day 60 are put')
    expect(await resolveBySlots(reader, keys)).toBe(1)
    const { signedAt } = fresh as SubscriptionInfo
    const found = await newcomerCompletes('day-60', uri, source)
    expect(found).toMatchObject({ state: 'complete', signedAt, silentSince: signedAt })
    const [old] = await follower.node.api.getSubscriptions()
    expect(old).toMatchObject({ state: 'complete', silentSince: signedAt })

    clock.days = 500
    const isGone = async (): Promise<boolean> => (await slotHolders(reader, keys)).all === 0
    await waitUntil(isGone, LIMIT_MS, 'no slot of day 500 is there')
    const last = await newcomerCompletes('day-500', uri, source)
    expect(last).toMatchObject({ state: 'complete', signedAt, silentSince: signedAt })
    expect((await slotHolders(reader, keys)).all).toBe(0)
    expect(await resolveBySlots(reader, keys)).toBeNull()
  })

  it('that was killed while it signed makes the slots when it wakes, and followers get them', async () => {
    await setUp()
    const args = net.bootstrap().flatMap(({ host, port }) => ['--bootstrap', `${host}:${port}`])
    const publisher = await TestNode.start({ name: 'publisher', args })
    processes.push(publisher)
    await makeTree(publisher.path('source'), { seed: 8, smallFiles: 3, bigBytes: 1_500_000, awkward: false })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
    await publisher.rpc('publish', { path: publisher.path('source'), channel: 'main' })
    let slowestMs = 0
    for (let call = 0; call < 20; call++) {
      const calledMs = performance.now()
      await publisher.rpc('getStatus')
      slowestMs = Math.max(slowestMs, performance.now() - calledMs)
    }
    process.stdout.write(`  answers after ${slowestMs.toFixed(0)} ms at most while it signs\n`)
    expect(slowestMs).toBeLessThan(500)
    await publisher.kill() // 3 s of work were begun as the release was signed
    const state = openState(join(publisher.dataDir, 'megatorrent.db'), null)
    expect(state.database.get('SELECT count(*) AS sets FROM slot_sets')).toEqual({ sets: 0 })
    state.close()
    await publisher.begin()
    const follower = await start('follower')
    const link = (await publisher.rpc<{ channels: { uri: string }[] }>('listChannels')).channels[0]?.uri
    await subscribe(follower, link ?? uri)
    await logged(follower, 'slots signed ahead received')
  })
})
