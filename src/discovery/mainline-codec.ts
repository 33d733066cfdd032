/**
 * Between our queries and replies and those of k-rpc, which wants Buffers and has the
 * names of the wire.
 *
 * Pure. The guard has checked types and sizes of replies before they come here.
 *
 * @module discovery/mainline-codec
 */
import { Buffer } from 'node:buffer'
import type { RpcArguments, RpcReply } from 'bittorrent-dht'
import type { DhtReply } from './dht-walker.ts'
import type { KrpcArguments } from './krpc.ts'

/** @param id - our own node id. */
export function argumentsOf(id: Buffer, query: KrpcArguments): RpcArguments {
  switch (query.method) {
    case 'ping':
      return { id }
    case 'find_node':
    case 'get':
      return { id, target: bufferOf(query.target) }
    case 'get_peers':
      return { id, info_hash: bufferOf(query.infohash) }
    case 'announce_peer': {
      const { infohash, port, impliedPort, token } = query
      return {
        id,
        info_hash: bufferOf(infohash),
        port,
        implied_port: impliedPort ? 1 : 0,
        token: bufferOf(token),
      }
    }
    case 'put': {
      const fields = { id, token: bufferOf(query.token), v: bufferOf(query.value) }
      if (query.mutable === null) return fields
      const { publicKey, seq, signature } = query.mutable
      return { ...fields, k: bufferOf(publicKey), seq, sig: bufferOf(signature) }
    }
  }
}

/** Byte strings of the result are views into the datagram. */
export function replyOf(r: RpcReply): DhtReply {
  const mutable =
    r.k === undefined || r.sig === undefined || r.seq === undefined
      ? null
      : { publicKey: r.k, seq: r.seq, signature: r.sig }
  return {
    id: r.id,
    nodes: r.nodes ?? Buffer.alloc(0),
    token: r.token ?? null,
    peers: r.values ?? [],
    value: r.v ?? null,
    mutable,
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
