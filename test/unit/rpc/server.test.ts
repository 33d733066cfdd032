import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endlessWork, fakeNode } from './fake-node.ts'
import {
  call,
  type RequestParts,
  rawRequest,
  recordingLog,
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

describe('a request that is right', () => {
  it('is answered with 200 and a result', async () => {
    const answer = await request(server.port)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({
      jsonrpc: '2.0',
      id: 1,
      result: { version: '0.1.0', uptime: 61 },
    })
  })

  it.each([
    ['localhost', { host: 'localhost:PORT' }],
    ['a configured name', { host: 'nas.example' }],
    ['a configured name with our port', { host: 'nas.example:PORT' }],
    ['a configured name with its own port', { host: 'proxy.example:8443' }],
    ['upper case in the Host', { host: 'LOCALHOST:PORT' }],
    ['our own Origin', { origin: 'http://127.0.0.1:PORT' }],
    ['our own Origin under the other name', { origin: 'http://localhost:PORT' }],
    ['a configured Origin', { origin: 'https://nas.example' }],
    [
      'the Origin of a page under a configured Host',
      { host: 'nas.example:PORT', origin: 'http://nas.example:PORT' },
    ],
    ['a charset', { 'content-type': 'application/json; charset=utf-8' }],
    ['a charset in upper case', { 'content-type': 'Application/JSON;charset=UTF-8' }],
    ['a quoted charset', { 'content-type': 'application/json; charset="utf-8"' }],
    ['bearer in lower case', { authorization: `bearer ${TOKEN}` }],
    ['foreign cookies', { cookie: 'SID=abc; session=1' }],
    ['headers that a proxy adds', { 'x-forwarded-host': 'evil.example', 'x-forwarded-for': '1.2.3.4' }],
  ])('passes with %s', async (_name, headers) => {
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replaceAll('PORT', String(server.port))]),
    )
    expect(await status({ headers: filled })).toBe(200)
  })
})

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

