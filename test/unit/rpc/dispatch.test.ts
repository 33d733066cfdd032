import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { NodeApi } from '../../../src/node/api.ts'
import { createDispatch, type RpcAnswer } from '../../../src/rpc/dispatch.ts'
import { toRpcError } from '../../../src/rpc/errors.ts'
import { Jobs } from '../../../src/rpc/jobs.ts'
import { createHandlers } from '../../../src/rpc/methods.ts'
import { METHOD_NAMES, METHODS } from '../../../src/rpc/schema/methods.ts'
import { allows, SCOPES, type Scope } from '../../../src/rpc/schema/scopes.ts'
import { SignIns } from '../../../src/rpc/sign-ins.ts'
import { fakeNode } from './fake-node.ts'

function dispatchTo(
  api: NodeApi = fakeNode().api,
  scopes: readonly Scope[] = ['admin'],
): (body: string | Uint8Array) => Promise<RpcAnswer> {
  const jobs = new Jobs(systemClock, seededRandom(1), (error, method) => toRpcError(error, method, silentLog))
  const dispatch = createDispatch(
    createHandlers({ api, jobs, signIns: new SignIns(systemClock, seededRandom(1)), onShutdown: () => {} }),
    silentLog,
  )
  const context = { signal: new AbortController().signal, scopes }
  return (body) => dispatch(typeof body === 'string' ? Buffer.from(body) : body, context)
}

interface JsonCase {
  readonly name: string
  readonly expect: 'accept' | 'reject' | 'either' | 'n'
  readonly b64?: string
  readonly note?: string
}

const send = dispatchTo()
const codeOf = (answer: RpcAnswer): number | undefined =>
  (answer.body as { error?: { code: number } } | null)?.error?.code
const call = (parts: object): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getStatus', ...parts })

describe('text that is not JSON is a parse error, with HTTP 200 and a null id', () => {
  it.each([
    ['nothing', ''],
    ['blanks', '  \n'],
    ['an open object', '{'],
    ['a trailing comma', '{"jsonrpc":"2.0","id":1,"method":"getStatus",}'],
    ['single quotes', "{'jsonrpc':'2.0'}"],
    ['two values', `${call({})}${call({})}`],
    ['a comment', `${call({})}//`],
    ['NaN', 'NaN'],
    ['a byte order mark', `\ufeff${call({})}`],
    ['a deep array that never ends', '['.repeat(500_000)],
  ])('%s', async (_name, body) => {
    expect(await send(body)).toEqual({
      status: 200,
      body: { jsonrpc: '2.0', error: { code: -32700, message: 'Parse error' }, id: null },
    })
  })

  it.each([
    ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['UTF-16', Buffer.from(call({}), 'utf16le')],
    ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0])],
  ])('%s', async (_name, body) => {
    expect(codeOf(await send(body))).toBe(-32700)
  })
})

describe('JSON that is no request is -32600 with a null id', () => {
  it.each([
    ['null', 'null'],
    ['a number', '1'],
    ['a string', '"getStatus"'],
    ['true', 'true'],
    ['an empty object', '{}'],
    ['no version', '{"id":1,"method":"getStatus"}'],
    ['version 1.0', call({ jsonrpc: '1.0' })],
    ['version 2', call({ jsonrpc: 2 })],
    ['version 2.0 as a number', '{"jsonrpc":2.0,"id":1,"method":"getStatus"}'],
    ['no method', '{"jsonrpc":"2.0","id":1}'],
    ['a method that is a number', call({ method: 1 })],
    ['a method that is null', call({ method: null })],
    ['a method that is a list', call({ method: ['getStatus'] })],
    ['parameters that are null', call({ params: null })],
    ['parameters that are a string', call({ params: 'x' })],
    ['parameters that are a number', call({ params: 1 })],
    ['parameters that are true', call({ params: true })],
    ['an id that is an object', call({ id: {} })],
    ['an id that is a list', call({ id: [1] })],
    ['an id that is true', call({ id: true })],
    ['an id that no double holds', '{"jsonrpc":"2.0","id":1e400,"method":"getStatus"}'],
    ['an id that would come back changed', '{"jsonrpc":"2.0","id":9007199254740993,"method":"getStatus"}'],
    ['members behind __proto__', '{"__proto__":{"jsonrpc":"2.0","id":1,"method":"getStatus"}}'],
    ['an empty batch', '[]'],
    ['a batch of 51', JSON.stringify(Array.from({ length: 51 }, () => JSON.parse(call({}))))],
    ['a response', '{"jsonrpc":"2.0","id":1,"result":1}'],
  ])('%s', async (_name, body) => {
    const answer = await send(body)
    expect(answer).toMatchObject({ status: 200, body: { id: null, error: { code: -32600 } } })
  })
})

