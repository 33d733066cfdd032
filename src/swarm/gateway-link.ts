/**
 * How gateways are reached: a connection of its own for each errand, which asks one
 * thing, shows no channel and no node key, and ends (PROTOCOL_FINAL.md §7.8).
 *
 * Whoever gives the dialler decides what the circuit of an errand is worth: over TCP
 * nothing, over a proxy a circuit that nothing else goes through.
 *
 * @module swarm/gateway-link
 */
import { toHex } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { DIAL_TIMEOUT_MS, KEEP_LOOK_MS, PUZZLE_TRIES_FACTOR, WORK_TRIES_PER_TURN } from '../base/limits.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import type { MemoryHash } from '../crypto/argon2id.ts'
import { dayOf, NETWORK_HANDSHAKE_KEY, nodeHandshakeKey } from '../crypto/key-schedule.ts'
import type { Errand, GatewayLink } from '../discovery/gateway/gateway-dht.ts'
import { Connection, type ConnectionHandlers } from '../transport/connection.ts'
import { initiateHandshake, type Secured } from '../transport/handshake.ts'
import type { Dialer } from '../transport/transport.ts'
import { type Address, type PeerAddress, provenKey } from '../wire/address.ts'
import { MAX_PUBLISH_WORK_BITS, PUBLISH_WORK_BITS } from '../wire/constants.ts'
import { buildHello } from '../wire/hello.ts'
import { isBearable, isSolution, puzzleInput, puzzleNonce, puzzleSalt } from '../wire/memory-puzzle.ts'
import {
  KEEP_STATES,
  type KeepList,
  PUBLISH_OUTCOMES,
  type PublishAnswer,
  type PublishedItem,
  type PuzzleParameters,
  type SlotAnswer,
} from '../wire/message.ts'
import { findKeepNonce, findPublishNonce } from '../wire/publish-work.ts'

export interface GatewayLinkDeps {
  readonly dialer: Dialer
  /** IP literals of a host name that the user typed; null: the dialler takes names as they are. */
  readonly resolve: ((host: string) => Promise<readonly string[]>) | null
  /** ms for a connection; DIAL_TIMEOUT_MS by default. */
  readonly dialTimeoutMs?: number
  readonly clock: Clock
  /** Makes keys: the operating system's. */
  readonly random: Random
  /** Solves puzzles, away from the main thread. */
  readonly memoryHash: MemoryHash
  /** Work that is done unasked; PUBLISH_WORK_BITS but in simulations. */
  readonly workBits?: number
}

/** What work is done for: an item on a connection. */
interface OnConnection {
  readonly connection: Connection
  readonly handshakeHash: Uint8Array
  readonly item: PublishedItem
  readonly signal: AbortSignal
}

/** ms between two turns of work: the least that a timer has. */
const WORK_PAUSE_MS = 1

export class DialledGateways implements GatewayLink<PeerAddress> {
  readonly #deps: GatewayLinkDeps
  readonly #tries = new Semaphore(1)

  constructor(deps: GatewayLinkDeps) {
    this.#deps = deps
  }

