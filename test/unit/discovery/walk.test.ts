import { describe, expect, it } from 'vitest'
import { compareBytes } from '../../../src/base/bytes.ts'
import { seededRandom, shuffle } from '../../../src/base/random.ts'
import { Walk, type WalkLimits, type WalkNode } from '../../../src/discovery/walk.ts'

const TARGET = new Uint8Array(20)
const OWN_ID = new Uint8Array(20).fill(0xff)
const LIMITS: WalkLimits = { closest: 4, parallel: 3, maxQueries: 20, maxNodes: 50, perAnswer: 8 }

/** A node at a distance from the target: its id is that number. */
function at(distance: number, host = `10.0.${distance >> 8}.${distance & 255}`, port = 6881): WalkNode {
  const id = new Uint8Array(20)
  new DataView(id.buffer).setUint32(16, distance)
  return { id, host, port }
}

const newWalk = (limits: Partial<WalkLimits> = {}, sharesHost = false): Walk =>
  new Walk(TARGET, OWN_ID, { ...LIMITS, ...limits }, () => sharesHost)

const distances = (nodes: readonly WalkNode[]): number[] =>
  nodes.map(({ id }) => new DataView(id.buffer).getUint32(16))

describe('a walk', () => {
  it('of nobody is done at once', () => {
    const walk = newWalk()
    expect([walk.isDone, walk.next(), walk.nearest()]).toEqual([true, [], []])
  })

  it('asks the nearest first, few at a time', () => {
    const walk = newWalk()
    for (const distance of [50, 10, 40, 20, 30]) walk.add(at(distance))
    const first = walk.next()
    expect(distances(first)).toEqual([10, 20, 30])
    expect(walk.next()).toEqual([])
    walk.answered(first[0] as WalkNode, (first[0] as WalkNode).id)
    expect(distances(walk.next())).toEqual([40])
    // The fifth is beyond the four nearest.
    walk.answered(first[1] as WalkNode, (first[1] as WalkNode).id)
    expect(walk.next()).toEqual([])
  })

  it('ends when the nearest have answered, with them', () => {
    const walk = newWalk()
    for (const distance of [1, 2, 3, 4, 5, 6]) walk.add(at(distance))
    while (!walk.isDone) for (const node of walk.next()) walk.answered(node, node.id)
    expect(distances(walk.nearest())).toEqual([1, 2, 3, 4])
    expect([walk.asked, walk.replied]).toEqual([4, 4])
  })

  it('puts the next nearest in the place of one that is silent, and does not ask that again', () => {
    const walk = newWalk()
    for (const distance of [1, 2, 3, 4, 5]) walk.add(at(distance))
    while (!walk.isDone) {
      for (const node of walk.next()) {
        if (distances([node])[0] === 2) walk.failed(node)
        else walk.answered(node, node.id)
      }
    }
    expect(distances(walk.nearest())).toEqual([1, 3, 4, 5])
    walk.add(at(2))
    expect(walk.isDone).toBe(true)
  })

  it('asks another in the place of one that takes long, and takes its answer when it comes', () => {
    const walk = newWalk({ parallel: 1 })
    for (const distance of [1, 2, 3, 4]) walk.add(at(distance))
    const [slow] = walk.next() as [WalkNode]
    expect(walk.next()).toEqual([])
    walk.stalled(slow)
    walk.stalled(slow)
    const [second] = walk.next() as [WalkNode]
    expect(walk.next()).toEqual([])
    walk.answered(slow, slow.id)
    expect(walk.next()).toEqual([])
    walk.answered(second, second.id)
    while (!walk.isDone) for (const node of walk.next()) walk.answered(node, node.id)
    expect(distances(walk.nearest())).toEqual([1, 2, 3, 4])
  })

  it('goes on with what it hears, and takes few nodes of one answer: the nearest', () => {
    const walk = newWalk({ perAnswer: 3 })
    walk.add(at(1_000))
    const [start] = walk.next() as [WalkNode]
    walk.heard([at(9), at(5), at(7), at(8), at(6)])
    walk.answered(start, start.id)
    expect(distances(walk.next())).toEqual([5, 6, 7])
    expect(walk.isDone).toBe(false)
  })

  it('never asks itself', () => {
    const walk = newWalk()
    walk.add({ id: OWN_ID, host: '10.0.0.1', port: 1 })
    expect(walk.next()).toEqual([])
  })
})

