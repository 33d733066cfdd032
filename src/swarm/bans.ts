/**
 * Who is not talked to, and until when (STATE.md, "Bans").
 *
 * A ban is tied to what a peer proved (its node key) or to what we chose (the
 * address that we dialled), never to what others say. An inbound address is
 * banned for minutes only, since it may be shared; one of this machine never.
 *
 * @module swarm/bans
 */
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { BAN_MS, INBOUND_BAN_MS, MAX_BANS } from '../base/limits.ts'
import { hostGroup } from '../transport/host-group.ts'
import { type Address, formatAddress } from '../wire/address.ts'
import { parseIpv4, parseIpv6 } from '../wire/ip.ts'
import type { PeerInit } from './peer.ts'

export interface Ban {
  /** `node:<hex>`, `address:<text>` or `ip:<host>`. */
  readonly subject: string
  /** Wall time, ms. */
  readonly until: number
  readonly reason: string
}

/** Where bans outlive the process. Given by the node, over its database. */
export interface BanStore {
  load(): Iterable<Ban>
  save(ban: Ban): void
  remove(subject: string): void
}

/** The end of time as Date has it: what the user banned stays banned. */
const FOR_GOOD = 8_640_000_000_000_000

/** What identifies a peer for bans. */
export type Bannable = Pick<PeerInit, 'remoteNodeKey' | 'address' | 'remote'>

export class Bans {
  readonly #clock: Clock
  readonly #store: BanStore
  readonly #bans = new Map<string, Ban>()

  constructor(clock: Clock, store: BanStore) {
    this.#clock = clock
    this.#store = store
    for (const ban of store.load()) this.#bans.set(ban.subject, ban)
  }

  /** Is anything banned that identifies this peer? */
  isPeerBanned(peer: Bannable): boolean {
    return subjectsOf(peer).some((subject) => this.#isBanned(subject))
  }

  isAddressBanned(address: Address): boolean {
    return this.#isBanned(addressSubject(address))
  }

  /** False data. */
  banPeer(peer: Bannable, reason: string): void {
    for (const subject of subjectsOf(peer)) {
      const durationMs = subject.startsWith('ip:') ? INBOUND_BAN_MS : BAN_MS
      this.#ban({ subject, until: this.#clock.now() + durationMs, reason })
    }
  }

  /** The user's word: until the user lifts it. */
  banNode(nodeKey: Uint8Array): void {
    this.#ban({ subject: nodeSubject(nodeKey), until: FOR_GOOD, reason: 'banned by the user' })
  }

  /** @returns whether there was a ban. */
  liftNode(nodeKey: Uint8Array): boolean {
    const wasBanned = this.#isBanned(nodeSubject(nodeKey))
    this.#lift(nodeSubject(nodeKey))
    return wasBanned
  }

  list(): Ban[] {
    return [...this.#bans.values()].filter((ban) => ban.until > this.#clock.now())
  }

  #isBanned(subject: string): boolean {
    const ban = this.#bans.get(subject)
    if (ban === undefined) return false
    if (ban.until > this.#clock.now()) return true
    this.#lift(subject)
    return false
  }

  #ban(ban: Ban): void {
    const known = this.#bans.get(ban.subject)
    if (known !== undefined && known.until >= ban.until) return
    this.#bans.set(ban.subject, ban)
    this.#store.save(ban)
    if (this.#bans.size <= MAX_BANS) return
    const first = [...this.#bans.values()].reduce((a, b) => (b.until < a.until ? b : a))
    this.#lift(first.subject)
  }

  #lift(subject: string): void {
    if (this.#bans.delete(subject)) this.#store.remove(subject)
  }
}

function subjectsOf({ remoteNodeKey, address, remote }: Bannable): string[] {
  const subjects: string[] = []
  if (remoteNodeKey !== null) subjects.push(nodeSubject(remoteNodeKey))
  if (address !== null) subjects.push(addressSubject(address))
  else if (isIpOfOthers(remote.host)) subjects.push(`ip:${hostGroup(remote.host)}`)
  return subjects
}

function nodeSubject(nodeKey: Uint8Array): string {
  return `node:${toHex(nodeKey)}`
}

/** With whatever node key it was given: the one that answered there is banned besides. */
function addressSubject(address: Address): string {
  return `address:${formatAddress(address)}`
}

const LOOPBACK_IPV4 = 127

/** Behind loopback are all users of this machine, and all who come through an onion service or a tunnel. */
function isIpOfOthers(host: string): boolean {
  const ipv4 = parseIpv4(host)
  if (ipv4 !== null) return ipv4[0] !== LOOPBACK_IPV4
  const ipv6 = parseIpv6(host.split('%', 1)[0] ?? '')
  if (ipv6 === null) return false
  return !ipv6.every((byte, index) => byte === (index === ipv6.length - 1 ? 1 : 0))
}
