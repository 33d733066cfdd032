/** Files that are read while their blobs still have to come. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { FILE_MANIFEST_MS, READ_AHEAD_BLOBS } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { AccessKeys } from '../../../src/node/access-keys.ts'
import type { ReleaseFile } from '../../../src/node/api.ts'
import { FilesApi } from '../../../src/node/files-api.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { content, KEYS, MIB, manifestBlobsOf, PUBLIC_KEY, ReaderRig, watch } from './reader-rig.ts'

const FILM = content(10 * MIB + 77, 1)
const WORDS = 'some words, and some more'

let rig: ReaderRig
let manifest: Manifest

beforeEach(async () => {
  rig = await ReaderRig.open()
  rig.write('film.mkv', FILM)
  rig.write('sub/words.txt', WORDS)
  manifest = await rig.publish()
})

afterEach(() => rig.close())

/** Follow it, and want none of its files. */
async function followNothing(): Promise<void> {
  await rig.added({ only: ['nothing'] })
  // The other side tries where we said that we listen, and for a second there are two connections. Each has
  // requests of its own: of what comes by both, the order says nothing.
  const isOne = (): boolean => rig.api.sessionOf(PUBLIC_KEY)?.peers === 1
  await rig.net.until(() => rig.net.clock.monotonicMs() > 3_000 && isOne())
  rig.asked.length = 0
}

async function open(path: string): Promise<ReleaseFile> {
  const opening = watch(rig.files.open(PUBLIC_KEY, path))
  await rig.net.until(() => opening.result !== null || opening.code !== null)
  if (opening.result === null) throw new Error(`it ended with ${opening.code}`)
  return opening.result
}

async function bytesOf(file: ReleaseFile, start = 0, end = file.size): Promise<Buffer> {
  const read = async (): Promise<Buffer> => {
    const parts: Uint8Array[] = []
    for await (const piece of file.read(start, end, new AbortController().signal)) parts.push(piece.slice())
    return Buffer.concat(parts)
  }
  const reading = watch(read())
  await rig.net.until(() => reading.result !== null || reading.code !== null)
  if (reading.result === null) throw new Error(`it ended with ${reading.code}`)
  return reading.result
}

/** Numbers of blobs that were asked of the publisher, data blobs from 0. */
function askedNumbers(): number[] {
  const numbers = new Map<string, number>()
  for (let blob = manifest.manifestBlobCount; blob < manifest.blobCount; blob++) {
    numbers.set(toHex(manifest.blobId(blob)), blob - manifest.manifestBlobCount)
  }
  const ofManifest = manifestBlobsOf(manifest)
  return rig.asked.filter((id) => !ofManifest.has(id)).map((id) => numbers.get(id) ?? -1)
}

