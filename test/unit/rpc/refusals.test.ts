import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type RequestParts,
  rawRequest,
  request,
  STATUS_CALL,
  sendRaw,
  startTestServer,
  type TestServer,
  TOKEN,
} from './test-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer(undefined, {
    hosts: ['nas.example', 'proxy.example:8443'],
    origins: ['https://nas.example'],
  })
})
afterAll(() => server.close())

const status = async (parts: RequestParts): Promise<number> => (await request(server.port, parts)).status

describe('a forged Host is refused with 403', () => {
  it.each([
    'evil.example',
    'evil.example:PORT',
    '127.0.0.1',
    'localhost',
    '127.0.0.1:1',
    'localhost:80',
    'localhost.:PORT',
    '127.1:PORT',
    '127.0.0.2:PORT',
    '2130706433:PORT',
    '0x7f000001:PORT',
    '0.0.0.0:PORT',
    '[::1]:PORT',
    '[::ffff:127.0.0.1]:PORT',
    '127.0.0.1.nip.io:PORT',
    'localhost.evil.example:PORT',
    'user@127.0.0.1:PORT',
    '127.0.0.1:PORT@evil.example',
    '127.0.0.1:PORT, evil.example',
    '127.0.0.1:PORT evil.example',
    'http://127.0.0.1:PORT',
    '127.0.0.1:PORT/',
    'nas.example:1',
    'nas.example.evil.example',
    'evilnas.example',
    'proxy.example',
    'proxy.example:PORT',
    'null',
    '*',
    '',
  ])('%s', async (host) => {
    const filled = host.replaceAll('PORT', String(server.port))
    expect(await status({ headers: { host: filled } })).toBe(403)
  })

  it('none at all', async () => {
    expect(await status({ headers: { host: null } })).toBe(403)
  })

  it('two of them, even when both are ours', async () => {
    const host = `127.0.0.1:${server.port}`
    expect(await status({ headers: { host: [host, host] } })).toBe(403)
    expect(await status({ headers: { host: [host, 'evil.example'] } })).toBe(403)
  })

  it('none in HTTP/1.0', async () => {
    const answer = await sendRaw(server.port, [
      `POST /api/rpc HTTP/1.0\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ncontent-length: ${STATUS_CALL.length}\r\n\r\n${STATUS_CALL}`,
    ])
    expect(answer.status).toBe(403)
  })

  it('in X-Forwarded-Host it is not looked at', async () => {
    const headers = { host: 'evil.example', 'x-forwarded-host': `127.0.0.1:${server.port}` }
    expect(await status({ headers })).toBe(403)
  })
})

describe('a forged Origin is refused with 403', () => {
  it.each([
    'http://evil.example',
    'https://127.0.0.1:PORT',
    'http://127.0.0.1',
    'http://127.0.0.1:1',
    'http://localhost',
    'http://127.0.0.1:PORT/',
    'http://127.0.0.1:PORT.evil.example',
    'http://127.0.0.1:PORT@evil.example',
    'http://[::1]:PORT',
    'http://nas.example',
    'https://nas.example:8443',
    'https://nas.example.evil.example',
    'https://evilnas.example',
    '127.0.0.1:PORT',
    'file://',
    'chrome-extension://abcdef',
    'null',
    '*',
    '',
  ])('%s', async (origin) => {
    const filled = origin.replaceAll('PORT', String(server.port))
    expect(await status({ headers: { origin: filled } })).toBe(403)
  })

  it('two of them', async () => {
    const own = `http://127.0.0.1:${server.port}`
    expect(await status({ headers: { origin: [own, 'http://evil.example'] } })).toBe(403)
  })

  it('on every path and method, preflights included', async () => {
    const headers = { origin: 'http://evil.example', 'access-control-request-method': 'POST' }
    for (const target of ['/api/rpc', '/healthz', '/']) {
      for (const method of ['OPTIONS', 'GET', 'POST', 'PUT'])
        expect(await status({ method, target, headers })).toBe(403)
    }
  })
})

