/**
 * Limits of real nodes: a transfer is as slow as either side wants it, at once when
 * that changes, and over a restart. test/system/limits.test.ts measures a minute.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { TestNode } from './harness/test-node.ts'
import { waitUntil } from './harness/wait.ts'

interface Limits {
  readonly uploadLimit: number
  readonly downloadLimit: number
  readonly maxPeers: number
}

const nodes: TestNode[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(args: readonly string[]): Promise<TestNode> {
  const node = await TestNode.start({ name: `node-${nodes.length}`, args: ['--no-dht', ...args] })
  nodes.push(node)
  return node
}

describe('limits', () => {
  it('slow a transfer down, can be lifted while it runs, and are kept', async () => {
    const publisher = await start(['--upload-limit', '1M'])
    const source = publisher.path('source')
    await writeFile(source, randomBytes(12_000_000))
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'limited' })
    // There is no DHT that could confirm it; the release is made all the same.
    await publisher.rpc('publish', { path: source, channel: 'limited', timeout: 0.1 }).catch(() => {})
    const reader = await start(['--peer', publisher.peerAddress])
    await reader.rpc('addSubscription', { uri, wait: false })
    const fetched = async (): Promise<{ state: string; blobsDone: number }> => {
      const { subscriptions } = await reader.rpc<{ subscriptions: { state: string; blobsDone: number }[] }>(
        'getSubscriptions',
      )
      return subscriptions[0] as { state: string; blobsDone: number }
    }
    await waitUntil(async () => (await fetched()).blobsDone > 0, 30_000, 'the first blob is there')
    // Twelve blobs of 1 MiB take 12 s at 1 MB/s.
    expect((await fetched()).state).not.toBe('complete')
    const changed = await publisher.json<Limits>(['limits', '--upload-limit', '50MB/s', '--max-peers', '9'])
    expect(changed).toEqual({ uploadLimit: 50_000_000, downloadLimit: 0, maxPeers: 9 })
    await waitUntil(async () => (await fetched()).state === 'complete', 15_000, 'the rest comes quickly')

    await reader.rpc('setLimits', { downloadLimit: 123_456 })
    await reader.restart()
    expect(await reader.rpc<Limits>('getLimits')).toEqual({
      uploadLimit: 0,
      downloadLimit: 123_456,
      maxPeers: 200,
    })
    // A value in the file that was changed since is newer; SIGHUP makes it known.
    await writeFile(join(reader.dataDir, 'config.toml'), 'download_limit = "2MiB/s"\n')
    process.kill(reader.pid, 'SIGHUP')
    await waitUntil(
      async () => (await reader.rpc<Limits>('getLimits')).downloadLimit === 2_097_152,
      10_000,
      'the file is read again',
    )
    await writeFile(join(reader.dataDir, 'config.toml'), 'download_limit = "fast"\n')
    process.kill(reader.pid, 'SIGHUP')
    await waitUntil(() => reader.stderr.includes('the old ones stay'), 10_000, 'the wrong value is told of')
    expect((await reader.rpc<Limits>('getLimits')).downloadLimit).toBe(2_097_152)
    await Promise.all(nodes.map((node) => node.stop()))
  })
})
