/** A real RPC server over a fake node, and raw HTTP to it: bytes in, bytes out. */
import { connect } from 'node:net'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { type Log, type LogFields, silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { NodeApi } from '../../../src/node/api.ts'
import { type RpcServerInit, startRpcServer } from '../../../src/rpc/server.ts'
import { fakeNode } from './fake-node.ts'

export const TOKEN = 'c0'.repeat(32)

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly shutdowns: { count: number }
  close(): Promise<void>
}

export async function startTestServer(
  api: NodeApi = fakeNode().api,
  init: Partial<RpcServerInit> = {},
  log: Log = silentLog,
  clock: Clock = systemClock,
): Promise<TestServer> {
  const shutdowns = { count: 0 }
  const server = await startRpcServer(
    { listen: { host: '127.0.0.1', port: 0 }, hosts: [], origins: [], token: TOKEN, ...init },
    {
      api,
      log,
      clock,
      random: seededRandom(7),
      onShutdown: () => {
        shutdowns.count++
      },
    },
  )
  return { url: server.url, port: Number(new URL(server.url).port), shutdowns, close: () => server.close() }
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** ms without a byte after which an answer counts as none: longer than any deadline of the server. */
const ANSWER_MS = 20_000

/** Send bytes, read until the other side closes or the answer is complete. */
export function sendRaw(
  port: number,
  parts: readonly (string | Uint8Array)[],
  host = '127.0.0.1',
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host)
    let received = Buffer.alloc(0)
    const finish = (why: string): void => {
      socket.destroy()
      const answer = parsed()
      if (answer === null) reject(new Error(`${why}: no whole answer in ${received.length} bytes of ${port}`))
      else resolve(answer)
    }
    const parsed = (): RawAnswer | null => {
      try {
        return parseAnswer(received)
      } catch (error) {
        reject(error)
        return null
      }
    }
    socket.setTimeout(ANSWER_MS, () => finish('nothing came for long'))
    socket.on('error', (error) => finish(error.message))
    socket.on('close', () => finish('closed'))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (parsed() !== null) finish('whole')
    })
    for (const part of parts) socket.write(part)
  })
}

function parseAnswer(bytes: Buffer): RawAnswer | null {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [statusLine, ...lines] = text.slice(0, end).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  const status = Number(statusLine?.split(' ')[1])
  if (status === 100) return parseAnswer(bytes.subarray(end + 4))
  const body = bytes.subarray(end + 4)
  const length = status === 204 ? 0 : Number(headers['content-length'])
  if (!Number.isFinite(length)) throw new Error('an answer without content-length')
  return body.length < length ? null : { status, headers, body: body.subarray(0, length).toString('utf8') }
}

export interface RequestParts {
  readonly method?: string
  readonly target?: string
  /** Header lines by name; null leaves a default out, an array sends it several times. */
  readonly headers?: Readonly<Record<string, string | null | readonly string[]>>
  readonly body?: string | Uint8Array
}

/** The head and body of a request that is right unless told otherwise. */
export function rawRequest(port: number, parts: RequestParts = {}): (string | Uint8Array)[] {
  const body = typeof parts.body === 'string' ? Buffer.from(parts.body) : (parts.body ?? Buffer.alloc(0))
  const headers: Record<string, string | null | readonly string[]> = {
    host: `127.0.0.1:${port}`,
    authorization: `Bearer ${TOKEN}`,
    'content-type': 'application/json',
    'content-length': String(body.length),
    ...parts.headers,
  }
  const lines = Object.entries(headers).flatMap(([name, value]) => {
    if (value === null) return []
    return (typeof value === 'string' ? [value] : value).map((single) => `${name}: ${single}\r\n`)
  })
  const first = `${parts.method ?? 'POST'} ${parts.target ?? '/api/rpc'} HTTP/1.1\r\n`
  return [`${first}${lines.join('')}\r\n`, body]
}

export const STATUS_CALL = '{"jsonrpc":"2.0","id":1,"method":"getStatus"}'

export function request(port: number, parts: RequestParts = {}): Promise<RawAnswer> {
  return sendRaw(port, rawRequest(port, { body: STATUS_CALL, ...parts }))
}

/** One call, its answer parsed. */
export async function call(
  port: number,
  method: string,
  params?: unknown,
  id: unknown = 1,
): Promise<RpcReply> {
  const answer = await request(port, { body: JSON.stringify({ jsonrpc: '2.0', id, method, params }) })
  return { status: answer.status, ...(JSON.parse(answer.body) as object) } as RpcReply
}

export interface RpcReply {
  readonly status: number
  readonly id: unknown
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: {
    readonly code: number
    readonly message: string
    readonly data?: Readonly<Record<string, unknown>>
  }
}

/** Keeps what is logged. */
export function recordingLog(): {
  readonly log: Log
  readonly lines: { message: string; fields: LogFields }[]
} {
  const lines: { message: string; fields: LogFields }[] = []
  const add = (message: string, fields: LogFields = {}): void => void lines.push({ message, fields })
  const log: Log = { debug: add, info: add, warn: add, error: add, child: () => log }
  return { log, lines }
}
