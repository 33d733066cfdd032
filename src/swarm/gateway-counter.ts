/**
 * Connections that come by the onion of a gateway: they are asked of the gateway, and
 * of nothing else that this node is (PROTOCOL_FINAL.md §7.8).
 *
 * So they take part in no swarm: no channel is recognised here, no blob given, and
 * whoever holds a link cannot test by the onion whether this node follows it. All who
 * come seem to be of this machine, so a new one takes the place of the oldest, and
 * none stays for longer than an errand takes.
 *
 * @module swarm/gateway-counter
 */
import type { Clock, Timer } from '../base/clock.ts'
import { GATEWAY_ERRAND_MS, MAX_ONION_ERRANDS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Connection } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'
import { WorkShare } from '../transport/work-meter.ts'
import { buildHello } from '../wire/hello.ts'
import { type Gateway, GatewayDesk } from './gateway-desk.ts'

export interface GatewayCounterDeps {
  readonly gateway: Gateway
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class GatewayCounter {
  readonly #deps: GatewayCounterDeps
  readonly #work = new WorkShare()
  /** The oldest first, each with what ends it. */
  readonly #open = new Map<Connection, Timer>()
  #closed = false

  constructor(deps: GatewayCounterDeps) {
    this.#deps = deps
  }

  /** Connections that are open. */
  get open(): number {
    return this.#open.size
  }

  /** Its owner from now on. */
  accept(secured: Secured): void {
    const { gateway, clock, random, log } = this.#deps
    const desk = this.#closed ? null : GatewayDesk.of(gateway, secured, log)
    if (desk === null) {
      secured.channel.destroy()
      return
    }
    if (this.#open.size >= MAX_ONION_ERRANDS) this.#open.keys().next().value?.destroy()
    const connection = new Connection(secured.channel, clock, this.#work)
    this.#open.set(
      connection,
      clock.setTimer(() => connection.close('notNeeded'), GATEWAY_ERRAND_MS),
    )
    connection.start(
      {
        onNotice: () => {},
        readBlob: async () => null,
        readHead: () => null,
        readPeers: (topic) => () => desk.findPeers(topic),
        ...desk.handlers,
        onClose: () => {
          this.#open.get(connection)?.cancel()
          this.#open.delete(connection)
        },
      },
      secured.early,
    )
    const { handshakeHash, role } = secured
    connection.notify(buildHello({ handshakeHash, role, counter: 0 }, [], random))
  }

  /** Take nobody any more, and end what there is without waiting. */
  destroy(): void {
    this.#closed = true
    for (const connection of [...this.#open.keys()]) connection.destroy()
  }
}
