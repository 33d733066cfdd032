/**
 * JSON-RPC 2.0 over a body of bytes: parse, check the envelope, call, answer.
 *
 * jayson finds and runs the method of one request; everything that surrounds it
 * is decided here, since batches, ids and errors of ours are stricter than its
 * own. The calls of a batch run one after the other, so that one can build on
 * the one before.
 *
 * @module rpc/dispatch
 */
import jayson from 'jayson'
import type { z } from 'zod'
import { utf8Text } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_RPC_BATCH } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { type RpcError, toRpcError } from './errors.ts'
import type { CallContext, Handlers } from './methods.ts'
import {
  RPC_INTERNAL_ERROR,
  RPC_INVALID_PARAMS,
  RPC_INVALID_REQUEST,
  RPC_PARSE_ERROR,
} from './schema/kinds.ts'
import { METHOD_NAMES, METHODS, type MethodName } from './schema/methods.ts'
import { allows, type Scope } from './schema/scopes.ts'

/** What to send: 204 has no body. 500 when a call failed by a fault of ours. */
export interface RpcAnswer {
  readonly status: 200 | 204 | 500
  readonly body: unknown
}

interface RpcResponse {
  readonly jsonrpc: '2.0'
  readonly id: string | number | null
  readonly result?: unknown
  readonly error?: RpcError
}

interface RpcRequest {
  readonly jsonrpc: '2.0'
  readonly method: string
  /** Absent as well. */
  readonly params: object | undefined
  readonly id?: string | number | null
}

export type Dispatch = (body: Uint8Array, context: CallContext) => Promise<RpcAnswer>

export function createDispatch(handlers: Handlers, log: Log): Dispatch {
  const server = new jayson.Server(
    Object.fromEntries(METHOD_NAMES.map((name) => [innerName(name), jaysonMethod(name, handlers, log)])),
    { useContext: true, version: 2 },
  )

  async function answerOne(request: unknown, context: CallContext): Promise<RpcResponse | null> {
    if (!isRequest(request)) return failure(RPC_INVALID_REQUEST, 'Invalid request')
    const { method, params, id } = request
    // jayson takes an id of null for a notification, so it sees another one and ours is put back.
    const inner = {
      jsonrpc: '2.0',
      method: innerName(method),
      params,
      ...(id === undefined ? {} : { id: 0 }),
    }
    const response = await new Promise<RpcResponse | null>((resolve) => {
      // An error and a result come by different arguments and are both whole responses; neither: a notification.
      server.call(inner, context, (error?: unknown, result?: unknown) => {
        resolve((error ?? result ?? null) as RpcResponse | null)
      })
    })
    return response === null || id === undefined ? null : { ...response, id }
  }

  return async (body, context) => {
    const parsed = parseJson(body)
    if (parsed === null) return answer(failure(RPC_PARSE_ERROR, 'Parse error'))
    const { value } = parsed
    if (!Array.isArray(value)) return answer(await answerOne(value, context))
    if (value.length === 0 || value.length > MAX_RPC_BATCH) {
      return answer(failure(RPC_INVALID_REQUEST, `a batch has 1 to ${MAX_RPC_BATCH} requests`))
    }
    const responses: RpcResponse[] = []
    for (const request of value) {
      const response = await answerOne(request, context)
      if (response !== null) responses.push(response)
    }
    return answer(responses.length === 0 ? null : responses)
  }
}

/** jayson refuses names that begin with "rpc.": they are the protocol's. */
function innerName(method: string): string {
  return `our.${method}`
}

function answer(body: RpcResponse | readonly RpcResponse[] | null): RpcAnswer {
  if (body === null) return { status: 204, body: null }
  const responses = Array.isArray(body) ? body : [body]
  const isBug = responses.some((response) => response.error?.code === RPC_INTERNAL_ERROR)
  return { status: isBug ? 500 : 200, body }
}

/** An answer to what has no id that could be trusted. */
function failure(code: number, message: string): RpcResponse {
  return { jsonrpc: '2.0', error: { code, message }, id: null }
}

function parseJson(body: Uint8Array): { readonly value: unknown } | null {
  const text = utf8Text(body)
  if (text === null) return null
  try {
    return { value: JSON.parse(text) }
  } catch {
    return null // it throws for text that is not JSON and for nothing else
  }
}

/** A request as JSON-RPC 2.0 defines it. Its own members count, whatever else an object inherits. */
function isRequest(value: unknown): value is RpcRequest {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const member = (name: string): unknown =>
    Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined
  if (member('jsonrpc') !== '2.0' || typeof member('method') !== 'string') return false
  const params = member('params')
  if (params === null || (params !== undefined && typeof params !== 'object')) return false
  const id = member('id')
  // Numbers that cannot be given back as they came would answer somebody else's request.
  if (typeof id === 'number') return Number.isFinite(id) && Math.abs(id) <= Number.MAX_SAFE_INTEGER
  return id === undefined || id === null || typeof id === 'string'
}

type JaysonCallback = (error: RpcError | null, result?: unknown) => void

/** One method as jayson calls it: parameters checked, results checked, errors translated. */
function jaysonMethod(name: MethodName, handlers: Handlers, log: Log) {
  const { scope, params: paramsSchema, result: resultSchema } = METHODS[name]
  // The table ties each handler to its own schema; the compiler cannot follow that through a loop.
  const handle = handlers[name] as (params: unknown, context: CallContext) => Promise<unknown>
  async function run(params: unknown, context: CallContext): Promise<[RpcError | null, unknown]> {
    if (!allows(context.scopes, scope)) return [toRpcError(scopeError(name, scope), name, log), null]
    const checked = paramsSchema.safeParse(params ?? {})
    if (!checked.success) return [invalidParams(checked.error), null]
    try {
      return [null, resultSchema.parse(await handle(checked.data, context))]
    } catch (error) {
      return [toRpcError(error, name, log), null]
    }
  }
  return (params: unknown, context: CallContext, callback: JaysonCallback): void => {
    void run(params, context).then(([error, result]) => callback(error, result))
  }
}

function scopeError(name: MethodName, scope: Scope): MegatorrentError {
  return new MegatorrentError('ERR_SCOPE', `${name} needs a token with the scope ${scope}`)
}

/** The first few faults, each with the parameter it concerns, without a value. */
function invalidParams(error: z.core.$ZodError): RpcError {
  const faults = error.issues.slice(0, 3).map((issue) => {
    const place = issue.path.map(String).join('.')
    const text = issue.code === 'unrecognized_keys' ? 'has a parameter that is not known' : issue.message
    return place === '' ? text : `${place}: ${text}`
  })
  const message = faults
    .join('; ')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 300)
  return { code: RPC_INVALID_PARAMS, message, data: { code: 'ERR_USAGE', kind: 'usage' } }
}
