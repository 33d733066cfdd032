/**
 * A real node with a release, crowds against it in processes of their own
 * (test/slow/tools/crowd.ts), and an honest peer that measures how it is served.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { CrowdReport, CrowdTask } from '../../slow/tools/crowd.ts'
import { type BareConnection, TYPES } from './bare-connection.ts'
import { BareChannel } from './bare-crypto.ts'
import { dialBare, ipv4Address } from './bare-peer.ts'
import { type BareRelease, fetchRelease } from './bare-release.ts'
import { peakRssBytes, rssBytes, threadsOf } from './memory.ts'
import { PROJECT_ROOT, TestNode } from './test-node.ts'
import { waitUntil, within } from './wait.ts'

const TOOL = join(PROJECT_ROOT, 'dist', 'test', 'slow', 'tools', 'crowd.js')
const MIB = 1_048_576
/** For a whole crowd to come: it is a bound for the broken case. */
const CROWD_MS = 300_000
/** Between two requests that are timed: they are not to be the load. */
const REQUEST_PAUSE_MS = 20

/** ms for each step of an honest peer. */
export interface Served {
  readonly handshakeMs: number
  readonly headMs: number
  readonly blobMs: number
  readonly totalMs: number
}

export interface Latency {
  readonly p50: number
  readonly p99: number
}

export interface ServedMeanwhile extends Latency {
  readonly reports: readonly CrowdReport[]
  /** Newcomers that were served. */
  readonly peers: number
  readonly slowestMs: number
}

type Attack = Omit<CrowdTask, 'port' | 'link'>

export class Crowd {
  readonly #child: ChildProcess
  #out = ''
  #reports = 0

