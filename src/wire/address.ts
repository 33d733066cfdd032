/**
 * Addresses of peers: text as people write it, 38 bytes as heads and messages
 * carry it, 6 bytes as the DHT does (PROTOCOL_FINAL.md §4.4 and §4.5).
 *
 * An Address holds its host in the one canonical text form, so two addresses are
 * the same exactly if `formatAddress` gives the same text. Whether an address may
 * be dialled is not decided here: wire/address-class.ts says what it is, and the
 * owner of the dialler decides.
 *
 * @module wire/address
 */
import {
  assertBytes,
  ByteReader,
  ByteWriter,
  equalBytes,
  fromHex,
  isZeroBytes,
  toHex,
} from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { checkPublicKey, PUBLIC_KEY_BYTES } from '../crypto/ed25519.ts'
import { ADDRESS_BYTES } from './constants.ts'
import { formatIpv4, formatIpv6, IPV4_BYTES, IPV6_BYTES, isIpv4Mapped, parseIpv4, parseIpv6 } from './ip.ts'
import { formatOnion, isOnionHost, looksLikeOnion, ONION_HOST_BYTES, onionKey, parseOnion } from './onion.ts'

export type AddressKind = 'ipv4' | 'ipv6' | 'onion' | 'name'

export interface Address {
  /** `name` exists in text only: it has to be resolved, or handed to a proxy, and has no binary form. */
  readonly kind: AddressKind
  /** Canonical: `192.0.2.1`, `2001:db8::1` (no brackets), `<56 characters>.onion`, `host.example`. */
  readonly host: string
  /** 1..65535. */
  readonly port: number
}

/** An address as a user or a link gives it. */
export interface PeerAddress extends Address {
  /** Ed25519 key that the other side must prove, 32 bytes, or null. */
  readonly nodeKey: Uint8Array | null
}

/** Type byte, §4.4, with the bytes of its host. */
const TYPE_NONE = 0
const TYPE_IPV4 = 1
const TYPE_IPV6 = 2
const TYPE_ONION = 3
const HOST_BYTES = 35
const MAX_PORT = 65_535

/** IPv4 and port as BEP 5 has it. */
export const COMPACT_ADDRESS_BYTES = 6

/** Longest host name, RFC 1035, and longest text of an address around it. */
const MAX_NAME_CHARS = 253
const MAX_ADDRESS_CHARS = MAX_NAME_CHARS + 6

/**
 * @param address - null is type 0, no address.
 * @returns ADDRESS_BYTES fresh bytes.
 * @throws TypeError for a host name, which has no binary form, or a host that is not of its kind.
 */
export function encodeAddress(address: Address | null): Uint8Array {
  const writer = new ByteWriter(ADDRESS_BYTES)
  if (address === null) return writer.bytes
  const { type, host } = hostBytes(address)
  return writer
    .u8(type)
    .put(host)
    .skip(HOST_BYTES - host.length)
    .u16(address.port).bytes
}

/**
 * @param bytes - exactly ADDRESS_BYTES.
 * @returns the address, or null for type 0.
 * @throws MegatorrentError ERR_ADDRESS, kind 'peer': unknown type, host not valid for it, bytes
 *   after it not zero, port 0. Cost: an onion takes 1 ms for its key.
 */
export function decodeAddress(bytes: Uint8Array): Address | null {
  assertBytes(bytes, ADDRESS_BYTES, 'bytes')
  const reader = new ByteReader(bytes)
  const type = reader.u8()
  const field = reader.take(HOST_BYTES)
  const port = reader.u16()
  if (type === TYPE_NONE) {
    if (!isZeroBytes(bytes)) throw refused('no address, but its bytes are not zero')
    return null
  }
  if (port === 0) throw refused('port 0')
  const length = lengthOfHost(type)
  if (!isZeroBytes(field.subarray(length))) throw refused('bytes after the host are not zero')
  return { ...decodeHost(type, field.subarray(0, length)), port }
}

function lengthOfHost(type: number): number {
  if (type === TYPE_IPV4) return IPV4_BYTES
  if (type === TYPE_IPV6) return IPV6_BYTES
  if (type === TYPE_ONION) return ONION_HOST_BYTES
  throw refused(`unknown type ${type}`)
}

function decodeHost(type: number, host: Uint8Array): { kind: AddressKind; host: string } {
  if (type === TYPE_IPV4) return { kind: 'ipv4', host: formatIpv4(host) }
  if (type === TYPE_IPV6) {
    if (isIpv4Mapped(host)) throw refused('IPv4 in an IPv6 address')
    return { kind: 'ipv6', host: formatIpv6(host) }
  }
  if (!isOnionHost(host)) throw refused('checksum, version or key of an onion is wrong')
  return { kind: 'onion', host: formatOnion(host) }
}

function hostBytes(address: Address): { type: number; host: Uint8Array } {
  if (!isPort(address.port)) throw new RangeError(`"port" expected 1..${MAX_PORT}, got ${address.port}`)
  let host: Uint8Array | null = null
  let type = TYPE_NONE
  if (address.kind === 'ipv4') {
    type = TYPE_IPV4
    host = parseIpv4(address.host)
  } else if (address.kind === 'ipv6') {
    type = TYPE_IPV6
    host = parseIpv6(address.host)
  } else if (address.kind === 'onion') {
    type = TYPE_ONION
    host = parseOnion(address.host)
  }
  if (host === null) throw new TypeError(`"address" of kind ${address.kind} has no binary form`)
  return { type, host }
}

