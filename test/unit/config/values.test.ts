import { describe, expect, it } from 'vitest'
import {
  canonicalIpv6,
  formatHostPort,
  isDnsName,
  isIpv4,
  isLoopback,
  parseBoolean,
  parseExternalAddress,
  parseHostName,
  parseInteger,
  parseListenAddress,
  parseMaxStore,
  parseOrigin,
  parsePath,
  parsePeerAddress,
  parseRate,
  parseRemoteAddress,
  parseSeconds,
  parseSize,
} from '../../../src/config/values.ts'

const KEY = 'ab'.repeat(32)
const ONION = `${'a'.repeat(56)}.onion`
const wrong = expect.objectContaining({ code: 'ERR_CONFIG_VALUE', kind: 'config' })

/** Checks that every text is refused with our own error. */
function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts) {
    let thrown: unknown = null
    try {
      parse(text)
    } catch (error) {
      thrown = error
    }
    expect(thrown, JSON.stringify(text)).toEqual(wrong)
  }
}

describe('a size', () => {
  it.each([
    ['0', 0],
    ['1', 1],
    ['1B', 1],
    ['5k', 5000],
    ['5kB', 5000],
    ['5M', 5e6],
    ['5G', 5e9],
    ['5T', 5e12],
    ['5Ki', 5120],
    ['5KiB', 5120],
    ['5Mi', 5 * 2 ** 20],
    ['20GiB', 20 * 2 ** 30],
    ['5Ti', 5 * 2 ** 40],
    ['007', 7],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it('is nothing else', () => {
    refuses(parseSize, [
      '',
      ' 1',
      '1 ',
      '1 GiB',
      '-1',
      '+1',
      '1.5G',
      '1e3',
      '0x10',
      'GiB',
      '1K',
      '1m',
      '1KB',
      '1gib',
      '1P',
      '1iB',
      '1BB',
      '1\n',
      '9007199254740992',
      '9999T',
      '99999999999999999',
      '１',
    ])
  })

  it('as a rate may end in /s', () => {
    expect(parseRate('1M/s')).toBe(1e6)
    expect(parseRate('0')).toBe(0)
    refuses(parseRate, ['1M/m', '/s', '1M/s/s'])
  })

  it('of the store holds at least two blobs', () => {
    expect(parseMaxStore('3MiB')).toBe(3 * 2 ** 20)
    refuses(parseMaxStore, ['0', '20', '1MiB'])
  })
})

describe('numbers and words', () => {
  it('integers are digits within bounds', () => {
    expect(parseInteger('0', 0, 65_535)).toBe(0)
    expect(parseInteger('65535', 0, 65_535)).toBe(65_535)
    refuses(
      (text) => parseInteger(text, 1, 100),
      ['', '0', '101', '1.0', '-1', '1e1', ' 1', '0x1', 'NaN', 'Infinity'],
    )
  })

  it('seconds become whole milliseconds', () => {
    expect(parseSeconds('1')).toBe(1000)
    expect(parseSeconds('0.25')).toBe(250)
    refuses(parseSeconds, ['', '0', '0.0', '-1', '1s', '1e3', '.5', '1.', '31536001', 'never'])
  })

  it('truth is true or false', () => {
    expect(parseBoolean('true')).toBe(true)
    expect(parseBoolean('false')).toBe(false)
    refuses(parseBoolean, ['', '1', '0', 'yes', 'TRUE', 'on'])
  })
})

describe('addresses', () => {
  it('to listen on are IP literals with a port, which may be 0', () => {
    expect(parseListenAddress('0.0.0.0:7117')).toEqual({ host: '0.0.0.0', port: 7117 })
    expect(parseListenAddress('127.0.0.1:0')).toEqual({ host: '127.0.0.1', port: 0 })
    expect(parseListenAddress('[::1]:80')).toEqual({ host: '::1', port: 80 })
    expect(parseListenAddress('[0:0:0:0:0:0:0:1]:80')).toEqual({ host: '::1', port: 80 })
    expect(parseListenAddress('localhost:80')).toEqual({ host: '127.0.0.1', port: 80 })
    refuses(parseListenAddress, [
      '',
      '7117',
      ':7117',
      '*:7117',
      'example.org:80',
      '127.0.0.1',
      '127.0.0.1:',
      '127.0.0.1:65536',
      '127.0.0.1:-1',
      '127.0.0.1:1x',
      '127.1:80',
      '0x7f.0.0.1:80',
      '127.0.0.01:80',
      '256.0.0.1:80',
      '::1:80',
      '[::1',
      '[::1]80',
      '[::g]:80',
      '[::1%lo]:80',
      '[127.0.0.1]:80',
      'http://127.0.0.1:80',
      '127.0.0.1:80/',
      'a@127.0.0.1:80',
      ' 127.0.0.1:80',
      '127.0.0.1:80\n',
    ])
  })

  it('of others may be names, and need a port', () => {
    expect(parseRemoteAddress('router.example.org:6881')).toEqual({ host: 'router.example.org', port: 6881 })
    expect(parseRemoteAddress('10.0.0.1:1')).toEqual({ host: '10.0.0.1', port: 1 })
    refuses(parseRemoteAddress, [
      'router.example.org',
      'a..b:1',
      '-a.b:1',
      'a:0',
      'a b:1',
      '1.2.3:1',
      `${'a'.repeat(64)}.b:1`,
    ])
  })

  it('to announce are literals that mean one machine', () => {
    expect(parseExternalAddress('203.0.113.7:7117')).toEqual({ host: '203.0.113.7', port: 7117 })
    refuses(parseExternalAddress, ['0.0.0.0:7117', '[::]:7117', 'example.org:7117', '203.0.113.7:0'])
  })

  it('of peers may carry a node key and be onions, and come back as they were', () => {
    for (const text of [
      '127.0.0.1:7117',
      '[2001:db8::1]:7117',
      'peer.example.org:7117',
      `${ONION}:7117`,
      `${KEY}@127.0.0.1:7117`,
      `${KEY.toUpperCase()}@${ONION}:1`,
    ]) {
      expect(parsePeerAddress(text)).toBe(text)
    }
    refuses(parsePeerAddress, [
      '',
      '@127.0.0.1:1',
      'abcd@127.0.0.1:1',
      `${KEY}0@127.0.0.1:1`,
      `${KEY}@`,
      `${KEY}@${KEY}@127.0.0.1:1`,
      'short.onion:1',
      `${'1'.repeat(56)}.onion:1`,
      '127.0.0.1:0',
      'megatorrent://x',
    ])
  })

  it('have one text', () => {
    expect(formatHostPort({ host: '::1', port: 1 })).toBe('[::1]:1')
    expect(formatHostPort({ host: '127.0.0.1', port: 1 })).toBe('127.0.0.1:1')
    expect(canonicalIpv6('2001:DB8:0::1')).toBe('2001:db8::1')
    expect(canonicalIpv6('1.2.3.4')).toBeNull()
  })

  it('are loopback only in 127.0.0.0/8 and as ::1', () => {
    for (const host of ['127.0.0.1', '127.255.0.9', '::1']) expect(isLoopback(host)).toBe(true)
    for (const host of ['0.0.0.0', '::', '128.0.0.1', '127.evil.example', '::ffff:7f00:1', '10.0.0.1']) {
      expect(isLoopback(host)).toBe(false)
    }
  })

  it('tell numbers from names', () => {
    for (const text of ['1.2.3.4', '255.255.255.255', '0.0.0.0']) expect(isIpv4(text)).toBe(true)
    for (const text of ['1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.256', '1.2.3.4.', '.1.2.3.4'])
      expect(isIpv4(text)).toBe(false)
    expect(isDnsName('1.2.3.4')).toBe(false)
    expect(isDnsName('a.b-c.example')).toBe(true)
  })
})

describe('what RPC requests may carry', () => {
  it('host names, with or without a port, in lower case', () => {
    expect(parseHostName('NAS.example')).toBe('nas.example')
    expect(parseHostName('nas.example:8443')).toBe('nas.example:8443')
    expect(parseHostName('[::1]:80')).toBe('[::1]:80')
    refuses(parseHostName, ['', '*', '*.example', 'a/b', 'http://a', 'a:0', 'a:b', 'a b', 'a@b'])
  })

  it('origins as browsers send them', () => {
    expect(parseOrigin('HTTPS://Nas.example')).toBe('https://nas.example')
    expect(parseOrigin('https://nas.example:443')).toBe('https://nas.example')
    expect(parseOrigin('http://nas.example:80')).toBe('http://nas.example')
    expect(parseOrigin('http://nas.example:443')).toBe('http://nas.example:443')
    refuses(parseOrigin, [
      '',
      '*',
      'null',
      'nas.example',
      'https://',
      'https://a/',
      'https://a/b',
      'https://*.a',
      'https://u@a',
    ])
  })
})

describe('a path', () => {
  it('is taken from the folder of the caller', () => {
    expect(parsePath('a/b', '/home/u')).toBe('/home/u/a/b')
    expect(parsePath('../a', '/home/u')).toBe('/home/a')
    expect(parsePath('/a/../b', '/home/u')).toBe('/b')
    expect(parsePath('~backup', '/home/u')).toBe('/home/u/~backup')
  })

  it('is not empty, has no NUL, and ~ is not expanded behind anybody', () => {
    refuses((text) => parsePath(text, '/home/u'), ['', 'a\0b', '~', '~/downloads'])
  })
})
