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
import { hostGroup, isIpOfOthers } from '../transport/host-group.ts'
import { type Address, formatAddress } from '../wire/address.ts'
import type { PeerInit } from './peer.ts'

export interface Ban {
  /** `node:<hex>`, `address:<text>` or `ip:<host>`; behind `<scope>/` for a ban that holds there alone. */
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
export const FOR_GOOD = 8_640_000_000_000_000

/** What identifies a peer for bans. */
export type Bannable = Pick<PeerInit, 'remoteNodeKey' | 'address' | 'remote'>

/** What a swarm asks of bans, and tells. */
export type SwarmBans = Pick<Bans, 'isPeerBanned' | 'isAddressBanned' | 'banPeer'>

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
    this.#banAll(subjectsOf(peer), reason)
  }

  /**
   * For one of several swarms that others must not find to be one node's: who told falsehoods in one of them is
   * banned there alone, or he would see by it which others are ours. What the user banned is banned in all.
   *
   * @param scope - names the swarm: text without a slash.
   */
  within(scope: string): SwarmBans {
    const isBanned = (subject: string): boolean =>
      this.#isBanned(`${scope}/${subject}`) || this.#bans.get(subject)?.until === FOR_GOOD
    return {
      isPeerBanned: (peer) => subjectsOf(peer).some(isBanned),
      isAddressBanned: (address) => isBanned(addressSubject(address)),
      banPeer: (peer, reason) =>
        this.#banAll(
          subjectsOf(peer).map((subject) => `${scope}/${subject}`),
          reason,
        ),
    }
  }

  /** The user's word: until the user lifts it. */
  banNode(nodeKey: Uint8Array): void {
    this.#ban({ subject: nodeSubject(nodeKey), until: FOR_GOOD, reason: 'banned by the user' })
  }

  /** With the bans of its addresses that were made together with it. @returns whether there was a ban. */
  liftNode(nodeKey: Uint8Array): boolean {
    return this.#liftWhere((subject) => bare(subject) === nodeSubject(nodeKey))
  }

  /** @param text - as `readSubject` shows it. @returns whether there was a ban. */
  liftAddress(text: string): boolean {
    return this.#liftWhere((subject) => readSubject(subject).address === text)
  }

  list(): Ban[] {
    return [...this.#bans.values()].filter((ban) => ban.until > this.#clock.now())
  }

  #banAll(subjects: readonly string[], reason: string): void {
    const now = this.#clock.now()
    for (const subject of subjects) this.#ban({ subject, until: now + durationOf(subject), reason })
  }

  #isBanned(subject: string): boolean {
    const ban = this.#bans.get(subject)
    if (ban === undefined) return false
    if (ban.until > this.#clock.now()) return true
    this.#lift(subject)
    return false
  }

  #liftWhere(isMeant: (subject: string) => boolean): boolean {
    const meant = this.list().filter(({ subject }) => isMeant(subject))
    for (const { subject } of meant) this.#liftEvent(subject)
    return meant.length > 0
  }

  /** One falsehood bans a node and its address; who lifts one of these bans means both. */
  #liftEvent(subject: string): void {
    const ban = this.#bans.get(subject)
    if (ban === undefined) return
    const eventOf = ({ subject: name, until, reason }: Ban): string => `${until - durationOf(name)} ${reason}`
    const isUsers = ban.until === FOR_GOOD
    for (const other of [...this.#bans.values()]) {
      const isSame = other === ban || (!isUsers && eventOf(other) === eventOf(ban))
      if (isSame) this.#lift(other.subject)
    }
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

function durationOf(subject: string): number {
  return bare(subject).startsWith('ip:') ? INBOUND_BAN_MS : BAN_MS
}

/** Without its scope. */
function bare(subject: string): string {
  return subject.slice(subject.indexOf('/') + 1)
}

/** What a subject names, for people: a node key, or an address, host or network. */
export function readSubject(subject: string): {
  readonly nodeKey: string | null
  readonly address: string | null
} {
  const [kind = '', ...parts] = bare(subject).split(':')
  const rest = parts.join(':')
  if (kind === 'node') return { nodeKey: rest, address: null }
  const isNetwork = kind === 'ip' && /^[0-9a-f]{16}$/.test(rest)
  return { nodeKey: null, address: isNetwork ? `${rest.replace(/(....)(?=.)/g, '$1:')}::/64` : rest }
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
