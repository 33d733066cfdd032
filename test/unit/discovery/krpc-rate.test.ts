import { describe, expect, it } from 'vitest'
import { RateTable } from '../../../src/discovery/krpc-rate.ts'

describe('the rate of an address', () => {
  const limits = { perSecond: 10, burst: 5, maxAddresses: 3 }
  const takeAll = (table: RateTable, key: string, nowMs: number): number => {
    let taken = 0
    while (taken < 1_000 && table.take(key, nowMs)) taken++
    return taken
  }

  it('begins with the burst, and grows again with time up to it', () => {
    const table = new RateTable(limits)
    expect([0, 0, 100, 350, 60_000].map((nowMs) => takeAll(table, 'a', nowMs))).toEqual([5, 0, 1, 2, 5])
  })

  it('is its own', () => {
    const table = new RateTable(limits)
    takeAll(table, 'a', 0)
    expect(takeAll(table, 'b', 0)).toBe(5)
  })

  it('is remembered for few addresses, the longest silent forgotten first', () => {
    const table = new RateTable(limits)
    for (const key of ['a', 'b', 'c']) takeAll(table, key, 0)
    table.take('a', 0)
    table.take('d', 0)
    expect(table.size).toBe(3)
    expect([takeAll(table, 'a', 0), takeAll(table, 'c', 0), takeAll(table, 'b', 0)]).toEqual([0, 0, 5])
  })

  it('does not shrink when time stands still', () => {
    const table = new RateTable(limits)
    table.take('a', 1_000)
    expect(takeAll(table, 'a', 1_000)).toBe(4)
  })
})
