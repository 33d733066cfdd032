/**
 * `/files/`: bytes of releases over HTTP, to be saved or played, never to be run here.
 *
 * Content is a stranger's. So it goes out as an attachment of no type, under a policy
 * that lets a browser do nothing with it (docs/THREAT_MODEL.md, "This machine"). The
 * guard has let the request in; what follows is bounded in readers, in time and in
 * memory, and a client that goes away or does not read stops what is fetched for it.
 *
 * @module rpc/files
 */
import { linkSignals } from '../base/abort.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { FILE_FIRST_BYTE_MS, FILE_STALL_MS, MAX_FILE_READERS, MAX_LISTED_CHILDREN } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { NodeApi, ReleaseFile } from '../node/api.ts'
import { toRpcError } from './errors.ts'
import {
  allowsRange,
  type ByteRange,
  contentDisposition,
  type FileTarget,
  isKnownToClient,
  parseRange,
} from './file-request.ts'

/** One request and its answer, as the HTTP server gives them. */
export interface FileExchange {
  readonly target: FileTarget
  readonly isHead: boolean
  header(name: string): string | undefined
  /** Fires when the client has gone or the server stops. */
  readonly signal: AbortSignal
  begin(status: number, headers: Readonly<Record<string, string>>): void
  /** Resolves when the system has taken them; rejects when the client has gone. */
  write(bytes: Uint8Array): Promise<void>
  end(): void
  /** Break the connection: an answer that was begun cannot be taken back. */
  cut(): void
}

export interface FileServerDeps {
  readonly api: Pick<NodeApi, 'openFile' | 'listFolder'>
  readonly clock: Clock
  readonly log: Log
  /** Shorter ones for tests. */
  readonly firstByteMs?: number
  readonly stallMs?: number
}

/** Whatever a release calls a file: a browser may save it, and do nothing else with it. */
const FILE_HEADERS = {
  'content-type': 'application/octet-stream',
  'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
  'accept-ranges': 'bytes',
} as const

export class FileServer {
  readonly #deps: FileServerDeps
  #readers = 0

  constructor(deps: FileServerDeps) {
    this.#deps = deps
  }

  /** Answer. Never rejects. */
  async serve(exchange: FileExchange): Promise<void> {
    if (this.#readers >= MAX_FILE_READERS) {
      const error = new MegatorrentError('ERR_TOO_MANY_READERS', 'too many files are being read: try again')
      refuse(exchange, 503, error, { 'retry-after': '5' })
      return
    }
    this.#readers++
    try {
      if (exchange.target.kind === 'folder') await this.#list(exchange)
      else await this.#send(exchange)
    } catch (error) {
      this.#failed(exchange, error)
    } finally {
      this.#readers--
    }
  }

  async #list(exchange: FileExchange): Promise<void> {
    const { publicKey, path, after } = exchange.target
    const params = { publicKey, folder: path, after, limit: MAX_LISTED_CHILDREN }
    const body = Buffer.from(JSON.stringify(await this.#deps.api.listFolder(params)))
    exchange.begin(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(body.length),
    })
    if (!exchange.isHead) await exchange.write(body)
    exchange.end()
  }

  async #send(exchange: FileExchange): Promise<void> {
    const { publicKey, path } = exchange.target
    const file = await this.#deps.api.openFile({ publicKey, path })
    const etag = `"${file.contentId}"`
    const headers = { ...FILE_HEADERS, etag, 'content-disposition': contentDisposition(path) }
    if (isKnownToClient(exchange.header('if-none-match'), etag)) {
      exchange.begin(304, { etag })
      exchange.end()
      return
    }
    const mayRange = allowsRange(exchange.header('if-range'), etag)
    const range = mayRange ? parseRange(exchange.header('range'), file.size) : 'all'
    if (range === 'unsatisfiable') {
      const where = { 'content-range': `bytes */${file.size}`, 'accept-ranges': 'bytes' }
      const error = new MegatorrentError(
        'ERR_FILE_RANGE',
        `the file has ${file.size} bytes: the range lies outside`,
      )
      refuse(exchange, 416, error, where)
      return
    }
    if (range === 'all') {
      const all = { start: 0, end: file.size }
      await this.#sendRange(exchange, file, all, 200, { ...headers, 'content-length': String(file.size) })
      return
    }
    await this.#sendRange(exchange, file, range, 206, {
      ...headers,
      'content-length': String(range.end - range.start),
      'content-range': `bytes ${range.start}-${range.end - 1}/${file.size}`,
    })
  }

  async #sendRange(
    exchange: FileExchange,
    file: ReleaseFile,
    { start, end }: ByteRange,
    status: number,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (exchange.isHead || start === end) {
      exchange.begin(status, headers)
      exchange.end()
      return
    }
    const watch = new Watch(this.#deps.clock)
    const { signal, release } = linkSignals(exchange.signal, watch.signal)
    const pieces = file.read(start, end, signal)[Symbol.asyncIterator]()
    try {
      // The head waits for the first bytes: until then there is still a way to say what is wrong.
      watch.restart(this.#deps.firstByteMs ?? FILE_FIRST_BYTE_MS)
      let piece = await pieces.next()
      exchange.begin(status, headers)
      watch.signal.addEventListener('abort', () => exchange.cut(), { once: true })
      while (piece.done !== true) {
        watch.restart(this.#deps.stallMs ?? FILE_STALL_MS)
        await exchange.write(piece.value)
        piece = await pieces.next()
      }
      exchange.end()
    } catch (error) {
      // What was called off because it was late says so.
      throw watch.signal.aborted ? watch.signal.reason : error
    } finally {
      watch.stop()
      release()
      await pieces.return?.()
    }
  }

  #failed(exchange: FileExchange, error: unknown): void {
    if (exchange.signal.aborted) {
      exchange.cut()
      return
    }
    const isOurs = !isMegatorrentError(error) || error.kind === 'bug'
    const { message } = toRpcError(error, 'files', this.#deps.log)
    refuse(exchange, statusOf(error), isOurs ? new MegatorrentError('ERR_BUG', message) : error, {})
  }
}

function statusOf(error: unknown): number {
  switch (isMegatorrentError(error) ? error.kind : 'bug') {
    case 'not-found':
      return 404
    case 'integrity':
      return 502 // what was signed cannot be read
    case 'aborted':
      return 503 // the channel was left meanwhile
    case 'timeout':
      return 504
    default:
      return 500
  }
}

/** An answer that is no file. Where one was begun there is nothing to say any more. */
function refuse(
  exchange: FileExchange,
  status: number,
  { code, kind, message }: MegatorrentError,
  headers: Readonly<Record<string, string>>,
): void {
  const body = Buffer.from(JSON.stringify({ error: { code, kind, message } }))
  try {
    exchange.begin(status, {
      ...headers,
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(body.length),
    })
  } catch {
    exchange.cut() // the head has gone out already
    return
  }
  if (exchange.isHead) exchange.end()
  else
    void exchange.write(body).then(
      () => exchange.end(),
      () => exchange.cut(),
    )
}

/** Time in which something must happen: its signal fires when it did not. */
class Watch {
  readonly #clock: Clock
  readonly #late = new AbortController()
  #timer: Timer | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get signal(): AbortSignal {
    return this.#late.signal
  }

  restart(ms: number): void {
    this.stop()
    const late = new MegatorrentError('ERR_TIMEOUT', 'no peer gave the bytes in time')
    this.#timer = this.#clock.setTimer(() => this.#late.abort(late), ms)
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
