/** `/files/` over real HTTP, with a node that has one file. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { MAX_FILE_READERS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { NodeApi, ReleaseFile } from '../../../src/node/api.ts'
import { type FileExchange, FileServer } from '../../../src/rpc/files.ts'
import { FILE, FILE_BYTES, FILE_KEY, fakeNode, KEY } from './fake-node.ts'
import { startTestServer, type TestServer, TOKEN } from './test-server.ts'

const PATH = `/files/${KEY}/a/one.txt`

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

let server: TestServer | null = null

afterEach(async () => {
  await server?.close()
  server = null
})

async function start(changes: Partial<NodeApi> = {}): Promise<TestServer> {
  server = await startTestServer(fakeNode(changes).api)
  return server
}

function ask(
  target: string,
  headers: Readonly<Record<string, string | null>> = {},
  method = 'GET',
): Promise<Answer> {
  const all = { host: `127.0.0.1:${server?.port}`, authorization: `Bearer ${TOKEN}`, ...headers }
  const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)) as Record<
    string,
    string
  >
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: server?.port,
      path: target,
      method,
      headers: sent,
      agent: false,
    }
    const call = httpRequest(options, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      )
      response.on('error', reject)
    })
    call.on('error', reject)
    call.end()
  })
}

describe('a file over HTTP', () => {
  it('comes whole, as an attachment of no type that a browser does nothing with', async () => {
    await start()
    const { status, headers, body } = await ask(PATH)
    expect(status).toBe(200)
    expect(body.equals(FILE_BYTES)).toBe(true)
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '1000',
      'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'accept-ranges': 'bytes',
      etag: `"${FILE.contentId}"`,
    })
    expect(headers['content-disposition']).toContain('attachment; filename="one.txt"')
    expect(headers).not.toHaveProperty('set-cookie')
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('comes in part when that is asked, and not when it is another file by now', async () => {
    await start()
    const part = await ask(PATH, { range: 'bytes=150-449' })
    expect(part.status).toBe(206)
    expect(part.headers).toMatchObject({ 'content-range': 'bytes 150-449/1000', 'content-length': '300' })
    expect(part.body.equals(FILE_BYTES.subarray(150, 450))).toBe(true)
    const same = await ask(PATH, { range: 'bytes=-10', 'if-range': `"${FILE.contentId}"` })
    expect([same.status, same.body.length]).toEqual([206, 10])
    const other = await ask(PATH, { range: 'bytes=-10', 'if-range': '"something else"' })
    expect([other.status, other.body.length]).toEqual([200, 1000])
    const outside = await ask(PATH, { range: 'bytes=1000-' })
    expect(outside.status).toBe(416)
    expect(outside.headers['content-range']).toBe('bytes */1000')
    expect(JSON.parse(outside.body.toString())).toMatchObject({ error: { code: 'ERR_FILE_RANGE' } })
  })

  it('tells its head alone, and that it has not changed', async () => {
    await start()
    const head = await ask(PATH, {}, 'HEAD')
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '1000', 0])
    const part = await ask(PATH, { range: 'bytes=0-9' }, 'HEAD')
    expect([part.status, part.headers['content-range'], part.body.length]).toEqual([206, 'bytes 0-9/1000', 0])
    const known = await ask(PATH, { 'if-none-match': `"${FILE.contentId}"` })
    expect([known.status, known.body.length]).toEqual([304, 0])
  })

  it('is not found where there is none, and its folder is listed', async () => {
    await start()
    expect((await ask(`/files/${KEY}/a/two.txt`)).status).toBe(404)
    expect((await ask(`/files/${KEY}/a/../a/one.txt`)).status).toBe(404)
    expect((await ask(`/files/${KEY}/a%2Fone.txt`)).status).toBe(200)
    const list = await ask(`/files/${KEY}/a/`)
    expect(list.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(JSON.parse(list.body.toString())).toMatchObject({ folder: 'a', children: [{ name: 'one.txt' }] })
  })

  it('is for who has the token or a key of that channel, from a page of ours or none', async () => {
    await start()
    const statusOf = async (
      target: string,
      headers: Readonly<Record<string, string | null>>,
      method = 'GET',
    ) => (await ask(target, headers, method)).status
    const no = { authorization: null }
    expect(await statusOf(PATH, no)).toBe(401)
    expect(await statusOf(PATH, { authorization: 'Bearer wrong' })).toBe(401)
    expect(await statusOf(`${PATH}?key=${FILE_KEY}`, no)).toBe(200)
    expect(await statusOf(`${PATH}?key=${'f2'.repeat(32)}`, no)).toBe(401)
    expect(await statusOf(`${PATH}?key=${TOKEN}`, no)).toBe(401)
    // The same answer whether there is such a file and channel or not.
    expect(await statusOf(`/files/${'cd'.repeat(32)}/x?key=${FILE_KEY}`, no)).toBe(401)
    expect(await statusOf(`/files/${'cd'.repeat(32)}/x`, no)).toBe(401)
    expect(await statusOf(PATH, { host: 'evil.example' })).toBe(403)
    expect(await statusOf(`${PATH}?key=${FILE_KEY}`, { ...no, origin: 'http://evil.example' })).toBe(403)
    expect(await statusOf(PATH, {}, 'POST')).toBe(405)
    expect(await statusOf(PATH, {}, 'DELETE')).toBe(405)
    // An access key is for files and nothing else.
    expect(await statusOf(`/api/rpc?key=${FILE_KEY}`, no, 'POST')).toBe(404)
    expect(await statusOf('/api/rpc', { authorization: `Bearer ${FILE_KEY}` }, 'POST')).toBe(401)
  })

  it('that cannot be read says so as long as nothing was sent, and breaks off after', async () => {
    const failing = (error: Error, before: number): Partial<NodeApi> => ({
      openFile: async () => ({
        ...FILE,
        read: async function* () {
          for (let piece = 0; piece < before; piece++) yield FILE_BYTES.subarray(0, 100)
          throw error
        },
      }),
    })
    await start(failing(new MegatorrentError('ERR_RELEASE_INVALID', 'the publisher signed nonsense'), 0))
    expect((await ask(PATH)).status).toBe(502)
    await server?.close()
    await start(failing(new Error('of our own'), 0))
    const bug = await ask(PATH)
    expect([bug.status, bug.body.includes('of our own')]).toEqual([500, false])
    await server?.close()
    await start(failing(new MegatorrentError('ERR_RELEASE_INVALID', 'x'), 2))
    await expect(ask(PATH)).rejects.toThrow(/aborted|hang up/)
  })

  it('stops being read when its client goes away', async () => {
    let stopped: (why: string) => void = () => {}
    const ended = new Promise<string>((resolve) => {
      stopped = resolve
    })
    const endless: ReleaseFile = {
      ...FILE,
      size: 2 ** 40,
      read: async function* (_start, _end, signal) {
        try {
          for (;;) yield Buffer.alloc(65_536)
        } finally {
          stopped(signal.aborted ? 'called off' : 'not called off')
        }
      },
    }
    await start({ openFile: async () => endless })
    const options = { host: '127.0.0.1', port: server?.port, path: PATH, agent: false }
    const headers = { host: `127.0.0.1:${server?.port}`, authorization: `Bearer ${TOKEN}` }
    await new Promise<void>((resolve, reject) => {
      const call = httpRequest({ ...options, headers }, (response) => {
        response.once('data', () => {
          response.destroy()
          resolve()
        })
      })
      call.on('error', reject)
      call.end()
    })
    expect(await ended).toBe('called off')
  })

  it('is read no faster than its client takes it', async () => {
    let given = 0
    const long: ReleaseFile = {
      ...FILE,
      size: 2 ** 40,
      read: async function* () {
        for (;;) {
          given += 1_048_576
          yield Buffer.alloc(1_048_576)
        }
      },
    }
    await start({ openFile: async () => long })
    const headers = { host: `127.0.0.1:${server?.port}`, authorization: `Bearer ${TOKEN}` }
    const options = { host: '127.0.0.1', port: server?.port, path: PATH, agent: false, headers }
    const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      httpRequest(options, resolve).on('error', reject).end()
    })
    response.pause()
    // What the system's buffers of both sides take, and then no more: until it stands still for a while.
    let before = -1
    while (given !== before) {
      before = given
      for (let turn = 0; turn < 2_000; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(given).toBeLessThan(64 * 1_048_576)
    response.destroy()
  })
})

