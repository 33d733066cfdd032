/**
 * A data folder, locked and open: keys, database, workers and blobs. What a daemon begins with, and all that
 * signing a release without a network needs.
 *
 * @module node/data-folder
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Collector } from '../channels/collector.ts'
import { DiskClaims } from '../channels/disk-claims.ts'
import type { Config } from '../config/schema.ts'
import { lockDataFolder } from '../storage/data-lock.ts'
import { FsBlobStore } from '../storage/fs-blob-store.ts'
import { Keystore } from '../storage/keystore.ts'
import { openState, type State } from '../storage/state.ts'
import { systemFreeBytes } from '../storage/store-limits.ts'
import { WorkerPool } from '../storage/worker-pool.ts'
import { readPassphrase } from './secret-line.ts'

export interface DataFolder {
  readonly keystore: Keystore
  readonly state: State
  readonly runner: WorkerPool
  readonly store: FsBlobStore
  readonly claims: DiskClaims
  readonly collector: Collector
}

/** What closes what was opened: called in the reverse order, by whoever opened it. */
export type Closers = (() => Promise<void> | void)[]

/**
 * Lock the folder and open all that is in it.
 *
 * @param closers - gets what closes each part, also when this throws.
 * @throws MegatorrentError of kind config (data folder in use, keys unreadable), auth (wrong passphrase) or storage.
 */
export async function openDataFolder(
  config: Config,
  { clock, random, log }: { readonly clock: Clock; readonly random: Random; readonly log: Log },
  closers: Closers,
): Promise<DataFolder> {
  const lock = lockDataFolder(config.dataDir, process.pid, log)
  closers.push(() => lock.release())
  const keystore = Keystore.open({ folder: join(config.dataDir, 'keys'), random, clock })
  await unlock(keystore, config)
  closers.push(() => keystore.lock())
  const state = openState(join(config.dataDir, 'megatorrent.db'), keystore.databaseKey())
  closers.push(() => state.close())
  const runner = new WorkerPool({ log: log.child('workers') })
  closers.push(() => runner.close())
  const claims = new DiskClaims()
  const store: FsBlobStore = await FsBlobStore.open({
    root: join(config.dataDir, 'blobs'),
    tables: state,
    runner,
    limits: { maxBytes: config.maxStore, minFreeBytes: config.minFree },
    clock,
    log: log.child('store'),
    makeRoom: () => collector.makeRoom(),
    freeBytes: async (path) => (await systemFreeBytes(path)) - claims.bytesOn(statSync(path).dev),
  })
  closers.push(() => store.close())
  const collector: Collector = new Collector({ state, store, clock, log: log.child('collector') })
  closers.push(() => collector.close())
  return { keystore, state, runner, store, claims, collector }
}

/** The passphrase comes from a file, never from arguments or the environment. */
async function unlock(keystore: Keystore, config: Config): Promise<void> {
  if (config.passphraseFile === null) {
    if (!keystore.locked) return
    throw new MegatorrentError('ERR_KEYSTORE_LOCKED', 'the keys are encrypted: give --passphrase-file')
  }
  await keystore.unlock(readPassphrase(config.passphraseFile))
}
