/**
 * Safe mode: every connection goes through one SOCKS5 proxy, and there is no other way out. Each
 * channel has a swarm of its own and, where Tor's control port is given, an onion of its own.
 *
 * No DHT, no resolver, no UDP: this file and what it imports know none. Whoever listens does so on
 * loopback.
 *
 * @module node/safe-network
 */
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import {
  GATEWAY_SAFE_PEERS,
  GATEWAY_SAFE_SPREAD_MS,
  MAX_BLOBS_IN_FLIGHT,
  PROXY_DIAL_TIMEOUT_MS,
} from '../base/limits.ts'
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import type { Swarm } from '../swarm/swarm.ts'
import { type Circuit, circuitCredentials, type ProxyCredentials } from '../transport/circuit.ts'
import { ProxyDialer } from '../transport/proxy-dialer.ts'
import { Socks5Dialer } from '../transport/socks5.ts'
import { TcpTransport } from '../transport/tcp.ts'
import type { Endpoint } from '../transport/transport.ts'
import {
  formatAddress,
  formatPeerAddress,
  type PeerAddress,
  parsePeerAddress,
  provenKey,
} from '../wire/address.ts'
import { BlobOrigins } from './blob-origins.ts'
import { openGatewayDiscovery } from './gateways.ts'
import { joinTransport, type Network, type NetworkDeps, networkParts } from './network.ts'
import { openOnions } from './onion-control.ts'
import { isAcceptableBehindProxy } from './own-addresses.ts'
import { placesOf, uploadPlacesOf } from './places.ts'
import { onionOf, SafeChannel } from './safe-channel.ts'
import { SafeRelays } from './safe-relays.ts'
import { readSecretLine } from './secret-line.ts'
import { StartTimes } from './start-times.ts'
import { Swarms } from './swarms.ts'

const CIRCUIT_KEY_BYTES = 32

/**
 * @param endpoint - where the proxy listens.
 * @throws MegatorrentError ERR_CONFIG_VALUE (config) for a file of secrets that cannot be used.
 */
