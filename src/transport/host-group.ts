/**
 * Which remote hosts count as one when work and places are shared out: an IPv4
 * address, or the /64 of an IPv6 one, since whoever has an IPv6 address has 2^64.
 *
 * For sharing out only: that two peers are in one group says nothing about them.
 *
 * @module transport/host-group
 */
import { toHex } from '../base/bytes.ts'
import { parseIpv4, parseIpv6 } from '../wire/ip.ts'

const NETWORK_BYTES = 8

export function hostGroup(host: string): string {
  const ipv6 = host.includes(':') ? parseIpv6(host.split('%', 1)[0] ?? '') : null
  return ipv6 === null ? host : toHex(ipv6.subarray(0, NETWORK_BYTES))
}

const LOOPBACK_IPV4 = 127

/**
 * Is it an address of one host elsewhere? Behind loopback are all users of this machine, and all who
 * come through an onion service or a tunnel.
 */
export function isIpOfOthers(host: string): boolean {
  const ipv4 = parseIpv4(host)
  if (ipv4 !== null) return ipv4[0] !== LOOPBACK_IPV4
  const ipv6 = parseIpv6(host.split('%', 1)[0] ?? '')
  if (ipv6 === null) return false
  return !ipv6.every((byte, index) => byte === (index === ipv6.length - 1 ? 1 : 0))
}
