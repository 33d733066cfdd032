import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { BAN_MS, INBOUND_BAN_MS, MAX_BANS } from '../../../src/base/limits.ts'
import { type Ban, type Bannable, Bans, readSubject } from '../../../src/swarm/bans.ts'
import type { PeerAddress } from '../../../src/wire/address.ts'

const KEY = new Uint8Array(32).fill(1)
const OTHER_KEY = new Uint8Array(32).fill(2)

class MapStore {
  readonly rows = new Map<string, Ban>()
  load(): Iterable<Ban> {
    return this.rows.values()
  }
  save(ban: Ban): void {
    this.rows.set(ban.subject, ban)
  }
  remove(subject: string): void {
    this.rows.delete(subject)
  }
}

function setUp(): { clock: ManualClock; store: MapStore; bans: Bans } {
  const clock = new ManualClock()
  const store = new MapStore()
  return { clock, store, bans: new Bans(clock, store) }
}

function address(host: string, port = 7117, nodeKey: Uint8Array | null = null): PeerAddress {
  return { kind: 'ipv4', host, port, nodeKey }
}

function dialled(host: string, nodeKey: Uint8Array | null = KEY): Bannable {
  return { remoteNodeKey: nodeKey, address: address(host), remote: { host, port: 7117 } }
}

function inbound(host: string, nodeKey: Uint8Array | null = null): Bannable {
  return { remoteNodeKey: nodeKey, address: null, remote: { host, port: 50_000 } }
}

describe('a ban of a peer that we dialled (B3)', () => {
  it('holds for its node key and its address, for an hour', async () => {
    const { bans, clock } = setUp()
    bans.banPeer(dialled('192.0.2.1'), 'false blob')
    expect(bans.isPeerBanned(dialled('192.0.2.1', OTHER_KEY))).toBe(true)
    expect(bans.isPeerBanned(dialled('198.51.100.1', KEY))).toBe(true)
    expect(bans.isPeerBanned(inbound('203.0.113.1', KEY))).toBe(true)
    expect(bans.isAddressBanned(address('192.0.2.1', 7117, OTHER_KEY))).toBe(true)
    await clock.advance(BAN_MS)
    expect(bans.isPeerBanned(dialled('192.0.2.1'))).toBe(false)
    expect(bans.list()).toEqual([])
  })

  it('holds for nobody else: not for another port, and not for who comes in from there', () => {
    const { bans } = setUp()
    bans.banPeer(dialled('192.0.2.1'), 'false blob')
    expect(bans.isAddressBanned(address('192.0.2.1', 7118))).toBe(false)
    expect(bans.isPeerBanned(inbound('192.0.2.1'))).toBe(false)
  })
})

describe('a ban of a peer that came in (B4)', () => {
  it('holds for its address, for minutes', async () => {
    const { bans, clock } = setUp()
    bans.banPeer(inbound('192.0.2.1'), 'false blob')
    expect(bans.isPeerBanned(inbound('192.0.2.1'))).toBe(true)
    expect(bans.isPeerBanned(inbound('192.0.2.2'))).toBe(false)
    await clock.advance(INBOUND_BAN_MS)
    expect(bans.isPeerBanned(inbound('192.0.2.1'))).toBe(false)
  })

  it('holds for the network of an IPv6 address, however it is written', () => {
    const { bans } = setUp()
    bans.banPeer(inbound('2001:db8:1:2::5'), 'false blob')
    expect(bans.isPeerBanned(inbound('2001:db8:1:2:ffff::1'))).toBe(true)
    expect(bans.isPeerBanned(inbound('2001:db8:1:3::5'))).toBe(false)
    expect(bans.isPeerBanned(inbound('2001:db8::5'))).toBe(false)
  })

  it.each(['127.0.0.1', '127.3.2.1', '::1', '0:0:0:0:0:0:0:1', ''])(
    'is never tied to %j, which is everybody on this machine',
    (host) => {
      const { bans, store } = setUp()
      bans.banPeer(inbound(host), 'false blob')
      expect(bans.isPeerBanned(inbound(host))).toBe(false)
      expect(store.rows.size).toBe(0)
      // A key that was shown is banned all the same.
      bans.banPeer(inbound(host, KEY), 'false blob')
      expect(bans.isPeerBanned(inbound('192.0.2.7', KEY))).toBe(true)
    },
  )
})

describe('bans', () => {
  it('of the user stay until the user lifts them (B5)', async () => {
    const { bans, clock } = setUp()
    bans.banNode(KEY)
    bans.banPeer(dialled('192.0.2.1', KEY), 'false blob')
    await clock.advance(100 * BAN_MS)
    expect(bans.isPeerBanned(dialled('198.51.100.1', KEY))).toBe(true)
    expect([bans.liftNode(KEY), bans.liftNode(KEY)]).toEqual([true, false])
    expect(bans.isPeerBanned(dialled('198.51.100.1', KEY))).toBe(false)
  })

  it('outlive the process', () => {
    const { bans, clock, store } = setUp()
    bans.banPeer(dialled('192.0.2.1'), 'false blob')
    expect(new Bans(clock, store).isPeerBanned(dialled('192.0.2.1', OTHER_KEY))).toBe(true)
  })

  it('are bounded: those that end first go first, and those of the user last', () => {
    const { bans, store } = setUp()
    bans.banNode(OTHER_KEY)
    bans.banPeer(inbound('192.0.2.1'), 'false blob')
    for (let number = 0; number < MAX_BANS - 1; number++) {
      bans.banPeer(dialled(`10.${number >> 8}.${number & 255}.1`, null), 'false blob')
    }
    expect(store.rows.size).toBe(MAX_BANS)
    expect(bans.isPeerBanned(inbound('192.0.2.1'))).toBe(false)
    for (let number = 0; number < 10; number++)
      bans.banPeer(dialled(`172.16.0.${number}`, null), 'false blob')
    expect(store.rows.size).toBe(MAX_BANS)
    expect(bans.isPeerBanned(dialled('198.51.100.1', OTHER_KEY))).toBe(true)
  })

  it('are not made shorter by another one', async () => {
    const { bans, clock } = setUp()
    bans.banNode(KEY)
    bans.banPeer(dialled('192.0.2.1', KEY), 'false blob')
    expect(bans.list().filter(({ subject }) => subject.startsWith('node:'))[0]?.until).toBeGreaterThan(
      clock.now() + BAN_MS,
    )
  })
})

