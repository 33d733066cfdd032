import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type GuardRules, type RequestHead, refuseRequest } from '../../src/rpc/guard.ts'

const TOKEN = 'c0'.repeat(32)
const CHANNEL = 'ab'.repeat(32)
const FILE_KEY = 'f1'.repeat(32)
const RULES: GuardRules = {
  hosts: ['nas.example'],
  origins: ['https://nas.example'],
  scopesOf: (token) => (token === TOKEN ? ['admin'] : null),
  acceptsFileKey: (publicKey, key) => publicKey === CHANNEL && key === FILE_KEY,
  isPage: (target) => target === '/' || target === '/assets/a.js',
}
const RIGHT = {
  host: '127.0.0.1:7118',
  authorization: `Bearer ${TOKEN}`,
  'content-type': 'application/json',
  'content-length': '10',
}

function head(headers: Readonly<Record<string, string>>, changes: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'POST',
    target: '/api/rpc',
    rawHeaders: Object.entries(headers).flat(),
    localAddress: '127.0.0.1',
    localPort: 7118,
    ...changes,
  }
}

const statusOf = (request: RequestHead): number | null => refuseRequest(request, RULES)?.status ?? null

/** Text made of parts that forged headers are made of. */
function almost(...parts: readonly string[]): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...parts), { minLength: 0, maxLength: 5 }).map((chosen) => chosen.join(''))
}

const HOST_PARTS = [
  '127.0.0.1',
  'localhost',
  'nas.example',
  'evil',
  '.',
  ':',
  '7118',
  '@',
  ' ',
  '[::1]',
  '/',
  'http://',
  ',',
]

describe('the guard', () => {
  it('lets the right request in', () => {
    expect(statusOf(head(RIGHT))).toBeNull()
  })

  it('lets in no Host but those that are ours', () => {
    const ours = new Set(['127.0.0.1:7118', 'localhost:7118', 'nas.example', 'nas.example:7118'])
    fc.assert(
      fc.property(fc.oneof(fc.string(), almost(...HOST_PARTS)), (host) => {
        expect(statusOf(head({ ...RIGHT, host }))).toBe(ours.has(host.toLowerCase()) ? null : 403)
      }),
      { numRuns: 2000 },
    )
  })

  it('lets in no Origin but those that are ours', () => {
    const ours = new Set(['http://127.0.0.1:7118', 'http://localhost:7118', 'https://nas.example'])
    fc.assert(
      fc.property(fc.oneof(fc.string(), almost(...HOST_PARTS, 'https://', 'null')), (origin) => {
        expect(statusOf(head({ ...RIGHT, origin }))).toBe(ours.has(origin.toLowerCase()) ? null : 403)
      }),
      { numRuns: 2000 },
    )
  })

  it('lets in no path, method, token or type but the right one', () => {
    const field = fc.oneof(
      fc.string(),
      almost('/', 'api', 'rpc', '%2f', '?', 'POST', 'Bearer', ' ', TOKEN, 'application', 'json', ';', '+'),
    )
    fc.assert(
      fc.property(field, (text) => {
        if (!['/api/rpc', '/healthz', '/'].includes(text))
          expect(statusOf(head(RIGHT, { target: text }))).toBe(404)
        if (text !== 'POST') expect(statusOf(head(RIGHT, { method: text }))).toBe(405)
        const hasToken = text.toLowerCase() === `bearer ${TOKEN}`
        expect(statusOf(head({ ...RIGHT, authorization: text }))).toBe(hasToken ? null : 401)
        const isJson = text.toLowerCase() === 'application/json'
        expect(statusOf(head({ ...RIGHT, 'content-type': text }))).toBe(isJson ? null : 415)
      }),
      { numRuns: 1000 },
    )
  })

  it('lets in no length over the bound', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2_000_000 }), (length) => {
        const status = statusOf(head({ ...RIGHT, 'content-length': String(length) }))
        expect(status).toBe(length > 1_048_576 ? 413 : null)
      }),
    )
  })

  it('counts a header that comes twice as wrong, whatever both say', () => {
    const expected = { host: 403, origin: 403, authorization: 401, 'content-type': 415 } as const
    const right = { ...RIGHT, origin: 'http://127.0.0.1:7118' }
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(expected) as (keyof typeof expected)[])),
        fc.boolean(),
        (name, isUpper) => {
          const again = isUpper ? name.toUpperCase() : name
          const request = head(right)
          const doubled = { ...request, rawHeaders: [...request.rawHeaders, again, right[name]] }
          expect(statusOf(doubled)).toBe(expected[name])
        },
      ),
    )
  })

  it('lets nobody read a file without the token or a key of that channel', () => {
    const target = fc.oneof(
      fc.string(),
      almost(
        '/files/',
        CHANNEL,
        'ba'.repeat(32),
        '/',
        'a',
        '%2e%2e',
        '..',
        '?',
        'key=',
        FILE_KEY,
        '&',
        'after=',
      ),
    )
    fc.assert(
      fc.property(target, fc.boolean(), (text, hasToken) => {
        const { authorization, host } = RIGHT
        const request = head(hasToken ? { host, authorization } : { host }, { method: 'GET', target: text })
        const status = statusOf(request)
        if (status !== null || text === '/healthz' || text === '/') return
        expect(text).toMatch(/^\/files\/[0-9a-f]{64}\//)
        if (!hasToken) {
          expect(text.startsWith(`/files/${CHANNEL}/`)).toBe(true)
          expect(text).toContain(`key=${FILE_KEY}`)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
