/** One large file from one daemon to another over loopback: verified, kept and assembled. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Testnet } from '../test/swarm/harness/testnet.ts'
import { compareTrees, writeSeededFile } from '../test/swarm/harness/tree.ts'
import { type Bench, Cost, figure, MAX_RSS_MIB, MIB } from './figure.ts'
import { blobFloor, type Floor, mean, megabytesPerSecond } from './floors.ts'
import { QUIET } from './ingest.ts'
import { transferFloor } from './tcp-floor.ts'

const LONG_MS = 600_000
const TRANSFER_RATIO = 0.3

export async function transfer(bench: Bench): Promise<void> {
  const blobs = bench.bytes / MIB
  const source = join(bench.folder, 'transfer')
  await writeSeededFile(join(source, 'large.bin'), bench.bytes, 3)
  const before = await transferFloor(bench.folder, blobs, 'kept')
  const net = await Testnet.start({ dhtNodes: 2, nodes: ['publisher'], args: QUIET })
  try {
    const publisher = net.node('publisher')
    const subscriber = await net.add({ name: 'subscriber', args: ['--peer', publisher.peerAddress] })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'bench' })
    await publisher.rpc('publish', { path: source, channel: 'bench' }, LONG_MS)
    const target = subscriber.path('target')
    const cost = await Cost.since([publisher, subscriber])
    await subscriber.rpc('addSubscription', { uri, dir: target, wait: true }, LONG_MS)
    const { seconds, note, ...spent } = await cost.spent()
    const differences = await compareTrees(source, target)
    if (differences.length > 0) throw new Error(`the transfer is not complete: ${differences.join(', ')}`)
    const floor = mean(before.speed, (await transferFloor(bench.folder, blobs, 'kept')).speed)
    const wire = await transferFloor(bench.folder, blobs, 'wire')
    const assembled = await transferFloor(bench.folder, blobs, 'assembled')
    const disk = blobFloor(join(source, 'large.bin'), bench.folder, { convergence: false, durable: false })
    const value = megabytesPerSecond(bench.bytes, seconds * 1000)
    const shown = ({ speed, cpuSeconds }: Floor): string =>
      `${speed.toFixed(0)} MB/s with ${cpuSeconds.toFixed(1)} s CPU`
    const others = `floors: kept ${shown(before)}, wire alone ${shown(wire)}, with assembly ${shown(assembled)}, disk alone ${shown(disk)}`
    bench.report(
      figure({
        ...{ name: 'transfer', value, unit: 'MB/s', floor, ratio: value / floor, ...spent },
        pass: value / floor >= TRANSFER_RATIO && spent.peakRssMiB < MAX_RSS_MIB,
        note: `${seconds.toFixed(2)} s; ${others}; ${note}`,
      }),
    )
  } finally {
    await net.dispose()
    await rm(source, { recursive: true })
  }
}
