/**
 * The settings of `serve`: one row each.
 *
 * From these rows come the type Config, the flags of the command line, the variables of the
 * environment, the keys of config.toml, `--help`, `config show` and
 * config.sample.toml. A row has one name (`max-peers`); every other spelling of
 * it is derived below and nowhere else.
 *
 * Rows of LATER_SETTINGS are part of the contract but not of this version: they
 * are recognised, so that nobody believes to be protected by a flag that does
 * nothing, and refused wherever they are set.
 *
 * @module config/schema
 */
import { join } from 'node:path'
import {
  addressesRow,
  each,
  fileRow,
  flagRow,
  identity,
  limitRow,
  one,
  ROW,
  type Setting,
  type SettingRow,
} from './setting.ts'
import {
  choice,
  formatHostPort,
  type HostPort,
  parseBootstrap,
  parseExternalAddress,
  parseHostName,
  parseInteger,
  parseListenAddress,
  parseMaxStore,
  parseOrigin,
  parsePath,
  parseProxy,
  parseSeconds,
  parseSize,
} from './values.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFormat = 'text' | 'json'

/** Settings after merge and checks. Never changed afterwards. */
export interface Config {
  /** Absolute. */
  readonly dataDir: string
  readonly listen: HostPort
  readonly rpc: HostPort
  /** Lower case, each with or without a port. */
  readonly rpcHost: readonly string[]
  /** Lower case, without default ports. */
  readonly rpcOrigin: readonly string[]
  readonly rpcAllowRemote: boolean
  /** Null: the same port as `listen` has in the end. */
  readonly dhtPort: number | null
  /** Empty for an isolated first node. */
  readonly bootstrap: readonly HostPort[]
  readonly noDht: boolean
  readonly dhtServer: boolean
  /** ADDRESS texts, shape checked. */
  readonly peer: readonly string[]
  readonly gateway: boolean
  /** Bytes of blobs kept for others; 0 keeps none. */
  readonly gatewayBlobs: number
  /** Our gateways are asked to keep the blobs of our releases. */
  readonly gatewayKeeps: boolean
  /** ADDRESS texts, shape checked. */
  readonly useGateway: readonly string[]
  readonly external: HostPort | null
  /** Absolute. */
  readonly downloadDir: string
  /** Bytes. */
  readonly maxStore: number
  /** Bytes. */
  readonly minFree: number
  readonly maxPeers: number
  /** Bytes a second; 0 is unlimited. */
  readonly uploadLimit: number
  /** Bytes a second; 0 is unlimited. */
  readonly downloadLimit: number
  /** Null: direct mode. */
  readonly proxy: HostPort | null
  /** Absolute. */
  readonly proxyAuthFile: string | null
  readonly proxyNoIsolation: boolean
  readonly torControl: HostPort | null
  /** Absolute. */
  readonly torControlPasswordFile: string | null
  /** ms over which channels begin after a start. */
  readonly startSpread: number
  /** Absolute. */
  readonly passphraseFile: string | null
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
}

export type OriginSource = 'flag' | 'environment' | 'file' | 'default' | 'implied'

export interface Origin {
  readonly source: OriginSource
  /** `--max-peers`, `MEGATORRENT_MAX_PEERS`, `/x/config.toml line 3`, or what implied it; empty for a default. */
  readonly place: string
}

export interface ConfigProblem {
  /** Key as in the file: `max_peers`. */
  readonly key: string
  readonly place: string
  readonly message: string
}

export type Origins = Readonly<Record<keyof Config, Origin>>

const GIB = 1_073_741_824
const PUBLIC_ROUTERS: readonly HostPort[] = [
  { host: 'router.bittorrent.com', port: 6881 },
  { host: 'router.utorrent.com', port: 6881 },
  { host: 'dht.transmissionbt.com', port: 6881 },
]

