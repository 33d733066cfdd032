/**
 * The paths of one manifest, to find what rules 7 and 8 of PROTOCOL_FINAL.md §4.2.3
 * forbid: two that are the same after folding, and one below another.
 *
 * A tree of folded names, kept in typed arrays: each folder once, each entry as its
 * last name. Exact: names are compared, not only hashed. 1,000,000 entries take some
 * 50 MB.
 *
 * @module wire/path-set
 */
import { MegatorrentError } from '../base/errors.ts'
import { MAX_MANIFEST_ENTRIES, MAX_MANIFEST_FOLDERS, MAX_MANIFEST_PATH_BYTES } from '../base/limits.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { HashIndex, WordHash } from './hash-index.ts'
import { foldPath } from './paths.ts'
import { SegmentedUint16, SegmentedUint32 } from './segmented.ts'

/** Number that stands for the folder of the release itself; nodes count from 0. */
const TOP = 0xffff_ffff
/** What a node is. An empty folder is a leaf: its own entry. */
const LEAF = 1
const FOLDER = 0

export class PathSet {
  readonly #hash: WordHash
  readonly #index: HashIndex
  readonly #parents = new SegmentedUint32()
  readonly #kinds = new SegmentedUint16()
  /** Folded names one after the other, in UTF-16; `#nameEnds` says where each ends. */
  readonly #names = new SegmentedUint16()
  readonly #nameEnds = new SegmentedUint32()
  #leaves = 0

  // Paths come sorted, so most begin with the folders of the one before.
  #lastFolded = ''
  readonly #lastFolderEnds: number[] = []
  readonly #lastFolders: number[] = []

  /**
   * @param expected - how many paths will come, by what the publisher says.
   * @param random - keys the hash; must be the operating system's outside tests.
   */
  constructor(expected = 0, random: Random = systemRandom) {
    this.#hash = WordHash.random(random)
    // A quarter more for folders.
    this.#index = new HashIndex(Math.min(expected, MAX_MANIFEST_ENTRIES) * 1.25)
  }

  /** Paths added. */
  get size(): number {
    return this.#leaves
  }

  /**
   * Add the path of a file or of an empty folder.
   *
   * @param path - text of a path that passed `checkPath`. In any order; sorted is fastest.
   * @throws MegatorrentError, kind 'peer': ERR_PATH_DUPLICATE, ERR_PATH_BELOW_FILE, or
   *   ERR_MANIFEST_LIMIT. The set is of no more use after it.
   * Cost: O(length of the path).
   */
  add(path: string): void {
    const folded = foldPath(path)
    let parent = this.#enterSharedFolders(folded)
    let start = this.#lastFolderEnds.length === 0 ? 0 : (this.#lastFolderEnds.at(-1) as number) + 1
    for (let end = folded.indexOf('/', start); end >= 0; end = folded.indexOf('/', start)) {
      parent = this.#enterFolder(parent, folded, start, end)
      this.#lastFolderEnds.push(end)
      this.#lastFolders.push(parent)
      start = end + 1
    }
    this.#addLeaf(parent, folded, start)
    this.#lastFolded = folded
  }

  /** Cut the remembered folders down to those that this path begins with. @returns the innermost. */
  #enterSharedFolders(folded: string): number {
    const last = this.#lastFolded
    const limit = Math.min(last.length, folded.length)
    let same = 0
    while (same < limit && last.charCodeAt(same) === folded.charCodeAt(same)) same++
    while (this.#lastFolderEnds.length > 0) {
      const end = this.#lastFolderEnds.at(-1) as number
      if (end < same) return this.#lastFolders.at(-1) as number
      this.#lastFolderEnds.pop()
      this.#lastFolders.pop()
    }
    return TOP
  }

  #enterFolder(parent: number, folded: string, start: number, end: number): number {
    const hash = this.#hashOf(parent, folded, start, end)
    const known = this.#find(hash, parent, folded, start, end)
    if (known >= 0) {
      if (this.#kinds.at(known) === LEAF) {
        throw new MegatorrentError('ERR_PATH_BELOW_FILE', 'a path goes on below another entry')
      }
      return known
    }
    if (this.#index.size - this.#leaves >= MAX_MANIFEST_FOLDERS) {
      throw new MegatorrentError('ERR_MANIFEST_LIMIT', `more than ${MAX_MANIFEST_FOLDERS} folders`)
    }
    return this.#insert(hash, parent, folded, start, end, FOLDER)
  }

  #addLeaf(parent: number, folded: string, start: number): void {
    const hash = this.#hashOf(parent, folded, start, folded.length)
    const known = this.#find(hash, parent, folded, start, folded.length)
    if (known >= 0) {
      throw this.#kinds.at(known) === LEAF
        ? new MegatorrentError('ERR_PATH_DUPLICATE', 'two paths are the same after folding')
        : new MegatorrentError('ERR_PATH_BELOW_FILE', 'another path goes on below this entry')
    }
    if (this.#leaves >= MAX_MANIFEST_ENTRIES) {
      throw new MegatorrentError('ERR_MANIFEST_LIMIT', `more than ${MAX_MANIFEST_ENTRIES} entries`)
    }
    this.#leaves++
    this.#insert(hash, parent, folded, start, folded.length, LEAF)
  }

  #insert(hash: number, parent: number, folded: string, start: number, end: number, kind: number): number {
    if (this.#names.length + (end - start) > MAX_MANIFEST_PATH_BYTES) {
      throw new MegatorrentError('ERR_MANIFEST_LIMIT', 'the names of all paths are too long together')
    }
    for (let at = start; at < end; at++) this.#names.push(folded.charCodeAt(at))
    this.#nameEnds.push(this.#names.length)
    this.#parents.push(parent)
    this.#kinds.push(kind)
    return this.#index.add(hash)
  }

  #find(hash: number, parent: number, folded: string, start: number, end: number): number {
    for (let node = this.#index.first(hash); node >= 0; node = this.#index.next()) {
      if (this.#parents.at(node) === parent && this.#hasName(node, folded, start, end)) return node
    }
    return -1
  }

  #hasName(node: number, folded: string, start: number, end: number): boolean {
    const nameStart = node === 0 ? 0 : this.#nameEnds.at(node - 1)
    if (this.#nameEnds.at(node) - nameStart !== end - start) return false
    for (let at = start; at < end; at++) {
      if (this.#names.at(nameStart + at - start) !== folded.charCodeAt(at)) return false
    }
    return true
  }

  #hashOf(parent: number, folded: string, start: number, end: number): number {
    const hash = this.#hash
    hash.start()
    hash.word(parent)
    let at = start
    for (; at + 1 < end; at += 2) hash.word(folded.charCodeAt(at) | (folded.charCodeAt(at + 1) << 16))
    // A name holds no U+0000, so a single unit is never the same word as a pair.
    if (at < end) hash.word(folded.charCodeAt(at))
    return hash.finish()
  }
}
