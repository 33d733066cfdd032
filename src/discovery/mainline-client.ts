/**
 * The library's client, made so that it asks no public router, resolves no name, verifies
 * strictly, and holds and gives out for others no more than our limits say.
 *
 * Used by mainline.ts alone, which never lets it see a socket other than the guard.
 *
 * @module discovery/mainline-client
 */
import { Client, type DhtSocket } from 'bittorrent-dht'
import {
  DHT_MAX_NODES_PER_ANSWER,
  DHT_MAX_PEERS_PER_ANSWER,
  DHT_MAX_STORED_PEERS,
  DHT_MAX_STORED_VALUES,
  DHT_PARALLEL_WALKS,
  DHT_PEER_LIFETIME_MS,
  DHT_QUERY_TIMEOUT_MS,
  DHT_VALUE_LIFETIME_MS,
  DHT_WALK_PARALLEL_QUERIES,
} from '../base/limits.ts'
import { verifySignature } from '../crypto/ed25519.ts'

export interface ClientTuning {
  /** ms for one query. */
  readonly queryTimeoutMs: number
  /** ms that values stored for others are kept. */
  readonly valueLifetimeMs: number
}

/** @param socket - the guard; nothing is sent before something is asked. */
export function createClient(socket: DhtSocket, tuning: Partial<ClientTuning>): Client {
  const client = new Client({
    bootstrap: false,
    socket,
    verify: verifySignature, // never throws, whatever the bytes
    timeout: tuning.queryTimeoutMs ?? DHT_QUERY_TIMEOUT_MS,
    // More than our walks have in flight, so that none of them waits in the library's queue.
    concurrency: DHT_PARALLEL_WALKS * DHT_WALK_PARALLEL_QUERIES * 4,
    isIP: () => 4, // what is asked is an address; the library would resolve anything else
    maxValues: { max: DHT_MAX_STORED_VALUES, maxAge: tuning.valueLifetimeMs ?? DHT_VALUE_LIFETIME_MS },
    maxPeers: DHT_MAX_STORED_PEERS,
    maxAge: DHT_PEER_LIFETIME_MS,
  })
  boundAnswers(client)
  keepOwnMemory(client)
  return client
}

/** The library keeps slices of node's pool, each of which would keep 8 KiB alive for its 6 bytes. */
function keepOwnMemory({ _peers: peers }: Client): void {
  const add = peers.add.bind(peers)
  peers.add = (infohash, peer) => add(infohash, Buffer.from(Uint8Array.from(peer).buffer))
}

/** The library answers with all nodes and all peers that it knows, hundreds and thousands if need be. */
function boundAnswers({ nodes, _peers: peers }: Client): void {
  const closest = nodes.closest.bind(nodes)
  nodes.closest = (id, count = DHT_MAX_NODES_PER_ANSWER) => closest(id, count)
  const get = peers.get.bind(peers)
  peers.get = (infohash, count = DHT_MAX_PEERS_PER_ANSWER) => get(infohash, count)
}
