/** Fetching: what peers may do to it and what it does then (STATE.md S1 to S8, I1 to I6). */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../../../src/base/errors.ts'
import {
  BUSY_PAUSE_MS,
  MAX_MISSES,
  MAX_WINDOW,
  MIN_LATE_MS,
  SECOND_SOURCE_MS,
} from '../../../src/base/limits.ts'
import type { FetchOptions } from '../../../src/swarm/fetch.ts'
import type { Peer } from '../../../src/swarm/peer.ts'
import { BLOB_FRAME_BYTES } from '../../../src/wire/constants.ts'
import { type Rig, useRigs } from './rig.ts'
import { diskFull, type Following, falseBlob, SimChannel, type SimNode, SimRelease } from './sim-node.ts'
import { SimPeer, type SimPeerBehaviour } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const SMALL = new SimRelease(1, 3)
const RELEASE = new SimRelease(2, 12)

const newRig = useRigs()

/** How a call ended. */
interface Ending {
  isOver: boolean
  error: unknown
  readonly stored: number[]
  /** Those whose content was written to where the call said. */
  readonly placed: number[]
}

/** A node that wants all of a release. */
async function reader(
  rig: Rig,
  release = RELEASE,
  signal?: AbortSignal,
): Promise<{ node: SimNode; following: Following; ending: Ending }> {
  const node = await rig.node()
  const following = node.follow(CHANNEL)
  return { node, following, ending: watch(node, following, release, signal) }
}

function watch(
  node: SimNode,
  following: Following,
  release: SimRelease,
  signal?: AbortSignal,
  placeOf?: FetchOptions['placeOf'],
): Ending {
  const ending: Ending = { isOver: false, error: null, stored: [], placed: [] }
  const onStored = (index: number, isPlaced: boolean): void => {
    ending.stored.push(index)
    if (isPlaced) ending.placed.push(index)
  }
  node
    .fetch(following, release, 1, {
      onStored,
      ...(signal === undefined ? {} : { signal }),
      ...(placeOf === undefined ? {} : { placeOf }),
    })
    .catch((error: unknown) => {
      ending.error = error
    })
    .finally(() => {
      ending.isOver = true
    })
  return ending
}

/** A peer that shows the channel and holds blobs of a release. */
async function source(
  node: SimNode,
  release: SimRelease,
  behaviour: SimPeerBehaviour = honest(release),
  indexes = release.indexes,
): Promise<SimPeer> {
  const peer = await SimPeer.dial(node, CHANNEL, behaviour)
  peer.hello([[CHANNEL, 0]])
  peer.have(
    CHANNEL,
    release,
    indexes.map((start) => ({ start, length: 1 })),
  )
  return peer
}

function honest(release: SimRelease): SimPeerBehaviour {
  const blobs = new Map(release.indexes.map((index) => [toHex(release.id(index)), release.blob(index)]))
  return { readBlob: async (id) => blobs.get(toHex(id)) ?? null }
}

const never: SimPeerBehaviour = { readBlob: () => new Promise(() => {}) }

function code(error: unknown): string | null {
  return isMegatorrentError(error) ? error.code : null
}

