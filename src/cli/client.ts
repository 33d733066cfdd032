/**
 * Client of the JSON-RPC interface: finds the daemon, calls, checks answers.
 *
 * Reads daemon.json and rpc.cookie in the data folder, or is given an URL and a
 * token file. Answers are checked against the schema, since the process at the
 * other end may be of another version.
 *
 * @module cli/client
 */
import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import type { z } from 'zod'
import { linkDeadline } from '../base/abort.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { isErrorKind, kindOfRpcCode } from '../rpc/schema/kinds.ts'
import { type CallParams, METHODS, type MethodName, type MethodResult } from '../rpc/schema/methods.ts'
import { type DaemonInfo, daemonResult } from '../rpc/schema/results.ts'
import { CliError, usageError } from './errors.ts'

/** Where the daemon is: by its data folder, or told. */
export type DaemonPlace =
  | { readonly dataDir: string; readonly isDefaultDataDir: boolean }
  | { readonly rpcUrl: string; readonly tokenFile: string }

/** What runs as a job. */
type LongMethod = 'ingest' | 'publish' | 'publishManifest' | 'unpublish' | 'addSubscription' | 'verify' | 'gc'

export type Job = MethodResult<'getJobs'>['jobs'][number]

/** Bytes of an answer: the largest legal one lists 100,000 files. */
const MAX_ANSWER_BYTES = 268_435_456
/** For a daemon to answer that it has begun. */
const START_MS = 30_000
/** To hear that a job was called off: who interrupts waits for it. */
const CANCEL_MS = 2_000
const FIRST_POLL_MS = 30
const LAST_POLL_MS = 400

/** Where and how the daemon on a data folder says it runs, or null when there is no (readable) daemon.json. */
export async function readDaemonFile(dataDir: string): Promise<DaemonInfo | null> {
  try {
    return daemonResult.parse(JSON.parse(await readFile(join(dataDir, 'daemon.json'), 'utf8')))
  } catch {
    return null // absent, being written, or not ours: all mean that no daemon is known
  }
}

export class RpcClient {
  readonly #place: DaemonPlace
  readonly #clock: Clock
  readonly #signal: AbortSignal
  #nextId = 1

  /** @param signal - Aborts every call. */
  constructor(place: DaemonPlace, clock: Clock, signal: AbortSignal) {
    this.#place = place
    this.#clock = clock
    this.#signal = signal
  }

  /**
   * Call one method.
   *
   * @throws CliError: of kind usage before anything is sent when the parameters
   *   do not fit, no-daemon when nobody answers, else as the daemon says.
   */
  async call<M extends MethodName>(
    method: M,
    params: CallParams<M>,
    signal: AbortSignal = this.#signal,
  ): Promise<MethodResult<M>> {
    const checked = METHODS[method].params.safeParse(params)
    if (!checked.success) throw usageError(describeFault(checked.error.issues[0]))
    const { url, token } = await this.#find()
    const id = this.#nextId++
    const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
    const answer = await post(url, token, body, signal).catch((error: unknown) => {
      throw this.#connectionError(error, signal)
    })
    return readAnswer(method, id, answer)
  }

