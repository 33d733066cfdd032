/**
 * The DHT of our own, and the file of the nodes that it knows.
 *
 * @module node/dht-services
 */
import { join } from 'node:path'
import { MegatorrentError } from '../base/errors.ts'
import {
  DHT_MAX_STATE_BYTES,
  GATEWAY_HOST_BLOBS_SHARE,
  GATEWAY_MAX_WAITING_BLOBS,
  GATEWAY_PARALLEL_BLOBS,
  GATEWAY_SHARED_BLOBS_SHARE,
  GATEWAY_USE_HALF_LIFE_MS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Dht } from '../discovery/dht.ts'
import { DhtStateKeeper, loadDhtState } from '../discovery/dht-state.ts'
import { BlobKeeper, type BlobKeeperRules } from '../discovery/gateway/blob-keeper.ts'
import { GatewayService } from '../discovery/gateway/gateway-service.ts'
import type { BlobShelf } from '../discovery/gateway/kept-blobs.ts'
import { openMainline } from '../discovery/mainline.ts'
import { readFileIfExists, writeFileAtomic } from '../storage/atomic-file.ts'
import { BLOB_BYTES, MAX_KEEP_IDS, PUBLISH_WORK_BITS } from '../wire/constants.ts'
import type { GatewayBlobsStatus } from './api.ts'
import type { NetworkDeps } from './network.ts'
import { type DhtServices, openServices } from './services.ts'

const STATE_FILE = 'dht_state.json'

export interface OpenDht {
  readonly dht: Dht
  readonly port: number
}

/** @throws MegatorrentError ERR_DHT_LISTEN or ERR_CONFIG_VALUE (config). */
export async function openDht(
  deps: NetworkDeps,
  tcpPort: number,
  resolve: (host: string) => Promise<readonly string[]>,
): Promise<OpenDht> {
  const { config, clock, random, log } = deps
  if (config.listen.host.includes(':')) {
    throw new MegatorrentError(
      'ERR_CONFIG_VALUE',
      'listen is an IPv6 address and the DHT speaks IPv4: add --no-dht',
    )
  }
  const path = join(config.dataDir, STATE_FILE)
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
    resolve,
    clock,
    random,
    log: log.child('dht'),
  })
  return { dht, port: dht.port }
}

/** @param port - where we accept connections: what is announced. */
export function openDhtServices(deps: NetworkDeps, dht: Dht, port: number): DhtServices {
  const { config, clock, log } = deps
  const services = openServices(deps, dht, port)
  const keeper = new DhtStateKeeper({
    dht,
    write: async (text) => writeFileAtomic(join(config.dataDir, STATE_FILE), Buffer.from(text)),
    clock,
    log,
  })
  return {
    ...services,
    async close() {
      await keeper.close()
      await services.close()
    },
  }
}

/** Be a gateway over it. */
export function openGateway(deps: NetworkDeps, dht: Dht): GatewayService {
  const { config, state, memoryHash, clock, random } = deps
  const [store, log] = [state.gatewayItems, deps.log.child('gateway')]
  let blobs: BlobKeeper | null = null
  const parts = { dht, store, blobs: () => blobs, memoryHash, clock, random, log }
  const gateway = new GatewayService(parts)
  // What is lost is known when the store has recovered from a crash; that may take a while.
  if (config.gatewayBlobs > 0) {
    void deps.store.recovered.then(() => {
      if (!gateway.isClosed) blobs = openBlobKeeper(deps, log)
    })
  } else {
    // What an earlier start kept is garbage where nothing is kept any more.
    state.gatewayBlobs.remove(state.gatewayBlobs.all().map(({ id }) => id))
  }
  return gateway
}

function openBlobKeeper(deps: NetworkDeps, log: Log): BlobKeeper {
  const { config, state, store, clock, collectBlobs } = deps
  const places = Math.floor(config.gatewayBlobs / BLOB_BYTES)
  const rules: BlobKeeperRules = {
    places,
    perHost: Math.ceil(places * GATEWAY_HOST_BLOBS_SHARE),
    sharedHost: Math.ceil(places * GATEWAY_SHARED_BLOBS_SHARE),
    parallel: GATEWAY_PARALLEL_BLOBS,
    waiting: GATEWAY_MAX_WAITING_BLOBS,
    waitingPerHost: MAX_KEEP_IDS,
    halfLifeMs: GATEWAY_USE_HALF_LIFE_MS,
    workBits: PUBLISH_WORK_BITS,
  }
  const shelf: BlobShelf = {
    has: (id) => store.has(id),
    put: async (id, frame) => void (await store.put(id, frame)),
    release: collectBlobs,
  }
  return new BlobKeeper({ list: state.gatewayBlobs, shelf, clock, log, rules })
}

/** What the user is told of it. */
export function blobsStatus(gateway: GatewayService | null): GatewayBlobsStatus | null {
  const counts = gateway?.blobs?.counts ?? null
  return counts === null ? null : { bytes: counts.kept * BLOB_BYTES, quota: counts.places * BLOB_BYTES }
}
