/**
 * Which addresses belong to one owner, most likely: a /16 of IPv4, a /32 of IPv6.
 * Onions are free, so a group of them says little: they share 65,536 groups by a
 * hash of their key, as many as IPv4 has.
 *
 * @module discovery/address-group
 */
import { toHex, utf8Bytes } from '../base/bytes.ts'
import { sha256 } from '../crypto/hash.ts'
import type { Address } from '../wire/address.ts'
import { parseIpv4, parseIpv6 } from '../wire/ip.ts'
import { onionKey, parseOnion } from '../wire/onion.ts'

const IPV4_GROUP_BYTES = 2
const IPV6_GROUP_BYTES = 4
const HASHED_GROUP_BYTES = 2

export function addressGroup({ kind, host }: Pick<Address, 'kind' | 'host'>): string {
  if (kind === 'ipv4') return `4 ${prefix(parseIpv4(host) ?? utf8Bytes(host), IPV4_GROUP_BYTES)}`
  if (kind === 'ipv6') return `6 ${prefix(parseIpv6(host) ?? utf8Bytes(host), IPV6_GROUP_BYTES)}`
  const onion = kind === 'onion' ? parseOnion(host) : null
  const hashed = sha256(onion === null ? utf8Bytes(host) : onionKey(onion))
  return `${kind} ${prefix(hashed, HASHED_GROUP_BYTES)}`
}

function prefix(bytes: Uint8Array, count: number): string {
  return toHex(bytes.subarray(0, count))
}
