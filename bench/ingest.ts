/** Ingest of one large file and of many small ones, by a real daemon. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TestNode } from '../test/swarm/harness/test-node.ts'
import { makeTree, writeSeededFile } from '../test/swarm/harness/tree.ts'
import { type Bench, Cost, figure, MAX_RSS_MIB } from './figure.ts'
import { blobFloor, mean, megabytesPerSecond, smallFileFloor } from './floors.ts'

/** As in use: the harness has its nodes log everything. */
export const QUIET: readonly string[] = ['--log-level', 'warn']
const ALONE: readonly string[] = ['--no-dht', ...QUIET]
const LONG_MS = 600_000
const SMALL_FILES = 2000
const SMALL_BYTES = 10_240

const INGEST_RATIO = 0.5
const SMALL_FILES_PER_SECOND = 2000

export async function ingestLarge(bench: Bench): Promise<void> {
  const path = join(bench.folder, 'large.bin')
  await writeSeededFile(path, bench.bytes, 1)
  const floorOf = (durable: boolean) => blobFloor(path, bench.folder, { convergence: true, durable })
  const before = floorOf(false)
  const node = await TestNode.start({ name: 'daemon', args: ALONE })
  try {
    await node.rpc('createChannel', { name: 'bench' })
    const cost = await Cost.since([node])
    await node.rpc('ingest', { path, channel: 'bench' }, LONG_MS)
    const { seconds, note, ...spent } = await cost.spent()
    const floor = mean(before.speed, floorOf(false).speed)
    const durable = floorOf(true).speed
    const value = megabytesPerSecond(bench.bytes, seconds * 1000)
    bench.report(
      figure({
        ...{ name: 'ingest-large', value, unit: 'MB/s', floor, ratio: value / floor, ...spent },
        pass: value / floor >= INGEST_RATIO && spent.peakRssMiB < MAX_RSS_MIB,
        note: `${seconds.toFixed(2)} s; floor ${before.cpuSeconds.toFixed(1)} s CPU; durable floor ${durable.toFixed(0)}, ratio ${(value / durable).toFixed(2)}; ${note}`,
      }),
    )
    const again = await Cost.since([node])
    await node.rpc('ingest', { path, channel: 'bench' }, LONG_MS)
    const unchanged = await again.spent()
    bench.report(
      figure({
        ...{ name: 'ingest-large-again', value: unchanged.seconds, unit: 's', note: 'the same file again' },
        ...{ cpuSeconds: unchanged.cpuSeconds, peakRssMiB: unchanged.peakRssMiB },
      }),
    )
  } finally {
    await node.dispose()
    await rm(path)
  }
}

export async function ingestSmall(bench: Bench): Promise<void> {
  const source = join(bench.folder, 'small')
  await makeTree(source, { seed: 2, smallFiles: SMALL_FILES, smallBytes: SMALL_BYTES })
  const entries = await readdir(source, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  const node = await TestNode.start({ name: 'daemon', args: ALONE })
  try {
    await node.rpc('createChannel', { name: 'bench' })
    const before = smallFileFloor(paths)
    const cost = await Cost.since([node])
    await node.rpc('ingest', { path: source, channel: 'bench' }, LONG_MS)
    const { seconds, note, ...spent } = await cost.spent()
    const floor = mean(before, smallFileFloor(paths))
    const value = SMALL_FILES / seconds
    bench.report(
      figure({
        ...{ name: 'ingest-small', value, unit: 'files/s', floor, ratio: value / floor, ...spent },
        pass: value >= SMALL_FILES_PER_SECOND && spent.peakRssMiB < MAX_RSS_MIB,
        note: `${seconds.toFixed(2)} s; ${note}`,
      }),
    )
  } finally {
    await node.dispose()
    await rm(source, { recursive: true })
  }
}