describe('a fetch', () => {
  it('gets every blob once, and tells of each', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig)
    const peers = [await source(node, RELEASE), await source(node, RELEASE)]
    await rig.until(() => ending.isOver)
    expect(ending.error).toBe(null)
    expect([...ending.stored].sort((a, b) => a - b)).toEqual(RELEASE.indexes)
    expect(node.holdsAll(RELEASE)).toBe(true)
    // Both gave, and nothing came twice.
    expect(peers.map(({ asked }) => asked.length).reduce((a, b) => a + b)).toBe(RELEASE.count)
    expect(Math.min(...peers.map(({ asked }) => asked.length))).toBeGreaterThan(0)
  })

  it('of nothing is over at once', async () => {
    const rig = newRig()
    const node = await rig.node()
    const { channel } = node.follow(CHANNEL)
    const options = { signal: new AbortController().signal, onStored: () => {} }
    const nothing = { indexes: [], idOf: () => SMALL.id(0) }
    await node.swarm.fetch(channel, SMALL.releaseId(1), nothing, options)
  })

  it('uses what peers told before it began, and what they tell later (I7)', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    await source(node, SMALL, honest(SMALL), [0])
    await rig.clock.advance(1_000)
    const ending = watch(node, following, SMALL)
    await rig.until(() => ending.stored.length === 1)
    await rig.clock.advance(10_000)
    const late = await source(node, SMALL, honest(SMALL), [1])
    await rig.until(() => ending.stored.length === 2)
    late.have(CHANNEL, SMALL, [{ start: 2, length: 1 }])
    await rig.until(() => ending.isOver)
    expect(ending.error).toBe(null)
  })

  it('goes on with another peer when one leaves in the middle', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig)
    const first = await source(node, RELEASE, never)
    await rig.until(() => first.asked.length === 1)
    const second = await source(node, RELEASE)
    await rig.until(() => second.asked.length > 2)
    first.connection.destroy()
    await rig.until(() => ending.isOver, 3_000) // before a second source would be asked
    expect(ending.error).toBe(null)
  })

  it('asks nobody else for a blob that came right before the goodbye of who sent it (S5)', async () => {
    const rig = newRig()
    const one = new SimRelease(3, 1)
    const { node, ending } = await reader(rig, one)
    let write = (): void => {}
    const written = new Promise<void>((resolve) => {
      write = resolve
    })
    node.store.beforePut = () => written
    const first = await SimPeer.dial(node, CHANNEL, honest(one))
    await rig.until(() => node.swarm.peers.size === 1)
    const { connection } = [...node.swarm.peers][0] as Peer
    // What comes in one read is dealt with at once; whoever waits for the blob hears of it after that.
    const request = connection.requestBlob.bind(connection)
    connection.requestBlob = async (...asked) => {
      const frame = await request(...asked)
      connection.destroy()
      return frame
    }
    first.hello([[CHANNEL, 0]])
    first.have(CHANNEL, one, [{ start: 0, length: 1 }])
    await rig.until(() => first.isClosed)
    const second = await source(node, one)
    await rig.clock.advance(2 * SECOND_SOURCE_MS)
    write()
    await rig.until(() => ending.isOver)
    expect([first.asked.length, second.asked.length]).toEqual([1, 0])
    expect(ending.error).toBe(null)
  })

  it('asks a second source for what the first does not give, and calls the first off', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    const tarpit = await source(node, SMALL, never)
    await rig.until(() => tarpit.asked.length === 1)
    await source(node, SMALL)
    const startMs = rig.clock.monotonicMs()
    await rig.until(() => ending.isOver)
    expect(rig.clock.monotonicMs() - startMs).toBeLessThan(SECOND_SOURCE_MS + 3_000)
    const [peer] = [...node.swarm.peers]
    expect(peer?.inFlight.size).toBe(0)
    expect(tarpit.isClosed).toBe(false) // slow is not false (B1)
    expect(node.bans.size).toBe(0)
  })

  it('takes a blob that comes twice once', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    const blobs = honest(SMALL).readBlob
    const slowly: SimPeerBehaviour = {
      readBlob: async (id) => {
        await new Promise<void>((resolve) => rig.clock.setTimer(resolve, SECOND_SOURCE_MS + 1_000))
        return (await blobs?.(id)) ?? null
      },
    }
    await source(node, SMALL, slowly)
    await source(node, SMALL, slowly)
    await rig.until(() => ending.isOver)
    expect([...ending.stored].sort()).toEqual([0, 1, 2])
  })

  it('asks a new peer for one blob at a time, and for more as it gives them (I6)', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig)
    const blobs = honest(RELEASE).readBlob
    const waiting: (() => void)[] = []
    const peer = await source(node, RELEASE, {
      readBlob: async (id) => {
        await new Promise<void>((resolve) => waiting.push(resolve))
        return (await blobs?.(id)) ?? null
      },
    })
    const windows: number[] = []
    while (!ending.isOver) {
      await rig.until(() => waiting.length > 0 || ending.isOver, 5_000)
      await rig.clock.advance(100)
      windows.push([...node.swarm.peers][0]?.inFlight.size ?? 0)
      waiting.shift()?.()
      await rig.clock.advance(100)
    }
    expect(windows.slice(0, 4)).toEqual([1, 2, 3, 4])
    expect(Math.max(...windows)).toBeLessThanOrEqual(MAX_WINDOW)
    expect(peer.asked).toHaveLength(RELEASE.count)
  })

  it('takes no second blob of a new peer before the hash of the first was looked at (I6)', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    const looked: (() => void)[] = []
    node.store.beforePut = () => new Promise<void>((resolve) => looked.push(resolve))
    const liar = await source(node, SMALL, { readBlob: async (id) => falseBlob(id) })
    await rig.until(() => looked.length === 1)
    await rig.clock.advance(SECOND_SOURCE_MS)
    expect(liar.asked).toHaveLength(1)
    node.store.beforePut = null
    looked.shift()?.()
    await rig.until(() => liar.isClosed)
    expect(liar.asked).toHaveLength(1)
    await source(node, SMALL)
    await rig.until(() => ending.isOver)
  })

  it('leaves a peer alone for longer each time another had to give what it was asked for', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig)
    await source(node, RELEASE, never)
    await rig.until(() => node.swarm.peers.size === 1)
    const [tarpit] = [...node.swarm.peers]
    const askedAtMs: number[] = []
    for (let round = 0; round < 5; round++) {
      await rig.until(() => tarpit?.inFlight.size === 1, 60_000)
      askedAtMs.push(rig.clock.monotonicMs())
      const index = [...(tarpit?.inFlight ?? [])][0]?.index ?? -1
      const giver = await source(node, RELEASE, honest(RELEASE), [index])
      await rig.until(() => ending.stored.includes(index), 10_000)
      giver.connection.destroy()
    }
    const waits = askedAtMs.slice(1).map((atMs, before) => atMs - (askedAtMs[before] ?? 0) - MIN_LATE_MS)
    for (const [before, waitMs] of waits.entries()) {
      expect(waitMs, `${waits}`).toBeGreaterThanOrEqual(BUSY_PAUSE_MS * 2 ** before)
    }
  })

  it('does not ask a peer again for a blob that it does not give', async () => {
    const rig = newRig()
    const { node, following, ending } = await reader(rig, SMALL)
    const blobs = honest(SMALL).readBlob
    const missing = toHex(SMALL.id(1))
    const peer = await source(node, SMALL, {
      readBlob: async (id) => (toHex(id) === missing ? null : ((await blobs?.(id)) ?? null)),
    })
    await rig.until(() => ending.stored.length === 2)
    await rig.clock.advance(30_000)
    expect(peer.asked.filter((id) => toHex(id) === missing)).toHaveLength(1)
    const [fetch] = [...following.channel.fetches.values()]
    expect(fetch?.picker.holders(1)).toBe(0)
    peer.connection.destroy()
    await rig.clock.advance(1_000)
    expect(SMALL.indexes.map((index) => fetch?.picker.holders(index))).toEqual([0, 0, 0])
    await source(node, SMALL)
    await rig.until(() => ending.isOver)
  })

  it('knows of each blob that is held that it is wanted no more', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    const wrong: string[] = []
    let stored = 0
    const fetching = node.fetch(following, RELEASE, 1, {
      onStored: (index) => {
        stored++
        const [fetch] = [...following.channel.fetches.values()]
        if (fetch?.picker.isWanted(index) !== false) wrong.push(`${index} is still wanted`)
        if (fetch?.picker.remaining !== RELEASE.count - stored)
          wrong.push(`${fetch?.picker.remaining} remain`)
      },
    })
    await source(node, RELEASE)
    await rig.until(() => stored === RELEASE.count)
    await fetching
    expect(wrong).toEqual([])
  })

  it('leaves a peer alone that is busy, and comes back', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    let refusals = 3
    const blobs = honest(SMALL).readBlob
    const peer = await source(node, SMALL, {
      readBlob: async (id) => {
        if (refusals-- > 0) throw new Error('not now')
        return (await blobs?.(id)) ?? null
      },
    })
    await rig.until(() => ending.isOver)
    expect(ending.error).toBe(null)
    expect(peer.asked.length).toBe(SMALL.count + 3)
    expect(rig.clock.monotonicMs()).toBeGreaterThan(3_000)
  })

  it('asks a peer only so often for what it told of and does not give', async () => {
    const rig = newRig()
    const big = new SimRelease(3, 1)
    const wants = {
      indexes: Array.from({ length: 5_000 }, (_, index) => index),
      idOf: (index: number) => {
        const id = new Uint8Array(32)
        new DataView(id.buffer).setUint32(0, index)
        return id
      },
    }
    const node = await rig.node()
    const { channel } = node.follow(CHANNEL)
    const stop = new AbortController()
    const fetching = node.swarm.fetch(channel, big.releaseId(1), wants, {
      signal: stop.signal,
      onStored: () => {},
    })
    const liar = await SimPeer.dial(node, CHANNEL)
    liar.hello([[CHANNEL, 0]])
    liar.have(CHANNEL, big, [{ start: 0, length: 5_000 }])
    await rig.clock.advance(60_000)
    expect(liar.asked.length).toBe(MAX_MISSES + 1)
    expect(node.bans.size).toBe(0) // B1
    stop.abort()
    await expect(fetching).rejects.toMatchObject({ code: 'ERR_ABORTED' })
  })
})

