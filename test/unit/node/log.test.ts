import { describe, expect, it } from 'vitest'
import { createLog, redact } from '../../../src/node/log.ts'

const KEY = '0123456789abcdef'.repeat(4)
const ONION = `${'abcdefgh'.repeat(7)}.onion`

function record(format: 'text' | 'json', level: 'debug' | 'info' = 'debug') {
  const lines: string[] = []
  return { log: createLog({ level, format }, (line) => lines.push(line)), lines }
}

describe('redaction', () => {
  it.each([
    ['a key', KEY],
    ['a key in upper case', KEY.toUpperCase()],
    ['a link', `megatorrent://${KEY}:${KEY}?peer=203.0.113.7%3A7117`],
    ['a link of another spelling', `MEGATORRENT://${KEY}`],
    ['an onion', `${ONION}:7117`],
    ['an address', '203.0.113.7:7117'],
    ['an address without a port', '203.0.113.7'],
    ['an IPv6 address', '[2001:db8::7]:7117'],
    ['a token in a header', 'Bearer 12345678-canary'],
  ])('leaves nothing of %s', (_name, secret) => {
    const core = secret.replace(/^megatorrent:|^Bearer /i, '').slice(8)
    for (const text of [secret, `x ${secret} y`, `x=${secret},`, `"${secret}"`, `a\n${secret}`]) {
      expect(redact(text)).not.toContain(core)
    }
  })

  it('keeps the first eight digits of ids, loopback addresses and ordinary words', () => {
    expect(redact(KEY)).toBe('01234567...')
    expect(redact('listening on 127.0.0.1:7117 and [::1]:7118, wildcard 0.0.0.0')).toBe(
      'listening on 127.0.0.1:7117 and [::1]:7118, wildcard 0.0.0.0',
    )
    expect(redact('blob 0123abcd of 65 in 12 ms')).toBe('blob 0123abcd of 65 in 12 ms')
  })

  it('removes what acts on a terminal', () => {
    expect(redact('a\u001b[31mb\u202ec\u009bd')).toBe('a\ufffd[31mb\ufffdc\ufffdd')
  })

  it('covers messages, fields and stacks, in both formats', () => {
    for (const format of ['text', 'json'] as const) {
      const { log, lines } = record(format)
      log.error(`message ${KEY}`, { field: KEY, stack: `Error: ${KEY}\n    at ${ONION}` })
      expect(lines.join('')).not.toMatch(new RegExp(`${KEY}|${ONION}`))
      expect(lines.join('')).toContain('01234567...')
    }
  })
})

describe('lines', () => {
  it('are one JSON document each, with level, time, part and fields', () => {
    const { log, lines } = record('json')
    log.child('node').child('dht').info('listens', { port: 1 })
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      part: 'node.dht',
      message: 'listens',
      port: 1,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    })
  })

  it('are text for people', () => {
    const { log, lines } = record('text')
    log.child('dht').warn('two words', { plain: 'a.b', quoted: 'a b', none: null, truth: true })
    expect(lines[0]).toMatch(/^\S+Z WARN {2}dht: two words plain=a\.b quoted="a b" none=null truth=true\n$/)
  })

  it('cannot be broken or forged by what is logged', () => {
    for (const format of ['text', 'json'] as const) {
      const { log, lines } = record(format)
      log.info('one\n2026-01-01T00:00:00.000Z ERROR forged', { field: 'x\ny' })
      expect(lines.join('').trimEnd().split('\n')).toHaveLength(1)
    }
  })

  it('below the level are not written', () => {
    const { log, lines } = record('json', 'info')
    log.debug('x')
    expect(lines).toEqual([])
  })
})
