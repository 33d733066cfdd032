/**
 * The operations of the DHT, built on walks: read and write an item, announce and look up peers.
 *
 * Every candidate that any node returns is kept, so that an older value, or another under
 * the same seq, is seen by who reads. Writing reads first, never uses cas (two nodes that
 * disagree would then stay apart, and report success), and counts nodes one by one.
 *
 * What nodes say is believed only as far as a signature goes; peers are hints.
 *
 * @module discovery/dht-operations
 */
import { assertBytes, equalBytes, toHex } from '../base/bytes.ts'
import { DHT_MAX_PEERS_PER_LOOKUP } from '../base/limits.ts'
import { TOPIC_BYTES } from '../wire/constants.ts'
import { formatIpv4 } from '../wire/ip.ts'
import { isValidItem, itemTarget, type MutableItem } from '../wire/mutable-item.ts'
import type {
  DhtAddress,
  DhtCandidate,
  DhtGetResult,
  DhtOptions,
  DhtPutResult,
  DhtUpdateResult,
} from './dht.ts'
import type { DhtAnswer, DhtReply, DhtWalker, WalkAnswer, WalkResult } from './dht-walker.ts'

/** KRPC error of a node whose seq is not below ours (BEP 44). */
const ERROR_SEQ_NOT_HIGHER = 302

interface Read {
  readonly result: DhtGetResult
  readonly walk: WalkResult
  /** What each of the nearest nodes holds, if its value is valid; in the order of `walk.nearest`. */
  readonly held: readonly (MutableItem | null)[]
}

export async function getMutable(
  walker: DhtWalker,
  publicKey: Uint8Array,
  options: DhtOptions = {},
): Promise<DhtGetResult> {
  return walker.operation(options, async (signal, deadlineMs) => {
    return (await readItem(walker, publicKey, signal, deadlineMs)).result
  })
}

export async function putMutable(
  walker: DhtWalker,
  item: MutableItem,
  options: DhtOptions = {},
): Promise<DhtPutResult> {
  checkPuttable(item, item.publicKey)
  const { put } = await updateMutable(walker, item.publicKey, () => item, options)
  return put ?? NOTHING_PUT
}

export async function updateMutable(
  walker: DhtWalker,
  publicKey: Uint8Array,
  decide: (read: DhtGetResult) => MutableItem | null,
  options: DhtOptions = {},
): Promise<DhtUpdateResult> {
  return walker.operation(options, async (signal, deadlineMs) => {
    const read = await readItem(walker, publicKey, signal, deadlineMs)
    const item = decide(read.result)
    if (item === null) return { read: read.result, put: null }
    checkPuttable(item, publicKey)
    return { read: read.result, put: await writeItem(walker, item, read, signal, deadlineMs) }
  })
}

const NOTHING_PUT: DhtPutResult = { storedBy: 0, alreadyHeldBy: 0, asked: 0, newer: null }

function checkPuttable(item: MutableItem, publicKey: Uint8Array): void {
  if (item.salt !== undefined && item.salt.length > 0) throw new TypeError('"item" expected no salt')
  if (!equalBytes(item.publicKey, publicKey)) throw new TypeError('"item" expected the key that was read')
  if (!isValidItem(item)) throw new TypeError('"item" expected a valid signature')
}

