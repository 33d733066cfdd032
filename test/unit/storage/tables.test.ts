import { describe, expect, it } from 'vitest'
import { MAX_CONFLICTS_PER_RELEASE, MAX_RELEASES_PER_CHANNEL } from '../../../src/base/limits.ts'
import type { State } from '../../../src/storage/state.ts'
import type { ChannelRow } from '../../../src/storage/tables/channels-table.ts'
import type { NewHead } from '../../../src/storage/tables/releases-table.ts'
import type { SlotRow } from '../../../src/storage/tables/slots-table.ts'
import type { SubscriptionRow } from '../../../src/storage/tables/subscriptions-table.ts'
import type { WrittenFile } from '../../../src/storage/tables/written-files-table.ts'
import { openTestState, tempFolder } from './harness.ts'

const key = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const open = (): State => openTestState(tempFolder())

describe('MetaTable', () => {
  it('keeps one value of any type under a name', () => {
    const { meta } = open()
    expect(meta.get('a')).toBeNull()
    for (const value of ['text', 42, Uint8Array.of(1, 2)]) {
      meta.set('a', value)
      expect(meta.get('a')).toEqual(value)
    }
    expect([meta.remove('a'), meta.remove('a'), meta.get('a')]).toEqual([true, false, null])
  })
})

describe('BlobsTable', () => {
  it('adds and removes each id once and says which', () => {
    const { blobs } = open()
    expect(blobs.add([key(1), key(2), key(1)], 1)).toEqual([key(1), key(2)])
    expect(blobs.add([key(2), key(3)], 2)).toEqual([key(3)])
    expect([blobs.count(), blobs.has(key(3)), blobs.has(key(4))]).toEqual([3, true, false])
    expect(blobs.remove([key(4), key(2)])).toEqual([key(2)])
    expect(blobs.count()).toBe(2)
  })

  it('pages in order and by first byte', () => {
    const { blobs } = open()
    const odd = key(2).fill(0, 1)
    const last = key(2).fill(255, 1)
    blobs.add([key(3), key(1), last, odd, key(2)], 1)
    expect(blobs.page(null, 2)).toEqual([key(1), odd])
    expect(blobs.page(odd, 10)).toEqual([key(2), last, key(3)])
    expect(blobs.inShard(2)).toEqual([odd, key(2), last])
    expect(blobs.inShard(0)).toEqual([])
  })

  it('refuses what is no id', () => {
    const { blobs } = open()
    expect(() => blobs.add([new Uint8Array(31)], 1)).toThrow(expect.objectContaining({ code: 'ERR_BUG' }))
  })
})

describe('BlobOriginsTable', () => {
  const A = key(101)
  const B = key(102)

  it('tells by which channels a blob came, over a restart', () => {
    const folder = tempFolder()
    const before = openTestState(folder)
    before.blobs.add([key(1), key(2)], 1)
    const both = [A, B].map((publicKey) => ({ publicKey, blobId: key(1) }))
    before.blobOrigins.add([...both, { publicKey: B, blobId: key(2) }])
    before.blobOrigins.add(both)
    before.close()
    const { blobOrigins } = openTestState(folder)
    expect([1, 2].map((n) => [blobOrigins.has(A, key(n)), blobOrigins.has(B, key(n))])).toEqual([
      [true, true],
      [false, true],
    ])
  })

  it('forgets a blob when it goes, by whichever channel it comes again', () => {
    const { blobs, blobOrigins } = open()
    blobs.add([key(1)], 1)
    blobOrigins.add([{ publicKey: A, blobId: key(1) }])
    expect(blobs.remove([key(1)])).toEqual([key(1)])
    blobs.add([key(1)], 1)
    blobOrigins.add([{ publicKey: B, blobId: key(1) }])
    expect([A, B].map((publicKey) => blobOrigins.has(publicKey, key(1)))).toEqual([false, true])
  })

  it('keeps nothing of blobs that are not held', () => {
    const { blobs, blobOrigins } = open()
    blobOrigins.add([{ publicKey: A, blobId: key(1) }])
    blobs.add([key(1)], 1)
    expect(blobOrigins.has(A, key(1))).toBe(false)
  })
})

