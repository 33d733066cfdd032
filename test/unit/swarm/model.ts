/**
 * A model of a swarm for hundreds of nodes: the real downloads, pickers, windows and
 * places of each, over peers that are nothing but a line with a rate. No handshake, no
 * frame, no byte is moved; what is left is who asks whom for what, and when it comes.
 */
import { isMegatorrentError, MegatorrentError } from '../../../src/base/errors.ts'
import { HAVE_INTERVAL_MS, SWARM_TICK_MS } from '../../../src/base/limits.ts'
import { type Random, seededRandom, shuffle } from '../../../src/base/random.ts'
import { publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { ROLE_INITIATOR } from '../../../src/crypto/tags.ts'
import { BlobSet } from '../../../src/swarm/blob-set.ts'
import { type ReleaseId, SwarmChannel } from '../../../src/swarm/channel.ts'
import { Downloads } from '../../../src/swarm/downloads.ts'
import { HelloState } from '../../../src/swarm/hello-state.ts'
import { Peer } from '../../../src/swarm/peer.ts'
import type { Connection } from '../../../src/transport/connection.ts'
import { SimClock } from './sim-clock.ts'

const KEYS = publisherKeys(seededRandom(1).bytes(32))
const RELEASE: ReleaseId = { number: 1, rootId: new Uint8Array(32).fill(7) }
const LATENCY_MS = 30

/** What a blob is in the model. */
const RIGHT = new Uint8Array(1)
const WRONG = new Uint8Array(1)

export type Nature = 'honest' | 'liar' | 'silent'

export interface NodeOptions {
  readonly nature: Nature
  /** ms that its line takes to send a blob. */
  readonly sendMs: number
  /** ms that its line takes to receive one; 0: no limit. */
  readonly receiveMs: number
  readonly holdsAll: boolean
}

interface Job {
  readonly index: number
  readonly from: ModelNode
  readonly settle: (blob: Uint8Array) => void
  isCalledOff: boolean
}

/** One neighbour as a node sees it. */
interface Link {
  readonly node: ModelNode
  readonly peer: Peer
  fresh: number[]
}

export class ModelNode {
  readonly model: Model
  readonly options: NodeOptions
  readonly channel: SwarmChannel
  readonly held = new BlobSet()
  readonly downloads: Downloads
  readonly #peers = new Set<Peer>()
  readonly links: Link[] = []
  /** Whom it found to lie. */
  readonly banned = new Set<ModelNode>()
  /** Blobs that came, wanted or not. */
  received = 0
  doneMs: number | null = null
  isGone = false
  readonly #waiting = new Map<ModelNode, Job[]>()
  #isSending = false
  #receiveFreeMs = 0
  #haveTimer = false

  constructor(model: Model, options: NodeOptions, random: Random) {
    this.model = model
    this.options = options
    const { clock } = model
    this.channel = new SwarmChannel(KEYS, { onHead: () => {} }, clock, random)
    if (options.holdsAll) this.held.addRange({ start: 0, length: model.blobs })
    this.downloads = new Downloads({
      clock,
      random,
      sink: {
        put: async (_id, blob, { onWritten }) => {
          if ((blob as unknown) !== RIGHT) throw new MegatorrentError('ERR_BLOB_ID', 'not that blob')
          onWritten?.()
          return { placeError: null }
        },
      },
      peers: this.#peers,
      onStored: (_channel, _release, index) => this.#stored(index),
      onFalse: (peer) => this.#ban(peer),
    })
  }

  /** From now on each can ask the other. */
  meet(other: ModelNode): void {
    if (other === this || this.links.some(({ node }) => node === other)) return
    this.#add(other)
    other.#add(this)
    this.#tell(other, this.held.rangesFrom(0))
    other.#tell(this, other.held.rangesFrom(0))
  }

  start(): void {
    const indexes = Array.from({ length: this.model.blobs }, (_, index) => index)
    const options = { signal: new AbortController().signal, onStored: () => {} }
    const tick = (): void => {
      if (this.isGone || this.doneMs !== null) return
      this.downloads.pump()
      this.model.clock.setTimer(tick, SWARM_TICK_MS)
    }
    tick()
    this.downloads.fetch(this.channel, RELEASE, { indexes, idOf: idOf }, options).then(
      () => {
        this.doneMs = this.model.clock.monotonicMs()
      },
      (error: unknown) => {
        if (!isMegatorrentError(error, 'ERR_ABORTED')) throw error
      },
    )
  }

  /** It goes without a word, and the system of the others tells them. */
  leave(): void {
    this.isGone = true
    for (const { node } of [...this.links]) node.#lose(this)
    this.downloads.channelLeft(this.channel)
  }

  #add(other: ModelNode): void {
    const { clock } = this.model
    const connection = {
      closed: false,
      requestBlob: (id: Uint8Array, signal: AbortSignal) => this.#ask(other, indexOf(id), signal),
    } as unknown as Connection
    const peer = new Peer(
      {
        connection,
        role: ROLE_INITIATOR,
        handshakeHash: RELEASE.rootId,
        remoteNodeKey: null,
        address: null,
        remote: { host: '127.0.0.1', port: 1 },
        since: clock.now(),
        sinceMs: clock.monotonicMs(),
        hello: new HelloState(clock),
      },
      false,
    )
    this.#peers.add(peer)
    this.links.push({ node: other, peer, fresh: [] })
  }

  #lose(other: ModelNode): void {
    const at = this.links.findIndex(({ node }) => node === other)
    const [link] = at < 0 ? [] : this.links.splice(at, 1)
    if (link === undefined) return
    ;(link.peer.connection as unknown as { closed: boolean }).closed = true
    this.#peers.delete(link.peer)
    this.#waiting.delete(other)
    this.downloads.peerGone(link.peer)
  }

  #ban(peer: Peer): void {
    const link = this.links.find((each) => each.peer === peer)
    if (link === undefined) return
    this.banned.add(link.node)
    this.#lose(link.node)
    link.node.#lose(this)
    this.model.replace(this)
  }

  #tell(other: ModelNode, ranges: Iterable<{ start: number; length: number }>): void {
    const link = other.links.find(({ node }) => node === this)
    const told = [...ranges]
    if (link !== undefined && told.length > 0) {
      other.downloads.told(link.peer, other.channel, RELEASE.rootId, told)
    }
  }

  #stored(index: number): void {
    this.held.add(index)
    for (const link of this.links) link.fresh.push(index)
    if (this.#haveTimer) return
    this.#haveTimer = true
    this.model.clock.setTimer(() => {
      this.#haveTimer = false
      for (const link of this.links) {
        const fresh = new BlobSet()
        for (const each of link.fresh.splice(0)) fresh.add(each)
        if (!this.isGone) this.#tell(link.node, fresh.rangesFrom(0))
      }
    }, HAVE_INTERVAL_MS)
  }

  #ask(other: ModelNode, index: number, signal: AbortSignal): Promise<Uint8Array> {
    const { clock } = this.model
    return new Promise((resolve, reject) => {
      const job: Job = {
        index,
        from: this,
        isCalledOff: false,
        settle: (blob) => {
          // One after the other over our own line as well.
          const { receiveMs } = this.options
          const startMs = Math.max(clock.monotonicMs() - receiveMs, this.#receiveFreeMs)
          this.#receiveFreeMs = startMs + receiveMs
          clock.setTimer(
            () => {
              this.received++
              resolve(blob)
            },
            this.#receiveFreeMs - clock.monotonicMs() + LATENCY_MS,
          )
        },
      }
      signal.addEventListener('abort', () => {
        job.isCalledOff = true
        reject(new MegatorrentError('ERR_ABORTED', 'called off'))
      })
      clock.setTimer(() => other.#asked(job), LATENCY_MS)
    })
  }

  #asked(job: Job): void {
    if (this.isGone || this.options.nature === 'silent') return
    this.#waiting.set(job.from, [...(this.#waiting.get(job.from) ?? []), job])
    if (!this.#isSending) this.#send()
  }

  /** Peers take turns, each with one blob at a time. */
  #send(): void {
    const [next] = this.#waiting
    if (next === undefined || this.isGone) return
    const [from, jobs] = next
    this.#waiting.delete(from)
    const open = jobs.filter((job) => !job.isCalledOff)
    const [job, ...rest] = open
    if (rest.length > 0) this.#waiting.set(from, rest)
    if (job === undefined) {
      this.#send()
      return
    }
    this.#isSending = true
    this.model.clock.setTimer(() => {
      this.#isSending = false
      if (!job.isCalledOff && !this.isGone) job.settle(this.options.nature === 'liar' ? WRONG : RIGHT)
      this.#send()
    }, this.options.sendMs)
  }
}

