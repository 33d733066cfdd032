/**
 * The main job at a small scale: a folder published on one node arrives on others
 * through the DHT, and updates cost little and arrive soon. The full scale is in
 * test/system.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BareIdentity } from './harness/bare-crypto.ts'
import type { TestNode } from './harness/test-node.ts'
import { Testnet } from './harness/testnet.ts'
import {
  appendBytes,
  BIG_FILE,
  compareTrees,
  executableFiles,
  makeTree,
  smallFilePath,
  writeSeededFile,
} from './harness/tree.ts'
import { waitUntil } from './harness/wait.ts'

// One network for all: a node costs more to start than a release to publish. Each test has a channel of its own.
let net: Testnet

beforeAll(async () => {
  net = await Testnet.start({ dhtNodes: 2, nodes: ['publisher', 'reader', 'sleeper'] })
})

afterAll(async () => {
  // Each node must end clean.
  await net?.stop()
})

interface Published {
  readonly sequence: number
  readonly files: number
  readonly blobs: number
  readonly newBlobs: number
  readonly manifestBlobs: number
  readonly storedBy: number
  readonly unchanged: boolean
}

/** Make a channel and give its link. By RPC, as most here: a command line is a process more. */
async function createChannel(
  node: TestNode,
  name: string,
  isPrivate = false,
): Promise<{ uri: string; publicKey: string }> {
  return node.rpc('createChannel', { name, private: isPrivate })
}

function publish(node: TestNode, channel: string, path: string): Promise<Published> {
  return node.rpc('publish', { path, channel })
}

/** Follow a link and wait until its newest release is complete. */
async function subscribe(node: TestNode, uri: string, dir: string): Promise<void> {
  await node.rpc('addSubscription', { uri, dir, wait: true, timeout: 50 })
}

interface Subscription {
  readonly publicKey: string
  readonly sequence: number
  readonly state: string
  readonly blobsDone: number
  readonly blobsTotal: number
}

async function subscriptionOf(node: TestNode, publicKey: string): Promise<Subscription> {
  const { subscriptions } = await node.rpc<{ subscriptions: Subscription[] }>('getSubscriptions')
  const found = subscriptions.find((subscription) => subscription.publicKey === publicKey)
  if (found === undefined) throw new Error(`${node.name} has no such subscription`)
  return found
}

/** Wait until a node has a release complete. */
async function completes(
  node: TestNode,
  publicKey: string,
  sequence: number,
  limitMs: number,
): Promise<void> {
  await waitUntil(
    async () => {
      const seen = await subscriptionOf(node, publicKey)
      return seen.sequence === sequence && seen.state === 'complete'
    },
    limitMs,
    async () => {
      const seen = JSON.stringify(await subscriptionOf(node, publicKey))
      return `${node.name} has release ${sequence}, not ${seen}\n${node.stderrTail()}`
    },
  )
}

const MIB = 1_048_576

describe('a folder of many small files and a large one', () => {
  it('arrives, and one appended byte costs two blobs and little time', async () => {
    const [publisher, reader, sleeper] = [net.node('publisher'), net.node('reader'), net.node('sleeper')]
    const source = publisher.path('source-main')
    await makeTree(source, { seed: 3, smallFiles: 300, bigBytes: 12 * MIB, awkward: true })

    const { uri, publicKey } = await createChannel(publisher, 'main')
    const first = await publish(publisher, 'main', source)
    expect(first).toMatchObject({ sequence: 1, unchanged: false })
    expect(first.storedBy).toBeGreaterThanOrEqual(1)
    expect(first.newBlobs).toBe(first.blobs)

    await Promise.all([reader, sleeper].map((node) => subscribe(node, uri, node.path('target-main'))))
    for (const node of [reader, sleeper]) {
      expect(await compareTrees(source, node.path('target-main'))).toEqual([])
      expect(await executableFiles(node.path('target-main'))).toEqual([])
    }

    // The same folder again is no release.
    expect(await publish(publisher, 'main', source)).toMatchObject({
      sequence: 1,
      unchanged: true,
      newBlobs: 0,
    })

    await sleeper.stop()
    await appendBytes(join(source, BIG_FILE), Buffer.of(1))
    const second = await publish(publisher, 'main', source)
    expect(second).toMatchObject({ sequence: 2, unchanged: false })
    expect(second.newBlobs).toBeLessThanOrEqual(2)

    // Connected: it hears of the release at once. Offline: it finds it after its start.
    await completes(reader, publicKey, 2, 15_000)
    expect(await compareTrees(source, reader.path('target-main'))).toEqual([])
    await sleeper.begin()
    await completes(sleeper, publicKey, 2, 60_000)
    expect(await compareTrees(source, sleeper.path('target-main'))).toEqual([])
  })
})

