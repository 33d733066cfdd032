import { describe, expect, it } from 'vitest'
import {
  type AssemblePlan,
  type AssembleSnapshot,
  type DiskNode,
  planAssembly,
  type WrittenFile,
} from '../../../src/channels/assemble-plan.ts'

const FOLDER: DiskNode = { kind: 'folder' }
const OTHER: DiskNode = { kind: 'other' }

function file(inode: number, size = 1): DiskNode {
  return { kind: 'file', size, mtimeNs: '1000', inode: String(inode) }
}

/** `release`: path to identity. `written`: path to [identity, inode]. */
function plan(given: {
  release?: Record<string, string>
  unselected?: readonly string[]
  emptyFolders?: readonly string[]
  written?: Record<string, readonly [identity: string, inode: number]>
  made?: readonly string[]
  disk?: Record<string, DiskNode>
}): AssemblePlan {
  const { release = {}, unselected = [], emptyFolders = [], written = {}, made = [], disk = {} } = given
  const records = new Map<string, WrittenFile>()
  for (const [path, [identity, inode]] of Object.entries(written)) {
    records.set(path, { path, identity, size: 1, mtimeNs: '1000', inode: String(inode) })
  }
  const snapshot: AssembleSnapshot = {
    files: Object.keys(release).map((path, entry) => ({ path, size: 1, entry })),
    emptyFolders,
    identityOf: ({ path }) => release[path] ?? '',
    isInRelease: (path) => path in release || unselected.includes(path),
    written: records,
    madeFolders: new Set(made),
    onDisk: (path) => disk[path] ?? null,
  }
  return planAssembly(snapshot)
}

function paths(files: readonly { readonly path: string }[]): string[] {
  return files.map((each) => each.path)
}

describe('assembly plan', () => {
  it('writes everything into an empty folder, parents first', () => {
    const result = plan({ release: { 'a/b/c': '1', d: '2' }, emptyFolders: ['e/f'] })
    expect(paths(result.write)).toEqual(['a/b/c', 'd'])
    expect(result.makeFolders.indexOf('a')).toBeLessThan(result.makeFolders.indexOf('a/b'))
    expect([...result.makeFolders].sort()).toEqual(['a', 'a/b', 'e', 'e/f'])
    expect([result.foreign, result.keep, result.dropFiles]).toEqual([[], [], []])
  })

  it('keeps a file only if its identity, its record and the disk agree', () => {
    const written = { same: ['1', 1], changed: ['0', 2], gone: ['1', 3] } as const
    const result = plan({
      release: { same: '1', changed: '1', gone: '1' },
      written,
      disk: { same: file(1), changed: file(2) },
    })
    expect(paths(result.keep)).toEqual(['same'])
    expect(paths(result.write)).toEqual(['changed', 'gone'])
  })

  it.each([
    ['another inode', file(9)],
    ['another size', file(1, 2)],
    ['a folder', FOLDER],
    ['a symlink', OTHER],
  ])('%s in the place of a file of ours is foreign', (_, node) => {
    const result = plan({ release: { a: '1' }, written: { a: ['1', 1] }, disk: { a: node } })
    expect(result.foreign).toEqual(['a'])
  })

  it('anything without a record is foreign, and so is whatever stands where a folder must be', () => {
    const disk = { a: file(1), b: OTHER, c: FOLDER, d: file(2) }
    const result = plan({ release: { a: '1', 'b/x': '1', c: '1' }, emptyFolders: ['d'], disk })
    expect([...result.foreign].sort()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('deletes what the release dropped, if it is still ours, and forgets what is not', () => {
    const written = { dropped: ['1', 1], edited: ['1', 2], gone: ['1', 3] } as const
    const result = plan({ written, disk: { dropped: file(1), edited: file(99) } })
    expect(result.dropFiles).toEqual(['dropped'])
    expect([...result.forgetFiles].sort()).toEqual(['edited', 'gone'])
    expect(result.foreign).toEqual([])
  })

  it('leaves what the release has and the selection does not ask for, and its folders', () => {
    const result = plan({
      unselected: ['f/a'],
      written: { 'f/a': ['0', 1] },
      made: ['f', 'g'],
      disk: { f: FOLDER, 'f/a': file(1), g: FOLDER },
    })
    expect([result.dropFiles, result.forgetFiles, result.dropFolders]).toEqual([[], [], ['g']])
  })

  it('removes folders that we made, deepest first, and never others', () => {
    const disk = { a: FOLDER, 'a/b': FOLDER, 'a/b/c': FOLDER, theirs: FOLDER }
    const result = plan({ made: ['a', 'a/b/c', 'a/b', 'vanished'], disk })
    expect(result.dropFolders).toEqual(['a/b/c', 'a/b', 'a'])
    expect(result.forgetFolders).toEqual(['vanished'])
  })

  it('a file of ours makes place for a folder', () => {
    const result = plan({ release: { 'a/b': '1' }, written: { a: ['1', 1] }, disk: { a: file(1) } })
    expect([result.clearFiles, result.dropFiles, result.makeFolders]).toEqual([['a'], [], ['a']])
    expect(paths(result.write)).toEqual(['a/b'])
  })

  it('a folder of ours with nothing foreign in it makes place for a file', () => {
    const result = plan({
      release: { a: '1' },
      written: { 'a/x': ['1', 1], 'a/b/y': ['1', 2], 'a/b/gone': ['1', 3], ab: ['1', 4] },
      made: ['a', 'a/b'],
      disk: { a: FOLDER, 'a/b': FOLDER, 'a/x': file(1), 'a/b/y': file(2), ab: file(4) },
    })
    expect([...result.clearFiles].sort()).toEqual(['a/b/y', 'a/x'])
    expect(result.clearFolders).toEqual(['a/b', 'a'])
    expect(result.dropFiles).toEqual(['ab'])
    expect(paths(result.write)).toEqual(['a'])
  })

  it('a folder that the user made, or with a file that the user changed, does not', () => {
    const written = { 'a/x': ['1', 1] } as const
    const disk = { a: FOLDER, 'a/x': file(1) }
    expect(plan({ release: { a: '1' }, written, disk }).foreign).toEqual(['a'])
    const edited = { a: FOLDER, 'a/x': file(9) }
    expect(plan({ release: { a: '1' }, written, made: ['a'], disk: edited }).foreign).toEqual(['a'])
  })

  it('a hostile release that turns 20,000 folders into files is planned in a moment', () => {
    const release: Record<string, string> = {}
    const written: Record<string, readonly [string, number]> = {}
    const disk: Record<string, DiskNode> = {}
    const made: string[] = []
    for (let n = 0; n < 20_000; n++) {
      release[`f${n}`] = '1'
      written[`f${n}/x`] = ['1', n]
      disk[`f${n}`] = FOLDER
      disk[`f${n}/x`] = file(n)
      made.push(`f${n}`)
    }
    const started = process.cpuUsage().user
    expect(plan({ release, written, made, disk }).clearFolders.length).toBe(20_000)
    expect(process.cpuUsage().user - started).toBeLessThan(2_000_000)
  })
})