export const SETTINGS: { readonly [K in keyof Config]: Setting<Config[K]> } = {
  dataDir: {
    ...ROW,
    name: 'data-dir',
    argument: 'DIR',
    isInFile: false,
    doc: 'folder for keys, blobs, database and config.toml',
    defaultText: '$XDG_DATA_HOME/megatorrent or ~/.local/share/megatorrent',
    fallback: ({ dataDir }) => dataDir,
    parse: one((text, { callerFolder }) => parsePath(text, callerFolder)),
    show: identity,
  },
  listen: {
    ...ROW,
    name: 'listen',
    argument: 'HOST:PORT',
    doc: 'where other peers connect to; port 0 picks one that is free for TCP and UDP',
    defaultText: '0.0.0.0:7117',
    fallback: () => ({ host: '0.0.0.0', port: 7117 }),
    parse: one(parseListenAddress),
    show: formatHostPort,
  },
  rpc: {
    ...ROW,
    name: 'rpc',
    argument: 'HOST:PORT',
    doc: 'where JSON-RPC listens; an address that is not loopback needs --rpc-allow-remote',
    defaultText: '127.0.0.1:7118',
    fallback: () => ({ host: '127.0.0.1', port: 7118 }),
    parse: one(parseListenAddress),
    show: formatHostPort,
  },
  rpcHost: {
    ...ROW,
    name: 'rpc-host',
    argument: 'NAME',
    isList: true,
    doc: 'a further Host name that RPC requests may carry, for a reverse proxy; may be repeated',
    defaultText: 'none',
    fallback: () => [],
    parse: each(parseHostName),
    show: identity,
  },
  rpcOrigin: {
    ...ROW,
    name: 'rpc-origin',
    argument: 'ORIGIN',
    isList: true,
    doc: 'a further web origin whose pages may call; may be repeated',
    defaultText: 'none',
    fallback: () => [],
    parse: each(parseOrigin),
    show: identity,
  },
  rpcAllowRemote: flagRow(
    'rpc-allow-remote',
    'let --rpc listen where other machines reach it; the token then travels in clear',
  ),
  dhtPort: {
    ...ROW,
    name: 'dht-port',
    argument: 'N',
    fileType: 'integer',
    doc: 'UDP port of the DHT, on the host of --listen; 0 picks one',
    defaultText: 'the port of --listen',
    fallback: () => null,
    parse: one((text) => parseInteger(text, 0, 65_535)),
    show: identity,
  },
  bootstrap: {
    ...ROW,
    name: 'bootstrap',
    argument: 'HOST:PORT',
    isList: true,
    doc: 'a DHT node to start from; may be repeated; "none" makes an isolated first node',
    defaultText: PUBLIC_ROUTERS.map(formatHostPort).join(','),
    fallback: () => PUBLIC_ROUTERS,
    parse: parseBootstrap,
    show: (routers) => (routers.length === 0 ? ['none'] : routers.map(formatHostPort)),
  },
  noDht: flagRow('no-dht', 'use no DHT: only --peer addresses, links, known peers and gateways'),
  dhtServer: flagRow('dht-server', 'answer DHT queries of others; ordinary nodes only ask'),
  peer: addressesRow(
    'peer',
    'a peer to stay connected to: HOST:PORT, with NODEKEY@ in front to insist on its key; may be repeated',
  ),
  gateway: flagRow('gateway', 'put, read and look up in the DHT for others who have none'),
  gatewayBlobs: {
    ...ROW,
    name: 'gateway-blobs',
    argument: 'SIZE',
    fileType: 'size',
    doc: 'most bytes of blobs that a gateway keeps for others, part of --max-store; 0 keeps none',
    defaultText: '0',
    fallback: () => 0,
    parse: one(parseSize),
    show: identity,
  },
  gatewayKeeps: flagRow(
    'gateway-keeps',
    'have the gateways of --use-gateway keep the blobs of our releases, and name them in our links; they can tell then which releases are of one channel',
  ),
  useGateway: addressesRow(
    'use-gateway',
    'a gateway to publish and look up through, in place of a DHT: needs --no-dht or --proxy; better three than one; may be repeated',
  ),
  external: {
    ...ROW,
    name: 'external',
    argument: 'HOST:PORT',
    doc: 'the address to announce, where a router forwards to --listen',
    defaultText: 'none',
    fallback: () => null,
    parse: one(parseExternalAddress),
    show: (value) => (value === null ? null : formatHostPort(value)),
  },
  downloadDir: {
    ...ROW,
    name: 'download-dir',
    argument: 'DIR',
    doc: 'where subscriptions land',
    defaultText: '<data-dir>/downloads',
    fallback: ({ dataDir }) => join(dataDir, 'downloads'),
    parse: one((text, { callerFolder }) => parsePath(text, callerFolder)),
    show: identity,
  },
  maxStore: {
    ...ROW,
    name: 'max-store',
    argument: 'SIZE',
    fileType: 'size',
    doc: 'most bytes of blobs to hold',
    defaultText: '20GiB',
    fallback: () => 20 * GIB,
    parse: one(parseMaxStore),
    show: identity,
  },
  minFree: {
    ...ROW,
    name: 'min-free',
    argument: 'SIZE',
    fileType: 'size',
    doc: 'stop fetching when less of the disk than this is free',
    defaultText: '1GiB',
    fallback: () => GIB,
    parse: one(parseSize),
    show: identity,
  },
  maxPeers: {
    ...ROW,
    name: 'max-peers',
    argument: 'N',
    fileType: 'integer',
    doc: 'most connections to other peers at a time',
    defaultText: '200',
    fallback: () => 200,
    parse: one((text) => parseInteger(text, 1, 10_000)),
    show: identity,
  },
  uploadLimit: limitRow('upload-limit', 'most bytes a second to send to peers; 0 is unlimited'),
  downloadLimit: limitRow('download-limit', 'most bytes a second to receive from peers; 0 is unlimited'),
  proxy: {
    ...ROW,
    name: 'proxy',
    argument: 'socks5://HOST:PORT',
    doc: 'safe mode: everything through this SOCKS5 proxy, or not at all',
    defaultText: 'none',
    fallback: () => null,
    parse: one(parseProxy),
    show: (value) => (value === null ? null : `socks5://${formatHostPort(value)}`),
  },
  proxyAuthFile: fileRow(
    'proxy-auth-file',
    'file with USER:PASSWORD for the proxy; needs --proxy-no-isolation',
  ),
  proxyNoIsolation: flagRow(
    'proxy-no-isolation',
    'accept a proxy that cannot keep connections for different purposes apart',
  ),
  torControl: {
    ...ROW,
    name: 'tor-control',
    argument: 'HOST:PORT',
    doc: "Tor's control port, to make an onion service for each channel, or for a gateway one of its own",
    defaultText: 'none',
    fallback: () => null,
    parse: one(parseListenAddress),
    show: (value) => (value === null ? null : formatHostPort(value)),
  },
  torControlPasswordFile: fileRow(
    'tor-control-password-file',
    'file with the password of the control port, where it has no cookie',
  ),
  startSpread: {
    ...ROW,
    name: 'start-spread',
    argument: 'SECONDS',
    fileType: 'integer',
    doc: 'after a start each of several channels begins within this time, so that they do not show to be one node',
    defaultText: '600',
    fallback: () => 600_000,
    parse: one(parseSeconds),
    show: (value) => value / 1000,
  },
  passphraseFile: fileRow('passphrase-file', 'file with the passphrase that unlocks encrypted keys'),
  logLevel: {
    ...ROW,
    name: 'log-level',
    argument: 'LEVEL',
    doc: 'debug, info, warn or error; logs go to stderr',
    defaultText: 'info',
    fallback: () => 'info',
    parse: one(choice('debug', 'info', 'warn', 'error')),
    show: identity,
  },
  logFormat: {
    ...ROW,
    name: 'log-format',
    argument: 'FORMAT',
    doc: 'text or json',
    defaultText: 'text',
    fallback: () => 'text',
    parse: one(choice('text', 'json')),
    show: identity,
  },
}

/** Stems in the order in which they are shown. */
export const SETTING_STEMS = Object.keys(SETTINGS) as readonly (keyof Config)[]

const later = (name: string, argument: string | null, doc: string, isList = false): SettingRow => ({
  name,
  argument,
  isList,
  doc,
})

/** Part of the contract, not of this version: refused wherever they are set. */
export const LATER_SETTINGS: readonly SettingRow[] = [
  later('bind-interface', 'NAME', 'send only through this interface'),
]

/** `--max-peers` */
export function flagOf(name: string): string {
  return `--${name}`
}

/** `MEGATORRENT_MAX_PEERS` */
export function variableOf(name: string): string {
  return `MEGATORRENT_${name.toUpperCase().replaceAll('-', '_')}`
}

/** `max_peers` */
export function keyOf(name: string): string {
  return name.replaceAll('-', '_')
}
