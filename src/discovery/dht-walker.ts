/**
 * Runs walks: asks nodes until walk.ts says that it is done, or time is up.
 *
 * The library's own walk is not used: it asks twenty nodes and everything nearer,
 * waits for the slowest, follows any chain of liars, and may never call back when a
 * reply upsets it. This one has a bound for each of these, and begins where the last
 * walk to the same target ended, which halves the traffic of what is done every hour.
 *
 * @module discovery/dht-walker
 */
import { linkSignals } from '../base/abort.ts'
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import {
  DHT_CLOSEST_NODES,
  DHT_MAX_REMEMBERED_TARGETS,
  DHT_MAX_WAITING_OPERATIONS,
  DHT_MAX_WALK_NODES,
  DHT_MAX_WALK_QUERIES,
  DHT_NODES_PER_ANSWER,
  DHT_OPERATION_TIMEOUT_MS,
  DHT_PARALLEL_WALKS,
  DHT_STALL_MS,
  DHT_WALK_PARALLEL_QUERIES,
} from '../base/limits.ts'
import { Semaphore } from '../base/queue.ts'
import { formatIpv4 } from '../wire/ip.ts'
import type { DhtAddress, DhtOptions } from './dht.ts'
import { COMPACT_NODE_BYTES, type KrpcArguments, type KrpcResponse, NODE_ID_BYTES } from './krpc.ts'
import { Walk, type WalkNode } from './walk.ts'

/** What became of one query: a reply, an error of the other side, or nothing in time. */
export type DhtAnswer =
  | { readonly kind: 'reply'; readonly reply: DhtReply }
  | { readonly kind: 'error'; readonly code: number }
  | { readonly kind: 'silence' }

export type DhtReply = Omit<KrpcResponse, 'type' | 'transaction'>

/** What a walk needs of the network: mainline.ts provides it. */
export interface DhtNetwork {
  readonly ownId: Uint8Array
  /** Ask one node. Never rejects; settles in bounded time, with `silence` after `close`. */
  ask(node: DhtAddress, query: KrpcArguments): Promise<DhtAnswer>
  /** What our own node holds for others; null when it serves nobody, or has nothing. */
  ownReply(query: KrpcArguments): DhtReply | null
  /** Nodes of the table, nearest to the target first. */
  tableNodes(target: Uint8Array, count: number): readonly WalkNode[]
  /** May a node that others name be asked at this address? */
  isAcceptable(host: string): boolean
  /** Was it silent a short while ago? */
  wasSilent(node: DhtAddress): boolean
  /** May several nodes share this address? */
  sharesHost(host: string): boolean
}

/** A node that answered, with what it said. */
export interface WalkAnswer {
  readonly node: WalkNode
  readonly reply: DhtReply
}

export interface WalkResult {
  readonly asked: number
  readonly replied: number
  /** The nearest nodes that answered, nearest first. */
  readonly nearest: readonly WalkAnswer[]
}

export class DhtWalker {
  readonly #network: DhtNetwork
  readonly #clock: Clock
  readonly #places = new Semaphore(DHT_PARALLEL_WALKS)
  /** Ends of earlier walks, the least recently used first. */
  readonly #remembered = new Map<string, readonly WalkNode[]>()
  readonly #closing = new AbortController()

  constructor(network: DhtNetwork, clock: Clock) {
    this.#network = network
    this.#clock = clock
  }

  /** Our own node is one that a walk does not come by. */
  ownReply(query: KrpcArguments): DhtReply | null {
    return this.#network.ownReply(query)
  }

  /** Ends all operations under way with ERR_DHT_CLOSED. */
  close(): void {
    this.#closing.abort(new MegatorrentError('ERR_DHT_CLOSED', 'the DHT is closed'))
  }

