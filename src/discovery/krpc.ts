/**
 * KRPC messages of the mainline DHT: BEP 5, 43 (read-only nodes) and 44 (values).
 *
 * The library behind our guard checks neither types nor sizes, and a single field of
 * the wrong type ends it. So every datagram becomes a value of the types below or
 * is refused, and what the library sees is encoded anew from that value (krpc-encode.ts):
 * fields that we do not know never reach it.
 *
 * Stricter than the BEPs on purpose: canonical bencode only; values are byte strings
 * (BEP 44 admits any bencoded value, whose size the library does not see); integers are
 * safe and not negative; IPv6 nodes and peers are left out, since our socket is IPv4.
 *
 * Pure. Not a judge of signatures: a value is only well-formed here.
 *
 * @module discovery/krpc
 */
import { MegatorrentError } from '../base/errors.ts'
import {
  KRPC_MAX_DATAGRAM_BYTES,
  KRPC_MAX_DEPTH,
  KRPC_MAX_ERROR_TEXT_BYTES,
  KRPC_MAX_ITEMS,
  KRPC_MAX_NODES,
  KRPC_MAX_TOKEN_BYTES,
  KRPC_MAX_TRANSACTION_BYTES,
  KRPC_MAX_VALUE_BYTES,
} from '../base/limits.ts'
import { type BencodeDictionary, type BencodeValue, decodeBencode, measureBytes } from '../wire/bencode.ts'
import { isCanonicalBencode } from './krpc-scan.ts'

export const NODE_ID_BYTES = 20
/** Id, IPv4 address, port. */
export const COMPACT_NODE_BYTES = 26
/** IPv4 address, port. */
export const COMPACT_PEER_BYTES = 6
const COMPACT_PEER6_BYTES = 18
const COMPACT_NODE6_BYTES = 38
const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const MAX_SALT_BYTES = 64
const MAX_PORT = 65_535

/** The mutable part of a `put` or of an answer to `get` (BEP 44). */
export interface KrpcMutable {
  readonly publicKey: Uint8Array
  readonly seq: number
  readonly signature: Uint8Array
}

export type KrpcArguments =
  | { readonly method: 'ping' }
  | { readonly method: 'find_node'; readonly target: Uint8Array }
  | { readonly method: 'get_peers'; readonly infohash: Uint8Array }
  | {
      readonly method: 'announce_peer'
      readonly infohash: Uint8Array
      readonly port: number
      readonly impliedPort: boolean
      readonly token: Uint8Array
    }
  | { readonly method: 'get'; readonly target: Uint8Array }
  | {
      readonly method: 'put'
      readonly token: Uint8Array
      readonly value: Uint8Array
      readonly mutable:
        | (KrpcMutable & { readonly salt: Uint8Array | null; readonly cas: number | null })
        | null
    }

export type KrpcMethod = KrpcArguments['method']

export type KrpcQuery = {
  readonly type: 'query'
  readonly transaction: Uint8Array
  /** Id of the sender; 20 bytes from the network. */
  readonly id: Uint8Array
  readonly readOnly: boolean
} & KrpcArguments

export interface KrpcResponse {
  readonly type: 'response'
  readonly transaction: Uint8Array
  readonly id: Uint8Array
  /** Compact nodes, COMPACT_NODE_BYTES each; empty when there are none. */
  readonly nodes: Uint8Array
  readonly token: Uint8Array | null
  /** Compact IPv4 peers, COMPACT_PEER_BYTES each. */
  readonly peers: readonly Uint8Array[]
  readonly value: Uint8Array | null
  readonly mutable: KrpcMutable | null
}

export interface KrpcError {
  readonly type: 'error'
  readonly transaction: Uint8Array
  readonly code: number
  readonly text: Uint8Array
}

export type KrpcMessage = KrpcQuery | KrpcResponse | KrpcError

type FaultCode = 'ERR_KRPC_SIZE' | 'ERR_KRPC_BENCODE' | 'ERR_KRPC_FIELD' | 'ERR_KRPC_METHOD'

/** Why a datagram is refused, as a value: a flood of junk must not cost a stack trace each. */
export interface KrpcFault {
  readonly type: 'fault'
  readonly code: FaultCode
  /** The field or rule, for counters and tests. */
  readonly what: string
}

