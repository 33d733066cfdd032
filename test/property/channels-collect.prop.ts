/**
 * Any history of ingests, publishes, unpublishes, collections and crashes, some at the
 * same time, leaves whole what somebody may still want; and a collection at the end leaves
 * nothing else. What is needed is kept in books of the test's own, by the rules of
 * docs/INTERFACE.md ("What is kept").
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Collector } from '../../src/channels/collector.ts'
import { NO_DISCOVERY } from '../../src/channels/discovery.ts'
import { ingest } from '../../src/channels/ingest.ts'
import type { IngestRecord } from '../../src/channels/ingest-record.ts'
import { loadManifest } from '../../src/channels/manifest-loader.ts'
import { Publisher } from '../../src/channels/publisher.ts'
import type { ChannelSession } from '../../src/channels/session.ts'
import { FsBlobStore } from '../../src/storage/fs-blob-store.ts'
import { openState, type State } from '../../src/storage/state.ts'
import { decodeHead, type Head } from '../../src/wire/head.ts'
import type { Manifest } from '../../src/wire/manifest.ts'
import { loops } from '../loops.ts'
import { keysOf } from '../unit/channels/channel-node.ts'
import { InlineRunner, makeTempFolder } from '../unit/storage/harness.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const CHANNELS = [keysOf(1), keysOf(2)]

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('publish' as const), channel: fc.nat(1), content: fc.nat(3) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('ingest' as const), channel: fc.nat(1), content: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('publish ingest' as const), channel: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('unpublish' as const), channel: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('collect' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('make room' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Steps of one group run at the same time. */
const group = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 3 }),
  end: fc.constantFrom('', '', 'crash', 'stop'),
  passMs: fc.constantFrom(0, 0, 12 * HOUR, DAY, 8 * DAY),
  /** A collection in the middle of the work: when so many blobs of the group were sealed. */
  collectAfter: fc.option(fc.integer({ min: 1, max: 5 }), { nil: 0 }),
})

interface Kept {
  readonly root: Uint8Array
  /** Until then it must be whole; Infinity for the newest. */
  untilMs: number
}

/** One machine, and what the test knows of it. */
class World {
  readonly folder = makeTempFolder()
  nowMs = 1_800_000_000_000
  state!: State
  store!: FsBlobStore
  collector!: Collector
  publisher!: Publisher
  /** Blobs that are still to be sealed before a collection runs; 0 for none. */
  collectAfter = 0
  readonly newest: (Head | null)[] = [null, null]
  readonly releases: Kept[][] = [[], []]
  readonly ingests: (IngestRecord & { untilMs: number })[][] = [[], []]

  readonly clock: Clock = { ...systemClock, now: () => this.nowMs }

  async open(): Promise<void> {
    this.state = openState(join(this.folder, 'test.db'), null)
    this.store = await FsBlobStore.open({
      root: join(this.folder, 'blobs'),
      tables: this.state,
      runner: new InlineRunner(),
      limits: { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 },
      clock: this.clock,
    })
    await this.store.recovered
    const { sealChunk, sealBytes } = this.store
    this.store.sealChunk = async (job) => this.#sealed(await sealChunk.call(this.store, job))
    this.store.sealBytes = async (...given) => this.#sealed(await sealBytes.apply(this.store, given))
    const { state, store, clock } = this
    this.collector = new Collector({ state, store, clock, log: silentLog })
    this.publisher = new Publisher({
      ...{ state, store, clock, log: silentLog },
      ...{ discovery: NO_DISCOVERY, addressesOf: () => [] },
    })
    for (const [n, { publicKey }] of CHANNELS.entries()) {
      const row = state.releases.newest(publicKey)
      expect(row === null ? null : decodeHead(row.head).releaseNumber).toBe(
        this.newest[n]?.releaseNumber ?? null,
      )
    }
  }

