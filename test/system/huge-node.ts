/**
 * A node that hosts one huge release, from the database to the swarm, with the real
 * discovery over a DHT in memory, on a clock that tests move.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { silentLog } from '../../src/base/log.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Collector } from '../../src/channels/collector.ts'
import { HeadLog } from '../../src/channels/head-log.ts'
import { holdRelease } from '../../src/channels/holding.ts'
import { ChannelSessions } from '../../src/channels/session.ts'
import { SlotSets } from '../../src/channels/slot-sets.ts'
import { Subscription } from '../../src/channels/subscription.ts'
import { PUBLIC_READ_KEY } from '../../src/crypto/key-schedule.ts'
import { Announcer, type AnnouncerTiming } from '../../src/discovery/announcer.ts'
import { SlotService } from '../../src/discovery/slot-service.ts'
import { DhtDiscovery } from '../../src/node/dht-discovery.ts'
import { numberOf } from '../../src/storage/row.ts'
import { openState, type State } from '../../src/storage/state.ts'
import type { SubscriptionRow } from '../../src/storage/tables/subscriptions-table.ts'
import { MemoryNetwork } from '../../src/transport/memory.ts'
import type { Head } from '../../src/wire/head.ts'
import { MemoryNetwork as MemoryDhtNetwork, MemorySlotStore } from '../unit/discovery/memory-dht.ts'
import { InlineRunner } from '../unit/storage/harness.ts'
import { SimClock } from '../unit/swarm/sim-clock.ts'
import { SimChannel, SimNode } from '../unit/swarm/sim-node.ts'
import { HugeRelease, HugeStore } from './huge-release.ts'

const PORT = 7_117
/** Timers at whole half seconds: a day is simulated. */
const GRAIN_MS = 500

export class HugeNode {
  readonly clock = new SimClock(Date.UTC(2026, 0, 1, 12), GRAIN_MS)
  readonly network = new MemoryNetwork(this.clock, seededRandom(1), { latencyMs: 5 })
  readonly dht = new MemoryDhtNetwork(this.clock)
  readonly channel = new SimChannel(5)
  readonly release: HugeRelease
  readonly head: Head
  readonly sim: SimNode
  readonly #folder = mkdtempSync(join(tmpdir(), 'megatorrent-huge-'))
  readonly #state: State
  readonly #announcer: Announcer
  readonly #slots: SlotService
  readonly #sessions: ChannelSessions
  readonly #store: HugeStore
  #subscription: Subscription | null = null

  constructor(files: number, timing: Partial<AnnouncerTiming> = {}) {
    const { clock, network, dht } = this
    this.release = new HugeRelease(files)
    this.head = this.channel.head(this.release, 1)
    const state = openState(join(this.#folder, 'test.db'), null)
    this.#state = state
    // Power does not fail here, and waiting for the disk would be most of the time.
    state.database.run('PRAGMA synchronous = OFF')
    this.#store = new HugeStore(this.release, state)
    this.sim = new SimNode({ clock, network, host: '10.0.1.1', seed: 1, blobs: this.#store })
    const ownDht = dht.dht()
    this.#slots = new SlotService({
      ...{ dht: ownDht, store: new MemorySlotStore(), clock, random: seededRandom(2), log: silentLog },
    })
    this.#announcer = new Announcer({
      ...{ dht: ownDht, clock, random: seededRandom(3), log: silentLog, port: () => PORT, timing },
      nextBlob: async (after) => state.blobs.page(after, 1)[0] ?? null,
    })
    this.#sessions = new ChannelSessions({
      joinSwarm: this.sim.joinSwarm,
      heads: new HeadLog(state.releases, clock, silentLog),
      slotSets: new SlotSets({
        ...{ table: state.slotSets, runner: new InlineRunner(), clock, log: silentLog },
        publisherKeys: () => null,
      }),
      store: this.#store,
      discovery: new DhtDiscovery({
        ...{ slots: this.#slots, announcer: this.#announcer, log: silentLog },
        publisherKeys: () => null,
      }),
      log: silentLog,
    })
    new HeadLog(state.releases, clock, silentLog).accept(this.channel.keys.publicKey, this.head.bytes, 'slot')
  }

  /** Bytes of the database, all tables. */
  get databaseBytes(): number {
    const { database } = this.#state
    const pages = numberOf(database.get('PRAGMA page_count') ?? {}, 'page_count')
    return pages * numberOf(database.get('PRAGMA page_size') ?? {}, 'page_size')
  }

  /** As a start does: everything is in the database, and was complete before. Resolves when it is again. */
  async start(): Promise<void> {
    await this.sim.listen()
    const row = rowOf(this.channel.keys.publicKey)
    this.#state.subscriptions.add(row)
    this.#store.count // the daemon counts at each start
    const { clock } = this
    const deps = { state: this.#state, store: this.#store, clock, log: silentLog }
    this.#subscription = new Subscription(row, this.#sessions.acquire(this.channel.keys), {
      ...deps,
      collector: new Collector(deps),
      assemble: async (_row, manifest) => holdRelease(manifest),
    })
    this.#subscription.start()
    while (this.#subscription.status.phase !== 'complete') await this.#turn()
    // What is told a moment later belongs to the start too.
    await clock.advance(2_000)
  }

  async close(): Promise<void> {
    const stopped = this.#subscription?.stop()
    await this.clock.advance(1_000)
    await stopped
    this.#sessions.closeAll()
    this.sim.kill()
    await Promise.all([this.#slots.close(), this.#announcer.close()])
    this.#state.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A second of the clock now and then, while the work of a start goes on in our time. */
  async #turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    await this.clock.advance(0)
  }
}

function rowOf(publicKey: Uint8Array): SubscriptionRow {
  return {
    ...{ publicKey, uri: 'megatorrent://test', readKey: PUBLIC_READ_KEY, directory: '', onlyGlobs: [] },
    ...{ kind: 'host', state: 'complete', paused: false, addedAt: 0, completeSequence: 1 },
    ...{ errorCode: null, errorMessage: null, title: null },
  }
}

/** Memory that is still referenced: objects and byte strings. */
export async function heldMemoryBytes(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < 10; round++) {
    gc()
    await new Promise((resolve) => setImmediate(resolve))
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    least = Math.min(least, heapUsed + arrayBuffers)
  }
  return least
}
