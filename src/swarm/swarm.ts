/**
 * The swarm: all connections of the node, and what is said and fetched on them.
 *
 * This is the driver: it owns the connections and wires gossip, downloads and
 * dialling together. What it decides stands in those files and in STATE.md.
 *
 * @module swarm/swarm
 */
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { BAN_MS, INBOUND_BAN_MS, MAX_UPLOADS, SWARM_TICK_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import { ROLE_INITIATOR } from '../crypto/tags.ts'
import { Connection } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'
import type { Dialer } from '../transport/transport.ts'
import { type Address, formatPeerAddress, type PeerAddress } from '../wire/address.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { AddressSource } from './address-list.ts'
import { type Ban, type BanStore, Bans } from './bans.ts'
import { BlobSet } from './blob-set.ts'
import { type ChannelEvents, type ReleaseId, SwarmChannel } from './channel.ts'
import { Dialing, type Dialled, isSameNode } from './dialing.ts'
import { type BlobSink, Downloads, type FetchOptions } from './downloads.ts'
import { Gossip } from './gossip.ts'
import { Peer } from './peer.ts'
import type { Want } from './picker.ts'
import { RateMeter } from './rate-meter.ts'

/** Where blobs are kept and read. storage/blob-store.ts is one. */
export interface SwarmStore extends BlobSink {
  /** Sealed bytes, or null when it is not held. */
  read(id: Uint8Array): Promise<Uint8Array | null>
}

export interface SwarmDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dialer: Dialer
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly isAcceptable: (address: Address) => boolean
  readonly nodeKey: SigningKey
  readonly store: SwarmStore
  readonly bans: BanStore
  readonly maxPeers: number
}

export class Swarm {
  readonly #deps: SwarmDeps
  readonly #peers = new Set<Peer>()
  readonly #channels = new Set<SwarmChannel>()
  readonly #bans: Bans
  readonly #gossip: Gossip
  readonly #downloads: Downloads
  readonly #dialing: Dialing
  readonly #uploads = new Semaphore(MAX_UPLOADS)
  readonly download: RateMeter
  readonly upload: RateMeter
  /** Addresses that stay busy as long as the connection under another address lives. */
  readonly #whenClosed = new Map<Peer, ((well: boolean) => void)[]>()
  #timer: Timer | null = null
  #closed = false

