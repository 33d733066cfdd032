/** What the storage tests share: folders that go away, a runner without threads, a recording file system. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { FsBlobStore } from '../../../src/storage/fs-blob-store.ts'
import type { FsBlobStoreInit } from '../../../src/storage/fs-blob-store-init.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import { decodeTaskError, encodeTaskError } from '../../../src/storage/task-error.ts'
import { systemTaskFs, type TaskFs } from '../../../src/storage/task-fs.ts'
import type { TaskRunner } from '../../../src/storage/task-runner.ts'
import {
  createTaskContext,
  TASKS,
  type TaskContext,
  type TaskKind,
  type Tasks,
} from '../../../src/storage/worker-tasks.ts'
import { sealChunk } from '../../../src/wire/blob.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'

export const SECRET = new Uint8Array(32).fill(7)
export const UNLIMITED = { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 }

const cleanups: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Runs after the test, last registered first. */
export function afterTest(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup)
}

export function tempFolder(): string {
  const folder = makeTempFolder()
  afterTest(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** In memory where there is such a disk: a store has 258 folders, and nothing here needs a slow one. */
export function makeTempFolder(): string {
  const root = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  return mkdtempSync(join(root, 'megatorrent-storage-'))
}

/** Runs tasks on this thread, with whatever file operations the test hands in. */
export class InlineRunner implements TaskRunner {
  readonly context: TaskContext
  closed = false

  constructor(fs: TaskFs = systemTaskFs) {
    this.context = createTaskContext('inline', fs)
  }

  async run<K extends TaskKind>(kind: K, input: Tasks[K]['input']): Promise<Tasks[K]['output']> {
    const task = TASKS[kind] as (context: TaskContext, given: unknown) => unknown
    try {
      return (await task(this.context, input)) as Tasks[K]['output']
    } catch (error) {
      throw decodeTaskError(encodeTaskError(error))
    }
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

/** A file system that does what the real one does, and what `change` says instead. */
export function changedFs(change: Partial<TaskFs>): TaskFs {
  return { ...systemTaskFs, ...change }
}

/** What a system call throws. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made up by a test`), { code })
}

export function openTestState(folder: string): State {
  const state = openState(join(folder, 'test.db'), null)
  afterTest(() => state.close())
  return state
}

export interface OpenStore {
  readonly store: FsBlobStore
  readonly state: State
  readonly root: string
  /** The process ends here, as far as the folder can tell. */
  crash(): void
}

export async function openStore(
  folder: string,
  init: Partial<FsBlobStoreInit> & Pick<FsBlobStoreInit, 'runner'>,
): Promise<OpenStore> {
  const state = openState(join(folder, 'test.db'), null)
  const root = join(folder, 'blobs')
  const store = await FsBlobStore.open({ root, tables: state, limits: UNLIMITED, ...init })
  let crashed = false
  afterTest(async () => {
    if (!crashed) await store.close()
    state.close()
  })
  const crash = (): void => {
    crashed = true
    state.close()
  }
  return { store, state, root, crash }
}

/** The same blob for the same number. */
export function makeBlob(seed: number): {
  readonly chunk: Uint8Array
  readonly id: Uint8Array
  readonly key: Uint8Array
  readonly sealed: Uint8Array
} {
  const chunk = new Uint8Array(CHUNK_BYTES)
  chunk.set(seededRandom(seed).bytes(1_000))
  const { reference, sealed } = sealChunk(chunk, SECRET)
  return { chunk, id: reference.slice(0, 32), key: reference.slice(32), sealed }
}

export function writeFile(folder: string, name: string, bytes: Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}
