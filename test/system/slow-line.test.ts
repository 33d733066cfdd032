/**
 * A bad line: 1 Mbit/s a peer, 5 % of all packets lost by the kernel, and a minute in
 * which nothing passes. What was begun is completed, and little of it is fetched twice.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { BLOB_BYTES } from '../../src/wire/constants.ts'
import { Line } from '../swarm/harness/line.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, writeSeededFile } from '../swarm/harness/tree.ts'
import { holdsFor, waitUntil } from '../swarm/harness/wait.ts'

const MIB = 1_048_576
const BLOBS = 8
const BYTES_PER_SECOND = 125_000
const DELAY_MS = 40
const LOSS_PERCENT = 5
const OUTAGE_MS = 60_000
const REFETCHED_PER_PEER = 2
/** For which rules hold: longer than the test may take. */
const RULES_MINUTES = 15

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const TABLE = 'megatorrent_slow_line'

function nft(...commands: readonly string[]): boolean {
  return spawnSync('nft', ['-f', '-'], { input: `${commands.join('\n')}\n` }).status === 0
}

/**
 * Have the kernel lose packets of these ports, in segments of the size that a real line has. Ports leave their
 * sets by themselves: a run that is killed would else make them useless for everybody until the machine starts.
 */
function lose(ports: readonly number[]): boolean {
  const dropped = `numgen random mod 100 < ${LOSS_PERCENT} counter drop`
  const isDone = nft(
    `table inet ${TABLE} {`,
    `  set lossy { type inet_service; flags timeout; timeout ${RULES_MINUTES}m; elements = { ${ports.join(', ')} } }`,
    `  set shut { type inet_service; flags timeout; timeout ${RULES_MINUTES}m; }`,
    '  chain sizes { type filter hook output priority 0;',
    '    tcp flags syn tcp sport @lossy tcp option maxseg size set 1448',
    '    tcp flags syn tcp dport @lossy tcp option maxseg size set 1448',
    '  }',
    '  chain losses { type filter hook input priority 0;',
    `    tcp sport @lossy ${dropped}`,
    `    tcp dport @lossy ${dropped}`,
    '    tcp dport @shut drop',
    '  }',
    '}',
  )
  if (isDone) cleanUps.push(async () => nft(`delete table inet ${TABLE}`))
  return isDone
}

const canLose = nft(`table inet ${TABLE}_probe {}`) && nft(`delete table inet ${TABLE}_probe`)
if (!canLose) process.stderr.write('slow-line: skipped, needs root and nft: apt-get install nftables\n')

describe('a line of 1 Mbit/s that loses 5 % of all packets', () => {
  it.skipIf(!canLose)(
    'with a minute without anything brings the release, at most 2 blobs a peer twice',
    async () => {
      nft(`delete table inet ${TABLE}`) // of a run that was killed
      const lines = [await Line.open({}), await Line.open({})]
      for (const line of lines) cleanUps.push(() => line.close())
      const [first, second] = lines as [Line, Line]
      const start = async (name: string, ...args: string[]): Promise<TestNode> => {
        const node = await TestNode.start({ name, args: ['--no-dht', ...args] })
        cleanUps.push(() => node.dispose())
        return node
      }
      const publisher = await start('publisher', '--external', first.address)
      first.leadTo(publisher.endpoint)
      const source = publisher.path('source')
      await writeSeededFile(join(source, 'film.mkv'), BLOBS * MIB, 1)
      const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
      const published = publisher.rpc('publish', { path: source, channel: 'main' })
      await expect(published).rejects.toMatchObject({ code: 'ERR_NO_CARRIER' })
      const holder = await start('holder', '--external', second.address)
      second.leadTo(holder.endpoint)
      await holder.rpc('addSubscription', { uri, wait: true })

      expect(lose(lines.map((line) => line.port))).toBe(true)
      const before = lines.map((line) => {
        line.change({ delayMs: DELAY_MS, bytesPerSecond: BYTES_PER_SECOND })
        return line.bytesIn
      })
      const nodeKey = holder.peerAddress.split('@')[0]
      const startMs = performance.now()
      const reader = await start('reader', '--peer', `${nodeKey}@${second.address}`)
      // Whoever hears of the reader would connect to it past the lines.
      expect(nft(`add element inet ${TABLE} shut { ${reader.endpoint.port} }`)).toBe(true)
      const directory = reader.path('target')
      await reader.rpc('addSubscription', { uri, dir: directory })
      const status = async (): Promise<{
        state: string
        blobsDone: number
        blobsTotal: number
        peers: number
      }> => {
        const { subscriptions } = await reader.rpc<{ subscriptions: Awaited<ReturnType<typeof status>>[] }>(
          'getSubscriptions',
        )
        const [only] = subscriptions
        if (only === undefined) throw new Error('no subscription')
        return only
      }
      await waitUntil(async () => (await status()).blobsDone >= 4, 120_000, 'some blobs are there')
      expect((await status()).state).toBe('fetching')
      for (const line of lines) line.down()
      await holdsFor(async () => (await status()).state !== 'complete', OUTAGE_MS, 'nothing passes')
      for (const line of lines) line.up()
      await waitUntil(async () => (await status()).state === 'complete', 300_000, 'the release is complete')
      const tookS = (performance.now() - startMs) / 1000
      expect(await compareTrees(source, directory)).toEqual([])

      const { blobsTotal } = await status()
      const carried = lines.map((line, index) => line.bytesIn - (before[index] ?? 0))
      const refetched = carried.reduce((sum, bytes) => sum + bytes, 0) / BLOB_BYTES - blobsTotal
      const shares = carried.map((bytes) => (bytes / BLOB_BYTES).toFixed(2))
      process.stderr.write(
        `slow-line: ${blobsTotal} blobs in ${tookS.toFixed(0)} s, carried ${shares.join(' and ')}, twice ${refetched.toFixed(2)}\n`,
      )
      // Small messages and what the frames add are a percent of it.
      expect(refetched).toBeLessThan(lines.length * REFETCHED_PER_PEER + blobsTotal / 50)
    },
  )
})
