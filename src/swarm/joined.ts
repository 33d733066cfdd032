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
import type { Quiet } from './quiet.ts'
import type { Swarm } from './swarm.ts'

export interface Joined {
  readonly swarm: Swarm
  readonly channel: SwarmChannel
  /** `<56>.onion:PORT` that leads here and nowhere else, or null. */
  readonly onionAddress: string | null
  /** Not over as long as nothing of the channel is to be seen on the network; null where there is no such time. */
  readonly quiet: Quiet | null
  /** Does a blob count as held in the channel: did it come by it? Null where whatever is held does. */
  readonly holds: ((blobId: Uint8Array) => boolean) | null
  /**
   * From now on these blobs of the release are given out, and what comes besides; where blobs of all channels
   * are given out, it changes nothing.
   */
  serve(manifest: Manifest, held: readonly number[]): void
  /** Be there for others to come to, as soon as it may be seen; until then we only go to them. Idempotent. */
  listen(): void
  /** Take no part in it any more. Idempotent. */
  leave(): void
}

/** Take part in a channel, and answer its peers. */
export type JoinSwarm = (keys: ChannelKeys, events: ChannelEvents) => Joined
