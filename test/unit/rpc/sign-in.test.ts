/** Signing in over HTTP: what the guard lets in, what comes back, what the token is good for. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAX_SIGN_IN_BODY_BYTES, SIGN_IN_TRIES_PER_MINUTE } from '../../../src/base/limits.ts'
import { signedInResult } from '../../../src/rpc/schema/results.ts'
import { call, type RequestParts, request, startTestServer, type TestServer } from './test-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

const newCode = async (): Promise<string> => {
  const { result } = await call(server.port, 'createSignIn')
  return String(result?.code)
}
const post = (body: string, parts: RequestParts = {}) =>
  request(server.port, {
    target: '/api/sign-in',
    body,
    ...parts,
    headers: { authorization: null, ...parts.headers },
  })
const signIn = async (): Promise<string> => {
  const answer = await post(JSON.stringify({ code: await newCode() }))
  return signedInResult.parse(JSON.parse(answer.body)).token
}
const withToken = (token: string, parts: RequestParts = {}) =>
  request(server.port, { ...parts, headers: { authorization: `Bearer ${token}` } })

describe('POST /api/sign-in', () => {
  it('gives a token for a code, which then calls the RPC', async () => {
    const token = await signIn()
    expect((await withToken(token)).status).toBe(200)
  })

  it('is answered with 401 and a code of ours when the code was used', async () => {
    const body = JSON.stringify({ code: await newCode() })
    expect((await post(body)).status).toBe(200)
    const again = await post(body)
    expect(again.status).toBe(401)
    expect(JSON.parse(again.body)).toMatchObject({ error: { code: 'ERR_SIGN_IN', kind: 'auth' } })
  })

  it.each(['', '{}', '[]', 'null', '{"code":1}', '{"code":null}', 'x', '"a"'])('refuses %o', async (body) => {
    expect([401, 429]).toContain((await post(body)).status)
  })

  it('sends nothing that a page of another origin could read, and nothing to be kept', async () => {
    const { headers } = await post('{}')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(headers['set-cookie']).toBeUndefined()
  })

  it('is guarded as the RPC is, but for the token', async () => {
    const body = JSON.stringify({ code: await newCode() })
    const status = async (headers: RequestParts['headers']): Promise<number> =>
      (await post(body, headers === undefined ? {} : { headers })).status
    expect(await status({ host: 'evil.example' })).toBe(403)
    expect(await status({ origin: 'http://evil.example' })).toBe(403)
    expect(await status({ origin: 'null' })).toBe(403)
    expect(await status({ 'content-type': 'text/plain' })).toBe(415)
    expect(await status({ 'content-type': 'application/x-www-form-urlencoded' })).toBe(415)
    expect((await post(body, { method: 'GET' })).status).toBe(405)
    expect((await post(body, { method: 'OPTIONS' })).status).toBe(405)
    expect((await post(body, { target: '/api/sign-in?' })).status).toBe(404)
    // None of these has used it up.
    expect(await status({})).toBe(200)
  })

  it('takes a small body alone, whatever length is stated', async () => {
    const long = JSON.stringify({ code: 'a'.repeat(MAX_SIGN_IN_BODY_BYTES) })
    expect((await post(long)).status).toBe(413)
    const chunked = `${long.length.toString(16)}\r\n${long}\r\n0\r\n\r\n`
    const headers = { 'content-length': null, 'transfer-encoding': 'chunked' }
    const answer = await post(chunked, { headers })
    expect(answer.status).toBe(413)
    expect(answer.body).toContain(String(MAX_SIGN_IN_BODY_BYTES))
  })

  it('says 429 after many wrong codes, and takes a right one all the same', async () => {
    const good = JSON.stringify({ code: await newCode() })
    const wrong = JSON.stringify({ code: 'ab'.repeat(32) })
    // Some come back while a slow machine sends these.
    const answers = []
    for (let i = 0; i <= 2 * SIGN_IN_TRIES_PER_MINUTE; i++) answers.push(await post(wrong))
    const refused = answers.filter(({ status }) => status === 429)
    expect(refused.length).toBeGreaterThan(0)
    for (const { headers } of refused) expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    expect((await post(good)).status).toBe(200)
  })
})

describe('DELETE /api/sign-in', () => {
  it('ends the token', async () => {
    const token = await signIn()
    const answer = await withToken(token, { method: 'DELETE', target: '/api/sign-in', body: '' })
    expect(JSON.parse(answer.body)).toEqual({ ended: true })
    expect((await withToken(token)).status).toBe(401)
  })

  it('leaves the token of the daemon as it is, and needs a token', async () => {
    const answer = await request(server.port, { method: 'DELETE', target: '/api/sign-in', body: '' })
    expect(JSON.parse(answer.body)).toEqual({ ended: false })
    expect((await request(server.port)).status).toBe(200)
    const without = await post('', { method: 'DELETE' })
    expect(without.status).toBe(401)
  })
})
