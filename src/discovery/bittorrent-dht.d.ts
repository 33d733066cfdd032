/**
 * Types of bittorrent-dht 11.0.12, k-rpc 5.1.0 and k-bucket 5.1.0, as far as
 * mainline.ts uses them. Read off their sources: they ship none.
 *
 * `_rpc`, `_values` and `_peers` are private by name. The first is used because `get` hides which
 * node gave which value, and `put` writes to every node it has met; the others because our own
 * walks look there too, and because answers have no bound. The exact version is pinned, and the tests of mainline.ts fail when it changes.
 */
declare module 'bittorrent-dht' {
  import type { Buffer } from 'node:buffer'
  import type { EventEmitter } from 'node:events'

  /** A node as k-rpc keeps it. `id` is checked against the reply when it is given. */
  export interface RpcNode {
    readonly id?: Buffer
    readonly host: string
    readonly port: number
  }

  /** A table entry: added by k-rpc when a node has answered. */
  export interface TableNode extends RpcNode {
    readonly id: Buffer
  }

  /** The dictionary `r` of a reply. Byte strings come as Buffer, since bencode 2 decoded them. */
  export interface RpcReply {
    readonly id: Buffer
    readonly nodes?: Buffer
    readonly token?: Buffer
    readonly values?: readonly Buffer[]
    readonly v?: Buffer
    readonly k?: Buffer
    readonly sig?: Buffer
    readonly seq?: number
  }

  export type RpcArguments = Readonly<Record<string, Buffer | number>>

  export interface Rpc {
    readonly id: Buffer
    /** Queries that wait because too many are in flight. */
    readonly pending: unknown[]
    /** `error.code` is the number of a KRPC error, or a text such as ETIMEDOUT. */
    query(
      node: RpcNode,
      message: { readonly q: string; readonly a: RpcArguments },
      callback: (
        error: (Error & { readonly code?: unknown }) | null,
        reply: { readonly r: RpcReply } | null,
      ) => void,
    ): void
  }

  export interface KBucket {
    toArray(): TableNode[]
    closest(id: Uint8Array, count?: number): TableNode[]
    get(id: Uint8Array): TableNode | null
    remove(id: Uint8Array): void
    count(): number
  }

  /** What the library asks of a socket: node:dgram's, or one that looks like it. */
  export interface DhtSocket extends EventEmitter {
    bind(...args: readonly unknown[]): void
    address(): { readonly address: string; readonly family: string; readonly port: number }
    send(
      bytes: Uint8Array,
      offset: number,
      length: number,
      port: number,
      host: string,
      callback?: () => void,
    ): void
    close(): void
  }

  export interface ClientOptions {
    readonly bootstrap: false
    readonly socket: DhtSocket
    readonly verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean
    /** ms for one query; the library allows a quarter more. */
    readonly timeout: number
    /** Queries in flight. */
    readonly concurrency: number
    readonly isIP: (host: string) => number
    /** Handed to `new LRU(...)` as it is, which takes options as well as a number. */
    readonly maxValues: { readonly max: number; readonly maxAge: number }
    readonly maxPeers: number
    /** ms that an announced peer is kept. */
    readonly maxAge: number
  }

  export class Client extends EventEmitter {
    constructor(options: ClientOptions)
    readonly nodeId: Buffer
    readonly nodes: KBucket
    readonly _rpc: Rpc
    /** Values stored for others, by target. */
    readonly _values: { get(target: string): Omit<RpcReply, 'id'> | null | undefined }
    /** Peers stored for others. `get` gives `count` of them at random, all when it is left out. */
    readonly _peers: {
      get(infohash: string, count?: number): Buffer[]
      add(infohash: string, peer: Buffer): void
    }
    destroy(callback: () => void): void
  }
}
