/**
 * What the rest of the project asks of a DHT, whichever way it is reached.
 *
 * Implementations: mainline.ts over UDP; in safe mode none, since a gateway is asked
 * over TCP instead. Tests hand in their own. Nothing here knows channels or heads:
 * items are BEP 44 items, infohashes 20 bytes.
 *
 * @module discovery/dht
 */
import type { MutableItem } from '../wire/mutable-item.ts'

/** Where a node or peer listens: an IPv4 address in dotted form. */
export interface DhtAddress {
  readonly host: string
  readonly port: number
}

/** One value of an item, as one or more nodes gave it. The signature was verified. */
export interface DhtCandidate {
  readonly item: MutableItem
  /** Of the nearest nodes that answered, those that returned exactly this value. */
  readonly holders: number
}

export interface DhtGetResult {
  /** Every distinct value with a valid signature, highest seq first. */
  readonly candidates: readonly DhtCandidate[]
  /** Distinct values whose signature is not valid. */
  readonly refused: number
  /** Queries sent. */
  readonly asked: number
  /** Queries answered. */
  readonly replied: number
  /** Nearest nodes that answered: what `holders` is to be held against. */
  readonly nearest: number
}

export interface DhtPutResult {
  /** Nodes that took the value in this operation. */
  readonly storedBy: number
  /** Nodes that had exactly this value already. */
  readonly alreadyHeldBy: number
  /** Nodes that were asked to store it. */
  readonly asked: number
  /** A value with a higher seq that was met: then nothing was put. */
  readonly newer: MutableItem | null
}

export interface DhtUpdateResult {
  readonly read: DhtGetResult
  /** Null when nothing was to be put. */
  readonly put: DhtPutResult | null
}

export interface DhtOptions {
  readonly signal?: AbortSignal
  /** ms for the whole operation; DHT_OPERATION_TIMEOUT_MS by default. What was found by then is the result. */
  readonly timeoutMs?: number
}

/**
 * All methods reject with MegatorrentError: ERR_ABORTED when the signal fires, ERR_DHT_CLOSED
 * after `close`, ERR_DHT_BUSY when too many operations wait. Silence of the network is
 * no error: it shows in the counts.
 */
export interface Dht {
  /** Nodes in the table: 0 means that nothing can be found. */
  readonly nodeCount: number
  /** Does this node answer queries of others? */
  readonly isServer: boolean

  /** Read the item of a key without salt from the nearest nodes, all values that any of them has. */
  getMutable(publicKey: Uint8Array, options?: DhtOptions): Promise<DhtGetResult>

  /**
   * Read, then write to the nearest nodes, without cas; never below a seq that was met.
   *
   * @param item - signed; verified before anything is sent.
   * @throws TypeError for an item whose signature does not verify.
   */
  putMutable(item: MutableItem, options?: DhtOptions): Promise<DhtPutResult>

  /**
   * Read, and then put what `decide` makes of it, null for nothing: one walk does both.
   * What it returns is handled as by `putMutable`; what it throws is thrown.
   */
  updateMutable(
    publicKey: Uint8Array,
    decide: (read: DhtGetResult) => MutableItem | null,
    options?: DhtOptions,
  ): Promise<DhtUpdateResult>

  /** Tell the nearest nodes that we are a peer of `infohash` at `port`. Peers met on the way are given out. */
  announce(
    infohash: Uint8Array,
    port: number,
    options?: DhtOptions & { readonly onPeer?: (peer: DhtAddress) => void },
  ): Promise<{ readonly storedBy: number }>

  /** Ask who announced `infohash`. Each peer is given out once; DHT_MAX_PEERS_PER_LOOKUP at most. */
  lookup(
    infohash: Uint8Array,
    onPeer: (peer: DhtAddress) => void,
    options?: DhtOptions,
  ): Promise<{ readonly peers: number }>

  /** Ask a node that the user or a saved state names. True when it answered and so entered the table. */
  addNode(host: string, port: number): Promise<boolean>

  /** Nodes of the table: each has answered us. */
  nodes(): readonly DhtAddress[]

  /** Ends what is under way with ERR_DHT_CLOSED and leaves no handle. Idempotent. */
  close(): Promise<void>
}
