/**
 * Which HTTP requests are let in: decided on the head alone, before a byte of
 * the body is read.
 *
 * A web page can make a browser send requests to a loopback port, other users
 * of the machine can connect to it, and a name that an attacker owns can point
 * to 127.0.0.1 (DNS rebinding). So a request passes only if
 *
 *   1. its Host names what the connection was made to, or is configured;   403
 *   2. its Origin, when present, is our own or configured;                 403
 *   3. its target is exactly one of ours, no query, no other spelling;     404
 *      (below /files/ and /feeds/: one that their parsers can read)
 *   4. the method is the one of that target;                               405
 *   5. it carries a token (for a file or feed: or a key of its channel;            401
 *      the web page, which has no secret in it, and signing in need none)
 *   6. the body is plain JSON in UTF-8, without a content encoding;        415
 *   7. the stated length is within the bound.                              413
 *
 * The first rule that fails answers. No header that a proxy would add
 * (X-Forwarded-*, Forwarded) and no cookie is looked at. Pure.
 *
 * @module rpc/guard
 */
import { MAX_RPC_BODY_BYTES, MAX_SIGN_IN_BODY_BYTES } from '../base/limits.ts'
import { FEEDS_PREFIX, parseFeedTarget } from './atom.ts'
import { FILES_PREFIX, parseFileTarget } from './file-request.ts'
import type { Scope } from './schema/scopes.ts'

export const RPC_PATH = '/api/rpc'
/** Open to all that pass 1 to 4: answers that the daemon runs, and nothing else. */
export const HEALTH_PATH = '/healthz'
/** For who waits for a start, or sends others here: says why not. Open, as the former. */
export const READY_PATH = '/readyz'
/** For Prometheus, with the token. */
export const METRICS_PATH = '/metrics'
/** Server-sent events, with the token. */
export const EVENTS_PATH = '/api/events'
/** A WebSocket: 1 to 4 here, the token by its first message, since a page cannot send a header with it. */
export const WEBSOCKET_PATH = '/api/ws'
/** POST: a one-time code for a token. DELETE: the end of that token. */
export const SIGN_IN_PATH = '/api/sign-in'

/** What is known before the body. */
export interface RequestHead {
  readonly method: string
  /** The request target as it came. */
  readonly target: string
  /** Names and values by turns, as they came. */
  readonly rawHeaders: readonly string[]
  /** Address and port of our end of the connection. */
  readonly localAddress: string
  readonly localPort: number
}

export interface GuardRules {
  /** Lower case, with or without a port. */
  readonly hosts: readonly string[]
  /** Lower case. */
  readonly origins: readonly string[]
  /** What a token is good for, or null. Takes as long whichever token is wrong. */
  readonly scopesOf: (token: string) => readonly Scope[] | null
  /** Does an access key open the files of that channel (hex, lower case)? */
  readonly acceptsFileKey: (publicKey: string, key: string) => boolean
  /** Is there a file of the web page at exactly that target? */
  readonly isPage: (target: string) => boolean
}

export interface Refusal {
  readonly status: 401 | 403 | 404 | 405 | 413 | 415 | 417 | 426 | 503
  readonly message: string
  /** Headers that belong to this status. */
  readonly headers: Readonly<Record<string, string>>
}

function refusal(
  status: Refusal['status'],
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  return { status, message, headers }
}

/** Values of one header. More than one is never right for those looked at here. */
function valuesOf(head: Pick<RequestHead, 'rawHeaders'>, name: string): readonly string[] {
  const values: string[] = []
  for (let i = 0; i + 1 < head.rawHeaders.length; i += 2) {
    if (head.rawHeaders[i]?.toLowerCase() === name) values.push(head.rawHeaders[i + 1] ?? '')
  }
  return values
}

/** Loopback and addresses as they stand in a Host header. */
function hostText(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').toLowerCase()
  return plain.includes(':') ? `[${plain}]` : plain
}

/** All Host values that name our end of this connection. */
function ownHosts(head: RequestHead): readonly string[] {
  const address = hostText(head.localAddress)
  const isLoopback = address.startsWith('127.') || address === '[::1]'
  const names = isLoopback ? [address, 'localhost'] : [address]
  const withPort = names.map((name) => `${name}:${head.localPort}`)
  return head.localPort === 80 ? [...withPort, ...names] : withPort
}

function isAllowedHost(host: string, own: readonly string[], head: RequestHead, rules: GuardRules): boolean {
  if (own.includes(host)) return true
  return rules.hosts.some((allowed) => host === allowed || host === `${allowed}:${head.localPort}`)
}

/** `application/json`, with `charset=utf-8` at most. */
const JSON_TYPE = /^application\/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?$/i
const BEARER = /^Bearer ([\x21-\x7e]{1,512})$/i

