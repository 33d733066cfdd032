/**
 * Text of single settings to values: sizes, rates, durations, addresses, paths.
 *
 * One function a type, `(text) => value`. Each accepts exactly what INTERFACE.md
 * names and throws MegatorrentError ERR_CONFIG_VALUE, whose message says what was
 * expected; who calls adds which setting it was and where it stood. Addresses are
 * checked for shape only: what they mean on the wire is decided by wire/address.ts.
 *
 * @module config/values
 */
import { isAbsolute, resolve } from 'node:path'
import { MegatorrentError } from '../base/errors.ts'

/** Where to listen or connect. `host` is an IP literal without brackets, or a name where those are allowed. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

function refuse(expected: string): never {
  throw new MegatorrentError('ERR_CONFIG_VALUE', `expected ${expected}`)
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
])

const SIZE_HINT = 'a size such as 500M, 20GiB or 1048576'

/** SIZE: integer with optional B, k, M, G, T (1000) or Ki, Mi, Gi, Ti (1024), each with or without B. */
export function parseSize(text: string): number {
  const match = /^([0-9]{1,16})([kMGT]?|[KMGT]i)B?$/.exec(text)
  const factor = match === null ? undefined : UNITS.get(match[2] ?? '')
  if (match === null || factor === undefined) refuse(SIZE_HINT)
  const bytes = Number(match[1]) * factor
  if (!Number.isSafeInteger(bytes)) refuse(`${SIZE_HINT}, below 2^53 bytes`)
  return bytes
}

/** RATE in bytes a second: SIZE with optional `/s`; 0 is unlimited. */
export function parseRate(text: string): number {
  return parseSize(text.endsWith('/s') ? text.slice(0, -2) : text)
}

/** An integer in [min, max], decimal digits only. */
export function parseInteger(text: string, min: number, max: number): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) refuse(`an integer from ${min} to ${max}`)
  return value
}

/** SECONDS, with decimals, to milliseconds. More than 0, at most a year. */
export function parseSeconds(text: string): number {
  const seconds = /^[0-9]{1,8}(?:\.[0-9]{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds > 0 && seconds <= 31_536_000)) refuse('seconds, more than 0 and at most 31536000 (a year)')
  return Math.round(seconds * 1000)
}

export function parseBoolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') refuse('true or false')
  return text === 'true'
}

/** Is this an IPv4 address in four decimal parts, none with leading zeros? */
export function isIpv4(host: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(host)
}

/** Canonical text of an IPv6 address without brackets or zone, or null. */
export function canonicalIpv6(host: string): string | null {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(host) || !host.includes(':')) return null
  const url = URL.canParse(`http://[${host}]/`) ? new URL(`http://[${host}]/`) : null
  return url === null ? null : url.hostname.slice(1, -1)
}

/** A name as DNS has them: labels of letters, digits and hyphens, the last one not a number. */
export function isDnsName(host: string): boolean {
  if (host.length > 253) return false
  const labels = host.split('.')
  if (/^[0-9]+$/.test(labels.at(-1) ?? '')) return false
  return labels.every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label))
}

interface SplitHostPort {
  readonly host: string
  readonly port: number
  readonly isIpv6: boolean
}

/** `HOST:PORT` or `[IPV6]:PORT`; the host is not looked at unless it is in brackets. */
function splitHostPort(text: string, minPort: number): SplitHostPort | null {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]@/\s]+)):([0-9]{1,5})$/.exec(text)
  if (match === null) return null
  const port = Number(match[3])
  if (port < minPort || port > 65_535) return null
  if (match[1] === undefined) return { host: match[2] ?? '', port, isIpv6: false }
  const host = canonicalIpv6(match[1])
  return host === null ? null : { host, port, isIpv6: true }
}

/**
 * Where to listen: an IP literal (or `localhost`, which is 127.0.0.1) and a port
 * from 0. No names: what they would bind to is not ours to guess.
 */
export function parseListenAddress(text: string): HostPort {
  const parts = splitHostPort(text, 0)
  if (parts === null) refuse('HOST:PORT or [IPV6]:PORT, with a port from 0 to 65535')
  if (parts.host.toLowerCase() === 'localhost') return { host: '127.0.0.1', port: parts.port }
  if (!parts.isIpv6 && !isIpv4(parts.host)) refuse('an IP address (not a name) and a port')
  return { host: parts.host, port: parts.port }
}

/**
 * A SOCKS5 proxy: `socks5://HOST:PORT`, an IP literal or `localhost`. A name would have to be resolved before
 * there is anything to resolve it through, and a password does not belong on a command line.
 */
export function parseProxy(text: string): HostPort {
  const match = /^socks5:\/\/([^/@]+)\/?$/i.exec(text)
  if (match === null) refuse('socks5://HOST:PORT, without a user or a path; names always go to the proxy')
  const parts = parseListenAddress(match[1] ?? '')
  if (parts.port === 0 || isWildcard(parts.host)) refuse('the address and port of a proxy')
  return parts
}

