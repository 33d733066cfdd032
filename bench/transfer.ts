/**
 * One large file from daemons to another over loopback: verified, kept and
 * assembled. From one source, from four, and over a long line.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TestNode } from '../test/swarm/harness/test-node.ts'
import { compareTrees, writeSeededFile } from '../test/swarm/harness/tree.ts'
import { type Bench, Cost, figure, MAX_RSS_MIB, MIB } from './figure.ts'
import { type Floor, mean, megabytesPerSecond } from './floors.ts'
import { QUIET } from './ingest.ts'
import { Line, type LineOptions, plainOverLine } from './line.ts'
import { spreadFloor } from './spread-floor.ts'
import { transferFloor } from './tcp-floor.ts'

const LONG_MS = 600_000
/** Of the floor that is spread over both cores and keeps each blob. */
const TRANSFER_RATIO = 0.8
const LINE: LineOptions = { delayMs: 25, bytesPerSecond: 125_000_000 }
const LINE_RATIO = 0.9
const SOURCES = 4

type Spent = Awaited<ReturnType<Cost['spent']>>

export async function transfer(bench: Bench): Promise<void> {
  const blobs = bench.bytes / MIB
  const before = await spreadFloor(bench.folder, blobs, 'kept')
  const { spent, value } = await run(bench, 1, null)
  const after = await spreadFloor(bench.folder, blobs, 'kept')
  const assembled = await spreadFloor(bench.folder, blobs, 'assembled')
  const oneThread = await transferFloor(bench.folder, blobs, 'kept')
  const wire = await transferFloor(bench.folder, blobs, 'wire')
  const floor = mean(before.speed, after.speed)
  const shown = ({ speed, cpuSeconds }: Floor): string =>
    `${speed.toFixed(0)} MB/s with ${cpuSeconds.toFixed(1)} s CPU`
  const floors = [
    `spread ${shown(before)} and ${shown(after)}`,
    `spread with assembly ${shown(assembled)}, ratio ${(value / assembled.speed).toFixed(2)}`,
    `one thread a side ${shown(oneThread)}`,
    `wire alone ${shown(wire)}`,
  ]
  const { seconds, note, ...rest } = spent
  bench.report(
    figure({
      ...{ name: 'transfer', value, unit: 'MB/s', floor, ratio: value / floor, ...rest },
      pass: value / floor >= TRANSFER_RATIO && rest.peakRssMiB < MAX_RSS_MIB,
      note: `${seconds.toFixed(2)} s; floors: ${floors.join('; ')}; ${note}`,
    }),
  )
}

export async function transferFromFour(bench: Bench): Promise<void> {
  const one = await run(bench, 1, null)
  const { spent, value } = await run(bench, SOURCES, null)
  const { seconds, note, ...rest } = spent
  bench.report(
    figure({
      ...{
        name: 'transfer-4-sources',
        value,
        unit: 'MB/s',
        floor: one.value,
        ratio: value / one.value,
        ...rest,
      },
      pass: value >= one.value * 0.95,
      note: `${seconds.toFixed(2)} s; the floor is the same from one source; ${note}`,
    }),
  )
}

export async function transferOverLine(bench: Bench): Promise<void> {
  const floor = await plainOverLine(bench.bytes, LINE)
  const { spent, value } = await run(bench, 1, LINE)
  const { seconds, note, ...rest } = spent
  bench.report(
    figure({
      ...{ name: 'transfer-50-ms', value, unit: 'MB/s', floor, ratio: value / floor, ...rest },
      pass: value / floor >= LINE_RATIO,
      note: `${seconds.toFixed(2)} s; 25 ms each way at 1 Gbit/s; the floor is plain TCP through the same relay; ${note}`,
    }),
  )
}

/** Publish on one node, let others have it that are sources too, then measure one more. */
async function run(
  bench: Bench,
  sources: number,
  line: LineOptions | null,
): Promise<{ readonly value: number; readonly spent: Spent }> {
  const source = join(bench.folder, 'transfer')
  await writeSeededFile(join(source, 'large.bin'), bench.bytes, 3)
  const nodes: TestNode[] = []
  const lines: Line[] = []
  const start = async (name: string, peers: readonly string[]): Promise<TestNode> => {
    const args = ['--no-dht', ...QUIET, ...peers.flatMap((address) => ['--peer', address])]
    const node = await TestNode.start({ name, args })
    nodes.push(node)
    return node
  }
  try {
    const publisher = await start('publisher', [])
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'bench' })
    // There is no DHT that could confirm it; the release is made all the same.
    await publisher.rpc('publish', { path: source, channel: 'bench' }, LONG_MS).catch(() => {})
    const link = uri.replace(/\?.*$/, '')
    const givers: TestNode[] = [publisher]
    while (givers.length < sources) {
      const seed = await start(`seed ${givers.length}`, [publisher.peerAddress])
      await seed.rpc('addSubscription', { uri: link, dir: seed.path('target'), wait: true }, LONG_MS)
      givers.push(seed)
    }
    const addresses: string[] = []
    for (const { peerAddress, endpoint } of givers) {
      if (line === null) {
        addresses.push(peerAddress)
        continue
      }
      const opened = await Line.open(endpoint.port, line)
      lines.push(opened)
      addresses.push(peerAddress.replace(/:\d+$/, `:${opened.port}`))
    }
    const subscriber = await start('subscriber', addresses)
    const target = subscriber.path('target')
    const cost = await Cost.since([...givers, subscriber])
    await subscriber.rpc('addSubscription', { uri: link, dir: target, wait: true }, LONG_MS)
    const spent = await cost.spent()
    const differences = await compareTrees(source, target)
    if (differences.length > 0) throw new Error(`the transfer is not complete: ${differences.join(', ')}`)
    return { value: megabytesPerSecond(bench.bytes, spent.seconds * 1000), spent }
  } finally {
    for (const each of lines) each.close()
    for (const node of nodes) await node.dispose()
    await rm(source, { recursive: true })
  }
}
