/**
 * A small disk fills up under an ingest and under a download: both stop with the right error, the node
 * stays up, nothing false is shown, and the work is completed when there is space. Then the
 * last byte of it is taken, so that keys and the database find no place either.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type RpcFailure, TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import { compareTrees, writeSeededFile } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const CONTENT_BYTES = 24_000_000
const DISK = 'size=10m'
const LARGER_DISK = 'size=200m'
/** A failed subscription is tried again after half a minute. */
const LIMIT_MS = 120_000

let net: Testnet | undefined
const nodes: TestNode[] = []
const mounts: string[] = []

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.kill()))
  for (const path of mounts.splice(0)) execFileSync('umount', ['--lazy', path])
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
  await net?.dispose()
})

function mount(path: string, options: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `${options},mode=0700`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return false // not root, or root without that right
  }
  mounts.push(path)
  return true
}

/** A node whose data folder is a small disk, or null where none can be mounted. */
async function smallNode(name: string): Promise<TestNode | null> {
  net = await Testnet.start({ dhtNodes: 1 })
  const node = await TestNode.create({ name, args: [...net.bootstrapArgs(), '--min-free', '0'] })
  nodes.push(node)
  mkdirSync(node.dataDir, { mode: 0o700 })
  if (process.platform !== 'linux' || !mount(node.dataDir, DISK)) return null
  await node.begin()
  return node
}

function enlarge(node: TestNode): void {
  execFileSync('mount', ['-o', `remount,${LARGER_DISK}`, node.dataDir])
}

/** To the last byte. */
function fillUp(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (const bytes of [65_536, 4096, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(bytes))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    }
  } finally {
    closeSync(file)
  }
}

interface Subscription {
  readonly state: string
  readonly sequence: number
  readonly error: { readonly code: string } | null
}

async function subscription(node: TestNode): Promise<Subscription> {
  const { subscriptions } = await node.rpc<{ subscriptions: Subscription[] }>('getSubscriptions')
  return subscriptions[0] as Subscription
}

const NO_DISK = 'needs root and the right to mount a tmpfs'

describe('on a disk that is full', () => {
  it('an ingest says so, and succeeds when there is space', async ({ skip }) => {
    const node = await smallNode('publisher')
    if (node === null) return skip(NO_DISK)
    await node.rpc('createChannel', { name: 'main' })
    const source = node.path('source')
    mkdirSync(source)
    await writeSeededFile(join(source, 'large'), CONTENT_BYTES, 1)
    const publish = (): Promise<{ sequence: number }> =>
      node.rpc('publish', { channel: 'main', path: source })
    const refused = await publish().catch((error: RpcFailure) => error.code)
    expect(refused).toBe('ERR_DISK_FULL')
    expect(await node.rpc('listChannels')).toMatchObject({ channels: [{ sequence: 0 }] })
    // What had been written is there and whole.
    expect(await node.rpc('verify')).toMatchObject({ bad: 0 })
    fillUp(join(node.dataDir, 'filler'))
    const second = (): Promise<unknown> => node.rpc('createChannel', { name: 'second' })
    expect(await second().catch((error: RpcFailure) => error.code)).toBe('ERR_DISK_FULL')
    expect(await publish().catch((error: RpcFailure) => error.code)).toBe('ERR_DISK_FULL')
    enlarge(node)
    await second()
    expect(await publish()).toMatchObject({ sequence: 1 })
    expect(await node.rpc('verify')).toMatchObject({ bad: 0 })
    await node.stop()
  })

  it('a download says so, and completes when there is space', async ({ skip }) => {
    const node = await smallNode('reader')
    if (node === null) return skip(NO_DISK)
    const publisher = await (net as Testnet).add({ name: 'publisher' })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
    const source = publisher.path('source')
    mkdirSync(source)
    await writeSeededFile(join(source, 'large'), CONTENT_BYTES, 2)
    await publisher.rpc('publish', { channel: 'main', path: source })
    const target = node.path('target')
    await node.rpc('addSubscription', { uri, dir: target })
    await node.rpc('addPeer', { address: publisher.peerAddress })
    const told = async (): Promise<string> =>
      `${JSON.stringify(await subscription(node))}\n${node.stderrTail()}`
    await waitUntil(async () => (await subscription(node)).error?.code === 'ERR_DISK_FULL', LIMIT_MS, told)
    expect(await subscription(node)).toMatchObject({ state: 'error' })
    expect(await node.rpc('verify')).toMatchObject({ bad: 0 })
    // A full disk is no reason not to come up.
    await node.kill()
    await node.begin()
    enlarge(node)
    await node.rpc('addPeer', { address: publisher.peerAddress })
    await waitUntil(async () => (await subscription(node)).state === 'complete', LIMIT_MS, told)
    expect(await compareTrees(source, target)).toEqual([])
    expect(await node.rpc('verify')).toMatchObject({ bad: 0 })
    rmSync(target, { recursive: true })
    await node.stop()
  })
})