/** Another machine: an IP literal or a name, and a port from 1. */
export function parseRemoteAddress(text: string): HostPort {
  const parts = splitHostPort(text, 1)
  if (parts === null || !(parts.isIpv6 || isIpv4(parts.host) || isDnsName(parts.host))) {
    refuse('HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535')
  }
  return { host: parts.host, port: parts.port }
}

/** An address to announce: an IP literal that others could reach, and a port from 1. */
export function parseExternalAddress(text: string): HostPort {
  const parts = splitHostPort(text, 1)
  if (parts === null || !(parts.isIpv6 || isIpv4(parts.host))) {
    refuse('an IP address (not a name) and a port from 1 to 65535')
  }
  if (isWildcard(parts.host)) refuse('the address that others see, not a wildcard')
  return { host: parts.host, port: parts.port }
}

/**
 * ADDRESS: `HOST:PORT`, `[IPV6]:PORT` or `ONION.onion:PORT`, with an optional
 * `NODEKEY@` in front. The text is given back as it came, since wire/address.ts
 * decodes it; only its shape is checked here.
 */
export function parsePeerAddress(text: string): string {
  const match = /^(?:([^@]*)@)?([^@]+)$/.exec(text)
  const nodeKey = match?.[1]
  const parts = match === null ? null : splitHostPort(match[2] ?? '', 1)
  if (nodeKey !== undefined && !/^[0-9A-Fa-f]{64}$/.test(nodeKey)) {
    refuse('a node key of 64 hex digits before the @')
  }
  if (parts === null || !(parts.isIpv6 || isIpv4(parts.host) || isDnsName(parts.host))) {
    refuse('HOST:PORT, [IPV6]:PORT or ONION.onion:PORT, with an optional NODEKEY@ in front')
  }
  if (/\.onion$/i.test(parts.host) && !/^[a-z2-7]{56}\.onion$/i.test(parts.host)) {
    refuse('an onion of 56 letters and digits (version 3)')
  }
  return text
}

export function isOnionAddress(text: string): boolean {
  return /\.onion:[0-9]+$/i.test(text)
}

export function isPinnedAddress(text: string): boolean {
  return text.includes('@')
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** Is this IP literal one of this machine alone? */
export function isLoopback(host: string): boolean {
  return host === '::1' || (isIpv4(host) && host.startsWith('127.'))
}

/** `127.0.0.1:7118`, `[::1]:7118`. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A Host to accept: a name or an IP literal, with or without a port. Lower case comes back. */
export function parseHostName(text: string): string {
  const lower = text.toLowerCase()
  const parts = splitHostPort(lower, 1) ?? splitHostPort(`${lower}:1`, 1)
  if (parts === null || !(parts.isIpv6 || isIpv4(parts.host) || isDnsName(parts.host))) {
    refuse('a host name, with or without a port, and no wildcard')
  }
  return lower
}

/** An Origin to accept, as browsers send it: scheme, host, port if it is not the default. */
export function parseOrigin(text: string): string {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@\s]+)$/i.exec(text)
  if (match === null) refuse('an origin such as https://example.org')
  const lower = text.toLowerCase()
  parseHostName((match[2] ?? '').toLowerCase())
  return lower.replace(/^(http:\/\/[^/]+):80$|^(https:\/\/[^/]+):443$/, (_all, http, https) => http ?? https)
}

/** An absolute path; a relative one is taken from `callerFolder`, which is absolute. */
export function parsePath(text: string, callerFolder: string): string {
  if (text === '' || text.includes('\0')) refuse('a path')
  if (/^~(?:\/|$)/.test(text)) refuse('a path; ~ is expanded by the shell and not here')
  return isAbsolute(text) ? resolve(text) : resolve(callerFolder, text)
}

/** One of a few words. */
export function choice<T extends string>(...allowed: readonly T[]): (text: string) => T {
  return (text) => {
    const found = allowed.find((item) => item === text)
    return found ?? refuse(`one of ${allowed.join(', ')}`)
  }
}

/** DHT nodes to start from; `none` stands alone and makes the list empty. */
export function parseBootstrap(texts: readonly string[]): readonly HostPort[] {
  if (!texts.includes('none')) return texts.map(parseRemoteAddress)
  return texts.length === 1 ? [] : refuse('"none" to stand alone, or addresses only')
}

/** Two blobs and a little: below this not even a manifest and one file fit. */
const MIN_MAX_STORE = 2_162_688

export function parseMaxStore(text: string): number {
  const bytes = parseSize(text)
  return bytes >= MIN_MAX_STORE ? bytes : refuse(`at least ${MIN_MAX_STORE} bytes (is a unit missing?)`)
}