describe('ids come back as they came', () => {
  it.each([1, 0, -1, 1.5, 'a', '', '1', null, Number.MAX_SAFE_INTEGER, '\u0000'])('%j', async (id) => {
    expect((await send(call({ id }))).body).toMatchObject({ id, result: {} })
  })
})

describe('methods', () => {
  it.each([
    'nothing',
    '',
    'GetStatus',
    'getStatus ',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'rpc.x',
    'our.getStatus',
    'createtoken',
  ])('%j is not found', async (method) => {
    expect(codeOf(await send(call({ method })))).toBe(-32601)
  })
})

describe('parameters', () => {
  const params = async (method: string, value: unknown): Promise<RpcAnswer> =>
    send(call({ method, params: value }))

  it.each<[string, string, unknown]>([
    ['unknown', 'getStatus', { verbose: true }],
    ['by position', 'getStatus', [1]],
    ['missing', 'createChannel', {}],
    ['of the wrong type', 'createChannel', { name: 1 }],
    ['null', 'createChannel', { name: null }],
    ['a name that is empty', 'createChannel', { name: '' }],
    ['a name with a slash', 'createChannel', { name: '../x' }],
    ['a name of 65', 'createChannel', { name: 'a'.repeat(65) }],
    ['a name with a line end', 'createChannel', { name: 'a\n' }],
    ['a name that is a key', 'createChannel', { name: 'ab'.repeat(32) }],
    ['private and open', 'createChannel', { name: 'a', private: true, open: true }],
    [
      'words under a passphrase',
      'exportChannel',
      { name: 'a', file: '/x', words: true, passphraseFile: '/p' },
    ],
    ['a relative passphrase file', 'importChannel', { file: '/x', passphraseFile: 'p' }],
    ['a truth that is a string', 'createChannel', { name: 'a', private: 'true' }],
    ['a relative path', 'ingest', { path: 'x' }],
    ['a path with NUL', 'ingest', { path: '/x\0' }],
    ['neither path nor ingest', 'publish', {}],
    ['both path and ingest', 'publish', { path: '/x', ingestId: 'i' }],
    ['a time-out of 0', 'publish', { path: '/x', timeout: 0 }],
    ['a time-out below 0', 'publish', { path: '/x', timeout: -1 }],
    ['a title of 1025 bytes', 'publish', { path: '/x', title: 'ä'.repeat(513) }],
    ['a title with half a character', 'publish', { path: '/x', title: '\ud800' }],
    ['globs that are a string', 'addSubscription', { uri: 'x', only: '*' }],
    ['too many globs', 'addSubscription', { uri: 'x', only: Array.from({ length: 1001 }, () => '*') }],
    ['a short key', 'banPeer', { nodeKey: 'ab' }],
    ['a key that is not hex', 'banPeer', { nodeKey: 'zz'.repeat(32) }],
    ['neither link nor key', 'removeSubscription', {}],
    ['a limit of 0', 'listFiles', { uri: 'x', limit: 0 }],
    ['a limit with decimals', 'listFiles', { uri: 'x', limit: 1.5 }],
  ])('that are %s are -32602', async (_name, method, value) => {
    const answer = await params(method, value)
    expect(answer).toMatchObject({
      status: 200,
      body: { error: { code: -32602, data: { code: 'ERR_USAGE', kind: 'usage' } } },
    })
  })

  it.each(['__proto__', 'constructor', 'toString', 'prototype'])('named %s are unknown', async (name) => {
    const body = `{"jsonrpc":"2.0","id":1,"method":"getStatus","params":{"${name}":{"x":1}}}`
    expect(codeOf(await send(body))).toBe(-32602)
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })

  it('with half a megabyte of nesting are refused and end nothing', async () => {
    const deep = `${'['.repeat(250_000)}${']'.repeat(250_000)}`
    expect(codeOf(await send(`{"jsonrpc":"2.0","id":1,"method":"getStatus","params":${deep}}`))).toBe(-32602)
    expect(codeOf(await send(`{"jsonrpc":"2.0","id":${deep},"method":"getStatus"}`))).toBe(-32600)
    expect((await send(`[${deep}]`)).body).toMatchObject([{ error: { code: -32600 } }])
  })

  it('are never repeated in the error', async () => {
    const answer = await params('createChannel', { name: 'canary value', canaryKey: 1 })
    expect(JSON.stringify(answer)).not.toContain('canary')
  })

  it('get their defaults, keys in lower case, seconds in ms', async () => {
    const { api, calls } = fakeNode()
    const sendTo = dispatchTo(api)
    await sendTo(call({ method: 'createChannel', params: { name: 'a' } }))
    await sendTo(call({ method: 'banPeer', params: { nodeKey: 'AB'.repeat(32) } }))
    await sendTo(call({ method: 'publish', params: { path: '/x', timeout: 1.5 } }))
    expect(calls.map(({ params: given }) => given)).toEqual([
      { name: 'a', private: false, open: false },
      { nodeKey: 'ab'.repeat(32) },
      { source: { path: '/x' }, channel: null, title: null, rehash: false, timeoutMs: 1500 },
    ])
  })

  it('may be left out where there are none to give', async () => {
    expect((await send(call({ params: undefined }))).body).toHaveProperty('result')
    expect((await send(call({ params: {} }))).body).toHaveProperty('result')
  })
})

