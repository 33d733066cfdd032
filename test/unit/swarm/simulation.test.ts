/**
 * Whole swarms in one process: churn and liars, from many seeds (STATE.md I1 to I5, B1, B3).
 *
 * A failing seed is replayed alone by MEGATORRENT_SWARM_SEED=n.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { type Random, randomInteger, seededRandom, shuffle } from '../../../src/base/random.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import { formatAddress } from '../../../src/wire/address.ts'
import { loops } from '../../loops.ts'
import { runChurn } from './churn.ts'
import { SimClock } from './sim-clock.ts'
import { type Following, falseBlob, SimChannel, SimNode, SimRelease } from './sim-node.ts'

const CHANNEL = new SimChannel(1)
const RELEASES = new Map([2, 3, 4].map((count) => [count, new SimRelease(count, count)]))

const ONE_SEED = process.env.MEGATORRENT_SWARM_SEED
const SEED_COUNT = loops(2, 20)
const SEEDS =
  ONE_SEED === undefined ? Array.from({ length: SEED_COUNT }, (_, seed) => seed) : [Number(ONE_SEED)]

/** Nobody should need as long, of simulated time. */
const PATIENCE_MS = 240_000
const LOOK_INTERVAL_MS = 15_000
const LOOKS = PATIENCE_MS / LOOK_INTERVAL_MS

type Role = 'publisher' | 'reader' | 'false blobs' | 'no answer' | 'not found'

interface Member {
  readonly role: Role
  readonly node: SimNode
  readonly following: Following
  isDone: boolean
  isDead: boolean
}

interface Outcome {
  readonly members: readonly Member[]
  readonly tookMs: number
  readonly unfinished: number
}

interface Shape {
  readonly nodes: number
  readonly blobs: number
  /** Do liars lie? */
  readonly lies: boolean
}

async function simulate(seed: number, shape: Shape): Promise<Outcome> {
  const random = seededRandom(seed)
  const clock = new SimClock()
  const network = new MemoryNetwork(clock, random, {
    latencyMs: randomInteger(random, 1, 80),
    lossRate: 0.02,
  })
  const release = RELEASES.get(shape.blobs) as SimRelease
  const head = CHANNEL.head(release, 1)
  const members: Member[] = []
  for (let number = 0; number < shape.nodes; number++) {
    const role = roleOf(number)
    const node = new SimNode({ clock, network, host: `10.${number}.0.1`, seed: seed * 1000 + number })
    await node.listen()
    const member: Member = {
      role,
      node,
      following: node.follow(CHANNEL, () => void fetchAll(member, release)),
      isDone: false,
      isDead: false,
    }
    if (role !== 'reader') {
      node.publish(member.following, release, head)
      if (role !== 'publisher' && shape.lies) node.store.readInstead = lieOf(role)
    }
    members.push(member)
  }
  for (const member of members) introduce(member, members, 3, random)

  const readers = members.filter(({ role }) => role === 'reader')
  const isOver = (): boolean => readers.every(({ isDone, isDead }) => isDone || isDead)
  // A third goes while the others are in the middle of it; whoever looks again finds more addresses.
  await clock.until(() => readers.some(({ node }) => node.holds(release, 1)), PATIENCE_MS)
  for (const member of shuffle(random, [...readers]).slice(0, readers.length / 3)) kill(member)
  // As with a topic: who is not done looks again, and finds some others.
  for (let round = 0; round < LOOKS && !isOver(); round++) {
    await clock.advance(LOOK_INTERVAL_MS)
    for (const member of members) if (!member.isDead) introduce(member, members, 2, random)
  }

  const unfinished = readers.filter(({ isDone, isDead }) => !isDone && !isDead).length
  const tookMs = clock.monotonicMs()
  for (const member of members) if (!member.isDead) kill(member)
  await clock.advance(200)
  expect(clock.pendingTimers, `timers left, seed ${seed}`).toBe(0)
  return { members, tookMs, unfinished }
}

function roleOf(number: number): Role {
  const special: readonly Role[] = ['publisher', 'false blobs', 'no answer', 'not found']
  return special[number] ?? 'reader'
}

function lieOf(role: Role): (id: Uint8Array) => Promise<Uint8Array | null> {
  if (role === 'false blobs') return async (id) => falseBlob(id)
  return role === 'not found' ? async () => null : () => new Promise(() => {})
}

function introduce(member: Member, members: readonly Member[], count: number, random: Random): void {
  const others = shuffle(random, [...members]).slice(0, count)
  const addresses = others.map(({ node }) => node.address)
  member.node.swarm.addAddresses(member.following.channel, addresses, 'topic')
}

async function fetchAll(member: Member, release: SimRelease): Promise<void> {
  try {
    await member.node.fetch(member.following, release, 1)
    member.isDone = true
  } catch {
    // It was killed: what is asserted is that the others are done.
  }
}

function kill(member: Member): void {
  member.isDead = true
  member.node.kill()
}

/** Whom an honest node banned. */
function bannedBy(members: readonly Member[]): Set<Role> {
  const roles = new Map<string, Role>()
  for (const { node, role } of members) {
    roles.set(`node:${toHex(node.nodeKey.publicKey)}`, role)
    roles.set(`address:${formatAddress(node.address)}`, role)
    roles.set(`ip:${node.host}`, role)
  }
  const banned = new Set<Role>()
  for (const { node } of members) {
    for (const subject of node.bans.keys()) banned.add(roles.get(subject) ?? 'reader')
  }
  return banned
}

const caught: Set<Role>[] = []

describe('a swarm with churn, a liar, a tarpit and a peer that gives nothing', () => {
  afterAll(() => {
    if (ONE_SEED === undefined) expect(caught.some((banned) => banned.has('false blobs'))).toBe(true)
  })

  it.each(SEEDS)('completes for all honest peers and bans none of them (seed %i)', async (seed) => {
    const outcome = await simulate(seed, { nodes: 10 + (seed % 2), blobs: 2 + (seed % 3), lies: true })
    const banned = bannedBy(outcome.members)
    caught.push(banned)
    expect(outcome.unfinished).toBe(0)
    expect([...banned].filter((role) => role !== 'false blobs')).toEqual([])
  })

  it('completes with 30 peers', async () => {
    const outcome = await simulate(99, { nodes: 30, blobs: 2, lies: true })
    expect(outcome.unfinished).toBe(0)
    expect([...bannedBy(outcome.members)].filter((role) => role !== 'false blobs')).toEqual([])
  })

  it('bans nobody where nobody lies', async () => {
    const outcome = await simulate(7, { nodes: 10, blobs: 3, lies: false })
    expect(outcome.unfinished).toBe(0)
    expect([...bannedBy(outcome.members)]).toEqual([])
  })
})

describe('a swarm of which half is killed, a fifth sends false blobs and a fifth never answers', () => {
  // A hundred seeds are in test/slow/swarm.test.ts.
  it('brings the release within three times the time without, and bans no honest peer', async () => {
    const clean = await runChurn(0, null)
    expect(clean.tookMs).not.toBe(null)
    const churn = await runChurn(0, clean.tookMs)
    expect(churn.killed).toBe(10)
    expect((churn.tookMs ?? Number.POSITIVE_INFINITY) / (clean.tookMs ?? 0)).toBeLessThanOrEqual(3)
    expect([...clean.banned]).toEqual([])
    expect([...churn.banned]).toEqual(['false blobs'])
  })
})
