/**
 * `megatorrent demo`: the main job on a private network of real processes.
 *
 * Starts DHT nodes, a publisher and subscribers on loopback, publishes a folder,
 * lets the subscribers follow it to a second release, compares every byte, and
 * says where the files are. Everything goes through the command line's own
 * client: nothing here is done that a user could not do.
 *
 * @module cli/demo
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '../base/clock.ts'
import { printableJson } from '../base/printable.ts'
import { changeFolder, compareFolders, makeFolder } from './demo-files.ts'
import { type DemoNode, DemoNodes } from './demo-nodes.ts'
import { CliError } from './errors.ts'
import { formatBytes, plural } from './format.ts'
import type { CliIo } from './io.ts'
import { createProgress, type ProgressView } from './progress.ts'

export interface DemoOptions {
  readonly json?: boolean
  readonly quiet?: boolean
  /** Keep keys, blobs and logs of the daemons too. */
  readonly keep?: boolean
}

const DHT_NODES = 5
const SUBSCRIBERS = 3
/** For each wait: on two slow cores the whole demo takes some 20 s. */
const STEP_MS = 45_000
const POLL_MS = 100

interface Network {
  readonly publisher: DemoNode
  readonly subscribers: readonly DemoNode[]
}

/** @returns The exit code 0; everything else is thrown. */
export async function runDemo(io: CliIo, options: DemoOptions): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'megatorrent-demo-'))
  const nodes = new DemoNodes(io, folder)
  const progress = createProgress(io, options.quiet === true)
  const isTold = options.json !== true && options.quiet !== true
  const tell = (text: string): void => {
    progress.end()
    if (isTold) io.stdout.write(`${text}\n`)
  }
  try {
    const report = await play(io, folder, nodes, progress, tell)
    await nodes.stop()
    if (options.keep !== true) await rm(join(folder, 'nodes'), { recursive: true, force: true })
    if (options.json === true) io.stdout.write(`${printableJson(report)}\n`)
    tell(closingWords(folder, options.keep === true))
    return 0
  } catch (error) {
    progress.end()
    tell(`The demo failed; logs of its daemons are in ${join(folder, 'nodes')}`)
    throw error
  } finally {
    progress.end()
    await nodes.stop()
  }
}

interface DemoReport {
  readonly folder: string
  readonly uri: string
  readonly releases: readonly {
    readonly sequence: number
    readonly newBlobs: number
    readonly seconds: number
  }[]
  readonly subscribers: number
  readonly files: number
  readonly bytes: number
}

async function play(
  io: CliIo,
  folder: string,
  nodes: DemoNodes,
  progress: ProgressView,
  tell: (text: string) => void,
): Promise<DemoReport> {
  const source = join(folder, 'published')
  const since = stopwatch(io)
  tell('A private network of real processes on this machine; nothing leaves it.\n')

  tell(`1. Starting ${DHT_NODES} DHT nodes, a publisher and ${SUBSCRIBERS} subscribers, and making a folder`)
  await mkdir(source)
  const [network] = await Promise.all([startNetwork(nodes), makeFolder(source, io.random)])
  const { publisher, subscribers } = network
  tell(`   ready in ${since()}`)

  tell('2. Making a channel and publishing the folder on it')
  const channel = await publisher.client.call('createChannel', { name: 'demo' })
  const publish = () =>
    publisher.client.runJob(
      'publish',
      { path: source, channel: 'demo', title: 'Demo' },
      progress.update,
      STEP_MS,
    )
  const first = await publish()
  const firstSeconds = since()
  const size = `${plural(first.files, 'file')}, ${formatBytes(first.bytes)}`
  tell(`   release ${first.sequence}: ${size} in ${plural(first.blobs, 'sealed blob')}`)
  tell(`   signed, and confirmed by ${plural(first.storedBy, 'DHT node')}, in ${firstSeconds}`)
  tell(`   link: ${channel.uri}`)

  tell(`3. ${plural(subscribers.length, 'subscriber')} given that link find it through the DHT and fetch it`)
  const directory = (node: DemoNode): string => join(folder, node.name)
  await Promise.all(
    subscribers.map((node) =>
      node.client.call('addSubscription', { uri: channel.uri, dir: directory(node) }),
    ),
  )
  await followUntil(io, subscribers, first.sequence, progress)
  const seen = await compareAll(source, subscribers.map(directory))
  tell(
    `   all complete in ${since()}; ${plural(seen.files, 'file')} of each compared byte by byte: identical`,
  )

  tell('4. Changing a page, adding one, removing one, one byte more in the large file; publishing again')
  await changeFolder(source)
  const second = await publish()
  const secondSeconds = since()
  tell(
    `   release ${second.sequence}: ${plural(second.newBlobs, 'new blob')} among ${second.blobs}, in ${secondSeconds}`,
  )

  tell('5. The subscribers follow by themselves')
  await followUntil(io, subscribers, second.sequence, progress)
  const last = await compareAll(source, subscribers.map(directory))
  tell(`   all complete in ${since()}; compared again: identical`)
  return {
    folder,
    uri: channel.uri,
    releases: [
      { sequence: first.sequence, newBlobs: first.newBlobs, seconds: Number.parseFloat(firstSeconds) },
      { sequence: second.sequence, newBlobs: second.newBlobs, seconds: Number.parseFloat(secondSeconds) },
    ],
    subscribers: subscribers.length,
    files: last.files,
    bytes: last.bytes,
  }
}

