/**
 * Link: what a publisher hands out (PROTOCOL_FINAL.md §4.5, INTERFACE.md "Link").
 *
 *     megatorrent://<public key>[:<read key>][?peer=ADDRESS&gateway=ADDRESS...][#<read key>]
 *
 * A link is a secret of a private channel. Errors say what is wrong and never
 * repeat the text. Not a general URL parser: `URL` would accept much that is no link.
 *
 * @module wire/uri
 */
import { equalBytes, fromHex, isZeroBytes, toHex } from '../base/bytes.ts'
import { type ErrorCode, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { MAX_LINK_ADDRESSES, MAX_LINK_CHARS } from '../base/limits.ts'
import { checkPublicKey, PUBLIC_KEY_BYTES } from '../crypto/ed25519.ts'
import { formatPeerAddress, type PeerAddress, parsePeerAddress } from './address.ts'

export interface Link {
  /** A, acceptable (§3.1). */
  readonly publicKey: Uint8Array
  /** 32 bytes, never zero; null for a public channel. */
  readonly readKey: Uint8Array | null
  /** Peers to try, in the order given, each once. */
  readonly peers: readonly PeerAddress[]
  readonly gateways: readonly PeerAddress[]
}

const SCHEME = 'megatorrent:'
const READ_KEY_BYTES = 32

/**
 * Read a link. Upper case, surrounding blanks and a trailing slash are accepted; the read key may
 * stand after the key, after `#`, or in both places when they agree.
 *
 * @throws MegatorrentError, kind 'usage', whose message says what is wrong: ERR_LINK_SCHEME,
 *   ERR_LINK_SYNTAX, ERR_LINK_KEY, ERR_LINK_READ_KEY, ERR_LINK_ADDRESS, ERR_LINK_LIMIT.
 * Cost: 1 ms for the key and for each onion or node key, at most MAX_LINK_ADDRESSES of them.
 */
export function parseLink(text: string): Link {
  if (text.length > MAX_LINK_CHARS) {
    throw wrong('ERR_LINK_LIMIT', `the link is longer than ${MAX_LINK_CHARS} characters`)
  }
  const link = text.trim()
  if (link.slice(0, SCHEME.length).toLowerCase() !== SCHEME) {
    throw wrong('ERR_LINK_SCHEME', `a link begins with "${SCHEME}//"`)
  }
  const match = /^\/\/([^/?#]*)(\/?)(?:\?([^#]*))?(?:#(.*))?$/su.exec(link.slice(SCHEME.length))
  if (match === null)
    throw wrong('ERR_LINK_SYNTAX', `a link is ${SCHEME}//KEY with at most a query behind it`)
  const [, authority = '', , query = '', fragment = ''] = match
  const colon = authority.indexOf(':')
  const publicKey = parsePublicKey(colon < 0 ? authority : authority.slice(0, colon))
  const inline = colon < 0 ? null : parseReadKey(authority.slice(colon + 1))
  const behind = fragment === '' ? null : parseReadKey(fragment)
  if (inline !== null && behind !== null && !equalBytes(inline, behind)) {
    throw wrong('ERR_LINK_READ_KEY', 'the link has two different read keys')
  }
  return { publicKey, readKey: inline ?? behind, ...parseQuery(query) }
}

/** The one text of a link: lower case, read key after the key, values percent-encoded. */
export function formatLink(link: Link): string {
  const readKey = link.readKey === null ? '' : `:${toHex(link.readKey)}`
  const pairs = [
    ...link.peers.map((address) => `peer=${encodeURIComponent(formatPeerAddress(address))}`),
    ...link.gateways.map((address) => `gateway=${encodeURIComponent(formatPeerAddress(address))}`),
  ]
  const query = pairs.length === 0 ? '' : `?${pairs.join('&')}`
  return `${SCHEME}//${toHex(link.publicKey)}${readKey}${query}`
}

function parsePublicKey(text: string): Uint8Array {
  const key = fromHex(text, PUBLIC_KEY_BYTES)
  if (key === null) throw wrong('ERR_LINK_KEY', `the public key must be ${2 * PUBLIC_KEY_BYTES} hex digits`)
  if (!checkPublicKey(key)) throw wrong('ERR_LINK_KEY', 'the public key is not a valid Ed25519 key')
  return key
}

function parseReadKey(text: string): Uint8Array {
  const key = fromHex(text, READ_KEY_BYTES)
  if (key === null) throw wrong('ERR_LINK_READ_KEY', `the read key must be ${2 * READ_KEY_BYTES} hex digits`)
  if (isZeroBytes(key)) {
    throw wrong('ERR_LINK_READ_KEY', 'a read key of zeros: a public channel has none in its link')
  }
  return key
}

function parseQuery(query: string): Pick<Link, 'peers' | 'gateways'> {
  const peers = new Map<string, PeerAddress>()
  const gateways = new Map<string, PeerAddress>()
  let count = 0
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=')
    const name = (equals < 0 ? pair : pair.slice(0, equals)).toLowerCase()
    if (name !== 'peer' && name !== 'gateway') continue
    // Counted before it is looked at, repeated ones too: each may cost the check of a key.
    if (++count > MAX_LINK_ADDRESSES) {
      throw wrong('ERR_LINK_LIMIT', `the link has more than ${MAX_LINK_ADDRESSES} addresses`)
    }
    const address = parseValue(name, equals < 0 ? '' : pair.slice(equals + 1))
    const known = name === 'peer' ? peers : gateways
    known.set(formatPeerAddress(address), address)
  }
  return { peers: [...peers.values()], gateways: [...gateways.values()] }
}

function parseValue(name: string, value: string): PeerAddress {
  try {
    return parsePeerAddress(decodeURIComponent(value))
  } catch (error) {
    if (error instanceof URIError) {
      throw wrong('ERR_LINK_ADDRESS', `the value of "${name}" is not percent-encoded text`)
    }
    if (!isMegatorrentError(error, 'ERR_ADDRESS_TEXT')) throw error
    throw new MegatorrentError('ERR_LINK_ADDRESS', `"${name}": ${error.message}`, { cause: error })
  }
}

function wrong(code: ErrorCode, message: string): MegatorrentError {
  return new MegatorrentError(code, message)
}
