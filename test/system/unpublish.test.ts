/**
 * What a node keeps and what goes, with real processes: hosting, garbage, a quota that
 * is reached, and a channel that is taken back. One network for all, since a process costs a second.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import { compareTrees, makeTree, writeSeededFile } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

let net: Testnet | undefined

afterEach(async () => {
  await net?.dispose()
  net = undefined
})

const MIB = 1_048_576

interface Listed {
  readonly publicKey: string
  readonly state: string
  readonly sequence: number
  readonly hosted: boolean
  readonly directory: string | null
  readonly error: { readonly code: string } | null
}

async function listed(node: TestNode): Promise<Listed> {
  const { subscriptions } = await node.rpc<{ subscriptions: Listed[] }>('getSubscriptions')
  if (subscriptions[0] === undefined) throw new Error(`${node.name} follows nothing`)
  return subscriptions[0]
}

async function held(node: TestNode): Promise<number> {
  return (await node.rpc<{ heldBlobs: number }>('getStatus')).heldBlobs
}

/** Seven processes begin here, some twice: the limit is for machines that have other things to do. */
const LIMIT_MS = 300_000

describe('a channel that is hosted, followed, and taken back', { timeout: LIMIT_MS }, () => {
  it('goes from all who hear of it, their files stay, and who comes late is told', async () => {
    net = await Testnet.start({ dhtNodes: 2, nodes: ['publisher', 'reader', 'host', 'late'] })
    const [publisher, reader, host, late] = ['publisher', 'reader', 'host', 'late'].map((name) =>
      (net as Testnet).node(name),
    ) as [TestNode, TestNode, TestNode, TestNode]
    const source = publisher.path('source')
    await makeTree(source, { seed: 8, smallFiles: 20, bigBytes: 4 * MIB })
    const { uri, publicKey } = await publisher.rpc<Record<'uri' | 'publicKey', string>>('createChannel', {
      name: 'main',
    })
    await publisher.rpc('publish', { path: source, channel: 'main' })

    await Promise.all([
      reader.rpc('addSubscription', { uri, dir: reader.path('target'), wait: true, timeout: 50 }),
      host.json(['host', uri, '--wait', '--timeout', '50']),
    ])
    expect(await compareTrees(source, reader.path('target'))).toEqual([])
    expect(await listed(host)).toMatchObject({ state: 'complete', hosted: true, directory: null })
    expect(await held(host)).toBe(await held(publisher))

    // Garbage: an ingest whose rows are gone would be one; what `get` fetched is what users have.
    await late.json(['get', uri, '--dir', late.path('once'), '--timeout', '50'])
    const fetched = await held(late)
    expect(await late.json(['gc'])).toEqual({ removed: fetched, freedBytes: fetched * (MIB + 16) })
    expect(await compareTrees(source, late.path('once'))).toEqual([])
    expect(await reader.json(['gc'])).toEqual({ removed: 0, freedBytes: 0 })
    await late.stop()

    const taken = await publisher.json<{ sequence: number; storedBy: number }>(['unpublish', 'main'])
    expect(taken.sequence).toBe(2)
    expect(taken.storedBy).toBeGreaterThanOrEqual(1)
    for (const node of [reader, host]) {
      await waitUntil(
        async () => (await listed(node)).error?.code === 'ERR_UNPUBLISHED' && (await held(node)) === 0,
        20_000,
        `${node.name} shows that the channel is unpublished and holds nothing of it`,
      )
    }
    expect(await held(publisher)).toBe(0)
    expect(await compareTrees(source, reader.path('target'))).toEqual([])
    const releases = await reader.json<unknown[]>(['releases', publicKey])
    expect(releases).toMatchObject([
      { sequence: 2, unpublished: true, rootId: null, conflict: false },
      { sequence: 1, unpublished: false },
    ])

    // The publisher is gone: those who held it hand on what it said last.
    await publisher.stop()
    await late.begin()
    const refused = await late.cli(['get', uri, '--timeout', '50', '--json'])
    expect(refused.exitCode).toBe(3)
    expect(JSON.parse(refused.stdout)).toMatchObject({
      error: { code: 'ERR_UNPUBLISHED', kind: 'not-found' },
    })

    // And back.
    await publisher.begin()
    await publisher.rpc('publish', { path: source, channel: 'main' })
    for (const node of [reader, host]) {
      await waitUntil(
        async () => (await listed(node)).state === 'complete' && (await listed(node)).sequence === 3,
        20_000,
        `${node.name} has the release after it`,
      )
    }
    await net.stop()
  })
})

describe('a quota', { timeout: LIMIT_MS }, () => {
  it('is never passed: garbage makes room, then a subscription waits and goes on when there is more', async () => {
    net = await Testnet.start({ dhtNodes: 1, nodes: ['publisher'] })
    const publisher = net.node('publisher')
    const reader = await net.add({ name: 'reader', args: ['--max-store', '12MiB'] })
    await net.dhtIsUp()
    const links: string[] = []
    for (const name of ['a', 'b', 'c']) {
      const source = publisher.path(name)
      await mkdir(source)
      await writeSeededFile(join(source, 'file'), 7 * MIB, links.length)
      links.push((await publisher.rpc<{ uri: string }>('createChannel', { name })).uri)
      await publisher.rpc('publish', { path: source, channel: name })
    }
    const [a = '', b = '', c = ''] = links
    // 8 blobs; got once, so they are garbage, and go for the next.
    await reader.json(['get', a, '--dir', reader.path('a'), '--timeout', '50'])
    await reader.rpc('addSubscription', { uri: b, dir: reader.path('b'), wait: true, timeout: 50 })
    expect(await held(reader)).toBeLessThanOrEqual(11)
    const full = await reader.cli([
      'subscribe',
      c,
      '--dir',
      reader.path('c'),
      '--wait',
      '--timeout',
      '50',
      '--json',
    ])
    expect(full.exitCode).toBe(9)
    expect(JSON.parse(full.stdout)).toMatchObject({ error: { code: 'ERR_STORE_FULL', kind: 'storage' } })
    expect(await held(reader)).toBeLessThanOrEqual(11)
    const { subscriptions } = await reader.rpc<{ subscriptions: Listed[] }>('getSubscriptions')
    expect(subscriptions.map(({ state }) => state)).toEqual(['complete', 'error'])
    // What is followed no more makes room.
    await reader.json(['unsubscribe', b, '--delete-files'])
    await waitUntil(async () => (await listed(reader)).state === 'complete', 20_000, 'the other goes on')
    expect(await compareTrees(publisher.path('c'), reader.path('c'))).toEqual([])
    await net.stop()
  })
})
