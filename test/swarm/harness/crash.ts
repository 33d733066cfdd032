/**
 * kill -9 at random moments of ingest, publish and download, and what must hold after
 * the restart. Used by a short run in the fast suite and by a long one.
 *
 * The two nodes are told to work, are killed within the time that the work takes
 * when nobody disturbs it, and are started again on what is left on the disk.
 * Everything follows from a seed but the moments at which the processes are when
 * they are killed.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Random, randomInteger, seededRandom } from '../../../src/base/random.ts'
import { BLOB_BYTES } from '../../../src/wire/constants.ts'
import { askedForWithheld, forgetBlobs, keptBlobs, WithheldBlobs } from './kept-blobs.ts'
import { StartTimes } from './start-times.ts'
import type { TestNode } from './test-node.ts'
import { Testnet } from './testnet.ts'
import { appendBytes, compareTrees, makeTree, writeSeededFile } from './tree.ts'
import { waitUntil } from './wait.ts'

export type CrashKind = 'ingest' | 'publish' | 'download'

export interface CrashOptions {
  readonly seed: number
  /** Bytes that are new in each round: what there is to seal, and to fetch. */
  readonly newBytes: number
}

/**
 * Blobs that were received and not yet recorded, at most, when the process dies: those
 * on their way through the workers and those of one commit.
 */
const MAX_UNRECORDED_BLOBS = 64
/** Blobs that came twice in one life, at most: those that were under way on a connection that ended, or late. */
const MAX_TWICE_BLOBS = 8
/** Handshakes, heads, HAVE and frames around blobs, in bytes received. */
const MAX_OVERHEAD_BYTES = 1_000_000
/** What a start after a crash usually takes of the processors. */
const MAX_START_CPU_MS = 2_000
/** Rounds after which the blobs of old releases go: a long run would fill the disk. */
const ROUNDS_PER_COLLECTION = 10
const LIMIT_MS = 60_000
/** A node is looked at so often while it works. */
const LOOK_MS = 10
/** The part of the kills that come at some time, the others when the work has come some way: a busy machine is slower. */
const KILLS_BY_TIME = 0.25
/** ms at most from there to the kill, so that it does not always come right after a commit. */
const MAX_FURTHER_MS = 50

interface Subscription {
  readonly state: string
  readonly sequence: number
  readonly blobsDone: number
  readonly blobsTotal: number
}

interface Ingested {
  readonly ingestId: string
  readonly blobs: number
  readonly newBlobs: number
}

export class CrashRig {
  /** What each crash hit, in words. */
  readonly log: string[] = []
  readonly #net: Testnet
  readonly #random: Random
  readonly #options: CrashOptions
  readonly #source: string
  readonly #target: string
  #uri = ''
  /** The newest release whose publish has returned. */
  #acknowledged = 0
  /** The release that has what the source holds now, if its publish has returned. */
  #sourceRelease: number | null = null
  /** ms that each kind of work takes without a crash. */
  readonly #takesMs: Record<CrashKind, number> = { ingest: 0, publish: 0, download: 0 }
  /** The part of the time of a publish in which it is killed: it follows what the kills have hit. */
  #publishPart = 0.6
  #rounds = 0
  #startMs = 1000
  /** Of the starts after a crash. */
  readonly starts = new StartTimes()

  private constructor(net: Testnet, options: CrashOptions) {
    this.#net = net
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#source = this.publisher.path('source')
    this.#target = this.reader.path('target')
  }

