/**
 * What is said to a relay as a guest: one thing, over a connection that is for it alone
 * (PROTOCOL_FINAL.md §7.7). Statements of our channels' onions are told so and in no
 * other way: on a connection that is kept, or that carries a channel, they would tie
 * what they name to whoever keeps it.
 *
 * @module swarm/relay-errand
 */
import { equalBytes } from '../base/bytes.ts'
import { isMegatorrentError } from '../base/errors.ts'
import { PEX_ADDRESSES_PER_ANSWER, RELAY_ERRAND_MS } from '../base/limits.ts'
import { Connection } from '../transport/connection.ts'
import type { Address, PeerAddress } from '../wire/address.ts'
import { encodeAddress } from '../wire/address.ts'
import { buildHello } from '../wire/hello.ts'
import { type OnionStatement, statementAddress } from '../wire/onion-statement.ts'
import { connectRelay, type RelayConnectDeps } from './relay-connect.ts'

/** How relays are reached as a guest: each call is one connection. Errors as of any connection. */
export interface RelayErrands {
  /**
   * Tell a statement, and ask for its topic: what is found there shows that it was taken.
   *
   * @param subject - what tells this from every other errand: never two on one circuit.
   * @returns whether it was taken.
   */
  announce(
    relay: PeerAddress,
    subject: string,
    statement: OnionStatement,
    signal: AbortSignal,
  ): Promise<boolean>

  /** Onions under a topic, as far as that relay has heard. */
  findPeers(
    relay: PeerAddress,
    subject: string,
    topic: Uint8Array,
    signal: AbortSignal,
  ): Promise<readonly Address[]>
}

export class DialledRelays implements RelayErrands {
  readonly #deps: RelayConnectDeps

  constructor(deps: RelayConnectDeps) {
    this.#deps = deps
  }

  announce(
    relay: PeerAddress,
    subject: string,
    statement: OnionStatement,
    signal: AbortSignal,
  ): Promise<boolean> {
    return this.#with(relay, { purpose: 'announce', subject }, signal, async (connection) => {
      connection.notify({ type: 'announce', statements: [{ hops: 0, statement: statement.bytes }] })
      // One that did not take it has nothing there, or others alone; one that has many tells a few of them.
      const found = await ask(connection, statement.topic, signal)
      const own = encodeAddress(statementAddress(statement))
      const isThere = found.some((address) => equalBytes(encodeAddress(address), own))
      return isThere || found.length >= MANY_FOUND
    })
  }

  findPeers(
    relay: PeerAddress,
    subject: string,
    topic: Uint8Array,
    signal: AbortSignal,
  ): Promise<readonly Address[]> {
    return this.#with(relay, { purpose: 'find', subject }, signal, async (connection) =>
      onionsOf(await ask(connection, topic, signal)),
    )
  }

  async #with<T>(
    relay: PeerAddress,
    circuit: Parameters<typeof connectRelay>[2],
    signal: AbortSignal,
    work: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const { clock, random } = this.#deps
    const { channel, early, role, handshakeHash } = await connectRelay(this.#deps, relay, circuit, signal)
    const connection = new Connection(channel, clock)
    connection.start(
      { onNotice: () => {}, readBlob: async () => null, readHead: () => null, onClose: () => {} },
      early,
    )
    connection.notify(buildHello({ handshakeHash, role, counter: 0 }, [], random))
    const late = clock.setTimer(() => connection.destroy(), RELAY_ERRAND_MS)
    try {
      return await work(connection)
    } finally {
      late.cancel()
      connection.close('notNeeded')
    }
  }
}

/** Addresses in one answer of ours: with so many, ours need not be among them. */
const MANY_FOUND = PEX_ADDRESSES_PER_ANSWER

/** No port: a relay is told of no address of ours. */
async function ask(
  connection: Connection,
  topic: Uint8Array,
  signal: AbortSignal,
): Promise<readonly Address[]> {
  try {
    return await connection.requestPeers(topic, 0, signal)
  } catch (error) {
    if (isMegatorrentError(error) && error.code === 'ERR_REMOTE_NOT_FOUND') return []
    throw error
  }
}

/** A relay proves nothing of what it tells: clear addresses would lead our proxy where it likes. */
function onionsOf(addresses: readonly Address[]): Address[] {
  return addresses.filter(({ kind }) => kind === 'onion')
}
