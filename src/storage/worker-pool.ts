/**
 * A pool of worker threads for everything that hashes, seals or writes in bulk.
 *
 * Threads start when there is work for them and end when there was none for a
 * while. Each is given a few tasks
 * at a time, so that it computes while the disk syncs; what is beyond that waits
 * in a bounded queue, and who adds to a full queue waits as well. Memory is handed
 * over both ways, not copied. A thread that ends takes its tasks with it (they
 * are rejected, never run twice) and is replaced when the next task comes.
 *
 * @module storage/worker-pool
 */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { toHex } from '../base/bytes.ts'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import {
  MAX_QUEUED_TASKS,
  MAX_WAITING_TASKS,
  MAX_WORKERS,
  TASKS_PER_WORKER,
  WORKER_HEAP_MIB,
  WORKER_IDLE_MS,
} from '../base/limits.ts'
import { type Log, silentLog } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import { systemRandom } from '../base/random.ts'
import { decodeTaskError } from './task-error.ts'
import type { RunOptions, TaskRunner } from './task-runner.ts'
import { buffersOf, type TaskAnswer, type TaskRequest, type WorkerSettings } from './worker-messages.ts'
import type { TaskKind, Tasks } from './worker-tasks.ts'

export interface WorkerPoolOptions {
  /** Threads at most; default: one a core, 2 to MAX_WORKERS. */
  readonly workers?: number
  readonly log?: Log
  readonly clock?: Clock
  /** Another entry than storage/worker: for tests of what a broken worker does. */
  readonly entry?: URL
}

interface Job {
  readonly request: TaskRequest
  readonly resolve: (output: unknown) => void
  readonly reject: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  readonly running: Map<number, Job>
}

export class WorkerPool implements TaskRunner {
  readonly #maxThreads: number
  readonly #entry: URL
  readonly #log: Log
  readonly #clock: Clock
  readonly #threads = new Set<Thread>()
  readonly #queue: Job[] = []
  readonly #places = new Semaphore(MAX_QUEUED_TASKS)
  readonly #exits = new Set<Promise<void>>()
  #lastId = 0
  #closed = false
  #whenIdle: (() => void) | null = null
  #retirement: Timer | null = null

  /** @throws MegatorrentError ERR_WORKER_MISSING when the worker's compiled file is not there. */
  constructor(options: WorkerPoolOptions = {}) {
    this.#maxThreads = options.workers ?? Math.min(MAX_WORKERS, Math.max(2, availableParallelism()))
    this.#log = options.log ?? silentLog
    this.#clock = options.clock ?? systemClock
    this.#entry = options.entry ?? workerEntry(import.meta.url)
  }

  /** Threads that are up. */
  get threads(): number {
    return this.#threads.size
  }

