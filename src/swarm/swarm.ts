/**
 * The swarm: all connections of the node, and what is said and fetched on them.
 *
 * This is the driver: it owns the connections and wires gossip, downloads and
 * dialling together. What these decide stands in their files and in STATE.md.
 *
 * @module swarm/swarm
 */
import type { Timer } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { GOOD_CONNECTION_MS, SWARM_TICK_MS } from '../base/limits.ts'
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import { ROLE_INITIATOR } from '../crypto/tags.ts'
import type { AddressSource } from '../discovery/peer-book.ts'
import { Connection } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'
import { WorkShare } from '../transport/work-meter.ts'
import type { PeerAddress } from '../wire/address.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import { decodeHead } from '../wire/head.ts'
import { admit } from './admission.ts'
import { Anchors } from './anchors.ts'
import type { SwarmBans } from './bans.ts'
import { type ChannelEvents, type ReleaseId, releaseOf, SwarmChannel } from './channel.ts'
import { Dialing, type Dialled, dialledTwin, idlePeer, isSameNode } from './dialing.ts'
import { paceOf } from './download-pace.ts'
import { Downloads } from './downloads.ts'
import type { FetchOptions, Wants } from './fetch.ts'
import { GatewayDesk } from './gateway-desk.ts'
import { Gossip } from './gossip.ts'
import { HaveTeller } from './have-teller.ts'
import { HelloState } from './hello-state.ts'
import { Keepers } from './keepers.ts'
import { Peer } from './peer.ts'
import { PeerExchange } from './peer-exchange.ts'
import { peerHandlers } from './peer-handlers.ts'
import { RateMeter } from './rate-meter.ts'
import { Refusals } from './refusals.ts'
import { overfull } from './send-queues.ts'
import { SetExchange, wantSet } from './set-exchange.ts'
import type { SwarmDeps, SwarmStore } from './swarm-deps.ts'
import { Uploads } from './uploads.ts'

export type { SwarmDeps, SwarmStore }

export class Swarm {
  readonly #deps: SwarmDeps
  readonly #peers = new Set<Peer>()
  readonly #channels = new Set<SwarmChannel>()
  readonly #bans: SwarmBans
  readonly #gossip: Gossip
  readonly #haves: HaveTeller
  readonly #downloads: Downloads
  readonly #dialing: Dialing
  readonly #uploads: Uploads
  readonly #work = new WorkShare()
  readonly #exchange: PeerExchange
  readonly #sets: SetExchange
  readonly #keepers: Keepers
  readonly #anchors: Anchors
  readonly download: RateMeter
  readonly upload: RateMeter
  /** Those to tell when a connection is over: the addresses that led to it. */
  readonly #whenClosed = new Map<Peer, ((wasGood: boolean) => void)[]>()
  readonly #refusals: Refusals
  #timer: Timer | null = null
  #closed = false

