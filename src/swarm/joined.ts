/**
 * A channel's place in a swarm: what the layer above gets when it takes part in one.
 *
 * In direct mode all channels of a node share one swarm; in safe mode each has its own, so that no
 * connection can ever carry two (PROTOCOL_FINAL.md §7.2).
 *
 * @module swarm/joined
 */
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { ChannelEvents, SwarmChannel } from './channel.ts'
import type { Swarm } from './swarm.ts'

export interface Joined {
  readonly swarm: Swarm
  readonly channel: SwarmChannel
  /** `<56>.onion:PORT` that leads here and nowhere else, or null. */
  readonly onionAddress: string | null
  /** Blobs of this release are given out from now on; where blobs of all channels are, it changes nothing. */
  serve(manifest: Manifest): void
  /** Take no part in it any more. Idempotent. */
  leave(): void
}

/** Take part in a channel, and answer its peers. */
export type JoinSwarm = (keys: ChannelKeys, events: ChannelEvents) => Joined
