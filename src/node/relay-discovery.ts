/**
 * Discovery through relays, beside another way that is handed in: relays know onions of peers, and no slots.
 *
 * @module node/relay-discovery
 */
import type { ChannelDiscovery, Followed, FollowHooks, SignedAhead } from '../channels/discovery.ts'
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import type { RelayFinder } from '../swarm/relay-finder.ts'
import type { Head } from '../wire/head.ts'

export interface RelayDiscoveryDeps {
  readonly inner: ChannelDiscovery
  readonly finder: RelayFinder
  /** Onion of the channel on this node as text, which leads to ourselves; null where there is none. */
  readonly ownOnion: (keys: ChannelKeys) => string | null
}

export class RelayDiscovery implements ChannelDiscovery {
  readonly #deps: RelayDiscoveryDeps

  constructor(deps: RelayDiscoveryDeps) {
    this.#deps = deps
  }

  get lookMaxMs(): number {
    return this.#deps.inner.lookMaxMs
  }

  follow(keys: ChannelKeys, open: boolean, hooks: FollowHooks): Followed {
    const { inner, finder, ownOnion } = this.#deps
    const followed = inner.follow(keys, open, hooks)
    const sought = finder.follow({
      secret: keys.secret,
      own: ownOnion(keys),
      onFound: (addresses) => hooks.onPeers(addresses.map((address) => ({ ...address, nodeKey: null }))),
      peers: hooks.holders,
    })
    return {
      look: async (signal) => void (await Promise.all([followed.look(signal), sought.look(signal)])),
      useGateways: (addresses) => followed.useGateways(addresses),
      stop: () => {
        sought.stop()
        followed.stop()
      },
    }
  }

  publish(keys: PublisherKeys, open: boolean, head: Head, signal: AbortSignal): Promise<number> {
    return this.#deps.inner.publish(keys, open, head, signal)
  }

  publishSigned(keys: ChannelKeys, signed: SignedAhead, signal: AbortSignal): Promise<number> {
    return this.#deps.inner.publishSigned(keys, signed, signal)
  }
}
