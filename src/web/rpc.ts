/**
 * Calls of the daemon from the page: always to where the page came from, with the token in
 * a header, without cookies.
 *
 * @module web/rpc
 */
import type { CallParams, MethodName, MethodResult } from '../rpc/schema/methods.ts'

/** What went wrong, in words that can be shown, as text. */
export class CallError extends Error {
  override readonly name = 'CallError'
  /** A stable name, or null when nobody answered. */
  readonly code: string | null

  constructor(code: string | null, message: string) {
    super(message)
    this.code = code
  }
}

export type Fetch = (target: string, init: RequestInit) => Promise<Response>

export interface Session {
  readonly token: string
  readonly expiresAt: number | null
}

export type Call = <M extends MethodName>(method: M, params: CallParams<M>) => Promise<MethodResult<M>>

/** @param onRefused - The token is good for nothing any more. */
export function createCall(fetch: Fetch, token: string, onRefused: () => void): Call {
  let nextId = 1
  return async (method, params) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: nextId++, method, params })
    const { status, document } = await send(fetch, 'POST', '/api/rpc', token, body)
    if (status === 401) onRefused()
    if (document.error !== undefined) throw errorOf(document.error)
    return document.result as MethodResult<typeof method>
  }
}

/** A token for a one-time code. */
export async function exchangeCode(fetch: Fetch, code: string): Promise<Session> {
  const { document } = await send(fetch, 'POST', '/api/sign-in', null, JSON.stringify({ code }))
  if (document.error !== undefined) throw errorOf(document.error)
  return { token: String(document.token), expiresAt: Number(document.expiresAt) }
}

/** Make the token of this page worthless. One that was pasted stays as it is. */
export async function endSession(fetch: Fetch, token: string): Promise<void> {
  await send(fetch, 'DELETE', '/api/sign-in', token, null)
}

interface Answer {
  readonly status: number
  readonly document: Readonly<Record<string, unknown>>
}

async function send(
  fetch: Fetch,
  method: string,
  target: string,
  token: string | null,
  body: string | null,
): Promise<Answer> {
  const headers = {
    ...(body === null ? {} : { 'content-type': 'application/json' }),
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  }
  const init: RequestInit = { method, headers, credentials: 'omit', redirect: 'error' }
  try {
    const response = await fetch(target, body === null ? init : { ...init, body })
    const document = (await response.json()) as unknown
    if (typeof document === 'object' && document !== null) {
      return { status: response.status, document: document as Answer['document'] }
    }
  } catch {
    // Nobody answers, or not in JSON: one message for both.
  }
  throw new CallError(null, 'The daemon does not answer. Does it still run?')
}

function errorOf(value: unknown): CallError {
  const { code, message, data } = value as Readonly<Record<string, unknown>>
  const ours = (data as { readonly code?: unknown } | undefined)?.code ?? code
  return new CallError(typeof ours === 'string' ? ours : null, String(message))
}
