/**
 * Direct mode: TCP both ways and, unless it is switched off, the DHT; all channels in one swarm. Brought
 * up in order, taken down in the reverse.
 *
 * @module node/direct-network
 */
import { toHex } from '../base/bytes.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { DIAL_TIMEOUT_MS, GATEWAY_SPREAD_MS } from '../base/limits.ts'
import { SigningKey } from '../crypto/ed25519.ts'
import type { GatewayService } from '../discovery/gateway/gateway-service.ts'
import { isHintedPort } from '../discovery/told-address.ts'
import { Swarm } from '../swarm/swarm.ts'
import type { Acceptor, Door } from '../transport/acceptor.ts'
import { HandshakeKeyring } from '../transport/handshake-keys.ts'
import type { OnionServices } from '../transport/onion/onion-services.ts'
import { resolveHost } from '../transport/resolver.ts'
import { TcpTransport } from '../transport/tcp.ts'
import type { ByteStream, Listener, Transport } from '../transport/transport.ts'
import { parseAddress, parsePeerAddress } from '../wire/address.ts'
import { blobsStatus, type OpenDht, openDht, openDhtServices, openGateway } from './dht-services.ts'
import { GatewayOnion } from './gateway-onion.ts'
import { openGatewayDiscovery } from './gateways.ts'
import { type Network, type NetworkDeps, networkParts } from './network.ts'
import { openOnions } from './onion-control.ts'
import { announcedAddresses, isAcceptableFrom, isOwnAddress, reachableHere } from './own-addresses.ts'
import { Relays } from './relays.ts'
import type { DhtServices } from './services.ts'
import { relayAnchorStore } from './stores.ts'
import { Swarms } from './swarms.ts'

/** A random TCP port is free for UDP too, nearly always. */
const MAX_BIND_ATTEMPTS = 8

/** @throws MegatorrentError ERR_LISTEN_FAILED or ERR_DHT_LISTEN (config). */
export async function openDirectNetwork(deps: NetworkDeps): Promise<Network> {
  const { config } = deps
  const { limits, bans, acceptor, limited, swarmDeps, close } = networkParts(deps)
  const nodeKey = new SigningKey(deps.nodeSeed)
  const external = config.external === null ? null : parseAddress(hostPortText(config.external))
  const keyring = new HandshakeKeyring(nodeKey.publicKey)
  const tcp = limited(new TcpTransport())
  let listenPort = 0 // until we listen
  let gateway: GatewayService | null = null // until there is a DHT
  let relays: Relays | null = null // until it is a gateway
  const swarm = new Swarm({
    ...swarmDeps,
    dialer: tcp,
    resolve: resolveHost,
    isAcceptable: isAcceptableFrom(config.listen.host),
    nodeKey,
    get maxPeers() {
      return limits.now.maxPeers
    },
    listenPort: () => listenPort,
    gateway: () => gateway,
  })
  const door: Door = {
    candidates: (nowMs) => keyring.candidates(nowMs),
    isOwnAddress: (dialled, stream) => isOwnAddress(dialled, stream.local, external),
    nodeKey,
    onSecured: (secured) => {
      if (secured.purpose.kind === 'relay') relays?.accept(secured)
      else swarm.accept(secured)
    },
  }
  const onions = openOnions(deps, new TcpTransport())
  const { listener, dht } = await bind(deps, tcp, (stream) => acceptor.accept(stream, door))
  listenPort = external?.port ?? listener.endpoint.port
  const services = dht === null ? null : openDhtServices(deps, dht.dht, listenPort)
  if (config.gateway && dht !== null && services !== null) {
    gateway = openGateway(deps, dht.dht)
    relays = openRelays(deps, { dialer: tcp, nodeKey, services })
    keyring.addRelays()
  }
  const onion =
    gateway === null || onions === null ? null : openOnion(deps, gateway, onions, tcp, acceptor, relays)
  const through = openGatewayDiscovery(deps, {
    dialer: tcp,
    resolve: resolveHost,
    spreadMs: GATEWAY_SPREAD_MS,
    isAcceptable: isAcceptableFrom(config.listen.host),
  })
  for (const text of config.peer) swarm.addUserAddress(parsePeerAddress(text))
  const host = reachableHere(listener.endpoint)
  const key = toHex(nodeKey.publicKey)
  return {
    limits,
    swarms: new Swarms(new Set([swarm]), bans),
    joinSwarm(keys, events) {
      keyring.addChannel(keys)
      const channel = swarm.join(keys, events)
      const leave = (): void => {
        swarm.leave(channel)
        keyring.removeChannel(keys)
      }
      const whole = { onionAddress: null, quiet: null, holds: null, serve: () => {}, listen: () => {} }
      return { swarm, channel, ...whole, leave }
    },
    discovery: (services ?? through).discovery,
    dht: dht?.dht ?? null,
    canPut: services !== null || through.canPut,
    gateways: () => through.usable(),
    relays: () => relays?.connected ?? 0,
    keepers: through.keepers,
    keeping: through.keeping,
    gatewayBlobs: () => blobsStatus(gateway),
    identity: {
      mode: config.gateway ? 'gateway' : 'direct',
      nodeKey: key,
      peerAddress: host === null ? null : `${key}@${host}`,
      dhtPort: dht?.port ?? null,
      onionAddress: onion?.address ?? null,
    },
    proxy: () => null,
    onions: () => onions?.status ?? null,
    addressesOf: () => announcedAddresses(listener.endpoint, external),
    started: () => {},
    addUserAddress(address) {
      if (address.kind === 'onion') {
        throw new MegatorrentError('ERR_USAGE', 'only a proxy reaches an onion: start with --proxy')
      }
      swarm.addUserAddress(address)
    },
    async close() {
      await listener.close().catch(() => {}) // it was closed already: nothing more to do
      acceptor.close()
      onions?.close()
      await onion?.close()
      swarm.close()
      await Promise.all([relays?.close(), services?.close(), through.close(), gateway?.close()])
      await dht?.dht.close()
      swarm.destroy()
      close()
    },
  }
}

