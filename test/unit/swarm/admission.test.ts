import { describe, expect, it } from 'vitest'
import { ADMISSION_GRACE_MS, IDLE_PEER_MS } from '../../../src/base/limits.ts'
import { admit, type Guest, inboundPlaces, placesOfHost } from '../../../src/swarm/admission.ts'

const NOW = 1_000_000

function guest(
  host: string,
  change: Partial<{ out: boolean; proven: boolean; shares: number; ageMs: number; usedMs: number }> = {},
): Guest {
  return {
    direction: change.out ? 'out' : 'in',
    isProven: change.proven ?? false,
    byUser: false,
    gaveMs: Number.NEGATIVE_INFINITY,
    tookMs: NOW - (change.usedMs ?? Number.POSITIVE_INFINITY),
    shared: { size: change.shares ?? 1 },
    init: { sinceMs: NOW - (change.ageMs ?? 60_000), remote: { host } },
  }
}

function many(count: number, host: (number: number) => string): Guest[] {
  return Array.from({ length: count }, (_, number) => guest(host(number)))
}

describe('who may come in', () => {
  it('is everybody while there is room', () => {
    expect(admit('192.0.2.1', [], 200, NOW)).toBe('welcome')
    expect(
      admit(
        '192.0.2.1',
        many(30, () => '192.0.2.1'),
        200,
        NOW,
      ),
    ).toBe('welcome')
  })

  it('leaves places to those that we dial', () => {
    expect(inboundPlaces(200)).toBe(150)
    expect(inboundPlaces(1)).toBe(1)
    const guests = many(150, (number) => `192.0.${number}.1`)
    expect(admit('198.51.100.1', guests, 200, NOW)).toBe('full')
    // Those that we dialled do not count among them, but among all.
    const dialled = Array.from({ length: 100 }, (_, number) => guest(`10.0.0.${number}`, { out: true }))
    expect(admit('198.51.100.1', [...dialled, ...guests.slice(0, 99)], 200, NOW)).toBe('welcome')
    expect(admit('198.51.100.1', [...dialled, ...guests.slice(0, 100)], 200, NOW)).toBe('full')
  })

  it('takes the place of one that shows no channel, the one that has been here longest', () => {
    const guests = many(150, (number) => `192.0.${number}.1`)
    const old = guest('203.0.113.1', { shares: 0, ageMs: ADMISSION_GRACE_MS * 3 })
    const young = guest('203.0.113.2', { shares: 0, ageMs: ADMISSION_GRACE_MS * 2 })
    const fresh = guest('203.0.113.3', { shares: 0, ageMs: ADMISSION_GRACE_MS - 1 })
    expect(admit('198.51.100.1', [young, old, fresh, ...guests], 200, NOW)).toBe(old)
    expect(admit('198.51.100.1', [fresh, ...guests], 200, NOW)).toBe('full')
  })

  it('takes a place of the host that has most of them, from the youngest that gave nothing', () => {
    const others = many(100, (number) => `192.0.${number}.1`)
    const crowd = [
      ...many(48, () => '203.0.113.9'),
      guest('203.0.113.9', { ageMs: 5 }),
      guest('203.0.113.9', { ageMs: 1, proven: true }),
    ]
    expect(admit('198.51.100.1', [...others, ...crowd], 200, NOW)).toBe(crowd[48])
    // One of the crowd itself gains nothing.
    expect(admit('203.0.113.9', [...others, ...crowd], 200, NOW)).toBe('full')
  })

  it('counts the addresses of one IPv6 network as one host', () => {
    const others = many(100, (number) => `192.0.${number}.1`)
    const crowd = many(50, (number) => `2001:db8:1:2::${number + 1}`)
    expect(crowd).toContain(admit('198.51.100.1', [...others, ...crowd], 200, NOW))
    expect(admit('2001:db8:1:2:ffff::1', [...others, ...crowd], 200, NOW)).toBe('full')
  })

  it('is nobody of a host that has its part of the places, but who shares nothing, though there is room', () => {
    const crowd = many(placesOfHost(200), () => '203.0.113.9')
    expect(crowd).toHaveLength(37)
    expect(admit('203.0.113.9', crowd, 200, NOW)).toBe('full')
    expect(admit('203.0.113.8', crowd, 200, NOW)).toBe('welcome')
    expect(admit('203.0.113.9', crowd.slice(1), 200, NOW)).toBe('welcome')
    const stranger = guest('203.0.113.9', { shares: 0 })
    expect(admit('203.0.113.9', [...crowd, stranger], 200, NOW)).toBe(stranger)
    // All who come through an onion are one host: there is no telling them apart.
    const local = many(37, () => '127.0.0.1')
    expect(admit('127.0.0.1', local, 200, NOW)).toBe('welcome')
  })

  it('takes the place of one that has been idle for long, and of no other', () => {
    const busy = Array.from({ length: 149 }, (_, number) =>
      guest(`192.0.${number}.1`, { ageMs: 3 * IDLE_PEER_MS, usedMs: 1000 }),
    )
    const idle = guest('198.51.100.7', { ageMs: 2 * IDLE_PEER_MS })
    expect(admit('198.51.100.1', [...busy, idle], 200, NOW)).toBe(idle)
    const young = guest('198.51.100.7', { ageMs: IDLE_PEER_MS })
    expect(admit('198.51.100.1', [...busy, young], 200, NOW)).toBe('full')
  })

  it('is nobody where all come through one proxy and share a channel', () => {
    expect(
      admit(
        '127.0.0.1',
        many(150, () => '127.0.0.1'),
        200,
        NOW,
      ),
    ).toBe('full')
  })
})
