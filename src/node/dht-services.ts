/**
 * The DHT of our own, and the file of the nodes that it knows.
 *
 * @module node/dht-services
 */
import { join } from 'node:path'
import { MegatorrentError } from '../base/errors.ts'
import { DHT_MAX_STATE_BYTES } from '../base/limits.ts'
import type { Dht } from '../discovery/dht.ts'
import { DhtStateKeeper, loadDhtState } from '../discovery/dht-state.ts'
import { GatewayService } from '../discovery/gateway/gateway-service.ts'
import { openMainline } from '../discovery/mainline.ts'
import { readFileIfExists, writeFileAtomic } from '../storage/atomic-file.ts'
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
  const { state, memoryHash, clock, random, log } = deps
  const store = state.gatewayItems
  return new GatewayService({ dht, store, memoryHash, clock, random, log: log.child('gateway') })
}
