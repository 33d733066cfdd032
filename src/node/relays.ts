/**
 * This node as a relay: the connections that carry statements of onions and no channel, and what is told and
 * asked over relays for our channels (PROTOCOL_FINAL.md §7.7).
 *
 * Nothing here has a key of a channel. What is told of a channel's onion goes to a relay over a connection of
 * its own, as if from a stranger, and comes back in the flood like anybody else's. What a channel learns comes
 * in the same way, by questions of its own: the flood is for relays to answer from, and gives nothing to channels.
 *
 * @module node/relays
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import { type ChannelKeys, isRelayTopic } from '../crypto/key-schedule.ts'
import { Flooding } from '../swarm/flooding.ts'
import { type AnnouncedOnion, OnionAnnouncer } from '../swarm/onion-announcer.ts'
import { RelayDialing, type RelayDialingDeps } from '../swarm/relay-dialing.ts'
import { DialledRelays } from '../swarm/relay-errand.ts'
import { RelayFinder } from '../swarm/relay-finder.ts'
import type { Secured } from '../transport/handshake.ts'
import type { Address } from '../wire/address.ts'
import { type OnionStatement, statementAddress } from '../wire/onion-statement.ts'
import { RelayDiscovery } from './relay-discovery.ts'

export interface RelaysDeps
  extends Pick<
    RelayDialingDeps,
    'dialer' | 'resolve' | 'dialTimeoutMs' | 'given' | 'isAcceptable' | 'anchors' | 'onConnected'
  > {
  readonly clock: Clock
  /** The operating system's. */
  readonly random: Random
  readonly log: Log
  /** That relay connections prove: of nothing else, but for a gateway's, which is its node key. */
  readonly relayKey: SigningKey
  /** As `OnionAnnouncerDeps`: shorter in tests. */
  readonly workBits?: number
  readonly spreadMs?: number
}

export class Relays {
  readonly #clock: Clock
  readonly #flooding: Flooding
  readonly #dialing: RelayDialing
  readonly #announcer: OnionAnnouncer
  readonly #finder: RelayFinder

  constructor(deps: RelaysDeps) {
    const { clock, random, log, relayKey, workBits, spreadMs } = deps
    this.#clock = clock
    this.#flooding = new Flooding({
      ...{ clock, random, log, relayKey: relayKey.publicKey },
      ...(workBits === undefined ? {} : { workBits }),
      onStatement: (statement) => this.#onStatement(statement),
      metRelays: () => this.#dialing.met(),
    })
    const errands = new DialledRelays(deps)
    this.#dialing = new RelayDialing({
      ...deps,
      ...{ flooding: this.#flooding, errands, ownKey: relayKey.publicKey },
    })
    const shared = {
      ...{ clock, random, log, errands },
      pick: (count: number) => this.#dialing.pick(count),
    }
    this.#finder = new RelayFinder(shared)
    this.#announcer = new OnionAnnouncer({
      ...shared,
      find: (wanted) => this.#flooding.find(wanted),
      ...(workBits === undefined ? {} : { workBits }),
      ...(spreadMs === undefined ? {} : { spreadMs }),
    })
  }

  /** Relay connections over which statements are flooded. */
  get connected(): number {
    return this.#flooding.neighbours
  }

  /** A relay connection that somebody made to us. */
  accept(secured: Secured): void {
    this.#flooding.accept(secured)
  }

  /** Relays of which others told: hints. */
  addRelays(addresses: readonly Address[]): void {
    this.#dialing.add(addresses, 'topic', 'topic')
  }

  /** Tell others of an onion from now on. @returns how to stop. */
  announce(onion: AnnouncedOnion): () => void {
    return this.#announcer.follow(onion)
  }

  /** What finds channels in another way, and through relays besides. @param ownOnion - of a channel, as text, or null. */
  discovery(inner: ChannelDiscovery, ownOnion: (keys: ChannelKeys) => string | null): ChannelDiscovery {
    return new RelayDiscovery({ inner, finder: this.#finder, ownOnion })
  }

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#dialing.close()
    this.#flooding.close()
    await Promise.all([this.#announcer.close(), this.#finder.close()])
  }

  /** Of relays alone: an onion that a neighbour tells goes to no channel of ours (swarm/relay-finder.ts). */
  #onStatement(statement: OnionStatement): void {
    if (!isRelayTopic(statement.topic, this.#clock.now())) return
    this.#dialing.add([statementAddress(statement)], 'topic', 'flood')
  }
}
