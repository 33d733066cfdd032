/**
 * Which remote hosts count as one when work and places are shared out: an IPv4
 * address, or the /64 of an IPv6 one, since whoever has an IPv6 address has 2^64.
 *
 * For sharing out only: that two peers are in one group says nothing about them.
 *
 * @module transport/host-group
 */
import { toHex } from '../base/bytes.ts'
import { parseIpv6 } from '../wire/ip.ts'

const NETWORK_BYTES = 8

export function hostGroup(host: string): string {
  const ipv6 = host.includes(':') ? parseIpv6(host.split('%', 1)[0] ?? '') : null
  return ipv6 === null ? host : toHex(ipv6.subarray(0, NETWORK_BYTES))
}
