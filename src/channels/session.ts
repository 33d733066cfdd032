/**
 * A channel that this node takes part in, as publisher, subscriber or both: its
 * place in the swarm, its newest head, and the network around it.
 *
 * @module channels/session
 */
import { linkSignals } from '../base/abort.ts'
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { type Log, short } from '../base/log.ts'
import type { ChannelKeys } from '../crypto/key-schedule.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { releaseOf, type SwarmChannel } from '../swarm/channel.ts'
import type { FetchOptions, Wants } from '../swarm/fetch.ts'
import type { Joined, JoinSwarm } from '../swarm/joined.ts'
import type { Swarm } from '../swarm/swarm.ts'
import type { PeerAddress } from '../wire/address.ts'
import { BLOB_ID_BYTES } from '../wire/constants.ts'
import { type Head, headHash, slotVersion } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { Link } from '../wire/uri.ts'
import type { ChannelDiscovery, Followed, FollowHooks } from './discovery.ts'
import { followLater } from './follow-later.ts'
import type { HeadCarrier, HeadLog, HeadOutcome } from './head-log.ts'
import { abortUnoffered } from './rest.ts'
import type { SetSource, SlotSets } from './slot-sets.ts'
import { LOOKUPS_A_TURN, nextTurn, Pacer } from './turns.ts'

export interface SessionDeps {
  readonly joinSwarm: JoinSwarm
  readonly heads: HeadLog
  readonly slotSets: SlotSets
  readonly store: BlobStore
  readonly discovery: ChannelDiscovery
  readonly log: Log
  /** A release of a channel of ours is served, or null: none is. */
  readonly onServed?: (publicKey: Uint8Array, manifest: Manifest | null) => void
  /** The channel has nothing published any more, and what we hold of it is garbage. */
  readonly onUnpublished?: (publicKey: Uint8Array) => void
}

export class ChannelSession {
  readonly keys: ChannelKeys
  /** Blobs, as far as they count as held in this channel: whoever decides what to fetch looks here. */
  readonly blobs: Pick<BlobStore, 'has' | 'open' | 'buffers'>
  readonly #deps: SessionDeps
  readonly #joined: Joined
  #followed: Followed
  /** Those that a link named. */
  #gateways: readonly PeerAddress[] = []
  readonly #listeners = new Set<(head: Head) => void>()
  #newest: Head | null
  /** The release that peers are told of. */
  #served: { readonly head: Head; readonly manifest: Manifest } | null = null
  /** The head whose slots signed ahead we are after, how, and what ends that. */
  #seeking: { readonly head: Head; readonly source: SetSource; readonly over: AbortController } | null = null
  #closed = false

