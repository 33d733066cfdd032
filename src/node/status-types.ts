/**
 * What a running node says of itself. Types only.
 *
 * @module node/status-types
 */

export interface NodeStatus {
  readonly version: string
  readonly protocolVersion: number
  /** Null in safe mode. */
  readonly nodeKey: string | null
  readonly mode: NodeMode
  /** `NODEKEY@HOST:PORT`. */
  readonly peerAddress: string | null
  readonly onionAddress: string | null
  readonly peers: number
  readonly heldBlobs: number
  readonly storedBytes: number
  readonly dht: { readonly enabled: boolean; readonly nodes: number; readonly server: boolean }
  readonly gateways: number
  /** Relay connections; 0 where onions are not announced. */
  readonly relays: number
  /** Null where none are kept for others. */
  readonly gatewayBlobs: GatewayBlobsStatus | null
  /** Null without a proxy. */
  readonly proxy: ProxyStatus | null
  /** Null without a control port of Tor. */
  readonly onions: OnionsStatus | null
  readonly uploadRate: number
  readonly downloadRate: number
  /** Bytes of blobs since the start; in safe mode those of channels that are there. */
  readonly uploadedBytes: number
  readonly downloadedBytes: number
  /** Seconds. */
  readonly uptime: number
}

export interface ProxyStatus {
  /** False while nothing gets through it: then everything waits. Null before it was first used. */
  readonly reachable: boolean | null
  readonly error: string | null
}

/** Onions of our channels: how many there should be, and how many others can find. */
/** Bytes of blobs that are kept for others, and that may be. */
export interface GatewayBlobsStatus {
  readonly bytes: number
  readonly quota: number
}

export interface OnionsStatus {
  readonly wanted: number
  readonly published: number
  readonly error: string | null
}

export type NodeMode = 'direct' | 'safe' | 'gateway'

/** What a node knows of itself once it runs: the part of `daemon.json` that is not the RPC server's. */
export interface NodeInfo {
  readonly peerAddress: string | null
  readonly dhtPort: number | null
  readonly nodeKey: string | null
  readonly onionAddress: string | null
  readonly mode: NodeMode
  readonly version: string
}
