import { describe, expect, it } from 'vitest'
import {
  ANCHOR_AGE_MS,
  DIAL_BACKOFF_FIRST_MS,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_TRUSTED_MS,
  MAX_ADDRESSES_PER_CHANNEL,
  MAX_ADDRESSES_PER_ORIGIN,
  MAX_ADDRESSES_PER_SOURCE,
  MAX_ANCHORS,
  MAX_DIAL_FAILURES,
  PEX_FRESH_MS,
} from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { type AddressSource, backoffMs, PeerBook } from '../../../src/discovery/peer-book.ts'
import type { Address } from '../../../src/wire/address.ts'

const ANY = (): boolean => true

function listOf(...hosts: string[]): PeerBook<Address> {
  const list = new PeerBook<Address>(seededRandom(1))
  for (const host of hosts) add(list, host)
  return list
}

function add(list: PeerBook<Address>, host: string, source: AddressSource = 'topic', nowMs = 0): boolean {
  return list.add(host, { kind: host.includes(':') ? 'ipv6' : 'ipv4', host, port: 7117 }, source, nowMs)
}

function due(list: PeerBook<Address>, nowMs: number, limit = 1_000): string[] {
  return list.due(nowMs, limit, ANY).map(({ key }) => key)
}

describe('a list of addresses', () => {
  it('gives what may be dialled now: not what is busy, waits, or is not wanted', () => {
    const list = listOf('192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4')
    list.setBusy('192.0.2.1', true)
    list.ended('192.0.2.2', false, 0)
    const wanted = list.due(0, 10, ({ key }) => key !== '192.0.2.3').map(({ key }) => key)
    expect(wanted).toEqual(['192.0.2.4'])
    expect(list.busyCount).toBe(1)
    expect(due(list, DIAL_BACKOFF_FIRST_MS).sort()).toEqual(['192.0.2.2', '192.0.2.3', '192.0.2.4'])
  })

  it('puts what proved good first, and what failed last', () => {
    const list = listOf('192.0.2.1', '192.0.2.2', '192.0.2.3')
    list.ended('192.0.2.1', false, 0)
    list.ended('192.0.2.3', true, 0)
    expect(due(list, DIAL_BACKOFF_FIRST_MS)).toEqual(['192.0.2.3', '192.0.2.2', '192.0.2.1'])
    expect(due(list, DIAL_BACKOFF_FIRST_MS, 1)).toEqual(['192.0.2.3'])
    expect(due(list, DIAL_BACKOFF_FIRST_MS, -1)).toEqual([])
  })

  it('favours none among equals', () => {
    const firsts = new Set<string | undefined>()
    for (let seed = 0; seed < 50; seed++) {
      const list = new PeerBook<Address>(seededRandom(seed))
      for (let host = 0; host < 4; host++) add(list, `192.0.2.${host}`)
      firsts.add(due(list, 0, 1)[0])
    }
    expect(firsts.size).toBe(4)
  })

  it('forgets what fails again and again, unless a user or a link gave it', () => {
    const list = listOf('192.0.2.1')
    add(list, '192.0.2.2', 'link')
    add(list, '192.0.2.3', 'user')
    for (let failure = 0; failure <= MAX_DIAL_FAILURES; failure++) {
      for (const host of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) list.ended(host, false, 0)
    }
    expect(due(list, DIAL_BACKOFF_MAX_MS).sort()).toEqual(['192.0.2.2', '192.0.2.3'])
  })

  it('never gives what leads to ourselves again, also when others tell of it again', () => {
    const list = listOf('192.0.2.1')
    list.setBusy('192.0.2.1', true)
    list.retire('192.0.2.1')
    expect(add(list, '192.0.2.1')).toBe(false)
    expect(due(list, Number.MAX_SAFE_INTEGER)).toEqual([])
    expect(list.busyCount).toBe(0)
  })

  it('lets the word of a link count for an address that was known before', () => {
    const list = listOf('192.0.2.1')
    add(list, '192.0.2.1', 'link')
    add(list, '192.0.2.1', 'topic')
    for (let failure = 0; failure <= MAX_DIAL_FAILURES; failure++) list.ended('192.0.2.1', false, 0)
    expect(list.size).toBe(1)
  })
})

