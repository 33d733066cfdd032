/**
 * The HTTP front of the RPC: fastify behind a guard that decides on the head of
 * each request, with bounds on bodies, times and connections.
 *
 * Refusals are answered before the body is read, as a short JSON text with the
 * status that INTERFACE.md names. What passes goes to rpc/dispatch.ts. There are
 * no CORS headers: a page of another origin cannot read anything, and cannot
 * send anything that counts.
 *
 * @module rpc/server
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import fastify, { type FastifyInstance } from 'fastify'
import { linkSignals } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import {
  MAX_RPC_BODY_BYTES,
  MAX_RPC_CONNECTIONS,
  RPC_HEADERS_TIMEOUT_MS,
  RPC_KEEP_ALIVE_MS,
  RPC_LINGER_BYTES,
  RPC_LINGER_MS,
  RPC_REQUEST_TIMEOUT_MS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { formatHostPort, type HostPort } from '../config/values.ts'
import type { NodeApi } from '../node/api.ts'
import { tokenVerifier } from './auth.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import { toRpcError } from './errors.ts'
import { FILES_PREFIX, type FileTarget, parseFileTarget } from './file-request.ts'
import { type FileExchange, FileServer } from './files.ts'
import { type GuardRules, HEALTH_PATH, RPC_PATH, refuseRequest, scopesOf } from './guard.ts'
import { Jobs } from './jobs.ts'
import { createHandlers } from './methods.ts'
import type { Scope } from './schema/scopes.ts'

export interface RpcServerInit {
  /** Port 0 picks one. */
  readonly listen: HostPort
  /** Further Host values, lower case, each with or without a port. */
  readonly hosts: readonly string[]
  /** Further Origins, lower case. */
  readonly origins: readonly string[]
  readonly token: string
  /** Shorter ones for tests; no setting reaches them. */
  readonly deadlines?: RpcDeadlines
}

export interface RpcDeadlines {
  readonly headersMs: number
  readonly requestMs: number
}

export interface RpcServerComponents {
  readonly api: NodeApi
  readonly log: Log
  readonly clock: Clock
  readonly random: Random
  /** A caller asked the daemon to stop; the answer is already on its way. */
  readonly onShutdown: () => void
}

export interface RpcServer {
  /** With the path: what `rpcUrl` of daemon.json is. Loopback for a wildcard. */
  readonly url: string
  /** Stop listening, cancel jobs, let answers go out, close all connections. Never rejects. */
  close(): Promise<void>
}

/** Nothing that we answer may be sniffed, framed, cached or loaded by another origin. */
const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
} as const

/**
 * Start listening.
 *
 * @throws MegatorrentError ERR_LISTEN_FAILED when the address cannot be used.
 */
export async function startRpcServer(
  init: RpcServerInit,
  { api, log, clock, random, onShutdown }: RpcServerComponents,
): Promise<RpcServer> {
  const jobs = new Jobs(clock, random, (error, method) => toRpcError(error, method, log))
  const stopping = new AbortController()
  const dispatch = createDispatch(createHandlers({ api, jobs, onShutdown }), log)
  const rules: GuardRules = {
    hosts: init.hosts,
    origins: init.origins,
    scopesOf: tokenScopes(init.token, api),
    acceptsFileKey: (publicKey, key) => api.isAccessKey(publicKey, key),
  }
  const { headersMs = RPC_HEADERS_TIMEOUT_MS, requestMs = RPC_REQUEST_TIMEOUT_MS } = init.deadlines ?? {}
  const files = new FileServer({ api, clock, log })
  const app = createApp({ headersMs, requestMs }, rules, dispatch, files, stopping.signal, log, clock)
  try {
    await app.listen({ host: init.listen.host, port: init.listen.port })
  } catch (error) {
    await app.close()
    const isTaken = (error as { readonly code?: unknown }).code === 'EADDRINUSE'
    const reason = isTaken ? 'another program has that port' : errorMessage(error)
    const message = `cannot listen for RPC on ${formatHostPort(init.listen)}: ${reason}; choose another --rpc`
    throw new MegatorrentError('ERR_LISTEN_FAILED', message, { cause: error })
  }
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : init.listen.port
  return {
    url: `http://${formatHostPort({ host: reachableHost(init.listen.host), port })}${RPC_PATH}`,
    async close() {
      stopping.abort(new MegatorrentError('ERR_ABORTED', 'the daemon is stopping'))
      await jobs.close()
      const closed = app.close()
      const grace = clock.setTimer(() => app.server.closeAllConnections(), RPC_LINGER_MS)
      await closed
      grace.cancel()
    },
  }
}

