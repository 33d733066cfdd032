import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import {
  type Address,
  decodeAddress,
  decodeCompactAddress,
  encodeAddress,
  encodeCompactAddress,
  formatAddress,
  formatPeerAddress,
  parseAddress,
  parsePeerAddress,
  provenKey,
} from '../../../src/wire/address.ts'
import { addressClass, isPublicAddress } from '../../../src/wire/address-class.ts'
import { formatIpv6, parseIpv4, parseIpv6 } from '../../../src/wire/ip.ts'
import { formatOnion, onionHost, onionKey, onionName, parseOnion } from '../../../src/wire/onion.ts'
import { describeShared, hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf, damaged } from './refusal.ts'

interface AddressVectors {
  readonly valid: readonly { readonly text: string; readonly binary: string }[]
  readonly none: string
  readonly invalid: readonly { readonly why: string; readonly binary: string }[]
}

const VECTORS = readOwnVectors<AddressVectors>('addresses.json')

describe('the binary form', () => {
  it.each(VECTORS.valid)('of $text is that of the vector, both ways', ({ text, binary }) => {
    const address = parseAddress(text)
    expect(toHex(encodeAddress(address))).toBe(binary)
    expect(decodeAddress(hex(binary))).toEqual(address)
    expect(formatAddress(address)).toBe(text)
  })

  it('of no address is all zero', () => {
    expect(toHex(encodeAddress(null))).toBe(VECTORS.none)
    expect(decodeAddress(hex(VECTORS.none))).toBeNull()
  })

  it.each(VECTORS.invalid)('is refused with $why', ({ binary }) => {
    expect(codeOf(() => decodeAddress(hex(binary)))).toBe('ERR_ADDRESS')
  })

  it('survives no damage that is not another address of its own', () => {
    const random = seededRandom(3)
    for (const { binary } of VECTORS.valid) {
      for (const { bytes } of damaged(hex(binary), random)) {
        if (bytes.length !== 38) continue
        const code = codeOf(() => decodeAddress(bytes))
        if (code === null) expect(encodeAddress(decodeAddress(bytes))).toEqual(bytes)
        else expect(code).toBe('ERR_ADDRESS')
      }
    }
  })

  it('of a name does not exist, and our own nonsense is a TypeError', () => {
    expect(() => encodeAddress({ kind: 'name', host: 'host.example', port: 1 })).toThrow(TypeError)
    expect(() => encodeAddress({ kind: 'ipv4', host: '1.2.3', port: 1 })).toThrow(TypeError)
    expect(() => encodeAddress({ kind: 'ipv4', host: '1.2.3.4', port: 0 })).toThrow(RangeError)
    expect(() => decodeAddress(new Uint8Array(37))).toThrow(RangeError)
  })
})

describe('the compact form', () => {
  it('holds IPv4 and a port in six bytes', () => {
    const address: Address = { kind: 'ipv4', host: '1.2.3.4', port: 258 }
    expect(encodeCompactAddress(address)).toEqual(Uint8Array.of(1, 2, 3, 4, 1, 2))
    expect(decodeCompactAddress(Uint8Array.of(1, 2, 3, 4, 1, 2))).toEqual(address)
  })

  it('does not exist for other kinds, nor with port 0 or another length', () => {
    expect(encodeCompactAddress(parseAddress('[::1]:1'))).toBeNull()
    expect(encodeCompactAddress(parseAddress('name:1'))).toBeNull()
    expect(codeOf(() => decodeCompactAddress(Uint8Array.of(1, 2, 3, 4, 0, 0)))).toBe('ERR_ADDRESS')
    expect(codeOf(() => decodeCompactAddress(new Uint8Array(18).fill(9)))).toBe('ERR_ADDRESS')
  })
})