describe('a false blob', () => {
  it('is not kept, costs the peer its connection, and the blob comes from elsewhere (I4, B1)', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    const liar = await source(node, SMALL, { readBlob: async (id) => falseBlob(id) })
    await rig.until(() => liar.isClosed)
    expect(node.store.held.size).toBe(0)
    expect(ending.stored).toEqual([])
    expect([...node.bans.keys()]).toEqual([`ip:${liar.secured.channel.stream.local.host}`])
    expect(liar.asked).toHaveLength(1)
    await source(node, SMALL)
    await rig.until(() => ending.isOver)
    expect(ending.error).toBe(null)
  })

  it('does not call off the honest peer that was asked first (S5)', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    const blobs = honest(SMALL).readBlob
    const slow = await source(
      node,
      SMALL,
      {
        readBlob: async (id) => {
          await new Promise<void>((resolve) => rig.clock.setTimer(resolve, SECOND_SOURCE_MS + 2_500))
          return (await blobs?.(id)) ?? null
        },
      },
      [0],
    )
    await rig.until(() => slow.asked.length === 1)
    const liar = await source(node, SMALL, { readBlob: async (id) => falseBlob(id) }, [0])
    await rig.until(() => liar.isClosed)
    expect(liar.asked).toHaveLength(1)
    await rig.until(() => ending.stored.includes(0), 4_000)
    expect(slow.asked).toHaveLength(1)
  })
})