/** The token of this start may do everything, a named one what it says. */
function tokenScopes(token: string, api: NodeApi): (given: string) => readonly Scope[] | null {
  const isOurs = tokenVerifier(token)
  return (given) => (isOurs(given) ? ['admin'] : (api.findToken(given)?.scopes ?? null))
}

function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function createApp(
  deadlines: RpcDeadlines,
  rules: GuardRules,
  dispatch: Dispatch,
  files: FileServer,
  stopping: AbortSignal,
  log: Log,
  clock: Clock,
): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: MAX_RPC_BODY_BYTES,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerBadHttp,
    serverFactory: (handler) => {
      // Past the router, which would decode a path and call it the same as another.
      const route: RequestHandler = (request, response) => {
        const target = request.url?.startsWith(FILES_PREFIX) ? parseFileTarget(request.url) : null
        if (target === null) handler(request, response)
        else void files.serve(fileExchange(request, response, target, stopping))
      }
      return createGuardedServer(deadlines, rules, route, clock)
    },
  })
  // Bytes, whatever they are: the guard has checked the type, the dispatcher parses.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS)
  })
  app.get(HEALTH_PATH, async () => ({ ok: true }))
  app.post(RPC_PATH, async (request, reply) => {
    const body = request.body instanceof Uint8Array ? request.body : new Uint8Array(0)
    const gone = new AbortController()
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) {
        gone.abort(new MegatorrentError('ERR_ABORTED', 'the caller went away'))
      }
    })
    const { signal, release } = linkSignals(gone.signal, stopping)
    const scopes = scopesOf(request.raw, rules) ?? [] // it had some a moment ago: the guard let it in
    const { status, body: response } = await dispatch(body, { signal, scopes }).finally(release)
    reply.code(status)
    if (status === 204) return reply.send()
    return reply.type('application/json; charset=utf-8').send(JSON.stringify(response))
  })
  app.setErrorHandler((error, request, reply) => {
    const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown }
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
      reply.hijack()
      refuse(request.raw, reply.raw, clock, 413, `the body may have ${MAX_RPC_BODY_BYTES} bytes`, {})
      return
    }
    const isTheirs = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
    if (!isTheirs)
      log.error('the RPC server failed', { stack: error instanceof Error ? (error.stack ?? '') : '' })
    reply.code(isTheirs ? statusCode : 500)
    reply.send({ error: { message: isTheirs ? 'bad request' : 'internal error' } })
  })
  return app
}

/** One answer of the HTTP server as rpc/files.ts has it. */
function fileExchange(
  request: IncomingMessage,
  response: ServerResponse,
  target: FileTarget,
  stopping: AbortSignal,
): FileExchange {
  request.resume() // whatever body there is
  const gone = new AbortController()
  const why = new MegatorrentError('ERR_ABORTED', 'the caller went away')
  const { signal, release } = linkSignals(gone.signal, stopping)
  let onGone: (error: Error) => void = () => {}
  response.once('close', () => {
    gone.abort(why)
    release()
    onGone(why)
  })
  return {
    target,
    isHead: request.method === 'HEAD',
    header: (name) => {
      const value = request.headers[name]
      return typeof value === 'string' ? value : undefined
    },
    signal,
    begin: (status, headers) => void response.writeHead(status, { ...SECURITY_HEADERS, ...headers }),
    write: (bytes) =>
      new Promise((resolve, reject) => {
        onGone = reject // a response that is gone may forget what it was to call
        if (gone.signal.aborted) reject(why)
        response.write(bytes, (error) => (error ? reject(error) : resolve()))
      }),
    end: () => void response.end(),
    cut: () => void response.destroy(),
  }
}

type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** An HTTP server that asks the guard before anybody else sees the request. */
function createGuardedServer(
  deadlines: RpcDeadlines,
  rules: GuardRules,
  handler: RequestHandler,
  clock: Clock,
): Server {
  const onRequest = (request: IncomingMessage, response: ServerResponse, proceed: () => void): void => {
    const refusal = refuseRequest(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        rawHeaders: request.rawHeaders,
        localAddress: request.socket.localAddress ?? '',
        localPort: request.socket.localPort ?? 0,
      },
      rules,
    )
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
    (request, response) => onRequest(request, response, () => handler(request, response)),
  )
  server.maxConnections = MAX_RPC_CONNECTIONS
  // Without this Node would ask for the body before the guard has looked.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    onRequest(request, response, () => {
      response.writeContinue()
      handler(request, response)
    }),
  )
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
function refuse(
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
function answerBadHttp(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  let status = '400 Bad Request'
  if (error.code === 'HPE_HEADER_OVERFLOW') status = '431 Request Header Fields Too Large'
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') status = '408 Request Timeout'
  const headers = Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status}\r\n${headers.join('')}content-length: 0\r\nconnection: close\r\n\r\n`)
}
