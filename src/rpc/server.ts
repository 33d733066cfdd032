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

import type { IncomingMessage, ServerResponse } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import { linkSignals } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import {
  MAX_RPC_BODY_BYTES,
  MAX_SIGN_IN_BODY_BYTES,
  RPC_HEADERS_TIMEOUT_MS,
  RPC_LINGER_MS,
  RPC_REQUEST_TIMEOUT_MS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { formatHostPort, type HostPort } from '../config/values.ts'
import type { NodeApi } from '../node/api.ts'
import { ATOM_TYPE, atomFeed, FEEDS_PREFIX, type FeedContent, parseFeedTarget } from './atom.ts'
import { tokenVerifier } from './auth.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import { toRpcError } from './errors.ts'
import type { Look } from './event-diff.ts'
import { EventFeed } from './event-feed.ts'
import { EventStreams } from './event-streams.ts'
import { FILES_PREFIX, type FileTarget, parseFileTarget } from './file-request.ts'
import { type FileExchange, FileServer } from './files.ts'
import {
  EVENTS_PATH,
  type GuardRules,
  HEALTH_PATH,
  METRICS_PATH,
  READY_PATH,
  RPC_PATH,
  SIGN_IN_PATH,
  scopesOf,
  tokenOf,
} from './guard.ts'
import {
  answerBadHttp,
  createGuardedServer,
  type RequestHandler,
  type RpcDeadlines,
  refuse,
  SECURITY_HEADERS,
} from './guarded-server.ts'
import { Jobs } from './jobs.ts'
import { createHandlers } from './methods.ts'
import { METRICS_TYPE, metricsText } from './metrics.ts'
import type { Page } from './page.ts'
import { readinessOf } from './readiness.ts'
import type { Scope } from './schema/scopes.ts'
import { answerSignIn, SignIns } from './sign-ins.ts'

export interface RpcServerInit {
  /** Port 0 picks one. */
  readonly listen: HostPort
  /** Further Host values, lower case, each with or without a port. */
  readonly hosts: readonly string[]
  /** Further Origins, lower case. */
  readonly origins: readonly string[]
  readonly token: string
  /** The web page; none unless given. */
  readonly page?: Page
  /** Shorter ones for tests; no setting reaches them. */
  readonly deadlines?: RpcDeadlines
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
  const signIns = new SignIns(clock, random)
  const dispatch = createDispatch(createHandlers({ api, jobs, signIns, onShutdown }), log)
  const look = (): Promise<Look> => lookAt(api, jobs)
  const onFault = (error: unknown): void => void toRpcError(error, 'events', log) // which logs it
  const feed = new EventFeed({
    look,
    onFault,
    clock,
    random,
  })
  const rules: GuardRules = {
    hosts: init.hosts,
    origins: init.origins,
    scopesOf: tokenScopes(init.token, signIns, api),
    acceptsFileKey: (publicKey, key) => api.isAccessKey(publicKey, key),
    isPage: (target) => page.has(target),
  }
  const { page = new Map() } = init
  const { headersMs = RPC_HEADERS_TIMEOUT_MS, requestMs = RPC_REQUEST_TIMEOUT_MS } = init.deadlines ?? {}
  const files = new FileServer({ api, clock, log })
  const streams = new EventStreams({
    ...{ feed, clock, onFault },
    mayRead: (token) => rules.scopesOf(token) !== null,
  })
  const services = { api, dispatch, files, streams, look, page, signIns, stopping: stopping.signal }
  const app = createApp({ headersMs, requestMs }, rules, services, log, clock)
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
      feed.close()
      streams.close()
      await jobs.close()
      const closed = app.close()
      const grace = clock.setTimer(() => app.server.closeAllConnections(), RPC_LINGER_MS)
      await closed
      grace.cancel()
    },
  }
}

/** Everything that events tell of, now. */
async function lookAt(api: NodeApi, jobs: Jobs): Promise<Look> {
  const [status, channels, subscriptions, peers] = await Promise.all([
    api.getStatus(),
    api.listChannels(),
    api.getSubscriptions(),
    api.getPeers(),
  ])
  return { status, channels, subscriptions, peers, jobs: jobs.list() }
}