describe('lifting a ban', () => {
  it('of a node lifts that of the address where it lied, and no other', () => {
    const { bans, store, clock } = setUp()
    bans.banPeer(dialled('192.0.2.2', OTHER_KEY), 'false head')
    bans.banPeer(dialled('192.0.2.1'), 'false blob')
    const again = new Bans(clock, store) // after a restart too
    expect(again.liftNode(KEY)).toBe(true)
    expect(again.isAddressBanned(address('192.0.2.1'))).toBe(false)
    expect(again.isPeerBanned(dialled('192.0.2.2', OTHER_KEY))).toBe(true)
    expect(store.rows.size).toBe(2)
  })

  it('goes by the address that is shown, where no key was proven', async () => {
    const { bans, store, clock } = setUp()
    bans.banPeer(dialled('192.0.2.1', null), 'false blob')
    await clock.advance(1)
    bans.banPeer(inbound('2001:db8:a:b:1::9'), 'false blob')
    await clock.advance(1)
    bans.banPeer(inbound('198.51.100.3', KEY), 'false blob')
    const shown = bans.list().map(({ subject }) => readSubject(subject).address)
    expect(shown).toEqual(['192.0.2.1:7117', '2001:0db8:000a:000b::/64', null, '198.51.100.3'])
    expect(bans.liftAddress('192.0.2.1')).toBe(false)
    for (const text of ['192.0.2.1:7117', '2001:0db8:000a:000b::/64'])
      expect(bans.liftAddress(text)).toBe(true)
    // Both of one event, though they end at different times.
    expect(bans.liftAddress('198.51.100.3')).toBe(true)
    expect(store.rows.size).toBe(0)
  })

  it('of the user leaves others of the user alone', () => {
    const { bans } = setUp()
    bans.banNode(KEY)
    bans.banNode(OTHER_KEY)
    expect(bans.liftNode(KEY)).toBe(true)
    expect(bans.isPeerBanned(inbound('192.0.2.1', OTHER_KEY))).toBe(true)
  })
})

describe('a ban within one swarm of several', () => {
  it('holds there alone, over a restart too', async () => {
    const { bans, clock, store } = setUp()
    bans.within('one').banPeer(dialled('192.0.2.1'), 'false blob')
    for (const each of [bans, new Bans(clock, store)]) {
      expect(each.within('one').isPeerBanned(inbound('203.0.113.1', KEY))).toBe(true)
      expect(each.within('one').isAddressBanned(address('192.0.2.1'))).toBe(true)
      expect(each.within('two').isPeerBanned(dialled('192.0.2.1'))).toBe(false)
      expect(each.within('two').isAddressBanned(address('192.0.2.1'))).toBe(false)
      expect(each.isPeerBanned(dialled('192.0.2.1'))).toBe(false)
    }
    await clock.advance(BAN_MS)
    expect(bans.within('one').isPeerBanned(dialled('192.0.2.1'))).toBe(false)
  })

  it('is not one that was made without a scope, unless the user made it', () => {
    const { bans } = setUp()
    bans.banPeer(dialled('192.0.2.1'), 'false blob')
    expect(bans.within('one').isPeerBanned(dialled('192.0.2.1'))).toBe(false)
    bans.banNode(KEY)
    expect(bans.within('one').isPeerBanned(dialled('192.0.2.1'))).toBe(true)
    expect(bans.within('two').isPeerBanned(inbound('203.0.113.1', KEY))).toBe(true)
  })

  it('is seen and lifted as others are, in all of them at once', () => {
    const { bans, store } = setUp()
    for (const scope of ['one', 'two']) bans.within(scope).banPeer(dialled('192.0.2.1'), `false in ${scope}`)
    bans.within('one').banPeer(inbound('203.0.113.1'), 'false blob')
    const shown = bans.list().map(({ subject }) => readSubject(subject))
    expect(shown.filter(({ address: text }) => text === '192.0.2.1:7117')).toHaveLength(2)
    expect(shown.filter(({ nodeKey }) => nodeKey === '01'.repeat(32))).toHaveLength(2)
    expect(bans.liftNode(KEY)).toBe(true)
    expect(bans.liftAddress('203.0.113.1')).toBe(true)
    expect([bans.list(), store.rows.size]).toEqual([[], 0])
    expect(bans.liftNode(KEY)).toBe(false)
  })

  it('of a host that came in lasts as long as it does elsewhere', async () => {
    const { bans, clock } = setUp()
    const within = bans.within('one')
    within.banPeer(inbound('203.0.113.1'), 'false blob')
    await clock.advance(INBOUND_BAN_MS - 1)
    expect(within.isPeerBanned(inbound('203.0.113.1'))).toBe(true)
    await clock.advance(1)
    expect(within.isPeerBanned(inbound('203.0.113.1'))).toBe(false)
  })
})
