/**
 * Which addresses may be told to whom, and at which ports nobody is dialled on the
 * word of others. Pure.
 *
 * An address that somebody tells of is a way to make us knock where he likes, a
 * thousand of us at a time. So below MIN_HINTED_PORT and at ports of well-known
 * services above it nothing is dialled; and addresses of our own network are told
 * only to those who are in it.
 *
 * @module discovery/told-address
 */
import { MIN_HINTED_PORT } from '../base/limits.ts'
import type { Address } from '../wire/address.ts'
import { type AddressClass, addressClass } from '../wire/address-class.ts'

/** Databases, caches, remote desktops, control ports: what answers to bytes that were not meant for it. */
const SERVICE_PORTS: ReadonlySet<number> = new Set([
  1080, 1433, 1521, 1723, 1883, 2049, 2181, 2375, 2376, 3128, 3306, 3389, 4369, 5060, 5432, 5672, 5900, 5984,
  6000, 6379, 6443, 6667, 7000, 8000, 8080, 8333, 8443, 8888, 9000, 9042, 9050, 9051, 9092, 9100, 9200, 9300,
  10250, 11211, 15672, 27017,
])

/** May a port be dialled that neither the user nor a link named? */
export function isHintedPort(port: number): boolean {
  return port >= MIN_HINTED_PORT && !SERVICE_PORTS.has(port)
}

/** Names of one machine or one network (RFC 6761, 6762, 8375 and ICANN's `internal`). */
const LOCAL_NAME = /^[^.]+$|(?:^|\.)(?:localhost|local|internal|home\.arpa)$/i

/** May a name that a link tells of be given to a proxy, which would find what is near to it? */
export function isPublicName(host: string): boolean {
  return !LOCAL_NAME.test(host)
}

/** May the address be told to a peer of that class? */
export function mayBeTold(address: Pick<Address, 'kind' | 'host'>, peerClass: AddressClass): boolean {
  const is = addressClass(address)
  if (is === 'public' || is === 'onion') return true
  if (is === 'private') return peerClass === 'private' || peerClass === 'loopback'
  return is === 'loopback' && peerClass === 'loopback'
}
