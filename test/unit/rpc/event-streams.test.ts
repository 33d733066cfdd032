/** Events over real connections: server-sent and by WebSocket. */
import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import { connect, type Socket as NetSocket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ManualClock } from '../../../src/base/clock.ts'
import {
  EVENT_AUTH_MS,
  EVENT_HEARTBEAT_MS,
  MAX_EVENT_BACKLOG_BYTES,
  MAX_EVENT_STREAMS,
  RPC_LINGER_MS,
} from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { SubscriptionInfo, TokenInfo } from '../../../src/node/api.ts'
import { fakeNode, READ_TOKEN, SUBSCRIPTION } from './fake-node.ts'
import { recordingLog, request, startTestServer, type TestServer, TOKEN } from './test-server.ts'

let server: TestServer
let blobsDone: number
/** What a test opened and has to end. */
let toEnd: (() => void)[]

beforeEach(async () => {
  blobsDone = 0
  toEnd = []
  const { api } = fakeNode({ getSubscriptions: async () => [{ ...SUBSCRIPTION, blobsDone }] })
  server = await startTestServer(api)
})
afterEach(async () => {
  for (const end of toEnd) end()
  await server.close()
})

interface Stream {
  readonly response: IncomingMessage
  readonly ended: Promise<void>
  /** Text until `isEnough` says so. */
  read(isEnough: (text: string) => boolean): Promise<string>
}

function openStream(headers: Readonly<Record<string, string>> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = get(`http://127.0.0.1:${server.port}/api/events`, {
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      agent: false,
    })
    toEnd.push(() => sent.destroy())
    sent.once('error', reject)
    sent.once('response', (response) => {
      let text = ''
      let onText = (): void => {}
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        onText()
      })
      response.on('error', () => {}) // an end that is cut is an end
      const ended = new Promise<void>((done) => response.once('close', done))
      const read = (isEnough: (text: string) => boolean): Promise<string> =>
        new Promise((done) => {
          onText = () => {
            if (isEnough(text)) done(text)
          }
          onText()
        })
      resolve({ response, ended, read })
    })
  })
}

/** Events in a text of SSE. */
function eventsOf(text: string): { readonly id: string; readonly event: string; readonly data: unknown }[] {
  return text
    .split('\n\n')
    .map((block) => /^id: (.+)\nevent: (.+)\ndata: (.+)$/.exec(block))
    .filter((match) => match !== null)
    .map(([, id = '', event = '', data = '']) => ({ id, event, data: JSON.parse(data) }))
}

const has = (count: number, name: string) => (text: string) =>
  eventsOf(text).filter(({ event }) => event === name).length >= count

describe('server-sent events', () => {
  it('tell all that there is, then what changes; who comes again goes on where it was', async () => {
    const stream = await openStream()
    expect(stream.response.statusCode).toBe(200)
    expect(stream.response.headers['content-type']).toBe('text/event-stream')
    expect(stream.response.headers['cache-control']).toBe('no-store')
    const first = eventsOf(await stream.read(has(1, 'peer')))
    expect(first.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['status', 'subscription', 'peer']),
    )
    blobsDone = 3
    const second = eventsOf(await stream.read(has(2, 'subscription')))
    const last = second.at(-1)
    expect(last?.data).toMatchObject({ blobsDone: 3 })
    stream.response.destroy()

    blobsDone = 4
    const again = await openStream({ 'last-event-id': last?.id ?? '' })
    const missed = eventsOf(await again.read(has(1, 'subscription')))
    expect(missed.map(({ data }) => (data as { blobsDone?: number }).blobsDone)).toEqual([4])
  })

  it.each([
    ['no token', { authorization: '' }, 401],
    ['a wrong token', { authorization: `Bearer ${'00'.repeat(32)}` }, 401],
    ['another Origin', { origin: 'https://evil.example' }, 403],
    ['another Host', { host: 'evil.example' }, 403],
  ])('are not told to %s', async (_name, headers, status) => {
    expect((await openStream(headers)).response.statusCode).toBe(status)
  })

  it('are for those who may look', async () => {
    expect((await openStream({ authorization: `Bearer ${READ_TOKEN}` })).response.statusCode).toBe(200)
  })

  it('end when the server does', async () => {
    const stream = await openStream()
    await stream.read(has(1, 'status'))
    await server.close()
    await stream.ended
  })

  it('have a bounded number of listeners, and a place is free again at once', async () => {
    const streams = await Promise.all(Array.from({ length: MAX_EVENT_STREAMS }, () => openStream()))
    expect((await openStream()).response.statusCode).toBe(503)
    streams[0]?.response.destroy()
    for (;;) if ((await openStream()).response.statusCode === 200) break
  })
})