async function writeItem(
  walker: DhtWalker,
  item: MutableItem,
  { result, walk, held }: Read,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<DhtPutResult> {
  const highest = result.candidates[0]
  if (highest !== undefined && highest.item.seq > item.seq) return { ...NOTHING_PUT, newer: highest.item }
  // Holders are written to as well: that renews the value at nodes which would forget it.
  const targets = walk.nearest.flatMap(({ node, reply }, index) =>
    reply.token === null ? [] : [{ node, token: reply.token, held: held[index] ?? null }],
  )
  const answers = await walker.askAll(
    targets.map((target) => target.node),
    (index) => ({
      method: 'put',
      token: targets[index]?.token ?? new Uint8Array(0),
      value: item.value,
      mutable: { ...item, salt: null, cas: null },
    }),
    signal,
    deadlineMs,
  )
  let storedBy = 0
  let alreadyHeldBy = 0
  for (const [index, answer] of answers.entries()) {
    if (answer.kind === 'reply') storedBy++
    else if (isStillHeld(answer, item, targets[index]?.held ?? null)) alreadyHeldBy++
  }
  return { storedBy, alreadyHeldBy, asked: targets.length, newer: null }
}

/** A node refuses what it has: that counts, if it had shown this very value. */
function isStillHeld(answer: DhtAnswer, item: MutableItem, held: MutableItem | null): boolean {
  if (answer.kind !== 'error' || answer.code !== ERROR_SEQ_NOT_HIGHER || held === null) return false
  return held.seq === item.seq && equalBytes(held.value, item.value)
}

export async function announce(
  walker: DhtWalker,
  infohash: Uint8Array,
  port: number,
  options: DhtOptions & { readonly onPeer?: (peer: DhtAddress) => void } = {},
): Promise<{ readonly storedBy: number }> {
  return walker.operation(options, async (signal, deadlineMs) => {
    const walk = await walkPeers(walker, infohash, options.onPeer ?? ignorePeer, signal, deadlineMs)
    const targets = walk.result.nearest.flatMap(({ node, reply }) =>
      reply.token === null ? [] : [{ node, token: reply.token }],
    )
    const answers = await walker.askAll(
      targets.map((target) => target.node),
      (index) => ({
        method: 'announce_peer',
        infohash,
        port,
        impliedPort: false,
        token: targets[index]?.token ?? new Uint8Array(0),
      }),
      signal,
      deadlineMs,
    )
    return { storedBy: answers.filter((answer) => answer.kind === 'reply').length }
  })
}

export async function lookup(
  walker: DhtWalker,
  infohash: Uint8Array,
  onPeer: (peer: DhtAddress) => void,
  options: DhtOptions = {},
): Promise<{ readonly peers: number }> {
  return walker.operation(options, async (signal, deadlineMs) => {
    return { peers: (await walkPeers(walker, infohash, onPeer, signal, deadlineMs)).peers }
  })
}

function ignorePeer(): void {}

async function walkPeers(
  walker: DhtWalker,
  infohash: Uint8Array,
  onPeer: (peer: DhtAddress) => void,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<{ readonly result: WalkResult; readonly peers: number }> {
  assertBytes(infohash, TOPIC_BYTES, 'infohash')
  const seen = new Set<string>()
  const take = ({ reply }: Pick<WalkAnswer, 'reply'>): void => {
    for (const compact of reply.peers) {
      const peer = peerOf(compact)
      const key = `${peer.host}:${peer.port}`
      if (peer.port === 0 || seen.has(key) || seen.size >= DHT_MAX_PEERS_PER_LOOKUP) continue
      seen.add(key)
      onPeer(peer)
    }
  }
  const query = { method: 'get_peers', infohash } as const
  const own = walker.ownReply(query)
  if (own !== null) take({ reply: own })
  const result = await walker.walk(infohash, query, take, signal, deadlineMs)
  return { result, peers: seen.size }
}

function peerOf(compact: Uint8Array): DhtAddress {
  return { host: formatIpv4(compact.subarray(0, 4)), port: ((compact[4] ?? 0) << 8) | (compact[5] ?? 0) }
}

async function readItem(
  walker: DhtWalker,
  publicKey: Uint8Array,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<Read> {
  const target = itemTarget(publicKey)
  // By seq, value and signature: each is verified once, however many nodes give it. A node gives one at most.
  const verdicts = new Map<string, MutableItem | null>()
  const judge = (reply: DhtReply): MutableItem | null => {
    const item = itemOf(reply, publicKey)
    if (item === null) return null
    const key = `${item.seq} ${toHex(item.signature)} ${toHex(item.value)}`
    const known = verdicts.get(key)
    if (known !== undefined) return known
    const verdict = isValidItem(item) ? item : null
    verdicts.set(key, verdict)
    return verdict
  }
  const query = { method: 'get', target } as const
  const walk = await walker.walk(target, query, ({ reply }) => judge(reply), signal, deadlineMs)
  // A candidate without a holder that others could ask, unless one has it too.
  const own = walker.ownReply(query)
  if (own !== null) judge(own)
  const held = walk.nearest.map(({ reply }) => judge(reply))
  const candidates: DhtCandidate[] = []
  let refused = 0
  for (const item of verdicts.values()) {
    if (item === null) refused++
    else candidates.push({ item, holders: held.filter((other) => other === item).length })
  }
  candidates.sort((a, b) => b.item.seq - a.item.seq || b.holders - a.holders)
  const { asked, replied } = walk
  return { result: { candidates, refused, asked, replied, nearest: walk.nearest.length }, walk, held }
}

/** The item in a reply, if it has one of that key; not verified. Copies: a Buffer's own `slice` would be a view. */
function itemOf(reply: DhtReply, publicKey: Uint8Array): MutableItem | null {
  const { value, mutable } = reply
  if (value === null || mutable === null || !equalBytes(mutable.publicKey, publicKey)) return null
  return {
    publicKey: new Uint8Array(publicKey),
    seq: mutable.seq,
    value: new Uint8Array(value),
    signature: new Uint8Array(mutable.signature),
  }
}
