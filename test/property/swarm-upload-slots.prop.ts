/** Fair upload slots: whoever asks how much, from how many connections, starves nobody. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  MAX_QUEUED_UPLOADS,
  MAX_UPLOADS,
  TRUSTED_UPLOADS_SHARE,
  UPLOAD_PATIENCE_MS,
  UPLOAD_PRESSURE_MS,
  UPLOAD_STALL_MS,
} from '../../src/base/limits.ts'
import { type Asker, UploadSlots } from '../../src/swarm/upload-slots.ts'

const BLOB = 1_048_592

const asker = (group: string, trust = 0, followsUs = false): Asker => ({ group, trust, followsUs })

/** Connections of hosts that ask again as soon as they were served, as long as they want more. */
class Demand {
  readonly slots = new UploadSlots<number>()
  readonly served = new Map<number, number>()
  readonly #left: Map<number, number>
  readonly #groups: readonly string[]

  constructor(groups: readonly string[], wants: readonly number[]) {
    this.#groups = groups
    this.#left = new Map(wants.map((count, peer) => [peer, count]))
    for (const peer of this.#left.keys()) this.#ask(peer)
  }

  #ask(peer: number): void {
    const left = this.#left.get(peer) ?? 0
    if (left <= 0) return
    this.#left.set(peer, left - 1)
    this.slots.ask(peer, asker(this.#groups[peer] as string), 0)
  }

  /** One blob is read, sent and taken at once. */
  serve(): number | null {
    const peer = this.slots.begin(0, 0)
    if (peer === null) return null
    this.slots.read(peer, true, 0)
    this.slots.taken(peer, 0)
    this.served.set(peer, (this.served.get(peer) ?? 0) + 1)
    this.#ask(peer)
    return peer
  }

  of(group: string): number {
    return this.#groups.reduce(
      (sum, name, peer) => sum + (name === group ? (this.served.get(peer) ?? 0) : 0),
      0,
    )
  }
}

const peersOf = fc.array(
  fc.record({ group: fc.constantFrom('a', 'b', 'c', 'd'), wants: fc.integer({ min: 0, max: 60 }) }),
  { minLength: 1, maxLength: 30 },
)

describe('upload slots', () => {
  it('share what there is by hosts, and by connections of one host, each up to what it wants', () => {
    fc.assert(
      fc.property(peersOf, fc.integer({ min: 1, max: 600 }), (peers, turns) => {
        const groups = peers.map(({ group }) => group)
        const demand = new Demand(
          groups,
          peers.map(({ wants }) => wants),
        )
        for (let turn = 0; turn < turns; turn++) if (demand.serve() === null) break
        const wantOf = (group: string): number =>
          peers.reduce((sum, one) => sum + (one.group === group ? one.wants : 0), 0)
        const hungry = [...new Set(groups)].filter((group) => demand.of(group) < wantOf(group))
        for (const group of hungry) {
          // Nobody has more than one turn beyond one that still waits.
          for (const other of new Set(groups)) {
            expect(demand.of(other)).toBeLessThanOrEqual(demand.of(group) + 1)
          }
          const members = peers.flatMap((one, peer) => (one.group === group ? [peer] : []))
          for (const peer of members) {
            const had = demand.served.get(peer) ?? 0
            if (had >= (peers[peer]?.wants ?? 0)) continue
            for (const other of members) {
              expect(demand.served.get(other) ?? 0).toBeLessThanOrEqual(had + 1)
            }
          }
        }
        // Nothing stands idle while somebody wants.
        const total = [...demand.served.values()].reduce((sum, count) => sum + count, 0)
        const wanted = peers.reduce((sum, { wants }) => sum + wants, 0)
        expect(total).toBe(Math.min(turns, wanted))
      }),
    )
  })

  it('hold a bounded number of blobs whatever happens, and count them right', () => {
    const step = fc.record({
      what: fc.constantFrom('ask', 'begin', 'read', 'nothing', 'taken', 'gone', 'late'),
      peer: fc.nat(80),
      trust: fc.nat(1),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600 }), fc.constantFrom(0, 50_000, 2e6), (steps, rate) => {
        const slots = new UploadSlots<number>()
        const reading: number[] = []
        const sent = new Map<number, number>()
        const room = rate === 0 ? MAX_QUEUED_UPLOADS : Math.max(2, Math.ceil((rate * 8) / BLOB))
        let nowMs = 0
        for (const { what, peer, trust } of steps) {
          nowMs += 100
          if (what === 'ask') slots.ask(peer, asker(`10.0.0.${peer % 7}`, trust), nowMs)
          if (what === 'begin') {
            const begun = slots.begin(rate, nowMs)
            if (begun !== null) reading.push(begun)
          }
          if (what === 'read' || what === 'nothing') {
            const read = reading.shift()
            if (read !== undefined) {
              slots.read(read, what === 'read', nowMs)
              if (what === 'read') sent.set(read, (sent.get(read) ?? 0) + 1)
            }
          }
          if (what === 'taken' && (sent.get(peer) ?? 0) > 0) {
            slots.taken(peer, nowMs)
            sent.set(peer, (sent.get(peer) as number) - 1)
          }
          if (what === 'gone' && !reading.includes(peer)) {
            slots.gone(peer)
            sent.delete(peer)
          }
          if (what === 'late') slots.late(nowMs)
          const held = reading.length + [...sent.values()].reduce((sum, count) => sum + count, 0)
          expect(slots.heldBlobs).toBe(held)
          expect(held).toBeLessThanOrEqual(room)
          expect(reading.length).toBeLessThanOrEqual(MAX_UPLOADS)
        }
      }),
    )
  })