describe('other paths and methods', () => {
  it.each([
    '/',
    '/api',
    '/api/',
    '/api/rpc/',
    '//api/rpc',
    '/api//rpc',
    '/api/rpc?x=1',
    '/api/rpc?',
    '/api/rpc;a=b',
    '/api/rpc%20',
    '/api/%72pc',
    '/API/RPC',
    '/api/./rpc',
    '/api/x/../rpc',
    '/rpc',
    '/files/x',
    '/%',
    '*',
    'http://127.0.0.1/api/rpc',
    'http://evil.example/api/rpc',
  ])('%s is not found', async (target) => {
    expect(await status({ target })).toBe(404)
  })

  it.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'])(
    '%s is 405',
    async (method) => {
      const [head] = rawRequest(server.port, { method, headers: { 'content-length': null } })
      const answer = await sendRaw(server.port, [head as string]).catch(() => null)
      // The body of an answer to HEAD is not sent, which the raw reader cannot know.
      if (method !== 'HEAD') expect(answer?.status).toBe(405)
      else expect(answer).toBeNull()
    },
  )

  it('a wrong method names the right one', async () => {
    const answer = await request(server.port, { method: 'PUT' })
    expect(answer.headers.allow).toBe('POST')
  })

  it('the health path answers without a token and says nothing else', async () => {
    const answer = await request(server.port, {
      method: 'GET',
      target: '/healthz',
      headers: { authorization: null },
      body: '',
    })
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toEqual({ ok: true })
  })
})

describe('a wrong token is refused with 401', () => {
  it.each([
    ['none', null],
    ['empty', ''],
    ['without a scheme', TOKEN],
    ['of another scheme', `Basic ${TOKEN}`],
    ['of Bearer alone', 'Bearer'],
    ['with two blanks', `Bearer  ${TOKEN}`],
    ['with one digit wrong', `Bearer ${TOKEN.slice(0, -1)}1`],
    ['cut short', `Bearer ${TOKEN.slice(0, -1)}`],
    ['with one digit more', `Bearer ${TOKEN}0`],
    ['in upper case', `Bearer ${TOKEN.toUpperCase()}`],
    ['with something behind it', `Bearer ${TOKEN} x`],
    ['twice in one header', `Bearer ${TOKEN}, Bearer ${TOKEN}`],
    ['very long', `Bearer ${'a'.repeat(8000)}`],
  ])('%s', async (_name, authorization) => {
    expect(await status({ headers: { authorization } })).toBe(401)
  })

  it('two headers, even when both are right', async () => {
    const right = `Bearer ${TOKEN}`
    expect(await status({ headers: { authorization: [right, right] } })).toBe(401)
  })

  it('in a cookie, in the query or in another header it does not count', async () => {
    expect(await status({ headers: { authorization: null, cookie: `token=${TOKEN}` } })).toBe(401)
    expect(await status({ headers: { authorization: null, 'x-api-key': TOKEN } })).toBe(401)
    expect(await status({ target: `/api/rpc?token=${TOKEN}`, headers: { authorization: null } })).toBe(404)
  })

  it('the answer says how to authenticate', async () => {
    const answer = await request(server.port, { headers: { authorization: null } })
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
    expect(answer.body).not.toContain(TOKEN)
  })
})

describe('a wrong content type is refused with 415', () => {
  it.each([
    ['none', null],
    ['empty', ''],
    ['text/plain', 'text/plain'],
    ['text/plain that names JSON', 'text/plain; x=application/json'],
    ['a form', 'application/x-www-form-urlencoded'],
    ['a multipart form', 'multipart/form-data; boundary=application/json'],
    ['a longer type', 'application/json-rpc'],
    ['a structured suffix', 'application/vnd.x+json'],
    ['another charset', 'application/json; charset=utf-16'],
    ['a charset and more', 'application/json; charset=utf-8; x=1'],
    ['an empty parameter', 'application/json;'],
    ['two types', 'application/json, text/plain'],
    ['text in front', 'x application/json'],
  ])('%s', async (_name, type) => {
    expect(await status({ headers: { 'content-type': type } })).toBe(415)
  })

  it('two headers', async () => {
    expect(await status({ headers: { 'content-type': ['application/json', 'text/plain'] } })).toBe(415)
  })

  it('a compressed body', async () => {
    expect(await status({ headers: { 'content-encoding': 'gzip' } })).toBe(415)
  })
})