  async run<K extends TaskKind>(
    kind: K,
    input: Tasks[K]['input'],
    options: RunOptions = {},
  ): Promise<Tasks[K]['output']> {
    if (this.#closed) throw poolClosed()
    if (options.urgent === true) return (await this.#enqueue(kind, input, true)) as Tasks[K]['output']
    if (this.#places.waiting >= MAX_WAITING_TASKS) {
      throw new MegatorrentError('ERR_BUG', `more than ${MAX_WAITING_TASKS} tasks wait for a worker`)
    }
    await this.#places.acquire()
    try {
      return (await this.#enqueue(kind, input, false)) as Tasks[K]['output']
    } finally {
      this.#places.release()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const job of this.#queue.splice(0)) job.reject(poolClosed())
    if (!this.#isIdle()) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
    this.#endThreads()
    await Promise.all(this.#exits)
  }

  #enqueue(kind: TaskKind, input: unknown, urgent: boolean): Promise<unknown> {
    if (this.#closed) return Promise.reject(poolClosed())
    return new Promise((resolve, reject) => {
      this.#lastId++
      const job = { request: { id: this.#lastId, kind, input }, resolve, reject }
      if (urgent) this.#queue.unshift(job)
      else this.#queue.push(job)
      this.#dispatch()
    })
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#freeThread()
      const job = thread === null ? undefined : this.#queue.shift()
      if (thread === null || job === undefined) return
      this.#start(thread, job)
    }
    if (this.#isIdle()) {
      this.#whenIdle?.()
      this.#retirement ??= this.#clock.setTimer(() => this.#retire(), WORKER_IDLE_MS)
    }
  }

  #isIdle(): boolean {
    for (const thread of this.#threads) if (thread.running.size > 0) return false
    return true
  }

  #retire(): void {
    this.#retirement = null
    if (this.#isIdle()) this.#endThreads()
  }

  #endThreads(): void {
    this.#retirement?.cancel()
    this.#retirement = null
    for (const thread of this.#threads) void thread.worker.terminate()
    this.#threads.clear()
  }

  /** The least busy thread with a place, a new one if all are busy and more are allowed, or null. */
  #freeThread(): Thread | null {
    let best: Thread | null = null
    for (const thread of this.#threads) {
      if (best === null || thread.running.size < best.running.size) best = thread
    }
    if ((best === null || best.running.size > 0) && this.#threads.size < this.#maxThreads)
      return this.#spawn()
    return best !== null && best.running.size < TASKS_PER_WORKER ? best : null
  }

  #start(thread: Thread, job: Job): void {
    try {
      thread.worker.postMessage(job.request, buffersOf(job.request.input))
    } catch (error) {
      // Input that cannot be handed over, such as memory that was given away before: the caller's fault.
      job.reject(error instanceof Error ? error : new TypeError(errorMessage(error)))
      return
    }
    this.#retirement?.cancel()
    this.#retirement = null
    thread.running.set(job.request.id, job)
    thread.worker.ref()
  }

  #spawn(): Thread {
    const settings: WorkerSettings = { tempPrefix: toHex(systemRandom.bytes(8)) }
    const worker = new Worker(this.#entry, {
      workerData: settings,
      argv: [],
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MIB },
    })
    const thread: Thread = { worker, running: new Map() }
    this.#threads.add(thread)
    worker.unref()
    worker.on('message', (answer: TaskAnswer) => this.#finish(thread, answer))
    worker.on('error', (error) => this.#lose(thread, errorMessage(error)))
    const exit = new Promise<void>((resolve) => {
      worker.once('exit', () => {
        this.#lose(thread, 'it ended by itself')
        this.#exits.delete(exit)
        resolve()
      })
    })
    this.#exits.add(exit)
    return thread
  }

  #finish(thread: Thread, answer: TaskAnswer): void {
    const job = thread.running.get(answer.id)
    if (job === undefined) return
    thread.running.delete(answer.id)
    if (thread.running.size === 0) thread.worker.unref()
    if (answer.ok) job.resolve(answer.output)
    else job.reject(decodeTaskError(answer.error))
    this.#dispatch()
  }

  #lose(thread: Thread, reason: string): void {
    if (!this.#threads.delete(thread)) return
    const lost = [...thread.running.values()]
    thread.running.clear()
    this.#log.error('a storage worker ended', { reason, lostTasks: lost.length })
    for (const job of lost) {
      job.reject(new MegatorrentError('ERR_WORKER_CRASHED', `a storage worker ended: ${reason}`))
    }
    this.#dispatch()
  }
}

function poolClosed(): MegatorrentError {
  return new MegatorrentError('ERR_STORE_CLOSED', 'the store is closed')
}

/**
 * The worker's compiled file. Beside the module when that is compiled; under a test runner the module is
 * TypeScript, which threads of Node 20 cannot load: then the compiled one in `dist/` is used.
 *
 * @param moduleUrl - of a module in this folder.
 * @throws MegatorrentError ERR_WORKER_MISSING.
 */
export function workerEntry(moduleUrl: string): URL {
  const isSource = moduleUrl.endsWith('.ts')
  const entry = new URL(isSource ? '../../dist/src/storage/worker.js' : './worker.js', moduleUrl)
  if (!existsSync(entry)) {
    throw new MegatorrentError(
      'ERR_WORKER_MISSING',
      `${fileURLToPath(entry)} is missing: run "npm run build"`,
    )
  }
  return entry
}