describe('a file of a release that is not here', () => {
  it('comes as it is read, from blobs in the order of its bytes, each asked for once', async () => {
    await followNothing()
    const file = await open('film.mkv')
    expect(file).toMatchObject({ size: FILM.length, sequence: 1 })
    expect((await bytesOf(file)).equals(FILM)).toBe(true)
    const numbers = askedNumbers()
    expect(new Set(numbers).size).toBe(numbers.length)
    const inOrder = [...manifest.spans(manifest.indexOf('film.mkv'))].map(
      ({ blob }) => blob - manifest.manifestBlobCount,
    )
    expect(numbers).toEqual(inOrder)
  })

  it('costs the blobs of the range that is read and no others', async () => {
    await followNothing()
    const file = await open('film.mkv')
    const part = await bytesOf(file, 5 * MIB - 10, 6 * MIB + 10)
    expect(part.equals(FILM.subarray(5 * MIB - 10, 6 * MIB + 10))).toBe(true)
    const [first = 0] = askedNumbers()
    expect(askedNumbers()).toEqual([first, first + 1, first + 2])
    // Read again, nothing is asked for: it is kept.
    await bytesOf(file, 5 * MIB, 5 * MIB + 1)
    expect(askedNumbers()).toHaveLength(3)
  })

  it('is read before everything else that is being fetched', async () => {
    let isHeld = true
    const held: (() => void)[] = []
    rig.beforeGiving = () => (isHeld ? new Promise<void>((resolve) => held.push(resolve)) : Promise.resolve())
    const following = rig.add({ wait: false })
    const opening = watch(rig.files.open(PUBLIC_KEY, 'film.mkv'))
    expect(opening.code).toBe(null)
    await rig.net.until(() => following.result !== null && held.length > 0)
    isHeld = false
    held.shift()?.()
    const file = await open('film.mkv')
    isHeld = true
    const reading = watch(bytesOf(file, 8 * MIB, 9 * MIB))
    // What was asked before comes first; of what is asked from now on, the one that is read.
    await rig.net.until(() => held.length > 0)
    const before = askedNumbers().length
    isHeld = false
    held.shift()?.()
    await rig.net.until(() => reading.result !== null)
    const number = [...manifest.spans(manifest.indexOf('film.mkv'))].find(
      ({ position }) => position === 8 * MIB,
    )
    const at = askedNumbers().indexOf((number?.blob ?? 0) - manifest.manifestBlobCount)
    expect(at).toBeGreaterThanOrEqual(0)
    expect(at).toBeLessThanOrEqual(before + 3)
  })

  it('is fetched a few blobs ahead and no further, and no more when nobody reads', async () => {
    await followNothing()
    const file = await open('film.mkv')
    const gone = new AbortController()
    const pieces = file.read(0, file.size, gone.signal)[Symbol.asyncIterator]()
    const first = watch(pieces.next())
    await rig.net.until(() => first.result !== null)
    const endMs = rig.net.clock.monotonicMs() + 5_000
    await rig.net.until(() => rig.net.clock.monotonicMs() > endMs)
    // The one that is read, and those ahead of it: not the file.
    expect(askedNumbers().length).toBeLessThanOrEqual(READ_AHEAD_BLOBS + 1)
    const before = askedNumbers().length
    gone.abort()
    const ended = watch(pieces.next())
    await rig.net.until(() => ended.result !== null || ended.code !== null)
    const laterMs = rig.net.clock.monotonicMs() + 5_000
    await rig.net.until(() => rig.net.clock.monotonicMs() > laterMs)
    expect(askedNumbers().length).toBe(before)
  })

  it('waits for peers, and ends when its reader goes', async () => {
    await followNothing()
    rig.publisher.sim.kill()
    const file = await open('sub/words.txt')
    const gone = new AbortController()
    const reading = watch(file.read(0, 5, gone.signal)[Symbol.asyncIterator]().next())
    await rig.net.until(() => rig.net.clock.monotonicMs() > 3_000)
    expect(reading).toEqual({ result: null, code: null })
    gone.abort()
    await rig.net.until(() => reading.code !== null)
    expect(reading.code).toBe('ERR_ABORTED')
  })
})