  /** A publisher with a first release and a reader that has it. */
  static async start(options: CrashOptions): Promise<CrashRig> {
    const net = await Testnet.start({ dhtNodes: 1, nodes: ['publisher', 'reader'] })
    const rig = new CrashRig(net, options)
    try {
      await makeTree(rig.#source, { seed: options.seed, smallFiles: 100, awkward: true })
      await rig.#renew()
      rig.#uri = (await rig.publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })).uri
      rig.#takesMs.ingest = await timeOf(() => rig.#ingest())
      const { ingestId } = await rig.#ingest()
      rig.#takesMs.publish = await timeOf(() => rig.#publish({ ingestId }))
      rig.#takesMs.download = await timeOf(() =>
        rig.reader.rpc('addSubscription', { uri: rig.#uri, dir: rig.#target, wait: true }, LIMIT_MS),
      )
      return rig
    } catch (error) {
      await net.dispose()
      throw error
    }
  }

  get publisher(): TestNode {
    return this.#net.node('publisher')
  }

  get reader(): TestNode {
    return this.#net.node('reader')
  }

  /**
   * One crash, and all that must hold after it.
   *
   * @param forgets - a planted fault: the killed reader has lost what it had recorded.
   */
  async crash(kind: CrashKind, forgets = false): Promise<void> {
    this.#rounds++
    await this.#renew()
    if (kind === 'ingest') await this.#crashIngest()
    else if (kind === 'publish') await this.#crashPublish()
    else await this.#crashDownload(forgets)
    if (this.#rounds % ROUNDS_PER_COLLECTION > 0) return
    for (const node of [this.publisher, this.reader]) await node.rpc('gc', { wait: true }, LIMIT_MS)
  }

  /** Both sides end up with the same files, whole stores and no leftovers, and stop cleanly. */
  async finish(): Promise<void> {
    expect(this.starts.usualCpuMs, 'ms of processor time of a start').toBeLessThan(MAX_START_CPU_MS)
    await this.#renew()
    await this.#publish()
    await this.#readerIsComplete()
    for (const node of [this.publisher, this.reader]) {
      expect(await node.rpc('verify', {}, LIMIT_MS), node.name).toMatchObject({ bad: 0 })
      expect(await leftovers(join(node.dataDir, 'blobs')), node.name).toEqual([])
    }
    await this.#net.stop()
  }

  async dispose(): Promise<void> {
    await this.#net.dispose()
  }

  async #crashIngest(): Promise<void> {
    const { publisher } = this
    const before = await heldBlobs(publisher)
    let isOver = false
    const work = this.#ingest()
      .catch(() => null)
      .finally(() => {
        isOver = true
      })
    const enough = before + this.#someBlobs()
    const seen = await this.#killAtWork(
      publisher,
      this.#takesMs.ingest,
      () => heldBlobs(publisher),
      (held) => isOver || held >= enough,
    )
    const done = await work
    await this.#restart(publisher)
    const held = await heldBlobs(publisher)
    expect(held, 'blobs that were said to be held are held').toBeGreaterThanOrEqual(seen)
    // What is held is not sealed again, and an ingest that had returned is all there.
    const again = await this.#ingest()
    const sealed = (done?.newBlobs ?? 0) + again.newBlobs
    if (done !== null) expect(again.newBlobs, 'an ingest that returned is held').toBe(0)
    expect(sealed, 'blobs are sealed once').toBeLessThanOrEqual(again.blobs)
    const found = held - before
    if (done === null) expect(again.newBlobs).toBeLessThanOrEqual(Math.max(0, again.blobs - found) + 1)
    this.log.push(`ingest: ${found} held at the kill, ${again.newBlobs} sealed after it`)
    await this.#reconnect()
    await this.#publish()
    await this.#readerIsComplete()
  }

  async #crashPublish(): Promise<void> {
    const { publisher } = this
    const before = this.#acknowledged
    // The work before the signature is that of an ingest, which has crashes of its own.
    const { ingestId } = await this.#ingest()
    const work = this.#publish({ ingestId }).catch(() => null)
    await this.#killWithin(publisher, this.#takesMs.publish * this.#publishPart, async () => null)
    await work
    await this.#restart(publisher)
    const { channels } = await publisher.rpc<{ channels: { sequence: number }[] }>('listChannels')
    const sequence = channels[0]?.sequence ?? 0
    expect(sequence, 'a publish that returned is there').toBeGreaterThanOrEqual(this.#acknowledged)
    expect(sequence, 'no release is made twice').toBeLessThanOrEqual(before + 1)
    const acknowledged = this.#acknowledged > before
    if (acknowledged) this.#publishPart *= 0.9
    else if (sequence === before) this.#publishPart *= 1.1
    this.log.push(
      `publish: ${acknowledged ? 'returned' : sequence > before ? 'signed' : 'not signed'} at the kill`,
    )
    const published = await this.#publish()
    expect(published, 'the same content is no second release').toBe(sequence > before ? sequence : before + 1)
    await this.#reconnect()
    await this.#readerIsComplete()
  }

  async #crashDownload(forgets: boolean): Promise<void> {
    const { publisher, reader } = this
    const look = async (): Promise<{ held: number; received: number }> => {
      // In this order: what is counted as held was received before.
      const held = await heldBlobs(reader)
      return { held, received: await receivedBytes(reader) }
    }
    const before = await look()
    const work = this.#publish()
    await pause(this.#random.fraction() * this.#takesMs.ingest)
    const enough = before.held + this.#someBlobs()
    const seen = await this.#killAtWork(reader, this.#takesMs.download, look, ({ held }) => held >= enough)
    const published = await work
    const { recorded, whole } = await keptBlobs(reader)
    expect(recorded.size, 'blobs that were said to be held are held').toBeGreaterThanOrEqual(seen.held)
    expect(
      [...recorded].filter((id) => !whole.has(id)),
      'what is recorded is there',
    ).toEqual([])
    const received = Math.floor((seen.received - before.received) / BLOB_BYTES)
    const unrecorded = received - (recorded.size - before.held)
    expect(unrecorded, 'blobs received and not recorded').toBeLessThanOrEqual(MAX_UNRECORDED_BLOBS)
    if (forgets) await forgetBlobs(reader, recorded)
    // Nobody can give these again. Of those without a record one batch might be fetched; they are looked at instead.
    const withheld = await WithheldBlobs.take(publisher, whole)
    await this.#restart(reader)
    await this.#reconnect()
    await this.#readerIsComplete()
    await withheld.giveBack()
    expect((await subscription(reader)).sequence).toBe(published)
    const end = await look()
    const left = whole.size - recorded.size
    const missing = end.held - whole.size
    expect(missing, 'what was held is held').toBeGreaterThanOrEqual(0)
    expect(end.received, `bytes received for ${missing} blobs`).toBeLessThanOrEqual(
      (missing + MAX_TWICE_BLOBS) * BLOB_BYTES * 1.01 + MAX_OVERHEAD_BYTES,
    )
    const twice = Math.max(0, Math.floor(end.received / BLOB_BYTES) - missing)
    this.log.push(
      `download: ${recorded.size - before.held} held at the kill and ${left} not recorded yet, ` +
        `${missing} fetched after it, ${twice} twice`,
    )
  }

  /** As many as a round has, or fewer. */
  #someBlobs(): number {
    return randomInteger(this.#random, 1, Math.ceil(this.#options.newBytes / BLOB_BYTES))
  }

  /** Content that no release had: some of it in a file of its own, some behind a small file. */
  async #renew(): Promise<void> {
    const seed = randomInteger(this.#random, 1, 1_000_000_000)
    await writeSeededFile(join(this.#source, 'changing.bin'), this.#options.newBytes, seed)
    await appendBytes(join(this.#source, 'one byte'), Buffer.of(this.#rounds))
    this.#sourceRelease = null
  }

  #ingest(): Promise<Ingested> {
    return this.publisher.rpc('ingest', { path: this.#source, channel: 'main' }, LIMIT_MS)
  }

  /** Gives the number of the release. */
  async #publish(what: object = { path: this.#source }): Promise<number> {
    const params = { ...what, channel: 'main', title: `round ${this.#rounds}` }
    const { sequence } = await this.publisher.rpc<{ sequence: number }>('publish', params, LIMIT_MS)
    this.#acknowledged = Math.max(this.#acknowledged, sequence)
    this.#sourceRelease = sequence
    return sequence
  }

  /** Kill a node at some time of its work, or when it has come so far. Gives what was last seen of it. */
  async #killAtWork<T>(
    node: TestNode,
    takesMs: number,
    look: () => Promise<T>,
    isFarEnough: (seen: T) => boolean,
  ): Promise<T> {
    if (this.#random.fraction() < KILLS_BY_TIME) return this.#killWithin(node, takesMs * 1.2, look)
    const giveUpMs = performance.now() + LIMIT_MS
    let seen = await look()
    while (performance.now() < giveUpMs && !isFarEnough(seen)) {
      await pause(LOOK_MS)
      seen = await look()
    }
    await pause(this.#random.fraction() * MAX_FURTHER_MS)
    await node.kill()
    return seen
  }

  /** Kill a node at a random moment of the next `withinMs`. */
  async #killWithin<T>(node: TestNode, withinMs: number, look: () => Promise<T>): Promise<T> {
    await pause(this.#random.fraction() * withinMs)
    const seen = await look()
    await node.kill()
    return seen
  }

  /** Start a killed node again, sometimes after a start that is killed, too. */
  async #restart(node: TestNode): Promise<void> {
    if (this.#random.fraction() < 0.25) {
      const starting = node.begin().catch(() => {}) // it is killed before or after it is ready
      await pause(this.#random.fraction() * this.#startMs * 1.2)
      await node.kill()
      await starting
    }
    this.#startMs = await this.starts.begin(node)
    await this.#expectNothingFalse()
  }

  async #expectNothingFalse(): Promise<void> {
    const { state, sequence } = await subscription(this.reader)
    if (state !== 'complete' || sequence !== this.#sourceRelease) return
    expect(await compareTrees(this.#source, this.#target), 'what is shown as complete').toEqual([])
  }

  /** At once: peers that cannot be reached are tried again later and later. */
  async #reconnect(): Promise<void> {
    await this.reader.rpc('addPeer', { address: this.publisher.peerAddress })
  }

  /** The reader resolves what was acknowledged, and has it byte for byte. */
  async #readerIsComplete(): Promise<void> {
    await waitUntil(
      async () => {
        if (askedForWithheld(this.publisher).length > 0) return true
        const { state, sequence } = await subscription(this.reader)
        return state === 'complete' && sequence >= this.#acknowledged
      },
      LIMIT_MS,
      async () => {
        const seen = JSON.stringify(await subscription(this.reader))
        return `the reader has release ${this.#acknowledged}, not ${seen}\n${this.reader.stderrTail()}`
      },
    )
    expect(askedForWithheld(this.publisher), 'what was held was asked for again').toEqual([])
    expect(await compareTrees(this.#source, this.#target)).toEqual([])
  }
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

async function heldBlobs(node: TestNode): Promise<number> {
  return (await node.rpc<{ heldBlobs: number }>('getStatus')).heldBlobs
}

/** Bytes that have come over the connections that are up. */
async function receivedBytes(node: TestNode): Promise<number> {
  const { peers } = await node.rpc<{ peers: { bytesIn: number }[] }>('getPeers')
  return peers.reduce((sum, { bytesIn }) => sum + bytesIn, 0)
}

async function subscription(node: TestNode): Promise<Subscription> {
  const { subscriptions } = await node.rpc<{ subscriptions: Subscription[] }>('getSubscriptions')
  if (subscriptions[0] === undefined) throw new Error(`${node.name} has lost its subscription`)
  return subscriptions[0]
}

/** Files below a folder for what is not finished. */
async function leftovers(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /te?mp/i.test(entry.name + entry.parentPath.slice(folder.length)))
    .map((entry) => entry.name)
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs))
}
