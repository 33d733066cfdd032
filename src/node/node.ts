/**
 * The node: everything built from the settings, in order, and taken down in the
 * reverse. This file composes; it decides nothing.
 *
 * @module node/node
 */
import { type Clock, hourClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { HeadLog } from '../channels/head-log.ts'
import { Publisher } from '../channels/publisher.ts'
import { ChannelSessions } from '../channels/session.ts'
import { SlotSets } from '../channels/slot-sets.ts'
import type { Config } from '../config/schema.ts'
import { memoryHashOf } from '../storage/puzzle-task.ts'
import { AccessKeys } from './access-keys.ts'
import type { RunningNode } from './api.ts'
import { BundlesApi, isPublishedHere } from './bundles-api.ts'
import { ChannelsApi } from './channels-api.ts'
import { type Closers, openDataFolder } from './data-folder.ts'
import { FilesApi } from './files-api.ts'
import { type NetworkTuning, openNetwork } from './network.ts'
import { createNodeApi, nodeInfo } from './node-api.ts'
import { linkTo } from './own-addresses.ts'
import { SubscriptionsApi } from './subscriptions-api.ts'
import { Tokens } from './tokens.ts'

export interface NodeDeps {
  readonly log: Log
  readonly clock: Clock
  readonly random: Random
  /** Times that tests shorten; no setting reaches them. */
  readonly tuning?: NetworkTuning
  /** Limits that a flag or a variable of this start set: they win over what was set at run time. */
  readonly givenLimits?: ReadonlySet<string>
}

/**
 * Start a node on its data folder.
 *
 * @throws MegatorrentError of kind config (data folder in use, port taken, keys unreadable),
 *   auth (wrong passphrase) or storage. What was opened until then is closed again.
 */
export async function startNode(config: Config, deps: NodeDeps): Promise<RunningNode> {
  const { clock, random, log } = deps
  const closers: Closers = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    const startedAtMs = clock.monotonicMs()
    const { keystore, state, runner, store, claims, collector } = await openDataFolder(config, deps, closers)
    const network = await openNetwork({
      config,
      state,
      store,
      nodeSeed: keystore.nodeSeed(),
      publisherKeys: (publicKey) => channels.keysOf(publicKey),
      memoryHash: memoryHashOf(runner),
      collectBlobs: (ids) => collector.collectBlobs(ids),
      clock,
      random,
      log,
      tuning: deps.tuning ?? {},
      givenLimits: deps.givenLimits ?? new Set(),
    })
    closers.push(() => network.close())
    const heads = new HeadLog(state.releases, clock, log.child('heads'))
    const { discovery, joinSwarm, addressesOf } = network
    const isSafe = network.identity.mode === 'safe'
    const statedClock = isSafe ? hourClock(clock) : clock
    const slotSets = new SlotSets({
      ...{ table: state.slotSets, runner, clock, log: log.child('slots') },
      publisherKeys: (publicKey) => channels.keysOf(publicKey),
      days: deps.tuning?.slotSetDays,
    })
    const sessions = new ChannelSessions({
      joinSwarm,
      heads,
      slotSets,
      store,
      discovery,
      log: log.child('channels'),
      onServed: (publicKey, manifest) => network.keeping?.serve(publicKey, manifest),
      onUnpublished: (publicKey) => {
        network.keeping?.serve(publicKey, null)
        void collector.collectChannel(publicKey)
      },
    })
    closers.push(() => sessions.closeAll())
    const linkOf = (publicKey: Uint8Array, readKey: Uint8Array | null): string =>
      linkTo(publicKey, readKey, addressesOf, network.keepers)
    const channels: ChannelsApi = new ChannelsApi({
      state,
      store,
      keystore,
      sessions,
      publisher: new Publisher({
        state,
        store,
        discovery,
        clock,
        log: log.child('publish'),
        statedClock,
        addressesOf,
        hidesAddresses: isSafe,
      }),
      statedClock,
      linkTo: linkOf,
      dataDir: config.dataDir,
      canPut: network.canPut,
      clock,
      random,
      log: log.child('channels'),
    })
    closers.push(() => channels.close())
    const subscriptions = new SubscriptionsApi({
      config,
      state,
      store,
      sessions,
      heads,
      collector,
      claims,
      clock,
      random,
      log: log.child('subscriptions'),
      isPublishedHere: (publicKey) => isPublishedHere(state, publicKey),
      onRemoved: (publicKey) => bundles.forget(publicKey),
    })
    closers.push(() => subscriptions.close())
    const bundles: BundlesApi = new BundlesApi({
      ...{ state, store, runner, heads, slotSets, discovery, collector, subscriptions, clock },
      ownSessionOf: (publicKey) => channels.sessionOf(publicKey),
      linkTo: linkOf,
      canPut: network.canPut,
      stopKeeping: (publicKey) => network.keeping?.serve(publicKey, null),
      log: log.child('bundles'),
    })
    closers.push(() => bundles.close())
    channels.start()
    subscriptions.start()
    bundles.start()
    network.started()
    const files = new FilesApi({
      sessionOf: (key) => channels.sessionOf(key) ?? subscriptions.sessionOf(key),
      clock,
    })
    const accessKeys = new AccessKeys({ table: state.accessKeys, clock, random })
    const tokens = new Tokens({ table: state.tokens, clock, random })
    const own = { config, store, heads, collector, clock, startedAtMs }
    const parts = { ...own, network, sessions, channels, bundles, subscriptions, files, accessKeys, tokens }
    return running(parts, close)
  } catch (error) {
    await close()
    throw error
  }
}

function running(parts: Parameters<typeof createNodeApi>[0], close: () => Promise<void>): RunningNode {
  let closing: Promise<void> | null = null
  let onClosed: () => void = () => {}
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve
  })
  return {
    api: createNodeApi(parts),
    info: nodeInfo(parts),
    reload: (config) => {
      const { limits, swarms } = parts.network
      const changed = limits.reload(config)
      swarms.shed(limits.now.maxPeers, parts.clock.monotonicMs())
      return changed
    },
    close: () => {
      closing ??= close().finally(onClosed)
      return closing
    },
    closed,
  }
}