describe('a blob frame that was changed on its way', () => {
  it('ends the connection and bans nobody: it may not have been the peer', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, SMALL)
    const peer = await source(node, SMALL)
    const { stream } = peer.secured.channel
    const write = stream.write.bind(stream)
    stream.write = (bytes, onTaken) => {
      if (bytes.length === BLOB_FRAME_BYTES) bytes[99] = (bytes[99] ?? 0) ^ 1
      return write(bytes, onTaken)
    }
    await rig.until(() => peer.isClosed)
    expect(node.store.held.size).toBe(0)
    expect(node.bans.size).toBe(0)
    await source(node, SMALL)
    await rig.until(() => ending.isOver)
    expect(ending.error).toBe(null)
  })
})

describe('the place of a blob', () => {
  const place = { key: new Uint8Array(32), pieces: [] }

  /** Leases of it, and how many were given and not released. */
  function leases() {
    const open = { count: 0 }
    const lease = () => {
      open.count++
      return { placement: place, release: () => void open.count-- }
    }
    return { open, lease }
  }

  it('is told to the sink, and its call is told that it was used; other calls are not', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    const asked: number[] = []
    const { open, lease } = leases()
    const placeOf = async (index: number) => {
      asked.push(index)
      return index === 1 ? null : lease()
    }
    const placing = watch(node, following, SMALL, undefined, placeOf)
    const other = watch(node, following, SMALL)
    await source(node, SMALL)
    await rig.until(() => placing.isOver && other.isOver)
    expect([placing.error, other.error]).toEqual([null, null])
    expect(node.store.places).toEqual([place, place])
    expect([...asked].sort()).toEqual([0, 1, 2])
    expect([[...placing.placed].sort(), other.placed]).toEqual([[0, 2], []])
    expect([placing.stored.length, other.stored.length]).toEqual([3, 3])
    expect(open.count).toBe(0)
  })

  it('that cannot be had or written ends its call, and the others keep the blob', async () => {
    for (const fault of ['had', 'written']) {
      const rig = newRig()
      const node = await rig.node()
      const following = node.follow(CHANNEL)
      const { open, lease } = leases()
      const placeOf = async () => {
        if (fault === 'had') throw diskFull()
        return lease()
      }
      node.store.placeError = diskFull()
      const placing = watch(node, following, SMALL, undefined, placeOf)
      const other = watch(node, following, SMALL)
      const peer = await source(node, SMALL)
      await rig.until(() => placing.isOver && other.isOver)
      expect([code(placing.error), other.error]).toEqual(['ERR_DISK_FULL', null])
      expect(node.holdsAll(SMALL)).toBe(true)
      expect([peer.isClosed, node.bans.size]).toEqual([false, 0])
      expect(open.count).toBe(0)
    }
  })

  it('is given back when the blob was false', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    const { open, lease } = leases()
    const ending = watch(node, following, SMALL, undefined, async () => lease())
    const liar = await source(node, SMALL, { readBlob: async (id) => falseBlob(id) })
    await rig.until(() => liar.isClosed)
    expect([ending.isOver, open.count]).toEqual([false, 0])
  })
})

