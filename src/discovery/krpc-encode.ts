/**
 * KRPC messages as bytes: the other half of krpc.ts, BEP 5, 43 and 44.
 *
 * Pure. Writes canonical bencode; `readKrpc` gives back what was encoded. Sizes are
 * not checked here: the guard reads what it sends, too.
 *
 * @module discovery/krpc-encode
 */
import { type BencodeDictionary, type BencodeValue, encodeBencode } from '../wire/bencode.ts'
import {
  COMPACT_NODE_BYTES,
  COMPACT_PEER_BYTES,
  type KrpcMessage,
  type KrpcMutable,
  type KrpcQuery,
  type KrpcResponse,
} from './krpc.ts'

/** Encode a message, in canonical form. @returns fresh bytes. */
export function encodeKrpc(message: KrpcMessage): Uint8Array {
  const fields = new Map<string, BencodeValue>([['t', message.transaction]])
  if (message.type === 'query') {
    fields.set('a', argumentsOf(message)).set('q', asciiOf(message.method)).set('y', asciiOf('q'))
    if (message.readOnly) fields.set('ro', 1)
  } else if (message.type === 'response') {
    fields.set('r', replyOf(message)).set('y', asciiOf('r'))
  } else {
    fields.set('e', [message.code, message.text]).set('y', asciiOf('e'))
  }
  return encodeBencode(fields)
}

/**
 * Encode an answer in at most `maxBytes`, with fewer peers and fewer nodes than it has
 * if need be; null when it does not fit even so. The library answers with all the peers
 * it knows, in random order.
 */
export function fitResponse(response: KrpcResponse, maxBytes: number): Uint8Array | null {
  let fitted = response
  let bytes = encodeKrpc(fitted)
  if (bytes.length > maxBytes && fitted.peers.length > 0) {
    // Each peer is a byte string of 6: `6:` and itself.
    const excess = Math.ceil((bytes.length - maxBytes) / (COMPACT_PEER_BYTES + 2))
    fitted = { ...fitted, peers: fitted.peers.slice(0, Math.max(0, fitted.peers.length - excess)) }
    bytes = encodeKrpc(fitted)
  }
  if (bytes.length > maxBytes && fitted.nodes.length > 0) {
    const excess = Math.ceil((bytes.length - maxBytes) / COMPACT_NODE_BYTES)
    const kept = Math.max(0, fitted.nodes.length - excess * COMPACT_NODE_BYTES)
    bytes = encodeKrpc({ ...fitted, nodes: fitted.nodes.subarray(0, kept) })
  }
  return bytes.length > maxBytes ? null : bytes
}

function argumentsOf(query: KrpcQuery): BencodeDictionary {
  const args = new Map<string, BencodeValue>([['id', query.id]])
  switch (query.method) {
    case 'ping':
      break
    case 'find_node':
    case 'get':
      args.set('target', query.target)
      break
    case 'get_peers':
      args.set('info_hash', query.infohash)
      break
    case 'announce_peer':
      args.set('info_hash', query.infohash).set('port', query.port).set('token', query.token)
      args.set('implied_port', query.impliedPort ? 1 : 0)
      break
    case 'put':
      args.set('token', query.token).set('v', query.value)
      if (query.mutable !== null) {
        setMutable(args, query.mutable)
        if (query.mutable.salt !== null) args.set('salt', query.mutable.salt)
        if (query.mutable.cas !== null) args.set('cas', query.mutable.cas)
      }
  }
  return args
}

function replyOf(response: KrpcResponse): BencodeDictionary {
  const reply = new Map<string, BencodeValue>([['id', response.id]])
  if (response.nodes.length > 0) reply.set('nodes', response.nodes)
  if (response.token !== null) reply.set('token', response.token)
  if (response.peers.length > 0) reply.set('values', response.peers)
  if (response.value !== null) reply.set('v', response.value)
  if (response.mutable !== null) setMutable(reply, response.mutable)
  return reply
}

function setMutable(fields: Map<string, BencodeValue>, mutable: KrpcMutable): void {
  fields.set('k', mutable.publicKey).set('seq', mutable.seq).set('sig', mutable.signature)
}

function asciiOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
