/**
 * Discovery for a node that has neither a DHT nor gateways of its own: where the link
 * of a channel names gateways, those are asked, for that channel and no other.
 *
 * Whoever wrote the link chose them. Asked for another channel, too, they would learn
 * that both are followed here.
 *
 * @module node/link-gateways
 */
import { LOOK_GATEWAY_MAX_MS } from '../base/limits.ts'
import type { ChannelDiscovery, Followed, FollowHooks } from '../channels/discovery.ts'
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import type { PeerAddress } from '../wire/address.ts'
import type { Services } from './services.ts'

export interface LinkGatewaysDeps {
  readonly open: (gateways: readonly PeerAddress[]) => Services
  /** May an address that a link names be dialled? */
  readonly isAcceptable: (address: PeerAddress) => boolean
}

export class LinkGateways implements ChannelDiscovery {
  readonly lookMaxMs = LOOK_GATEWAY_MAX_MS
  readonly #deps: LinkGatewaysDeps
  readonly #closing = new Set<Promise<void>>()
  readonly #open = new Set<Services>()

  constructor(deps: LinkGatewaysDeps) {
    this.#deps = deps
  }

  follow(keys: ChannelKeys, open: boolean, hooks: FollowHooks): Followed {
    const stopping = new AbortController()
    let opened: Services | null = null
    let followed: Followed | null = null
    return {
      look: async (signal) => followed?.look(signal),
      useGateways: (addresses) => {
        // Names come from people alone: what one resolves to would have to be looked at as well.
        const usable = addresses.filter((one) => one.kind !== 'name' && this.#deps.isAcceptable(one))
        if (followed !== null || usable.length === 0 || stopping.signal.aborted) return
        opened = this.#deps.open(usable)
        this.#open.add(opened)
        followed = opened.discovery.follow(keys, open, hooks)
        void followed.look(stopping.signal) // whoever looked before had nobody to ask
      },
      stop: () => {
        stopping.abort()
        followed?.stop()
        if (opened !== null) this.#end(opened)
      },
    }
  }

  /** Nobody is given anything to put on the word of a link. */
  async publish(): Promise<number> {
    return 0
  }

  async publishSigned(): Promise<number> {
    return 0
  }

  async close(): Promise<void> {
    for (const opened of this.#open) this.#end(opened)
    await Promise.all(this.#closing)
  }

  #end(opened: Services): void {
    if (!this.#open.delete(opened)) return
    const closing = opened.close().finally(() => void this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}