  constructor(deps: SwarmDeps) {
    this.#deps = deps
    const { clock, random, log } = deps
    this.#bans = new Bans(clock, deps.bans)
    this.download = new RateMeter(clock)
    this.upload = new RateMeter(clock)
    this.#gossip = new Gossip({
      clock,
      random,
      log,
      channels: this.#channels,
      peers: this.#peers,
      onShared: () => {},
      onHave: () => this.#downloads.pump(),
      onFalse: (peer, why) => this.#punish(peer, why),
      onStranger: (peer) => {
        if (!peer.init.byUser) peer.connection.close('notNeeded')
      },
    })
    this.#downloads = new Downloads({
      clock,
      random,
      sink: deps.store,
      peers: this.#peers,
      onStored: (channel, index) => this.#onStored(channel, index),
      onFalse: (peer, why) => this.#punish(peer, why),
    })
    this.#dialing = new Dialing({
      ...deps,
      bans: this.#bans,
      channels: this.#channels,
      peers: this.#peers,
      onDialled: (dialled) => this.#onDialled(dialled),
    })
    this.#tick()
  }

  get peers(): ReadonlySet<Peer> {
    return this.#peers
  }

  get bans(): Bans {
    return this.#bans
  }

  /** Peers that share a channel. */
  peersOf(channel: SwarmChannel): number {
    let count = 0
    for (const peer of this.#peers) if (peer.shared.has(channel)) count++
    return count
  }

  /** Take part in a channel. */
  join(keys: ChannelKeys, events: ChannelEvents): SwarmChannel {
    const channel = new SwarmChannel(keys, events, this.#deps.clock)
    this.#channels.add(channel)
    for (const peer of this.#peers) {
      if (!peer.init.byUser) continue
      peer.expected.add(channel)
      this.#gossip.greet(peer)
    }
    return channel
  }

  leave(channel: SwarmChannel): void {
    this.#channels.delete(channel)
    for (const peer of this.#peers) {
      peer.expected.delete(channel)
      peer.shared.delete(channel)
      if (peer.expected.size === 0 && !peer.init.byUser) peer.connection.close('notNeeded')
    }
  }

  addAddresses(channel: SwarmChannel, addresses: readonly PeerAddress[], source: AddressSource): number {
    return this.#dialing.addAddresses(channel, addresses, source)
  }

  addUserAddress(address: PeerAddress): void {
    this.#dialing.addUserAddress(address)
  }

  /** A connection that a peer made to us. */
  accept(secured: Secured): void {
    const { remote } = secured.channel.stream
    const peer = this.#newPeer(secured, null, null)
    if (this.#closed) {
      peer.connection.destroy()
      return
    }
    if (this.#isBanned(peer)) {
      peer.connection.destroy()
      return
    }
    if (this.#peers.size >= this.#deps.maxPeers) {
      this.#start(peer, secured, () => {})
      peer.connection.close('tooManyConnections')
      return
    }
    this.#deps.log.debug('peer came in', { port: remote.port })
    this.#start(peer, secured, () => {})
  }

  /** The newest head that was verified: told to peers, and what we answer with. */
  setHead(channel: SwarmChannel, head: Uint8Array, slotVersion: number): void {
    channel.head = head
    channel.slotVersion = slotVersion
    this.#gossip.tellNews(channel)
  }

  /** What we hold of a release, from now on the one that HAVE is about. */
  setInventory(channel: SwarmChannel, release: ReleaseId, held: Iterable<number>): void {
    channel.release = release
    channel.held = new BlobSet()
    channel.freshlyHeld.length = 0
    for (const index of held) channel.held.add(index)
    this.#gossip.tellNews(channel)
  }

  /** One more blob of that release is held, not by way of `fetch`. */
  addHeld(channel: SwarmChannel, index: number): void {
    if (channel.held.add(index)) this.#gossip.tellHeld(channel, index)
  }

  fetch(
    channel: SwarmChannel,
    release: ReleaseId,
    wants: readonly Want[],
    options: FetchOptions,
  ): Promise<void> {
    return this.#downloads.fetch(channel, release, wants, options)
  }

  /** Ban the node of that key, and close its connections. */
  ban(nodeKey: Uint8Array): void {
    this.#bans.ban(`node:${toHex(nodeKey)}`, BAN_MS, 'banned by the user')
    for (const peer of this.#peers) {
      if (isSameNode(peer.init.remoteNodeKey, nodeKey)) peer.connection.close('banned')
    }
  }

  unban(nodeKey: Uint8Array): boolean {
    return this.#bans.lift(`node:${toHex(nodeKey)}`)
  }

  listBans(): Ban[] {
    return this.#bans.list()
  }

  /** Say goodbye and close every connection. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#dialing.stop()
    for (const peer of this.#peers) peer.connection.close('shuttingDown')
  }

  /** Close without waiting for what is queued. */
  destroy(): void {
    this.close()
    for (const peer of [...this.#peers]) peer.connection.destroy()
  }

  #tick(): void {
    this.#timer = this.#deps.clock.setTimer(() => {
      this.#dialing.tick()
      this.#downloads.pump()
      this.#tick()
    }, SWARM_TICK_MS)
  }

  #onDialled(dialled: Dialled): void {
    const { secured, channel } = dialled
    if (this.#closed) {
      secured.channel.destroy()
      return
    }
    const nodeKey = secured.remoteNodeKey
    if (isSameNode(nodeKey, this.#deps.nodeKey.publicKey)) {
      dialled.forget()
      secured.channel.destroy()
      return
    }
    const peer = this.#newPeer(secured, dialled.address, dialled.channel)
    if (this.#isBanned(peer)) {
      dialled.onEnd(false)
      peer.connection.destroy()
      return
    }
    const twin = this.#dialledTwin(nodeKey)
    if (twin !== null) {
      // The same node under another address: one connection carries both channels.
      if (channel !== null && !twin.expected.has(channel)) {
        twin.expected.add(channel)
        this.#gossip.greet(twin)
      }
      peer.connection.destroy()
      this.#whenClosed.set(twin, [...(this.#whenClosed.get(twin) ?? []), dialled.onEnd])
      return
    }
    if (channel !== null) peer.expected.add(channel)
    else for (const joined of this.#channels) peer.expected.add(joined)
    this.#start(peer, secured, dialled.onEnd)
    this.#gossip.greet(peer)
  }

  #dialledTwin(nodeKey: Uint8Array | null): Peer | null {
    for (const peer of this.#peers) {
      if (peer.direction === 'out' && isSameNode(peer.init.remoteNodeKey, nodeKey)) return peer
    }
    return null
  }

  #newPeer(secured: Secured, address: PeerAddress | null, channel: SwarmChannel | null): Peer {
    return new Peer({
      connection: new Connection(secured.channel, this.#deps.clock),
      role: secured.role,
      handshakeHash: secured.handshakeHash,
      remoteNodeKey: secured.remoteNodeKey,
      address,
      remote: secured.channel.stream.remote,
      since: this.#deps.clock.now(),
      byUser: secured.role === ROLE_INITIATOR && channel === null,
    })
  }

  #start(peer: Peer, secured: Secured, onEnd: (well: boolean) => void): void {
    this.#peers.add(peer)
    peer.connection.start(
      {
        onNotice: (notice) => {
          if (notice.type === 'hello') this.#gossip.onHello(peer, notice)
          else this.#gossip.onHave(peer, notice)
        },
        readBlob: (id) => this.#readBlob(id),
        readHead: (handle) => this.#gossip.readHead(peer, handle),
        onClose: (reason) => {
          this.#peers.delete(peer)
          this.#downloads.peerGone(peer)
          for (const end of [onEnd, ...(this.#whenClosed.get(peer) ?? [])]) end(reason === null)
          this.#whenClosed.delete(peer)
          if (isMegatorrentError(reason) && reason.kind === 'peer') {
            this.#deps.log.info('peer broke the protocol', { why: errorMessage(reason) })
          }
        },
      },
      secured.early,
    )
  }

  #readBlob(id: Uint8Array): Promise<Uint8Array | null> {
    return this.#uploads.run(async () => {
      const sealed = await this.#deps.store.read(id)
      if (sealed !== null) this.upload.add(BLOB_BYTES)
      return sealed
    })
  }

  #onStored(channel: SwarmChannel, index: number): void {
    this.download.add(BLOB_BYTES)
    this.addHeld(channel, index)
  }

  #isBanned(peer: Peer): boolean {
    return banSubjects(peer).some((subject) => this.#bans.isBanned(subject))
  }

  /** False data: banned by what it proved and by what we dialled; an inbound address only for minutes. */
  #punish(peer: Peer, why: string): void {
    for (const subject of banSubjects(peer)) {
      this.#bans.ban(subject, subject.startsWith('ip:') ? INBOUND_BAN_MS : BAN_MS, why)
    }
    this.#deps.log.warn('peer banned', { why, direction: peer.direction })
    peer.connection.destroy()
  }
}

/** What a ban of this peer is tied to. Loopback is everybody's on this machine, so never an inbound loopback host. */
function banSubjects(peer: Peer): string[] {
  const { remoteNodeKey, address, remote } = peer.init
  const subjects: string[] = []
  if (remoteNodeKey !== null) subjects.push(`node:${toHex(remoteNodeKey)}`)
  if (address !== null) subjects.push(`address:${formatPeerAddress(address)}`)
  else if (remote.host !== '' && !isLoopback(remote.host)) subjects.push(`ip:${networkOf(remote.host)}`)
  return subjects
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.')
}

/** IPv4 address, or the /64 of an IPv6 one. */
function networkOf(host: string): string {
  return host.includes(':') ? host.split(':').slice(0, 4).join(':') : host
}
