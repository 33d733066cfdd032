/**
 * Relay connections: those that carry ANNOUNCE and no channel (PROTOCOL_FINAL.md
 * §7.7). What is taken, handed on, to whom and when is decided by discovery/flood.ts;
 * here are the connections and the timer. relay-dialing.ts makes those that we keep,
 * relay-errand.ts those on which we are a guest: nothing of our own is told here, since
 * on a connection that is kept it would lead to whoever keeps it.
 *
 * Who comes in is a guest until it says that it stays: it may tell a few statements
 * and ask for peers, and goes. A neighbour gets all that is flooded. Neighbours that
 * came in have places of their own, so that they cannot keep us from dialling; when
 * these are full, one that brought little makes room, so that nobody can hold them all.
 *
 * @module swarm/flooding
 */
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import {
  GOOD_CONNECTION_MS,
  HELLO_DEADLINE_MS,
  MAX_FLOOD_NEIGHBOURS,
  MAX_GUEST_STATEMENTS,
  MAX_RELAY_GUESTS,
  RELAY_GUEST_MS,
  RELAY_NEIGHBOURS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { isRelayTopic } from '../crypto/key-schedule.ts'
import { addressGroup } from '../discovery/address-group.ts'
import { Flood, relayIdOf } from '../discovery/flood.ts'
import { PexTeller } from '../discovery/pex.ts'
import { Connection } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'
import { hostGroup } from '../transport/host-group.ts'
import { type Address, formatAddress } from '../wire/address.ts'
import { ANNOUNCE_WORK_BITS, HELLO_NEIGHBOUR, PROTOCOL_VERSION } from '../wire/constants.ts'
import { buildHello } from '../wire/hello.ts'
import type { AnnounceMessage, HelloMessage } from '../wire/message.ts'
import {
  type OnionStatement,
  readStatement,
  statementAddress,
  verifyStatement,
} from '../wire/onion-statement.ts'
import { leastMissed } from './relay-places.ts'

export interface FloodingDeps {
  readonly clock: Clock
  /** Fills HELLOs: must be the operating system's. */
  readonly random: Random
  readonly log: Log
  /** 32 bytes: the node key of our relay connections, which is that of nothing else; of a gateway its node key. */
  readonly relayKey: Uint8Array
  /** ANNOUNCE_WORK_BITS but in simulations. */
  readonly workBits?: number
  /** A statement was taken that was not known: it is true, and holds now. */
  readonly onStatement?: (statement: OnionStatement) => void
  /** Onions of relays that we have met ourselves lately: told besides what was announced. */
  readonly metRelays?: () => readonly Address[]
}

interface Relay {
  readonly name: string
  readonly connection: Connection
  readonly teller: PexTeller
  readonly sinceMs: number
  /** We dialled it. */
  readonly isOurs: boolean
  readonly relayId: Uint8Array
  /** Hosts that count as one have one name. */
  readonly host: string
  readonly onEnd: (wasGood: boolean) => void
  role: 'greeting' | 'guest' | 'neighbour'
  gotHello: boolean
  /** Statements that it was the first to bring. */
  news: number
  /** Statements that it told as a guest. */
  told: number
}

export class Flooding {
  readonly #deps: FloodingDeps
  readonly #flood: Flood
  /** In the order in which they came. */
  readonly #relays = new Map<string, Relay>()
  #timer: Timer | null = null
  #closed = false

  constructor(deps: FloodingDeps) {
    this.#deps = deps
    const { clock, random, workBits = ANNOUNCE_WORK_BITS } = deps
    this.#flood = new Flood({
      clock,
      random,
      relayId: relayIdOf(deps.relayKey),
      verify: (statement) => verifyStatement(statement, workBits),
    })
  }

  /** Relay connections over which statements are flooded. */
  get neighbours(): number {
    return this.#of('neighbour').length
  }

  get guests(): number {
    return this.#relays.size - this.neighbours
  }

  /** A relay connection that somebody made to us. */
  accept(secured: Secured): void {
    const passing = [...this.#relays.values()].filter(({ role }) => role !== 'neighbour')
    if (passing.length >= MAX_RELAY_GUESTS) passing[0]?.connection.destroy()
    this.#start(secured, false, () => {})
  }

  /**
   * A relay connection that we made, to be kept.
   *
   * @param onEnd - called once, when it is over. @returns the connection, or null when there is no place for it.
   */
  join(secured: Secured, onEnd: (wasGood: boolean) => void): Connection | null {
    if (this.neighbours < MAX_FLOOD_NEIGHBOURS) return this.#start(secured, true, onEnd)
    secured.channel.destroy()
    return null
  }

  /** Current statements of a topic that have come. */
  find(wanted: Uint8Array): OnionStatement[] {
    return this.#flood.find(wanted)
  }

  /** Say goodbye and close every connection. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const { connection } of this.#relays.values()) connection.close('shuttingDown')
  }

  #start(secured: Secured, isOurs: boolean, onEnd: (wasGood: boolean) => void): Connection | null {
    const { clock, random } = this.#deps
    if (this.#closed) {
      secured.channel.destroy()
      return null
    }
    const { handshakeHash, role, remoteNodeKey } = secured
    const relay: Relay = {
      name: toHex(handshakeHash),
      connection: new Connection(secured.channel, clock),
      teller: new PexTeller(clock),
      sinceMs: clock.monotonicMs(),
      isOurs,
      // One that shows no key has a place by chance, and another one each time.
      relayId: relayIdOf(remoteNodeKey ?? handshakeHash),
      host: hostGroup(secured.channel.stream.remote.host),
      onEnd,
      role: 'greeting',
      gotHello: false,
      news: 0,
      told: 0,
    }
    this.#relays.set(relay.name, relay)
    if (isOurs) this.#becomeNeighbour(relay)
    relay.connection.start(
      {
        onNotice: (notice) => {
          if (notice.type === 'hello') this.#onHello(relay, notice)
          else if (notice.type === 'announce') this.#onAnnounce(relay, notice)
        },
        readBlob: async () => null,
        readHead: () => null,
        readPeers: (wanted) => this.#readPeers(relay, wanted),
        onClose: (reason) => this.#onClose(relay, reason),
      },
      secured.early,
    )
    relay.connection.notify(buildHello({ handshakeHash, role, counter: 0 }, [], random, HELLO_NEIGHBOUR))
    this.#plan()
    return relay.connection
  }

  #onHello(relay: Relay, hello: HelloMessage): void {
    if (hello.lowestVersion > PROTOCOL_VERSION || hello.highestVersion < PROTOCOL_VERSION) {
      throw new MegatorrentError('ERR_PROTOCOL', 'the peer speaks no version that we speak')
    }
    if (relay.gotHello) return
    relay.gotHello = true
    if (relay.role === 'greeting') {
      const stays = (hello.features & HELLO_NEIGHBOUR) !== 0
      if (!stays) relay.role = 'guest'
      else if (this.#hasRoom()) this.#becomeNeighbour(relay)
      else relay.connection.close('tooManyConnections')
    }
    this.#plan()
  }

  /** Of those that came in one makes room, if there is one that has had its time. */
  #hasRoom(): boolean {
    const { clock, random } = this.#deps
    const cameIn = this.#of('neighbour').filter(({ isOurs }) => !isOurs)
    if (cameIn.length < MAX_FLOOD_NEIGHBOURS - RELAY_NEIGHBOURS) return true
    const least = leastMissed(cameIn, clock.monotonicMs(), random)
    least?.connection.close('tooManyConnections')
    if (least !== null) this.#leave(least)
    return least !== null
  }

  #becomeNeighbour(relay: Relay): void {
    relay.role = 'neighbour'
    this.#flood.join(relay.name, relay.relayId)
  }

  #leave(relay: Relay): void {
    this.#relays.delete(relay.name)
    this.#flood.leave(relay.name)
  }

  /** @throws MegatorrentError ERR_PROTOCOL, to close the connection. */
  #onAnnounce(relay: Relay, { statements }: AnnounceMessage): void {
    if (!relay.gotHello) throw new MegatorrentError('ERR_PROTOCOL', 'ANNOUNCE before HELLO')
    for (const statement of statements) {
      const isGuest = relay.role === 'guest'
      if (isGuest && ++relay.told > MAX_GUEST_STATEMENTS) break
      // What a guest says begins at its stem, whatever it says of hops: else it would choose who hears it first.
      const verdict = isGuest
        ? this.#flood.receive(null, { ...statement, hops: 0 })
        : this.#flood.receive(relay.name, statement)
      if (verdict === 'false') {
        throw new MegatorrentError('ERR_PROTOCOL', 'an onion statement that proves nothing')
      }
      if (verdict !== 'taken') continue
      relay.news++
      this.#deps.onStatement?.(readStatement(statement.statement))
    }
    this.#plan()
  }

  #readPeers({ teller }: Relay, wanted: Uint8Array): Address[] | 'notFound' | 'busy' {
    const { clock, random, metRelays } = this.#deps
    const found = new Map(
      [
        ...this.#flood.find(wanted).map(statementAddress),
        ...(isRelayTopic(wanted, clock.now()) ? (metRelays?.() ?? []) : []),
      ].map((address) => [formatAddress(address), address] as const),
    )
    if (found.size === 0) return 'notFound'
    const tellable = [...found].map(([key, address]) => ({ key, address, group: addressGroup(address) }))
    return teller.answer(toHex(wanted), tellable, null, random)
  }

  #onClose(relay: Relay, reason: unknown): void {
    this.#leave(relay)
    const isClean = !isMegatorrentError(reason) || reason.kind !== 'peer'
    relay.onEnd(isClean && this.#deps.clock.monotonicMs() - relay.sinceMs > GOOD_CONNECTION_MS)
    this.#deps.log.debug('relay connection closed', { why: reason === null ? 'end' : errorMessage(reason) })
    this.#plan()
  }

  #of(role: Relay['role']): Relay[] {
    return [...this.#relays.values()].filter((relay) => relay.role === role)
  }

  /** One timer, for what is to be sent next, for HELLOs that are late and for guests that stay. */
  #plan(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#closed) return
    const { clock } = this.#deps
    const nextMs = Math.min(this.#flood.nextMs, ...[...this.#relays.values()].map(endMs))
    if (nextMs === Number.POSITIVE_INFINITY) return
    this.#timer = clock.setTimer(() => this.#act(), Math.max(0, nextMs - clock.monotonicMs()))
  }

  #act(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const relay of this.#relays.values()) {
      if (endMs(relay) > nowMs) continue
      relay.connection.destroy(new MegatorrentError('ERR_TIMEOUT', 'the peer says nothing, or does not go'))
    }
    for (const { neighbour, statements } of this.#flood.take()) {
      this.#relays.get(neighbour)?.connection.notify({ type: 'announce', statements })
    }
    this.#plan()
  }
}

/** When it is closed unless something comes before, monotonic ms. */
function endMs({ gotHello, role, sinceMs }: Relay): number {
  if (!gotHello) return sinceMs + HELLO_DEADLINE_MS
  return role === 'guest' ? sinceMs + RELAY_GUEST_MS : Number.POSITIVE_INFINITY
}