  /** The same, for so long at most, and whatever the user's signal does meanwhile. */
  async callWithin<M extends MethodName>(
    timeoutMs: number,
    method: M,
    params: CallParams<M>,
  ): Promise<MethodResult<M>> {
    const { signal, release } = linkDeadline(this.#clock, timeoutMs)
    return this.call(method, params, signal).finally(release)
  }

  /**
   * Start long work and follow it to its end. Cancels the job when the signal
   * fires or `timeoutMs` passes.
   */
  async runJob<M extends LongMethod>(
    method: M,
    params: CallParams<M>,
    onProgress: (progress: NonNullable<Job['progress']>) => void,
    timeoutMs: number | null = null,
  ): Promise<Exclude<MethodResult<M>, { jobId: string }>> {
    // Not under the user's signal: a job whose id we never learn could not be cancelled.
    const started = await this.callWithin(START_MS, method, { ...params, wait: false })
    const { jobId } = started as { jobId: string }
    const endMs = timeoutMs === null ? Number.POSITIVE_INFINITY : this.#clock.monotonicMs() + timeoutMs
    try {
      for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, LAST_POLL_MS)) {
        const job = await this.#job(jobId)
        if (job.state !== 'running') return readJob(method, job)
        if (job.progress !== null) onProgress(job.progress)
        if (this.#clock.monotonicMs() >= endMs) {
          throw new CliError({ code: 'ERR_TIMEOUT', kind: 'timeout', message: 'not done in the time given' })
        }
        await sleep(this.#clock, pollMs, this.#signal)
      }
    } catch (error) {
      const isOurs =
        this.#signal.aborted || (error instanceof CliError && error.details.code === 'ERR_TIMEOUT')
      if (isOurs) await this.#cancel(jobId)
      throw this.#signal.aborted ? interrupted() : error
    }
  }

  /** Where the RPC is. */
  async url(): Promise<URL> {
    return (await this.#find()).url
  }

  /** Null when no daemon is known, or when it was told by its URL. */
  async readDaemonFile(): Promise<DaemonInfo | null> {
    return 'dataDir' in this.#place ? readDaemonFile(this.#place.dataDir) : null
  }

  async #job(jobId: string): Promise<Job> {
    try {
      const [job] = (await this.call('getJobs', { jobId })).jobs
      if (job !== undefined) return job
    } catch (error) {
      if (!(error instanceof CliError) || error.details.kind !== 'not-found') throw error
    }
    // Jobs end with their daemon, so this is another one.
    const message = 'the daemon was restarted meanwhile: what it had done is kept, so run this again'
    throw new CliError({ code: 'ERR_RPC_ANSWER', kind: 'network', message })
  }

  async #cancel(jobId: string): Promise<void> {
    try {
      await this.callWithin(CANCEL_MS, 'cancelJob', { jobId })
    } catch {
      // The daemon is gone or busy; there is nobody else to tell.
    }
  }

  async #find(): Promise<{ readonly url: URL; readonly token: string }> {
    const place = this.#place
    if ('rpcUrl' in place) {
      const token = await readFile(place.tokenFile, 'utf8').catch((cause: unknown) => {
        throw usageErrorFrom('--rpc-token-file cannot be read', cause)
      })
      return { url: parseRpcUrl(place.rpcUrl), token: token.trim() }
    }
    const daemon = await this.readDaemonFile()
    const token = await readFile(join(place.dataDir, 'rpc.cookie'), 'utf8').catch(() => null)
    if (daemon === null || token === null) throw this.#noDaemon()
    return { url: parseRpcUrl(daemon.rpcUrl), token: token.trim() }
  }

  #noDaemon(cause?: unknown): CliError {
    const place = this.#place
    if ('rpcUrl' in place) {
      const message = 'no daemon answers at --rpc-url: start one there with "megatorrent serve"'
      return new CliError({ code: 'ERR_NO_DAEMON', kind: 'no-daemon', message }, { cause })
    }
    const flag = place.isDefaultDataDir ? '' : ` --data-dir ${place.dataDir}`
    const message = `no daemon is running: start one with "megatorrent serve${flag}"`
    return new CliError({ code: 'ERR_NO_DAEMON', kind: 'no-daemon', message }, { cause })
  }

  #connectionError(error: unknown, signal: AbortSignal): unknown {
    if (this.#signal.aborted) return interrupted()
    if (signal.aborted) {
      const message = 'the daemon did not answer in time'
      return new CliError({ code: 'ERR_TIMEOUT', kind: 'timeout', message }, { cause: error })
    }
    const code = (error as { readonly code?: unknown }).code
    if (error instanceof CliError) return error
    if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EHOSTUNREACH')
      return this.#noDaemon(error)
    const message = 'the daemon closed the connection: it may have stopped'
    return new CliError({ code: 'ERR_RPC_ANSWER', kind: 'network', message }, { cause: error })
  }
}