/**
 * Decode one datagram.
 *
 * @param bytes - byte strings of the result are views into it: copy what is kept.
 * @throws MegatorrentError, kind 'peer': ERR_KRPC_SIZE (empty or too long), ERR_KRPC_BENCODE
 *   (not canonical, too deep, too many items), ERR_KRPC_FIELD (a field is missing or of the
 *   wrong type or size), ERR_KRPC_METHOD (neither query, reply nor error, or an unknown method).
 *
 * Cost: O(bytes). The guard calls `readKrpc`, which does not throw.
 */
export function decodeKrpc(bytes: Uint8Array): KrpcMessage {
  const message = readKrpc(bytes)
  if (message.type === 'fault') throw new MegatorrentError(message.code, `KRPC message: ${message.what}`)
  return message
}

/** As `decodeKrpc`, with the refusal as a value. */
export function readKrpc(bytes: Uint8Array): KrpcMessage | KrpcFault {
  if (bytes.length === 0 || bytes.length > KRPC_MAX_DATAGRAM_BYTES) return fault('ERR_KRPC_SIZE', 'length')
  if (!isCanonicalBencode(bytes, KRPC_MAX_DEPTH, KRPC_MAX_ITEMS)) return fault('ERR_KRPC_BENCODE', 'bencode')
  const message = decodeBencode(bytes, { maxDepth: KRPC_MAX_DEPTH, maxItems: KRPC_MAX_ITEMS })
  if (!(message instanceof Map)) return fault('ERR_KRPC_FIELD', 'message')
  const transaction = sized(message, 't', 1, KRPC_MAX_TRANSACTION_BYTES)
  if (transaction === null) return fault('ERR_KRPC_FIELD', 't')
  const kind = message.get('y')
  if (!(kind instanceof Uint8Array) || kind.length !== 1) return fault('ERR_KRPC_FIELD', 'y')
  if (kind[0] === 0x71) return readQuery(message, transaction)
  if (kind[0] === 0x72) return readResponse(message, transaction)
  if (kind[0] === 0x65) return readError(message, transaction)
  return fault('ERR_KRPC_METHOD', 'y')
}

function readQuery(message: BencodeDictionary, transaction: Uint8Array): KrpcQuery | KrpcFault {
  const method = message.get('q')
  if (!(method instanceof Uint8Array)) return fault('ERR_KRPC_FIELD', 'q')
  const args = message.get('a')
  if (!(args instanceof Map)) return fault('ERR_KRPC_FIELD', 'a')
  const id = sized(args, 'id', NODE_ID_BYTES)
  if (id === null) return fault('ERR_KRPC_FIELD', 'a.id')
  const ro = message.get('ro')
  if (ro !== undefined && ro !== 0 && ro !== 1) return fault('ERR_KRPC_FIELD', 'ro')
  if (!isVersion(message.get('v'))) return fault('ERR_KRPC_FIELD', 'v')
  const rest = readArguments(textOf(method), args)
  if ('type' in rest) return rest
  return { type: 'query', transaction, id, readOnly: ro === 1, ...rest }
}

function readArguments(method: string, args: BencodeDictionary): KrpcArguments | KrpcFault {
  if (!isWant(args.get('want'))) return fault('ERR_KRPC_FIELD', 'a.want')
  switch (method) {
    case 'ping':
      return { method }
    case 'find_node': {
      const target = sized(args, 'target', NODE_ID_BYTES)
      return target === null ? fault('ERR_KRPC_FIELD', 'a.target') : { method, target }
    }
    case 'get_peers': {
      const infohash = sized(args, 'info_hash', NODE_ID_BYTES)
      if (infohash === null) return fault('ERR_KRPC_FIELD', 'a.info_hash')
      if (!isCount(args.get('noseed'), 1) || !isCount(args.get('scrape'), 1)) {
        return fault('ERR_KRPC_FIELD', 'a.scrape')
      }
      return { method, infohash }
    }
    case 'announce_peer':
      return readAnnouncePeer(args)
    case 'get': {
      const target = sized(args, 'target', NODE_ID_BYTES)
      if (target === null) return fault('ERR_KRPC_FIELD', 'a.target')
      if (!isCount(args.get('seq'))) return fault('ERR_KRPC_FIELD', 'a.seq')
      return { method, target }
    }
    case 'put':
      return readPut(args)
    default:
      return fault('ERR_KRPC_METHOD', 'q')
  }
}

