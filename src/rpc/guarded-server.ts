/**
 * An HTTP server that asks the guard before anybody else sees a request, and says no in
 * one way.
 *
 * @module rpc/guarded-server
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import { MAX_RPC_CONNECTIONS, RPC_KEEP_ALIVE_MS, RPC_LINGER_BYTES, RPC_LINGER_MS } from '../base/limits.ts'
import { type GuardRules, type Refusal, refuseRequest, WEBSOCKET_PATH } from './guard.ts'

export interface RpcDeadlines {
  readonly headersMs: number
  readonly requestMs: number
}

/** Nothing that we answer may be sniffed, framed, cached or loaded by another origin. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
} as const

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Who is given what the guard lets in. */
export interface GuardedHandlers {
  readonly route: RequestHandler
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

/** An HTTP server that asks the guard before anybody else sees the request. */
export function createGuardedServer(
  deadlines: RpcDeadlines,
  rules: GuardRules,
  { route, upgrade }: GuardedHandlers,
  clock: Clock,
): Server {
  const refusalOf = (request: IncomingMessage): Refusal | null =>
    refuseRequest(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        rawHeaders: request.rawHeaders,
        localAddress: request.socket.localAddress ?? '',
        localPort: request.socket.localPort ?? 0,
      },
      rules,
    )
  const onRequest = (request: IncomingMessage, response: ServerResponse, proceed: () => void): void => {
    const refusal = refusalOf(request)
    if (refusal === null) proceed()
    else refuse(request, response, clock, refusal.status, refusal.message, refusal.headers)
  }
  const server = createServer(
    {
      headersTimeout: deadlines.headersMs,
      requestTimeout: deadlines.requestMs,
      keepAliveTimeout: RPC_KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(1000, deadlines.headersMs),
      // The guard answers a missing Host itself, with the status of a wrong one.
      requireHostHeader: false,
    },
    (request, response) => onRequest(request, response, () => route(request, response)),
  )
  server.maxConnections = MAX_RPC_CONNECTIONS
  // Without this Node would ask for the body before the guard has looked.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    onRequest(request, response, () => {
      response.writeContinue()
      route(request, response)
    }),
  )
  // With a listener Node answers no upgrade by itself: whatever it was asked for.
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const refusal = refusalOf(request)
    const isOurs = request.url === WEBSOCKET_PATH
    if (refusal === null && isOurs) upgrade(request, socket, head)
    else answerBare(socket, refusal?.status ?? 400, clock)
  })
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    refuse(request, response, clock, 417, 'no expectation but 100-continue is met', {}),
  )
  return server
}

/**
 * Answer and close. The answer goes out whole at once; what the client still
 * sends is thrown away for a moment, because closing on unread bytes would reset
 * the connection and take the answer with it.
 */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  clock: Clock,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>>,
): void {
  const body = JSON.stringify({ error: { code: 'ERR_RPC_REFUSED', kind: 'auth', message } })
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  })
  response.write(body)
  let discarded = 0
  const end = (): void => {
    timer.cancel()
    response.end()
  }
  const timer = clock.setTimer(end, RPC_LINGER_MS)
  request.on('data', (chunk: Uint8Array) => {
    discarded += chunk.length
    if (discarded > RPC_LINGER_BYTES) end()
  })
  request.once('end', end)
  request.once('close', end)
  request.resume()
}

/** What is not HTTP at all, or too slow, or too long a head. */
export function answerBadHttp(error: Error & { readonly code?: string }, socket: Duplex, clock: Clock): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  let status = 400
  if (error.code === 'HPE_HEADER_OVERFLOW') status = 431
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') status = 408
  answerBare(socket, status, clock)
}

/**
 * An answer without a body, where Node gives none to write one with, and the end of the
 * connection. Nobody else listens to such a socket any more: without us an error of it
 * would end the process, and one whose other end stays open would be held for ever.
 */
function answerBare(socket: Duplex, status: number, clock: Clock): void {
  socket.on('error', () => {}) // it is over either way
  const timer = clock.setTimer(() => void socket.destroy(), RPC_LINGER_MS)
  socket.once('close', () => timer.cancel())
  socket.resume()
  const headers = Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`)
  const end = 'content-length: 0\r\nconnection: close\r\n\r\n'
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers.join('')}${end}`)
}