/** An exchange without HTTP, for time and numbers. */
function exchange(): FileExchange & { readonly log: string[]; taken: (() => void) | null } {
  const log: string[] = []
  const self = {
    log,
    taken: null as (() => void) | null,
    target: { publicKey: KEY, path: FILE.path, kind: 'file', key: null, after: null } as const,
    isHead: false,
    header: () => undefined,
    signal: new AbortController().signal,
    begin: (status: number) => {
      if (log.length > 0) throw new Error('begun already')
      log.push(`begin ${status}`)
    },
    write: (bytes: Uint8Array) =>
      new Promise<void>((resolve) => {
        if (bytes.length > 0 && bytes[0] === '{'.charCodeAt(0)) log.push(Buffer.from(bytes).toString())
        self.taken = resolve
      }),
    end: () => void log.push('end'),
    cut: () => void log.push('cut'),
  }
  return self
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('readers of files', () => {
  const fileServer = (file: ReleaseFile, clock = new ManualClock()) =>
    new FileServer({
      api: { openFile: async () => file, listFolder: fakeNode().api.listFolder },
      clock,
      log: silentLog,
      firstByteMs: 1_000,
      stallMs: 5_000,
    })

  it('are so many at a time, and one more is told to come later', async () => {
    const files = fileServer(FILE)
    const readers = Array.from({ length: MAX_FILE_READERS }, () => exchange())
    const serving = readers.map((reader) => files.serve(reader))
    await settle()
    const late = exchange()
    void files.serve(late)
    await settle()
    expect(late.log[0]).toBe('begin 503')
    expect(JSON.parse(late.log[1] ?? '')).toMatchObject({ error: { code: 'ERR_TOO_MANY_READERS' } })
    for (const reader of readers) {
      while (!reader.log.includes('end')) {
        reader.taken?.()
        await settle()
      }
    }
    await Promise.all(serving)
    const again = exchange()
    void files.serve(again)
    await settle()
    expect(again.log[0]).toBe('begin 200')
  })

  it('are told when no byte came in time, and cut off when they take none', async () => {
    const clock = new ManualClock()
    const never: ReleaseFile = {
      ...FILE,
      read: (_start, _end, signal) => ({
        [Symbol.asyncIterator]: () => ({
          next: () =>
            new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        }),
      }),
    }
    const waiting = exchange()
    void fileServer(never, clock).serve(waiting)
    await settle()
    clock.advance(999)
    await settle()
    expect(waiting.log).toEqual([])
    clock.advance(1)
    await settle()
    expect(waiting.log[0]).toBe('begin 504')
    const idle = exchange()
    void fileServer(FILE, clock).serve(idle)
    await settle()
    clock.advance(5_000)
    await settle()
    expect(idle.log).toEqual(['begin 200', 'cut'])
  })
})