function readAnnouncePeer(args: BencodeDictionary): KrpcArguments | KrpcFault {
  const infohash = sized(args, 'info_hash', NODE_ID_BYTES)
  if (infohash === null) return fault('ERR_KRPC_FIELD', 'a.info_hash')
  const token = sized(args, 'token', 1, KRPC_MAX_TOKEN_BYTES)
  if (token === null) return fault('ERR_KRPC_FIELD', 'a.token')
  const implied = args.get('implied_port')
  if (!isCount(implied, 1)) return fault('ERR_KRPC_FIELD', 'a.implied_port')
  if (!isCount(args.get('seed'), 1)) return fault('ERR_KRPC_FIELD', 'a.seed')
  const impliedPort = implied === 1
  const port = args.get('port')
  if (typeof port !== 'number' || port < (impliedPort ? 0 : 1) || port > MAX_PORT) {
    return fault('ERR_KRPC_FIELD', 'a.port')
  }
  return { method: 'announce_peer', infohash, port, impliedPort, token }
}

function readPut(args: BencodeDictionary): KrpcArguments | KrpcFault {
  const token = sized(args, 'token', 1, KRPC_MAX_TOKEN_BYTES)
  if (token === null) return fault('ERR_KRPC_FIELD', 'a.token')
  const value = readValue(args)
  if (value === null) return fault('ERR_KRPC_FIELD', 'a.v')
  const mutable = readMutable(args, true)
  if (mutable !== null && 'type' in mutable) return mutable
  if (mutable === null) {
    // An immutable value has none of these; with one of them it is neither.
    if (args.has('seq') || args.has('salt') || args.has('cas')) return fault('ERR_KRPC_FIELD', 'a.k')
    return { method: 'put', token, value, mutable }
  }
  const given = args.has('salt') ? sized(args, 'salt', 0, MAX_SALT_BYTES) : null
  if (given === null && args.has('salt')) return fault('ERR_KRPC_FIELD', 'a.salt')
  // An empty salt is none: the library would sign over it all the same.
  const salt = given?.length === 0 ? null : given
  const cas = args.get('cas') ?? null
  if (cas !== null && (typeof cas !== 'number' || cas < 0)) return fault('ERR_KRPC_FIELD', 'a.cas')
  return { method: 'put', token, value, mutable: { ...mutable, salt, cas } }
}

function readResponse(message: BencodeDictionary, transaction: Uint8Array): KrpcResponse | KrpcFault {
  const reply = message.get('r')
  if (!(reply instanceof Map)) return fault('ERR_KRPC_FIELD', 'r')
  const id = sized(reply, 'id', NODE_ID_BYTES)
  if (id === null) return fault('ERR_KRPC_FIELD', 'r.id')
  if (!isVersion(message.get('v'))) return fault('ERR_KRPC_FIELD', 'v')
  const ip = message.get('ip')
  if (ip !== undefined && !isAddress(ip)) return fault('ERR_KRPC_FIELD', 'ip')
  const nodes = compactList(reply.get('nodes'), COMPACT_NODE_BYTES)
  if (nodes === null) return fault('ERR_KRPC_FIELD', 'r.nodes')
  if (compactList(reply.get('nodes6'), COMPACT_NODE6_BYTES) === null)
    return fault('ERR_KRPC_FIELD', 'r.nodes6')
  const token = reply.has('token') ? sized(reply, 'token', 1, KRPC_MAX_TOKEN_BYTES) : null
  if (token === null && reply.has('token')) return fault('ERR_KRPC_FIELD', 'r.token')
  const peers = readPeers(reply.get('values'))
  if (peers === null) return fault('ERR_KRPC_FIELD', 'r.values')
  const value = reply.has('v') ? readValue(reply) : null
  if (value === null && reply.has('v')) return fault('ERR_KRPC_FIELD', 'r.v')
  const mutable = readMutable(reply, value !== null)
  if (mutable !== null && 'type' in mutable) return mutable
  return { type: 'response', transaction, id, nodes, token, peers, value, mutable }
}

