/**
 * What a swarm is made of: given by the node, and by tests.
 *
 * @module swarm/swarm-deps
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import type { BlobMemory } from '../transport/connection.ts'
import type { Dialer } from '../transport/transport.ts'
import type { AnchorStore } from './anchors.ts'
import type { SwarmBans } from './bans.ts'
import type { DialingDeps } from './dialing.ts'
import type { BlobSink } from './downloads.ts'
import type { Gateway } from './gateway-desk.ts'
import type { Peer } from './peer.ts'
import type { PeerExchangeDeps } from './peer-exchange.ts'
import type { BlobSource } from './uploads.ts'

/** Where blobs are kept and read. storage/blob-store.ts is one. */
export interface SwarmStore extends BlobSink, BlobSource {
  /** Memory for blobs; where absent each has its own. */
  readonly buffers?: BlobMemory
}

export interface SwarmDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dialer: Dialer
  /** As `DialingDeps`. */
  readonly resolve: DialingDeps['resolve']
  readonly isAcceptable: DialingDeps['isAcceptable']
  readonly isQuiet?: NonNullable<DialingDeps['isQuiet']>
  readonly nodeKey: SigningKey
  /** As `DialingDeps`. */
  readonly showsKey?: boolean
  readonly store: SwarmStore
  readonly bans: SwarmBans
  readonly anchors: AnchorStore
  /** As `PeerExchangeDeps`. */
  readonly listenPort: () => number
  /** As `PeerExchangeDeps`. */
  readonly isTellable?: NonNullable<PeerExchangeDeps['isTellable']>
  /** Read each time: it may change. */
  readonly maxPeers: number
  /** Bytes a second that may be received and sent, 0 for unlimited; where absent, unlimited. */
  readonly downloadRate?: () => number
  readonly uploadRate?: () => number
  /** Peers of all swarms that share this memory; where absent, those of this one. */
  readonly allPeers?: () => Iterable<Peer>
  /** As `UploadDeps.maxQueued`. */
  readonly maxQueuedUploads?: () => number
  /** Blobs that may be on their way to us; where absent, MAX_BLOBS_IN_FLIGHT. */
  readonly maxInFlight?: () => number
  /** As `DialingDeps`. */
  readonly dialTimeoutMs?: number
  /** What this node does as a gateway; null or absent for one that is none. */
  readonly gateway?: () => Gateway | null
}