describe('a sink that fails', () => {
  it('ends the fetch with its error, blames no peer, and loses nothing (I5)', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig)
    const peer = await source(node, RELEASE)
    await rig.until(() => ending.stored.length >= 3)
    node.store.failPut = diskFull()
    await rig.until(() => ending.isOver)
    expect(code(ending.error)).toBe('ERR_DISK_FULL')
    const held = node.store.held.size
    expect(held).toBe(ending.stored.length)
    expect(peer.isClosed).toBe(false)
    expect(node.bans.size).toBe(0)
    node.store.failPut = null
    const again = watch(node, node.follow(CHANNEL), RELEASE)
    expect(again.isOver).toBe(false)
  })

  it('is tried again by another call, which gets the rest', async () => {
    const rig = newRig()
    const { node, following, ending } = await reader(rig)
    await source(node, RELEASE)
    await rig.until(() => ending.stored.length >= 3)
    node.store.failPut = diskFull()
    await rig.until(() => ending.isOver)
    node.store.failPut = null
    const again = watch(node, following, RELEASE)
    await rig.until(() => again.isOver)
    expect(again.error).toBe(null)
    expect(again.stored.length).toBeLessThan(RELEASE.count)
    expect(node.holdsAll(RELEASE)).toBe(true)
  })
})

