/**
 * Long work: what runs, how far it is, how it ended.
 *
 * Every long call is a job, whether its caller waits for it or asks later. Jobs
 * live in memory: they end with the daemon, while what they achieved is durable.
 *
 * @module rpc/jobs
 */
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_KEPT_JOBS, MAX_RUNNING_JOBS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { CallOptions, Progress } from '../node/api.ts'
import type { RpcError } from './errors.ts'

export interface JobInfo {
  readonly jobId: string
  readonly method: string
  readonly state: 'running' | 'done' | 'failed' | 'cancelled'
  readonly startedAt: number
  readonly endedAt: number | null
  readonly progress: Progress | null
  readonly result: unknown
  readonly error: RpcError | null
}

interface Job {
  info: JobInfo
  readonly abort: AbortController
  /** Resolves when the job has ended, however. */
  readonly ended: Promise<void>
}

export interface StartedJob<T> {
  readonly jobId: string
  readonly outcome: Promise<T>
  cancel(reason: string): void
}

export class Jobs {
  readonly #clock: Clock
  readonly #random: Random
  readonly #describe: (error: unknown, method: string) => RpcError
  /** In the order in which they were started. */
  readonly #jobs = new Map<string, Job>()
  #isClosing = false

  constructor(clock: Clock, random: Random, describe: (error: unknown, method: string) => RpcError) {
    this.#clock = clock
    this.#random = random
    this.#describe = describe
  }

  /**
   * Start work and keep track of it. `outcome` settles as the work does; when
   * the job was cancelled it rejects with ERR_ABORTED, whatever the work threw.
   *
   * @throws MegatorrentError ERR_TOO_MANY_JOBS when MAX_RUNNING_JOBS run already.
   */
  start<T>(method: string, work: (options: CallOptions) => Promise<T>): StartedJob<T> {
    if (this.#isClosing) throw new MegatorrentError('ERR_ABORTED', 'the daemon is stopping')
    if (this.#running().length >= MAX_RUNNING_JOBS) {
      throw new MegatorrentError('ERR_TOO_MANY_JOBS', 'too many long calls run already: wait or cancel one')
    }
    const jobId = toHex(this.#random.bytes(8))
    const abort = new AbortController()
    const onProgress = (progress: Progress): void => this.#update(jobId, { progress })
    const outcome = runAborting(work, abort.signal, onProgress)
    const ended = outcome.then(
      (result) => this.#end(jobId, { state: 'done', result }),
      (error: unknown) => {
        const state = abort.signal.aborted ? 'cancelled' : 'failed'
        this.#end(jobId, { state, error: this.#describe(error, method) })
      },
    )
    const info: JobInfo = {
      jobId,
      method,
      state: 'running',
      startedAt: this.#clock.now(),
      endedAt: null,
      progress: null,
      result: null,
      error: null,
    }
    this.#jobs.set(jobId, { info, abort, ended })
    return { jobId, outcome, cancel: (reason) => abort.abort(new MegatorrentError('ERR_ABORTED', reason)) }
  }

  list(): readonly JobInfo[] {
    return [...this.#jobs.values()].map((job) => job.info)
  }

  /** Null when there is none of that id, or none any more. */
  get(jobId: string): JobInfo | null {
    return this.#jobs.get(jobId)?.info ?? null
  }

  /** Ask a job to stop and wait until it has. Null when there is none of that id. */
  async cancel(jobId: string): Promise<JobInfo | null> {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return null
    job.abort.abort(new MegatorrentError('ERR_ABORTED', 'the job was cancelled'))
    await job.ended
    return job.info
  }

  /** Stop all jobs and start none any more. */
  async close(): Promise<void> {
    this.#isClosing = true
    const running = this.#running()
    for (const job of running) job.abort.abort(new MegatorrentError('ERR_ABORTED', 'the daemon is stopping'))
    await Promise.all(running.map((job) => job.ended))
  }

  #running(): readonly Job[] {
    return [...this.#jobs.values()].filter((job) => job.info.state === 'running')
  }

  #update(jobId: string, change: Partial<JobInfo>): void {
    const job = this.#jobs.get(jobId)
    if (job !== undefined && job.info.state === 'running') job.info = { ...job.info, ...change }
  }

  #end(jobId: string, change: Partial<JobInfo>): void {
    this.#update(jobId, { ...change, endedAt: this.#clock.now() })
    const ended = [...this.#jobs.values()].filter((job) => job.info.state !== 'running')
    for (const job of ended.slice(0, Math.max(0, ended.length - MAX_KEPT_JOBS))) {
      this.#jobs.delete(job.info.jobId)
    }
  }
}

/** Work that was told to stop has ended as cancelled, unless it succeeded first. */
async function runAborting<T>(
  work: (options: CallOptions) => Promise<T>,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<T> {
  try {
    // A turn later, so that the job is listed before its work begins.
    await Promise.resolve()
    signal.throwIfAborted()
    return await work({ signal, onProgress })
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}