describe('a full list', () => {
  const flood = (list: PeerBook<Address>, count: number, network: string): void => {
    for (let host = 0; host < count; host++) add(list, `${network}.${host >> 8}.${host & 255}`)
  }

  it('is bounded', () => {
    const list = listOf()
    for (const source of ['topic', 'head', 'pex'] as const) {
      for (let host = 0; host < 3 * MAX_ADDRESSES_PER_CHANNEL; host++) {
        add(list, `198.${source.length}.${host >> 8}.${host & 255}`, source)
      }
    }
    expect(list.size).toBe(MAX_ADDRESSES_PER_CHANNEL)
  })

  it('loses addresses of the network that fills it, not the others', () => {
    const few = ['192.0.2.1', '203.0.113.1', '2001:db8::1']
    const list = listOf(...few)
    flood(list, 5 * MAX_ADDRESSES_PER_CHANNEL, '198.51')
    for (const host of few) expect(due(list, 0)).toContain(host)
  })

  it('keeps what is in use, what proved good and what was given by hand, from whatever network', () => {
    const list = listOf('198.51.100.1', '198.51.100.2')
    add(list, '198.51.100.3', 'link')
    list.setBusy('198.51.100.1', true)
    list.ended('198.51.100.2', true, 0)
    flood(list, 5 * MAX_ADDRESSES_PER_CHANNEL, '198.51')
    list.setBusy('198.51.100.1', false)
    const left = due(list, DIAL_BACKOFF_FIRST_MS)
    for (const host of ['198.51.100.1', '198.51.100.2', '198.51.100.3']) expect(left).toContain(host)
  })

  it('takes nothing more when all of it was given by hand', () => {
    const list = listOf()
    for (let host = 0; host < MAX_ADDRESSES_PER_CHANNEL; host++)
      add(list, `10.0.${host >> 8}.${host & 255}`, 'link')
    expect(add(list, '192.0.2.1')).toBe(false)
    expect(list.size).toBe(MAX_ADDRESSES_PER_CHANNEL)
  })
})

describe('the wait after a failure', () => {
  it('doubles, is spread by chance, and has an end', () => {
    const wait = (failures: number, fraction: number, source: AddressSource = 'topic'): number =>
      backoffMs({ failures, source }, fraction)
    expect(wait(0, 0)).toBe(DIAL_BACKOFF_FIRST_MS / 2)
    expect(wait(1, 0)).toBe(DIAL_BACKOFF_FIRST_MS / 2)
    expect(wait(3, 0)).toBe(DIAL_BACKOFF_FIRST_MS * 2)
    expect(wait(3, 0.5)).toBe(DIAL_BACKOFF_FIRST_MS * 3)
    expect(wait(1_000, 0)).toBe(DIAL_BACKOFF_MAX_MS / 2)
    expect(wait(1_000, 0, 'user')).toBe(DIAL_BACKOFF_TRUSTED_MS / 2)
    expect(wait(1_000, 0, 'link')).toBe(DIAL_BACKOFF_TRUSTED_MS / 2)
  })

  it('is forgotten after a connection that was good', () => {
    const list = listOf('192.0.2.1')
    for (let failure = 0; failure < 5; failure++) list.ended('192.0.2.1', false, 0)
    list.ended('192.0.2.1', true, 0)
    expect(due(list, DIAL_BACKOFF_FIRST_MS)).toEqual(['192.0.2.1'])
  })
})

describe('no one source', () => {
  it('has more than half of the book, and no one who tells more than a few places', () => {
    const list = listOf()
    for (let host = 0; host < 1_000; host++) {
      const address = { kind: 'ipv4', host: `9.${host >> 2}.0.${host & 255}`, port: 7117 } as const
      list.add(address.host, address, 'pex', 0, `teller ${host % 2}`)
    }
    expect(list.size).toBe(2 * MAX_ADDRESSES_PER_ORIGIN)
    for (let host = 0; host < 3_000; host++) {
      const address = { kind: 'ipv4', host: `8.${host >> 4}.1.${host & 255}`, port: 7117 } as const
      list.add(address.host, address, 'pex', 0, `teller ${host}`)
    }
    expect(list.size).toBe(MAX_ADDRESSES_PER_SOURCE)
    for (let host = 0; host < 3_000; host++) add(list, `7.${host >> 4}.0.${host & 255}`)
    expect(list.size).toBe(2 * MAX_ADDRESSES_PER_SOURCE)
  })
})

