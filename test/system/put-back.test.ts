/**
 * A channel outlives its publisher: others keep its slots and its blobs, and where
 * no slot is left, they are found by the topic and asked for the head.
 *
 * The publisher and the new subscriber are real processes as users have them. Those in
 * between look after slots in parts of a second instead of an hour: a constructor
 * option that no setting reaches, so they are nodes of this process.
 */
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { loadConfig } from '../../src/config/load.ts'
import { type ChannelKeys, channelKeys, dayOf } from '../../src/crypto/key-schedule.ts'
import type { MainlineDht } from '../../src/discovery/mainline.ts'
import type { RunningNode } from '../../src/node/api.ts'
import type { NetworkTuning } from '../../src/node/network.ts'
import { startNode } from '../../src/node/node.ts'
import { SLOT_REPLICAS } from '../../src/wire/constants.ts'
import { slotKey } from '../../src/wire/slot.ts'
import { DhtNet } from '../swarm/harness/dht-net.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const SERVERS = 12
/** As the daemon counts it: so many nodes are enough. */
const ENOUGH_HOLDERS = 8
const LIMIT_MS = 60_000

/** An hour becomes a second. */
const QUICK: NetworkTuning = {
  slots: {
    ...{ checkMinMs: 500, checkMaxMs: 1500, refreshMs: 1500 },
    ...{ aheadMinMs: 1000, aheadMaxMs: 2000, spreadMs: 1000 },
  },
  topicMinMs: 1000,
  topicMaxMs: 2000,
}
/** Topics are announced often, slots looked after as in the world: not within a test. */
const QUICK_TOPICS: NetworkTuning = { topicMinMs: 500, topicMaxMs: 1000 }

let net: DhtNet
const processes: TestNode[] = []
const holders: RunningNode[] = []

afterEach(async () => {
  await Promise.all(holders.splice(0).map((holder) => holder.close()))
  await Promise.all(processes.splice(0).map((node) => node.dispose()))
  await net?.dispose()
})

function bootstrapArgs(): readonly string[] {
  return net.bootstrap().flatMap(({ host, port }) => ['--bootstrap', `${host}:${port}`])
}

async function startProcess(name: string): Promise<TestNode> {
  const node = await TestNode.start({ name, args: bootstrapArgs() })
  processes.push(node)
  return node
}

/** A subscriber in this process, complete. */
async function startHolder(folder: string, uri: string, tuning: NetworkTuning): Promise<void> {
  const bootstrap = net.bootstrap().map(({ host, port }) => `${host}:${port}`)
  const flags = new Map<string, readonly string[]>([
    ['data-dir', [folder]],
    ['listen', ['127.0.0.1:0']],
    ['bootstrap', bootstrap],
  ])
  const loaded = loadConfig({ flags, environment: {}, file: null, callerFolder: folder })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const deps = { log: silentLog, clock: systemClock, random: systemRandom, tuning }
  const node = await startNode(loaded.config, deps)
  holders.push(node)
  await node.api.addSubscription(
    { uri, dir: join(folder, 'files'), only: [], wait: true, once: false, timeoutMs: LIMIT_MS },
    { signal: new AbortController().signal, onProgress: () => {} },
  )
}

/** A publisher with a folder of some blobs, and two subscribers that hold it. */
async function setUp(tuning: NetworkTuning): Promise<{ uri: string; source: string; keys: ChannelKeys }> {
  const publisher = await startProcess('publisher')
  const source = publisher.path('source')
  await makeTree(source, { seed: 7, smallFiles: 30, bigBytes: 5_000_000, awkward: true })
  const { uri, publicKey } = await publisher.rpc<{ uri: string; publicKey: string }>('createChannel', {
    name: 'main',
  })
  await publisher.rpc('publish', { path: source, channel: 'main' })
  for (const name of ['holder-0', 'holder-1']) await startHolder(publisher.path(name), uri, tuning)
  return { uri, source, keys: channelKeys(fromHex(publicKey, 32) as Uint8Array) }
}

/** Nodes that hold today's newest slot, for the replica that fewest of them hold. */
async function slotHolders(reader: MainlineDht, keys: ChannelKeys): Promise<number> {
  const counts: number[] = []
  for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
    const day = dayOf(Date.now())
    const { candidates } = await reader.getMutable(slotKey(keys, { day, replica }))
    counts.push(candidates[0]?.holders ?? 0)
  }
  return Math.min(...counts)
}

/** A node that starts with nothing but the link gets all of it. */
async function newSubscriberCompletes(uri: string, source: string): Promise<void> {
  const node = await startProcess('newcomer')
  const dir = node.path('files')
  const startMs = performance.now()
  await node.rpc('addSubscription', { uri, dir, wait: true, timeout: LIMIT_MS / 1000 }, 2 * LIMIT_MS)
  process.stdout.write(`  complete after ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`)
  expect(await compareTrees(source, dir)).toEqual([])
}

describe('when the publisher was killed for good', () => {
  it('a new subscriber still resolves the channel and completes from the others', async () => {
    net = await DhtNet.start(SERVERS)
    const { uri, source } = await setUp({})
    await (processes[0] as TestNode).kill()
    await newSubscriberCompletes(uri, source)
  })

  it('also after every DHT node that stored the slot at first has been replaced', async () => {
    net = await DhtNet.start(SERVERS)
    const { uri, source, keys } = await setUp(QUICK)
    await (processes[0] as TestNode).kill()
    const first = new Set(net.servers)
    // By thirds, as churn has it: a network that is replaced at once is another network.
    while (net.servers.some((server) => first.has(server))) {
      await net.addServers(SERVERS / 3)
      await net.kill(net.servers.slice(0, SERVERS / 3))
      const reader = await net.addReader()
      await waitUntil(
        async () => (await slotHolders(reader, keys)) >= ENOUGH_HOLDERS,
        LIMIT_MS,
        async () => `the slot is put back: ${await slotHolders(reader, keys)} nodes hold it`,
      )
    }
    expect(net.servers).toHaveLength(SERVERS)
    await newSubscriberCompletes(uri, source)
  })

  it('also when no slot is left: by the topic, and the head from who is found there', async () => {
    net = await DhtNet.start(SERVERS, { valueLifetimeMs: 8000 })
    const { uri, source, keys } = await setUp(QUICK_TOPICS)
    await (processes[0] as TestNode).kill()
    const reader = await net.addReader()
    const allGone = async (): Promise<boolean> => {
      for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
        for (const day of [-1, 0, 1].map((offset) => dayOf(Date.now()) + offset)) {
          const { candidates } = await reader.getMutable(slotKey(keys, { day, replica }))
          if (candidates.length > 0) return false
        }
      }
      return true
    }
    await waitUntil(allGone, LIMIT_MS, 'every node has forgotten the slots')
    await newSubscriberCompletes(uri, source)
    expect(await allGone()).toBe(true)
  })
})
