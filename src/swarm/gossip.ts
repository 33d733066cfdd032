/**
 * What connected peers tell each other of channels: HELLO with tags and newest
 * releases, and heads asked for when a tag tells of a newer one, or HAVE of another
 * release under the number of ours (PROTOCOL_FINAL.md §7.2 to §7.5). Which blobs are
 * held is in have-teller.ts.
 *
 * @module swarm/gossip
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { HEAD_PATIENCE_MS, HELLO_DEADLINE_MS, MAX_HEADS_ASKED } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { otherRole, ROLE_INITIATOR } from '../crypto/tags.ts'
import { PROTOCOL_VERSION } from '../wire/constants.ts'
import { decodeHead } from '../wire/head.ts'
import { buildHello, scanPlaces } from '../wire/hello.ts'
import type { HelloMessage } from '../wire/message.ts'
import { isContradiction, type ReleaseId, releaseOf, type SwarmChannel } from './channel.ts'
import type { Peer, SharedChannel } from './peer.ts'

export interface GossipDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly channels: ReadonlySet<SwarmChannel>
  readonly peers: ReadonlySet<Peer>
  /** A channel has been shown by both sides: it can be talked of. */
  onMutual(peer: Peer, channel: SwarmChannel): void
  /** A peer lied. */
  onFalse(peer: Peer, why: string): void
  /** A peer that we dialled for a channel of ours does not know it. */
  onStranger(peer: Peer): void
}

export class Gossip {
  readonly #deps: GossipDeps

  constructor(deps: GossipDeps) {
    this.#deps = deps
  }

  /** Send a HELLO as soon as may be, if there is something to tell or none was sent yet. */
  greet(peer: Peer): void {
    const { hello } = peer
    if (hello.tellTimer !== null || peer.connection.closed || !this.#hasNews(peer)) return
    const waitMs = hello.tellDelayMs()
    if (waitMs === 0) this.#sendHello(peer)
    else hello.tellTimer = this.#deps.clock.setTimer(() => this.#greetNow(peer), waitMs)
  }

  /** Our newest release of a channel changed: tell those that may know the channel and not the news. */
  tellNews(channel: SwarmChannel): void {
    for (const peer of this.#deps.peers) if (peer.expected.has(channel)) this.greet(peer)
  }

  /** We take part in a channel from now on: peers that were there before may know it. */
  joined(channel: SwarmChannel): void {
    for (const peer of this.#deps.peers) {
      if (peer.connection.closed) continue
      if (peer.init.role === ROLE_INITIATOR) {
        if (!peer.byUser) continue
        peer.expected.add(channel)
      } else {
        for (const hello of peer.hello.kept) this.#look(peer, hello, [channel])
      }
      this.greet(peer)
    }
  }

  /** @throws MegatorrentError of kind peer, to close the connection. */
  onHello(peer: Peer, hello: HelloMessage): void {
    if (hello.lowestVersion > PROTOCOL_VERSION || hello.highestVersion < PROTOCOL_VERSION) {
      throw new MegatorrentError('ERR_PROTOCOL', 'the peer speaks no version that we speak')
    }
    const waitMs = peer.hello.receive(hello)
    if (waitMs > 0) {
      this.#lookLater(peer, waitMs)
      return
    }
    this.#lookAtLast(peer)
    const isDialled = peer.init.role === ROLE_INITIATOR && !peer.byUser
    if (isDialled && peer.shared.size === 0) this.#deps.onStranger(peer)
  }

  /** A peer told which release its blobs are of. */
  onHave(peer: Peer, channel: SwarmChannel, { number, rootId }: ReleaseId): void {
    const shared = peer.shared.get(channel)
    if (shared === undefined) return
    const { release } = shared
    if (release?.number === number && equalBytes(release.rootId, rootId)) return
    shared.release = { number, rootId: new Uint8Array(rootId) }
    if (isWorthAsking(channel, shared)) this.#askHeads(channel)
  }

  /** The head to answer a REQUEST with: only to peers that have shown to know the channel. */
  readHead(peer: Peer, handle: Uint8Array): Uint8Array | null {
    return peer.byHandle(handle)?.head ?? null
  }

  /** Look at what has waited too long. Called about once a second. */
  tick(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const peer of this.#deps.peers) {
      if (!peer.gotHello && nowMs - peer.init.sinceMs > HELLO_DEADLINE_MS) {
        peer.connection.destroy(new MegatorrentError('ERR_TIMEOUT', 'the peer says no HELLO'))
      }
    }
    for (const channel of this.#deps.channels) if (channel.headAsked.size > 0) this.#askHeads(channel)
  }

  peerGone(peer: Peer): void {
    peer.hello.stop()
  }

  #greetNow(peer: Peer): void {
    peer.hello.tellTimer = null
    this.greet(peer)
  }

  /** Its first HELLO is due from everybody; later ones tell only of what it has not heard. */
  #hasNews(peer: Peer): boolean {
    if (peer.hello.sent === 0) return true
    for (const channel of peer.expected) {
      if (!peer.hello.isDue(channel)) continue
      const shared = peer.shared.get(channel)
      if (shared === undefined || shared.slotVersion < channel.slotVersion || !peer.hello.hasTold(channel)) {
        return true
      }
    }
    return false
  }