  constructor(task: CrowdTask) {
    this.#child = spawn(process.execPath, [TOOL, JSON.stringify(task)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text
    })
  }

  /** How it stands; the first call waits until all have come, or are over. */
  async report(): Promise<CrowdReport> {
    if (this.#reports > 0) this.#child.stdin?.write('\n')
    const wanted = ++this.#reports
    await waitUntil(() => this.#out.split('\n').length > wanted, CROWD_MS, 'the crowd has come')
    return JSON.parse(this.#out.split('\n')[wanted - 1] as string) as CrowdReport
  }

  end(): void {
    this.#child.stdin?.end()
  }
}

export class Crowded {
  readonly node: TestNode
  readonly link: string
  readonly channel: BareChannel
  readonly #crowds: Crowd[] = []
  readonly #nodes: TestNode[] = []
  #content: BareRelease | null = null
  #link: BareConnection | null = null
  /** Threads of the node while it has no workers. */
  readonly #threads: number

  private constructor(node: TestNode, link: string, threads: number) {
    this.#threads = threads
    this.node = node
    this.link = link
    this.channel = BareChannel.fromLink(link)
    this.#nodes.push(node)
  }

  /** A node with a release of so many blobs. */
  static async start(options: {
    maxPeers?: number
    blobs?: number
    args?: readonly string[]
  }): Promise<Crowded> {
    const { maxPeers = 200, blobs = 2, args = [] } = options
    const node = await TestNode.start({
      name: 'node',
      args: ['--no-dht', '--max-peers', String(maxPeers), '--log-level', 'warn', ...args],
    })
    try {
      const threads = (await threadsOf(node.pid)) ?? 0
      const source = node.path('source')
      await writeFile(source, randomBytes(blobs * MIB - 100_000))
      const { uri } = await node.rpc<{ uri: string }>('createChannel', { name: 'main' })
      // There is no DHT that could confirm it; the release is made all the same.
      await node.rpc('publish', { path: source, channel: 'main', timeout: 0.1 }).catch(() => {})
      const crowded = new Crowded(node, uri, threads)
      crowded.#content = await crowded.#fetch()
      return crowded
    } catch (error) {
      await node.dispose()
      throw error
    }
  }

  /** Ids of blobs of the release, hex. */
  get blobIds(): readonly string[] {
    return this.#content?.order ?? []
  }

  get release(): { readonly number: number; readonly rootId: string; readonly blobs: number } {
    const { head, order } = this.#content as BareRelease
    return { number: head.release, rootId: head.rootId.toString('hex'), blobs: order.length }
  }

  /** Start a crowd; `report` waits for it. */
  begin(task: Attack, node = this.node): Crowd {
    const crowd = new Crowd({ ...task, port: node.endpoint.port, link: this.link })
    this.#crowds.push(crowd)
    return crowd
  }

  /** Memory of the node once its workers have ended, whose memory is not what a crowd takes. */
  async settledRss(): Promise<number> {
    const isIdle = async (): Promise<boolean> => ((await threadsOf(this.node.pid)) ?? 0) <= this.#threads
    await waitUntil(isIdle, 120_000, 'the workers have ended')
    return this.rss()
  }

  rss(node = this.node): Promise<number> {
    return rssBytes(node.pid).then((bytes) => bytes ?? 0)
  }

  peakRss(node = this.node): Promise<number> {
    return peakRssBytes(node.pid).then((bytes) => bytes ?? 0)
  }

  /** A newcomer that knows the channel: handshake, head, one blob. */
  async honest(node = this.node): Promise<Served> {
    const startMs = performance.now()
    const connection = await this.#dial(node)
    try {
      const handshakeMs = performance.now() - startMs
      await connection.receiveUntil(({ type }) => type === TYPES.HELLO, 'HELLO', 30_000)
      await connection.answerTo(connection.requestHead(this.channel), 30_000)
      const headMs = performance.now() - startMs - handshakeMs
      const id = Buffer.from(this.blobIds[0] as string, 'hex')
      const { blob } = await connection.answerTo(connection.requestBlob(id), 30_000)
      if (blob === undefined) throw new Error('no blob for an honest peer')
      const totalMs = performance.now() - startMs
      return { handshakeMs, headMs, blobMs: totalMs - headMs - handshakeMs, totalMs }
    } finally {
      connection.close()
    }
  }

  /**
   * One newcomer after the other, and one request after the other of a peer that is connected, until the crowds
   * have come: what the slowest newcomer had to wait, and how long the requests took.
   */
  async serveWhile(crowds: readonly Crowd[], node = this.node): Promise<ServedMeanwhile> {
    let isComing = true
    const reports = Promise.all(crowds.map((crowd) => crowd.report())).finally(() => {
      isComing = false
    })
    const newcomers = async (): Promise<number[]> => {
      const totals: number[] = []
      while (isComing) totals.push((await this.honest(node)).totalMs)
      return totals
    }
    const link = await this.#dial(node)
    try {
      const [all, totals, times] = await Promise.all([
        reports,
        newcomers(),
        this.#requests(link, () => isComing, REQUEST_PAUSE_MS),
      ])
      return { reports: all, peers: totals.length, slowestMs: Math.max(...totals), ...percentiles(times) }
    } finally {
      link.destroy()
    }
  }

  /** Time for so many requests of one connected peer, one after the other; ms. */
  async latency(count: number): Promise<Latency> {
    this.#link ??= await this.#dial()
    let left = count
    return percentiles(await this.#requests(this.#link, () => left-- > 0))
  }

  async #requests(link: BareConnection, goesOn: () => boolean, pauseMs = 0): Promise<number[]> {
    const times: number[] = []
    while (goesOn()) {
      if (pauseMs > 0) await setTimeout(pauseMs)
      const startMs = performance.now()
      await link.answerTo(link.requestHead(this.channel), 30_000)
      times.push(performance.now() - startMs)
    }
    return times
  }

  /** A second node that is in the middle of fetching, slowly, from the first. */
  async reader(args: readonly string[] = []): Promise<TestNode> {
    await this.node.rpc('setLimits', { uploadLimit: 500_000 })
    const reader = await TestNode.start({
      name: 'reader',
      args: ['--no-dht', '--log-level', 'warn', '--peer', this.node.peerAddress, ...args],
    })
    this.#nodes.push(reader)
    await reader.rpc('addSubscription', { uri: this.link.replace(/\?.*$/, ''), wait: false })
    await waitUntil(async () => (await this.progress(reader)).blobsDone > 1, 60_000, 'the reader has begun')
    return reader
  }

  async progress(reader: TestNode): Promise<{ readonly state: string; readonly blobsDone: number }> {
    const { subscriptions } = await reader.rpc<{ subscriptions: { state: string; blobsDone: number }[] }>(
      'getSubscriptions',
    )
    return subscriptions[0] ?? { state: 'none', blobsDone: 0 }
  }

  async dispose(): Promise<void> {
    this.#link?.destroy()
    for (const crowd of this.#crowds) crowd.end()
    await Promise.all(this.#nodes.map((node) => node.dispose()))
  }

  async #dial(node = this.node): Promise<BareConnection> {
    const { host, port } = node.endpoint
    const psk = this.channel.handshakeKey()
    const dialled = ipv4Address(host, port)
    const connection = await dialBare(host, port, { psk, dialled, timeoutMs: 30_000 })
    connection.sendHello([[this.channel, 0n]])
    return connection
  }

  async #fetch(): Promise<BareRelease> {
    const connection = await this.#dial()
    try {
      return await within(fetchRelease(connection, this.channel), 60_000, 'the bare peer has the release')
    } finally {
      connection.close()
    }
  }
}

function percentiles(times: readonly number[]): Latency {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}
