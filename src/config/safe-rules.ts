/**
 * Safe mode: which settings it rules out, and what follows from it. Whatever could make the node speak
 * past its proxy stops the start, with the reason.
 *
 * @module config/safe-rules
 */
import type { Config, Origins } from './schema.ts'
import { isLoopback, isOnionAddress, isPinnedAddress } from './values.ts'

export type Refuse = (stem: keyof Config, message: string) => void
/** Not by default. */
export type IsSet = (stem: keyof Config) => boolean

/** Settings that say nothing without a proxy. */
const NEED_PROXY = ['proxyAuthFile', 'proxyNoIsolation'] as const

/** Settings of onion services, which a gateway has without a proxy too. */
const OF_TOR = ['torControl', 'torControlPasswordFile'] as const

/** Settings whose addresses are dialled. */
const ADDRESSES = ['peer', 'useGateway'] as const

/** Settings of what safe mode does not have. */
const OF_DIRECT_MODE: readonly (readonly [keyof Config, string])[] = [
  ['dhtPort', 'is a setting of the DHT, which would show your address'],
  ['bootstrap', 'is a setting of the DHT, which would show your address'],
  ['dhtServer', 'is a setting of the DHT, which would show your address'],
  ['gateway', 'reaches the DHT for others, which would show your address'],
  ['external', 'announces an address of yours'],
]

/** What contradicts `proxy`, where it is set, and what needs it, where it is not. */
export function checkSafeMode(config: Config, isSet: IsSet, refuse: Refuse): void {
  if (config.proxy === null) {
    for (const stem of NEED_PROXY) {
      if (config[stem] !== null && config[stem] !== false)
        refuse(stem, 'is a setting of safe mode: add --proxy')
    }
    for (const stem of OF_TOR) {
      if (config[stem] !== null && !config.gateway)
        refuse(stem, 'is a setting of safe mode and of gateways: add --proxy or --gateway')
    }
    checkControl(config, refuse)
    for (const stem of ADDRESSES) {
      if (config[stem].some(isOnionAddress))
        refuse(stem, 'is an onion, which only a proxy can reach: add --proxy')
    }
    return
  }
  for (const [stem, why] of OF_DIRECT_MODE) {
    if (isSet(stem) && config[stem] !== false) refuse(stem, `${why}: remove it, or remove --proxy`)
  }
  if (isSet('noDht') && !config.noDht) {
    refuse('noDht', 'is false, and the DHT would show your address: remove it, or remove --proxy')
  }
  if (isSet('listen') && !isLoopback(config.listen.host)) {
    refuse('listen', 'would be reachable past the proxy: use a loopback address, or remove it')
  }
  if (!isLoopback(config.rpc.host)) {
    refuse('rpc', 'would be reachable from other machines, which safe mode never is: use a loopback address')
  }
  for (const stem of ADDRESSES) {
    if (config[stem].some((address) => !isOnionAddress(address) && !isPinnedAddress(address))) {
      refuse(stem, 'has no node key, and behind a proxy anybody can pose as it: put NODEKEY@ in front')
    }
  }
  checkProxy(config, refuse)
}

function checkProxy(config: Config, refuse: Refuse): void {
  if (config.proxyAuthFile !== null && !config.proxyNoIsolation) {
    refuse(
      'proxyAuthFile',
      'makes all connections share one user, so circuits cannot be kept apart: use a SocksPort of Tor ' +
        'without it, or give that up with --proxy-no-isolation',
    )
  }
  checkControl(config, refuse)
}

function checkControl(config: Config, refuse: Refuse): void {
  if (config.torControl === null && config.torControlPasswordFile !== null) {
    refuse('torControlPasswordFile', 'is the password of a control port: add --tor-control')
  }
  if (config.torControl !== null && !isLoopback(config.torControl.host)) {
    refuse(
      'torControl',
      'would carry the keys of your onions over a network in clear: use a loopback address',
    )
  }
}

/** What follows from `proxy` where nothing else was said. */
export function impliedBySafeMode(config: Config, origins: Origins): { config: Config; origins: Origins } {
  if (config.proxy === null) return { config, origins }
  const implied = { source: 'implied', place: 'proxy' } as const
  const isListenSet = origins.listen.source !== 'default'
  return {
    config: {
      ...config,
      noDht: true,
      listen: isListenSet ? config.listen : { ...config.listen, host: '127.0.0.1' },
    },
    origins: { ...origins, noDht: implied, listen: isListenSet ? origins.listen : implied },
  }
}