describe('networks', () => {
  const crowded = (groupOf?: (address: Address) => string): PeerBook<Address> => {
    const list = new PeerBook<Address>(seededRandom(3), groupOf)
    for (let host = 0; host < 100; host++) add(list, `198.51.100.${host}`)
    for (const host of ['9.1.0.1', '9.2.0.1', '9.3.0.1']) add(list, host)
    return list
  }

  it('are dialled in turns: a hundred addresses of one weigh as much as one of another', () => {
    const first = due(crowded(), 0, 4)
    expect(first.filter((host) => host.startsWith('198.51'))).toHaveLength(1)
    // Planted: were each address a network of its own, the crowd would win.
    const without = due(
      crowded(({ host }) => host),
      0,
      4,
    )
    expect(without.filter((host) => host.startsWith('198.51')).length).toBeGreaterThan(2)
  })

  it('that we are in already come last', () => {
    const list = crowded()
    list.setBusy('198.51.100.7', true)
    list.setBusy('9.1.0.1', true)
    expect(due(list, 0, 2).sort()).toEqual(['9.2.0.1', '9.3.0.1'])
  })
})

describe('anchors', () => {
  const reachedAt = (list: PeerBook<Address>, host: string, nowMs: number): void => {
    add(list, host)
    list.setBusy(host, true)
    list.reached(host, nowMs)
  }
  const hosts = (list: PeerBook<Address>, nowMs: number): string[] =>
    list.anchors(nowMs).map(({ host }) => host)

  it('are members that we are connected to the longest, one of a network', () => {
    const list = listOf('9.9.9.9')
    for (let i = 0; i < 6; i++) reachedAt(list, `9.${i}.0.1`, 1_000 * i)
    reachedAt(list, '9.0.0.2', 500)
    expect(hosts(list, ANCHOR_AGE_MS - 1)).toEqual([])
    expect(hosts(list, ANCHOR_AGE_MS + 2_500)).toEqual(['9.0.0.1', '9.1.0.1', '9.2.0.1'])
    const all = hosts(list, 2 * ANCHOR_AGE_MS)
    expect(all).toEqual(['9.0.0.1', '9.1.0.1', '9.2.0.1', '9.3.0.1'])
    expect(all).toHaveLength(MAX_ANCHORS)
    list.ended('9.0.0.1', true, 2 * ANCHOR_AGE_MS)
    expect(hosts(list, 2 * ANCHOR_AGE_MS)[0]).toBe('9.0.0.2')
  })

  it('of an earlier run stay until others have taken their place, however often they fail', () => {
    const list = listOf()
    for (const host of ['9.1.0.1', '9.2.0.1']) add(list, host, 'anchor')
    for (let failure = 0; failure <= 2 * MAX_DIAL_FAILURES; failure++) list.ended('9.1.0.1', false, 0)
    expect(hosts(list, 0)).toEqual(['9.1.0.1', '9.2.0.1'])
    for (let i = 3; i < 6; i++) reachedAt(list, `9.${i}.0.1`, 0)
    expect(hosts(list, ANCHOR_AGE_MS)).toEqual(['9.3.0.1', '9.4.0.1', '9.5.0.1', '9.1.0.1'])
  })

  it('are dialled before all others, and after a failure like any other', () => {
    const list = listOf()
    for (let host = 0; host < 50; host++) add(list, `9.${host}.0.1`)
    list.ended('9.7.0.1', true, 0)
    add(list, '8.1.0.1', 'anchor')
    add(list, '8.1.0.1', 'topic') // what others tell of it makes it no other
    const nowMs = DIAL_BACKOFF_MAX_MS
    expect(due(list, nowMs, 2)).toEqual(['8.1.0.1', '9.7.0.1'])
    list.ended('8.1.0.1', false, 0)
    expect(due(list, nowMs, 1)).toEqual(['9.7.0.1'])
    expect(due(list, nowMs).at(-1)).toBe('8.1.0.1')
  })
})

describe('what PEX may tell of', () => {
  it('is where a member was met, as long as we are connected and some time after', () => {
    const list = listOf('9.1.0.1', '9.2.0.1')
    const fresh = (nowMs: number): string[] => list.fresh(nowMs).map(({ key }) => key)
    expect(fresh(0)).toEqual([])
    list.reached('9.1.0.1', 1_000)
    expect(fresh(10 * PEX_FRESH_MS)).toEqual(['9.1.0.1'])
    list.ended('9.1.0.1', true, 10 * PEX_FRESH_MS)
    expect(fresh(11 * PEX_FRESH_MS)).toEqual(['9.1.0.1'])
    expect(fresh(11 * PEX_FRESH_MS + 1)).toEqual([])
  })
})
