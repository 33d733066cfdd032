/** Which addresses are ours, and which of others may be dialled (PROTOCOL_FINAL.md §6.3). */
import { describe, expect, it } from 'vitest'
import {
  addressOf,
  announcedAddresses,
  isAcceptableBehindProxy,
  isAcceptableFrom,
  isOwnAddress,
  reachableHere,
} from '../../../src/node/own-addresses.ts'
import { type Address, encodeAddress, parseAddress } from '../../../src/wire/address.ts'

const bytes = (text: string): Uint8Array => encodeAddress(parseAddress(text))
const ipv4 = (host: string, port = 7117): Address => ({ kind: 'ipv4', host, port })

describe('addresses that others tell of', () => {
  const PUBLIC = ['8.8.8.8:7117', '[2a00:1450::1]:7117']
  const LOOPBACK = ['127.0.0.1:7117', '[::1]:7117']
  const PRIVATE = [
    '10.0.0.1:7117',
    '192.168.1.1:7117',
    '169.254.169.254:80',
    '100.64.0.1:7117',
    '[fe80::1]:7117',
  ]
  const NOWHERE = [
    '0.0.0.0:7117',
    '224.0.0.1:7117',
    '255.255.255.255:7117',
    '192.0.2.1:7117',
    '[ff02::1]:7117',
  ]

  it.each([
    ['0.0.0.0', PUBLIC],
    ['::', PUBLIC],
    ['8.8.4.4', PUBLIC],
    ['127.0.0.1', [...PUBLIC, ...LOOPBACK]],
    ['192.168.7.7', [...PUBLIC, ...PRIVATE]],
  ])(
    'may be dialled from a node that listens on %s if they are public or of its own class',
    (host, allowed) => {
      const isAcceptable = isAcceptableFrom(host)
      const accepted = [...PUBLIC, ...LOOPBACK, ...PRIVATE, ...NOWHERE].filter((text) =>
        isAcceptable(parseAddress(text)),
      )
      expect(accepted).toEqual(allowed)
    },
  )

  it('are no onions, which this mode cannot reach, and no names', () => {
    const isAcceptable = isAcceptableFrom('0.0.0.0')
    expect(isAcceptable({ kind: 'name', host: 'localhost', port: 7117 })).toBe(false)
    expect(isAcceptable({ kind: 'onion', host: `${'a'.repeat(56)}.onion`, port: 7117 })).toBe(false)
  })
})

describe('addresses behind a proxy', () => {
  const onion: Address = { kind: 'onion', host: `${'a'.repeat(56)}.onion`, port: 7117 }
  const SOURCES = ['link', 'head', 'topic', 'pex', 'claim', 'anchor'] as const
  const acceptedFrom = (address: Address) =>
    SOURCES.filter((source) => isAcceptableBehindProxy(address, source))

  it('may be onions, whoever told of them', () => {
    expect(acceptedFrom(onion)).toEqual(SOURCES)
  })

  it.each(['8.8.8.8:7117', '[2a00:1450::1]:7117'])(
    'may be %s if its channel or a gateway names it',
    (text) => {
      expect(acceptedFrom(parseAddress(text))).toEqual(['link', 'head', 'topic'])
    },
  )

  it.each([
    '127.0.0.1:7117',
    '[::1]:7117',
    '10.0.0.1:7117',
    '169.254.169.254:80',
    '0.0.0.0:7117',
    '[fe80::1]:7117',
    '[fc00::1]:7117',
    '[64:ff9b::a00:1]:7117',
    '[2002:7f00:1::]:7117',
    '224.0.0.1:7117',
  ])('are never %s: what is near the proxy is nobody’s to name', (text) => {
    expect(acceptedFrom(parseAddress(text))).toEqual([])
  })
})

describe('a first message', () => {
  const local = { host: '192.168.1.5', port: 7117 }

  it('was meant for us if it came to the address that it names', () => {
    expect(isOwnAddress(bytes('192.168.1.5:7117'), local, null)).toBe(true)
    expect(isOwnAddress(bytes('192.168.1.5:7118'), local, null)).toBe(false)
    expect(isOwnAddress(bytes('192.168.1.6:7117'), local, null)).toBe(false)
    expect(isOwnAddress(bytes('[2a00:1450::1]:7117'), { host: '2a00:1450::1', port: 7117 }, null)).toBe(true)
  })

  it('was meant for us if it names what the user said that we are', () => {
    const external = ipv4('8.8.8.8', 9000)
    expect(isOwnAddress(bytes('8.8.8.8:9000'), local, external)).toBe(true)
    expect(isOwnAddress(bytes('8.8.8.8:7117'), local, external)).toBe(false)
    expect(isOwnAddress(bytes('8.8.4.4:9000'), local, external)).toBe(false)
  })

  it('may be meant for us behind NAT if it names any public address, and only there', () => {
    expect(isOwnAddress(bytes('8.8.8.8:7117'), local, null)).toBe(true)
    expect(isOwnAddress(bytes('10.0.0.1:7117'), local, null)).toBe(false)
    expect(isOwnAddress(bytes('8.8.8.8:7117'), { host: '8.8.4.4', port: 7117 }, null)).toBe(false)
    expect(isOwnAddress(bytes('8.8.8.8:7117'), { host: '127.0.0.1', port: 7117 }, null)).toBe(false)
  })

  it('with a malformed address was meant for nobody', () => {
    expect(isOwnAddress(new Uint8Array(38).fill(7), local, null)).toBe(false)
    expect(isOwnAddress(new Uint8Array(38), local, null)).toBe(false)
  })
})

describe('what a release may name', () => {
  it('is what the user said, or a host that we listen on by name, never a wildcard', () => {
    expect(announcedAddresses({ host: '0.0.0.0', port: 1 }, null)).toEqual([])
    expect(announcedAddresses({ host: '::', port: 1 }, null)).toEqual([])
    expect(announcedAddresses({ host: '127.0.0.1', port: 5 }, null)).toEqual([ipv4('127.0.0.1', 5)])
    expect(announcedAddresses({ host: '0.0.0.0', port: 1 }, ipv4('8.8.8.8', 9))).toEqual([ipv4('8.8.8.8', 9)])
  })

  it('is not what a person on this machine uses', () => {
    expect(reachableHere({ host: '0.0.0.0', port: 5 })).toBe('127.0.0.1:5')
    expect(reachableHere({ host: '::', port: 5 })).toBe('[::1]:5')
    expect(reachableHere({ host: '192.168.1.5', port: 5 })).toBe('192.168.1.5:5')
    expect(reachableHere({ host: 'no address', port: 5 })).toBe(null)
    expect(addressOf({ host: 'fe80::1', port: 3 })).toMatchObject({ kind: 'ipv6' })
  })
})