export function openSafeNetwork(deps: NetworkDeps, endpoint: Endpoint): Network {
  const { config, clock, log, nodeSeed } = deps
  const { limits, bans, acceptor, limited, swarmDeps, close } = networkParts(deps)
  const tcp = new TcpTransport()
  const proxy = new ProxyDialer({
    dialer: new Socks5Dialer({ proxy: endpoint, credentials: credentialsOf(deps), clock }),
    clock,
    log: log.child('proxy'),
  })
  const transport = limited(joinTransport(proxy, tcp))
  const onions = openOnions(deps, tcp)
  const through = openGatewayDiscovery(deps, {
    dialer: transport,
    resolve: null,
    dialTimeoutMs: PROXY_DIAL_TIMEOUT_MS,
    spreadMs: GATEWAY_SAFE_SPREAD_MS,
    maxPeers: GATEWAY_SAFE_PEERS,
    isAcceptable: (address) => isAcceptableBehindProxy(address, 'link') && provenKey(address) !== null,
  })
  const origins = new BlobOrigins(deps.state.blobOrigins, clock, log.child('blobs'))
  const starts = new StartTimes({ clock, random: deps.random, spreadMs: config.startSpread })
  const relays = new SafeRelays(deps, { transport, acceptor, onions })
  const discovery = relays.discovery(through.discovery)
  const channels = new Set<SafeChannel>()
  const swarms = new Set<Swarm>()
  /** Left channels whose connections have not all ended. */
  const leaving = new Set<Swarm>()
  /** By their text. */
  const userAddresses = new Map(config.peer.map((text) => keyed(parsePeerAddress(text))))
  const all = new Swarms(swarms, bans)
  return {
    limits,
    swarms: all,
    joinSwarm(keys, events) {
      const quiet = starts.join()
      const safe = new SafeChannel(keys, events, {
        ...{ clock, log: log.child('onion'), transport, acceptor, onions, bans, nodeSeed },
        ...{ store: deps.store, origins, quiet },
        announce: (onion) => relays.announce(onion),
        listenHost: config.listen.host,
        maxPeers: (own) => placesOf(own.peers.size, sizesBut(own, swarms), limits.now.maxPeers),
        swarmDeps: { ...swarmDeps, allPeers: () => all.open, maxInFlight: () => placesOfOne(swarms) },
        maxQueuedUploads: (own) => uploadPlacesOf(own.queuedUploads, queuedUploadsOf(swarms)),
      })
      channels.add(safe)
      swarms.add(safe.swarm)
      for (const address of userAddresses.values()) safe.swarm.addUserAddress(address)
      const leave = (): void => {
        channels.delete(safe)
        swarms.delete(safe.swarm)
        safe.close()
        if (quiet !== null) starts.leave(quiet)
        for (const swarm of leaving) if (swarm.peers.size === 0) leaving.delete(swarm)
        leaving.add(safe.swarm)
      }
      const { swarm, channel, served } = safe
      return {
        ...{ swarm, channel, quiet, leave },
        get onionAddress() {
          return safe.onionAddress
        },
        holds: (id) => served.holds(id),
        serve: (manifest, held) => served.serve(manifest, held),
        listen: () => safe.listen(),
      }
    },
    discovery,
    dht: null,
    canPut: through.canPut,
    gateways: () => through.usable(),
    relays: () => relays.connected,
    keepers: through.keepers,
    keeping: through.keeping,
    gatewayBlobs: () => null,
    identity: { mode: 'safe', nodeKey: null, peerAddress: null, dhtPort: null, onionAddress: null },
    proxy: () => ({ reachable: proxy.isReachable, error: messageOf(proxy.error) }),
    onions: () => (onions === null ? null : relays.without(onions.status)),
    addressesOf: (keys: ChannelKeys) => (onions === null ? [] : [onionOf(nodeSeed, keys)]),
    started: () => starts.started(),
    addUserAddress(address) {
      if (provenKey(address) === null) {
        throw new MegatorrentError(
          'ERR_USAGE',
          `behind a proxy anybody can pose as ${formatAddress(address)}: put its node key and @ in front`,
        )
      }
      userAddresses.set(...keyed(address))
      for (const swarm of swarms) swarm.addUserAddress(address)
    },
    async close() {
      starts.close()
      for (const safe of [...channels]) safe.close()
      acceptor.close()
      await Promise.all([through.close(), relays.close()])
      onions?.close()
      for (const swarm of [...swarms, ...leaving]) swarm.destroy()
      origins.flush()
      close()
    },
  }
}

function keyed(address: PeerAddress): [string, PeerAddress] {
  return [formatPeerAddress(address), address]
}

/** Blobs that one swarm may have on their way: what a node may, shared by those that fetch. */
function placesOfOne(swarms: ReadonlySet<Swarm>): number {
  const fetching = [...swarms].filter((swarm) => swarm.isFetching).length
  return Math.max(1, Math.floor(MAX_BLOBS_IN_FLIGHT / Math.max(1, fetching)))
}

function queuedUploadsOf(swarms: ReadonlySet<Swarm>): number[] {
  return [...swarms].map(({ queuedUploads }) => queuedUploads)
}

/** Connections of each swarm but one. */
function sizesBut(own: Swarm, swarms: ReadonlySet<Swarm>): number[] {
  return [...swarms].filter((swarm) => swarm !== own).map(({ peers }) => peers.size)
}

function messageOf(error: Error | null): string | null {
  return error === null ? null : errorMessage(error)
}

/** What the proxy is shown: for each circuit something else, unless the user gave that up. */
function credentialsOf({ config, random }: NetworkDeps): (circuit: Circuit) => ProxyCredentials | null {
  if (!config.proxyNoIsolation) {
    const key = random.bytes(CIRCUIT_KEY_BYTES)
    return (circuit) => circuitCredentials(key, circuit)
  }
  if (config.proxyAuthFile === null) return () => null
  const match = /^([^:]{1,255}):(.{1,255})$/.exec(readSecretLine(config.proxyAuthFile) ?? '')
  if (match === null) {
    throw new MegatorrentError(
      'ERR_CONFIG_VALUE',
      'the file of --proxy-auth-file holds no line USER:PASSWORD',
    )
  }
  const credentials = { user: match[1] as string, password: match[2] as string }
  return () => credentials
}
