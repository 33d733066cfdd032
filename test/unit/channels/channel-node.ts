/**
 * A node from the database up to its channels, on a network in memory and without a
 * DHT: what it would have told one, and what one would have found, is in the hands
 * of the test.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOOK_MAX_MS, SLOT_SET_DAYS_PER_TASK } from '../../../src/base/limits.ts'
import { type Log, silentLog } from '../../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import type { ChannelDiscovery, FollowHooks, SignedAhead } from '../../../src/channels/discovery.ts'
import { HeadLog } from '../../../src/channels/head-log.ts'
import { ingest } from '../../../src/channels/ingest.ts'
import type { IngestRecord } from '../../../src/channels/ingest-record.ts'
import { Publisher } from '../../../src/channels/publisher.ts'
import { ChannelSessions } from '../../../src/channels/session.ts'
import { SlotSets } from '../../../src/channels/slot-sets.ts'
import { type ChannelKeys, type PublisherKeys, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { MemoryBlobStore } from '../../../src/storage/memory-blob-store.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { PeerAddress } from '../../../src/wire/address.ts'
import { decodeHead, type Head } from '../../../src/wire/head.ts'
import { InlineRunner } from '../storage/harness.ts'
import { SimClock } from '../swarm/sim-clock.ts'
import { SimNode } from '../swarm/sim-node.ts'

/** Days of a set of slots: enough for several tasks of a worker, and made in a fraction of a second. */
export const SET_DAYS = 5 * SLOT_SET_DAYS_PER_TASK

/** One `follow` of a session. */
export interface Follow {
  readonly keys: ChannelKeys
  readonly open: boolean
  readonly hooks: FollowHooks
  looks: number
  /** Those of a link. */
  gateways: readonly PeerAddress[]
  isStopped: boolean
}

/** Notes what is asked of it. */
export class FakeDiscovery implements ChannelDiscovery {
  lookMaxMs: number = LOOK_MAX_MS
  readonly follows: Follow[] = []
  readonly published: Head[] = []
  /** What a look does; it ends at once by default. */
  onLook: (follow: Follow, signal: AbortSignal) => Promise<void> = async () => {}
  /** What a put says. */
  onPublish: (head: Head, signal: AbortSignal) => Promise<number> = async () => 8

  follow(keys: ChannelKeys, open: boolean, hooks: FollowHooks): ReturnType<ChannelDiscovery['follow']> {
    const follow: Follow = { keys, open, hooks, looks: 0, gateways: [], isStopped: false }
    this.follows.push(follow)
    return {
      look: (signal) => {
        follow.looks++
        return this.onLook(follow, signal)
      },
      useGateways: (addresses) => {
        follow.gateways = addresses
      },
      stop: () => {
        follow.isStopped = true
      },
    }
  }

  publish(_keys: PublisherKeys, _open: boolean, head: Head, signal: AbortSignal): Promise<number> {
    this.published.push(head)
    return this.onPublish(head, signal)
  }

  publishSigned(_keys: ChannelKeys, { set }: SignedAhead, signal: AbortSignal): Promise<number> {
    const head = decodeHead(set.head)
    this.published.push(head)
    return this.onPublish(head, signal)
  }

  get last(): Follow {
    const last = this.follows.at(-1)
    if (last === undefined) throw new Error('nothing is followed')
    return last
  }
}

export class ChannelNode {
  readonly clock: SimClock
  readonly folder = mkdtempSync(join(tmpdir(), 'megatorrent-node-'))
  readonly state: State
  readonly store = new MemoryBlobStore()
  readonly discovery = new FakeDiscovery()
  readonly sim: SimNode
  readonly heads: HeadLog
  readonly sessions: ChannelSessions
  readonly publisher: Publisher
  readonly log: Log
  readonly slotSets: SlotSets
  /** Signs slots ahead and verifies them. */
  readonly runner = new InlineRunner()
  /** Keys with which slots are signed ahead; none by default, since that takes seconds. */
  signer: PublisherKeys | null = null
  /** What a session says when its channel is unpublished. */
  onUnpublished: (publicKey: Uint8Array) => void = () => {}

  constructor(clock: SimClock, network: MemoryNetwork, host: string, log: Log = silentLog) {
    this.clock = clock
    this.log = log
    this.state = openState(join(this.folder, 'test.db'), null)
    // Power does not fail here, and waiting for the disk would be most of the time.
    this.state.database.run('PRAGMA synchronous = OFF')
    this.sim = new SimNode({ clock, network, host, seed: Number(host.split('.')[2]), blobs: this.store })
    this.heads = new HeadLog(this.state.releases, clock, log)
    this.slotSets = new SlotSets({
      ...{ table: this.state.slotSets, runner: this.runner, clock, log, days: SET_DAYS },
      publisherKeys: () => this.signer,
    })
    this.sessions = this.newSessions()
    const { state, store, discovery } = this
    this.publisher = new Publisher({ state, store, discovery, clock, log, addressesOf: () => [] })
  }

  /** As after a restart: what is in the database is all that is known. */
  newSessions(): ChannelSessions {
    const { store, discovery, heads, slotSets, log, sim } = this
    const onUnpublished = (publicKey: Uint8Array): void => this.onUnpublished(publicKey)
    const { joinSwarm } = sim
    return new ChannelSessions({ joinSwarm, heads, slotSets, store, discovery, log, onUnpublished })
  }

  /** Make a channel of our own in the database. */
  addChannel(keys: PublisherKeys, name = 'main'): void {
    this.state.channels.add({
      publicKey: keys.publicKey,
      name,
      private: false,
      open: false,
      createdAt: 0,
      sequence: 0,
      revision: 0,
      publishedIngest: null,
    })
  }

  ingest(keys: PublisherKeys, source: string, title = 'a title'): Promise<IngestRecord> {
    const { store, state, clock, log } = this
    return ingest(
      { store, state, clock, random: systemRandom, log },
      {
        source,
        publicKey: keys.publicKey,
        convergenceSecret: keys.convergenceSecret,
        title,
        publishedIngest: state.channels.get(keys.publicKey)?.publishedIngest ?? null,
      },
    )
  }

  close(): void {
    this.sessions.closeAll()
    this.sim.kill()
    this.state.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Nodes that are taken down together. */
export class ChannelNet {
  readonly clock = new SimClock()
  readonly network = new MemoryNetwork(this.clock, seededRandom(1), { latencyMs: 5 })
  readonly nodes: ChannelNode[] = []

  async node(log?: Log): Promise<ChannelNode> {
    const host = `10.0.${this.nodes.length + 1}.1`
    const node = new ChannelNode(this.clock, this.network, host, log)
    this.nodes.push(node)
    await node.sim.listen()
    return node
  }

  /**
   * Let time pass until it is so: 20 ms of the clock for each of ours, since files are written in
   * our time.
   */
  async until(condition: () => boolean, maxMs = 120_000): Promise<void> {
    const endMs = this.clock.monotonicMs() + maxMs
    while (!condition()) {
      if (this.clock.monotonicMs() > endMs) throw new Error(`never came: ${String(condition)}`)
      await this.clock.advance(20)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  close(): void {
    for (const node of this.nodes) node.close()
  }
}

export function keysOf(seed: number, readKey?: Uint8Array): PublisherKeys {
  return publisherKeys(seededRandom(seed).bytes(32), readKey)
}
