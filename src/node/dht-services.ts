/**
 * The DHT and what uses it: slots, announcements, and the file of known nodes.
 *
 * @module node/dht-services
 */
import { join } from 'node:path'
import { MegatorrentError } from '../base/errors.ts'
import { DHT_MAX_STATE_BYTES } from '../base/limits.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import { Announcer } from '../discovery/announcer.ts'
import type { Dht } from '../discovery/dht.ts'
import { DhtStateKeeper, loadDhtState } from '../discovery/dht-state.ts'
import { openMainline } from '../discovery/mainline.ts'
import { SlotService } from '../discovery/slot-service.ts'
import { readFileIfExists, writeFileAtomic } from '../storage/atomic-file.ts'
import { DhtDiscovery } from './dht-discovery.ts'
import type { NetworkDeps } from './network.ts'

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
export function openDhtServices(
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
    write: async (text) => writeFileAtomic(join(config.dataDir, STATE_FILE), Buffer.from(text)),
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