describe('notifications', () => {
  const note = (parts: object): string => JSON.stringify({ jsonrpc: '2.0', method: 'getStatus', ...parts })

  it('are run and get 204 without a body', async () => {
    const { api, calls } = fakeNode()
    expect(await dispatchTo(api)(note({}))).toEqual({ status: 204, body: null })
    expect(calls).toHaveLength(1)
  })

  it.each([
    ['of an unknown method', { method: 'x' }],
    ['with wrong parameters', { params: { x: 1 } }],
  ])('%s get 204 too', async (_name, parts) => {
    expect((await send(note(parts))).status).toBe(204)
  })

  it('in a batch leave no place in the answer', async () => {
    const answer = await send(`[${note({})},${call({ id: 5 })},${note({})}]`)
    expect(answer.body).toMatchObject([{ id: 5 }])
    expect(await send(`[${note({})}]`)).toEqual({ status: 204, body: null })
  })
})

describe('batches', () => {
  it('of 50 are answered in order', async () => {
    const batch = Array.from({ length: 50 }, (_, id) => JSON.parse(call({ id })))
    const { body, status } = await send(JSON.stringify(batch))
    expect(status).toBe(200)
    expect((body as { id: number }[]).map(({ id }) => id)).toEqual(batch.map(({ id }) => id))
  })

  it('run one call after the other', async () => {
    const order: string[] = []
    const api = fakeNode({
      createChannel: async ({ name }) => {
        order.push(`begin ${name}`)
        await new Promise((resolve) => setImmediate(resolve))
        order.push(`end ${name}`)
        return { ...(await fakeNode().api.showChannel({ channel: 'news' })), name }
      },
    }).api
    const create = (name: string): string => call({ method: 'createChannel', params: { name } })
    await dispatchTo(api)(`[${create('a')},${create('b')}]`)
    expect(order).toEqual(['begin a', 'end a', 'begin b', 'end b'])
  })

  it('judge each member by itself', async () => {
    const { body } = await send(
      `[1,null,[],{},[${call({})}],${call({ id: 9 })},${call({ id: 8, method: 'x' })}]`,
    )
    expect(body).toMatchObject([
      { id: null, error: { code: -32600 } },
      { id: null, error: { code: -32600 } },
      { id: null, error: { code: -32600 } },
      { id: null, error: { code: -32600 } },
      { id: null, error: { code: -32600 } },
      { id: 9, result: {} },
      { id: 8, error: { code: -32601 } },
    ])
  })
})