describe('ChannelsTable', () => {
  const row: ChannelRow = {
    publicKey: key(1),
    name: 'one',
    private: true,
    open: false,
    createdAt: 5,
    sequence: 0,
    revision: 0,
    publishedIngest: null,
  }

  it('finds a channel by key and by name', () => {
    const { channels } = open()
    channels.add(row)
    channels.add({ ...row, publicKey: key(2), name: 'a second', open: true })
    expect(channels.get(key(1))).toEqual(row)
    expect(channels.byName('one')).toEqual(row)
    expect(channels.list().map(({ name }) => name)).toEqual(['a second', 'one'])
    expect([channels.get(key(3)), channels.byName('two')]).toEqual([null, null])
    expect([channels.remove(key(1)), channels.remove(key(1))]).toEqual([true, false])
  })

  it('gives each name and each key to one channel', () => {
    const { channels } = open()
    channels.add(row)
    channels.add({ ...row, publicKey: key(2), name: 'two' })
    expect(() => channels.add({ ...row, publicKey: key(3) })).toThrow(
      expect.objectContaining({ code: 'ERR_NAME_TAKEN' }),
    )
    expect(() => channels.add({ ...row, name: 'three' })).toThrow(
      expect.objectContaining({ code: 'ERR_KEY_EXISTS' }),
    )
    expect(() => channels.rename(key(2), 'one')).toThrow(expect.objectContaining({ code: 'ERR_NAME_TAKEN' }))
    channels.rename(key(1), 'one')
    channels.rename(key(2), 'second')
    expect(channels.byName('second')?.publicKey).toEqual(key(2))
  })

  it('never goes back to an earlier release or revision', () => {
    const { channels } = open()
    channels.add(row)
    expect(channels.setPublished(key(1), 1, 0, 'i1')).toBe(true)
    expect(channels.setPublished(key(1), 1, 3, 'i1')).toBe(true)
    expect(channels.setPublished(key(1), 1, 2, 'i1')).toBe(false)
    expect(channels.setPublished(key(1), 2, 0, 'i2')).toBe(true)
    expect(channels.setPublished(key(1), 1, 9, 'i1')).toBe(false)
    expect(channels.setPublished(key(9), 1, 0, null)).toBe(false)
    expect(channels.get(key(1))).toMatchObject({ sequence: 2, revision: 0, publishedIngest: 'i2' })
  })
})

describe('ReleasesTable', () => {
  const head = (sequence: number, revision: number, root: number, receivedAt = 100): NewHead => ({
    publicKey: key(1),
    sequence,
    revision,
    rootId: key(root),
    head: Uint8Array.of(sequence, revision, root),
    signedAt: 50,
    receivedAt,
  })

  it('tells newer, refreshed, known, older and conflicting heads apart', () => {
    const { releases } = open()
    expect(releases.newest(key(1))).toBeNull()
    expect(releases.upsertHead(head(2, 0, 20))).toBe('newer')
    expect(releases.upsertHead(head(2, 0, 20))).toBe('known')
    expect(releases.upsertHead(head(2, 4, 20, 200))).toBe('refreshed')
    expect(releases.upsertHead(head(2, 3, 20, 300))).toBe('known')
    expect(releases.newest(key(1))).toMatchObject({
      revision: 4,
      receivedAt: 100,
      refreshedAt: 200,
      conflict: false,
    })
    expect(releases.upsertHead(head(1, 9, 10))).toBe('older')
    expect(releases.upsertHead(head(2, 5, 21))).toBe('conflict')
    expect(releases.upsertHead(head(3, 0, 30))).toBe('newer')
    expect(releases.upsertHead(head(2, 0, 22, 400))).toBe('conflict')
    expect(releases.upsertHead(head(2, 4, 20, 500))).toBe('older')
    expect(releases.upsertHead(head(2, 9, 20, 500))).toBe('older')
    expect(releases.upsertHead(head(2, 9, 21, 500))).toBe('conflict')
    expect(releases.get(key(1), 2, key(20))).toMatchObject({ revision: 4, refreshedAt: 200 })
    expect(releases.newest(key(1))?.rootId).toEqual(key(30))
    expect(releases.list(key(1)).map(({ rootId, conflict }) => [rootId[0], conflict])).toEqual([
      [30, false],
      [20, false],
      [21, true],
      [22, true],
    ])
    expect(releases.conflicts(key(1)).map(({ rootId }) => rootId[0])).toEqual([21, 22])
  })

  it('never acts on the later of two that contradict each other, whatever its revision', () => {
    const { releases } = open()
    releases.upsertHead(head(1, 0, 10))
    expect(releases.upsertHead(head(1, 7, 11))).toBe('conflict')
    expect(releases.upsertHead(head(1, 9, 11))).toBe('conflict')
    expect(releases.newest(key(1))?.rootId).toEqual(key(10))
  })

  it('keeps some proofs of a conflict and no more', () => {
    const { releases } = open()
    releases.upsertHead(head(1, 0, 10))
    for (let n = 0; n < 20; n++) expect(releases.upsertHead(head(1, 0, 100 + n))).toBe('conflict')
    expect(releases.conflicts(key(1))).toHaveLength(MAX_CONFLICTS_PER_RELEASE)
  })

  it('keeps so many releases of a channel and drops the oldest', () => {
    const state = open()
    state.database.transaction(() => {
      for (let n = 1; n <= MAX_RELEASES_PER_CHANNEL + 5; n++) state.releases.upsertHead(head(n, 0, n & 255))
    })
    const list = state.releases.list(key(1))
    expect([list.length, list[0]?.sequence, list.at(-1)?.sequence]).toEqual([
      MAX_RELEASES_PER_CHANNEL,
      MAX_RELEASES_PER_CHANNEL + 5,
      6,
    ])
  })

  it('keeps channels apart, notes when a release was seen, and forgets', () => {
    const { releases } = open()
    releases.upsertHead(head(5, 0, 1))
    expect(releases.upsertHead({ ...head(1, 0, 1), publicKey: key(2) })).toBe('newer')
    expect(releases.channels()).toEqual([key(1), key(2)])
    releases.touch(key(1), 5, key(1), 900)
    releases.touch(key(1), 5, key(1), 800)
    expect(releases.get(key(1), 5, key(1))?.refreshedAt).toBe(900)
    expect([releases.remove(key(1)), releases.newest(key(1))]).toEqual([1, null])
    expect(releases.newest(key(2))?.sequence).toBe(1)
  })
})

