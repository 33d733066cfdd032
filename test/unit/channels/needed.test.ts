/** Which releases are needed, and why: rows in, decision out. */
import { describe, expect, it } from 'vitest'
import { INGEST_KEEP_MS, PREVIOUS_RELEASE_KEEP_MS } from '../../../src/base/limits.ts'
import { decideNeeded, type NeededInput } from '../../../src/channels/needed.ts'
import { signHead } from '../../../src/wire/head.ts'
import { keysOf } from './channel-node.ts'

const KEYS = keysOf(1)
const OTHER = keysOf(2)
const NOW = 1_800_000_000_000
const DAY = PREVIOUS_RELEASE_KEEP_MS

type Row = ReturnType<NeededInput['releasesOf']>[number]

/** The root of release n is full of n. */
function release(sequence: number, change: Partial<Row> & { readonly isUnpublished?: boolean } = {}): Row {
  const { isUnpublished = false, ...rest } = change
  const head = signHead(
    {
      releaseNumber: sequence,
      revision: 0,
      signedAt: NOW,
      root: new Uint8Array(64).fill(isUnpublished ? 0 : sequence),
      previousHash: null,
      isUnpublished,
      successorKey: null,
      addresses: [],
    },
    KEYS.signingKey,
  )
  return { sequence, head: head.bytes, receivedAt: NOW - 10 * DAY, conflict: false, ...rest }
}

function decide(releases: readonly Row[], change: Partial<NeededInput> = {}): string[] {
  const { manifests } = decideNeeded({
    now: NOW,
    channels: [],
    subscriptions: [{ publicKey: KEYS.publicKey, completeSequence: releases[0]?.sequence ?? 0 }],
    ingests: [],
    releasesOf: (publicKey) => (publicKey === KEYS.publicKey ? releases : []),
    ...change,
  })
  return manifests.map(({ root, reason, wasWhole }) => `${root[0]} ${reason}${wasWhole ? ', whole' : ''}`)
}

const following = (completeSequence: number): Partial<NeededInput> => ({
  subscriptions: [{ publicKey: KEYS.publicKey, completeSequence }],
})
const owning = (sequence: number, publishedIngest: string | null): Partial<NeededInput> => ({
  channels: [{ publicKey: KEYS.publicKey, sequence, publishedIngest }],
  subscriptions: [],
})

describe('what is needed of a channel', () => {
  it('is the newest release alone, when it is complete and a day old', () => {
    expect(decide([release(3), release(2), release(1)])).toEqual(['3 newest, whole'])
  })

  it('is nothing for a channel that is neither ours nor followed, or of which no release is known', () => {
    expect(decide([release(1)], { subscriptions: [] })).toEqual([])
    expect(decide([])).toEqual([])
  })

  it('is the one before too, for a day after the newest came', () => {
    const newest = release(3, { receivedAt: NOW - DAY + 1 })
    expect(decide([newest, release(2), release(1)])).toEqual(['3 newest, whole', '2 previous'])
    expect(decide([release(3, { receivedAt: NOW - DAY }), release(2)])).toEqual(['3 newest, whole'])
  })

  it('is what is in the directory, and the one before, until the newest is complete', () => {
    const releases = [5, 4, 3, 2, 1].map((sequence) => release(sequence))
    expect(decide(releases, following(2))).toEqual(['5 newest', '4 previous', '2 in directory, whole'])
    expect(decide(releases, following(4))).toEqual(['5 newest', '4 previous, whole'])
    expect(decide(releases, following(0))).toEqual(['5 newest', '4 previous'])
  })

  it('is nothing that contradicts another release', () => {
    const rows = [release(3), release(3, { conflict: true, head: release(9).head }), release(2)]
    expect(decide(rows, following(2))).toEqual(['3 newest', '2 previous, whole'])
  })

  it('is nothing once it is unpublished, and what was before that stays nothing when it is back', () => {
    expect(decide([release(3, { isUnpublished: true }), release(2)], following(2))).toEqual([])
    const back = [release(4, { receivedAt: NOW }), release(3, { isUnpublished: true }), release(2)]
    expect(decide(back, following(2))).toEqual(['4 newest', '2 in directory, whole'])
  })

  it('must be whole when the release was made here', () => {
    expect(decide([release(3)], owning(3, 'i'))).toEqual(['3 newest, whole'])
    // Of another machine with the same key, or not of ours at all.
    expect(decide([release(4), release(3)], owning(3, 'i'))).toEqual(['4 newest'])
    expect(decide([release(3)], owning(3, null))).toEqual(['3 newest'])
  })
})

describe('what is needed of ingests', () => {
  const ingest = (id: string, createdAt: number, fill: number) => ({
    id,
    publicKey: OTHER.publicKey,
    rootId: new Uint8Array(32).fill(fill),
    rootKey: new Uint8Array(32).fill(fill),
    createdAt,
  })

  it('is what a channel was published from, however old, and others for a week', () => {
    const needed = decideNeeded({
      now: NOW,
      channels: [{ publicKey: OTHER.publicKey, sequence: 1, publishedIngest: 'published' }],
      subscriptions: [],
      ingests: [
        ingest('published', 0, 1),
        ingest('fresh', NOW - INGEST_KEEP_MS + 1, 2),
        ingest('old', NOW - INGEST_KEEP_MS, 3),
      ],
      releasesOf: () => [],
    })
    expect(needed.manifests.map(({ root, reason }) => `${root[0]} ${reason}`)).toEqual([
      '1 ingest',
      '2 ingest',
    ])
    expect(needed.expiredIngests).toEqual(['old'])
  })

  it('does not go early when the clock was put back', () => {
    const input = { now: 0, channels: [], subscriptions: [], releasesOf: () => [] }
    expect(decideNeeded({ ...input, ingests: [ingest('a', NOW, 1)] }).expiredIngests).toEqual([])
  })
})
