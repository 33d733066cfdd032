import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../../../src/base/log.ts'
import { randomInteger, seededRandom, systemRandom } from '../../../src/base/random.ts'
import { Assembly } from '../../../src/channels/assemble.ts'
import { systemFolderFs } from '../../../src/channels/folder-fs.ts'
import { removeWritten } from '../../../src/channels/unassemble.ts'
import { WrittenLedger } from '../../../src/channels/written-ledger.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { acceptAll, Bench, readTree } from './harness.ts'
import { Crash, Steps, stepFs, stepLedger } from './step-fs.ts'

// Two releases that differ in every way in which releases can, and files of the user beside them.
let bench: Bench
let manifests: [first: Manifest, second: Manifest]
let trees: [first: Map<string, string | null>, second: Map<string, string | null>]
let subscriptions = 0
const random = seededRandom(3)

beforeAll(async () => {
  bench = new Bench()
  bench.put('kept', 'the same in both')
  bench.put('changed', 'first')
  bench.put('folder/changed', random.bytes(9))
  bench.put('dropped/deep/file', 'goes')
  bench.put('dropped/other', 'goes too')
  bench.put('becomes-folder', 'was a file')
  bench.put('becomes-file/a/b', 'was in a folder')
  bench.put('empty', '')
  mkdirSync(join(bench.source, 'hollow-before'))
  const first = await bench.release()
  const firstTree = readTree(bench.source)
  bench.put('changed', 'second, longer')
  bench.put('folder/changed', random.bytes(CHUNK_BYTES + 4))
  rmSync(join(bench.source, 'dropped'), { recursive: true })
  rmSync(join(bench.source, 'becomes-folder'))
  rmSync(join(bench.source, 'becomes-file'), { recursive: true })
  rmSync(join(bench.source, 'hollow-before'), { recursive: true })
  bench.put('becomes-folder/inside', 'new')
  bench.put('becomes-file', 'now a file')
  bench.put('added/in/a/new/folder', 'new')
  bench.put('added-empty', '')
  mkdirSync(join(bench.source, 'hollow-after'))
  const second = await bench.release()
  manifests = [await bench.manifest(first), await bench.manifest(second)]
  trees = [firstTree, readTree(bench.source)]
})

afterAll(() => bench.close())

interface Subscribed {
  readonly publicKey: Uint8Array
  readonly directory: string
}

const MINE = ['mine', 'folder/mine', 'dropped/mine'] as const

/** A subscription that holds the first release, and three files of the user. */
async function subscribed(): Promise<Subscribed> {
  subscriptions += 1
  const publicKey = new Uint8Array(32)
  new DataView(publicKey.buffer).setUint32(0, subscriptions)
  const directory = join(bench.folder, `target-${subscriptions}`)
  const where = { publicKey, directory }
  await assemble(where, manifests[0], new Steps())
  for (const path of MINE) writeFileSync(join(directory, path), `mine: ${path}`)
  return where
}

async function assemble(where: Subscribed, manifest: Manifest, steps: Steps): Promise<void> {
  const assembly = await Assembly.begin({
    directory: where.directory,
    manifest,
    onlyGlobs: [],
    ledger: stepLedger(steps, bench.state, where.publicKey),
    store: bench.store,
    minFreeBytes: 0,
    random: systemRandom,
    log: silentLog,
    fs: stepFs(steps),
  })
  acceptAll(assembly)
  try {
    await assembly.finish()
  } finally {
    await assembly.settle().catch(() => {})
  }
}

function expectMineIntact(directory: string): void {
  for (const path of MINE) expect(readFileSync(join(directory, path), 'utf8')).toBe(`mine: ${path}`)
}

/** Nothing that is there is anything but a whole file of one of the releases, or the user's. */
function expectWholeFiles(directory: string): void {
  for (const [path, content] of readTree(directory)) {
    if (content === null || path.startsWith('.megatorrent-') || path.endsWith('mine')) continue
    expect([trees[0].get(path), trees[1].get(path)]).toContain(content)
  }
}

function expectSecond(directory: string): void {
  const found = readTree(directory)
  for (const path of MINE) found.delete(path)
  found.delete('dropped') // holds a file of the user
  expect(found).toEqual(trees[1])
}

async function runUntilCrash(where: Subscribed, stopAt: number): Promise<boolean> {
  try {
    await assemble(where, manifests[1], new Steps(stopAt))
    return false
  } catch (error) {
    const cause = error instanceof Crash ? error : (error as Error).cause
    if (!(cause instanceof Crash || error instanceof Crash)) throw error
    return true
  }
}