  it('go first to who gave us more, then to who follows us, where all have had the same', () => {
    const slots = new UploadSlots<string>()
    slots.ask('newcomer', asker('a'), 0)
    slots.ask('reader', asker('b', 0, true), 1)
    slots.ask('giver', asker('c', 3), 2)
    slots.ask('great giver', asker('c', 9), 3)
    const order: (string | null)[] = []
    for (let turn = 0; turn < 5; turn++) {
      const peer = slots.begin(0, 9)
      order.push(peer)
      if (peer !== null) slots.read(peer, true, 9)
    }
    expect(order).toEqual(['great giver', 'reader', 'newcomer', 'giver', null])
  })

  it('keep some for those that gave us something, however many others do not read', () => {
    const slots = new UploadSlots<number>()
    for (let peer = 0; peer < 1000; peer++) slots.ask(peer, asker('a'), 0)
    let begun = 0
    for (;;) {
      const peer = slots.begin(0, 0)
      if (peer === null) break
      slots.read(peer, true, 0)
      begun++
    }
    expect(begun).toBe(MAX_QUEUED_UPLOADS * (1 - TRUSTED_UPLOADS_SHARE))
    // Those fill what is left, and no more.
    for (let peer = 5000; peer < 5100; peer++) slots.ask(peer, asker('a', 1), 1)
    for (;;) {
      const peer = slots.begin(0, 1)
      if (peer === null) break
      expect(peer).toBeGreaterThanOrEqual(5000)
      slots.read(peer, true, 1)
    }
    expect(slots.heldBlobs).toBe(MAX_QUEUED_UPLOADS)
  })
})

describe('those that do not read', () => {
  /** All places held since 0, by as many connections, and one that waits since then. */
  function full(): UploadSlots<number> {
    const slots = new UploadSlots<number>()
    const open = MAX_QUEUED_UPLOADS * (1 - TRUSTED_UPLOADS_SHARE)
    for (let peer = 0; peer < open; peer++) {
      slots.ask(peer, asker('a'), 0)
      expect(slots.begin(0, 0)).toBe(peer)
      slots.read(peer, true, 0)
      slots.look(peer, BLOB, 0)
    }
    slots.ask(999, asker('a'), 0)
    expect(slots.begin(0, 0)).toBe(null)
    return slots
  }

  it('lose their place when somebody waits, no more of them than wait, the slowest first', () => {
    const slots = full()
    slots.look(3, BLOB - 262_144, 800)
    expect(slots.stalled(0, 0, UPLOAD_STALL_MS - 1)).toEqual([])
    expect(slots.stalled(0, 0, UPLOAD_STALL_MS)).toEqual([0])
    for (let peer = 1000; peer < 1100; peer++) slots.ask(peer, asker('b'), UPLOAD_STALL_MS)
    const all = slots.stalled(0, 0, UPLOAD_STALL_MS + UPLOAD_PRESSURE_MS)
    expect(all).toHaveLength(47)
    expect(all).not.toContain(3)
    expect(slots.gone(0)).toBe(false)
    expect(slots.begin(0, 2000)).toBe(1000)
  })

  it('keep it where the line is slow for all, and while nobody waits', () => {
    const slots = full()
    // A piece of 256 KiB for each of 48 holders at 1 MB/s takes 12.6 s.
    expect(slots.stalled(0, 1e6, 45_000)).toEqual([])
    expect(slots.stalled(0, 1e6, 60_000)).toHaveLength(1)
    expect(slots.stalled(0, 1e9, 2000)).toHaveLength(1)
    expect(slots.late(UPLOAD_PATIENCE_MS)).toEqual([999])
    expect(slots.stalled(0, 1e9, 100_000)).toEqual([])
  })

  it('who was called off while it was read holds nothing', () => {
    const slots = new UploadSlots<number>()
    slots.ask(1, asker('a'), 0)
    slots.begin(0, 0)
    slots.look(1, 0, 5)
    expect(slots.heldBlobs).toBe(1)
    slots.read(1, true, 10)
    slots.look(1, 0, 11)
    expect(slots.heldBlobs).toBe(0)
  })
})
