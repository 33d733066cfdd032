/**
 * The node's side of the network: TCP listener, handshakes, swarm and, unless it
 * is switched off, the DHT. Brought up in order, taken down in the reverse.
 *
 * @module node/network
 */
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { DHT_MAX_STATE_BYTES, HANDSHAKE_TRIALS_PER_SECOND } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import { NO_DISCOVERY } from '../channels/discovery.ts'
import type { Config } from '../config/schema.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import type { PublisherKeys } from '../crypto/key-schedule.ts'
import { Announcer } from '../discovery/announcer.ts'
import type { Dht } from '../discovery/dht.ts'
import { DhtStateKeeper, loadDhtState } from '../discovery/dht-state.ts'
import { openMainline } from '../discovery/mainline.ts'
import type { SlotTiming } from '../discovery/slot-record.ts'
import { SlotService } from '../discovery/slot-service.ts'
import { readFileIfExists, writeFileAtomic } from '../storage/atomic-file.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import { Swarm } from '../swarm/swarm.ts'
import { Acceptor } from '../transport/acceptor.ts'
import { EphemeralMemory, HandshakeKeyring } from '../transport/handshake-keys.ts'
import { limitTransport } from '../transport/limited-stream.ts'
import { transferLimits } from '../transport/rate-limit.ts'
import { TcpTransport } from '../transport/tcp.ts'
import type { Endpoint, Listener, Transport } from '../transport/transport.ts'
import { type Address, parseAddress, parsePeerAddress } from '../wire/address.ts'
import { DhtDiscovery } from './dht-discovery.ts'
import { NodeLimits } from './limits.ts'
import { isAcceptableFrom, isOwnAddress } from './own-addresses.ts'
import { anchorStore, BatchedEphemeralStore, banStore } from './stores.ts'

/** Times that tests shorten; no flag or file does. */
export interface NetworkTuning {
  readonly slots?: Partial<SlotTiming>
  readonly topicMinMs?: number
  readonly topicMaxMs?: number
}

export interface NetworkDeps {
  readonly config: Config
  readonly state: State
  readonly store: BlobStore
  readonly nodeKey: SigningKey
  readonly publisherKeys: (publicKey: Uint8Array) => PublisherKeys | null
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly tuning: NetworkTuning
  /** Limits that a flag or a variable of this start set. */
  readonly givenLimits: ReadonlySet<string>
}

export interface Network {
  readonly limits: NodeLimits
  readonly swarm: Swarm
  readonly keyring: HandshakeKeyring
  readonly discovery: ChannelDiscovery
  readonly dht: Dht | null
  readonly dhtPort: number | null
  readonly listen: Endpoint
  readonly external: Address | null
  close(): Promise<void>
}

/** @throws MegatorrentError ERR_LISTEN_FAILED or ERR_DHT_LISTEN (config). */
export async function openNetwork(deps: NetworkDeps): Promise<Network> {
  const { config, state, clock, random, log, nodeKey } = deps
  const external = config.external === null ? null : parseAddress(hostPortText(config.external))
  const keyring = new HandshakeKeyring(nodeKey.publicKey)
  const ephemeralStore = new BatchedEphemeralStore(state.ephemerals, clock)
  const transfer = transferLimits(clock)
  const limits = new NodeLimits(config, deps.givenLimits, { transfer, meta: state.meta, log })
  const tcp = limitTransport(new TcpTransport(), transfer)
  state.anchors.prune() // of a look at a channel that was never followed
  let listenPort = 0 // until we listen
  const swarm = new Swarm({
    clock,
    random,
    log: log.child('swarm'),
    dialer: tcp,
    resolve: deps.resolve,
    isAcceptable: isAcceptableFrom(config.listen.host),
    nodeKey,
    store: deps.store,
    bans: banStore(state.bans, clock),
    get maxPeers() {
      return limits.now.maxPeers
    },
    downloadRate: () => transfer.download.rate,
    uploadRate: () => transfer.upload.rate,
    anchors: anchorStore(state.anchors),
    listenPort: () => listenPort,
  })
  const acceptor = new Acceptor({
    candidates: (nowMs) => keyring.candidates(nowMs),
    ephemerals: new EphemeralMemory(ephemeralStore),
    isOwnAddress: (dialled, stream) => isOwnAddress(dialled, stream.local, external),
    nodeKey,
    trials: new TokenBucket(clock, HANDSHAKE_TRIALS_PER_SECOND, HANDSHAKE_TRIALS_PER_SECOND),
    clock,
    random,
    log: log.child('handshake'),
    onSecured: (secured) => swarm.accept(secured),
  })
  const { listener, dht } = await bind(deps, tcp, acceptor)
  listenPort = external?.port ?? listener.endpoint.port
  const services = dht === null ? null : openServices(deps, dht.dht, listenPort)
  for (const text of config.peer) swarm.addUserAddress(parsePeerAddress(text))
  return {
    limits,
    swarm,
    keyring,
    discovery: services?.discovery ?? NO_DISCOVERY,
    dht: dht?.dht ?? null,
    dhtPort: dht?.port ?? null,
    listen: listener.endpoint,
    external,
    async close() {
      await listener.close().catch(() => {}) // it was closed already: nothing more to do
      acceptor.close()
      swarm.close()
      await services?.close()
      await dht?.dht.close()
      swarm.destroy()
      ephemeralStore.flush()
    },
  }
}

