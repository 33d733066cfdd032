/**
 * Collecting garbage from a store of a million blobs of which a release needs half.
 *
 * The table, the names of the files and the manifest (500,000 entries, some fifty
 * blobs, sealed and opened as always) are real; the files of the data blobs hold one
 * byte, which changes nothing for who never opens them.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { sleep, systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { Collector } from '../src/channels/collector.ts'
import { writeManifest } from '../src/channels/manifest-writer.ts'
import { ReleaseBlobs, type ReleaseEntry } from '../src/channels/release-entry.ts'
import { SigningKey } from '../src/crypto/ed25519.ts'
import { sha256 } from '../src/crypto/hash.ts'
import { blobPath } from '../src/storage/blob-files.ts'
import { FsBlobStore } from '../src/storage/fs-blob-store.ts'
import { openState, type State } from '../src/storage/state.ts'
import { WorkerPool } from '../src/storage/worker-pool.ts'
import { referenceId } from '../src/wire/blob.ts'
import { CHUNK_BYTES } from '../src/wire/constants.ts'
import { signHead } from '../src/wire/head.ts'
import { type Bench, figure, MIB } from './figure.ts'

const BLOBS = 1_000_000
const QUICK_BLOBS = 50_000
const LIMIT_SECONDS = 60
const ROWS_AT_A_TIME = 10_000
/** A blob every 8 ms fills a line of 1 Gbit/s. */
const READ_EVERY_MS = 8

/** Every second one is needed. */
function idOf(index: number): Uint8Array {
  return sha256(Buffer.from(`blob ${index}`))
}

export async function collect(bench: Bench): Promise<void> {
  const blobs = bench.bytes < 512 * MIB ? QUICK_BLOBS : BLOBS
  const state = openState(join(bench.folder, 'collect.db'), null)
  const runner = new WorkerPool({ log: silentLog })
  const root = join(bench.folder, 'collect')
  const limits = { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 }
  const open = (): Promise<FsBlobStore> => FsBlobStore.open({ root, tables: state, runner, limits })
  try {
    const first = await open()
    await first.close()
    await fill(state, root, blobs)
    const store = await open()
    await publish(state, store, blobs)
    const collector = new Collector({ state, store, clock: systemClock, log: silentLog })
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const reads = await readOn(store)
    const held = store.count
    const cpu = process.cpuUsage()
    const startMs = performance.now()
    const { removed } = await collector.collect()
    const seconds = (performance.now() - startMs) / 1000
    const spent = process.cpuUsage(cpu)
    delay.disable()
    const { count, slowestMs } = await reads.stop()
    bench.report(
      figure({
        ...{ name: 'collect', value: seconds, unit: 's' },
        cpuSeconds: (spent.user + spent.system) / 1e6,
        peakRssMiB: process.memoryUsage.rss() / MIB,
        pass: seconds < LIMIT_SECONDS && removed === blobs / 2 && store.count === held - removed,
        note: `${removed} of ${held} blobs removed; meanwhile ${count} reads, the slowest ${slowestMs.toFixed(0)} ms; event loop p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms, at most ${(delay.max / 1e6).toFixed(0)} ms`,
      }),
    )
    await store.close()
  } finally {
    await runner.close()
    state.close()
  }
}

async function fill(state: State, root: string, blobs: number): Promise<void> {
  for (let start = 0; start < blobs; start += ROWS_AT_A_TIME) {
    const ids = Array.from({ length: ROWS_AT_A_TIME }, (_, n) => idOf(start + n))
    for (const id of ids) writeFileSync(blobPath(root, id), 'x')
    state.blobs.add(ids, start)
  }
}

/** A release whose files are the blobs of even numbers. */
async function publish(state: State, store: FsBlobStore, blobs: number): Promise<void> {
  const signingKey = new SigningKey(systemRandom.bytes(32))
  const releaseBlobs = new ReleaseBlobs()
  const key = new Uint8Array(32)
  function* entries(): Generator<ReleaseEntry> {
    for (let n = 0; n < blobs / 2; n++) {
      const blob = releaseBlobs.add(idOf(2 * n), key)
      const path = `file-${String(n).padStart(7, '0')}`
      yield { path, size: CHUNK_BYTES, extents: [{ blob, offset: 0, length: CHUNK_BYTES }] }
    }
  }
  const summary = { title: '', time: 0, files: blobs / 2, bytes: (blobs / 2) * CHUNK_BYTES }
  const { root } = await writeManifest({
    store,
    convergenceSecret: key,
    summary,
    entries: entries(),
    blobs: releaseBlobs,
    previousBoundaries: [],
  })
  const head = signHead(
    {
      releaseNumber: 1,
      revision: 0,
      signedAt: 0,
      root,
      previousHash: null,
      successorKey: null,
      addresses: [],
    },
    signingKey,
  )
  const { publicKey } = signingKey
  state.releases.upsertHead({
    ...{ publicKey, sequence: 1, revision: 0, rootId: referenceId(root), head: head.bytes },
    ...{ signedAt: 0, receivedAt: 0 },
  })
  state.channels.add({
    ...{ publicKey, name: 'bench', private: false, open: false, createdAt: 0 },
    ...{ sequence: 1, revision: 0, publishedIngest: null },
  })
}

/** A whole blob read again and again, as for a peer on a fast line. */
async function readOn(
  store: FsBlobStore,
): Promise<{ stop(): Promise<{ count: number; slowestMs: number }> }> {
  const { id } = await store.sealBytes(new Uint8Array(1), new Uint8Array(32).fill(1))
  let isOn = true
  let count = 0
  let slowestMs = 0
  const running = (async () => {
    while (isOn) {
      const startMs = performance.now()
      const bytes = await store.read(id)
      if (bytes !== null) store.buffers.give(bytes)
      const tookMs = performance.now() - startMs
      slowestMs = Math.max(slowestMs, tookMs)
      count++
      await sleep(systemClock, Math.max(0, READ_EVERY_MS - tookMs))
    }
  })()
  return {
    stop: async () => {
      isOn = false
      await running
      return { count, slowestMs }
    },
  }
}