describe('liars', () => {
  it('cannot lead a walk on for ever', () => {
    const walk = newWalk({ maxQueries: 20 })
    let distance = 2 ** 30
    walk.add(at(distance, '10.9.9.9'))
    let asked = 0
    while (!walk.isDone) {
      for (const node of walk.next()) {
        asked++
        // Each answer names nodes that are nearer still.
        walk.heard(
          Array.from({ length: 8 }, () => at(--distance, `11.${asked}.${distance & 255}.${distance % 251}`)),
        )
        walk.answered(node, node.id)
      }
    }
    expect(asked).toBe(20)
    expect(walk.nearest().length).toBe(4)
  })

  it('cannot have it remember more nodes than its bound, and the nearest stay', () => {
    const walk = newWalk({ maxNodes: 10 })
    for (let distance = 100; distance > 0; distance--) walk.add(at(distance))
    for (let distance = 101; distance < 200; distance++) walk.add(at(distance))
    const seen: number[] = []
    while (!walk.isDone) {
      for (const node of walk.next()) {
        seen.push(...distances([node]))
        walk.failed(node)
      }
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('have one voice for each host, and each port where hosts are shared', () => {
    const flood = (sharesHost: boolean): number => {
      const walk = newWalk({ parallel: 100, closest: 100, maxQueries: 100 }, sharesHost)
      for (let port = 1; port <= 30; port++) walk.add(at(port, '10.0.0.1', port))
      return walk.next().length
    }
    expect([flood(false), flood(true)]).toEqual([1, 30])
  })

  it('cannot hide a node by naming a far id for its address', () => {
    const walk = newWalk()
    for (const distance of [10, 11, 12, 13]) walk.add(at(distance))
    walk.add(at(9_999, '10.1.1.1'))
    walk.add(at(3, '10.1.1.1'))
    expect(distances(walk.next())[0]).toBe(3)
  })

  it('cannot make a node nearer than it shows itself to be', () => {
    const walk = newWalk()
    for (const distance of [10, 11, 12, 13]) walk.add(at(distance))
    walk.add(at(1, '10.1.1.1'))
    while (!walk.isDone) {
      for (const node of walk.next()) walk.answered(node, node.host === '10.1.1.1' ? at(500).id : node.id)
    }
    expect(distances(walk.nearest())).toEqual([10, 11, 12, 13])
  })
})

describe('in a network', () => {
  it('of 200 nodes with some dead, a walk finds the nearest that live from one that it knows', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = seededRandom(seed)
      const nodes = Array.from({ length: 200 }, (_, i) => ({
        id: random.bytes(20),
        host: `10.${seed}.${i >> 8}.${i & 255}`,
        port: 6881,
        isDead: random.fraction() < 0.2,
      }))
      const nearTo = (target: Uint8Array, of: typeof nodes): typeof nodes => {
        const xor = (id: Uint8Array): Uint8Array => id.map((byte, i) => byte ^ (target[i] ?? 0))
        return [...of].sort((a, b) => compareBytes(xor(a.id), xor(b.id)))
      }
      // Each knows its neighbours and some others, as tables of the DHT do.
      const tables = new Map(
        nodes.map((node) => [
          node.host,
          [...nearTo(node.id, nodes).slice(1, 21), ...shuffle(random, [...nodes]).slice(0, 30)],
        ]),
      )
      const target = random.bytes(20)
      const walk = new Walk(
        target,
        OWN_ID,
        { closest: 10, parallel: 6, maxQueries: 120, maxNodes: 256, perAnswer: 10 },
        () => false,
      )
      walk.add(nodes.find(({ isDead }) => !isDead) as WalkNode)
      while (!walk.isDone) {
        for (const node of walk.next()) {
          const real = nodes.find(({ host }) => host === node.host)
          if (real === undefined || real.isDead) walk.failed(node)
          else {
            walk.heard(nearTo(target, tables.get(node.host) ?? []).slice(0, 8))
            walk.answered(node, real.id)
          }
        }
      }
      const living = nearTo(
        target,
        nodes.filter(({ isDead }) => !isDead),
      ).slice(0, 10)
      // One of the eight nearest may be known to none of those that were asked.
      const found = walk.nearest().map(({ host }) => host)
      const missed = living.slice(0, 8).filter(({ host }) => !found.includes(host))
      expect(missed.length).toBeLessThanOrEqual(1)
      expect(found.slice(0, 3)).toEqual(living.slice(0, 3).map(({ host }) => host))
      expect(walk.asked).toBeLessThan(60)
    }
  })
})
