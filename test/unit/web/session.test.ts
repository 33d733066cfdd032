import { describe, expect, it } from 'vitest'
import { CallError, createCall, endSession, exchangeCode } from '../../../src/web/rpc.ts'
import { loadSession, type SessionPlace, saveSession, takeCode } from '../../../src/web/session.ts'

function place(hash: string): { place: SessionPlace; stored: Map<string, string>; urls: string[] } {
  const stored = new Map<string, string>()
  const urls: string[] = []
  const storage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key),
  }
  const history = { replaceState: (_data: unknown, _unused: string, url: string) => void urls.push(url) }
  return { place: { location: { hash, pathname: '/' }, history, storage }, stored, urls }
}

describe('the code of the link', () => {
  it('is taken out of the address before anything else', () => {
    const { place: at, urls, stored } = place('#code=abc')
    expect(takeCode(at)).toBe('abc')
    expect(urls).toEqual(['/#/'])
    expect(stored.size).toBe(0)
  })

  it.each(['', '#/', '#/channels', '#x=code=abc'])('is not in %o', (hash) => {
    const { place: at, urls } = place(hash)
    expect(takeCode(at)).toBeNull()
    expect(urls).toEqual([])
  })
})

describe('the session of a tab', () => {
  it('is kept until it ends or is left', () => {
    const { place: at } = place('')
    saveSession(at, { token: 'aa', expiresAt: 1000 })
    expect(loadSession(at, 999)).toEqual({ token: 'aa', expiresAt: 1000 })
    expect(loadSession(at, 1000)).toBeNull()
    saveSession(at, { token: 'bb', expiresAt: null })
    expect(loadSession(at, 1e15)?.token).toBe('bb')
    saveSession(at, null)
    expect(loadSession(at, 0)).toBeNull()
  })

  it.each(['', 'x', 'null', '1', '{}', '{"token":1}'])('is not what %o says', (text) => {
    const { place: at, stored } = place('')
    saveSession(at, { token: 'aa', expiresAt: null })
    for (const key of stored.keys()) stored.set(key, text)
    expect(loadSession(at, 0)).toBeNull()
  })
})

interface Sent {
  readonly target: string
  readonly init: RequestInit
}

function answering(
  status: number,
  body: string,
): { sent: Sent[]; fetch: (t: string, i: RequestInit) => Promise<Response> } {
  const sent: Sent[] = []
  return {
    sent,
    async fetch(target, init) {
      sent.push({ target, init })
      return new Response(body, { status })
    },
  }
}

describe('a call of the page', () => {
  it('goes to where the page came from, with the token in a header and no cookie', async () => {
    const { sent, fetch } = answering(200, '{"jsonrpc":"2.0","id":1,"result":{"bans":[],"peers":[]}}')
    expect(await createCall(fetch, 'aa', () => {})('getPeers', {})).toEqual({ bans: [], peers: [] })
    expect(sent[0]).toMatchObject({
      target: '/api/rpc',
      init: {
        method: 'POST',
        credentials: 'omit',
        redirect: 'error',
        headers: { authorization: 'Bearer aa' },
      },
    })
  })

  it('rejects with the words and the code of the daemon', async () => {
    const error = { code: -32015, message: 'no such job', data: { code: 'ERR_NOT_FOUND', kind: 'not-found' } }
    const { fetch } = answering(200, JSON.stringify({ jsonrpc: '2.0', id: 1, error }))
    const call = createCall(fetch, 'aa', () => {})
    await expect(call('getPeers', {})).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
      message: 'no such job',
    })
  })

  it('says when the token is refused', async () => {
    let refused = 0
    const { fetch } = answering(401, '{"error":{"code":"ERR_RPC_REFUSED","message":"the token"}}')
    await expect(createCall(fetch, 'aa', () => refused++)('getPeers', {})).rejects.toBeInstanceOf(CallError)
    expect(refused).toBe(1)
  })

  it.each(['', '<html>', '1'])('rejects when what comes is %o', async (body) => {
    const { fetch } = answering(200, body)
    await expect(createCall(fetch, 'aa', () => {})('getPeers', {})).rejects.toMatchObject({ code: null })
  })
})

describe('signing in and out', () => {
  it('sends the code in the body alone', async () => {
    const { sent, fetch } = answering(200, '{"token":"tt","expiresAt":5,"scopes":["admin"]}')
    expect(await exchangeCode(fetch, 'abc')).toEqual({ token: 'tt', expiresAt: 5 })
    expect(sent[0]).toMatchObject({
      target: '/api/sign-in',
      init: { method: 'POST', body: '{"code":"abc"}' },
    })
    expect(JSON.stringify(sent[0]?.init.headers)).not.toContain('authorization')
  })

  it('says why when the code is worth nothing', async () => {
    const { fetch } = answering(401, '{"error":{"code":"ERR_SIGN_IN","kind":"auth","message":"used"}}')
    await expect(exchangeCode(fetch, 'abc')).rejects.toMatchObject({ code: 'ERR_SIGN_IN', message: 'used' })
  })

  it('ends the token', async () => {
    const { sent, fetch } = answering(200, '{"ended":true}')
    await endSession(fetch, 'tt')
    expect(sent[0]).toMatchObject({
      target: '/api/sign-in',
      init: { method: 'DELETE', headers: { authorization: 'Bearer tt' } },
    })
  })
})