describe('the text form', () => {
  it.each([
    ['1.2.3.4:5', 'ipv4', '1.2.3.4'],
    ['0.0.0.0:1', 'ipv4', '0.0.0.0'],
    ['[::]:1', 'ipv6', '::'],
    ['[0:0:0:0:0:0:0:1]:1', 'ipv6', '::1'],
    ['[2001:DB8:0:1:0:0:0:A]:1', 'ipv6', '2001:db8:0:1::a'],
    ['[1:0:0:2:0:0:0:3]:1', 'ipv6', '1:0:0:2::3'],
    ['[1:0:0:2:3:0:0:4]:1', 'ipv6', '1::2:3:0:0:4'],
    ['[1:0:2:3:4:5:6:7]:1', 'ipv6', '1:0:2:3:4:5:6:7'],
    ['[1:2:3:4:5:6:7::]:1', 'ipv6', '1:2:3:4:5:6:7:0'],
    [
      '[1111:2222:3333:4444:5555:6666:255.255.255.255]:65535',
      'ipv6',
      '1111:2222:3333:4444:5555:6666:ffff:ffff',
    ],
    [`${'a.'.repeat(126)}b:65535`, 'name', `${'a.'.repeat(126)}b`],
    [`${'a'.repeat(63)}:1`, 'name', 'a'.repeat(63)],
    ['[64:ff9b::1.2.3.4]:1', 'ipv6', '64:ff9b::102:304'],
    ['[::1.2.3.4]:1', 'ipv6', '::102:304'],
    ['[1:2:3:4:5:6:1.2.3.4]:1', 'ipv6', '1:2:3:4:5:6:102:304'],
    ['Host.Example:1', 'name', 'host.example'],
    ['localhost:1', 'name', 'localhost'],
    ['a_b-c.d0:1', 'name', 'a_b-c.d0'],
    ['1.2.3.4.example:1', 'name', '1.2.3.4.example'],
    ['xn--bcher-kva.example:1', 'name', 'xn--bcher-kva.example'],
  ] as const)('%s is read', (text, kind, host) => {
    const address = parseAddress(text)
    expect(address).toMatchObject({ kind, host })
    expect(parseAddress(formatAddress(address))).toEqual(address)
  })

  it.each([
    '',
    ':',
    ':1',
    'a',
    'a:',
    'a:0',
    'a:65536',
    'a:99999',
    'a:100000',
    'a:01',
    'a: 1',
    'a:1 ',
    ' a:1',
    'a:-1',
    'a:+1',
    'a:1e3',
    'a:0x50',
    'a:b',
    'a:1:2',
    'a b:1',
    '1.2.3:1',
    '1.2.3.4.5:1',
    '1.2.3.256:1',
    '01.2.3.4:1',
    '1.2.3.4.:1',
    '.1.2.3.4:1',
    '0x7f.0.0.1:1',
    '1:1',
    '127.1:1',
    '1.2.3.0x4:1',
    '::1:1',
    '[::1]',
    '[::1]:',
    '[::1:1',
    '::1]:1',
    '[[::1]]:1',
    '[:::]:1',
    '[1:::2]:1',
    '[1::2::3]:1',
    '[1:2:3:4:5:6:7]:1',
    '[1:2:3:4:5:6:7:8:9]:1',
    '[1:2:3:4:5:6:7::8]:1x',
    '[12345::]:1',
    '[g::]:1',
    '[::1%eth0]:1',
    '[fe80::1%251]:1',
    '[::ffff:1.2.3.4]:1',
    '[::FFFF:0102:0304]:1',
    '[1.2.3.4]:1',
    '[::1.2.3]:1',
    '[1.2.3.4::]:1',
    '[::1.2.3.4:5]:1',
    '[]:1',
    '[a.b]:1',
    '-a:1',
    'a-:1',
    'a..b:1',
    '.a:1',
    'a.:1',
    '\u00e9:1',
    'a/b:1',
    'a?b:1',
    'a#b:1',
    'a%62:1',
    'a,b:1',
    `${'a'.repeat(64)}:1`,
    `${'a.'.repeat(127)}a:1`,
    'onion:0',
    'a.onion:1',
    'expyuzz4wqqyqhjn.onion:1',
    '.onion:1',
    `${'a'.repeat(56)}.onion:1`,
    `${'1'.repeat(56)}.onion:1`,
    '\u212a:1',
    'x'.repeat(5000),
  ])('%j is refused', (text) => {
    expect(codeOf(() => parseAddress(text))).toBe('ERR_ADDRESS_TEXT')
  })

  it('takes a node key in front, and only a good one', () => {
    const { text } = VECTORS.valid[0] as { text: string }
    const key = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
    const address = parsePeerAddress(`${key.toUpperCase()}@${text}`)
    expect(formatPeerAddress(address)).toBe(`${key}@${text}`)
    expect(parsePeerAddress(text).nodeKey).toBeNull()
    expect(formatPeerAddress(parsePeerAddress(text))).toBe(text)
    for (const bad of [
      '@',
      `${key}@`,
      `${key.slice(1)}@${text}`,
      `${key}0@${text}`,
      `${key}@${key}@${text}`,
      `${'00'.repeat(32)}@${text}`,
      `x@${text}`,
    ]) {
      expect(codeOf(() => parsePeerAddress(bad))).toBe('ERR_ADDRESS_TEXT')
    }
    expect(codeOf(() => parseAddress(`${key}@${text}`))).toBe('ERR_ADDRESS_TEXT')
  })

  it('says which key must be proven there: the one in front, or that of the onion', () => {
    const { publicKey } = new SigningKey(new Uint8Array(32).fill(7))
    const onion = `${onionName(publicKey)}:7117`
    const key = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
    expect(provenKey(parsePeerAddress(onion))).toEqual(publicKey)
    expect(provenKey(parsePeerAddress(`${toHex(publicKey)}@${onion}`))).toEqual(publicKey)
    expect(codeOf(() => parsePeerAddress(`${key}@${onion}`))).toBe('ERR_ADDRESS_TEXT')
    for (const clear of ['8.8.8.8:1', '[2a00:1450::1]:1', 'example.org:1']) {
      expect(provenKey(parsePeerAddress(clear))).toBeNull()
      expect(toHex(provenKey(parsePeerAddress(`${key}@${clear}`)) as Uint8Array)).toBe(key)
    }
  })

  it('is never repeated in an error: it may be part of a secret link', () => {
    try {
      parsePeerAddress('secret-host-name:99999')
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain('secret')
    }
  })
})