  #sendHello(peer: Peer): void {
    const { handshakeHash, role } = peer.init
    const { random } = this.#deps
    const { counter, channels } = peer.hello.next(peer.expected, random)
    peer.connection.notify(buildHello({ handshakeHash, role, counter }, channels, random))
    for (const channel of channels) this.#talk(peer, channel)
    this.greet(peer) // more channels than places take turns
  }

  #lookLater(peer: Peer, waitMs: number): void {
    peer.hello.lookTimer ??= this.#deps.clock.setTimer(() => {
      peer.hello.lookTimer = null
      const moreMs = peer.hello.payLook()
      if (moreMs === 0) this.#lookAtLast(peer)
      else this.#lookLater(peer, moreMs)
    }, waitMs)
  }

  #lookAtLast(peer: Peer): void {
    const last = peer.hello.kept.at(-1)
    const isInitiator = peer.init.role === ROLE_INITIATOR
    if (last !== undefined) this.#look(peer, last, isInitiator ? peer.expected : this.#deps.channels)
  }

  #look(peer: Peer, hello: HelloMessage, candidates: Iterable<SwarmChannel>): void {
    const { handshakeHash, role } = peer.init
    const context = { handshakeHash, role: otherRole(role), counter: hello.counter }
    const found = scanPlaces(hello.places, context, candidates)
    for (const { channel, slotVersion } of found) {
      const shared = peer.share(channel)
      shared.slotVersion = Math.max(shared.slotVersion, slotVersion)
    }
    // The responder speaks second: it answers what it recognised, and says nothing of the rest.
    this.greet(peer)
    for (const { channel } of found) if (peer.hello.hasTold(channel)) this.#talk(peer, channel)
  }

  /** Both sides have shown the channel: what comes now can be understood. */
  #talk(peer: Peer, channel: SwarmChannel): void {
    const shared = peer.shared.get(channel)
    if (shared === undefined) return
    if (!shared.isMutual) {
      shared.isMutual = true
      this.#deps.onMutual(peer, channel)
    }
    if (isWorthAsking(channel, shared)) this.#askHeads(channel)
  }

  /** Ask peers that told of another head; a few at a time, since most tell of the same one. */
  #askHeads(channel: SwarmChannel): void {
    const nowMs = this.#deps.clock.monotonicMs()
    let waiting = 0
    for (const sinceMs of channel.headAsked.values()) if (nowMs - sinceMs < HEAD_PATIENCE_MS) waiting++
    for (const peer of this.#deps.peers) {
      if (waiting >= MAX_HEADS_ASKED) return
      const shared = peer.shared.get(channel)
      if (!shared?.isMutual || channel.headAsked.has(peer)) continue
      if (!isWorthAsking(channel, shared)) continue
      void this.#askHead(peer, channel)
      waiting++
    }
  }

  /** Never rejects. */
  async #askHead(peer: Peer, channel: SwarmChannel): Promise<void> {
    const shared = peer.shared.get(channel)
    if (shared === undefined) return
    channel.headAsked.set(peer, this.#deps.clock.monotonicMs())
    const { slotVersion } = shared
    try {
      const head = await peer.connection.requestHead(shared.handle)
      if (this.#deps.channels.has(channel)) this.#takeHead(peer, channel, head)
    } catch (error) {
      this.#deps.log.debug('head not received', { ...named(channel), why: errorMessage(error) })
    }
    shared.askedVersion = slotVersion
    channel.headAsked.delete(peer)
    if (this.#deps.channels.has(channel)) this.#askHeads(channel)
  }

  #takeHead(peer: Peer, channel: SwarmChannel, head: Uint8Array): void {
    if (channel.head !== null && equalBytes(channel.head, head)) return
    try {
      channel.events.onHead(head)
      const release = releaseOf(decodeHead(head))
      if (channel.headRelease !== null && isContradiction(release, channel.headRelease)) {
        channel.contradicted = release.number
      }
    } catch (error) {
      // A head that the channel signed and we cannot read is the publisher's, perhaps of a later version.
      if (isMegatorrentError(error, 'ERR_HEAD_SIGNATURE')) this.#deps.onFalse(peer, 'false head')
      else this.#deps.log.warn('head not taken', { ...named(channel), why: errorMessage(error) })
    }
  }
}

/** Has it told of a head that we do not know, and not been asked for that one? */
function isWorthAsking(channel: SwarmChannel, shared: SharedChannel): boolean {
  const { headRelease, contradicted } = channel
  if (shared.slotVersion <= shared.askedVersion) return false
  if (shared.slotVersion > channel.slotVersion) return true
  if (shared.release === null || headRelease === null || headRelease.number === contradicted) return false
  return isContradiction(shared.release, headRelease)
}

function named(channel: SwarmChannel): { readonly channel: string } {
  return { channel: short(channel.keys.publicKey) }
}
