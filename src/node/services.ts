/**
 * Slots and topics over a DHT, whichever way it is reached. Safe mode loads this, so it knows no UDP.
 *
 * @module node/services
 */
import { LOOK_MAX_MS } from '../base/limits.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import { type ChannelKeys, PUBLIC_READ_KEY, RELAY_SECRET } from '../crypto/key-schedule.ts'
import { Announcer } from '../discovery/announcer.ts'
import type { Dht, DhtAddress } from '../discovery/dht.ts'
import { SlotService } from '../discovery/slot-service.ts'
import { DhtDiscovery } from './dht-discovery.ts'
import type { NetworkDeps } from './network.ts'

/** Relays have a topic each day, as a channel has. */
const RELAY_TOPICS: ChannelKeys = {
  publicKey: RELAY_SECRET,
  readKey: PUBLIC_READ_KEY,
  secret: RELAY_SECRET,
}

/** Discovery by one way, and how it ends. */
export interface Services {
  readonly discovery: ChannelDiscovery
  close(): Promise<void>
}

export interface DhtServices extends Services {
  /** Announce this node as a relay, and hear of others. */
  findRelays(onPeer: (peer: DhtAddress) => void): void
}

/** @param port - to announce; null: nothing is announced. @param lookMaxMs - as `ChannelDiscovery`. */
export function openServices(
  deps: NetworkDeps,
  dht: Dht,
  port: number | null,
  lookMaxMs: number = LOOK_MAX_MS,
): DhtServices {
  const { state, clock, random, log, tuning } = deps
  const slots = new SlotService({
    dht,
    store: state.slots,
    clock,
    random,
    log: log.child('slots'),
    ...(tuning.slots === undefined ? {} : { timing: tuning.slots }),
  })
  const announcer = new Announcer({
    dht,
    clock,
    random,
    log: log.child('announce'),
    port: () => port,
    nextBlob: async (after) => state.blobs.page(after, 1)[0] ?? null,
    timing: {
      ...(tuning.topicMinMs === undefined ? {} : { topicMinMs: tuning.topicMinMs }),
      ...(tuning.topicMaxMs === undefined ? {} : { topicMaxMs: tuning.topicMaxMs }),
    },
  })
  return {
    discovery: new DhtDiscovery({ slots, announcer, publisherKeys: deps.publisherKeys, log, lookMaxMs }),
    findRelays: (onPeer) => void announcer.follow({ keys: RELAY_TOPICS, onPeer }),
    async close() {
      await Promise.all([slots.close(), announcer.close()])
    },
  }
}
