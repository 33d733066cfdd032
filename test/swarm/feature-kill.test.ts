/**
 * kill -9 at random moments: a restart works, what was acknowledged is there, and
 * nothing false is shown as complete. Five times here; RUNS sets another number,
 * and SEED repeats a run.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { randomInteger, seededRandom } from '../../src/base/random.ts'
import { TestNode } from './harness/test-node.ts'
import { appendBytes, BIG_FILE, compareTrees, makeTree } from './harness/tree.ts'
import { holdsFor, waitUntil } from './harness/wait.ts'

const RUNS = Number(process.env.RUNS ?? 5)
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)

const nodes: TestNode[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(name: string, args: readonly string[] = []): Promise<TestNode> {
  const node = await TestNode.start({ name, args: ['--no-dht', ...args] })
  nodes.push(node)
  return node
}

interface Status {
  readonly heldBlobs: number
}

interface Subscription {
  readonly state: string
  readonly sequence: number
}

/** Blobs that the node says it holds: each has been acknowledged as durable. */
async function heldBlobs(node: TestNode): Promise<number> {
  return (await node.rpc<Status>('getStatus')).heldBlobs
}

/** Let it work for a random time, looking at what it holds, then kill it. Gives what it last said that it held. */
async function killWithin(node: TestNode, delayMs: number): Promise<number> {
  let held = await heldBlobs(node)
  await holdsFor(
    async () => {
      held = await heldBlobs(node)
      return true
    },
    delayMs,
    'it works',
  )
  await node.kill()
  return held
}

describe(`${RUNS} kills (SEED=${SEED})`, () => {
  it('of a publisher and a reader lose nothing that was acknowledged', async () => {
    const random = seededRandom(SEED)
    const publisher = await start('publisher')
    const source = publisher.path('source')
    await makeTree(source, { seed: 1, smallFiles: 300, bigBytes: 12_000_000, awkward: true })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
    const link = uri.replace(/\?.*$/, '')
    // There is no DHT to confirm: the call ends with ERR_NO_CARRIER when the release is durable.
    const publish = async (): Promise<string> => {
      const error = await publisher.rpc('publish', { path: source, channel: 'main' }).catch(String)
      return String(error)
    }
    const sequence = async (): Promise<number> => {
      const { channels } = await publisher.rpc<{ channels: { sequence: number }[] }>('listChannels')
      return channels[0]?.sequence ?? 0
    }

    let published = 0
    for (let run = 0; run < Math.ceil(RUNS / 2); run++) {
      // Half of the runs kill a publisher at work, the others let it finish and kill it then.
      await appendBytes(join(source, BIG_FILE), random.bytes(1000))
      const work = publish()
      let held: number
      if (run % 2 === 0) {
        held = await killWithin(publisher, randomInteger(random, 0, 400))
        await work
      } else {
        expect(await work, publisher.stderrTail()).toContain('ERR_NO_CARRIER')
        published = await sequence()
        held = await heldBlobs(publisher)
        await publisher.kill()
      }
      await publisher.begin()
      expect(await heldBlobs(publisher), `run ${run}`).toBeGreaterThanOrEqual(held)
      expect(await sequence(), `run ${run}`).toBeGreaterThanOrEqual(published)
    }
    expect(await publish()).toContain('ERR_NO_CARRIER')
    published = await sequence()
    expect(published).toBeGreaterThanOrEqual(1)

    const reader = await start('reader')
    const target = reader.path('target')
    await reader.rpc('addSubscription', { uri: link, dir: target, wait: false })
    for (let run = 0; run < Math.floor(RUNS / 2); run++) {
      await reader.rpc('addPeer', { address: publisher.peerAddress })
      const held = await killWithin(reader, randomInteger(random, 0, 250))
      await reader.begin()
      expect(await heldBlobs(reader), `run ${run}`).toBeGreaterThanOrEqual(held)
      const seen = await subscription(reader)
      // Complete is said only of what is complete.
      if (seen.state === 'complete') expect(await compareTrees(source, target), `run ${run}`).toEqual([])
    }
    await reader.rpc('addPeer', { address: publisher.peerAddress })
    await waitUntil(
      async () => (await subscription(reader)).state === 'complete',
      30_000,
      () => `the reader is complete after all\n${reader.stderrTail()}`,
    )
    expect((await subscription(reader)).sequence).toBe(published)
    expect(await compareTrees(source, target)).toEqual([])
    for (const node of [publisher, reader]) {
      expect(await node.rpc('verify')).toMatchObject({ bad: 0 })
      expect(await temporaryFiles(node.dataDir), node.name).toEqual([])
      await node.stop()
    }
  })
})

async function subscription(node: TestNode): Promise<Subscription> {
  const { subscriptions } = await node.rpc<{ subscriptions: Subscription[] }>('getSubscriptions')
  if (subscriptions[0] === undefined) throw new Error(`${node.name} lost its subscription`)
  return subscriptions[0]
}

/** What a crash may leave, and a restart must have cleared. */
async function temporaryFiles(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /te?mp/i.test(entry.name + entry.parentPath.slice(folder.length)))
    .map((entry) => entry.name)
}