describe('SubscriptionsTable', () => {
  const row: SubscriptionRow = {
    publicKey: key(1),
    uri: 'megatorrent://x',
    readKey: key(0),
    directory: '/tmp/x',
    onlyGlobs: ['*.txt', 'a/**'],
    kind: 'follow',
    state: 'resolving',
    paused: false,
    addedAt: 7,
    completeSequence: 0,
    errorCode: null,
    errorMessage: null,
    title: null,
  }

  it('keeps every field', () => {
    const { subscriptions } = open()
    subscriptions.add(row)
    subscriptions.add({ ...row, publicKey: key(2), kind: 'once', onlyGlobs: [], addedAt: 3 })
    expect(subscriptions.get(key(1))).toEqual(row)
    expect(subscriptions.list().map(({ publicKey }) => publicKey[0])).toEqual([2, 1])
    expect(() => subscriptions.add(row)).toThrow(expect.objectContaining({ code: 'ERR_KEY_EXISTS' }))
    expect([subscriptions.remove(key(2)), subscriptions.get(key(2))]).toEqual([true, null])
  })

  it('changes the fields that it is told to and no others', () => {
    const { subscriptions } = open()
    subscriptions.add(row)
    const change = {
      state: 'error',
      paused: true,
      errorCode: 'ERR_X',
      errorMessage: 'so',
      title: 'T',
      onlyGlobs: [],
    }
    expect(subscriptions.update(key(1), change)).toBe(true)
    expect(subscriptions.get(key(1))).toEqual({ ...row, ...change })
    expect(subscriptions.update(key(1), { errorCode: null, completeSequence: 4 })).toBe(true)
    expect(subscriptions.get(key(1))).toEqual({ ...row, ...change, errorCode: null, completeSequence: 4 })
    expect([subscriptions.update(key(1), {}), subscriptions.update(key(9), { paused: true })]).toEqual([
      true,
      false,
    ])
  })
})

describe('WrittenFilesTable', () => {
  const file = (path: string, staged = false): WrittenFile => ({
    path,
    size: 10,
    mtimeNs: '1790000000123456789',
    inode: '18446744073709551615',
    identity: Uint8Array.of(1),
    staged,
  })

  it('keeps the journal of renames apart until it is confirmed', () => {
    const { writtenFiles } = open()
    writtenFiles.save(key(1), [file('a'), file('b', true), file('c', true)])
    expect(writtenFiles.staged(key(1)).map(({ path }) => path)).toEqual(['b', 'c'])
    writtenFiles.confirm(key(1), ['b', 'none'])
    expect(writtenFiles.staged(key(1)).map(({ path }) => path)).toEqual(['c'])
    expect(writtenFiles.get(key(1), 'b')).toEqual(file('b'))
    writtenFiles.save(key(1), [{ ...file('a', true), size: 11 }])
    expect(writtenFiles.get(key(1), 'a')).toEqual({ ...file('a', true), size: 11 })
  })

  it('lists files in pages, and forgets them', () => {
    const { writtenFiles } = open()
    const paths = Array.from({ length: 2_345 }, (_, n) => `ordner/ä ${String(n).padStart(5, '0')}`)
    writtenFiles.save(
      key(1),
      paths.map((path) => file(path)),
    )
    writtenFiles.save(key(2), [file('other')])
    expect([...writtenFiles.list(key(1))].map(({ path }) => path)).toEqual(paths)
    expect(writtenFiles.count(key(1))).toBe(2_345)
    writtenFiles.remove(key(1), paths.slice(1))
    expect([...writtenFiles.list(key(1))]).toEqual([file(paths[0] as string)])
    expect([writtenFiles.removeAll(key(1)), writtenFiles.count(key(2))]).toEqual([1, 1])
  })
})

