/** Ingest of one large file and of many small ones, by a real daemon. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TestNode } from '../test/swarm/harness/test-node.ts'
import { makeTree, writeSeededFile } from '../test/swarm/harness/tree.ts'
import { type Bench, Cost, figure, MAX_RSS_MIB } from './figure.ts'
import { blobFloor, type Floor, mean, megabytesPerSecond, smallFileFloor } from './floors.ts'

/** As in use: the harness has its nodes log everything. */
export const QUIET: readonly string[] = ['--log-level', 'warn']
const ALONE: readonly string[] = ['--no-dht', ...QUIET]
const LONG_MS = 600_000

/** Of two threads with the convergence hash, not durable. */
const INGEST_RATIO = 0.65
const INGEST_MB_PER_SECOND = 600
const SMALL_FILES_PER_SECOND = 10_000
/** Thread counts of the floors. */
const ONE = 1
const TWO = 2

export async function ingestLarge(bench: Bench): Promise<void> {
  const path = join(bench.folder, 'large.bin')
  await writeSeededFile(path, bench.bytes, 1)
  const floorOf = (threads: number, convergence: boolean, durable: boolean): Promise<Floor> =>
    blobFloor(path, bench.folder, { convergence, durable, threads })
  const before = await floorOf(TWO, true, false)
  const node = await TestNode.start({ name: 'daemon', args: ALONE })
  try {
    await node.rpc('createChannel', { name: 'bench' })
    const cost = await Cost.since([node])
    await node.rpc('ingest', { path, channel: 'bench' }, LONG_MS)
    const { seconds, note, ...spent } = await cost.spent()
    const after = await floorOf(TWO, true, false)
    const floor = mean(before.speed, after.speed)
    const others = [
      `one thread ${shown(await floorOf(ONE, true, false))}`,
      `two threads ${shown(before)} and ${shown(after)}`,
      `durable ${shown(await floorOf(ONE, true, true))} and ${shown(await floorOf(TWO, true, true))}`,
      `without convergence ${shown(await floorOf(ONE, false, false))} and ${shown(await floorOf(TWO, false, false))}`,
    ]
    const value = megabytesPerSecond(bench.bytes, seconds * 1000)
    bench.report(
      figure({
        ...{ name: 'ingest-large', value, unit: 'MB/s', floor, ratio: value / floor, ...spent },
        pass:
          (value >= INGEST_MB_PER_SECOND || value / floor >= INGEST_RATIO) && spent.peakRssMiB < MAX_RSS_MIB,
        note: `${seconds.toFixed(2)} s; floors: ${others.join(', ')}; ${note}`,
      }),
    )
    await again(bench, node, path, 'ingest-large-again')
  } finally {
    await node.dispose()
    await rm(path)
  }
}

export async function ingestSmall(bench: Bench): Promise<void> {
  await ingestMany(bench, 'ingest-2000-10k', { smallFiles: 2000, smallBytes: 10_240 })
  await ingestMany(bench, 'ingest-10000-1k', { smallFiles: 10_000, smallBytes: 1024 })
}

async function ingestMany(
  bench: Bench,
  name: string,
  tree: { readonly smallFiles: number; readonly smallBytes: number },
): Promise<void> {
  const source = join(bench.folder, 'small')
  await makeTree(source, { seed: 2, ...tree })
  const entries = await readdir(source, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name: file }) => join(parentPath, file))
  const node = await TestNode.start({ name: 'daemon', args: ALONE })
  try {
    await node.rpc('createChannel', { name: 'bench' })
    const before = smallFileFloor(paths)
    const cost = await Cost.since([node])
    await node.rpc('ingest', { path: source, channel: 'bench' }, LONG_MS)
    const { seconds, note, ...spent } = await cost.spent()
    const floor = mean(before, smallFileFloor(paths))
    const value = tree.smallFiles / seconds
    bench.report(
      figure({
        ...{ name, value, unit: 'files/s', floor, ratio: value / floor, ...spent },
        pass: value >= SMALL_FILES_PER_SECOND && spent.peakRssMiB < MAX_RSS_MIB,
        note: `${seconds.toFixed(2)} s; ${note}`,
      }),
    )
    await again(bench, node, source, `${name}-again`)
  } finally {
    await node.dispose()
    await rm(source, { recursive: true })
  }
}

/** Nothing changed since: nothing is read. */
async function again(bench: Bench, node: TestNode, path: string, name: string): Promise<void> {
  const cost = await Cost.since([node])
  await node.rpc('ingest', { path, channel: 'bench' }, LONG_MS)
  const { seconds, cpuSeconds, peakRssMiB } = await cost.spent()
  bench.report(figure({ name, value: seconds * 1000, unit: 'ms', cpuSeconds, peakRssMiB, note: 'unchanged' }))
}

function shown({ speed, cpuSeconds }: Floor): string {
  return `${speed.toFixed(0)} MB/s (${cpuSeconds.toFixed(1)} s CPU)`
}
