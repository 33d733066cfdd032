/**
 * How gateways are reached: a connection of its own for each errand, which asks one
 * thing, shows no channel and no node key, and ends (PROTOCOL_FINAL.md §7.8).
 *
 * Whoever gives the dialler decides what the circuit of an errand is worth: over TCP
 * nothing, over a proxy a circuit that nothing else goes through.
 *
 * @module swarm/gateway-link
 */
import { type Clock, sleep } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { DIAL_TIMEOUT_MS, WORK_TRIES_PER_TURN } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { dayOf, NETWORK_HANDSHAKE_KEY, nodeHandshakeKey } from '../crypto/key-schedule.ts'
import type { Errand, GatewayLink } from '../discovery/gateway/gateway-dht.ts'
import { Connection } from '../transport/connection.ts'
import { initiateHandshake, type Secured } from '../transport/handshake.ts'
import type { Dialer } from '../transport/transport.ts'
import { type Address, type PeerAddress, provenKey } from '../wire/address.ts'
import { MAX_PUBLISH_WORK_BITS, PUBLISH_WORK_BITS } from '../wire/constants.ts'
import { buildHello } from '../wire/hello.ts'
import { PUBLISH_OUTCOMES, type PublishAnswer, type PublishedItem, type SlotAnswer } from '../wire/message.ts'
import { findPublishNonce } from '../wire/publish-work.ts'

export interface GatewayLinkDeps {
  readonly dialer: Dialer
  /** IP literals of a host name that the user typed; null: the dialler takes names as they are. */
  readonly resolve: ((host: string) => Promise<readonly string[]>) | null
  /** ms for a connection; DIAL_TIMEOUT_MS by default. */
  readonly dialTimeoutMs?: number
  readonly clock: Clock
  /** Makes keys: the operating system's. */
  readonly random: Random
  /** Work that is done unasked; PUBLISH_WORK_BITS but in simulations. */
  readonly workBits?: number
}

/** Times that work is done for one item: what every gateway asks, and once what this one asks instead. */
const MAX_WORK_ROUNDS = 2

/** ms between two turns of work: the least that a timer has. */
const WORK_PAUSE_MS = 1

export class DialledGateways implements GatewayLink<PeerAddress> {
  readonly #deps: GatewayLinkDeps

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
      let bits = this.#deps.workBits ?? PUBLISH_WORK_BITS
      for (let round = 1; ; round++) {
        const nonce = await this.#work(connection, handshakeHash, item, bits, signal)
        const answer = await connection.publish({ nonce, ...item }, signal)
        const wantsMore = answer.outcome === PUBLISH_OUTCOMES.work && answer.workBits > bits
        if (!wantsMore || answer.workBits > MAX_PUBLISH_WORK_BITS || round === MAX_WORK_ROUNDS) return answer
        bits = answer.workBits
      }
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

  async #with<T>(
    gateway: PeerAddress,
    errand: Errand,
    signal: AbortSignal,
    ask: (connection: Connection, handshakeHash: Uint8Array) => Promise<T>,
  ): Promise<T> {
    const secured = await this.#dial(gateway, errand, signal)
    const connection = this.#greet(secured)
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
  #greet({ channel, early, role, handshakeHash }: Secured): Connection {
    const { clock, random } = this.#deps
    const connection = new Connection(channel, clock)
    connection.start(
      { onNotice: () => {}, readBlob: async () => null, readHead: () => null, onClose: () => {} },
      early,
    )
    connection.notify(buildHello({ handshakeHash, role, counter: 0 }, [], random))
    return connection
  }

  /** A little at a time, between other work, while the gateway is there to be shown it. */
  async #work(
    connection: Connection,
    handshakeHash: Uint8Array,
    item: PublishedItem,
    bits: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    for (let from = 0; ; from += WORK_TRIES_PER_TURN) {
      const nonce = findPublishNonce(handshakeHash, item, bits, from, WORK_TRIES_PER_TURN)
      if (nonce !== null) return nonce
      await sleep(this.#deps.clock, WORK_PAUSE_MS, signal)
      if (connection.closed) throw new MegatorrentError('ERR_CONNECTION_CLOSED', 'the gateway has gone')
    }
  }
}

async function firstOf(resolve: (host: string) => Promise<readonly string[]>, host: string): Promise<string> {
  const [first] = await resolve(host)
  if (first !== undefined) return first
  throw new MegatorrentError('ERR_NAME_NOT_RESOLVED', 'the name of the gateway has no address')
}