describe('SlotsTable', () => {
  const slot = (seq: number, head = 1): SlotRow => ({
    slotKey: key(5),
    publicKey: key(1),
    day: 20_000,
    replica: 1,
    seq,
    signature: new Uint8Array(64).fill(seq & 255),
    head: Uint8Array.of(head),
    updatedAt: 9,
  })

  it('never goes below the highest version, and keeps the first of two with one seq', () => {
    const { slots } = open()
    expect(slots.highest(key(5))).toBeNull()
    expect(slots.save(slot(2 ** 52))).toBe(true)
    expect(slots.save(slot(2 ** 52 - 1))).toBe(false)
    expect(slots.save(slot(2 ** 52, 2))).toBe(false)
    expect(slots.highest(key(5))).toEqual(slot(2 ** 52))
    expect(slots.save(slot(2 ** 52 + 1, 3))).toBe(true)
    expect(slots.highest(key(5))).toEqual(slot(2 ** 52 + 1, 3))
  })

  it('lists days in order and forgets those that are over', () => {
    const { slots } = open()
    for (const [n, day] of [20_002, 20_000, 20_001].entries()) {
      slots.save({ ...slot(1), slotKey: key(10 + n), day })
    }
    expect(slots.list(key(1), 20_001).map(({ day }) => day)).toEqual([20_001, 20_002])
    expect(slots.prune(20_002)).toBe(2)
    expect(slots.remove(key(1))).toBe(1)
  })
})

describe('PendingPutsTable', () => {
  it('keeps the newest release of each channel until that one is confirmed', () => {
    const { pendingPuts } = open()
    pendingPuts.add({ publicKey: key(1), sequence: 3, since: 30 })
    pendingPuts.add({ publicKey: key(1), sequence: 2, since: 99 })
    pendingPuts.add({ publicKey: key(2), sequence: 1, since: 10 })
    expect(pendingPuts.list()).toEqual([
      { publicKey: key(2), sequence: 1, since: 10 },
      { publicKey: key(1), sequence: 3, since: 30 },
    ])
    pendingPuts.add({ publicKey: key(1), sequence: 4, since: 40 })
    expect(pendingPuts.remove(key(1), 3)).toBe(false)
    expect(pendingPuts.remove(key(1), 4)).toBe(true)
    expect(pendingPuts.list()).toHaveLength(1)
  })
})

describe('IngestsTable', () => {
  it('keeps ingests of a channel, newest first', () => {
    const { ingests } = open()
    const row = {
      id: 'i1',
      publicKey: key(1),
      rootId: key(2),
      rootKey: key(3),
      stats: { files: 3 },
      createdAt: 10,
    }
    ingests.save(row)
    ingests.save({ ...row, id: 'i2', createdAt: 20 })
    ingests.save({ ...row, id: 'i1', stats: { files: 4, list: ['a'] } })
    expect(ingests.get('i1')).toEqual({ ...row, stats: { files: 4, list: ['a'] } })
    expect(ingests.list(key(1)).map(({ id }) => id)).toEqual(['i2', 'i1'])
    expect([ingests.remove('i1'), ingests.get('i1'), ingests.get('none')]).toEqual([true, null, null])
  })
})

describe('PiecesTable', () => {
  it('keeps where each ingest put its pieces', () => {
    const { pieces } = open()
    const many = Array.from({ length: 1_200 }, (_, n) => ({
      hash: key(0)
        .fill(n >> 8, 0, 1)
        .fill(n & 255, 1, 2),
      size: n,
      extents: Uint8Array.of(n & 255),
    }))
    pieces.save(key(1), 'i1', many.slice(0, 700))
    pieces.save(key(1), 'i1', many.slice(700))
    pieces.save(key(1), 'i2', many.slice(0, 2))
    expect([...pieces.list(key(1), 'i1')]).toEqual(many)
    expect([...pieces.list(key(1), 'i2')]).toEqual(many.slice(0, 2))
    expect([...pieces.list(key(2), 'i1')]).toEqual([])
    expect(pieces.remove(key(1), 'i1')).toBe(2)
    expect([...pieces.list(key(1), 'i1')]).toEqual([])
    pieces.save(key(1), 'i3', [])
    expect(pieces.removeChannel(key(1))).toBe(2)
  })
})

