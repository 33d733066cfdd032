/**
 * Which addresses are ours, and which others may be dialled: pure rules on
 * addresses (PROTOCOL_FINAL.md §6.3, INTERFACE.md "ADDRESS").
 *
 * @module node/own-addresses
 */
import { isMegatorrentError } from '../base/errors.ts'
import { type ChannelKeys, channelKeys } from '../crypto/key-schedule.ts'
import type { AddressSource } from '../discovery/peer-book.ts'
import type { Endpoint } from '../transport/transport.ts'
import {
  type Address,
  decodeAddress,
  formatAddress,
  type PeerAddress,
  parseAddress,
} from '../wire/address.ts'
import { type AddressClass, addressClass } from '../wire/address-class.ts'
import { formatLink } from '../wire/uri.ts'

/** The address of an endpoint, or null for what is no IP literal. */
export function addressOf(endpoint: Endpoint): Address | null {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  try {
    const address = parseAddress(`${host}:${endpoint.port}`)
    return address.kind === 'name' ? null : address
  } catch (error) {
    if (isMegatorrentError(error)) return null
    throw error
  }
}

/**
 * May an address that others told of be dialled? Public ones always, loopback and
 * private ones only by a node that listens on the same class itself.
 */
export function isAcceptableFrom(listenHost: string): (address: Address) => boolean {
  const own = addressOf({ host: listenHost, port: 1 })
  const ownClass: AddressClass | null = own === null ? null : addressClass(own)
  return (address) => {
    const theirs = addressClass(address)
    if (theirs === 'public') return true
    return (theirs === 'loopback' || theirs === 'private') && theirs === ownClass
  }
}

/**
 * The same in safe mode: onions, clear addresses that the channel itself names, and the few that a gateway
 * finds under its topic. What peers tell could lead its exits to whoever wants to see them.
 */
export function isAcceptableBehindProxy(address: Address, source: AddressSource): boolean {
  const is = addressClass(address)
  return is === 'onion' || (is === 'public' && ['link', 'head', 'topic'].includes(source))
}

/**
 * Was a first message meant for us? The dialled address must be where this stream came in, or
 * one that the user named. Behind NAT, with nothing named, any public one may be ours.
 */
export function isOwnAddress(dialled: Uint8Array, local: Endpoint, external: Address | null): boolean {
  let address: Address | null
  try {
    address = decodeAddress(dialled)
  } catch (error) {
    if (isMegatorrentError(error)) return false
    throw error
  }
  if (address === null) return false
  const text = formatAddress(address)
  const here = addressOf(local)
  if (here !== null && formatAddress(here) === text) return true
  if (external !== null) return formatAddress(external) === text
  return here !== null && addressClass(here) === 'private' && addressClass(address) === 'public'
}

/**
 * The link of a channel of ours.
 *
 * @param readKey - null for a public one.
 * @param gateways - those that keep its blobs.
 */
export function linkTo(
  publicKey: Uint8Array,
  readKey: Uint8Array | null,
  addressesOf: (keys: ChannelKeys) => readonly Address[],
  gateways: readonly PeerAddress[] = [],
): string {
  const addresses = addressesOf(channelKeys(publicKey, readKey ?? undefined))
  const peers = addresses.map((address) => ({ ...address, nodeKey: null }))
  return formatLink({ publicKey, readKey, peers, gateways })
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Addresses that a release may name: what the user said, or a host that we listen on by name. */
export function announcedAddresses(listen: Endpoint, external: Address | null): Address[] {
  if (external !== null) return [external]
  if (WILDCARDS.has(listen.host)) return []
  const own = addressOf(listen)
  return own === null ? [] : [own]
}

/** `HOST:PORT` of the peer transport for people on this machine; null when there is none. */
export function reachableHere(listen: Endpoint): string | null {
  const host = listen.host === '0.0.0.0' ? '127.0.0.1' : listen.host === '::' ? '::1' : listen.host
  const own = addressOf({ host, port: listen.port })
  return own === null ? null : formatAddress(own)
}