function readError(message: BencodeDictionary, transaction: Uint8Array): KrpcError | KrpcFault {
  const error = message.get('e')
  if (!Array.isArray(error) || error.length !== 2) return fault('ERR_KRPC_FIELD', 'e')
  const [code, text] = error as readonly BencodeValue[]
  if (typeof code !== 'number' || code < 0) return fault('ERR_KRPC_FIELD', 'e.code')
  if (!(text instanceof Uint8Array) || text.length > KRPC_MAX_ERROR_TEXT_BYTES) {
    return fault('ERR_KRPC_FIELD', 'e.text')
  }
  return { type: 'error', transaction, code, text }
}

/** `k`, `seq` and `sig`, which come together or not at all; null when there is no `k` and no `sig`. */
function readMutable(from: BencodeDictionary, hasValue: boolean): KrpcMutable | KrpcFault | null {
  const seq = from.get('seq')
  if (!isCount(seq)) return fault('ERR_KRPC_FIELD', 'seq')
  if (!from.has('k') && !from.has('sig')) return null
  const publicKey = sized(from, 'k', PUBLIC_KEY_BYTES)
  if (publicKey === null) return fault('ERR_KRPC_FIELD', 'k')
  const signature = sized(from, 'sig', SIGNATURE_BYTES)
  if (signature === null) return fault('ERR_KRPC_FIELD', 'sig')
  if (typeof seq !== 'number') return fault('ERR_KRPC_FIELD', 'seq')
  return hasValue ? { publicKey, seq, signature } : null
}

function readValue(from: BencodeDictionary): Uint8Array | null {
  const value = from.get('v')
  if (!(value instanceof Uint8Array)) return null
  return measureBytes(value.length) > KRPC_MAX_VALUE_BYTES ? null : value
}

function readPeers(values: BencodeValue | undefined): readonly Uint8Array[] | null {
  if (values === undefined) return NO_PEERS
  if (!Array.isArray(values)) return null
  const peers: Uint8Array[] = []
  for (const value of values as readonly BencodeValue[]) {
    if (!(value instanceof Uint8Array)) return null
    if (value.length === COMPACT_PEER_BYTES) peers.push(value)
    else if (value.length !== COMPACT_PEER6_BYTES) return null
  }
  return peers
}

const NO_PEERS: readonly Uint8Array[] = []
const NO_NODES = new Uint8Array(0)

/** A byte string of whole entries, at most KRPC_MAX_NODES of them; empty when absent; null when it is wrong. */
function compactList(value: BencodeValue | undefined, entryBytes: number): Uint8Array | null {
  if (value === undefined) return NO_NODES
  if (!(value instanceof Uint8Array) || value.length % entryBytes !== 0) return null
  return value.length > KRPC_MAX_NODES * entryBytes ? null : value
}

/** A byte string of `min` to `max` bytes under that key, or null. */
function sized(from: BencodeDictionary, key: string, min: number, max = min): Uint8Array | null {
  const value = from.get(key)
  return value instanceof Uint8Array && value.length >= min && value.length <= max ? value : null
}

/** Absent, or an integer from 0 to `max`. */
function isCount(value: BencodeValue | undefined, max = Number.MAX_SAFE_INTEGER): boolean {
  return value === undefined || (typeof value === 'number' && value >= 0 && value <= max)
}

/** `v` of the message itself is the name of a program: absent or a short byte string. */
function isVersion(value: BencodeValue | undefined): boolean {
  return value === undefined || (value instanceof Uint8Array && value.length <= KRPC_MAX_TRANSACTION_BYTES)
}

/** `ip` of an answer is the address that the question came from. */
function isAddress(value: BencodeValue): boolean {
  return (
    value instanceof Uint8Array &&
    (value.length === COMPACT_PEER_BYTES || value.length === COMPACT_PEER6_BYTES || value.length === 4)
  )
}

/** `want` names families, `n4` and `n6` today. */
function isWant(value: BencodeValue | undefined): boolean {
  if (value === undefined) return true
  if (!Array.isArray(value) || value.length > 4) return false
  return (value as readonly BencodeValue[]).every((item) => item instanceof Uint8Array && item.length <= 4)
}

function fault(code: FaultCode, what: string): KrpcFault {
  return { type: 'fault', code, what }
}

/** Method names are short ASCII; anything else is no method that we know. */
function textOf(bytes: Uint8Array): string {
  return bytes.length > 16 ? '' : String.fromCharCode(...bytes)
}
