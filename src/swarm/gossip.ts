/**
 * What connected peers tell each other: HELLO with tags of channels and their
 * newest release, HAVE, and heads asked for when a tag tells of a newer one
 * (PROTOCOL_FINAL.md §7.2 to §7.5).
 *
 * @module swarm/gossip
 */
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { HAVE_INTERVAL_MS, MIN_HELLO_INTERVAL_MS } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { type Random, shuffle } from '../base/random.ts'
import { channelHandle, otherRole, ROLE_INITIATOR } from '../crypto/tags.ts'
import { HELLO_PLACES, MAX_HAVE_RANGES, PROTOCOL_VERSION } from '../wire/constants.ts'
import { buildPlaces, findByHandle, scanPlaces } from '../wire/hello.ts'
import type { HaveMessage, HelloMessage } from '../wire/message.ts'
import { toRanges } from './blob-set.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer, SharedChannel } from './peer.ts'

export interface GossipDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly channels: ReadonlySet<SwarmChannel>
  readonly peers: ReadonlySet<Peer>
  /** The first time that a peer shows a channel. */
  onShared(peer: Peer, channel: SwarmChannel): void
  /** A peer told of blobs that it had not told of before. */
  onHave(peer: Peer, channel: SwarmChannel): void
  /** A peer lied. */
  onFalse(peer: Peer, why: string): void
  /** A peer that we dialled for our channels knows none of them. */
  onStranger(peer: Peer): void
}

export class Gossip {
  readonly #deps: GossipDeps

  constructor(deps: GossipDeps) {
    this.#deps = deps
  }