/** Null to let the request in, else how to refuse it. */
export function refuseRequest(head: RequestHead, rules: GuardRules): Refusal | null {
  const [host, secondHost] = valuesOf(head, 'host').map((value) => value.toLowerCase())
  const own = ownHosts(head)
  if (host === undefined || secondHost !== undefined || !isAllowedHost(host, own, head, rules)) {
    return refusal(403, 'this Host is not ours: see --rpc-host')
  }

  const origins = valuesOf(head, 'origin').map((value) => value.toLowerCase())
  const ownOrigins = [...own, host].map((name) => `http://${name}`)
  const isOwn = (origin: string): boolean => ownOrigins.includes(origin) || rules.origins.includes(origin)
  if (origins.length > 1 || !origins.every(isOwn)) {
    return refusal(403, 'this Origin is not ours: see --rpc-origin')
  }

  if (head.target === HEALTH_PATH || head.target === READY_PATH || rules.isPage(head.target))
    return refuseUnlessRead(head)
  if (head.target === SIGN_IN_PATH) return refuseSignIn(head, rules)
  if (head.target === EVENTS_PATH || head.target === METRICS_PATH)
    return refuseUnlessRead(head) ?? refuseWithoutToken(head, rules)
  if (head.target === WEBSOCKET_PATH) return refuseUnlessUpgrade(head)
  if (head.target.startsWith(FILES_PREFIX)) return refuseReading(head, rules, parseFileTarget(head.target))
  if (head.target.startsWith(FEEDS_PREFIX)) return refuseReading(head, rules, parseFeedTarget(head.target))
  if (head.target !== RPC_PATH) return refusal(404, 'nothing is here')
  if (head.method !== 'POST') return refusal(405, 'only POST is answered here', { allow: 'POST' })
  return refuseWithoutToken(head, rules) ?? refuseBody(head, MAX_RPC_BODY_BYTES)
}

/** A code is what one has before one has a token. */
function refuseSignIn(head: RequestHead, rules: GuardRules): Refusal | null {
  if (head.method === 'POST') return refuseBody(head, MAX_SIGN_IN_BODY_BYTES)
  if (head.method === 'DELETE') return refuseWithoutToken(head, rules)
  return refusal(405, 'only POST and DELETE are answered here', { allow: 'POST, DELETE' })
}

function refuseUnlessRead({ method }: RequestHead): Refusal | null {
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead ? null : refusal(405, 'only GET is answered here', { allow: 'GET, HEAD' })
}

function refuseUnlessUpgrade(head: RequestHead): Refusal | null {
  if (head.method !== 'GET') return refusal(405, 'only GET is answered here', { allow: 'GET' })
  const upgrades = valuesOf(head, 'upgrade')
  if (upgrades.length === 1 && upgrades[0]?.toLowerCase() === 'websocket') return null
  return refusal(426, 'only a WebSocket is opened here', { upgrade: 'websocket' })
}

function refuseWithoutToken(head: RequestHead, rules: GuardRules): Refusal | null {
  if (scopesOf(head, rules) !== null) return null
  const message = 'the token is missing, wrong or expired: it is the content of rpc.cookie, or a named one'
  return refusal(401, message, CHALLENGE)
}

const CHALLENGE = { 'www-authenticate': 'Bearer realm="megatorrent"' }

/** The token that a request carries, or null. */
export function tokenOf(head: Pick<RequestHead, 'rawHeaders'>): string | null {
  const authorizations = valuesOf(head, 'authorization')
  return authorizations.length === 1 ? (BEARER.exec(authorizations[0] ?? '')?.[1] ?? null) : null
}

/** What that token is good for, or null. */
export function scopesOf(
  head: Pick<RequestHead, 'rawHeaders'>,
  rules: Pick<GuardRules, 'scopesOf'>,
): readonly Scope[] | null {
  const token = tokenOf(head)
  return token === null ? null : rules.scopesOf(token)
}

/** Whether there is such a channel or file is said to nobody who may not read it. */
function refuseReading(
  head: RequestHead,
  rules: GuardRules,
  target: { readonly publicKey: string; readonly key: string | null } | null,
): Refusal | null {
  if (target === null) return refusal(404, 'nothing is here')
  const refused = refuseUnlessRead(head)
  if (refused !== null) return refused
  if (scopesOf(head, rules) !== null) return null
  if (target.key !== null && rules.acceptsFileKey(target.publicKey, target.key)) return null
  return refusal(401, 'this needs the token, or ?key= with an access key of that channel', CHALLENGE)
}

function refuseBody(head: RequestHead, maxBytes: number): Refusal | null {
  const types = valuesOf(head, 'content-type')
  if (types.length !== 1 || !JSON_TYPE.test(types[0] ?? '')) {
    return refusal(415, 'the Content-Type must be application/json', { accept: 'application/json' })
  }
  const encodings = valuesOf(head, 'content-encoding')
  if (encodings.some((encoding) => encoding.toLowerCase() !== 'identity')) {
    return refusal(415, 'the body must not be compressed', { 'accept-encoding': 'identity' })
  }
  const lengths = valuesOf(head, 'content-length')
  if (lengths.some((length) => Number(length) > maxBytes)) {
    return refusal(413, `the body may have ${maxBytes} bytes`)
  }
  return null
}
