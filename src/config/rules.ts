/**
 * Combinations of settings: what contradicts itself or exposes somebody is
 * refused with a reason, and what follows from another setting is filled in.
 *
 * @module config/rules
 */
import { join, relative } from 'node:path'
import { checkSafeMode, type IsSet, impliedBySafeMode, type Refuse } from './safe-rules.ts'
import { type Config, type ConfigProblem, keyOf, type Origin, type Origins, SETTINGS } from './schema.ts'
import { type HostPort, isLoopback, isWildcard } from './values.ts'

export interface CheckedConfig {
  readonly config: Config
  readonly origins: Origins
  readonly problems: readonly ConfigProblem[]
}

/** Every rule is looked at, so that all contradictions are told at once. */
export function checkCombinations(config: Config, origins: Origins): CheckedConfig {
  const problems: ConfigProblem[] = []
  const refuse: Refuse = (stem, message) =>
    void problems.push({ key: keyOf(SETTINGS[stem].name), place: origins[stem].place, message })
  const isSet: IsSet = (stem) => origins[stem].source !== 'default'

  const own = ownFolder(config.dataDir, config.downloadDir)
  if (own !== null) refuse('downloadDir', `is where the daemon keeps its own ${own}: choose another folder`)
  checkKeeping(config, refuse)
  checkSafeMode(config, isSet, refuse)
  if (config.proxy !== null) return { ...impliedBySafeMode(config, origins), problems }

  if (!isLoopback(config.rpc.host) && !config.rpcAllowRemote) {
    refuse('rpc', 'would be reachable from other machines: use a loopback address, or add --rpc-allow-remote')
  }
  if (collides(config.listen, config.rpc)) {
    if (isSet('rpc')) refuse('rpc', 'uses the port of --listen: choose another')
    else refuse('listen', 'uses the port of --rpc: choose another')
  }
  checkDht(config, isSet, refuse)
  if (config.bootstrap.length > 0 || config.noDht || config.dhtServer) return { config, origins, problems }
  const implied: Origin = { source: 'implied', place: `${SETTINGS.bootstrap.name} none` }
  return { config: { ...config, dhtServer: true }, origins: { ...origins, dhtServer: implied }, problems }
}

/** Blobs that gateways keep: by this node for others, and by others for this node. */
function checkKeeping(config: Config, refuse: Refuse): void {
  if (config.gatewayBlobs > 0 && !config.gateway) {
    refuse('gatewayBlobs', 'is a setting of gateways: add --gateway')
  }
  if (config.gatewayBlobs > config.maxStore) {
    refuse('gatewayBlobs', 'is more than --max-store, of which it is a part')
  }
  if (config.gatewayKeeps && config.useGateway.length === 0) {
    refuse('gatewayKeeps', 'needs gateways that keep: add --use-gateway')
  }
}

function checkDht(config: Config, isSet: IsSet, refuse: Refuse): void {
  if (config.noDht) {
    for (const stem of ['dhtPort', 'bootstrap'] as const) {
      if (isSet(stem))
        refuse(stem, 'is a setting of the DHT, which --no-dht switches off: remove one of them')
    }
    for (const stem of ['dhtServer', 'gateway'] as const) {
      if (config[stem]) refuse(stem, 'needs the DHT, which --no-dht switches off: remove one of them')
    }
    return
  }
  if (config.useGateway.length > 0) {
    refuse('useGateway', 'is for nodes without a DHT of their own: add --no-dht, or remove it')
  }
  if (config.listen.host.includes(':')) {
    refuse('listen', 'is IPv6, which the DHT does not speak: use an IPv4 address, or add --no-dht')
  }
  if (config.bootstrap.length === 0 && isSet('dhtServer') && !config.dhtServer) {
    refuse('dhtServer', 'is false, but --bootstrap none makes a first node, which must answer others')
  }
}

/** Would both fail to bind? Port 0 never collides. */
function collides(a: HostPort, b: HostPort): boolean {
  if (a.port === 0 || a.port !== b.port) return false
  return a.host === b.host || isWildcard(a.host) || isWildcard(b.host)
}

/**
 * Files of others must never land among our own: what of ours lies where they would, or null.
 *
 * @param folder - absolute, as `dataDir`.
 */
export function ownFolder(dataDir: string, folder: string): string | null {
  if (folder === dataDir) return 'files'
  for (const name of ['keys', 'blobs']) {
    if (isWithin(join(dataDir, name), folder)) return name
  }
  return null
}

/** Is it that folder, or does it lie in it? Both absolute. */
export function isWithin(outer: string, inner: string): boolean {
  return !/^\.\.(?:[\\/]|$)/.test(relative(outer, inner))
}
