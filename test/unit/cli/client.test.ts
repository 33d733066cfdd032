import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CHANNEL } from '../rpc/fake-node.ts'
import { TOKEN } from '../rpc/test-server.ts'
import { type RunResult, run } from './run.ts'

let folder: string
let server: Server
let answer: { readonly status: number; readonly body: string } = { status: 200, body: '' }
let authorization: string | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-client-'))
  await writeFile(join(folder, 'token'), `${TOKEN}\n`)
  server = createServer((request, response) => {
    authorization = request.headers.authorization
    request.resume()
    request.once('end', () => {
      response.statusCode = answer.status
      response.end(answer.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true })
})

async function ask(args: readonly string[], status: number, body: unknown): Promise<RunResult> {
  answer = { status, body: typeof body === 'string' ? body : JSON.stringify(body) }
  const { port } = server.address() as AddressInfo
  const place = ['--rpc-url', `http://127.0.0.1:${port}/api/rpc`, '--rpc-token-file', join(folder, 'token')]
  return run([...place, ...args, '--json'])
}

const result = (value: unknown) => ({ jsonrpc: '2.0', id: 1, result: value })
const failure = (error: unknown) => ({ jsonrpc: '2.0', id: 1, error })

describe('a daemon called by its URL', () => {
  it('is shown the content of the token file without its line end', async () => {
    expect((await ask(['channel', 'list'], 200, result({ channels: [CHANNEL] }))).json()).toEqual([CHANNEL])
    expect(authorization).toBe(`Bearer ${TOKEN}`)
  })

  it('may send fields that this version does not know', async () => {
    const channels = [{ ...CHANNEL, later: 1 }]
    expect((await ask(['channel', 'list'], 200, result({ channels }))).json()).toEqual([CHANNEL])
  })
})

describe('an answer that does not fit is an error of the network kind, exit 6', () => {
  it.each<[string, unknown]>([
    ['nothing', ''],
    ['text', '<html>'],
    ['another document', { status: 'ok' }],
    ['a result of another shape', result({ channels: 'none' })],
    ['a result with wrong types', result({ channels: [{ ...CHANNEL, sequence: '3' }] })],
    ['an answer to another request', { ...result({ channels: [] }), id: 2 }],
    ['neither result nor error', { jsonrpc: '2.0', id: 1 }],
  ])('%s', async (_name, body) => {
    const { exitCode, json } = await ask(['channel', 'list'], 200, body)
    expect(exitCode).toBe(6)
    expect(json()).toMatchObject({ error: { code: 'ERR_RPC_ANSWER', kind: 'network' } })
  })
})

describe('an error of the daemon', () => {
  it.each<[string, unknown, number, string]>([
    [
      'with a kind and a code',
      { code: -32015, message: 'm', data: { code: 'ERR_NOT_FOUND', kind: 'not-found' } },
      3,
      'ERR_NOT_FOUND',
    ],
    [
      'with a code of a later version',
      { code: -32013, message: 'm', data: { code: 'ERR_LATER', kind: 'storage' } },
      9,
      'ERR_LATER',
    ],
    [
      'with a kind of a later version',
      { code: -32018, message: 'm', data: { kind: 'later' } },
      7,
      'ERR_RPC_ANSWER',
    ],
    ['without data', { code: -32017, message: 'm' }, 5, 'ERR_RPC_ANSWER'],
    [
      'of a method that it does not have',
      { code: -32601, message: 'Method not found' },
      64,
      'ERR_NOT_IN_VERSION',
    ],
    ['of a number that nobody knows', { code: -1, message: 'm' }, 1, 'ERR_BUG'],
    ['that is no object', 'x', 1, 'ERR_BUG'],
    [
      'with a kind from a prototype',
      { code: -32012, message: 'm', data: { kind: 'toString' } },
      6,
      'ERR_RPC_ANSWER',
    ],
  ])('%s has an exit code', async (_name, error, exitCode, code) => {
    const found = await ask(['channel', 'list'], 200, failure(error))
    expect(found.exitCode).toBe(exitCode)
    expect(found.json()).toMatchObject({ error: { code } })
  })

  it.each([401, 403, 404, 405, 413, 415, 500])(
    'of HTTP %d is a refusal, exit 4, with its reason',
    async (status) => {
      const { exitCode, json } = await ask(['status'], status, { error: { message: 'because' } })
      expect(exitCode).toBe(4)
      expect(json()).toMatchObject({
        error: { code: 'ERR_RPC_REFUSED', kind: 'auth', message: expect.stringContaining('because') },
      })
    },
  )
})

describe('a connection', () => {
  it('that breaks off is an error of the network kind', async () => {
    server.on('connection', (socket) => socket.destroy())
    expect((await ask(['status'], 200, '')).exitCode).toBe(6)
  })

  it('to something that is no http URL is wrong usage', async () => {
    for (const url of ['https://127.0.0.1/', 'file:///x', 'x', 'http://user:secret@127.0.0.1/']) {
      const { exitCode, stderr } = await run([
        'status',
        '--rpc-url',
        url,
        '--rpc-token-file',
        join(folder, 'token'),
      ])
      expect(exitCode).toBe(64)
      expect(stderr).not.toContain('secret')
    }
  })

  it('to a daemon that does not answer ends health after its time', async () => {
    server.removeAllListeners('request')
    expect((await ask(['health', '--timeout', '0.2'], 200, '')).exitCode).toBe(2)
    server.closeAllConnections()
  })
})
