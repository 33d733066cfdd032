/**
 * The node's side of the network, in one of two shapes. Each is loaded only where it is the one: in
 * safe mode neither the DHT nor the system's resolver is even there.
 *
 * @module node/network
 */
import type { Clock } from '../base/clock.ts'
import { HANDSHAKE_TRIALS_PER_SECOND } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import type { Config } from '../config/schema.ts'
import type { MemoryHash } from '../crypto/argon2id.ts'
import type { ChannelKeys, PublisherKeys } from '../crypto/key-schedule.ts'
import type { Dht } from '../discovery/dht.ts'
import type { SlotTiming } from '../discovery/slot-record.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import { Bans } from '../swarm/bans.ts'
import type { JoinSwarm } from '../swarm/joined.ts'
import type { SwarmDeps } from '../swarm/swarm.ts'
import { Acceptor } from '../transport/acceptor.ts'
import { EphemeralMemory } from '../transport/handshake-keys.ts'
import { limitTransport } from '../transport/limited-stream.ts'
import { transferLimits } from '../transport/rate-limit.ts'
import type { Dialer, Transport } from '../transport/transport.ts'
import type { Address, PeerAddress } from '../wire/address.ts'
import type { GatewayBlobsStatus, NodeInfo, OnionsStatus, ProxyStatus } from './api.ts'
import { NodeLimits } from './limits.ts'
import type { ReleaseKeeping } from './release-keeping.ts'
import { anchorStore, BatchedEphemeralStore, banStore } from './stores.ts'
import type { Swarms } from './swarms.ts'

/** Times that tests shorten; no flag or file does. */
export interface NetworkTuning {
  /** Days of a set of slots; each takes 2 ms to sign, and again to verify. */
  readonly slotSetDays?: number
  readonly slots?: Partial<SlotTiming>
  readonly topicMinMs?: number
  readonly topicMaxMs?: number
}

export interface NetworkDeps {
  readonly config: Config
  readonly state: State
  readonly store: BlobStore
  /** Of the node key, 32 bytes. */
  readonly nodeSeed: Uint8Array
  readonly publisherKeys: (publicKey: Uint8Array) => PublisherKeys | null
  /** By the worker threads. */
  readonly memoryHash: MemoryHash
  /** Removes those of these blobs that nothing needs. */
  readonly collectBlobs: (ids: readonly Uint8Array[]) => Promise<void>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly tuning: NetworkTuning
  /** Limits that a flag or a variable of this start set. */
  readonly givenLimits: ReadonlySet<string>
}

export interface Network {
  readonly limits: NodeLimits
  readonly swarms: Swarms
  readonly joinSwarm: JoinSwarm
  readonly discovery: ChannelDiscovery
  readonly dht: Dht | null
  /** Can slots be put: over a DHT, or through gateways? */
  readonly canPut: boolean
  /** Gateways that answer us. */
  gateways(): number
  /** Relay connections over which onions are announced. */
  relays(): number
  /** Of these, those that links of our channels name for blobs; and what has them keep those. */
  readonly keepers: readonly PeerAddress[]
  readonly keeping: ReleaseKeeping | null
  /** What this node keeps of blobs for others; null where it keeps none. */
  gatewayBlobs(): GatewayBlobsStatus | null
  /** Who we are to others. */
  readonly identity: Omit<NodeInfo, 'version'>
  /** Null where there is none. */
  proxy(): ProxyStatus | null
  onions(): OnionsStatus | null
  /** Where others reach us for a channel: what its releases and links may name. */
  addressesOf(keys: ChannelKeys): readonly Address[]
  /** What the node goes on with has been joined: the rest is asked for by a user. */
  started(): void
  /** An address from the user: kept, and connected to as long as we run. */
  addUserAddress(address: PeerAddress): void
  close(): Promise<void>
}

/** @throws MegatorrentError ERR_LISTEN_FAILED, ERR_DHT_LISTEN or ERR_CONFIG_VALUE (config). */
export async function openNetwork(deps: NetworkDeps): Promise<Network> {
  const { proxy } = deps.config
  if (proxy === null) return (await import('./direct-network.ts')).openDirectNetwork(deps)
  return (await import('./safe-network.ts')).openSafeNetwork(deps, proxy)
}

/** What both shapes are made of. */
export interface NetworkParts {
  readonly limits: NodeLimits
  readonly bans: Bans
  readonly acceptor: Acceptor
  /** Within the limits of the user. */
  readonly limited: (transport: Transport) => Transport
  /** For each swarm; what is left out differs. */
  readonly swarmDeps: Pick<
    SwarmDeps,
    'clock' | 'random' | 'log' | 'store' | 'bans' | 'anchors' | 'downloadRate' | 'uploadRate'
  >
  close(): void
}

export function networkParts(deps: NetworkDeps): NetworkParts {
  const { config, state, clock, random, log } = deps
  const ephemeralStore = new BatchedEphemeralStore(state.ephemerals, clock)
  const transfer = transferLimits(clock)
  const bans = new Bans(clock, banStore(state.bans, clock))
  const acceptor = new Acceptor({
    ephemerals: new EphemeralMemory(ephemeralStore),
    trials: new TokenBucket(clock, HANDSHAKE_TRIALS_PER_SECOND, HANDSHAKE_TRIALS_PER_SECOND),
    clock,
    random,
    log: log.child('handshake'),
  })
  state.anchors.prune() // of a look at a channel that was never followed
  return {
    limits: new NodeLimits(config, deps.givenLimits, { transfer, meta: state.meta, log }),
    bans,
    acceptor,
    limited: (transport) => limitTransport(transport, transfer),
    swarmDeps: {
      clock,
      random,
      log: log.child('swarm'),
      store: deps.store,
      bans,
      anchors: anchorStore(state.anchors),
      downloadRate: () => transfer.download.rate,
      uploadRate: () => transfer.upload.rate,
    },
    close: () => ephemeralStore.flush(),
  }
}

/** A dialler and a listener as one. */
export function joinTransport(dialer: Dialer, { listen }: Pick<Transport, 'listen'>): Transport {
  return { dial: (endpoint, options) => dialer.dial(endpoint, options), listen }
}
