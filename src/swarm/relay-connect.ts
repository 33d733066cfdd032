/**
 * Connecting to a relay: under the handshake key of relays, without a node key of ours
 * (PROTOCOL_FINAL.md §6.1, §7.7).
 *
 * @module swarm/relay-connect
 */
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { dayOf, handshakeKey, RELAY_SECRET } from '../crypto/key-schedule.ts'
import type { Circuit } from '../transport/circuit.ts'
import { initiateHandshake, type Secured } from '../transport/handshake.ts'
import type { Dialer } from '../transport/transport.ts'
import { type PeerAddress, provenKey } from '../wire/address.ts'

export interface RelayConnectDeps {
  readonly clock: Clock
  /** Makes keys: the operating system's. */
  readonly random: Random
  readonly dialer: Dialer
  /** IP literals of a host name that the user typed; null: the dialler takes names as they are. */
  readonly resolve: ((host: string) => Promise<readonly string[]>) | null
  /** ms for a connection. */
  readonly dialTimeoutMs: number
}

/**
 * @param circuit - what the connection is for; its day is today.
 * @throws MegatorrentError as `Dialer.dial` and `initiateHandshake`, and ERR_NAME_NOT_RESOLVED.
 */
export async function connectRelay(
  { clock, random, dialer, resolve, dialTimeoutMs: timeoutMs }: RelayConnectDeps,
  address: PeerAddress,
  { purpose, subject }: Omit<Circuit, 'day'>,
  signal: AbortSignal,
): Promise<Secured> {
  const host =
    address.kind !== 'name' || resolve === null ? address.host : firstOf(await resolve(address.host))
  const day = dayOf(clock.now())
  const circuit = { purpose, subject, day }
  const stream = await dialer.dial({ host, port: address.port }, { signal, timeoutMs, circuit })
  return initiateHandshake(stream, {
    psk: handshakeKey(RELAY_SECRET, day),
    purpose: { kind: 'relay' },
    dialled: null, // it proves nothing under a key that everybody has
    expectedNodeKey: provenKey(address),
    nodeKey: null,
    clock,
    random,
    signal,
  })
}

function firstOf([first]: readonly string[]): string {
  if (first !== undefined) return first
  throw new MegatorrentError('ERR_NAME_NOT_RESOLVED', 'the name of the relay has no address')
}
