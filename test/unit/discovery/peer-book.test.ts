import { describe, expect, it } from 'vitest'
import {
  DIAL_BACKOFF_FIRST_MS,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_TRUSTED_MS,
  MAX_ADDRESSES_PER_CHANNEL,
  MAX_DIAL_FAILURES,
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