/** IPv4 address and port in 6 bytes, for the DHT; null for every other kind. */
export function encodeCompactAddress(address: Address): Uint8Array | null {
  if (address.kind !== 'ipv4') return null
  return new ByteWriter(COMPACT_ADDRESS_BYTES).put(hostBytes(address).host).u16(address.port).bytes
}

/** @param bytes - 6 bytes. @throws MegatorrentError ERR_ADDRESS, kind 'peer', for port 0 or another length. */
export function decodeCompactAddress(bytes: Uint8Array): Address {
  if (bytes.length !== COMPACT_ADDRESS_BYTES) throw refused(`a compact address of ${bytes.length} bytes`)
  const reader = new ByteReader(bytes)
  const host = formatIpv4(reader.take(IPV4_BYTES))
  const port = reader.u16()
  if (port === 0) throw refused('port 0')
  return { kind: 'ipv4', host, port }
}

/** `HOST:PORT`, IPv6 in brackets. One text for each address. */
export function formatAddress(address: Address): string {
  return address.kind === 'ipv6' ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** `HOST:PORT` with `NODEKEY@` in front where there is one. */
export function formatPeerAddress(address: PeerAddress): string {
  const text = formatAddress(address)
  return address.nodeKey === null ? text : `${toHex(address.nodeKey)}@${text}`
}

/**
 * `HOST:PORT`, `[IPV6]:PORT` or `ONION.onion:PORT`, any case, optionally with `NODEKEY@` in front.
 *
 * @throws MegatorrentError ERR_ADDRESS_TEXT, kind 'usage'; the message says what is wrong and
 *   does not repeat the text.
 */
export function parsePeerAddress(text: string): PeerAddress {
  const at = text.indexOf('@')
  if (at < 0) return { ...parseAddress(text), nodeKey: null }
  const nodeKey = fromHex(text.slice(0, at), PUBLIC_KEY_BYTES)
  if (nodeKey === null) throw unreadable(`the node key before "@" must be ${2 * PUBLIC_KEY_BYTES} hex digits`)
  if (!checkPublicKey(nodeKey)) throw unreadable('the node key before "@" is not a valid Ed25519 key')
  const address = { ...parseAddress(text.slice(at + 1)), nodeKey }
  const ownKey = provenKey({ ...address, nodeKey: null })
  if (ownKey !== null && !equalBytes(ownKey, nodeKey)) {
    throw unreadable('an onion proves the key of its own name: leave out the node key before "@"')
  }
  return address
}

/** The key that whoever answers there must prove: the one that is named, or that of which an onion is made. */
export function provenKey({ kind, host, nodeKey }: PeerAddress): Uint8Array | null {
  if (nodeKey !== null || kind !== 'onion') return nodeKey
  const bytes = parseOnion(host)
  if (bytes === null) throw new TypeError('"host" expected an onion')
  return onionKey(bytes).slice()
}

/** As `parsePeerAddress`, without a node key. */
export function parseAddress(text: string): Address {
  if (text.length > MAX_ADDRESS_CHARS) throw unreadable('the address is too long')
  // ASCII alone: some other letters become ASCII when they are made lower case.
  const match = /^(?:\[([\x21-\x5c\x5e-\x7e]*)\]|([\x21-\x39\x3b-\x3f\x41-\x5a\x5e-\x7e]*)):([0-9]*)$/.exec(
    text,
  )
  if (match === null) throw unreadable('an address is HOST:PORT, [IPV6]:PORT or ONION.onion:PORT')
  const [, bracketed, plain = '', digits = ''] = match
  const port = /^[1-9][0-9]{0,4}$/.test(digits) ? Number(digits) : 0
  if (!isPort(port)) throw unreadable(`the port must be a number from 1 to ${MAX_PORT}`)
  if (bracketed !== undefined) {
    const ipv6 = parseIpv6(bracketed)
    if (ipv6 === null) throw unreadable('the text in brackets is not an IPv6 address')
    return { kind: 'ipv6', host: formatIpv6(ipv6), port }
  }
  const ipv4 = parseIpv4(plain)
  if (ipv4 !== null) return { kind: 'ipv4', host: formatIpv4(ipv4), port }
  const host = plain.toLowerCase()
  if (looksLikeOnion(host)) {
    if (parseOnion(host) === null) throw unreadable('the .onion name is not a valid version 3 name')
    return { kind: 'onion', host, port }
  }
  if (!isHostName(host)) throw unreadable('the host is neither an IP address nor a host name')
  return { kind: 'name', host, port }
}

/**
 * Labels of letters, digits, `-` and `_`; the last one not a number, so that a
 * misspelt IPv4 address (`1.2.3`, `0x7f.1`) is never taken for a name and resolved.
 */
function isHostName(host: string): boolean {
  if (host.length === 0 || host.length > MAX_NAME_CHARS) return false
  const labels = host.split('.')
  const last = labels[labels.length - 1] ?? ''
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(last)) return false
  return labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= MAX_PORT
}

function refused(what: string): MegatorrentError {
  return new MegatorrentError('ERR_ADDRESS', `address: ${what}`)
}

function unreadable(what: string): MegatorrentError {
  return new MegatorrentError('ERR_ADDRESS_TEXT', what)
}