interface BoundDht {
  readonly dht: Dht
  readonly port: number
}

/** Ports for TCP and UDP; with port 0 for both, one that is free for both. */
async function bind(
  deps: NetworkDeps,
  tcp: Transport,
  acceptor: Acceptor,
): Promise<{ listener: Listener; dht: BoundDht | null }> {
  const { config, log } = deps
  for (let attempt = 1; ; attempt++) {
    const listener = await tcp.listen(config.listen, (stream) => acceptor.accept(stream))
    try {
      return { listener, dht: await openDht(deps, listener.endpoint.port) }
    } catch (error) {
      await listener.close()
      const mayDiffer = config.listen.port === 0 && config.dhtPort === null
      if (!mayDiffer || attempt === MAX_BIND_ATTEMPTS) throw error
      log.debug('the UDP port beside ours is taken, trying others', { why: errorMessage(error) })
    }
  }
}

/** A random TCP port is free for UDP too, nearly always. */
const MAX_BIND_ATTEMPTS = 8

async function openDht(deps: NetworkDeps, tcpPort: number): Promise<BoundDht | null> {
  const { config, clock, random, log } = deps
  if (config.noDht) return null
  if (config.listen.host.includes(':')) {
    throw new MegatorrentError(
      'ERR_CONFIG_VALUE',
      'listen is an IPv6 address and the DHT speaks IPv4: add --no-dht',
    )
  }
  const path = join(config.dataDir, 'dht_state.json')
  const savedNodes = await loadDhtState(async () => {
    const bytes = readFileIfExists(path, DHT_MAX_STATE_BYTES)
    return bytes === null ? null : Buffer.from(bytes).toString('utf8')
  }, log)
  const dht = await openMainline({
    host: config.listen.host,
    port: config.dhtPort ?? tcpPort,
    isServer: config.dhtServer,
    bootstrap: config.bootstrap,
    savedNodes,
    resolve: (host) => deps.resolve(host),
    clock,
    random,
    log: log.child('dht'),
  })
  return { dht, port: dht.port }
}

function openServices(
  deps: NetworkDeps,
  dht: Dht,
  port: number,
): { discovery: ChannelDiscovery; close(): Promise<void> } {
  const { config, state, clock, random, log, tuning } = deps
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
  const keeper = new DhtStateKeeper({
    dht,
    write: async (text) => writeFileAtomic(join(config.dataDir, 'dht_state.json'), Buffer.from(text)),
    clock,
    log,
  })
  return {
    discovery: new DhtDiscovery({ slots, announcer, publisherKeys: deps.publisherKeys, log }),
    async close() {
      await keeper.close()
      await Promise.all([slots.close(), announcer.close()])
    },
  }
}

function hostPortText({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