/** The first DHT node, then all others at once: they start from it. */
async function startNetwork(nodes: DemoNodes): Promise<Network> {
  const first = await nodes.start('dht-1', ['--bootstrap', 'none'])
  const bootstrap = ['--bootstrap', `127.0.0.1:${first.daemon.dhtPort}`]
  const servers = Array.from({ length: DHT_NODES - 1 }, (_, i) =>
    nodes.start(`dht-${i + 2}`, [...bootstrap, '--dht-server']),
  )
  const publisher = nodes.start('publisher', bootstrap)
  const subscribers = Array.from({ length: SUBSCRIBERS }, (_, i) =>
    nodes.start(`subscriber-${i + 1}`, bootstrap),
  )
  await Promise.all(servers)
  return { publisher: await publisher, subscribers: await Promise.all(subscribers) }
}

/** Wait until every subscriber has that release whole, showing how far they are together. */
async function followUntil(
  io: CliIo,
  subscribers: readonly DemoNode[],
  sequence: number,
  progress: ProgressView,
): Promise<void> {
  const endMs = io.clock.monotonicMs() + STEP_MS
  for (;;) {
    const answers = await Promise.all(subscribers.map((node) => node.client.call('getSubscriptions', {})))
    const all = answers.flatMap((answer) => answer.subscriptions)
    const failed = all.find((one) => one.error !== null)
    if (failed?.error) {
      const message = `a subscriber failed: ${failed.error.message}`
      throw new CliError({ code: failed.error.code, kind: 'unfinished', message })
    }
    if (all.length > 0 && all.every((one) => one.sequence >= sequence && one.state === 'complete')) return
    const [done, total] = [sum(all.map((one) => one.blobsDone)), sum(all.map((one) => one.blobsTotal))]
    progress.update({ phase: 'fetching', done, total: total === 0 ? null : total, unit: 'blobs' })
    if (io.clock.monotonicMs() >= endMs) {
      const message = 'the subscribers were not complete in time'
      throw new CliError({ code: 'ERR_TIMEOUT', kind: 'timeout', message })
    }
    await sleep(io.clock, POLL_MS, io.signal)
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

async function compareAll(
  source: string,
  directories: readonly string[],
): Promise<{ readonly files: number; readonly bytes: number }> {
  let counted = { files: 0, bytes: 0 }
  for (const directory of directories) {
    const { files, bytes, differences } = await compareFolders(source, directory)
    if (differences.length > 0) {
      const message = `${directory} differs from what was published: ${differences.join(', ')}`
      throw new CliError({ code: 'ERR_BUG', kind: 'integrity', message })
    }
    counted = { files, bytes }
  }
  return counted
}

/** Each call gives the time since the one before. */
function stopwatch(io: CliIo): () => string {
  let lastMs = io.clock.monotonicMs()
  return () => {
    const nowMs = io.clock.monotonicMs()
    const seconds = (nowMs - lastMs) / 1000
    lastMs = nowMs
    return `${seconds.toFixed(1)} s`
  }
}

function closingWords(folder: string, isKept: boolean): string {
  return [
    '',
    'Done. One process published a folder, three others found it by its link alone, without a server,',
    'and followed it to the next version, fetching only what was new.',
    '',
    `  published:  ${join(folder, 'published')}`,
    `  received:   ${join(folder, 'subscriber-1')} (and -2, -3)`,
    ...(isKept ? [`  daemons:    ${join(folder, 'nodes')} (keys, blobs, logs)`] : []),
    `  remove all: rm -r ${folder}`,
    '',
    'Next: "megatorrent serve" starts a daemon of your own, "megatorrent --help" lists what it can do.',
  ].join('\n')
}