describe('files of a node', () => {
  it('have an identity that follows from their bytes and not from their release', async () => {
    await followNothing()
    const before = { film: await open('film.mkv'), words: await open('sub/words.txt') }
    rig.write('sub/words.txt', 'other words, of the same length')
    await rig.publish()
    await rig.net.until(() => rig.api.list()[0]?.sequence === 2 && rig.api.list()[0]?.state === 'complete')
    expect((await open('film.mkv')).contentId).toBe(before.film.contentId)
    expect((await open('sub/words.txt')).contentId).not.toBe(before.words.contentId)
    expect(before.film.contentId).toMatch(/^[0-9a-f]{32}$/)
  })

  it('are those of the manifest, by their exact paths', async () => {
    await followNothing()
    for (const path of [
      'sub',
      'words.txt',
      'sub/../film.mkv',
      './film.mkv',
      'FILM.mkv',
      '',
      '/film.mkv',
      'film.mkv/',
    ]) {
      await expect(open(path), path).rejects.toThrow('ERR_NOT_FOUND')
    }
    await expect(rig.files.open('00'.repeat(32), 'film.mkv')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    const listed = await rig.files.list({ publicKey: PUBLIC_KEY, folder: '', after: null, limit: 10 })
    expect(listed.children).toEqual([
      { name: 'film.mkv', kind: 'file', size: FILM.length },
      { name: 'sub', kind: 'folder', size: 0 },
    ])
    await expect(
      rig.files.list({ publicKey: PUBLIC_KEY, folder: 'film.mkv', after: null, limit: 10 }),
    ).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  })

  it('of our own channel are read from what is held', async () => {
    const { sessions } = rig.publisher
    const session = sessions.acquire(KEYS)
    const files = new FilesApi({ sessionOf: () => session, clock: rig.reader.clock })
    const file = await files.open(PUBLIC_KEY, 'sub/words.txt')
    expect((await bytesOf(file)).toString()).toBe(WORDS)
    sessions.release(session)
  })

  it('whose list of files nobody gives are waited for no longer than they may be', async () => {
    rig.beforeGiving = () => new Promise(() => {})
    rig.add({ wait: false })
    await rig.net.until(() => rig.api.sessionOf(PUBLIC_KEY)?.newest != null)
    const startMs = rig.net.clock.monotonicMs()
    const opening = watch(rig.files.open(PUBLIC_KEY, 'film.mkv'))
    await rig.net.until(() => opening.code !== null)
    expect(opening.code).toBe('ERR_TIMEOUT')
    expect(rig.net.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(FILE_MANIFEST_MS)
  })

  it('of a channel of which nothing is known yet are not found', async () => {
    const session = rig.reader.sessions.acquire(KEYS)
    const files = new FilesApi({ sessionOf: () => session, clock: rig.reader.clock })
    await expect(files.open(PUBLIC_KEY, 'film.mkv')).rejects.toMatchObject({ code: 'ERR_RELEASE_NOT_FOUND' })
    rig.reader.sessions.release(session)
  })
})

describe('access keys', () => {
  it('open one channel, over a restart, until they are revoked, and are kept as hashes', () => {
    const { state } = rig.reader
    const deps = { table: state.accessKeys, clock: new ManualClock(), random: seededRandom(5) }
    const keys = new AccessKeys(deps)
    const { key, keyId } = keys.create(KEYS.publicKey, 'player')
    const other = keys.create(KEYS.publicKey, '')
    expect(keys.accepts(PUBLIC_KEY, key)).toBe(true)
    expect(keys.accepts('00'.repeat(32), key)).toBe(false)
    for (const wrong of ['', key.slice(1), `${key}0`, keyId, 'x'.repeat(64)]) {
      expect(keys.accepts(PUBLIC_KEY, wrong), wrong).toBe(false)
    }
    const again = new AccessKeys(deps)
    expect(again.accepts(PUBLIC_KEY, key)).toBe(true)
    expect(again.list()).toMatchObject([{ keyId: expect.any(String), label: 'player' }, { label: '' }])
    const stored = JSON.stringify(state.database.all('SELECT * FROM access_keys'), (_, value: unknown) =>
      value instanceof Uint8Array ? toHex(value) : value,
    )
    expect(stored).not.toContain(key)
    expect(again.revoke(keyId)).toMatchObject({ keyId, publicKey: PUBLIC_KEY })
    expect(again.revoke(keyId)).toBe(null)
    expect([again.accepts(PUBLIC_KEY, key), again.accepts(PUBLIC_KEY, other.key)]).toEqual([false, true])
    again.revokeChannel(KEYS.publicKey)
    expect(again.accepts(PUBLIC_KEY, other.key)).toBe(false)
    expect(new AccessKeys(deps).list()).toEqual([])
  })
})