/** `nodeKey: expected 64 hex digits` */
function describeFault(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'wrong parameters'
  return [...issue.path.slice(0, 1).map(String), issue.message].join(': ')
}

function interrupted(): CliError {
  return new CliError({ code: 'ERR_ABORTED', kind: 'aborted', message: 'interrupted' })
}

function usageErrorFrom(message: string, cause: unknown): CliError {
  return new CliError({ code: 'ERR_USAGE', kind: 'usage', message }, { cause })
}

function parseRpcUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== 'http:' || url.username !== '' || url.password !== '') {
    throw usageError('the RPC URL must be http://HOST:PORT/api/rpc')
  }
  return url
}

interface HttpAnswer {
  readonly status: number
  readonly text: string
}

function post(url: URL, token: string, body: string, signal: AbortSignal): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      authorization: `Bearer ${token}`,
    }
    const sent = httpRequest(url, { method: 'POST', headers, agent: false, signal }, (response) => {
      const chunks: Uint8Array[] = []
      let length = 0
      response.on('data', (chunk: Uint8Array) => {
        length += chunk.length
        if (length > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'))
        else chunks.push(chunk)
      })
      response.once('error', reject)
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

function unexpected(what: string): CliError {
  const message = `the daemon ${what}: is it of another version?`
  return new CliError({ code: 'ERR_RPC_ANSWER', kind: 'network', message })
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null // the caller says what it means that this is not JSON
  }
}

function readAnswer<M extends MethodName>(method: M, id: number, answer: HttpAnswer): MethodResult<M> {
  const document = parseObject(answer.text)
  if (document === null || document.jsonrpc !== '2.0') {
    if (answer.status < 400) throw unexpected('gave an answer that is not JSON-RPC')
    const refusal = document?.error as { readonly message?: unknown } | undefined
    const reason = typeof refusal?.message === 'string' ? `: ${refusal.message}` : ''
    const message = `the daemon refused the request with HTTP ${answer.status}${reason}`
    throw new CliError({ code: 'ERR_RPC_REFUSED', kind: 'auth', message })
  }
  if (document.error !== undefined) throw rpcError(document.error)
  const result = METHODS[method].result.safeParse(document.result)
  if (document.id !== id || !result.success) throw unexpected(`gave a result of ${method} that does not fit`)
  return result.data as MethodResult<M>
}

/** The error of an answer or of a job, with the kind that decides the exit code. */
function rpcError(value: unknown): CliError {
  const error = (typeof value === 'object' && value !== null ? value : {}) as Readonly<
    Record<string, unknown>
  >
  const data = (typeof error.data === 'object' && error.data !== null ? error.data : {}) as Readonly<
    Record<string, unknown>
  >
  const rpcCode = typeof error.code === 'number' ? error.code : 0
  const isUnknownMethod = rpcCode === -32601
  const kind = isErrorKind(data.kind) ? data.kind : kindOfRpcCode(rpcCode)
  const fallback = isUnknownMethod ? 'ERR_NOT_IN_VERSION' : kind === 'bug' ? 'ERR_BUG' : 'ERR_RPC_ANSWER'
  const code = typeof data.code === 'string' ? data.code : fallback
  const text = typeof error.message === 'string' ? error.message : 'the daemon gave no reason'
  const message = kind === 'bug' ? `${text}: the log of the daemon has the detail` : text
  const { result } = data
  if (typeof result !== 'object' || result === null) return new CliError({ code, kind, message })
  return new CliError({ code, kind, message, result: result as Readonly<Record<string, unknown>> })
}

function readJob<M extends MethodName>(method: M, job: Job): Exclude<MethodResult<M>, { jobId: string }> {
  if (job.error !== null) throw rpcError(job.error)
  const result = METHODS[method].result.safeParse(job.result)
  if (!result.success) throw unexpected(`gave a result of ${method} that does not fit`)
  return result.data as Exclude<MethodResult<M>, { jobId: string }>
}
