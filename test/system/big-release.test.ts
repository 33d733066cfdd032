/**
 * The main job at full scale: twelve processes on a DHT of their own, thousands of
 * real files, a large one, and updates that cost little and arrive soon.
 *
 * Needs some 10 GB of disk for a few minutes. Figures are printed as they are taken.
 */
import { execFile } from 'node:child_process'
import { cp, lstat, realpath, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loops } from '../loops.ts'
import { peakRssBytes } from '../swarm/harness/memory.ts'
import { PROJECT_ROOT, type TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import {
  appendBytes,
  BIG_FILE,
  compareTrees,
  executableFiles,
  makeTree,
  smallFilePath,
  writeSeededFile,
} from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const MIB = 1_048_576
const LONG_MS = 400_000
const MANY_FILES = loops(20_000, 100_000)
/** A connected subscriber holds what is new, and is complete, so soon after a publish has returned. */
const HELD_MS = 2000
const COMPLETE_MS = 15_000
/** One that was offline is complete so soon after its start. */
const CAUGHT_UP_MS = 60_000

interface Published {
  readonly uri: string
  readonly sequence: number
  readonly files: number
  readonly blobs: number
  readonly newBlobs: number
  readonly manifestBlobs: number
  readonly storedBy: number
}

interface Subscription {
  readonly publicKey: string
  readonly sequence: number
  readonly state: string
  readonly blobsDone: number
  readonly blobsTotal: number
}

let net: Testnet
let publisher: TestNode
let readers: readonly TestNode[]

beforeAll(async () => {
  const names = ['publisher', 'reader-0', 'reader-1', 'reader-2', 'reader-3']
  net = await Testnet.start({ dhtNodes: 7, nodes: names })
  publisher = net.node('publisher')
  readers = names.slice(1).map((name) => net.node(name))
})

afterAll(async () => {
  await net?.dispose()
})

async function createChannel(name: string): Promise<{ uri: string; publicKey: string }> {
  return publisher.rpc('createChannel', { name })
}

async function publish(channel: string, path: string): Promise<Published> {
  const startMs = performance.now()
  const published = await publisher.rpc<Published>('publish', { path, channel }, LONG_MS)
  const { sequence, files, blobs, newBlobs, manifestBlobs, storedBy } = published
  const what = `${blobs} blobs, ${newBlobs} new, ${manifestBlobs} of manifest, stored by ${storedBy}`
  print(`${channel} release ${sequence}: ${files} files, ${what}`, startMs)
  return published
}

/** Follow a link and wait until the newest release is complete. */
async function subscribe(node: TestNode, uri: string, dir: string): Promise<void> {
  const startMs = performance.now()
  await node.rpc('addSubscription', { uri, dir, wait: true }, LONG_MS)
  print(`${node.name} is complete`, startMs)
}

async function subscriptionOf(node: TestNode, publicKey: string): Promise<Subscription> {
  const { subscriptions } = await node.rpc<{ subscriptions: Subscription[] }>('getSubscriptions', {
    publicKey,
  })
  return subscriptions[0] as Subscription
}

/** ms from now until a node holds all blobs of a release, and until it shows it as complete. */
async function follows(
  node: TestNode,
  publicKey: string,
  sequence: number,
  limitMs: number,
): Promise<{ heldMs: number; completeMs: number }> {
  const startMs = performance.now()
  let heldMs: number | null = null
  await waitUntil(
    async () => {
      const seen = await subscriptionOf(node, publicKey)
      if (seen.sequence !== sequence) return false
      if (seen.blobsDone === seen.blobsTotal) heldMs ??= performance.now() - startMs
      return seen.state === 'complete'
    },
    limitMs,
    async () => {
      const seen = JSON.stringify(await subscriptionOf(node, publicKey))
      return `${node.name} has release ${sequence}, not ${seen}\n${node.stderrTail()}`
    },
  )
  const completeMs = performance.now() - startMs
  print(
    `${node.name} held release ${sequence} after ${Math.round(heldMs ?? completeMs)} ms, complete`,
    startMs,
  )
  return { heldMs: heldMs ?? completeMs, completeMs }
}

/** Connected readers follow a release that was just published, in time and byte for byte. */
async function allFollow(
  nodes: readonly TestNode[],
  publicKey: string,
  sequence: number,
  source: string,
  target: string,
): Promise<void> {
  const times = await Promise.all(nodes.map((node) => follows(node, publicKey, sequence, COMPLETE_MS)))
  for (const { heldMs } of times) expect(heldMs).toBeLessThanOrEqual(HELD_MS)
  for (const node of nodes) await expectSame(source, node.path(target))
}

/** As the program `diff -r` sees it; where it is missing, as our own comparison does. */
async function expectSame(source: string, target: string): Promise<void> {
  try {
    const { stdout, stderr } = await promisify(execFile)('diff', ['-r', source, target])
    expect([stdout, stderr]).toEqual(['', ''])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    expect(await compareTrees(source, target)).toEqual([])
  }
}

function print(what: string, startMs: number): void {
  process.stdout.write(`  ${what}: ${((performance.now() - startMs) / 1000).toFixed(2)} s\n`)
}

async function printMemory(): Promise<void> {
  for (const node of [publisher, ...readers]) {
    if (!(await node.isUp())) continue
    const peak = ((await peakRssBytes(node.pid)) ?? 0) / MIB
    process.stdout.write(`  ${node.name}: at most ${peak.toFixed(0)} MiB of memory\n`)
  }
}

/** The packages that this project depends on, and the project itself, without links: real files by the thousand. */
async function copyRealFiles(target: string): Promise<void> {
  for (const name of ['node_modules', 'dist', 'src', 'test']) {
    const from = await realpath(join(PROJECT_ROOT, name))
    const filter = async (path: string): Promise<boolean> => {
      // Folders with a dot belong to tools, and may change while they are copied.
      if (path !== from && dirname(path) === from && basename(path).startsWith('.')) return false
      return !(await lstat(path)).isSymbolicLink()
    }
    await cp(from, join(target, name), { recursive: true, filter })
  }
}

describe('a folder of thousands of real files and a large one', () => {
  let uri = ''
  let publicKey = ''
  let source = ''

  it('reaches four subscribers', async () => {
    source = publisher.path('source')
    await makeTree(source, { seed: 1, bigBytes: 512 * MIB, awkward: true })
    await copyRealFiles(join(source, 'packages'))
    ;({ uri, publicKey } = await createChannel('real'))
    const published = await publish('real', source)
    expect(published.files).toBeGreaterThanOrEqual(5000)
    expect(published.storedBy).toBeGreaterThanOrEqual(1)
    await Promise.all(readers.map((reader) => subscribe(reader, uri, reader.path('real'))))
    for (const reader of readers) {
      await expectSame(source, reader.path('real'))
      expect(await executableFiles(reader.path('real'))).toEqual([])
    }
    await printMemory()
  })

  it('costs two blobs at most when one byte is appended, and the release arrives soon', async () => {
    const [sleeper, ...connected] = [...readers].reverse() as [TestNode, ...TestNode[]]
    await sleeper.stop()
    await appendBytes(join(source, BIG_FILE), Buffer.of(1))
    const second = await publish('real', source)
    expect(second.sequence).toBe(2)
    expect(second.newBlobs).toBeLessThanOrEqual(2)
    await allFollow(connected, publicKey, 2, source, 'real')

    const startMs = performance.now()
    await sleeper.begin()
    await follows(sleeper, publicKey, 2, CAUGHT_UP_MS)
    expect(performance.now() - startMs).toBeLessThanOrEqual(CAUGHT_UP_MS)
    await expectSame(source, sleeper.path('real'))
    for (const reader of readers) await reader.rpc('removeSubscription', { uri, deleteFiles: true })
    await rm(source, { recursive: true })
  })
})

describe('ten thousand files of 10 KiB', () => {
  it('cost three new blobs at most for one changed, added or removed', async () => {
    const source = publisher.path('ten-thousand')
    await makeTree(source, { seed: 2, smallFiles: 10_000, smallBytes: 10_240 })
    const { uri, publicKey } = await createChannel('many')
    await publish('many', source)
    const connected = readers.slice(0, 2)
    await Promise.all(connected.map((reader) => subscribe(reader, uri, reader.path('many'))))
    const changes: readonly (() => Promise<void>)[] = [
      () => writeSeededFile(join(source, smallFilePath(5000)), 10_240, 99),
      () => writeSeededFile(join(source, 'folder-0042', 'added.dat'), 10_240, 98),
      () => rm(join(source, smallFilePath(7000))),
    ]
    for (const [i, change] of changes.entries()) {
      await change()
      const published = await publish('many', source)
      expect(published.sequence).toBe(2 + i)
      expect(published.newBlobs).toBeLessThanOrEqual(3)
      await allFollow(connected, publicKey, 2 + i, source, 'many')
    }
    for (const reader of connected) await reader.rpc('removeSubscription', { uri, deleteFiles: true })
    await rm(source, { recursive: true })
  })
})

describe('files that are smaller still', () => {
  it('share blobs: ten thousand of 1 KiB take sixteen at most, manifest included', async () => {
    const source = publisher.path('tiny')
    await makeTree(source, { seed: 3, smallFiles: 10_000, smallBytes: 1024 })
    const { uri } = await createChannel('tiny')
    const published = await publish('tiny', source)
    expect(published.blobs + published.manifestBlobs).toBeLessThanOrEqual(16)
    const reader = readers[0] as TestNode
    await subscribe(reader, uri, reader.path('tiny'))
    await expectSame(source, reader.path('tiny'))
    await reader.rpc('removeSubscription', { uri, deleteFiles: true })
    await rm(source, { recursive: true })
  })

  it(`arrive when they are ${MANY_FILES}, and one more costs four manifest blobs at most`, async () => {
    const source = publisher.path('crowd')
    await makeTree(source, { seed: 4, smallFiles: MANY_FILES, smallBytes: [0, 600] })
    const { uri, publicKey } = await createChannel('crowd')
    const first = await publish('crowd', source)
    expect(first.files).toBe(MANY_FILES)
    const reader = readers[0] as TestNode
    await subscribe(reader, uri, reader.path('crowd'))
    await expectSame(source, reader.path('crowd'))

    await writeFile(join(source, smallFilePath(MANY_FILES / 2)), 'changed')
    const held = await heldBlobs(publisher)
    const second = await publish('crowd', source)
    expect(second.newBlobs).toBeLessThanOrEqual(3)
    expect((await heldBlobs(publisher)) - held - second.newBlobs).toBeLessThanOrEqual(4)
    await follows(reader, publicKey, 2, COMPLETE_MS)
    await expectSame(source, reader.path('crowd'))
    await printMemory()
  })

  it('and every node ends clean', async () => {
    await net.stop()
  })
})

async function heldBlobs(node: TestNode): Promise<number> {
  return (await node.rpc<{ heldBlobs: number }>('getStatus')).heldBlobs
}