describe('ten thousand files at a tenth of the scale', () => {
  it('cost at most three new blobs for one changed, added or removed, and only what is ours goes', async () => {
    const [publisher, reader] = [net.node('publisher'), net.node('reader')]
    const source = publisher.path('source-small')
    await makeTree(source, { seed: 4, smallFiles: 1000, smallBytes: 10_240 })

    const { uri, publicKey } = await createChannel(publisher, 'small')
    const first = await publish(publisher, 'small', source)
    expect(first.files).toBe(1000)
    // 10 MB of pieces, laid end to end.
    expect(first.blobs).toBe(10)
    await subscribe(reader, uri, reader.path('target-small'))

    const steps: readonly (readonly [what: string, change: () => Promise<void>])[] = [
      ['changed', () => writeSeededFile(join(source, smallFilePath(500)), 10_240, 99)],
      ['added', () => writeSeededFile(join(source, 'folder-0003', 'added.dat'), 10_240, 98)],
      ['removed', () => rm(join(source, smallFilePath(700)))],
    ]
    let sequence = 1
    for (const [what, change] of steps) {
      await change()
      const next = await publish(publisher, 'small', source)
      expect(next.sequence, what).toBe(++sequence)
      expect(next.newBlobs, what).toBeLessThanOrEqual(3)
      expect(next.manifestBlobs, what).toBeLessThanOrEqual(4)
      await completes(reader, publicKey, sequence, 15_000)
      expect(await compareTrees(source, reader.path('target-small')), what).toEqual([])
    }

    // What a release drops goes at the reader, unless it is foreign or was changed there.
    const target = reader.path('target-small')
    await writeFile(join(target, 'mine.txt'), 'not of any release')
    await writeFile(join(target, smallFilePath(1)), 'changed by its reader')
    for (const index of [0, 1]) await rm(join(source, smallFilePath(index)))
    await publish(publisher, 'small', source)
    await completes(reader, publicKey, sequence + 1, 15_000)
    expect(await compareTrees(source, target)).toEqual([
      `only right: ${smallFilePath(1)}`,
      'only right: mine.txt',
    ])
  })
})

describe('a private channel', () => {
  it('is read with its read key, cannot be found without it, and shows nothing to who stores it', async () => {
    const [publisher, reader, dht] = [net.node('publisher'), net.node('reader'), net.dhtNodes[0] as TestNode]
    const source = publisher.path('source-private')
    const canary = 'canary-name-and-content'
    await makeTree(source, { seed: 6, smallFiles: 3 })
    await writeFile(join(source, canary), canary.repeat(100))
    const { uri, publicKey } = await createChannel(publisher, 'private', true)
    await publish(publisher, 'private', source)

    // Like a key that nobody ever used: not found, which is exit code 3.
    const unused = new BareIdentity().publicKey.toString('hex')
    await Promise.all(
      [publicKey, unused].map(async (key) => {
        const args = ['get', `megatorrent://${key}`, '--dir', reader.path(`nothing-${key}`), '--timeout', '1']
        const { error } = await reader.json<{ error: { kind: string } }>(args, 3)
        expect(error.kind).toBe('not-found')
      }),
    )
    await subscribe(reader, uri, reader.path('target-private'))
    expect(await compareTrees(source, reader.path('target-private'))).toEqual([])

    // Blobs, whoever holds them, and everything of a node of the DHT: no name, no content, no key.
    const readKey = Buffer.from(/:([0-9a-f]{64})/.exec(uri)?.[1] ?? 'none', 'hex')
    const needles = [Buffer.from(canary), readKey, Buffer.from(readKey.toString('hex'))]
    expect(readKey).toHaveLength(32)
    for (const folder of [join(publisher.dataDir, 'blobs'), join(reader.dataDir, 'blobs'), dht.dataDir]) {
      expect(await filesWith(folder, needles), folder).toEqual([])
    }
    // The control: the search does find what is there.
    expect(await filesWith(source, needles)).toHaveLength(1)
    expect((await filesWith(publisher.dataDir, [readKey])).length).toBeGreaterThan(0)
  })
})

/** Files below a folder that hold any of the byte strings. */
async function filesWith(folder: string, needles: readonly Buffer[]): Promise<readonly string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const content = await readFile(path)
    if (needles.some((needle) => content.includes(needle))) found.push(path)
  }
  return found
}