interface Socket {
  readonly socket: WebSocket
  readonly closed: Promise<number>
  /** Status of an answer that opened none. */
  readonly refused: Promise<number>
  readonly messages: { readonly id: string; readonly event: string; readonly data: unknown }[]
  until(isEnough: () => boolean): Promise<void>
}

function openSocket(headers: Readonly<Record<string, string>> = {}, path = '/api/ws'): Socket {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, { headers })
  toEnd.push(() => socket.terminate())
  const messages: Socket['messages'] = []
  let onMessage = (): void => {}
  socket.on('error', () => {})
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)))
    onMessage()
  })
  return {
    socket,
    messages,
    closed: new Promise((resolve) => socket.once('close', resolve)),
    refused: new Promise((resolve) =>
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0)),
    ),
    until: (isEnough) =>
      new Promise((resolve) => {
        onMessage = () => {
          if (isEnough()) resolve()
        }
        onMessage()
      }),
  }
}

const greet = ({ socket }: Socket, opening: unknown): void =>
  void socket.once('open', () => socket.send(typeof opening === 'string' ? opening : JSON.stringify(opening)))

describe('a WebSocket', () => {
  it('tells the same, and goes on from an id', async () => {
    const first = openSocket()
    greet(first, { token: READ_TOKEN })
    await first.until(() => first.messages.some(({ event }) => event === 'peer'))
    blobsDone = 3
    await first.until(() => first.messages.filter(({ event }) => event === 'subscription').length === 2)
    const last = first.messages.at(-1)
    first.socket.close()
    blobsDone = 4
    const again = openSocket()
    greet(again, { token: TOKEN, lastEventId: last?.id })
    await again.until(() => again.messages.length > 0)
    expect(again.messages.map(({ data }) => (data as { blobsDone?: number }).blobsDone)).toEqual([4])
  })

  it.each([
    ['a wrong token', { token: '00'.repeat(32) }],
    ['no token', {}],
    ['null', 'null'],
    ['no JSON', 'hello'],
  ])('is closed for %s, and is told nothing', async (_name, opening) => {
    const opened = openSocket()
    greet(opened, opening)
    expect(await opened.closed).toBe(4401)
    expect(opened.messages).toEqual([])
  })

  it('is closed for a message that is too long', async () => {
    const opened = openSocket()
    greet(opened, 'x'.repeat(5_000))
    expect([1006, 1009]).toContain(await opened.closed)
  })

  it.each([
    ['another Origin', { origin: 'https://evil.example' }, '/api/ws', 403],
    ['another Host', { host: 'evil.example' }, '/api/ws', 403],
    ['another path', {}, '/api/rpc', 405],
    ['a path that is not', {}, '/ws', 404],
    ['the events of the other kind', { authorization: `Bearer ${TOKEN}` }, '/api/events', 400],
  ])('is not opened for %s', async (_name, headers, path, status) => {
    expect(await openSocket(headers, path).refused).toBe(status)
  })

  it('is what its path is for: a plain request is told so', async () => {
    expect((await request(server.port, { method: 'GET', target: '/api/ws', body: '' })).status).toBe(426)
  })

  it('ends when the server does', async () => {
    const opened = openSocket()
    greet(opened, { token: TOKEN })
    await opened.until(() => opened.messages.length > 0)
    await server.close()
    expect(await opened.closed).toBe(1001)
  })
})

