/**
 * The mainline DHT: bittorrent-dht behind the guard, with walks and operations of our own.
 *
 * The library keeps the routing table, the transactions and, when serving, the values
 * and peers of others. Never loaded in safe mode: its sources can resolve names and
 * open sockets. Known faults of the library, and what is done about each:
 *   - a field of the wrong type ends the process; replies nobody asked for enter the table;
 *     answers without bound: krpc-guard.ts;
 *   - `get` shows one value and not its holders, `put` writes to all nodes it ever met and
 *     reports success for one, callbacks may never come: dht-walker.ts, dht-operations.ts;
 *   - bootstrap names are resolved by it, and ids of bootstrap nodes are taken on trust:
 *     `bootstrap: false`, names through a function that is passed in, nodes pinged one by one;
 *   - it does not find its way back when its table is empty: `#keepAlive`;
 *   - peers and values stored for others never expire, and all that is known is given
 *     out at once: `maxAge`, an LRU with an age, `boundAnswers`.
 *
 * @module discovery/mainline
 */
import type { Client } from 'bittorrent-dht'
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import {
  DHT_BOOTSTRAP_RETRY_MS,
  DHT_MAX_ADDRESSES_PER_NAME,
  DHT_OPERATION_TIMEOUT_MS,
  DHT_REFRESH_MS,
  KRPC_PROBES_PER_SECOND,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import { addressClass } from '../wire/address-class.ts'
import { parseIpv4 } from '../wire/ip.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import type { Dht, DhtAddress, DhtGetResult, DhtOptions, DhtPutResult, DhtUpdateResult } from './dht.ts'
import { announce, getMutable, lookup, putMutable, updateMutable } from './dht-operations.ts'
import { type DhtAnswer, type DhtNetwork, type DhtReply, DhtWalker } from './dht-walker.ts'
import type { KrpcArguments } from './krpc.ts'
import { type KrpcCounters, KrpcGuard } from './krpc-guard.ts'
import { type ClientTuning, createClient } from './mainline-client.ts'
import { argumentsOf, replyOf } from './mainline-codec.ts'
import { SilentNodes } from './silent-nodes.ts'
import type { WalkNode } from './walk.ts'

export interface MainlineOptions {
  /** IPv4 address to bind, the host of `--listen`. */
  readonly host: string
  /** UDP port; 0 picks one. */
  readonly port: number
  /** Answer queries of others? */
  readonly isServer: boolean
  /** What the user named: host names or addresses. Empty for an isolated first node. */
  readonly bootstrap: readonly DhtAddress[]
  /** Nodes of an earlier run. */
  readonly savedNodes?: readonly DhtAddress[]
  /** IPv4 addresses of a host name. Names are resolved nowhere else. */
  readonly resolve: (host: string, signal: AbortSignal) => Promise<readonly string[]>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Shorter times and other rates for tests; no setting reaches them. */
  readonly tuning?: Partial<MainlineTuning>
}

export interface MainlineTuning extends ClientTuning {
  readonly bootstrapRetryMs: number
  readonly refreshMs: number
  /** Queries per second and at once that one address is answered. */
  readonly queriesPerSecond: number
  readonly queryBurst: number
}

/** ms, half of the first pause between tries to find nodes; it doubles from then on. */
const FIRST_RETRY_MS = 500

/** Nodes below which the table counts as poor, and bootstrap nodes are asked again. */
const FEW_NODES = 8

/**
 * Bind the socket and begin to look for nodes. Resolves when the socket is bound, before any node is known;
 * operations wait for the first nodes by themselves.
 *
 * @throws MegatorrentError ERR_DHT_LISTEN.
 */
export async function openMainline(options: MainlineOptions): Promise<MainlineDht> {
  const dht = new MainlineDht(options)
  try {
    await dht.listen()
  } catch (error) {
    await dht.close()
    throw error
  }
  return dht
}

export class MainlineDht implements Dht {
  readonly #options: MainlineOptions
  readonly #guard: KrpcGuard
  readonly #client: Client
  readonly #walker: DhtWalker
  readonly #probes: TokenBucket
  /** Addresses that the user named: asked whatever their class. */
  readonly #named = new Set<string>()
  readonly #ownClass: string
  readonly #silent = new SilentNodes()
  readonly #closing = new AbortController()
  #keepAliveTimer: Timer | null = null
  /** Times in a row that too few nodes were found. */
  #tries = 0
  #firstNodes: Promise<void> = Promise.resolve()
  #port = 0
  #isClosed: Promise<void> | null = null

  /** Use `openMainline`. */
  constructor(options: MainlineOptions) {
    const { tuning = {}, clock } = options
    this.#options = options
    this.#ownClass = addressClass({
      kind: 'ipv4',
      host: parseIpv4(options.host) === null ? '0.0.0.0' : options.host,
    })
    this.#probes = new TokenBucket(clock, KRPC_PROBES_PER_SECOND, KRPC_PROBES_PER_SECOND * 2)
    this.#guard = new KrpcGuard({
      isServer: options.isServer,
      clock,
      random: options.random,
      log: options.log,
      canAsk: (host) => this.#isAcceptable(host) || this.#named.has(host),
      onQuerier: (node) => this.#onQuerier(node),
      ...(tuning.queriesPerSecond === undefined ? {} : { queriesPerSecond: tuning.queriesPerSecond }),
      ...(tuning.queryBurst === undefined ? {} : { queryBurst: tuning.queryBurst }),
    })
    this.#client = createClient(this.#guard, tuning)
    // Warnings are per datagram (time-outs, stray replies); without a listener an `error` would be thrown.
    this.#client.on('error', (error: Error) =>
      options.log.warn('DHT library', { error: errorMessage(error) }),
    )
    this.#walker = new DhtWalker(this.#network(), clock)
  }

  async listen(): Promise<void> {
    const { host, port } = await this.#guard.listen(this.#options.host, this.#options.port)
    this.#port = port
    this.#options.log.info('DHT listens', { host, port, server: this.isServer })
    this.#guard.announceListening()
    this.#firstNodes = this.#tryToFindNodes()
    this.#keepAlive()
  }

  /** UDP port that is bound. */
  get port(): number {
    return this.#port
  }

  get nodeCount(): number {
    return this.#client.nodes.count()
  }

  get isServer(): boolean {
    return this.#options.isServer
  }

  get counters(): Readonly<KrpcCounters> {
    return this.#guard.counters
  }

  async getMutable(publicKey: Uint8Array, options?: DhtOptions): Promise<DhtGetResult> {
    await this.#hasNodes(options)
    return getMutable(this.#walker, publicKey, options)
  }

  async putMutable(item: MutableItem, options?: DhtOptions): Promise<DhtPutResult> {
    await this.#hasNodes(options)
    return putMutable(this.#walker, item, options)
  }

  async updateMutable(
    publicKey: Uint8Array,
    decide: (read: DhtGetResult) => MutableItem | null,
    options?: DhtOptions,
  ): Promise<DhtUpdateResult> {
    await this.#hasNodes(options)
    return updateMutable(this.#walker, publicKey, decide, options)
  }

  async announce(
    infohash: Uint8Array,
    port: number,
    options?: DhtOptions & { readonly onPeer?: (peer: DhtAddress) => void },
  ): Promise<{ readonly storedBy: number }> {
    await this.#hasNodes(options)
    return announce(this.#walker, infohash, port, options)
  }

  async lookup(
    infohash: Uint8Array,
    onPeer: (peer: DhtAddress) => void,
    options?: DhtOptions,
  ): Promise<{ readonly peers: number }> {
    await this.#hasNodes(options)
    return lookup(this.#walker, infohash, onPeer, options)
  }

  async addNode(host: string, port: number): Promise<boolean> {
    this.#named.add(host)
    return this.#ping({ host, port })
  }

  nodes(): readonly DhtAddress[] {
    return this.#client.nodes.toArray().map(({ host, port }) => ({ host, port }))
  }

  close(): Promise<void> {
    this.#isClosed ??= this.#end()
    return this.#isClosed
  }

  async #end(): Promise<void> {
    this.#closing.abort()
    this.#keepAliveTimer?.cancel()
    this.#walker.close()
    // The library would send what waits in its queue while it cancels what is in flight.
    this.#client._rpc.pending.length = 0
    await new Promise<void>((resolve) => this.#client.destroy(resolve))
  }

  /** The table is filled, or it was tried: so that an operation at the start does not find nothing at once. */
  async #hasNodes(options: DhtOptions | undefined): Promise<void> {
    if (this.nodeCount > 0 || options?.signal?.aborted === true) return
    const timeoutMs = Math.min(options?.timeoutMs ?? DHT_OPERATION_TIMEOUT_MS, DHT_OPERATION_TIMEOUT_MS)
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer.cancel()
        options?.signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.#options.clock.setTimer(end, timeoutMs)
      options?.signal?.addEventListener('abort', end, { once: true })
      this.#firstNodes.then(end, end)
    })
  }

  /** Try again while nodes are few, and walk towards our own id now and then. */
  #keepAlive(): void {
    const { clock, random, tuning = {} } = this.#options
    const isPoor = this.#options.bootstrap.length > 0 && this.nodeCount < FEW_NODES
    this.#tries = isPoor ? this.#tries + 1 : 0
    const usualMs = isPoor
      ? Math.min(tuning.bootstrapRetryMs ?? DHT_BOOTSTRAP_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#tries)
      : (tuning.refreshMs ?? DHT_REFRESH_MS)
    // Jitter, so that nodes started together do not stay in step.
    this.#keepAliveTimer = clock.setTimer(
      () => void this.#tryToFindNodes().then(() => this.#keepAlive()),
      usualMs * (0.75 + random.fraction() / 2),
    )
    if (this.#closing.signal.aborted) this.#keepAliveTimer.cancel()
  }

  /** Never rejects: there is always a next time, or the end. */
  async #tryToFindNodes(): Promise<void> {
    try {
      await this.#findNodes()
    } catch (error) {
      this.#options.log.debug('no DHT nodes found', { error: errorMessage(error) })
    }
  }

  async #findNodes(): Promise<void> {
    const { bootstrap, savedNodes = [] } = this.#options
    if (this.nodeCount < FEW_NODES) {
      this.#silent.clear()
      const saved = this.nodeCount === 0 ? savedNodes.filter(({ host }) => this.#isAcceptable(host)) : []
      await Promise.all([
        ...saved.map((node) => this.#ping(node)),
        ...bootstrap.map((node) => this.#askBootstrap(node)),
      ])
    }
    if (this.nodeCount > 0) await this.#walkHome()
  }

  async #askBootstrap(node: DhtAddress): Promise<void> {
    const { resolve, log } = this.#options
    let hosts: readonly string[] = [node.host]
    if (parseIpv4(node.host) === null) {
      try {
        hosts = await resolve(node.host, this.#closing.signal)
      } catch (error) {
        log.warn('bootstrap name not resolved', { error: errorMessage(error) })
        return
      }
    }
    const addresses = hosts.slice(0, DHT_MAX_ADDRESSES_PER_NAME)
    await Promise.all(addresses.map((host) => this.addNode(host, node.port)))
  }

  /** Ask for nodes near our own id: those fill the part of the table that matters most. */
  async #walkHome(): Promise<void> {
    const target = this.#client.nodeId
    await this.#walker.operation({}, (signal, deadlineMs) =>
      this.#walker.walk(target, { method: 'find_node', target }, () => {}, signal, deadlineMs),
    )
  }

  /** The library adds a node to its table when it answers. */
  async #ping(node: DhtAddress): Promise<boolean> {
    if (parseIpv4(node.host) === null) return false
    return (await this.#ask(node, { method: 'ping' })).kind === 'reply'
  }

  /** A stranger asked us something: it enters the table when it answers a ping, not before. */
  #onQuerier(node: { readonly id: Uint8Array; readonly host: string; readonly port: number }): void {
    if (this.#client.nodes.get(node.id) !== null || !this.#isAcceptable(node.host)) return
    if (!this.#probes.take(1)) return
    this.#ping(node).catch(() => {}) // `#ask` never rejects
  }

  #network(): DhtNetwork {
    return {
      ownId: this.#client.nodeId,
      ask: (node, query) => this.#ask(node, query),
      ownReply: (query) => this.#ownReply(query),
      tableNodes: (target, count) => this.#tableNodes(target, count),
      isAcceptable: (host) => this.#isAcceptable(host),
      wasSilent: (node) => this.#silent.has(node, this.#options.clock.monotonicMs()),
      sharesHost: (host) => addressClass({ kind: 'ipv4', host }) !== 'public',
    }
  }

  #ownReply(query: KrpcArguments): DhtReply | null {
    if (!this.isServer) return null
    const { nodeId: id, _values: values, _peers: peers } = this.#client
    if (query.method === 'get_peers') return replyOf({ id, values: peers.get(toHex(query.infohash)) })
    const value = query.method === 'get' ? values.get(toHex(query.target)) : null
    return value === null || value === undefined ? null : replyOf({ ...value, id })
  }

  #tableNodes(target: Uint8Array, count: number): readonly WalkNode[] {
    return this.#client.nodes.closest(target, count).map(({ id, host, port }) => ({ id, host, port }))
  }

  #ask(node: DhtAddress, query: KrpcArguments): Promise<DhtAnswer> {
    return new Promise((resolve) => {
      if (this.#closing.signal.aborted) {
        resolve({ kind: 'silence' })
        return
      }
      const { nodeId, _rpc: rpc } = this.#client
      // Without the id that others gave it: the library would drop a reply under another id.
      const address = { host: node.host, port: node.port }
      rpc.query(address, { q: query.method, a: argumentsOf(nodeId, query) }, (error, reply) => {
        if (error === null && reply !== null) {
          this.#silent.onReply(address, this.#options.clock.monotonicMs())
          resolve({ kind: 'reply', reply: replyOf(reply.r) })
        } else if (typeof error?.code === 'number') {
          resolve({ kind: 'error', code: error.code })
        } else {
          this.#onSilence(address)
          resolve({ kind: 'silence' })
        }
      })
    })
  }

  /** A node that is silent twice running leaves the table. There are always others, and it may come back. */
  #onSilence(address: DhtAddress): void {
    if (this.#closing.signal.aborted) return
    const nowMs = this.#options.clock.monotonicMs()
    this.#silent.onSilence(address, nowMs)
    if (!this.#silent.has(address, nowMs)) return
    const { nodes } = this.#client
    for (const { id, host, port } of nodes.toArray()) {
      if (host === address.host && port === address.port) nodes.remove(id)
    }
  }

  /** Public, or of the class of our own socket: else a stranger could make us knock at our own network. */
  #isAcceptable(host: string): boolean {
    if (parseIpv4(host) === null) return false
    const is = addressClass({ kind: 'ipv4', host })
    return is === 'public' || (is !== 'reserved' && is === this.#ownClass)
  }
}
