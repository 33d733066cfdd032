/**
 * Relay connections: those that carry ANNOUNCE and no channel (PROTOCOL_FINAL.md
 * §7.7). What is taken, handed on, to whom and when is decided by discovery/flood.ts;
 * here are the connections, the timer and the work of proofs.
 *
 * Nothing dials relay connections yet: safe mode will, with keys and circuits of
 * their own, since a statement that went in on the connection of one channel and
 * came out on that of another would show that both end here. Until then no node
 * makes one of these.
 *
 * @module swarm/flooding
 */
import { toHex } from '../base/bytes.ts'
import { type Clock, sleep, type Timer } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { HELLO_DEADLINE_MS, MAX_FLOOD_NEIGHBOURS, WORK_TRIES_PER_TURN } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { addressGroup } from '../discovery/address-group.ts'
import { Flood, relayIdOf } from '../discovery/flood.ts'
import { PexTeller } from '../discovery/pex.ts'
import { Connection } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'
import { type Address, formatAddress } from '../wire/address.ts'
import { ANNOUNCE_WORK_BITS, PROTOCOL_VERSION } from '../wire/constants.ts'
import { buildHello } from '../wire/hello.ts'
import type { AnnounceMessage, HelloMessage } from '../wire/message.ts'
import {
  findNonce,
  type OnionStatement,
  type StatementClaim,
  signStatement,
  statementAddress,
  verifyStatement,
} from '../wire/onion-statement.ts'

export interface FloodingDeps {
  readonly clock: Clock
  /** Fills HELLOs: must be the operating system's. */
  readonly random: Random
  readonly log: Log
  /** 32 bytes: the node key of our relay connections, which is that of nothing else. */
  readonly relayKey: Uint8Array
  /** ANNOUNCE_WORK_BITS but in simulations. */
  readonly workBits?: number
}

interface Relay {
  readonly connection: Connection
  readonly teller: PexTeller
  readonly sinceMs: number
  gotHello: boolean
}

export class Flooding {
  readonly #deps: FloodingDeps
  readonly #flood: Flood
  readonly #workBits: number
  readonly #relays = new Map<string, Relay>()
  #timer: Timer | null = null
  #closed = false

