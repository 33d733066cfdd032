/** The OpenRPC document says what the validator does. */
import { describe, expect, it } from 'vitest'
import { METHOD_NAMES, METHODS } from '../../../src/rpc/schema/methods.ts'
import { openRpcDocument } from '../../../src/rpc/schema/openrpc.ts'
import { READ_TOKEN } from './fake-node.ts'
import { call, request, startTestServer } from './test-server.ts'

const DOCUMENT = openRpcDocument()
const paramsOf = (name: string) => DOCUMENT.methods.find((method) => method.name === name)?.params ?? []

describe('the OpenRPC document', () => {
  it('has every method once, with a summary and parameters by name', () => {
    expect(DOCUMENT.methods.map((method) => method.name)).toEqual(METHOD_NAMES)
    for (const method of DOCUMENT.methods) {
      expect(method.summary, method.name).toMatch(/\.$/)
      expect(new Set(method.params.map((param) => param.name)).size).toBe(method.params.length)
    }
  })

  it('is JSON: nothing is lost on the way', () => {
    expect(JSON.parse(JSON.stringify(DOCUMENT))).toEqual(DOCUMENT)
  })

  it('calls required what the validator misses, and nothing else', () => {
    for (const name of METHOD_NAMES) {
      const missing = METHODS[name].params.safeParse({})
      const missed = missing.success
        ? []
        : missing.error.issues
            .filter((issue) => issue.path.length === 1)
            .map((issue) => String(issue.path[0]))
      const required = paramsOf(name).filter((param) => param.required === true)
      expect(required.map((param) => param.name).sort(), name).toEqual([...missed].sort())
    }
  })

  it('lists parameters that have a default as optional', () => {
    expect(paramsOf('ingest').find(({ name }) => name === 'rehash')).toEqual({
      name: 'rehash',
      schema: { type: 'boolean', default: false },
    })
  })
})

describe('a named token', () => {
  it('looks, and does nothing else; the document is there for it', async () => {
    const server = await startTestServer()
    try {
      const ask = async (method: string) => {
        const headers = { authorization: `Bearer ${READ_TOKEN}` }
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method })
        return JSON.parse((await request(server.port, { headers, body })).body)
      }
      expect(await ask('getStatus')).toMatchObject({ result: { mode: 'direct' } })
      expect(await ask('rpc.discover')).toMatchObject({ result: { openrpc: '1.3.2' } })
      expect(await ask('shutdown')).toMatchObject({ error: { code: -32019, data: { code: 'ERR_SCOPE' } } })
      expect(server.shutdowns.count).toBe(0)
      expect(await call(server.port, 'shutdown')).toMatchObject({ result: { stopping: true } })
    } finally {
      await server.close()
    }
  })

  it('that nobody gave out is refused before the body', async () => {
    const server = await startTestServer()
    try {
      const answer = await request(server.port, { headers: { authorization: `Bearer ${'0f'.repeat(32)}` } })
      expect(answer.status).toBe(401)
    } finally {
      await server.close()
    }
  })
})
