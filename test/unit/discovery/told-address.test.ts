import { describe, expect, it } from 'vitest'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { addressGroup } from '../../../src/discovery/address-group.ts'
import { isHintedPort, isPublicName, mayBeTold } from '../../../src/discovery/told-address.ts'
import { parseAddress } from '../../../src/wire/address.ts'
import { formatOnion, onionHost } from '../../../src/wire/onion.ts'

const at = (host: string) => parseAddress(`${host}:7117`)

describe('an address', () => {
  it.each([
    ['9.9.9.9', ['public', 'private', 'loopback', 'onion']],
    ['192.168.1.1', ['private', 'loopback']],
    ['10.0.0.1', ['private', 'loopback']],
    ['127.0.0.1', ['loopback']],
    ['[::1]', ['loopback']],
    ['[fe80::1]', ['private', 'loopback']],
    ['0.0.0.0', []],
    ['224.0.0.1', []],
  ])('%s is told to peers that come from %j', (host, classes) => {
    for (const is of ['public', 'private', 'loopback', 'onion'] as const) {
      expect(mayBeTold(at(host), is), is).toBe((classes as string[]).includes(is))
    }
  })

  it('is dialled on the word of others at no port of another service', () => {
    for (const port of [22, 25, 53, 80, 443, 1023, 3306, 5432, 6379, 9051, 11211, 27017]) {
      expect(isHintedPort(port), `${port}`).toBe(false)
    }
    for (const port of [1024, 7117, 6881, 49152, 65535]) expect(isHintedPort(port), `${port}`).toBe(true)
  })

  it.each(['localhost', 'printer', 'printer.local', 'a.LOCALHOST', 'x.internal', 'x.home.arpa'])(
    'whose name is of one network is not given to a proxy on the word of a link: %s',
    (name) => {
      expect(isPublicName(name)).toBe(false)
    },
  )

  it.each(['example.org', 'local.example', 'mylocal.org', 'x.internal.example'])(
    'whose name is of all is: %s',
    (name) => {
      expect(isPublicName(name)).toBe(true)
    },
  )

  it('is in the group of its network: /16, /32, and of an onion by its key', () => {
    expect(addressGroup(at('9.9.1.2'))).toBe(addressGroup(at('9.9.200.3')))
    expect(addressGroup(at('9.9.1.2'))).not.toBe(addressGroup(at('9.10.1.2')))
    expect(addressGroup(at('[2a00:1:2::3]'))).toBe(addressGroup(at('[2a00:1:ffff::]')))
    expect(addressGroup(at('[2a00:1:2::3]'))).not.toBe(addressGroup(at('[2a00:2:2::3]')))
    const onions = Array.from({ length: 20 }, (_, i) => {
      const { publicKey } = new SigningKey(new Uint8Array(32).fill(i))
      return addressGroup(at(formatOnion(onionHost(publicKey))))
    })
    expect(new Set(onions).size).toBe(20)
    // An IPv4 group is never one of IPv6, whatever the bytes.
    expect(addressGroup(at('9.9.1.2')).slice(0, 1)).not.toBe(addressGroup(at('[909::1]')).slice(0, 1))
  })
})