  /**
   * Run one operation: it waits for its turn, and its walks and its time are its own.
   *
   * @param work - is given a signal that fires when the operation is to stop, by `options.signal`
   *   or `close`; and the moment by which it must be done, on the monotonic clock.
   */
  async operation<T>(
    options: DhtOptions,
    work: (signal: AbortSignal, deadlineMs: number) => Promise<T>,
  ): Promise<T> {
    const signals = [this.#closing.signal, ...(options.signal === undefined ? [] : [options.signal])]
    const { signal, release } = linkSignals(...signals)
    try {
      return await this.#inPlace(signal, () => {
        const timeoutMs = options.timeoutMs ?? DHT_OPERATION_TIMEOUT_MS
        return work(signal, this.#clock.monotonicMs() + timeoutMs)
      })
    } finally {
      release()
    }
  }

  async #inPlace<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    throwIfStopped(signal)
    if (this.#places.waiting >= DHT_MAX_WAITING_OPERATIONS) {
      throw new MegatorrentError('ERR_DHT_BUSY', 'too many operations wait for the DHT')
    }
    await this.#acquirePlace(signal)
    try {
      return await work()
    } finally {
      this.#places.release()
    }
  }

  /** Wait for a place, or throw at once when the signal fires; the place is then given back when it comes. */
  async #acquirePlace(signal: AbortSignal): Promise<void> {
    const acquired = this.#places.acquire()
    let onAbort = (): void => {}
    const stopped = new Promise<'stopped'>((resolve) => {
      onAbort = () => resolve('stopped')
      signal.addEventListener('abort', onAbort, { once: true })
    })
    const first = await Promise.race([acquired, stopped])
    signal.removeEventListener('abort', onAbort)
    if (first !== 'stopped') return
    void acquired.then(() => this.#places.release())
    throw stopReason(signal)
  }

  /**
   * Walk towards `target`, asking each node `query`.
   *
   * @param onReply - sees each reply as it comes.
   * @throws the reason of `signal` when it fires. At the deadline it returns what it has.
   */
  walk(
    target: Uint8Array,
    query: KrpcArguments,
    onReply: (answer: WalkAnswer) => void,
    signal: AbortSignal,
    deadlineMs: number,
  ): Promise<WalkResult> {
    const walk = this.#begin(target)
    const replies = new Map<string, WalkAnswer>()
    return new Promise((resolve, reject) => {
      let isOver = false
      const stalls: Timer[] = []
      const end = (): void => {
        isOver = true
        timer.cancel()
        for (const stall of stalls) stall.cancel()
        signal.removeEventListener('abort', onAbort)
      }
      const finish = (): void => {
        if (isOver) return
        end()
        const nearest = walk.nearest()
        this.#remember(target, nearest)
        const answers = nearest
          .map((node) => replies.get(addressKey(node)))
          .filter((answer) => answer !== undefined)
        resolve({ asked: walk.asked, replied: walk.replied, nearest: answers })
      }
      const onAbort = (): void => {
        if (isOver) return
        end()
        reject(stopReason(signal))
      }
      const take = (node: WalkNode, answer: DhtAnswer): void => {
        if (answer.kind !== 'reply') {
          walk.failed(node)
          return
        }
        const { reply } = answer
        walk.answered(node, new Uint8Array(reply.id))
        walk.heard(this.#nodesOf(reply.nodes))
        const found = { node: { ...node, id: new Uint8Array(reply.id) }, reply }
        replies.set(addressKey(node), found)
        onReply(found)
      }
      const step = (): void => {
        if (isOver) return
        for (const node of walk.next()) askNode(node)
        if (walk.isDone) finish()
      }
      const askNode = (node: WalkNode): void => {
        const stall = this.#clock.setTimer(() => {
          walk.stalled(node)
          step()
        }, DHT_STALL_MS)
        const settle = (answer: DhtAnswer): void => {
          stall.cancel()
          if (isOver) return
          take(node, answer)
          step()
        }
        stalls.push(stall)
        this.#network.ask(node, query).then(settle, () => settle({ kind: 'silence' }))
      }
      const timer = this.#clock.setTimer(finish, Math.max(0, deadlineMs - this.#clock.monotonicMs()))
      if (signal.aborted) onAbort()
      else {
        signal.addEventListener('abort', onAbort, { once: true })
        step()
      }
    })
  }

  /**
   * Ask each of these nodes once, all at the same time.
   *
   * @returns the answers in order; `silence` for what had not come by the deadline.
   */
  async askAll(
    nodes: readonly DhtAddress[],
    queryOf: (index: number) => KrpcArguments,
    signal: AbortSignal,
    deadlineMs: number,
  ): Promise<readonly DhtAnswer[]> {
    const answers: DhtAnswer[] = nodes.map(() => ({ kind: 'silence' }))
    const asking = nodes.map(async (node, index) => {
      answers[index] = await this.#network.ask(node, queryOf(index))
    })
    await this.#until(Promise.allSettled(asking), signal, deadlineMs)
    return [...answers]
  }

  #until(work: Promise<unknown>, signal: AbortSignal, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
        settle()
      }
      const onAbort = (): void => end(() => reject(stopReason(signal)))
      const timer = this.#clock.setTimer(
        () => end(resolve),
        Math.max(0, deadlineMs - this.#clock.monotonicMs()),
      )
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      work.then(() => end(resolve), reject)
    })
  }

  #begin(target: Uint8Array): Walk {
    const walk = new Walk(
      target,
      this.#network.ownId,
      {
        closest: DHT_CLOSEST_NODES,
        parallel: DHT_WALK_PARALLEL_QUERIES,
        maxQueries: DHT_MAX_WALK_QUERIES,
        maxNodes: DHT_MAX_WALK_NODES,
        perAnswer: DHT_NODES_PER_ANSWER,
      },
      (host) => this.#network.sharesHost(host),
    )
    for (const node of this.#remembered.get(toHex(target)) ?? []) {
      if (!this.#network.wasSilent(node)) walk.add(node)
    }
    for (const node of this.#network.tableNodes(target, DHT_CLOSEST_NODES)) walk.add(node)
    return walk
  }

  #remember(target: Uint8Array, nearest: readonly WalkNode[]): void {
    const key = toHex(target)
    this.#remembered.delete(key)
    if (nearest.length === 0) return
    this.#remembered.set(key, nearest)
    const oldest = this.#remembered.keys().next()
    if (this.#remembered.size > DHT_MAX_REMEMBERED_TARGETS && oldest.done !== true) {
      this.#remembered.delete(oldest.value)
    }
  }

  #nodesOf(compact: Uint8Array): readonly WalkNode[] {
    const nodes: WalkNode[] = []
    for (let at = 0; at + COMPACT_NODE_BYTES <= compact.length; at += COMPACT_NODE_BYTES) {
      const entry = compact.subarray(at, at + COMPACT_NODE_BYTES)
      const host = formatIpv4(entry.subarray(NODE_ID_BYTES, NODE_ID_BYTES + 4))
      const port = ((entry[COMPACT_NODE_BYTES - 2] ?? 0) << 8) | (entry[COMPACT_NODE_BYTES - 1] ?? 0)
      if (port === 0 || !this.#network.isAcceptable(host) || this.#network.wasSilent({ host, port })) continue
      nodes.push({ id: new Uint8Array(entry.subarray(0, NODE_ID_BYTES)), host, port })
    }
    return nodes
  }
}

function addressKey(node: DhtAddress): string {
  return `${node.host}:${node.port}`
}

function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted) throw stopReason(signal)
}

/** Our own errors pass as they are; any other reason of a caller's signal becomes ERR_ABORTED. */
function stopReason(signal: AbortSignal): MegatorrentError {
  const reason: unknown = signal.reason
  if (reason instanceof MegatorrentError) return reason
  return new MegatorrentError('ERR_ABORTED', 'the operation on the DHT was stopped', { cause: reason })
}
