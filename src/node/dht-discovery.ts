/**
 * Discovery over the mainline DHT: what channels ask for (channels/discovery.ts),
 * done by slots and topics.
 *
 * @module node/dht-discovery
 */
import { errorMessage } from '../base/errors.ts'
import { LOOK_MAX_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { ChannelDiscovery, Followed, FollowHooks, SignedAhead } from '../channels/discovery.ts'
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import type { Announcer } from '../discovery/announcer.ts'
import type { DhtAddress } from '../discovery/dht.ts'
import type { SlotService } from '../discovery/slot-service.ts'
import type { PeerAddress } from '../wire/address.ts'
import type { Head } from '../wire/head.ts'

export interface DhtDiscoveryDeps {
  readonly slots: SlotService
  readonly announcer: Announcer
  /** Keys of a channel of ours, or null: with them its slots can be signed. */
  readonly publisherKeys: (publicKey: Uint8Array) => PublisherKeys | null
  readonly log: Log
  /** As `ChannelDiscovery`; LOOK_MAX_MS by default. */
  readonly lookMaxMs?: number
}

export class DhtDiscovery implements ChannelDiscovery {
  readonly #deps: DhtDiscoveryDeps

  constructor(deps: DhtDiscoveryDeps) {
    this.#deps = deps
  }

  get lookMaxMs(): number {
    return this.#deps.lookMaxMs ?? LOOK_MAX_MS
  }

  follow(keys: ChannelKeys, open: boolean, hooks: FollowHooks): Followed {
    const { slots, announcer, log } = this.#deps
    const publisher = this.#deps.publisherKeys(keys.publicKey)
    const announced = { keys, onPeer: (peer: DhtAddress) => hooks.onPeers([toPeerAddress(peer)]) }
    const stopSlots = slots.follow({
      keys,
      ...(publisher === null ? {} : { publisher, isOpen: open }),
      head: hooks.newest,
      slotSet: hooks.slotSet,
      knownHolders: () => hooks.holders() + 1,
      onFound: ({ newest, conflicts }) => {
        if (newest !== null) hooks.onHead(newest.head.bytes)
        for (const conflict of conflicts) hooks.onHead(conflict.head.bytes)
      },
    })
    const stopAnnouncing = announcer.follow(announced)
    return {
      look: async (signal) => {
        const heads = slots.resolve(keys, { signal, known: hooks.newest() }).then(({ newest, conflicts }) => {
          if (newest !== null) hooks.onHead(newest.head.bytes)
          for (const conflict of conflicts) hooks.onHead(conflict.head.bytes)
        })
        for (const work of await Promise.allSettled([heads, announcer.lookup(announced, { signal })])) {
          if (work.status === 'rejected')
            log.debug('a look found nothing', { why: errorMessage(work.reason) })
        }
      },
      useGateways: () => {}, // there is a way already
      stop: () => {
        stopSlots()
        stopAnnouncing()
      },
    }
  }

  async publish(keys: PublisherKeys, open: boolean, head: Head, signal: AbortSignal): Promise<number> {
    const { storedBy } = await this.#deps.slots.publish(keys, head.bytes, { signal, isOpen: open })
    if (storedBy > 0) this.#deps.announcer.onNews(keys.publicKey) // once: what failed is tried again and again
    return storedBy
  }

  async publishSigned(
    keys: ChannelKeys,
    { set, openItem }: SignedAhead,
    signal: AbortSignal,
  ): Promise<number> {
    const { storedBy } = await this.#deps.slots.publishSigned(keys, set, openItem, { signal })
    if (storedBy > 0) this.#deps.announcer.onNews(keys.publicKey)
    return storedBy
  }
}

function toPeerAddress({ host, port }: DhtAddress): PeerAddress {
  return { kind: 'ipv4', host, port, nodeKey: null }
}