  constructor(deps: SwarmDeps) {
    this.#deps = deps
    const { clock, random, log } = deps
    this.#bans = deps.bans
    this.#refusals = new Refusals(clock)
    this.download = new RateMeter(clock)
    this.upload = new RateMeter(clock)
    const { store: source, uploadRate: rate, maxQueuedUploads: maxQueued } = deps
    const isForAll = (id: Uint8Array): boolean => deps.gateway?.()?.blobs?.has(id) ?? false
    this.#uploads = new Uploads({ clock, source, log, total: this.upload, rate, maxQueued, isForAll })
    this.#haves = new HaveTeller(clock, this.#peers)
    this.#gossip = new Gossip({
      clock,
      random,
      log,
      channels: this.#channels,
      peers: this.#peers,
      onMutual: (peer, channel) => {
        this.#haves.tellAll(peer, channel)
        this.#exchange.onMutual(peer, channel)
      },
      onFalse: (peer, why) => this.#punish(peer, why),
      onStranger: (peer) => peer.isKeeper || peer.connection.close('notNeeded'),
    })
    this.#downloads = new Downloads({
      clock,
      random,
      sink: deps.store,
      peers: this.#peers,
      pace: () => paceOf(deps.downloadRate?.() ?? 0, deps.maxInFlight?.()),
      onStored: (channel, release, index) => this.#onStored(channel, release, index),
      onFalse: (peer, why) => this.#punish(peer, why),
    })
    this.#anchors = new Anchors(clock, log, deps.anchors)
    this.#exchange = new PeerExchange({
      ...deps,
      channels: this.#channels,
      peers: this.#peers,
      addAddresses: (...told) => this.#dialing.addAddresses(...told),
    })
    this.#sets = new SetExchange({
      ...{ clock, log, channels: this.#channels, peers: this.#peers },
      ...{ uploads: this.#uploads, memory: deps.store.buffers },
      onFalse: (peer, why) => this.#punish(peer, why),
    })
    this.#dialing = new Dialing({
      ...deps,
      get maxPeers() {
        return deps.maxPeers
      },
      channels: this.#channels,
      peers: this.#peers,
      isCovered: (channel, known) => this.#exchange.isCovered(channel, known),
      onDialled: (dialled) => this.#onDialled(dialled),
    })
    this.#keepers = new Keepers({
      ...deps,
      peersOf: (channel) => this.peersOf(channel),
      told: (...told) => this.#downloads.told(...told),
      adopt: (secured, address) => {
        const peer = this.#newPeer(secured, address, false)
        peer.isKeeper = true
        this.#start(peer, secured, [])
        this.#gossip.greet(peer)
        return peer
      },
    })
    this.#tick()
  }

  get peers(): ReadonlySet<Peer> {
    return this.#peers
  }

  /** Is anything being fetched? */
  get isFetching(): boolean {
    return [...this.#channels].some(({ fetches }) => fetches.size > 0)
  }

  /** Blobs that were read for peers and are not taken yet: 1 MiB each. */
  get queuedUploads(): number {
    return this.#uploads.queuedBlobs
  }

  /** Peers that share a channel. */
  peersOf(channel: SwarmChannel): number {
    let count = 0
    for (const peer of this.#peers) if (peer.shared.has(channel) && !peer.connection.closed) count++
    return count
  }

  /** Take part in a channel. */
  join(keys: ChannelKeys, events: ChannelEvents): SwarmChannel {
    const channel = new SwarmChannel(keys, events, this.#deps.clock, this.#deps.random)
    this.#channels.add(channel)
    // A peer says once on a connection what it has, and we forgot it when we left: a new one has to carry that.
    for (const peer of this.#peers) if (peer.hasLeft(channel)) peer.connection.close('notNeeded')
    this.#gossip.joined(channel)
    this.#dialing.addAddresses(channel, this.#anchors.load(channel), 'anchor')
    return channel
  }

  /** Take no part in it any more: what is being fetched of it ends with ERR_ABORTED. */
  leave(channel: SwarmChannel): void {
    if (!this.#channels.delete(channel)) return
    this.#anchors.save(channel)
    this.#downloads.channelLeft(channel)
    this.#haves.forget(channel)
    this.#exchange.channelLeft(channel)
    this.#keepers.forget(channel)
    for (const peer of this.#peers) {
      if (!peer.unshare(channel) || peer.byUser || peer.expected.size > 0) continue
      peer.connection.close('notNeeded')
    }
  }

  addAddresses(channel: SwarmChannel, addresses: readonly PeerAddress[], source: AddressSource): number {
    return this.#channels.has(channel) ? this.#dialing.addAddresses(channel, addresses, source) : 0
  }

  /** Gateways that a link of the channel names: for blobs that nobody else gives. */
  addKeepers(channel: SwarmChannel, gateways: readonly PeerAddress[]): void {
    if (this.#channels.has(channel)) this.#keepers.add(channel, gateways)
  }

  addUserAddress(address: PeerAddress): void {
    this.#dialing.addUserAddress(address)
  }

  /** A connection that a peer made to us. */
  accept(secured: Secured): void {
    const { clock, maxPeers } = this.#deps
    const { remote } = secured.channel.stream
    const bannable = { remoteNodeKey: secured.remoteNodeKey, address: null, remote }
    if (this.#closed || this.#bans.isPeerBanned(bannable)) {
      secured.channel.destroy()
      return
    }
    const verdict = admit(remote.host, this.#peers, maxPeers, clock.monotonicMs())
    if (verdict === 'full') {
      this.#refusals.refuse(secured)
      return
    }
    if (verdict !== 'welcome') verdict.connection.destroy()
    this.#start(this.#newPeer(secured, null, false), secured, [])
  }

  /** The newest head that was verified: told to peers, and what we answer with. */
  setHead(channel: SwarmChannel, head: Uint8Array, slotVersion: number): void {
    channel.head = head
    channel.headRelease = releaseOf(decodeHead(head))
    channel.slotVersion = slotVersion
    this.#gossip.tellNews(channel)
  }

  /** Look for the slots that were signed ahead of the head of that hash; null: for none. */
  wantSlotSet(channel: SwarmChannel, headHash: Uint8Array | null): void {
    channel.wantedSet = headHash === null ? null : wantSet(headHash)
  }

  /**
   * What we hold of a release, from now on the one that HAVE is about. For the release that it is
   * about already, these are added to what was held.
   * null: there is none any more; nothing of the channel is fetched or given out.
   */
  setInventory(channel: SwarmChannel, release: ReleaseId | null, held: Iterable<number>): void {
    if (release !== null && channel.isCurrent(release.rootId)) {
      for (const index of held) this.addHeld(channel, index)
      return
    }
    if (release === null) this.#downloads.channelLeft(channel)
    channel.begin(release)
    for (const index of held) channel.held.add(index)
    this.#haves.forget(channel)
    this.#haves.tellEverybody(channel)
  }

  /** One more blob of that release is held, not by way of `fetch`. */
  addHeld(channel: SwarmChannel, index: number): void {
    if (channel.held.add(index)) this.#haves.tellHeld(channel, index)
  }

  /** A blob of a release is lost: when it is held again, that is news. */
  removeHeld(channel: SwarmChannel, release: ReleaseId, index: number): void {
    if (channel.isCurrent(release.rootId)) channel.held.delete(index)
  }

  /** May a connected peer have one of these blobs that are being fetched? */
  isOffered(channel: SwarmChannel, release: ReleaseId, indexes: Iterable<number>): boolean {
    return this.#downloads.isOffered(channel, release, indexes)
  }

  /** Blobs of a release from whoever has them. Errors as `Downloads.fetch`. */
  fetch(channel: SwarmChannel, release: ReleaseId, wants: Wants, options: FetchOptions): Promise<void> {
    if (!this.#channels.has(channel)) {
      return Promise.reject(new MegatorrentError('ERR_ABORTED', 'the channel was left'))
    }
    const fetching = this.#downloads.fetch(channel, release, wants, options)
    this.#keepers.fetching(channel)
    return fetching
  }

  /** Close the connections to a node that was banned. */
  dropNode(nodeKey: Uint8Array): void {
    for (const peer of this.#peers) {
      if (isSameNode(peer.init.remoteNodeKey, nodeKey)) peer.connection.close('banned')
    }
  }

  /** Say goodbye and close every connection; what is being fetched ends. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    this.#dialing.stop()
    this.#keepers.stop()
    this.#haves.stop()
    for (const peer of this.#peers) peer.connection.close('shuttingDown')
    for (const channel of [...this.#channels]) this.leave(channel)
  }

  /** Close without waiting for what is queued. */
  destroy(): void {
    this.close()
    for (const peer of [...this.#peers]) peer.connection.destroy()
    this.#refusals.destroy()
  }

  #tick(): void {
    this.#timer = this.#deps.clock.setTimer(() => {
      this.#gossip.tick()
      for (const channel of this.#channels) {
        idlePeer(channel, this.#peers, this.#deps.clock.monotonicMs())?.connection.close('notNeeded')
      }
      this.#dialing.tick()
      this.#exchange.tick()
      this.#sets.tick()
      this.#anchors.tick(this.#channels)
      this.#keepers.tick()
      this.#downloads.pump()
      for (const { connection } of overfull(this.#deps.allPeers?.() ?? this.#peers)) connection.destroy()
      this.#tick()
    }, SWARM_TICK_MS)
  }

  #onDialled({ secured, address, channel, onEnd, retire }: Dialled): void {
    const { remoteNodeKey } = secured
    const { remote } = secured.channel.stream
    const isUnwanted = this.#closed || (channel !== null && !this.#channels.has(channel))
    const isOurselves = isSameNode(remoteNodeKey, this.#deps.nodeKey.publicKey)
    if (isUnwanted || isOurselves || this.#bans.isPeerBanned({ remoteNodeKey, address, remote })) {
      secured.channel.destroy()
      if (isOurselves) retire()
      else onEnd(false)
      return
    }
    const twin = dialledTwin(this.#peers, remoteNodeKey)
    const peer = twin ?? this.#newPeer(secured, address, channel === null)
    if (channel === null) peer.byUser = true
    for (const joined of channel === null ? this.#channels : [channel]) peer.expected.add(joined)
    if (twin === null) this.#start(peer, secured, [onEnd])
    else {
      // The same node under another address: one connection carries what both were for.
      secured.channel.destroy()
      this.#whenClosed.get(twin)?.push(onEnd)
    }
    this.#gossip.greet(peer)
  }

  #newPeer(secured: Secured, address: PeerAddress | null, byUser: boolean): Peer {
    const { clock } = this.#deps
    const { role, handshakeHash, remoteNodeKey } = secured
    return new Peer(
      {
        connection: new Connection(secured.channel, clock, this.#work),
        role,
        handshakeHash,
        remoteNodeKey,
        address,
        remote: secured.channel.stream.remote,
        since: clock.now(),
        sinceMs: clock.monotonicMs(),
        hello: new HelloState(clock),
      },
      byUser && role === ROLE_INITIATOR,
    )
  }

  #start(peer: Peer, secured: Secured, onEnd: ((wasGood: boolean) => void)[]): void {
    this.#peers.add(peer)
    this.#whenClosed.set(peer, onEnd)
    this.#deps.log.debug('peer connected', { direction: peer.direction, peers: this.#peers.size })
    const parts = {
      ...{ gossip: this.#gossip, downloads: this.#downloads, uploads: this.#uploads },
      ...{ sets: this.#sets, exchange: this.#exchange, memory: this.#deps.store.buffers },
      desk: GatewayDesk.of(this.#deps.gateway?.() ?? null, secured, this.#deps.log),
      onClose: (gone: Peer, reason: unknown) => this.#onClose(gone, reason),
    }
    peer.connection.start(peerHandlers(peer, parts), secured.early)
  }

  #onClose(peer: Peer, reason: unknown): void {
    this.#peers.delete(peer)
    this.#gossip.peerGone(peer)
    this.#downloads.peerGone(peer)
    this.#uploads.peerGone(peer)
    this.#exchange.peerGone(peer)
    this.#sets.peerGone(peer)
    const lastedMs = this.#deps.clock.monotonicMs() - peer.init.sinceMs
    const isClean = !isMegatorrentError(reason) || reason.kind !== 'peer'
    const wasGood = isClean && (lastedMs > GOOD_CONNECTION_MS || peer.isSpare)
    for (const end of this.#whenClosed.get(peer) ?? []) end(wasGood)
    this.#whenClosed.delete(peer)
    if (!isClean) this.#deps.log.info('peer broke the protocol', { why: errorMessage(reason) })
  }

  #onStored(channel: SwarmChannel, release: ReleaseId, index: number): void {
    this.download.add(BLOB_BYTES)
    if (channel.isCurrent(release.rootId)) this.addHeld(channel, index)
  }

  /** False data: dropped, and banned by what it proved and by what we dialled. */
  #punish(peer: Peer, why: string): void {
    peer.connection.destroy()
    this.#deps.log.warn('peer banned', { why, direction: peer.direction })
    try {
      this.#bans.banPeer(peer.init, why)
    } catch (error) {
      this.#deps.log.error('a ban was not written down', { why: errorMessage(error) })
    }
  }
}
