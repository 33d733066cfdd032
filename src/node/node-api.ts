/**
 * NodeApi over the parts of a running node: who answers what.
 *
 * @module node/node-api
 */
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import type { Collector } from '../channels/collector.ts'
import type { HeadLog } from '../channels/head-log.ts'
import type { ChannelSessions } from '../channels/session.ts'
import type { Config } from '../config/schema.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { type Ban, FOR_GOOD, readSubject } from '../swarm/bans.ts'
import type { Peer } from '../swarm/peer.ts'
import { formatAddress, parsePeerAddress } from '../wire/address.ts'
import { PROTOCOL_VERSION } from '../wire/constants.ts'
import type { AccessKeys } from './access-keys.ts'
import type { NodeApi, NodeInfo, PeerInfo } from './api.ts'
import type { BundlesApi } from './bundles-api.ts'
import type { ChannelsApi } from './channels-api.ts'
import type { FilesApi } from './files-api.ts'
import type { BanInfo } from './limit-types.ts'
import type { Network } from './network.ts'
import { addressOf } from './own-addresses.ts'
import { listReleases } from './releases.ts'
import type { SubscriptionsApi } from './subscriptions-api.ts'
import type { Tokens } from './tokens.ts'
import { verifyStore } from './verify.ts'

export interface NodeParts {
  readonly config: Config
  readonly network: Network
  readonly store: BlobStore
  readonly sessions: ChannelSessions
  readonly channels: ChannelsApi
  readonly bundles: BundlesApi
  readonly subscriptions: SubscriptionsApi
  readonly files: FilesApi
  readonly accessKeys: AccessKeys
  readonly tokens: Tokens
  readonly heads: HeadLog
  readonly collector: Collector
  readonly clock: Clock
  /** Monotonic. */
  readonly startedAtMs: number
}

export function nodeInfo({ network }: NodeParts): NodeInfo {
  return { ...network.identity, version: VERSION }
}