describe('bodies', () => {
  const big = (bytes: number): string => `${STATUS_CALL}${' '.repeat(bytes - STATUS_CALL.length)}`

  it('of exactly the bound pass, one byte more is 413', async () => {
    expect(await status({ body: big(1_048_576) })).toBe(200)
    expect(await status({ body: big(1_048_577) })).toBe(413)
  })

  it('of 2 MiB are refused by their stated length, before they are sent', async () => {
    const [head] = rawRequest(server.port, { headers: { 'content-length': String(2 * 1_048_576) } })
    expect((await sendRaw(server.port, [head as string])).status).toBe(413)
  })

  it('of 2 MiB in chunks are refused too', async () => {
    const [head] = rawRequest(server.port, {
      headers: { 'content-length': null, 'transfer-encoding': 'chunked' },
    })
    const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`
    const answer = await sendRaw(server.port, [
      head as string,
      ...Array.from({ length: 32 }, () => chunk),
      '0\r\n\r\n',
    ])
    expect(answer.status).toBe(413)
  })

  it('in small chunks are read whole', async () => {
    const [head] = rawRequest(server.port, {
      headers: { 'content-length': null, 'transfer-encoding': 'chunked' },
    })
    const chunks = [...STATUS_CALL].map((character) => `1\r\n${character}\r\n`)
    expect((await sendRaw(server.port, [head as string, ...chunks, '0\r\n\r\n'])).status).toBe(200)
  })

  it('are not asked for with 100 Continue before the guard has looked', async () => {
    const [head] = rawRequest(server.port, {
      headers: { host: 'evil.example', expect: '100-continue', 'content-length': '10' },
    })
    const socket = connect(server.port, '127.0.0.1')
    socket.write(head as string)
    const first = await new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(data.toString())),
    )
    socket.destroy()
    expect(first).toMatch(/^HTTP\/1.1 403 /)
  })

  it('are asked for with 100 Continue when the head is right', async () => {
    const body = STATUS_CALL
    const parts = rawRequest(server.port, { body, headers: { expect: '100-continue' } })
    expect((await sendRaw(server.port, parts)).status).toBe(200)
  })

  it('with a length and chunks at once are no request', async () => {
    const answer = await request(server.port, { headers: { 'transfer-encoding': 'chunked' } })
    expect(answer.status).toBe(400)
  })
})

describe('what is no HTTP request', () => {
  it.each([
    ['noise', '\x01\x02\x03\x04\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a header name with a blank', 'GET / HTTP/1.1\r\nhost : x\r\n\r\n'],
    ['a folded header', 'GET / HTTP/1.1\r\nhost: x\r\n y\r\n\r\n'],
  ])('%s gets 400', async (_name, text) => {
    expect((await sendRaw(server.port, [Buffer.from(text, 'latin1')])).status).toBe(400)
  })

  it('a head of 100 kB gets 431', async () => {
    expect((await request(server.port, { headers: { x: 'a'.repeat(100_000) } })).status).toBe(431)
  })
})

describe('every answer', () => {
  it.each<[string, RequestParts]>([
    ['a result', {}],
    ['a refusal', { headers: { host: 'evil.example' } }],
    ['a path that does not exist', { target: '/x' }],
    ['a parse error', { body: '{' }],
    ['a body that is too large', { headers: { 'content-length': '99999999' } }],
    ['a bad request', { headers: { 'transfer-encoding': 'chunked' } }],
    ['health', { method: 'GET', target: '/healthz', body: '' }],
  ])('forbids sniffing, framing and caching, and shares nothing: %s', async (_name, parts) => {
    const { headers } = await request(server.port, parts)
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(headers['cache-control']).toBe('no-store')
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(headers['set-cookie']).toBeUndefined()
  })
})

describe('a caller that goes away', () => {
  it('cancels the work it waited for', async () => {
    const work = endlessWork()
    const own = await startTestServer(fakeNode({ ingest: work.run }).api)
    const body = '{"jsonrpc":"2.0","id":1,"method":"ingest","params":{"path":"/x"}}'
    const socket = connect(own.port, '127.0.0.1')
    for (const part of rawRequest(own.port, { body })) socket.write(part)
    await work.begun
    socket.destroy()
    await work.aborted
    await own.close()
  })

  it('half-way through a body leaves nothing behind', async () => {
    const own = await startTestServer()
    const socket = connect(own.port, '127.0.0.1')
    const [head] = rawRequest(own.port, { headers: { 'content-length': '100' } })
    socket.write(`${head}{"jsonrpc":`)
    await new Promise<void>((resolve) => socket.once('ready', resolve))
    socket.destroy()
    expect((await call(own.port, 'getStatus')).status).toBe(200)
    await own.close()
  })
})

describe('stopping', () => {
  it('answers the call that asked for it', async () => {
    const own = await startTestServer()
    expect((await call(own.port, 'shutdown')).result).toEqual({ stopping: true })
    expect(own.shutdowns.count).toBe(1)
    await own.close()
  })

  it('ends calls that wait, and then every connection', async () => {
    const work = endlessWork()
    const own = await startTestServer(fakeNode({ ingest: (_params, options) => work.run(null, options) }).api)
    const waiting = call(own.port, 'ingest', { path: '/x' })
    await work.begun
    await own.close()
    expect((await waiting).error).toMatchObject({ code: -32014, data: { kind: 'aborted' } })
    await expect(call(own.port, 'getStatus')).rejects.toThrow()
  })

  it('is not held up by a slow connection', async () => {
    const own = await startTestServer()
    const socket = connect(own.port, '127.0.0.1')
    socket.on('error', () => {})
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await new Promise<void>((resolve) =>
      socket.write('POST /api/rpc HTTP/1.1\r\nhost: x\r\n', () => resolve()),
    )
    await own.close()
    await closed
  })
})

describe('listening', () => {
  it('on a port that is taken fails as configuration', async () => {
    const taken = startTestServer(undefined, { listen: { host: '127.0.0.1', port: server.port } })
    await expect(taken).rejects.toMatchObject({ code: 'ERR_LISTEN_FAILED', kind: 'config' })
  })

  it('on ::1 takes its own Host and not that of IPv4', async () => {
    const own = await startTestServer(undefined, { listen: { host: '::1', port: 0 } })
    const send = (host: string): Promise<{ readonly status: number }> =>
      sendRaw(own.port, rawRequest(own.port, { body: STATUS_CALL, headers: { host } }), '::1')
    expect((await send(`[::1]:${own.port}`)).status).toBe(200)
    expect((await send(`localhost:${own.port}`)).status).toBe(200)
    expect((await send(`127.0.0.1:${own.port}`)).status).toBe(403)
    expect(own.url).toBe(`http://[::1]:${own.port}/api/rpc`)
    await own.close()
  })

  it('on a wildcard takes the address that was connected to, and names loopback in its URL', async () => {
    const own = await startTestServer(undefined, { listen: { host: '0.0.0.0', port: 0 } })
    expect(own.url).toBe(`http://127.0.0.1:${own.port}/api/rpc`)
    expect((await request(own.port)).status).toBe(200)
    expect((await request(own.port, { headers: { host: `0.0.0.0:${own.port}` } })).status).toBe(403)
    await own.close()
  })
})

describe('a fault of ours', () => {
  it('is 500 without its detail, which stays in the log', async () => {
    const { log, lines } = recordingLog()
    const secret = 'secret detail'
    const failing = fakeNode({
      getStatus: () => {
        throw new Error(secret)
      },
    })
    const own = await startTestServer(failing.api, {}, log)
    const answer = await request(own.port)
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.body)).toEqual({
      jsonrpc: '2.0',
      id: 1,
      error: { code: -32603, message: 'Internal error' },
    })
    expect(lines.some(({ fields }) => String(fields.stack).includes(secret))).toBe(true)
    await own.close()
  })
})
