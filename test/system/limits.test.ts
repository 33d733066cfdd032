/**
 * Limits of real nodes over a minute: 5 % of what was set, and the same for each.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { TestNode } from '../swarm/harness/test-node.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const nodes: TestNode[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(name: string, args: readonly string[]): Promise<TestNode> {
  const node = await TestNode.start({ name, args: ['--no-dht', '--log-level', 'warn', ...args] })
  nodes.push(node)
  return node
}

interface PeerRow {
  readonly nodeKey: string | null
  readonly bytesIn: number
  readonly bytesOut: number
}

const RATE = 1_000_000
const MINUTE_MS = 60_000

describe('a limit of 1 MB/s', () => {
  it.each(['upload', 'download'] as const)(
    'of the %s is kept to a twentieth over a minute, by all readers together',
    async (which) => {
      const publisher = await start('publisher', which === 'upload' ? ['--upload-limit', String(RATE)] : [])
      const source = publisher.path('source')
      await writeFile(source, randomBytes(100_000_000))
      const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
      await publisher.rpc('publish', { path: source, channel: 'main', timeout: 0.1 }).catch(() => {})
      const args = ['--peer', publisher.peerAddress]
      if (which === 'download') args.push('--download-limit', String(RATE))
      const readers = [await start('one', args)]
      if (which === 'upload') readers.push(await start('two', args))
      for (const reader of readers) {
        await reader.rpc('addSubscription', { uri: uri.replace(/\?.*$/, ''), wait: false })
      }
      /**
       * Bytes that came in at the readers from the publisher, by what they count after the system gave
       * them; what readers give each other is not of its limit.
       */
      const received = async (): Promise<number[]> => {
        const rows = await Promise.all(readers.map((reader) => reader.rpc<{ peers: PeerRow[] }>('getPeers')))
        const { nodeKey } = publisher.ready
        return rows.map(({ peers }) =>
          peers.filter((peer) => peer.nodeKey === nodeKey).reduce((sum, { bytesIn }) => sum + bytesIn, 0),
        )
      }
      await waitUntil(
        async () => (await received()).every((bytes) => bytes > 2 * RATE),
        60_000,
        'all have begun',
      )
      const before = await received()
      const startMs = performance.now()
      await waitUntil(() => performance.now() - startMs >= MINUTE_MS, 2 * MINUTE_MS, 'a minute has passed')
      const tookMs = performance.now() - startMs
      const got = (await received()).map((bytes, at) => bytes - (before[at] as number))
      const total = got.reduce((sum, bytes) => sum + bytes, 0)
      const ratio = total / ((RATE * tookMs) / 1000)
      process.stdout.write(`${JSON.stringify({ what: `${which} limit`, ratio, got })}\n`)
      expect(Math.abs(ratio - 1)).toBeLessThan(0.05)
      // Two readers of one limit have the same, to a blob or two.
      expect(Math.max(...got) - Math.min(...got)).toBeLessThan(0.1 * total)
    },
  )
})
