/** What channels ask of the DHT, and what comes back (src/channels/discovery.ts). */
import { describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { FollowHooks } from '../../../src/channels/discovery.ts'
import type { PublisherKeys } from '../../../src/crypto/key-schedule.ts'
import type { AnnouncedChannel, Announcer } from '../../../src/discovery/announcer.ts'
import type { FollowedChannel } from '../../../src/discovery/slot-record.ts'
import type { SlotService } from '../../../src/discovery/slot-service.ts'
import { DhtDiscovery } from '../../../src/node/dht-discovery.ts'
import type { Head } from '../../../src/wire/head.ts'
import { keysOf } from '../channels/channel-node.ts'

const KEYS = keysOf(1)

function found(number: number): { head: Head } {
  return { head: { bytes: Uint8Array.of(number) } as Head }
}

class Rig {
  readonly heads: number[] = []
  readonly peers: string[] = []
  readonly calls: string[] = []
  followed: FollowedChannel | null = null
  announced: AnnouncedChannel | null = null
  resolve: () => Promise<unknown> = async () => ({ newest: found(1), conflicts: [found(2)] })
  lookup: () => Promise<number> = async () => 0
  storedBy = 5
  readonly discovery: DhtDiscovery
  readonly hooks: FollowHooks = {
    newest: () => null,
    slotSet: () => null,
    onHead: (head) => void this.heads.push(head[0] ?? 0),
    onPeers: (peers) => void this.peers.push(...peers.map(({ host, port }) => `${host}:${port}`)),
    holders: () => 3,
  }

  constructor(publisherKeys: PublisherKeys | null) {
    const slots = {
      follow: (channel: FollowedChannel) => {
        this.followed = channel
        return () => void this.calls.push('slots stopped')
      },
      resolve: () => this.resolve(),
      publish: async (_keys: unknown, head: Uint8Array, options: { isOpen?: boolean }) => {
        this.calls.push(`published ${head[0]} ${options.isOpen}`)
        return { storedBy: this.storedBy }
      },
    } as unknown as SlotService
    const announcer = {
      follow: (channel: AnnouncedChannel) => {
        this.announced = channel
        return () => void this.calls.push('announcing stopped')
      },
      lookup: () => this.lookup(),
      onNews: (publicKey: Uint8Array) => {
        expect(publicKey).toBe(KEYS.publicKey)
        this.calls.push('news')
      },
    } as unknown as Announcer
    this.discovery = new DhtDiscovery({
      slots,
      announcer,
      publisherKeys: () => publisherKeys,
      log: silentLog,
    })
  }
}

describe('discovery over the DHT', () => {
  it('looks after slots and topic of a channel until it is stopped', () => {
    const rig = new Rig(null)
    const followed = rig.discovery.follow(KEYS, true, rig.hooks)
    expect(rig.followed?.keys).toBe(KEYS)
    expect(rig.followed?.publisher).toBe(undefined) // without its key no slot can be signed
    expect(rig.followed?.isOpen).toBe(undefined)
    expect(rig.followed?.knownHolders()).toBe(4) // the peers, and ourselves
    rig.followed?.onFound({ newest: null, conflicts: [found(9) as never] })
    rig.announced?.onPeer({ host: '192.0.2.1', port: 5 }, 1)
    expect([rig.heads, rig.peers]).toEqual([[9], ['192.0.2.1:5']])
    followed.stop()
    expect(rig.calls).toEqual(['slots stopped', 'announcing stopped'])
  })

  it('signs the slots of a channel of ours, the plain one too if it is open', () => {
    const rig = new Rig(KEYS)
    rig.discovery.follow(KEYS, true, rig.hooks)
    expect(rig.followed).toMatchObject({ publisher: KEYS, isOpen: true })
  })

  it('gives what a look finds, conflicts after the newest', async () => {
    const rig = new Rig(null)
    await rig.discovery.follow(KEYS, false, rig.hooks).look(new AbortController().signal)
    expect(rig.heads).toEqual([1, 2])
  })

  it('ends a look without an error when one half or both fail', async () => {
    const rig = new Rig(null)
    const followed = rig.discovery.follow(KEYS, false, rig.hooks)
    const fail = (): Promise<never> => Promise.reject(new MegatorrentError('ERR_DHT_CLOSED', 'closed'))
    rig.lookup = fail
    await followed.look(new AbortController().signal)
    expect(rig.heads).toEqual([1, 2])
    rig.resolve = fail
    await followed.look(new AbortController().signal)
    expect(rig.heads).toEqual([1, 2])
  })

  it('says how many nodes have confirmed a put', async () => {
    const rig = new Rig(KEYS)
    const head = { bytes: Uint8Array.of(7) } as Head
    expect(await rig.discovery.publish(KEYS, true, head, new AbortController().signal)).toBe(5)
    expect(rig.calls).toEqual(['published 7 true', 'news'])
  })

  it('has no news for the topic while nobody has confirmed', async () => {
    const rig = new Rig(KEYS)
    rig.storedBy = 0
    await rig.discovery.publish(
      KEYS,
      false,
      { bytes: Uint8Array.of(7) } as Head,
      new AbortController().signal,
    )
    expect(rig.calls).toEqual(['published 7 false'])
  })
})
