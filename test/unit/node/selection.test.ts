/** Which files are wanted: what is asked of peers for them, and what happens when others come to be wanted. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { readTree } from '../channels/harness.ts'
import { blobsOf, content, KEYS, MIB, manifestBlobsOf, ReaderRig } from './reader-rig.ts'

let rig: ReaderRig
let manifest: Manifest

beforeEach(async () => {
  rig = await ReaderRig.open()
  rig.write('film/big.mkv', content(MIB + 100, 1))
  rig.write('film/other.mkv', content(MIB, 2))
  rig.write('film/notes.txt', 'some words')
  rig.write('music/song.ogg', content(MIB + 5, 3))
  rig.write('readme.txt', 'more words')
  manifest = await rig.publish()
})

afterEach(() => rig.close())

const paths = (): string[] =>
  [...readTree(rig.target)].map(([path]) => path).filter((path) => /\./.test(path))

/** What was asked for, without the manifest; nothing twice. */
function askedData(): Set<string> {
  expect(new Set(rig.asked).size).toBe(rig.asked.length)
  const ofManifest = manifestBlobsOf(manifest)
  return new Set(rig.asked.filter((id) => !ofManifest.has(id)))
}

describe('a selection of files', () => {
  it('asks for the blobs of those and no others, each once', async () => {
    const added = await rig.added({ only: ['film/big.*', '*.txt'] })
    expect(added).toMatchObject({ state: 'complete', files: 2, bytes: MIB + 110 })
    expect(paths()).toEqual(['film/big.mkv', 'readme.txt'])
    expect(askedData()).toEqual(blobsOf(manifest, 'film/big.mkv', 'readme.txt'))
    expect(blobsOf(manifest, 'film/other.mkv').size).toBe(1) // which was not asked for
  })

  it('that is larger fetches what is new, and keeps what is there', async () => {
    await rig.added({ only: ['readme.txt'] })
    const before = rig.asked.length
    const added = await rig.added({ only: ['readme.txt', 'music/**'] })
    expect(added).toMatchObject({ state: 'complete', files: 2 })
    expect(paths()).toEqual(['music/song.ogg', 'readme.txt'])
    expect(askedData()).toEqual(blobsOf(manifest, 'readme.txt', 'music/song.ogg'))
    expect(rig.asked.length).toBeGreaterThan(before)
    expect(rig.reader.state.subscriptions.get(KEYS.publicKey)?.onlyGlobs).toEqual(['readme.txt', 'music/**'])
  })

  it('that is smaller leaves files where they are, and asks for less of the next release', async () => {
    await rig.added({ only: ['film/*.mkv'] })
    await rig.added({ only: ['readme.txt'] })
    expect(paths()).toEqual(['film/big.mkv', 'film/other.mkv', 'readme.txt'])
    rig.write('film/big.mkv', content(MIB, 9))
    rig.write('readme.txt', 'other words')
    const next = await rig.publish()
    rig.asked.length = 0
    await rig.net.until(() => rig.api.list()[0]?.sequence === 2 && rig.api.list()[0]?.state === 'complete')
    const wanted = [...blobsOf(next, 'readme.txt'), ...manifestBlobsOf(next)]
    expect(rig.asked.filter((id) => !wanted.includes(id))).toEqual([])
    expect(readFileSync(join(rig.target, 'readme.txt'), 'utf8')).toBe('other words')
  })

  it('can be all files again, and stays as it is where none is given', async () => {
    await rig.added({ only: ['readme.txt'] })
    await rig.added()
    expect(paths()).toEqual(['readme.txt'])
    await rig.added({ only: [] })
    expect(paths()).toHaveLength(5)
    expect(new Set(rig.asked).size).toBe(rig.asked.length)
  })

  it('may change while the one before is on its way', async () => {
    const held: (() => void)[] = []
    const ofOther = blobsOf(manifest, 'film/other.mkv')
    rig.beforeGiving = (id) =>
      ofOther.has(id) ? new Promise<void>((resolve) => held.push(resolve)) : Promise.resolve()
    const first = rig.add({ only: ['film/other.mkv'], wait: false })
    await rig.net.until(() => first.result !== null && held.length > 0)
    const second = rig.add({ only: ['readme.txt'] })
    for (const give of held) give()
    await rig.net.until(() => second.result !== null)
    expect(second.result).toMatchObject({ state: 'complete', files: 1 })
    expect(paths()).toEqual(['readme.txt'])
  })

  it('of nothing in the release is complete at once, and asks for no data', async () => {
    expect(await rig.added({ only: ['*.iso'] })).toMatchObject({ state: 'complete', files: 0, bytes: 0 })
    expect(askedData().size).toBe(0)
  })

  it('for once leaves those files and no subscription', async () => {
    const got = await rig.added({ only: ['music/*'], once: true })
    expect(got).toMatchObject({ state: 'complete', files: 1 })
    expect(paths()).toEqual(['music/song.ogg'])
    expect(askedData()).toEqual(blobsOf(manifest, 'music/song.ogg'))
    expect(rig.api.list()).toEqual([])
  })

  it('for once that is another than the one that is followed is refused, since it would not be got', async () => {
    await rig.added({ only: ['readme.txt'] })
    const other = rig.add({ only: ['music/*'], once: true })
    const all = rig.add({ once: true })
    await rig.net.until(() => other.code !== null && all.code !== null)
    expect([other.code, all.code]).toEqual(['ERR_SUBSCRIPTION_ONLY', 'ERR_SUBSCRIPTION_ONLY'])
    expect(await rig.added({ only: ['readme.txt'], once: true })).toMatchObject({ state: 'complete' })
    expect(paths()).toEqual(['readme.txt'])
  })
})