  /** Send a HELLO now or, if one went out a moment ago, a little later. */
  greet(peer: Peer): void {
    if (peer.helloPlanned || peer.connection.closed) return
    const waitMs = peer.lastHelloMs + MIN_HELLO_INTERVAL_MS - this.#deps.clock.monotonicMs()
    if (waitMs <= 0) {
      this.#sendHello(peer)
      return
    }
    peer.helloPlanned = true
    this.#deps.clock.setTimer(() => {
      peer.helloPlanned = false
      this.#sendHello(peer)
    }, waitMs)
  }

  /** Our newest release of a channel changed: tell those that may know the channel and do not know the news. */
  tellNews(channel: SwarmChannel): void {
    for (const peer of this.#deps.peers) {
      if (!peer.expected.has(channel)) continue
      const shared = peer.shared.get(channel)
      if (shared === undefined || shared.slotVersion < channel.slotVersion) this.greet(peer)
      if (shared !== undefined) this.#tellAllHeld(peer, channel)
    }
  }

  /** We hold one more blob of the current release: told soon, with others. */
  tellHeld(channel: SwarmChannel, index: number): void {
    channel.freshlyHeld.push(index)
    if (channel.havePlanned) return
    channel.havePlanned = true
    this.#deps.clock.setTimer(() => {
      channel.havePlanned = false
      this.#flushHeld(channel)
    }, HAVE_INTERVAL_MS)
  }

  onHello(peer: Peer, hello: HelloMessage): void {
    const { handshakeHash, role } = peer.init
    const candidates = role === ROLE_INITIATOR ? peer.expected : this.#deps.channels
    const context = { handshakeHash, role: otherRole(role), counter: hello.counter }
    const isFirst = !peer.gotHello
    peer.gotHello = true
    const fresh: SwarmChannel[] = []
    for (const { channel, slotVersion } of scanPlaces(hello.places, context, candidates)) {
      const { state, isNew } = peer.share(channel)
      peer.expected.add(channel)
      state.slotVersion = Math.max(state.slotVersion, slotVersion)
      if (isNew) fresh.push(channel)
      if (slotVersion > channel.slotVersion) this.#askHead(peer, channel)
    }
    // The responder speaks second: it answers what it recognised, and says nothing of the rest.
    if (role !== ROLE_INITIATOR && (isFirst || fresh.length > 0)) this.greet(peer)
    for (const channel of fresh) {
      this.#deps.onShared(peer, channel)
      this.#tellAllHeld(peer, channel)
    }
    if (isFirst && role === ROLE_INITIATOR && peer.shared.size === 0) this.#deps.onStranger(peer)
  }

  onHave(peer: Peer, have: HaveMessage): void {
    const { handshakeHash, role } = peer.init
    const channel = findByHandle(have.handle, handshakeHash, otherRole(role), peer.shared.keys())
    const shared = channel === null ? undefined : peer.shared.get(channel)
    if (channel === null || shared === undefined) return
    const holdings = shared.holdingsFor(have.rootId)
    const picker = channel.fetch !== null && channel.isCurrent(have.rootId) ? channel.fetch.picker : null
    for (const range of have.ranges) {
      for (const fresh of holdings.addRange(range)) {
        if (picker === null) continue
        for (let index = fresh.start; index < fresh.start + fresh.length; index++)
          picker.countHolder(index, 1)
      }
    }
    this.#deps.onHave(peer, channel)
  }

  /** The head to answer a REQUEST with: only to peers that have shown to know the channel. */
  readHead(peer: Peer, handle: Uint8Array): Uint8Array | null {
    const { handshakeHash, role } = peer.init
    return findByHandle(handle, handshakeHash, otherRole(role), peer.shared.keys())?.head ?? null
  }

  /** Ask every peer that shares the channel, whatever it told: for when no slot is valid. */
  askHeads(channel: SwarmChannel): void {
    for (const peer of this.#deps.peers) {
      const shared = peer.shared.get(channel)
      if (shared !== undefined && shared.slotVersion > channel.slotVersion) this.#askHead(peer, channel)
    }
  }

  #askHead(peer: Peer, channel: SwarmChannel): void {
    const { handshakeHash, role } = peer.init
    peer.connection
      .requestHead(channelHandle(channel.tagKey, handshakeHash, role))
      .then((head) => channel.events.onHead(head))
      .catch((error: unknown) => {
        if (isMegatorrentError(error) && error.kind === 'peer' && error.code !== 'ERR_REMOTE_REFUSED') {
          this.#deps.onFalse(peer, 'false head')
        } else {
          this.#deps.log.debug('head not received', {
            channel: short(channel.keys.publicKey),
            why: errorMessage(error),
          })
        }
      })
  }

  #sendHello(peer: Peer): void {
    if (peer.connection.closed) return
    const { handshakeHash, role } = peer.init
    const { clock, random } = this.#deps
    const counter = peer.hellosSent++
    peer.lastHelloMs = clock.monotonicMs()
    // More channels than places take turns: news goes out again later, so each has its turn.
    const told = shuffle(random, [...peer.expected]).slice(0, HELLO_PLACES)
    peer.connection.notify({
      type: 'hello',
      highestVersion: PROTOCOL_VERSION,
      lowestVersion: PROTOCOL_VERSION,
      counter,
      observedAddress: null,
      places: buildPlaces({ handshakeHash, role, counter }, told, random),
    })
  }

  #tellAllHeld(peer: Peer, channel: SwarmChannel): void {
    const { release } = channel
    if (release === null || channel.held.size === 0) return
    const ranges = channel.held.ranges(MAX_HAVE_RANGES)
    this.#sendHave(peer, channel, ranges)
  }

  #flushHeld(channel: SwarmChannel): void {
    const ranges = toRanges(channel.freshlyHeld.splice(0).sort((a, b) => a - b))
    if (channel.release === null) return
    for (const peer of this.#deps.peers) {
      const shared = peer.shared.get(channel)
      if (shared === undefined || holdsAll(shared, channel, ranges)) continue
      for (let at = 0; at < ranges.length; at += MAX_HAVE_RANGES) {
        this.#sendHave(peer, channel, ranges.slice(at, at + MAX_HAVE_RANGES))
      }
    }
  }

  #sendHave(peer: Peer, channel: SwarmChannel, ranges: HaveMessage['ranges']): void {
    const { release } = channel
    if (release === null || ranges.length === 0) return
    const { handshakeHash, role } = peer.init
    peer.connection.notify({
      type: 'have',
      handle: channelHandle(channel.tagKey, handshakeHash, role),
      releaseNumber: release.number,
      rootId: release.rootId,
      ranges,
    })
  }
}

/** A peer that holds these blobs itself gains nothing by hearing that we do. */
function holdsAll(shared: SharedChannel, channel: SwarmChannel, ranges: HaveMessage['ranges']): boolean {
  const holdings = channel.release === null ? null : shared.holdings(channel.release.rootId)
  if (holdings === null) return false
  return ranges.every((range) => {
    for (let index = range.start; index < range.start + range.length; index++) {
      if (!holdings.has(index)) return false
    }
    return true
  })
}