describe('faults of ours', () => {
  it('in a result are 500 and say nothing', async () => {
    const status = await fakeNode().api.getStatus()
    const api = fakeNode({ getStatus: async () => ({ ...status, peers: Number.NaN }) }).api
    expect(await dispatchTo(api)(call({}))).toEqual({
      status: 500,
      body: { jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'Internal error' } },
    })
  })

  it('do not let out a field that the schema does not name', async () => {
    const channel = await fakeNode().api.showChannel({ channel: 'news' })
    const api = fakeNode({ listChannels: async () => [{ ...channel, seed: 'secret' } as typeof channel] }).api
    expect(JSON.stringify(await dispatchTo(api)(call({ method: 'listChannels' })))).not.toContain('secret')
  })

  it('in a notification are not told', async () => {
    const api = fakeNode({ getStatus: () => Promise.reject(new Error('x')) }).api
    expect((await dispatchTo(api)('{"jsonrpc":"2.0","method":"getStatus"}')).status).toBe(204)
  })
})

describe('JSON of all kinds', () => {
  const file = join(
    process.env.MEGATORRENT_SHARED ?? '../shared',
    'vectors/public-hostile/json_parsing_cases.json',
  )

  it.skipIf(!existsSync(file))('is a parse error exactly where a strict parser says so', async () => {
    const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: readonly JsonCase[] }
    const wrong: string[] = []
    for (const { name, expect: expected, b64, note } of cases) {
      // The two largest are described instead: so many bytes of one pattern.
      const bytes = Number(/(\d+) bytes/.exec(note ?? '')?.[1] ?? 0)
      const pattern = name.includes('array_object') ? '[{"":' : '['
      const body = b64 === undefined ? pattern.repeat(bytes / pattern.length) : Buffer.from(b64, 'base64')
      const answer = await send(body)
      const isRefused = codeOf(answer) === -32700
      if (answer.status !== 200 && answer.status !== 204) wrong.push(`${name}: status ${answer.status}`)
      if (expected === 'accept' && isRefused) wrong.push(`${name}: refused`)
      if ((expected === 'reject' || expected === 'n') && !isRefused) wrong.push(`${name}: accepted`)
    }
    expect(cases.length).toBeGreaterThan(300)
    expect(wrong).toEqual([])
  })
})

describe('a token may call what its scopes allow', () => {
  it.each(SCOPES)('%s', async (scope) => {
    const limited = dispatchTo(fakeNode().api, [scope])
    for (const method of METHOD_NAMES) {
      const code = codeOf(await limited(call({ method, params: { unknown: 1 } })))
      // Wrong parameters are found after the scope was: nothing is done either way.
      expect(code, method).toBe(allows([scope], METHODS[method].scope) ? -32602 : -32019)
    }
  })

  it('and nothing without one', async () => {
    expect(codeOf(await dispatchTo(fakeNode().api, [])(call({})))).toBe(-32019)
  })

  it('nobody but admin stops the daemon, hands out tokens or reads keys', () => {
    const forAdmin = METHOD_NAMES.filter((method) => METHODS[method].scope === 'admin')
    expect(forAdmin).toEqual(
      expect.arrayContaining(['shutdown', 'createToken', 'exportChannel', 'createAccessKey']),
    )
  })

  it('a refusal names the scope and not the token', async () => {
    const { body } = await dispatchTo(fakeNode().api, ['read'])(call({ method: 'shutdown' }))
    expect(body).toMatchObject({
      error: {
        message: 'shutdown needs a token with the scope admin',
        data: { code: 'ERR_SCOPE', kind: 'auth' },
      },
    })
  })
})