describe('EphemeralsTable', () => {
  it('keeps accepted keys for as long as they could be replayed', () => {
    const { ephemerals } = open()
    const row = (n: number, hour: number) => ({ keyId: Uint8Array.of(1), ephemeral: key(n), hour })
    expect(ephemerals.add([row(1, 100), row(2, 101), row(1, 105)])).toBe(2)
    expect(ephemerals.add([{ ...row(1, 100), keyId: Uint8Array.of(2) }])).toBe(1)
    expect(ephemerals.recent(101, 10)).toEqual([row(2, 101)])
    expect(ephemerals.recent(0, 2)).toHaveLength(2)
    expect(ephemerals.prune(101)).toBe(2)
    expect(ephemerals.recent(0, 10)).toEqual([row(2, 101)])
  })
})

describe('BansTable', () => {
  it('makes bans longer, never shorter, and knows which are in force', () => {
    const { bans } = open()
    const ban = (subject: string, until: number, reason = 'r') => ({ subject, until, reason, createdAt: 1 })
    bans.add(ban('key:a', 100))
    bans.add(ban('key:a', 50, 'shorter'))
    bans.add(ban('key:b', 70))
    expect([bans.isActive('key:a', 99), bans.isActive('key:a', 100), bans.isActive('key:c', 0)]).toEqual([
      true,
      false,
      false,
    ])
    bans.add(ban('key:a', 200, 'longer'))
    expect(bans.active(60).map(({ subject }) => subject)).toEqual(['key:b', 'key:a'])
    expect(bans.active(80)).toEqual([{ ...ban('key:a', 200, 'longer') }])
    expect(bans.list()).toHaveLength(2)
    expect([bans.prune(70), bans.remove('key:a'), bans.remove('key:a')]).toEqual([1, true, false])
  })
})

describe('AnchorsTable', () => {
  it('keeps the addresses of a channel in order, and forgets those of channels that are gone', () => {
    const state = open()
    const { anchors } = state
    anchors.replace(key(1), ['b:1', 'a:1', 'b:1'])
    anchors.replace(key(2), ['c:1'])
    expect([anchors.list(key(1)), anchors.list(key(2)), anchors.list(key(3))]).toEqual([
      ['b:1', 'a:1'],
      ['c:1'],
      [],
    ])
    anchors.replace(key(1), ['d:1'])
    expect(anchors.list(key(1))).toEqual(['d:1'])
    state.channels.add({
      publicKey: key(1),
      name: 'one',
      private: true,
      open: false,
      createdAt: 5,
      sequence: 0,
      revision: 0,
      publishedIngest: null,
    })
    expect(anchors.prune()).toBe(1)
    expect([anchors.list(key(1)), anchors.list(key(2))]).toEqual([['d:1'], []])
  })
})

describe('GatewayItemsTable', () => {
  const row = (n: number, seq: number, notAfter = 9) => ({
    item: { publicKey: key(n), seq, signature: new Uint8Array(64).fill(n), value: Uint8Array.of(n, seq) },
    notBefore: 0,
    notAfter,
  })

  it('keeps one value under a key, over a restart, and forgets what it is told to', () => {
    const folder = tempFolder()
    const before = openTestState(folder)
    before.gatewayItems.save([row(1, 1), row(2, 2 ** 53 - 1), row(3, 1)])
    before.gatewayItems.save([row(1, 2, 10)])
    before.gatewayItems.remove([key(3), key(4)])
    before.close()
    const { gatewayItems } = openTestState(folder)
    const kept = gatewayItems.all().sort((a, b) => a.item.seq - b.item.seq)
    expect(kept).toEqual([row(1, 2, 10), row(2, 2 ** 53 - 1)])
  })

  it('takes all or nothing', () => {
    const { gatewayItems } = open()
    const bad = { ...row(2, 1), item: { ...row(2, 1).item, signature: Uint8Array.of(1) } }
    expect(() => gatewayItems.save([row(1, 1), bad])).toThrow()
    expect(gatewayItems.all()).toEqual([])
  })
})