describe('calls', () => {
  it('that are called off end with ERR_ABORTED, and nothing more is asked', async () => {
    const rig = newRig()
    const stop = new AbortController()
    const { node, following, ending } = await reader(rig, RELEASE, stop.signal)
    const gate: (() => void)[] = []
    const blobs = honest(RELEASE).readBlob
    const peer = await source(node, RELEASE, {
      readBlob: async (id) => {
        await new Promise<void>((resolve) => gate.push(resolve))
        return (await blobs?.(id)) ?? null
      },
    })
    await rig.until(() => peer.asked.length === 1)
    stop.abort()
    await rig.until(() => ending.isOver, 10)
    expect(code(ending.error)).toBe('ERR_ABORTED')
    expect([...node.swarm.peers][0]?.inFlight.size).toBe(0)
    gate.shift()?.()
    await rig.clock.advance(100)
    expect(peer.asked).toHaveLength(1)
    // It was our doing: the peer is asked again as soon as there is something to ask.
    watch(node, following, RELEASE)
    await rig.until(() => peer.asked.length === 2, 100)
    expect(peer.isClosed).toBe(false)
  })

  it('that were called off before they began ask nobody', async () => {
    const rig = newRig()
    const { ending } = await reader(rig, RELEASE, AbortSignal.abort())
    await rig.until(() => ending.isOver, 10)
    expect(code(ending.error)).toBe('ERR_ABORTED')
  })

  it('for the same blobs share them, and one that ends leaves the others theirs', async () => {
    const rig = newRig()
    const stop = new AbortController()
    const { node, following, ending } = await reader(rig, SMALL)
    const other = watch(node, following, SMALL, stop.signal)
    const gate: (() => void)[] = []
    const blobs = honest(SMALL).readBlob
    const peer = await source(node, SMALL, {
      readBlob: async (id) => {
        await new Promise<void>((resolve) => gate.push(resolve))
        return (await blobs?.(id)) ?? null
      },
    })
    await rig.until(() => gate.length === 1)
    stop.abort()
    await rig.until(() => other.isOver)
    while (!ending.isOver) {
      await rig.until(() => gate.length > 0 || ending.isOver, 5_000)
      gate.shift()?.()
      await rig.clock.advance(50)
    }
    expect(ending.stored.length).toBe(SMALL.count)
    expect(other.stored).toEqual([])
    expect(peer.asked).toHaveLength(SMALL.count)
  })

  it('are told of what they want, and of nothing else', async () => {
    const rig = newRig()
    const node = await rig.node()
    const { channel } = node.follow(CHANNEL)
    const idOf = (index: number): Uint8Array => SMALL.id(index)
    const { signal } = new AbortController()
    const told: number[][] = [[], []]
    const calls = [[0], [1, 2]].map((indexes, number) =>
      node.swarm.fetch(
        channel,
        SMALL.releaseId(1),
        { indexes, idOf },
        { signal, onStored: (index) => told[number]?.push(index) },
      ),
    )
    await source(node, SMALL)
    let isOver = false
    void Promise.all(calls).then(() => {
      isOver = true
    })
    await rig.until(() => isOver)
    expect(told.map((indexes) => indexes.sort())).toEqual([[0], [1, 2]])
  })

  it('for two releases of a channel run side by side', async () => {
    const rig = newRig()
    const { node, following, ending } = await reader(rig, SMALL)
    const other = watch(node, following, RELEASE)
    await source(node, SMALL)
    await source(node, RELEASE)
    await rig.until(() => ending.isOver && other.isOver)
    expect([ending.error, other.error]).toEqual([null, null])
  })

  it('whose owner throws end with that error, and the others go on', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    const good = watch(node, following, SMALL)
    const broken = node.fetch(following, SMALL, 1, {
      onStored: () => {
        throw new MegatorrentError('ERR_FILE_ACCESS', 'cannot write')
      },
    })
    const outcome = broken.catch((error: unknown) => error)
    await source(node, SMALL)
    await rig.until(() => good.isOver)
    expect(code(await outcome)).toBe('ERR_FILE_ACCESS')
    expect(good.error).toBe(null)
  })

  it('end when the channel is left, and leave its requests behind (C5)', async () => {
    const rig = newRig()
    const { node, following, ending } = await reader(rig)
    const peer = await source(node, RELEASE, never)
    await rig.until(() => peer.asked.length === 1)
    node.leave(CHANNEL, following)
    await rig.until(() => ending.isOver, 10)
    expect(code(ending.error)).toBe('ERR_ABORTED')
    await rig.until(() => peer.isClosed, 6_000)
    await expect(node.fetch(following, RELEASE, 1)).rejects.toMatchObject({ code: 'ERR_ABORTED' })
  })

  it('end when the swarm is closed', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig)
    const peer = await source(node, RELEASE, never)
    await rig.until(() => peer.asked.length === 1)
    node.swarm.close()
    await rig.until(() => ending.isOver, 10)
    expect(code(ending.error)).toBe('ERR_ABORTED')
  })
})

describe('a crowd of peers that give nothing', () => {
  it('does not keep the one that gives from being asked (I10)', async () => {
    const rig = newRig()
    const { node, ending } = await reader(rig, RELEASE)
    const blobs = honest(RELEASE).readBlob
    await source(node, RELEASE, {
      readBlob: async (id) => {
        await new Promise<void>((resolve) => rig.clock.setTimer(resolve, 500))
        return (await blobs?.(id)) ?? null
      },
    })
    await rig.until(() => ending.stored.length === 1)
    for (let tarpit = 0; tarpit < 40; tarpit++) await source(node, RELEASE, never)
    const startMs = rig.clock.monotonicMs()
    await rig.until(() => ending.isOver, 60_000)
    expect(ending.error).toBe(null)
    // Nothing of theirs had to run out before.
    expect(rig.clock.monotonicMs() - startMs).toBeLessThan(15_000)
  })
})