/** Null when nothing is known of that channel. */
async function feedContent(api: NodeApi, publicKey: string): Promise<FeedContent | null> {
  try {
    const { releases } = await api.getReleases({ publicKey })
    const followed = (await api.getSubscriptions()).find((each) => each.publicKey === publicKey)
    const own = (await api.listChannels()).find((each) => each.publicKey === publicKey)
    return { publicKey, title: followed?.title ?? own?.name ?? null, releases }
  } catch (error) {
    if (isMegatorrentError(error) && error.kind === 'not-found') return null
    throw error
  }
}

/** The token of this start may do everything, as may one of a page that signed in; a named one what it says. */
function tokenScopes(
  token: string,
  signIns: SignIns,
  api: NodeApi,
): (given: string) => readonly Scope[] | null {
  const isOurs = tokenVerifier(token)
  return (given) =>
    isOurs(given) ? ['admin'] : (signIns.find(given) ?? api.findToken(given)?.scopes ?? null)
}

function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

/** Who answers what the guard lets in. */
interface Services {
  readonly api: NodeApi
  readonly dispatch: Dispatch
  readonly files: FileServer
  readonly streams: EventStreams
  readonly look: () => Promise<Look>
  readonly page: Page
  readonly signIns: SignIns
  readonly stopping: AbortSignal
}

function createApp(
  deadlines: RpcDeadlines,
  rules: GuardRules,
  { api, dispatch, files, streams, look, page, signIns, stopping }: Services,
  log: Log,
  clock: Clock,
): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: MAX_RPC_BODY_BYTES,
    forceCloseConnections: 'idle',
    clientErrorHandler: (error, socket) => answerBadHttp(error, socket, clock),
    serverFactory: (handler) => {
      // Past the router, which would decode a path and call it the same as another.
      const route: RequestHandler = (request, response) => {
        const target = request.url?.startsWith(FILES_PREFIX) ? parseFileTarget(request.url) : null
        if (target === null) handler(request, response)
        else void files.serve(fileExchange(request, response, target, stopping))
      }
      return createGuardedServer(
        deadlines,
        rules,
        { route, upgrade: (...opened) => streams.upgrade(...opened) },
        clock,
      )
    },
  })
  // Bytes, whatever they are: the guard has checked the type, the dispatcher parses.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS)
  })
  for (const [target, { bytes, headers }] of page) {
    app.get(target, async (_request, reply) => reply.headers(headers).send(bytes))
  }
  app.post(SIGN_IN_PATH, { bodyLimit: MAX_SIGN_IN_BODY_BYTES }, async (request, reply) => {
    const { status, headers, body } = answerSignIn(signIns, bodyOf(request.body))
    return reply.code(status).headers(headers).send(body)
  })
  app.delete(SIGN_IN_PATH, async (request) => ({ ended: signIns.end(tokenOf(request.raw) ?? '') }))
  app.get(HEALTH_PATH, async () => ({ ok: true }))
  app.get(READY_PATH, async (_request, reply) => {
    const readiness = readinessOf(await api.getStatus())
    return reply.code(readiness.ready ? 200 : 503).send(readiness)
  })
  app.get(METRICS_PATH, async (_request, reply) => {
    const text = await metricsText(await look(), process.memoryUsage.rss())
    return reply.type(METRICS_TYPE).send(text)
  })
  app.get(`${FEEDS_PREFIX}*`, async (request, reply) => {
    const target = parseFeedTarget(request.raw.url ?? '')
    const content = target === null ? null : await feedContent(api, target.publicKey)
    if (content === null)
      return reply.code(404).send({ error: { message: 'no release of that channel is known' } })
    return reply.type(ATOM_TYPE).send(atomFeed(content))
  })
  app.get(EVENTS_PATH, (request, reply) => {
    reply.hijack()
    const token = tokenOf(request.raw)
    if (token === null || streams.isFull) {
      refuse(request.raw, reply.raw, clock, 503, 'too many listen already', { 'retry-after': '30' })
      return
    }
    reply.raw.writeHead(200, { ...SECURITY_HEADERS, 'content-type': 'text/event-stream' })
    if (request.method === 'HEAD') reply.raw.end()
    else streams.serve(request.raw, reply.raw, token)
  })
  app.post(RPC_PATH, async (request, reply) => {
    const body = bodyOf(request.body)
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
      const { bodyLimit } = request.routeOptions
      refuse(request.raw, reply.raw, clock, 413, `the body may have ${bodyLimit} bytes`, {})
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

function bodyOf(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array(0)
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