describe('IPv6 text', () => {
  it('has one form for each address', () => {
    const random = seededRandom(11)
    for (let run = 0; run < 2000; run++) {
      const bytes = random.bytes(16).map((byte) => (random.fraction() < 0.6 ? 0 : byte))
      const text = formatIpv6(bytes)
      const parsed = parseIpv6(text)
      // Only an IPv4-mapped address does not come back.
      if (parsed === null) expect(text.startsWith('::ffff:')).toBe(true)
      else expect(parsed).toEqual(bytes)
      // The URL standard writes IPv6 by the same rules.
      expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`)
    }
  })

  it('of all lengths up to the longest is parsed in bounded time', () => {
    expect(parseIpv6(':'.repeat(100_000))).toBeNull()
    expect(parseIpv4('1.'.repeat(100_000))).toBeNull()
  })
})

describe('the class of an address', () => {
  it.each([
    ['0.0.0.0', 'reserved'],
    ['0.255.255.255', 'reserved'],
    ['1.0.0.0', 'public'],
    ['9.255.255.255', 'public'],
    ['10.0.0.0', 'private'],
    ['10.255.255.255', 'private'],
    ['11.0.0.0', 'public'],
    ['100.63.255.255', 'public'],
    ['100.64.0.0', 'private'],
    ['100.127.255.255', 'private'],
    ['100.128.0.0', 'public'],
    ['126.255.255.255', 'public'],
    ['127.0.0.0', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['128.0.0.0', 'public'],
    ['169.253.255.255', 'public'],
    ['169.254.169.254', 'private'],
    ['169.255.0.0', 'public'],
    ['172.15.255.255', 'public'],
    ['172.16.0.0', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'public'],
    ['192.0.0.1', 'reserved'],
    ['192.0.1.0', 'public'],
    ['192.0.2.1', 'reserved'],
    ['192.88.99.1', 'reserved'],
    ['192.167.255.255', 'public'],
    ['192.168.0.0', 'private'],
    ['192.169.0.0', 'public'],
    ['198.17.255.255', 'public'],
    ['198.18.0.0', 'reserved'],
    ['198.19.255.255', 'reserved'],
    ['198.20.0.0', 'public'],
    ['198.51.100.1', 'reserved'],
    ['203.0.113.255', 'reserved'],
    ['203.0.114.0', 'public'],
    ['223.255.255.255', 'public'],
    ['224.0.0.0', 'reserved'],
    ['239.255.255.255', 'reserved'],
    ['240.0.0.0', 'reserved'],
    ['255.255.255.255', 'reserved'],
  ] as const)('%s is %s', (host, is) => {
    expect(addressClass({ kind: 'ipv4', host })).toBe(is)
    expect(isPublicAddress({ kind: 'ipv4', host })).toBe(is === 'public')
  })

  it.each([
    ['::', 'reserved'],
    ['::1', 'loopback'],
    ['::2', 'reserved'],
    ['::7f00:1', 'reserved'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['64:ff9b::a00:1', 'private'],
    ['64:ff9b::808:808', 'public'],
    ['64:ff9b:1::1', 'reserved'],
    ['100::1', 'reserved'],
    ['1fff::1', 'reserved'],
    ['2000::1', 'public'],
    ['2001::1', 'reserved'],
    ['2001:1ff:ffff::', 'reserved'],
    ['2001:200::1', 'public'],
    ['2001:db8::1', 'reserved'],
    ['2001:db9::1', 'public'],
    ['2002:7f00:1::1', 'loopback'],
    ['2002:c0a8:1::1', 'private'],
    ['2002:808:808::1', 'public'],
    ['2a00::1', 'public'],
    ['3fff:fff::1', 'reserved'],
    ['3fff:1000::1', 'public'],
    ['4000::1', 'reserved'],
    ['fbff::1', 'reserved'],
    ['fc00::1', 'private'],
    ['fdff::1', 'private'],
    ['fe00::1', 'reserved'],
    ['fe80::1', 'private'],
    ['febf::1', 'private'],
    ['fec0::1', 'private'],
    ['ff02::1', 'reserved'],
  ] as const)('%s is %s', (host, is) => {
    expect(addressClass({ kind: 'ipv6', host })).toBe(is)
  })

  it('of onions and names is their kind; onions prove themselves and are public', () => {
    expect(addressClass({ kind: 'onion', host: 'x' })).toBe('onion')
    expect(isPublicAddress({ kind: 'onion', host: 'x' })).toBe(true)
    expect(addressClass({ kind: 'name', host: 'localhost' })).toBe('name')
    expect(isPublicAddress({ kind: 'name', host: 'example.com' })).toBe(false)
  })

  it('of something that is no address is our own mistake', () => {
    expect(() => addressClass({ kind: 'ipv4', host: '1.2.3' })).toThrow(TypeError)
    expect(() => addressClass({ kind: 'ipv6', host: '1.2.3.4' })).toThrow(TypeError)
  })
})

interface OnionVectors {
  readonly [name: string]: unknown
}

describeShared<OnionVectors>("Tor's onion vectors", 'tor/onion_v3.json', (vectors) => {
  const names = [...new Set(JSON.stringify(vectors).match(/[a-z2-7]{56}\.onion/g) ?? [])]

  it('are found in the file', () => {
    expect(names.length).toBeGreaterThan(5)
  })

  it('are read and written again, or refused for their checksum, version or key', () => {
    let valid = 0
    for (const name of names) {
      const host = parseOnion(name)
      if (host === null) continue
      valid++
      expect(formatOnion(host)).toBe(name)
      expect(onionHost(onionKey(host))).toEqual(host)
      expect(parseOnion(name.toUpperCase())).toEqual(host)
      // Each of the 56 characters matters.
      for (let at = 0; at < 56; at += 5) {
        const other = name[at] === 'a' ? 'b' : 'a'
        expect(parseOnion(name.slice(0, at) + other + name.slice(at + 1))).toBeNull()
      }
    }
    expect(valid).toBeGreaterThan(5)
  })
})
