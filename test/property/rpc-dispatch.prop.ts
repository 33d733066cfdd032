import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { seededRandom } from '../../src/base/random.ts'
import { createDispatch } from '../../src/rpc/dispatch.ts'
import { toRpcError } from '../../src/rpc/errors.ts'
import { Jobs } from '../../src/rpc/jobs.ts'
import { createHandlers } from '../../src/rpc/methods.ts'
import { METHOD_NAMES } from '../../src/rpc/schema/methods.ts'
import { SignIns } from '../../src/rpc/sign-ins.ts'
import { fakeNode } from '../unit/rpc/fake-node.ts'

const jobs = new Jobs(new ManualClock(), seededRandom(1), (error, method) =>
  toRpcError(error, method, silentLog),
)
const dispatch = createDispatch(
  createHandlers({
    api: fakeNode().api,
    jobs,
    signIns: new SignIns(new ManualClock(), seededRandom(1)),
    onShutdown: () => {},
  }),
  silentLog,
)
const send = (body: Uint8Array) => dispatch(body, { signal: new AbortController().signal, scopes: ['admin'] })

/** What one response must look like. */
function expectResponse(response: unknown): void {
  const { jsonrpc, id, error, result } = response as Record<string, unknown>
  expect(jsonrpc).toBe('2.0')
  expect(id === null || typeof id === 'string' || typeof id === 'number').toBe(true)
  expect((error === undefined) !== (result === undefined)).toBe(true)
  if (error !== undefined) {
    const { code, message } = error as Record<string, unknown>
    expect(Number.isInteger(code) && code !== -32603).toBe(true)
    expect(typeof message).toBe('string')
  }
}

const params = fc.oneof(
  fc.jsonValue(),
  fc.dictionary(
    fc.constantFrom('name', 'path', 'uri', 'wait', 'only', 'timeout', '__proto__', 'constructor'),
    fc.jsonValue(),
  ),
)
const request = fc.record(
  {
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant('2.0') }, { weight: 1, arbitrary: fc.jsonValue() }),
    method: fc.oneof(fc.constantFrom(...METHOD_NAMES), fc.string(), fc.jsonValue()),
    id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()),
    params,
  },
  { requiredKeys: [] },
)

describe('any body', () => {
  it('of bytes has an answer in JSON-RPC form', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (body) => {
        const answer = await send(body)
        expect(answer.status).toBe(200)
        expectResponse(answer.body)
      }),
      { numRuns: 500 },
    )
  })

  it('of JSON has one answer a request, and none is a fault of ours', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(request, fc.array(request, { maxLength: 6 }), fc.jsonValue()),
        async (value) => {
          const answer = await send(Buffer.from(JSON.stringify(value)))
          expect([200, 204]).toContain(answer.status)
          if (answer.status === 204) expect(answer.body).toBeNull()
          else if (!Array.isArray(answer.body)) expectResponse(answer.body)
          else {
            expect(answer.body.length).toBeLessThanOrEqual((value as unknown[]).length)
            answer.body.forEach(expectResponse)
          }
          expect(Object.keys(Object.prototype)).toEqual([])
        },
      ),
      { numRuns: 1500 },
    )
  })
})