/** A server whose times are ours. */
describe('in time', () => {
  let clock: ManualClock
  let isValid: boolean
  let look: () => Promise<SubscriptionInfo[]>

  beforeEach(async () => {
    await server.close()
    clock = new ManualClock()
    isValid = true
    look = async () => [SUBSCRIPTION]
    const reader: TokenInfo = { name: 'reader', scopes: ['read'], createdAt: 1, expiresAt: null }
    const { api } = fakeNode({
      getSubscriptions: () => look(),
      findToken: (token) => (isValid && token === READ_TOKEN ? reader : null),
    })
    server = await startTestServer(api, {}, silentLog, clock)
  })

  const opened = ({ socket }: Socket): Promise<void> => new Promise((resolve) => socket.once('open', resolve))

  it('a WebSocket is closed when no token comes', async () => {
    const silent = openSocket()
    await opened(silent)
    await clock.advance(EVENT_AUTH_MS)
    expect(await silent.closed).toBe(4401)
    expect(silent.messages).toEqual([])
  })

  it('streams end with their token', async () => {
    const socket = openSocket()
    greet(socket, { token: READ_TOKEN })
    await socket.until(() => socket.messages.length > 0)
    const stream = await openStream({ authorization: `Bearer ${READ_TOKEN}` })
    await stream.read(has(1, 'status'))
    await clock.advance(EVENT_HEARTBEAT_MS)
    await stream.read((text) => text.endsWith('\n:\n\n')) // a sign of life: the token is good still
    isValid = false
    await clock.advance(EVENT_HEARTBEAT_MS)
    expect(await socket.closed).toBe(4401)
    await stream.ended
  })

  it('who does not read is cut off', async () => {
    const raw = await rawWebSocket(READ_TOKEN)
    raw.pause()
    const ended = new Promise((resolve) => raw.once('close', resolve))
    const size = MAX_EVENT_BACKLOG_BYTES / 8
    let title = 0
    look = async () => [{ ...SUBSCRIPTION, title: `${title++}`.padEnd(size, 'x') }]
    for (let i = 0; i < 64; i++) await clock.advance(1_000)
    raw.resume()
    await clock.advance(RPC_LINGER_MS)
    await ended
  })

  it('a look that does not fit what is promised ends the stream, and is told to the log', async () => {
    look = async () => [{ ...SUBSCRIPTION, files: -1 }]
    const { log, lines } = recordingLog()
    const broken = await startTestServer(fakeNode({ getSubscriptions: () => look() }).api, {}, log, clock)
    const previous = server
    server = broken
    // It may end before anything of it went out.
    await openStream().then(
      (stream) => stream.ended,
      () => {},
    )
    expect(lines.some(({ fields }) => String(fields.stack).includes('ZodError'))).toBe(true)
    server = previous
    await broken.close()
  })
})

/** A WebSocket without anybody who answers frames. */
function rawWebSocket(token: string | null): Promise<NetSocket> {
  return new Promise((resolve) => {
    const raw = connect(server.port, '127.0.0.1')
    toEnd.push(() => raw.destroy())
    raw.on('error', () => {})
    const key = Buffer.alloc(16, 1).toString('base64')
    raw.write(
      `GET /api/ws HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n` +
        `sec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
    )
    raw.once('data', () => {
      if (token === null) return resolve(raw)
      const text = Buffer.from(JSON.stringify({ token }))
      // One frame of text with a mask of zeros (RFC 6455, section 5.2).
      raw.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]))
      raw.once('data', () => resolve(raw))
    })
  })
}

describe('who does not behave', () => {
  it.each([
    ['with a token', TOKEN],
    ['without one', null],
  ])('a WebSocket %s that answers no close does not hold up the end of the server', async (_name, token) => {
    await rawWebSocket(token)
    const startedMs = performance.now()
    await server.close()
    expect(performance.now() - startedMs).toBeLessThan(2 * RPC_LINGER_MS)
  })

  it('a refused upgrade that is reset ends nothing, and one that stays open is closed', async () => {
    const faults: unknown[] = []
    const onFault = (error: unknown): void => void faults.push(error)
    process.on('uncaughtException', onFault)
    try {
      const refuse = (allowHalfOpen: boolean): Promise<NetSocket> =>
        new Promise((resolve) => {
          const raw = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen })
          toEnd.push(() => raw.destroy())
          raw.on('error', () => {})
          raw.write('GET /api/ws HTTP/1.1\r\nhost: evil\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n')
          raw.once('data', () => resolve(raw))
        })
      for (let i = 0; i < 20; i++) (await refuse(true)).resetAndDestroy()
      expect((await request(server.port)).status).toBe(200)
      const held = await refuse(true)
      const closed = new Promise((resolve) => held.once('close', resolve))
      await server.close()
      held.end('the other side has ended, and takes no more')
      await closed
      expect(faults).toEqual([])
    } finally {
      process.off('uncaughtException', onFault)
    }
  })
})
