/**
 * What kind of network an address belongs to, by IANA's registries of special
 * addresses. Pure: no name is resolved.
 *
 * Addresses from peers, links and slots are dialled only if they are public, or
 * of the class of our own listener: else a stranger could make us knock at
 * services of our own network. An IPv6 address that carries an IPv4 address
 * (NAT64, 6to4) is of that address's class, for the same reason.
 *
 * @module wire/address-class
 */
import type { Address } from './address.ts'
import { parseIpv4, parseIpv6 } from './ip.ts'

/**
 * `private` includes carrier-grade NAT, link-local and unique local addresses;
 * `reserved` is everything nobody can be dialled at, multicast among it; a `name` is
 * not known before it is resolved.
 */
export type AddressClass = 'loopback' | 'private' | 'reserved' | 'public' | 'onion' | 'name'

interface Block {
  readonly bytes: Uint8Array
  readonly bits: number
  readonly is: AddressClass
}

/** First match wins; what matches nothing is public. RFC 6890 and IANA's IPv4 registry. */
const IPV4_BLOCKS: readonly Block[] = [
  ipv4('0.0.0.0', 8, 'reserved'), // this network
  ipv4('10.0.0.0', 8, 'private'),
  ipv4('100.64.0.0', 10, 'private'), // carrier-grade NAT
  ipv4('127.0.0.0', 8, 'loopback'),
  ipv4('169.254.0.0', 16, 'private'), // link-local, cloud metadata too
  ipv4('172.16.0.0', 12, 'private'),
  ipv4('192.0.0.0', 24, 'reserved'), // protocol assignments
  ipv4('192.0.2.0', 24, 'reserved'), // documentation
  ipv4('192.88.99.0', 24, 'reserved'), // 6to4 relays, given up
  ipv4('192.168.0.0', 16, 'private'),
  ipv4('198.18.0.0', 15, 'reserved'), // benchmarks
  ipv4('198.51.100.0', 24, 'reserved'), // documentation
  ipv4('203.0.113.0', 24, 'reserved'), // documentation
  ipv4('224.0.0.0', 4, 'reserved'), // multicast
  ipv4('240.0.0.0', 4, 'reserved'), // future use and broadcast
]

/** First match wins; outside 2000::/3 nothing is public. */
const IPV6_BLOCKS: readonly Block[] = [
  ipv6('::1', 128, 'loopback'),
  ipv6('fc00::', 7, 'private'), // unique local
  ipv6('fe80::', 10, 'private'), // link-local
  ipv6('fec0::', 10, 'private'), // site-local, given up
  ipv6('2001::', 23, 'reserved'), // protocol assignments, Teredo among them
  ipv6('2001:db8::', 32, 'reserved'), // documentation
  ipv6('3fff::', 20, 'reserved'), // documentation
  ipv6('2000::', 3, 'public'),
]

/** An IPv4 address stands in the four bytes from `at` on. */
const IPV4_CARRIERS: readonly { readonly block: Block; readonly at: number }[] = [
  { block: ipv6('64:ff9b::', 96, 'public'), at: 12 }, // NAT64, RFC 6052
  { block: ipv6('2002::', 16, 'public'), at: 2 }, // 6to4, RFC 3056
]

/** @throws TypeError if the host is not the canonical text of its kind: addresses come from wire/address.ts. */
export function addressClass(address: Pick<Address, 'kind' | 'host'>): AddressClass {
  if (address.kind === 'onion' || address.kind === 'name') return address.kind
  if (address.kind === 'ipv4') return classOfIpv4(mustParse(parseIpv4(address.host), address.kind))
  const bytes = mustParse(parseIpv6(address.host), address.kind)
  const carrier = IPV4_CARRIERS.find(({ block }) => matches(bytes, block))
  if (carrier !== undefined) return classOfIpv4(bytes.subarray(carrier.at, carrier.at + 4))
  return IPV6_BLOCKS.find((block) => matches(bytes, block))?.is ?? 'reserved'
}

/** May be dialled whoever told of it: a public IP address, or an onion, which proves itself. */
export function isPublicAddress(address: Pick<Address, 'kind' | 'host'>): boolean {
  const is = addressClass(address)
  return is === 'public' || is === 'onion'
}

function classOfIpv4(bytes: Uint8Array): AddressClass {
  return IPV4_BLOCKS.find((block) => matches(bytes, block))?.is ?? 'public'
}

function matches(bytes: Uint8Array, block: Block): boolean {
  const whole = block.bits >> 3
  for (let i = 0; i < whole; i++) if (bytes[i] !== block.bytes[i]) return false
  const rest = block.bits & 7
  if (rest === 0) return true
  const mask = 0xff00 >> rest
  return (((bytes[whole] ?? 0) ^ (block.bytes[whole] ?? 0)) & mask & 0xff) === 0
}

function ipv4(text: string, bits: number, is: AddressClass): Block {
  return { bytes: mustParse(parseIpv4(text), 'ipv4'), bits, is }
}

function ipv6(text: string, bits: number, is: AddressClass): Block {
  return { bytes: mustParse(parseIpv6(text), 'ipv6'), bits, is }
}

function mustParse(bytes: Uint8Array | null, kind: string): Uint8Array {
  if (bytes === null) throw new TypeError(`"host" expected ${kind}`)
  return bytes
}