  constructor(keys: ChannelKeys, open: boolean, deps: SessionDeps) {
    this.keys = keys
    this.#deps = deps
    this.blobs = {
      has: (id) => this.#holds(id),
      open: (id, key) => deps.store.open(id, key),
      buffers: deps.store.buffers,
    }
    this.#newest = deps.heads.newest(keys.publicKey)
    this.#joined = deps.joinSwarm(keys, {
      onHead: (head) => void this.accept(head, 'peer'),
      onSlotSet: (set) => this.#takeSlotSet(set),
      readSlotSet: (hash) => deps.slotSets.give(keys.publicKey, hash),
    })
    this.#followed = this.#follow(open)
    if (this.#newest !== null) this.#show(this.#newest)
  }

  /** Begin to look after the slots anew: our keys of the channel have come, or gone. @param open - null: gone. */
  followAgain(open: boolean | null): void {
    if (this.#closed) return
    this.isPublished = open !== null
    if (open === null) this.#deps.onServed?.(this.keys.publicKey, null)
    this.#followed.stop()
    this.#followed = this.#follow(open ?? false)
    this.#followed.useGateways(this.#gateways)
    this.seekSlotSet()
  }

  /** The head to act on, or null when none was ever seen. */
  get newest(): Head | null {
    return this.#newest
  }

  /** The release that peers are told of, when its manifest is known. */
  get served(): { readonly head: Head; readonly manifest: Manifest } | null {
    return this.#served
  }

  /** Is it a channel of ours? Who follows it is served before others that had as much. */
  set isPublished(value: boolean) {
    this.#swarmChannel.isOurs = value
  }

  /** Connected peers that share the channel. */
  get peers(): number {
    return this.#swarm.peersOf(this.#swarmChannel)
  }

  /** Of this channel on this node, or null. */
  get onionAddress(): string | null {
    return this.#joined.onionAddress
  }

  get downloadRate(): number {
    return this.#swarmChannel.download.rate
  }

  get uploadRate(): number {
    return this.#swarmChannel.upload.rate
  }

  /** Be there for others to come to, and not only go to them: for more than a look. */
  listen(): void {
    this.#joined.listen()
  }

  /** A user waits for something of it: it may be seen on the network from now on. */
  hurry(): void {
    this.#joined.quiet?.end()
  }

  /** Resolves when it may be seen on the network. */
  get mayBeSeen(): Promise<void> {
    return this.#joined.quiet?.over ?? Promise.resolve()
  }

  /** Hear of every head that becomes the newest. @returns how to stop. */
  onNews(listener: (head: Head) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Take in a head from any carrier. Durable when it returns.
   *
   * @throws MegatorrentError of kind peer when it is false.
   */
  accept(bytes: Uint8Array, carrier: HeadCarrier): HeadOutcome {
    const { head, outcome } = this.#deps.heads.accept(this.keys.publicKey, bytes, carrier)
    if (outcome === 'known') this.#deps.heads.seenAgain(head, this.keys.publicKey)
    if (outcome === 'newer' || outcome === 'refreshed') this.adopt(head)
    return outcome
  }

  /** Act on a head that is durable already: it is the newest from now on. */
  adopt(head: Head): void {
    this.#newest = head
    this.#show(head)
    for (const listener of this.#listeners) listener(head)
  }

  /** See to it that we come by the slots signed ahead of the newest head: who needs them may be new. */
  seekSlotSet(): void {
    const head = this.#newest
    if (this.#closed || head === null) return
    const { slotSets } = this.#deps
    const { publicKey } = this.keys
    const source = slotSets.sourceOf(publicKey, head)
    if (this.#seeking?.head === head && this.#seeking.source === source) return
    this.#seeking?.over.abort()
    const over = new AbortController()
    this.#seeking = { head, source, over }
    this.#swarm.wantSlotSet(this.#swarmChannel, source === 'ask' ? headHash(head.bytes) : null)
    if (source === 'sign') void slotSets.sign(publicKey, head, over.signal) // never rejects
  }

  addPeers(addresses: readonly PeerAddress[], source: 'link' | 'user'): void {
    this.#swarm.addAddresses(this.#swarmChannel, addresses, source)
  }

  /** Whom a link of the channel names: peers, and gateways for a node that has nothing better. */
  takeLink({ peers, gateways }: Pick<Link, 'peers' | 'gateways'>): void {
    this.addPeers(peers, 'link')
    if (gateways.length === 0) return
    this.#gateways = gateways
    this.#swarm.addKeepers(this.#swarmChannel, gateways)
    this.#followed.useGateways(gateways)
  }

  /** ms at most between two rounds of looking while nobody is there. */
  get lookMaxMs(): number {
    return this.#deps.discovery.lookMaxMs
  }

  /** One round of looking for heads and peers. */
  look(signal: AbortSignal): Promise<void> {
    return this.#followed.look(signal)
  }

  /** Does a blob count as held here? Of a channel of ours all do: nobody else names any. */
  #holds(id: Uint8Array): boolean {
    const { holds } = this.#joined
    return holds === null || this.#swarmChannel.isOurs ? this.#deps.store.has(id) : holds(id)
  }

  /** Which blobs of a release we hold. Pauses: a release may have two million. */
  async heldOf(manifest: Manifest): Promise<number[]> {
    const pacer = new Pacer(LOOKUPS_A_TURN)
    const held: number[] = []
    for (let index = 0; index < manifest.blobCount; index++) {
      if (this.#holds(manifest.blobId(index))) held.push(index)
      if (pacer.due()) await nextTurn()
    }
    return held
  }

  /** Tell peers which blobs of a release we hold, from now on the one that is served. */
  serve(head: Head, manifest: Manifest, held: readonly number[]): void {
    this.#served = { head, manifest }
    this.#joined.serve(manifest, held)
    if (this.#swarmChannel.isOurs) this.#deps.onServed?.(this.keys.publicKey, manifest)
    this.#swarm.setInventory(this.#swarmChannel, releaseOf(head), held)
  }

  /**
   * Fetch blobs of the release that is served again, those among `ids` that belong to it.
   *
   * @param ids - by hex. Resolves when they are held; rejects as `fetch`, with ERR_ABORTED also when no
   *   connected peer has said for VERIFY_UNOFFERED_MS that it has any of them.
   */
  async refetch(ids: ReadonlyMap<string, Uint8Array>, clock: Clock, signal: AbortSignal): Promise<void> {
    const served = this.#served
    if (served === null) return
    const { head, manifest } = served
    const missing = new Set<number>()
    for (let index = 0; index < manifest.blobCount; index++) {
      if (!ids.has(toHex(manifest.blobId(index)))) continue
      missing.add(index)
      this.#swarm.removeHeld(this.#swarmChannel, releaseOf(head), index)
    }
    if (missing.size === 0) return
    const wants = { indexes: [...missing], idOf: (index: number) => manifest.blobId(index) }
    const over = new AbortController()
    const isOffered = (): boolean => this.#swarm.isOffered(this.#swarmChannel, releaseOf(head), missing)
    void abortUnoffered(clock, isOffered, over)
    const linked = linkSignals(signal, over.signal)
    try {
      await this.fetch(head, wants, { signal: linked.signal, onStored: (index) => missing.delete(index) })
    } finally {
      linked.release()
      over.abort()
    }
  }

  /** Begin with a release of which nothing but its head is known. */
  begin(head: Head): void {
    const rootId = head.root.subarray(0, BLOB_ID_BYTES)
    this.#swarm.setInventory(this.#swarmChannel, releaseOf(head), this.#holds(rootId) ? [0] : [])
  }

  /** Fetch blobs of a release. Errors as `Downloads.fetch`. */
  fetch(head: Head, wants: Wants, options: FetchOptions): Promise<void> {
    return this.#swarm.fetch(this.#swarmChannel, releaseOf(head), wants, options)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#seeking?.over.abort()
    this.#followed.stop()
    this.#listeners.clear()
    this.#joined.leave()
  }

  get #swarm(): Swarm {
    return this.#joined.swarm
  }

  get #swarmChannel(): SwarmChannel {
    return this.#joined.channel
  }

  #follow(open: boolean): Followed {
    const swarm = this.#swarm
    const { discovery, slotSets } = this.#deps
    const { quiet } = this.#joined
    const hooks: FollowHooks = {
      newest: () => this.#newest,
      slotSet: () => (this.#newest === null ? null : slotSets.get(this.keys.publicKey, this.#newest)),
      onHead: (head) => this.#acceptFound(head),
      onPeers: (addresses) => void swarm.addAddresses(this.#swarmChannel, addresses, 'topic'),
      holders: () => swarm.peersOf(this.#swarmChannel),
    }
    const begin = (): Followed => discovery.follow(this.keys, open, hooks)
    return quiet === null || quiet.isOver ? begin() : followLater(quiet.over, begin)
  }

  /** A head from a slot may be false only by a bug, since it was verified there: never the end of a round. */
  #acceptFound(bytes: Uint8Array): void {
    if (this.#closed) return
    try {
      this.accept(bytes, 'slot')
    } catch (error) {
      this.#deps.log.warn('head of a slot refused', {
        channel: short(this.keys.publicKey),
        why: errorMessage(error),
      })
    }
  }

  /** @throws as `SlotSets.take`. */
  async #takeSlotSet(set: Uint8Array): Promise<void> {
    const seeking = this.#seeking
    if (this.#closed || seeking === null) return
    await this.#deps.slotSets.take(this.keys, seeking.head, set, seeking.over.signal)
    this.#swarm.wantSlotSet(this.#swarmChannel, null)
  }

  #show(head: Head): void {
    this.#swarm.setHead(this.#swarmChannel, head.bytes, slotVersion(head))
    this.seekSlotSet()
    if (head.isUnpublished) {
      this.#served = null
      this.#swarm.setInventory(this.#swarmChannel, null, [])
      this.#deps.onUnpublished?.(this.keys.publicKey)
    }
    const addresses = head.addresses.map((address) => ({ ...address, nodeKey: null }))
    this.#swarm.addAddresses(this.#swarmChannel, addresses, 'head')
  }
}

/**
 * Sessions by channel: opened by whoever needs one, closed when nobody does any
 * more. A channel that is published and followed on one node has one session.
 */
export class ChannelSessions {
  readonly #deps: SessionDeps
  readonly #open = new Map<string, { readonly session: ChannelSession; users: number }>()

  constructor(deps: SessionDeps) {
    this.#deps = deps
  }

  /**
   * @param open - given by who publishes the channel: is it open, with a plain slot to look after?
   * @param newest - a head that is durable, and news for a session that is there already.
   */
  acquire(keys: ChannelKeys, open?: boolean, newest: Head | null = null): ChannelSession {
    const id = toHex(keys.secret)
    const known = this.#open.get(id)
    if (known !== undefined) {
      known.users++
      if (newest !== null) known.session.adopt(newest)
      // It was followed before our key of it came.
      if (open !== undefined) known.session.listen()
      if (open !== undefined) known.session.followAgain(open)
      else known.session.seekSlotSet()
      return known.session
    }
    const session = new ChannelSession(keys, open ?? false, this.#deps)
    session.isPublished = open !== undefined
    if (open !== undefined) session.listen()
    this.#open.set(id, { session, users: 1 })
    return session
  }

  release(session: ChannelSession): void {
    const id = toHex(session.keys.secret)
    const known = this.#open.get(id)
    if (known === undefined || --known.users > 0) return
    this.#open.delete(id)
    known.session.close()
  }

  /** Fetch blobs again from peers of whatever channel has them. Resolves when all came, or none will. */
  async refetch(ids: ReadonlyMap<string, Uint8Array>, clock: Clock, signal: AbortSignal): Promise<void> {
    // Those that no channel has any more, or no peer gives, stay missing: the caller looks.
    const sessions = [...this.#open.values()].map(({ session }) => session)
    await Promise.allSettled(sessions.map((session) => session.refetch(ids, clock, signal)))
  }

  closeAll(): void {
    for (const { session } of this.#open.values()) session.close()
    this.#open.clear()
  }
}
