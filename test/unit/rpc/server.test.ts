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
