import { beforeEach, describe, expect, it } from 'vitest'
import { ORIGIN_FLUSH_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { BlobOrigins } from '../../../src/node/blob-origins.ts'
import type { BlobOrigin } from '../../../src/storage/tables/blob-origins-table.ts'
import { SimClock } from '../swarm/sim-clock.ts'

const idOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const ONE = idOf(101)
const TWO = idOf(102)

let clock: SimClock
let written: BlobOrigin[][]
let isFull: boolean
let origins: BlobOrigins

beforeEach(() => {
  clock = new SimClock()
  written = []
  isFull = false
  const table = {
    has: (publicKey: Uint8Array, blobId: Uint8Array) =>
      written.flat().some((row) => row.publicKey[0] === publicKey[0] && row.blobId[0] === blobId[0]),
    add: (rows: Iterable<BlobOrigin>) => {
      if (isFull) throw new Error('the disk is full')
      written.push([...rows])
    },
  }
  origins = new BlobOrigins(table, clock, silentLog)
})

describe('by which channel blobs came', () => {
  it('is known at once, and of that channel alone', () => {
    origins.of(ONE).add(idOf(1))
    expect([ONE, TWO].map((key) => origins.of(key).has(idOf(1)))).toEqual([true, false])
    expect(origins.of(ONE).has(idOf(2))).toBe(false)
  })

  it('is written once for all that came in a moment', async () => {
    for (let n = 1; n <= 5; n++) origins.of(n % 2 === 0 ? ONE : TWO).add(idOf(n))
    expect(written).toEqual([])
    await clock.advance(ORIGIN_FLUSH_MS)
    expect(written.map((rows) => rows.length)).toEqual([5])
    expect(origins.of(ONE).has(idOf(2))).toBe(true)
    expect(clock.pendingTimers).toBe(0)
  })

  it('is written when the node stops', () => {
    origins.of(ONE).add(idOf(1))
    origins.flush()
    expect(written.length).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it('waits for a disk that is full', async () => {
    isFull = true
    origins.of(ONE).add(idOf(1))
    await clock.advance(3 * ORIGIN_FLUSH_MS)
    expect(origins.of(ONE).has(idOf(1))).toBe(true)
    isFull = false
    await clock.advance(ORIGIN_FLUSH_MS)
    expect(written.map((rows) => rows.length)).toEqual([1])
  })

  it('is not taken from memory that its owner uses again', async () => {
    const id = idOf(1)
    origins.of(ONE).add(id)
    id.fill(2)
    origins.flush()
    expect(written[0]?.[0]?.blobId).toEqual(idOf(1))
  })
})