  constructor(deps: FloodingDeps) {
    this.#deps = deps
    this.#workBits = deps.workBits ?? ANNOUNCE_WORK_BITS
    this.#flood = new Flood({
      clock: deps.clock,
      random: deps.random,
      relayId: relayIdOf(deps.relayKey),
      verify: (statement) => verifyStatement(statement, this.#workBits),
    })
  }

  get neighbours(): number {
    return this.#relays.size
  }

  /** Take a connection in as a relay connection, whoever dialled; more than MAX_FLOOD_NEIGHBOURS are told so. */
  add(secured: Secured): void {
    if (this.#closed) {
      secured.channel.destroy()
      return
    }
    const { clock, random } = this.#deps
    const name = toHex(secured.handshakeHash)
    const connection = new Connection(secured.channel, clock)
    const isFull = this.#relays.size >= MAX_FLOOD_NEIGHBOURS
    const relay = { connection, teller: new PexTeller(clock), sinceMs: clock.monotonicMs(), gotHello: false }
    if (!isFull) {
      this.#relays.set(name, relay)
      // One that shows no key has a place by chance, and another one each time.
      this.#flood.join(name, relayIdOf(secured.remoteNodeKey ?? secured.handshakeHash))
    }
    connection.start(
      {
        onNotice: (notice) => {
          if (notice.type === 'hello') this.#onHello(relay, notice)
          else if (notice.type === 'announce') this.#onAnnounce(name, relay, notice)
        },
        readBlob: async () => null,
        readHead: () => null,
        readPeers: (topic) => (isFull ? 'notFound' : this.#readPeers(relay, topic)),
        onClose: (reason) => this.#onClose(name, reason),
      },
      secured.early,
    )
    if (isFull) {
      connection.close('tooManyConnections')
      return
    }
    const { handshakeHash, role } = secured
    connection.notify(buildHello({ handshakeHash, role, counter: 0 }, [], random))
    this.#plan()
  }

  /**
   * Say that an onion serves a topic: the work is done, a little at a time, then the statement begins its stem.
   *
   * @param sign - by the key of the onion.
   * @returns false when there is no relay connection, or it was said before; true does not mean that anybody heard.
   * Cost: some 0.5 s of processor time for ANNOUNCE_WORK_BITS.
   * @throws what the signal aborts with.
   */
  async announce(
    claim: StatementClaim,
    sign: (message: Uint8Array) => Uint8Array,
    signal?: AbortSignal,
  ): Promise<boolean> {
    let nonce: Uint8Array | null = null
    for (let from = 0; nonce === null; from += WORK_TRIES_PER_TURN) {
      nonce = findNonce(claim, from, WORK_TRIES_PER_TURN, this.#workBits)
      if (nonce === null) await sleep(this.#deps.clock, 0, signal)
    }
    const begun = this.#flood.announce(signStatement(claim, nonce, sign))
    this.#plan()
    return begun
  }

  /** Current statements of a topic that have come. */
  find(topic: Uint8Array): OnionStatement[] {
    return this.#flood.find(topic)
  }

  /** Say goodbye and close every connection. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const { connection } of this.#relays.values()) connection.close('shuttingDown')
  }

  #onHello(relay: Relay, hello: HelloMessage): void {
    if (hello.lowestVersion > PROTOCOL_VERSION || hello.highestVersion < PROTOCOL_VERSION) {
      throw new MegatorrentError('ERR_PROTOCOL', 'the peer speaks no version that we speak')
    }
    relay.gotHello = true
  }

  /** @throws MegatorrentError ERR_PROTOCOL, to close the connection. */
  #onAnnounce(name: string, relay: Relay, { statements }: AnnounceMessage): void {
    if (!relay.gotHello) throw new MegatorrentError('ERR_PROTOCOL', 'ANNOUNCE before HELLO')
    for (const statement of statements) {
      if (this.#flood.receive(name, statement) !== 'false') continue
      throw new MegatorrentError('ERR_PROTOCOL', 'an onion statement that proves nothing')
    }
    this.#plan()
  }

  #readPeers({ teller }: Relay, topic: Uint8Array): Address[] | 'notFound' | 'busy' {
    const candidates = this.#flood.find(topic).map(statementAddress)
    if (candidates.length === 0) return 'notFound'
    const tellable = candidates.map((address) => ({
      key: formatAddress(address),
      address,
      group: addressGroup(address),
    }))
    return teller.answer(toHex(topic), tellable, null, this.#deps.random)
  }

  #onClose(name: string, reason: unknown): void {
    this.#relays.delete(name)
    this.#flood.leave(name)
    this.#deps.log.debug('relay connection closed', { why: reason === null ? 'end' : errorMessage(reason) })
    this.#plan()
  }

  /** One timer, for what is to be sent next and for HELLOs that are late. */
  #plan(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#closed) return
    const { clock } = this.#deps
    const nextMs = Math.min(this.#flood.nextMs, ...[...this.#relays.values()].map(helloDueMs))
    if (nextMs === Number.POSITIVE_INFINITY) return
    this.#timer = clock.setTimer(() => this.#act(), Math.max(0, nextMs - clock.monotonicMs()))
  }

  #act(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const relay of this.#relays.values()) {
      if (helloDueMs(relay) > nowMs) continue
      relay.connection.destroy(new MegatorrentError('ERR_TIMEOUT', 'the peer says no HELLO'))
    }
    for (const { neighbour, statements } of this.#flood.take()) {
      this.#relays.get(neighbour)?.connection.notify({ type: 'announce', statements })
    }
    this.#plan()
  }
}

function helloDueMs({ gotHello, sinceMs }: Relay): number {
  return gotHello ? Number.POSITIVE_INFINITY : sinceMs + HELLO_DEADLINE_MS
}