  /** The moment in which a collection is worst: what was sealed is not in the database yet. */
  async #sealed<T>(sealed: T): Promise<T> {
    if (this.collectAfter > 0 && --this.collectAfter === 0) await this.collector.collect()
    return sealed
  }

  addChannels(): void {
    for (const [n, { publicKey }] of CHANNELS.entries()) {
      this.state.channels.add({
        ...{ publicKey, name: `channel-${n}`, private: false, open: false, createdAt: 0 },
        ...{ sequence: 0, revision: 0, publishedIngest: null },
      })
    }
  }

  /** What a publisher asks of its session, without a network: nobody is told. */
  session(channel: number): ChannelSession {
    const world = this
    const session = {
      get newest(): Head | null {
        return world.newest[channel] ?? null
      },
      heldOf: async (manifest: Manifest) =>
        Array.from({ length: manifest.blobCount }, (_, n) => n).filter((n) =>
          world.store.has(manifest.blobId(n)),
        ),
      serve: () => {},
      adopt: (head: Head) => {
        world.newest[channel] = head
      },
    }
    return session as unknown as ChannelSession
  }

  async ingest(channel: number, content: number): Promise<IngestRecord> {
    const { publicKey, convergenceSecret } = CHANNELS[channel] as (typeof CHANNELS)[number]
    const source = join(this.folder, `source-${content}`)
    const { state, store, clock } = this
    const record = await ingest(
      { state, store, clock, random: systemRandom, log: silentLog },
      {
        ...{ source, publicKey, convergenceSecret, title: '' },
        publishedIngest: state.channels.get(publicKey)?.publishedIngest ?? null,
      },
    )
    this.ingests[channel]?.push({ ...record, untilMs: this.nowMs + 7 * DAY })
    return record
  }

  async publish(channel: number, record: IngestRecord): Promise<void> {
    const keys = CHANNELS[channel] as (typeof CHANNELS)[number]
    const request = { keys, open: false, session: this.session(channel), record, title: null }
    try {
      const { head, unchanged } = await this.publisher.release(request)
      if (unchanged) return
      const before = this.releases[channel]?.at(-1)
      // What was unpublished meanwhile stays so: only the newest becomes the one before.
      if (before?.untilMs === Number.POSITIVE_INFINITY) before.untilMs = this.nowMs + DAY
      this.releases[channel]?.push({ root: head.root, untilMs: Number.POSITIVE_INFINITY })
      // Only the two newest are anybody's.
      for (const old of this.releases[channel]?.slice(0, -2) ?? []) old.untilMs = 0
    } catch (error) {
      // Its week was over, or another publish or an unpublish has taken its place.
      if (!isMegatorrentError(error, 'ERR_INGEST_GONE')) throw error
    }
  }

  async run(one: Step): Promise<void> {
    if (one.what === 'collect') await this.collector.collect()
    else if (one.what === 'make room') await this.collector.makeRoom()
    else if (one.what === 'ingest') await this.ingest(one.channel, one.content)
    else if (one.what === 'publish')
      await this.publish(one.channel, await this.ingest(one.channel, one.content))
    else if (one.what === 'publish ingest') {
      const record = this.ingests[one.channel]?.at(-1)
      if (record !== undefined) await this.publish(one.channel, record)
    } else if (this.newest[one.channel] !== null) {
      const keys = CHANNELS[one.channel] as (typeof CHANNELS)[number]
      await this.publisher.unpublish(keys, this.session(one.channel))
      for (const kept of this.releases[one.channel] ?? []) kept.untilMs = 0
    }
  }

  /** Ids of all blobs of what must be whole now. @throws when one of them is not held or is damaged. */
  async needed(): Promise<Set<string>> {
    const roots = this.releases.flat().filter(({ untilMs }) => this.nowMs < untilMs)
    const ingests = this.ingests.flat().filter((record) => {
      return this.nowMs < record.untilMs && this.state.ingests.get(record.ingestId) !== null
    })
    const ids = new Set<string>()
    for (const { root } of [...roots, ...ingests]) {
      const manifest = await loadManifest({ root, store: this.store, fetch: async () => {} })
      for (let blob = 0; blob < manifest.blobCount; blob++) {
        const id = manifest.blobId(blob)
        ids.add(toHex(id))
        expect(await this.store.verify(id)).toBe('ok')
      }
    }
    return ids
  }
}

describe('a node that publishes, collects and crashes', () => {
  it('loses nothing that somebody may want, and in the end keeps nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 6 }), async (groups) => {
        const world = new World()
        try {
          for (let content = 0; content < 4; content++) {
            const source = join(world.folder, `source-${content}`)
            mkdirSync(source)
            // Each content shares a file with the next.
            for (const file of [content, content + 1]) {
              writeFileSync(join(source, `f${file}`), seededRandom(file).bytes(1_048_576))
            }
          }
          await world.open()
          world.addChannels()
          for (const { steps, end, passMs, collectAfter } of groups) {
            world.collectAfter = collectAfter
            await Promise.all(steps.map((one) => world.run(one)))
            world.collectAfter = 0
            world.nowMs += passMs
            if (end !== '') {
              if (end === 'stop') await world.store.close()
              world.state.close()
              await world.open()
            }
            await world.needed()
          }
          await world.collector.collect()
          const needed = await world.needed()
          // The ingest of the newest release may have a root of its own, for the title that it was made with.
          expect([...world.store.ids()].map(toHex).filter((id) => !needed.has(id))).toEqual([])
        } finally {
          await world.store.close()
          world.state.close()
          rmSync(world.folder, { recursive: true, force: true })
        }
      }),
      { numRuns: loops(5, 30), seed: Number(process.env.SEED ?? Date.now() % 1_000_000) },
    )
  })
})
