import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { loadConfig } from '../../src/config/load.ts'
import {
  formatHostPort,
  isIpv4,
  parseExternalAddress,
  parseHostName,
  parseListenAddress,
  parseMaxStore,
  parseOrigin,
  parsePath,
  parsePeerAddress,
  parseRate,
  parseRemoteAddress,
  parseSeconds,
  parseSize,
} from '../../src/config/values.ts'

const FACTORS = {
  '': 1,
  B: 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

describe('sizes', () => {
  it('are their number times their unit', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 5000 }),
        fc.constantFrom(...(Object.keys(FACTORS) as (keyof typeof FACTORS)[])),
        fc.boolean(),
        (count, unit, withB) => {
          const text = `${count}${unit}${withB && unit !== 'B' ? 'B' : ''}`
          expect(parseSize(text)).toBe(count * FACTORS[unit])
          expect(parseRate(`${text}/s`)).toBe(count * FACTORS[unit])
        },
      ),
    )
  })
})

describe('any text', () => {
  const parsers = {
    parseSize,
    parseRate,
    parseMaxStore,
    parseSeconds,
    parseListenAddress,
    parseRemoteAddress,
    parseExternalAddress,
    parsePeerAddress,
    parseHostName,
    parseOrigin,
    parsePath: (text: string) => parsePath(text, '/x'),
  }
  // Text that looks almost right finds more than text that does not.
  const almost = fc
    .array(
      fc.constantFrom(
        '127.0.0.1',
        '::1',
        '[',
        ']',
        ':',
        '80',
        '@',
        '/',
        'a',
        '.',
        'onion',
        '-',
        '0',
        'GiB',
        '%',
        '\n',
      ),
      {
        maxLength: 8,
      },
    )
    .map((parts) => parts.join(''))

  it.each(Object.entries(parsers))('given to %s is a value or our own error', (_name, parse) => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), almost), (text) => {
        try {
          parse(text)
        } catch (error) {
          expect(isMegatorrentError(error, 'ERR_CONFIG_VALUE')).toBe(true)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('that is an address comes back as one', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const text = isIpv4(host) ? `${host}:${port}` : `[${host}]:${port}`
        const parsed = parseListenAddress(text)
        expect(parsed.port).toBe(port)
        expect(parseListenAddress(formatHostPort(parsed))).toEqual(parsed)
      }),
    )
  })

  it('as config.toml gives a config or problems that name a place, and never throws', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc
        .tuple(
          fc.constantFrom('max_peers', 'listen', 'peer', 'no_dht', 'max_store', 'x', '[x]', '__proto__'),
          fc.constantFrom('1', '"1"', 'true', '[]', '["a"]', '1.5', '{}', '', '"'),
        )
        .map(([key, value]) => `${key} = ${value}`),
    )
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
        const loaded = loadConfig({
          flags: new Map(),
          environment: { HOME: '/home/u' },
          file: { path: '/f', text: lines.join('\n') },
          callerFolder: '/',
        })
        if (!loaded.ok) for (const problem of loaded.problems) expect(problem.place).toMatch(/^\/f/)
      }),
      { numRuns: 400 },
    )
  })
})