function openOnion(
  { nodeSeed, clock, random, log }: NetworkDeps,
  gateway: GatewayService,
  onions: OnionServices,
  transport: Transport,
  acceptor: Acceptor,
  relays: Relays | null,
): GatewayOnion {
  const parts = { gateway, onions, transport, acceptor, relays }
  return new GatewayOnion({ ...parts, nodeSeed, clock, random, log: log.child('gateway') })
}

/** A gateway is a relay, too: it finds others of its kind through the DHT, and those behind a proxy come to it. */
function openRelays(
  { config, state, clock, random, log }: NetworkDeps,
  { dialer, nodeKey, services }: { dialer: Transport; nodeKey: SigningKey; services: DhtServices },
): Relays {
  const isAcceptable = isAcceptableFrom(config.listen.host)
  const relays = new Relays({
    ...{ clock, random, log: log.child('relays'), dialer, relayKey: nodeKey },
    resolve: resolveHost,
    dialTimeoutMs: DIAL_TIMEOUT_MS,
    given: [],
    isAcceptable: (address) =>
      address.kind !== 'onion' && isHintedPort(address.port) && isAcceptable(address),
    anchors: relayAnchorStore(state.meta),
  })
  services.findRelays(({ host, port }) => relays.addRelays([{ kind: 'ipv4', host, port }]))
  return relays
}

/** Ports for TCP and UDP; with port 0 for both, one that is free for both. */
async function bind(
  deps: NetworkDeps,
  tcp: Transport,
  onStream: (stream: ByteStream) => void,
): Promise<{ listener: Listener; dht: OpenDht | null }> {
  const { config, log } = deps
  for (let attempt = 1; ; attempt++) {
    const listener = await tcp.listen(config.listen, onStream)
    try {
      return { listener, dht: config.noDht ? null : await openDht(deps, listener.endpoint.port, resolveHost) }
    } catch (error) {
      await listener.close()
      const mayDiffer = config.listen.port === 0 && config.dhtPort === null
      if (!mayDiffer || attempt === MAX_BIND_ATTEMPTS) throw error
      log.debug('the UDP port beside ours is taken, trying others', { why: errorMessage(error) })
    }
  }
}

function hostPortText({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