  publish(
    gateway: PeerAddress,
    errand: Errand,
    item: PublishedItem,
    signal: AbortSignal,
  ): Promise<PublishAnswer> {
    return this.#with(gateway, errand, signal, async (connection, handshakeHash) => {
      const on: OnConnection = { connection, handshakeHash, item, signal }
      const bits = this.#deps.workBits ?? PUBLISH_WORK_BITS
      const find = (wanted: number, from: number): Uint8Array | null =>
        findPublishNonce(handshakeHash, item, wanted, from, WORK_TRIES_PER_TURN)
      let nonce = await this.#work(on, (from) => find(bits, from))
      let answer = await connection.publish({ nonce, ...item }, signal)
      const { outcome, workBits } = answer
      if (outcome === PUBLISH_OUTCOMES.work && workBits > bits && workBits <= MAX_PUBLISH_WORK_BITS) {
        nonce = await this.#work(on, (from) => find(workBits, from))
        answer = await connection.publish({ nonce, ...item }, signal)
      }
      if (answer.puzzle === undefined || !isBearable(answer.puzzle)) return answer
      // Once: what it asks for after that, for whatever reason, is not done.
      const puzzleNonce = await this.#solve(on, answer.puzzle)
      return connection.publish({ nonce, ...item, puzzleNonce }, signal)
    })
  }

  readSlot(
    gateway: PeerAddress,
    errand: Errand,
    slotKey: Uint8Array,
    signal: AbortSignal,
  ): Promise<SlotAnswer> {
    return this.#with(gateway, errand, signal, (connection) => connection.requestSlot(slotKey, signal))
  }

  findPeers(
    gateway: PeerAddress,
    errand: Errand,
    topic: Uint8Array,
    signal: AbortSignal,
  ): Promise<readonly Address[]> {
    // No port: a gateway would only learn where we are.
    return this.#with(gateway, errand, signal, (connection) => connection.requestPeers(topic, 0, signal))
  }

  /**
   * Have a gateway keep blobs: it asks for those that it has not, over this connection.
   *
   * @param readBlob - of the list: nothing else is read.
   * @returns what became of each, one of KEEP_STATES and none of them `coming`.
   * @throws MegatorrentError ERR_REMOTE_REFUSED when it keeps no blobs, or not these.
   */
  keep(
    gateway: PeerAddress,
    errand: Errand,
    list: KeepList,
    readBlob: (id: Uint8Array) => Promise<Uint8Array | null>,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const listed = new Set(list.blobIds.map(toHex))
    const read = async (id: Uint8Array): Promise<Uint8Array | null> =>
      listed.has(toHex(id)) ? readBlob(id) : null
    const ask = async (connection: Connection, handshakeHash: Uint8Array): Promise<Uint8Array> => {
      const bits = this.#deps.workBits ?? PUBLISH_WORK_BITS
      const find = (from: number): Uint8Array | null =>
        findKeepNonce(handshakeHash, list, bits, from, WORK_TRIES_PER_TURN)
      const nonce = await this.#work({ connection, signal }, find)
      let answer = await connection.keep({ nonce, ...list }, signal)
      while (answer.outcome === PUBLISH_OUTCOMES.stored && answer.states.includes(KEEP_STATES.coming)) {
        await sleep(this.#deps.clock, KEEP_LOOK_MS, signal)
        answer = await connection.keep({ nonce, until: 0, blobIds: list.blobIds }, signal)
      }
      const { outcome, states } = answer
      if (outcome === PUBLISH_OUTCOMES.stored && states.length === list.blobIds.length) return states
      throw new MegatorrentError('ERR_REMOTE_REFUSED', `the gateway keeps none of these blobs: ${outcome}`)
    }
    return this.#with(gateway, errand, signal, ask, read)
  }

  async #with<T>(
    gateway: PeerAddress,
    errand: Errand,
    signal: AbortSignal,
    ask: (connection: Connection, handshakeHash: Uint8Array) => Promise<T>,
    readBlob: ConnectionHandlers['readBlob'] = async () => null,
  ): Promise<T> {
    const secured = await this.#dial(gateway, errand, signal)
    const connection = this.#greet(secured, readBlob)
    try {
      return await ask(connection, secured.handshakeHash)
    } finally {
      connection.close('notNeeded')
    }
  }

  async #dial(gateway: PeerAddress, { purpose, subject }: Errand, signal: AbortSignal): Promise<Secured> {
    const { dialer, clock, random, resolve, dialTimeoutMs: timeoutMs = DIAL_TIMEOUT_MS } = this.#deps
    const isResolved = gateway.kind !== 'name' || resolve === null
    const host = isResolved ? gateway.host : await firstOf(resolve, gateway.host)
    const circuit = { purpose, subject, day: dayOf(clock.now()) }
    const endpoint = { host, port: gateway.port }
    const stream = await dialer.dial(endpoint, { signal, timeoutMs, circuit })
    const expectedNodeKey = provenKey(gateway)
    return initiateHandshake(stream, {
      psk: expectedNodeKey === null ? NETWORK_HANDSHAKE_KEY : nodeHandshakeKey(expectedNodeKey),
      purpose: { kind: expectedNodeKey === null ? 'network' : 'node' },
      dialled: null,
      expectedNodeKey,
      nodeKey: null, // a gateway is told nothing by which two connections could be one node's
      clock,
      random,
      signal,
    })
  }

  /** Say HELLO, with places that say nothing. What the gateway says besides its answer is nothing to us. */
  #greet(
    { channel, early, role, handshakeHash }: Secured,
    readBlob: ConnectionHandlers['readBlob'],
  ): Connection {
    const { clock, random } = this.#deps
    const connection = new Connection(channel, clock)
    connection.start({ onNotice: () => {}, readBlob, readHead: () => null, onClose: () => {} }, early)
    connection.notify(buildHello({ handshakeHash, role, counter: 0 }, [], random))
    return connection
  }

  /** A little at a time, between other work, while the gateway is there to be shown it. */
  async #work(
    { connection, signal }: Pick<OnConnection, 'connection' | 'signal'>,
    find: (from: number) => Uint8Array | null,
  ): Promise<Uint8Array> {
    for (let from = 0; ; from += WORK_TRIES_PER_TURN) {
      const nonce = find(from)
      if (nonce !== null) return nonce
      await sleep(this.#deps.clock, WORK_PAUSE_MS, signal)
      if (connection.closed) throw gone()
    }
  }

  /** The same for a puzzle: one try at a time over all gateways, by a thread of its own. */
  async #solve(
    { connection, handshakeHash, item, signal }: OnConnection,
    puzzle: PuzzleParameters,
  ): Promise<Uint8Array> {
    const salt = puzzleSalt(handshakeHash, item)
    const tries = PUZZLE_TRIES_FACTOR * 2 ** puzzle.bits
    for (let count = 0; count < tries; count++) {
      const nonce = puzzleNonce(count)
      const hash = await this.#tries.run(async () => {
        signal.throwIfAborted()
        if (connection.closed) throw gone()
        return this.#deps.memoryHash(puzzleInput(salt, nonce, puzzle))
      })
      if (isSolution(hash, puzzle)) return nonce
    }
    throw new MegatorrentError('ERR_REMOTE_REFUSED', 'the puzzle of the gateway has no solution in reach')
  }
}

function gone(): MegatorrentError {
  return new MegatorrentError('ERR_CONNECTION_CLOSED', 'the gateway has gone')
}

async function firstOf(resolve: (host: string) => Promise<readonly string[]>, host: string): Promise<string> {
  const [first] = await resolve(host)
  if (first !== undefined) return first
  throw new MegatorrentError('ERR_NAME_NOT_RESOLVED', 'the name of the gateway has no address')
}