export function createNodeApi(parts: NodeParts): NodeApi {
  const { network, store, sessions, channels, bundles, subscriptions, files, accessKeys, tokens, clock } =
    parts
  const { swarms, dht } = network
  const isHere = (publicKey: string): boolean =>
    (channels.sessionOf(publicKey) ?? subscriptions.sessionOf(publicKey)) !== null
  const closeFiles = (publicKey: string): void => {
    if (!isHere(publicKey)) accessKeys.revokeChannel(keyOf(publicKey))
  }
  return {
    async getStatus() {
      const { peerAddress, nodeKey, mode, onionAddress } = network.identity
      return {
        version: VERSION,
        protocolVersion: PROTOCOL_VERSION,
        nodeKey,
        mode,
        peerAddress,
        onionAddress,
        peers: swarms.peerCount,
        heldBlobs: store.count,
        storedBytes: store.bytes,
        dht: { enabled: dht !== null, nodes: dht?.nodeCount ?? 0, server: dht?.isServer ?? false },
        gateways: network.gateways(),
        relays: network.relays(),
        gatewayBlobs: network.gatewayBlobs(),
        proxy: network.proxy(),
        onions: network.onions(),
        uploadRate: swarms.uploadRate,
        downloadRate: swarms.downloadRate,
        uploadedBytes: swarms.uploadedBytes,
        downloadedBytes: swarms.downloadedBytes,
        uptime: Math.floor((clock.monotonicMs() - parts.startedAtMs) / 1000),
      }
    },
    createChannel: (params) => channels.create(params),
    listChannels: async () => channels.list(),
    showChannel: async ({ channel }) => channels.show(channel),
    exportChannel: (params) => channels.export(params),
    importChannel: (params) => channels.import(params),
    async removeChannel({ channel }) {
      const removed = channels.remove(channel)
      closeFiles(removed.publicKey)
      return removed
    },
    ingest: (params, options) => channels.ingest(params, options),
    publish: (params, options) => channels.publish(params, options),
    publishManifest: (params, options) => bundles.publish(params, options),
    unpublish: (params, options) => channels.unpublish(params, options),
    getReleases: async ({ publicKey }) => listReleases(parts.heads, keyOf(publicKey)),
    host: (params, options) => subscriptions.host(params, options),
    addSubscription: (params, options) => subscriptions.add(params, options),
    async removeSubscription(params) {
      const removed = await subscriptions.remove(params)
      closeFiles(removed.publicKey)
      return removed
    },
    pauseSubscription: async ({ subscription }) => subscriptions.pause(subscription),
    resumeSubscription: async ({ subscription }) => subscriptions.resume(subscription),
    getSubscriptions: async () => subscriptions.list(),
    listFiles: (params, options) => subscriptions.listFiles(params, options),
    openFile: ({ publicKey, path }) => files.open(publicKey, path),
    listFolder: (params) => files.list(params),
    async createAccessKey({ publicKey, label }) {
      if (!isHere(publicKey)) {
        throw new MegatorrentError('ERR_NOT_FOUND', 'that channel is neither followed nor ours')
      }
      return accessKeys.create(keyOf(publicKey), label)
    },
    listAccessKeys: async () => accessKeys.list(),
    async revokeAccessKey({ keyId }) {
      const revoked = accessKeys.revoke(keyId)
      if (revoked === null) throw new MegatorrentError('ERR_NOT_FOUND', 'there is no access key of that id')
      return revoked
    },
    isAccessKey: (publicKey, key) => accessKeys.accepts(publicKey, key),
    createToken: async (params) => tokens.create(params),
    listTokens: async () => tokens.list(),
    async revokeToken({ name }) {
      const revoked = tokens.revoke(name)
      if (revoked === null) throw new MegatorrentError('ERR_NOT_FOUND', 'there is no token of that name')
      return revoked
    },
    findToken: (token) => tokens.find(token),
    getPeers: async () => swarms.peers.map(peerInfo),
    getBans: async () => swarms.bans.list().map(banInfo),
    async addPeer({ address }) {
      network.addUserAddress(parsePeerAddress(address))
      return { address }
    },
    async banPeer({ nodeKey }) {
      swarms.ban(keyOf(nodeKey))
      return { nodeKey }
    },
    async unbanPeer({ nodeKey, address }) {
      const { bans } = swarms
      const wasBanned = nodeKey === null ? bans.liftAddress(address ?? '') : bans.liftNode(keyOf(nodeKey))
      if (!wasBanned) throw new MegatorrentError('ERR_NOT_FOUND', 'that is not banned')
      return { nodeKey, address }
    },
    getLimits: async () => network.limits.now,
    async setLimits(change) {
      const now = network.limits.set(change)
      swarms.shed(now.maxPeers, clock.monotonicMs())
      return now
    },
    verify: (options) => verifyStore({ store, sessions, clock }, options),
    async gc({ signal, onProgress }) {
      const collected = await parts.collector.collect({
        signal,
        onProgress: (done, total) => onProgress({ phase: 'collecting', done, total, unit: 'blobs' }),
      })
      subscriptions.spaceFreed()
      return collected
    },
  }
}

function keyOf(text: string): Uint8Array {
  const key = fromHex(text, 32)
  if (key === null) throw new MegatorrentError('ERR_USAGE', 'a key is 64 hex digits')
  return key
}

function banInfo({ subject, until, reason }: Ban): BanInfo {
  const { nodeKey, address } = readSubject(subject)
  return { nodeKey, address, until: until === FOR_GOOD ? null : until, reason }
}

function peerInfo(peer: Peer): PeerInfo {
  const { remoteNodeKey, address, remote, since } = peer.init
  const shown = address ?? addressOf(remote)
  return {
    nodeKey: remoteNodeKey === null ? null : toHex(remoteNodeKey),
    address: shown === null ? null : formatAddress(shown),
    direction: peer.direction,
    since,
    bytesIn: peer.connection.bytesIn,
    bytesOut: peer.connection.bytesOut,
    state: peer.gotHello ? 'connected' : 'greeting',
  }
}
