/**
 * Gateways asked in place of a DHT, in direct mode and in safe mode alike. How they are dialled is handed
 * in. Safe mode loads this, so it knows no UDP.
 *
 * @module node/gateways
 */
import { LOOK_GATEWAY_MAX_MS } from '../base/limits.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import { GatewayDht } from '../discovery/gateway/gateway-dht.ts'
import { DialledGateways, type GatewayLinkDeps } from '../swarm/gateway-link.ts'
import { formatPeerAddress, type PeerAddress, parsePeerAddress } from '../wire/address.ts'
import { LinkGateways } from './link-gateways.ts'
import type { NetworkDeps } from './network.ts'
import { ReleaseKeeping } from './release-keeping.ts'
import { openServices, type Services } from './services.ts'

/** How gateways are reached from here. */
export interface GatewayReach extends Pick<GatewayLinkDeps, 'dialer' | 'resolve' | 'dialTimeoutMs'> {
  /** ms that an item waits before it goes to one, at most. */
  readonly spreadMs: number
  /** Peers of one look for a topic that are dialled at most; all by default. */
  readonly maxPeers?: number
  /** May a gateway that a link names be dialled? */
  readonly isAcceptable: (address: PeerAddress) => boolean
}

/** What a node without a DHT has: its gateways or, if it has none, those that links name. */
export interface GatewayDiscovery {
  readonly discovery: ChannelDiscovery
  /** Can slots be put? */
  readonly canPut: boolean
  /** Gateways that answer. */
  usable(): number
  /** Those that the user wants to keep blobs of our releases: links name them; and what asks them for it. */
  readonly keepers: readonly PeerAddress[]
  readonly keeping: ReleaseKeeping | null
  close(): Promise<void>
}

export function openGatewayDiscovery(deps: NetworkDeps, reach: GatewayReach): GatewayDiscovery {
  const own = deps.config.useGateway.map(parsePeerAddress)
  if (own.length === 0) {
    const open = (addresses: readonly PeerAddress[]): Services =>
      openThrough(deps, connect(deps, reach, addresses, true))
    const links = new LinkGateways({ open, isAcceptable: reach.isAcceptable })
    const none = { canPut: false, usable: () => 0, keepers: [], keeping: null }
    return { ...none, discovery: links, close: () => links.close() }
  }
  const gateways = connect(deps, reach, own, false)
  const services = openThrough(deps, gateways)
  const keepers = deps.config.gatewayKeeps ? own.filter(({ kind }) => kind !== 'onion') : []
  const keeping = keepers.length === 0 ? null : openKeeping(deps, reach, keepers)
  return {
    discovery: services.discovery,
    canPut: true,
    usable: () => gateways.usable,
    keepers,
    keeping,
    async close() {
      await keeping?.close()
      await services.close()
    },
  }
}

function openKeeping(
  { store, memoryHash, clock, random, log }: NetworkDeps,
  { spreadMs: _, maxPeers: __, ...reach }: GatewayReach,
  gateways: readonly PeerAddress[],
): ReleaseKeeping {
  const link = new DialledGateways({ ...reach, memoryHash, clock, random })
  const readBlob = (id: Uint8Array): Promise<Uint8Array | null> => store.read(id)
  return new ReleaseKeeping({ gateways, link, readBlob, clock, log: log.child('gateways') })
}

function connect(
  { memoryHash, clock, random, log }: NetworkDeps,
  { spreadMs, maxPeers, ...reach }: GatewayReach,
  addresses: readonly PeerAddress[],
  isReadOnly: boolean,
): GatewayDht<PeerAddress> {
  return new GatewayDht({
    // The same one named twice is one.
    gateways: new Map(addresses.map((address) => [formatPeerAddress(address), address])),
    link: new DialledGateways({ ...reach, memoryHash, clock, random }),
    clock,
    random,
    log: log.child('gateways'),
    spreadMs,
    isReadOnly,
    ...(maxPeers === undefined ? {} : { maxPeers }),
  })
}

/** Gateways cannot announce for us. */
function openThrough(deps: NetworkDeps, gateways: GatewayDht<PeerAddress>): Services {
  const { discovery, close } = openServices(deps, gateways, null, LOOK_GATEWAY_MAX_MS)
  return {
    discovery,
    async close() {
      await close()
      await gateways.close()
    },
  }
}