describe('an assembly that is killed', () => {
  it('between any two steps leaves whole files, all of the user, and is completed by the next one', async () => {
    let crashes = 0
    let secondCrashes = 0
    for (let stopAt = 0; ; stopAt++) {
      const where = await subscribed()
      const crashed = await runUntilCrash(where, stopAt)
      expectMineIntact(where.directory)
      expectWholeFiles(where.directory)
      if (!crashed) break
      crashes += 1
      // The mending is killed as well, somewhere.
      if (await runUntilCrash(where, randomInteger(random, 0, 30))) secondCrashes += 1
      expectMineIntact(where.directory)
      expectWholeFiles(where.directory)
      await assemble(where, manifests[1], new Steps())
      expectMineIntact(where.directory)
      expectSecond(where.directory)
      await expectAllKnown(where)
    }
    expect(crashes).toBeGreaterThan(60)
    expect(secondCrashes).toBeGreaterThan(20)
  })

  it('leaves no file that is not known: removing what was written removes all of it', async () => {
    const total = await countSteps()
    for (let stopAt = 3; stopAt < total; stopAt += 7) {
      const where = await subscribed()
      expect(await runUntilCrash(where, stopAt)).toBe(true)
      await removeWritten(where.directory, new WrittenLedger(bench.state, where.publicKey))
      const left = [...readTree(where.directory)].filter(([, content]) => content !== null)
      expect(left.map(([path]) => path).sort()).toEqual([...MINE].sort())
    }
  })

  it('is killed also while it removes: the rest goes the next time', async () => {
    for (let stopAt = 0; stopAt < 30; stopAt += 3) {
      const where = await subscribed()
      const steps = new Steps(stopAt)
      const ledger = stepLedger(steps, bench.state, where.publicKey)
      await removeWritten(where.directory, ledger, stepFs(steps)).catch(() => {})
      expectMineIntact(where.directory)
      await removeWritten(where.directory, new WrittenLedger(bench.state, where.publicKey))
      const left = [...readTree(where.directory)].filter(([, content]) => content !== null)
      expect(left.map(([path]) => path).sort()).toEqual([...MINE].sort())
    }
  })
})

describe('power may fail at any moment, so', () => {
  it('a file is on the disk before it is put in place, and in place durably before its row is final', async () => {
    const where = await subscribed()
    const steps = new Steps()
    await assemble(where, manifests[1], steps)
    const { log } = steps
    const at = (what: string): number => log.findIndex((line) => line.startsWith(what))
    for (const [path, content] of trees[1]) {
      if (content === null || trees[0].get(path) === content) continue
      const target = join(where.directory, path)
      const placed = log.findIndex((line) => /^(link|rename) /.test(line) && line.endsWith(` ${target}`))
      const [, staged] = log[placed]!.split(' ')
      expect(at(`syncFile ${staged}`)).toBeGreaterThan(-1)
      expect(at(`syncFile ${staged}`)).toBeLessThan(placed)
      expect(at(`stage ${path}`)).toBeGreaterThan(-1)
      expect(at(`stage ${path}`)).toBeLessThan(placed)
      const synced = log.findIndex(
        (line, index) => index > placed && line === `syncFolder ${join(target, '..')} `.trim(),
      )
      expect(synced).toBeGreaterThan(placed)
      expect(at(`confirm ${path}`)).toBeGreaterThan(synced)
    }
  })

  it('a file is gone durably before its row is', async () => {
    const where = await subscribed()
    const steps = new Steps()
    await assemble(where, manifests[1], steps)
    const { log } = steps
    for (const path of ['dropped/deep/file', 'dropped/other', 'becomes-folder', 'becomes-file/a/b']) {
      const removed = log.indexOf(`removeFile ${join(where.directory, path)}`)
      const synced = log.findIndex((line, index) => index > removed && line.startsWith('syncFolder '))
      expect(removed).toBeGreaterThan(-1)
      expect(synced).toBeGreaterThan(removed)
      expect(log.indexOf(`forget ${path}`)).toBeGreaterThan(synced)
    }
  })
})

describe('where a file cannot have a second name', () => {
  it('files are put in place by renaming', async () => {
    const where = await subscribed()
    const noLinks = Object.assign(new Error('no links here'), { code: 'EPERM' })
    const fs = { ...systemFolderFs, link: () => Promise.reject(noLinks) }
    const assembly = await Assembly.begin({
      directory: where.directory,
      manifest: manifests[1],
      onlyGlobs: [],
      ledger: new WrittenLedger(bench.state, where.publicKey),
      store: bench.store,
      minFreeBytes: 0,
      random: systemRandom,
      log: silentLog,
      fs,
    })
    acceptAll(assembly)
    await assembly.finish()
    expectSecond(where.directory)
    expectMineIntact(where.directory)
  })

  it('nothing is written over either', async () => {
    const where = await subscribed()
    const noLinks = Object.assign(new Error('no links here'), { code: 'EPERM' })
    const assembly = await Assembly.begin({
      directory: where.directory,
      manifest: manifests[1],
      onlyGlobs: [],
      ledger: new WrittenLedger(bench.state, where.publicKey),
      store: bench.store,
      minFreeBytes: 0,
      random: systemRandom,
      log: silentLog,
      fs: { ...systemFolderFs, link: () => Promise.reject(noLinks) },
    })
    acceptAll(assembly)
    await assembly.settle()
    writeFileSync(join(where.directory, 'added-empty'), 'mine too')
    await expect(assembly.finish()).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(join(where.directory, 'added-empty'), 'utf8')).toBe('mine too')
  })
})

async function countSteps(): Promise<number> {
  const steps = new Steps()
  await assemble(await subscribed(), manifests[1], steps)
  return steps.log.length
}

/** Every file of the release has a row that describes it, and nothing is staged. */
async function expectAllKnown(where: Subscribed): Promise<void> {
  const { files, staged } = await new WrittenLedger(bench.state, where.publicKey).load()
  expect(staged).toEqual([])
  const expected = [...trees[1]].filter(([, content]) => content !== null).map(([path]) => path)
  expect([...files.keys()].sort()).toEqual(expected.sort())
  for (const [path, row] of files) {
    const stat = statSync(join(where.directory, path), { bigint: true })
    expect([row.size, row.inode]).toEqual([Number(stat.size), stat.ino.toString()])
    expect(row.mtimeNs).toBe(stat.mtimeNs.toString())
  }
}
