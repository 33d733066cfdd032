/**
 * What channels ask of the network beyond connected peers: slots and topics, by
 * whichever way this node reaches them. Declared here, handed in by the node
 * (over a DHT, or through gateways).
 *
 * @module channels/discovery
 */
import { LOOK_MAX_MS } from '../base/limits.ts'
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import type { PeerAddress } from '../wire/address.ts'
import type { Head } from '../wire/head.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import type { SlotSet } from '../wire/slot-set.ts'

export interface FollowHooks {
  /** The newest head known: what is put back. */
  readonly newest: () => Head | null
  /** Slots of the newest head that its publisher signed ahead, verified, or null: what can be put when it is gone. */
  readonly slotSet: () => SlotSet | null
  /** A head was found in a slot; it was verified there, and is verified again by whoever takes it. */
  readonly onHead: (head: Uint8Array) => void
  /** Peers of the topic. Hints only. */
  readonly onPeers: (addresses: readonly PeerAddress[]) => void
  /** Connected peers that share the channel: how many may be putting back too. */
  readonly holders: () => number
}

/** A channel being looked after: slots put back, topic announced, peers looked for. */
export interface Followed {
  /** Look for the newest head and for peers now; resolves when one round is over. Never rejects. */
  look(signal: AbortSignal): Promise<void>
  /**
   * Gateways that a link of the channel names: hints. A node that has no other way asks them, for this
   * channel alone.
   */
  useGateways(addresses: readonly PeerAddress[]): void
  stop(): void
}

export interface ChannelDiscovery {
  /** ms at most between two looks of one who waits for peers, as they cost those who are asked. */
  readonly lookMaxMs: number

  follow(keys: ChannelKeys, open: boolean, hooks: FollowHooks): Followed

  /**
   * Put a head into today's slots and plan the neighbouring days'.
   *
   * @returns how many other nodes have confirmed.
   */
  publish(keys: PublisherKeys, open: boolean, head: Head, signal: AbortSignal): Promise<number>

  /**
   * The same with what was signed elsewhere; those who follow the channel put the neighbouring days'.
   *
   * @throws MegatorrentError ERR_BUNDLE_DAYS when it has nothing for today, or as `publish`.
   */
  publishSigned(keys: ChannelKeys, signed: SignedAhead, signal: AbortSignal): Promise<number>
}

/** What a publisher signed of a head, to be put by somebody else. All of it verified. */
export interface SignedAhead {
  readonly set: SlotSet
  /** The item of an open channel; null for others. */
  readonly openItem: MutableItem | null
}

/** For a node without DHT and gateways: it knows what its peers tell. */
export const NO_DISCOVERY: ChannelDiscovery = {
  lookMaxMs: LOOK_MAX_MS,
  follow: () => ({ look: async () => {}, useGateways: () => {}, stop: () => {} }),
  publish: async () => 0,
  publishSigned: async () => 0,
}