/** A blob's id says its number. */
function idOf(index: number): Uint8Array {
  const id = new Uint8Array(32)
  new DataView(id.buffer).setUint32(0, index)
  return id
}

function indexOf(id: Uint8Array): number {
  return new DataView(id.buffer, id.byteOffset).getUint32(0)
}

export class Model {
  readonly clock = new SimClock(undefined, 5)
  readonly random: Random
  readonly blobs: number
  readonly nodes: ModelNode[] = []
  readonly #neighbours: number

  constructor(seed: number, blobs: number, neighbours = 8) {
    this.random = seededRandom(seed)
    this.blobs = blobs
    this.#neighbours = neighbours
  }

  add(options: Partial<NodeOptions> = {}): ModelNode {
    const all: NodeOptions = { nature: 'honest', sendMs: 1_000, receiveMs: 0, holdsAll: false, ...options }
    const node = new ModelNode(this, all, seededRandom(this.nodes.length + 1))
    this.nodes.push(node)
    return node
  }

  /** Each meets some others at random, as those that look up the same topic do. */
  introduce(): void {
    for (const node of this.nodes) {
      for (const other of shuffle(this.random, [...this.nodes]).slice(0, this.#neighbours)) node.meet(other)
    }
  }

  /** Who has lost a peer meets another. */
  replace(node: ModelNode): void {
    const others = this.nodes.filter((other) => !other.isGone && !node.banned.has(other) && other !== node)
    const [other] = shuffle(this.random, others)
    if (other !== undefined) node.meet(other)
  }

  /** Until all these have everything. @returns simulated ms, or null when they never have. */
  async run(readers: readonly ModelNode[], maxMs = 3_600_000): Promise<number | null> {
    for (const reader of readers) reader.start()
    const isOver = (): boolean => readers.every(({ doneMs, isGone }) => doneMs !== null || isGone)
    return (await this.clock.until(isOver, maxMs)) ? this.clock.monotonicMs() : null
  }
}

/** How a swarm did. */
export interface SwarmOutcome {
  /** Simulated ms until the last reader that stayed had everything; null when one never had. */
  readonly tookMs: number | null
  /** The least that the lines of those who stay allow. */
  readonly boundMs: number
  /** Peers that were banned and had not lied, over all readers. */
  readonly falseBans: number
  /** Blobs that came and were not needed, as a share of those that were. */
  readonly wasted: number
}

export interface SwarmShape {
  readonly blobs: number
  readonly publishers: number
  readonly readers: number
  /** Peers that claim everything and send false blobs, or nothing. */
  readonly liars: number
  readonly silent: number
  /** Share of the readers that leave at some time in the first minute. */
  readonly leaving: number
}

/** A second a blob is the usual line of a reader; with churn they are between a half and two. */
export async function runSwarm(seed: number, shape: SwarmShape): Promise<SwarmOutcome> {
  const { blobs } = shape
  const model = new Model(seed, blobs)
  const many = (count: number, make: () => Partial<NodeOptions>): ModelNode[] =>
    Array.from({ length: count }, () => model.add(make()))
  const publishers = many(shape.publishers, () => ({ holdsAll: true }))
  many(shape.liars, () => ({ holdsAll: true, nature: 'liar' }))
  many(shape.silent, () => ({ holdsAll: true, nature: 'silent' }))
  const readers = many(shape.readers, () => ({
    sendMs: shape.leaving > 0 ? 500 + model.random.fraction() * 1_500 : 1_000,
  }))
  model.introduce()
  const staying = readers.slice(Math.round(shape.readers * shape.leaving))
  for (const reader of readers) {
    if (!staying.includes(reader))
      model.clock.setTimer(() => reader.leave(), model.random.fraction() * 60_000)
  }
  const look = (): void => {
    for (const reader of staying) if (reader.doneMs === null && reader.links.length < 8) model.replace(reader)
    if (staying.some(({ doneMs }) => doneMs === null)) model.clock.setTimer(look, 10_000)
  }
  look()
  const tookMs = await model.run(readers)
  const perMs = [...publishers, ...staying].reduce((sum, { options }) => sum + 1 / options.sendMs, 0)
  const onceMs = blobs / publishers.reduce((sum, { options }) => sum + 1 / options.sendMs, 0)
  const needed = staying.length * blobs
  const lies = staying.reduce((sum, { banned }) => sum + banned.size, 0)
  return {
    tookMs,
    boundMs: Math.max(needed / perMs, onceMs),
    falseBans: staying.flatMap(({ banned }) => [...banned]).filter(({ options }) => options.nature !== 'liar')
      .length,
    wasted: (staying.reduce((sum, { received }) => sum + received, 0) - needed - lies) / needed,
  }
}
