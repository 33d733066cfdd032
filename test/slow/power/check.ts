/**
 * Is what lies on a disk what a node may rely on after a crash? Opens the state and the store as a
 * start does, holds them against the facts that were told before, and goes on working.
 */
import { existsSync, readdirSync, readFileSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { fromHex, toHex } from '../../../src/base/bytes.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { errorMessage } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Assembly } from '../../../src/channels/assemble.ts'
import type { DiskNode } from '../../../src/channels/assemble-plan.ts'
import { isUntouched } from '../../../src/channels/assemble-plan.ts'
import { type FolderFs, systemFolderFs } from '../../../src/channels/folder-fs.ts'
import { recoverLedger } from '../../../src/channels/ledger-recovery.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { WrittenLedger } from '../../../src/channels/written-ledger.ts'
import { decodeDhtState } from '../../../src/discovery/dht-state.ts'
import { lockDataFolder } from '../../../src/storage/data-lock.ts'
import { errnoOf } from '../../../src/storage/disk-error.ts'
import { FsBlobStore } from '../../../src/storage/fs-blob-store.ts'
import { Keystore } from '../../../src/storage/keystore.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import { systemTaskFs } from '../../../src/storage/task-fs.ts'
import type { TaskRunner } from '../../../src/storage/task-runner.ts'
import {
  createTaskContext,
  TASKS,
  type TaskContext,
  type TaskKind,
  type Tasks,
} from '../../../src/storage/worker-tasks.ts'
import { BLOB_ID_BYTES } from '../../../src/wire/constants.ts'
import { decodeHead } from '../../../src/wire/head.ts'
import { type Fact, sha256, type TreeFile } from './recording.ts'

/** A start may take so long, on a machine that does other things too; it takes some 20 ms. */
const MAX_START_MS = 30_000

/** Of encrypt.mjs. */
const PASSPHRASE = 'a passphrase'
const CHEAP = { logN: 4, r: 8, p: 1 }

export interface Checked {
  /** The folder with `data` and `files`. */
  readonly disk: string
  /** All that was told before the crash, in order. */
  readonly facts: readonly Fact[]
  /** What was told at any time: what the releases hold. */
  readonly allFacts: readonly Fact[]
  readonly blobs: ReadonlyMap<string, Buffer>
  /** How a file looked when it was synced, where that is not how it looks now. */
  readonly looked?: (inode: string) => { readonly inode: string; readonly mtimeNs: string } | null
  /** Files that are known to be whole by their inode: content need not be read again. */
  readonly knownHash?: (path: string) => string | null
}

export interface Verdict {
  /** What is wrong, in words. Empty: all is well. */
  readonly faults: readonly string[]
  readonly startMs: number
  readonly held: number
  readonly facts: number
}

/** Open, check, go on. Never throws for what is wrong on the disk. */
export async function checkDisk(given: Checked): Promise<Verdict> {
  const faults: string[] = []
  const closers: (() => Promise<void> | void)[] = []
  const startMs = performance.now()
  let tookMs = 0
  let held = 0
  try {
    const data = join(given.disk, 'data')
    const lock = lockDataFolder(data, process.pid)
    closers.push(() => lock.release())
    const keystore = Keystore.open({
      folder: join(data, 'keys'),
      random: systemRandom,
      clock: systemClock,
      scryptCost: CHEAP,
    })
    // Whoever has given a passphrase once gives it at each start.
    if (given.facts.some(({ fact }) => fact === 'encrypting')) await keystore.unlock(PASSPHRASE)
    const state = openState(join(data, 'megatorrent.db'), keystore.databaseKey())
    closers.push(() => state.close())
    const limits = { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 }
    const store = await FsBlobStore.open({
      root: join(data, 'blobs'),
      tables: state,
      runner: new ThisThread(),
      limits,
    })
    closers.push(() => store.close())
    await store.recovered
    tookMs = performance.now() - startMs
    if (tookMs > MAX_START_MS) faults.push(`the start took ${tookMs.toFixed(0)} ms`)
    held = store.count
    const check = new Check(given, faults, state, store, keystore)
    await check.all()
    held = store.count
  } catch (error) {
    faults.push(`stopped: ${(error as Error).stack ?? errorMessage(error)}`)
  }
  for (const closer of closers.reverse()) {
    try {
      await closer()
    } catch (error) {
      faults.push(`closing: ${errorMessage(error)}`)
    }
  }
  return { faults, startMs: tookMs, held, facts: given.facts.length }
}

/** Tasks of the store, here and now: a thousand states need no threads. */
class ThisThread implements TaskRunner {
  readonly #context: TaskContext = createTaskContext(`check-${process.pid}`, systemTaskFs)

  async run<K extends TaskKind>(kind: K, input: Tasks[K]['input']): Promise<Tasks[K]['output']> {
    const task = TASKS[kind] as (context: TaskContext, given: unknown) => unknown
    return (await task(this.#context, input)) as Tasks[K]['output']
  }

  async close(): Promise<void> {}
}

class Check {
  readonly #given: Checked
  readonly #faults: string[]
  readonly #state: State
  readonly #store: FsBlobStore
  readonly #keystore: Keystore

  constructor(given: Checked, faults: string[], state: State, store: FsBlobStore, keystore: Keystore) {
    this.#given = given
    this.#faults = faults
    this.#state = state
    this.#store = store
    this.#keystore = keystore
  }

  async all(): Promise<void> {
    this.#checkHeld()
    this.#checkKeys()
    this.#checkRows()
    this.#checkIngests()
    this.#checkDht()
    for (const name of ['ours', 'theirs']) await this.#checkFolder(name)
    for (const name of ['ours', 'theirs']) await this.#goOn(name)
  }

  /** What was acknowledged is held, and what is held is what its name says. */
  #checkHeld(): void {
    const mustHold = new Set<string>()
    for (const { fact, ids } of this.#given.facts) {
      if (fact === 'held') for (const id of ids) mustHold.add(id)
      if (fact === 'deleting') for (const id of ids) mustHold.delete(id)
    }
    for (const id of mustHold) {
      if (!this.#store.has(idOf(id)))
        this.#faults.push(`blob ${id.slice(0, 8)} was acknowledged and is not held`)
    }
    for (const id of this.#store.ids()) {
      const name = toHex(id)
      const hash = this.#hashOf(join(this.#given.disk, 'data', 'blobs', name.slice(0, 2), name))
      if (hash === null) this.#faults.push(`blob ${name.slice(0, 8)} has a row and no file`)
      else if (hash !== name) this.#faults.push(`blob ${name.slice(0, 8)} is held and is something else`)
    }
  }

  #checkKeys(): void {
    const wanted = new Map<string, Fact>()
    const gone = new Set<string>()
    for (const fact of this.#given.facts) {
      if (fact.fact === 'channel') wanted.set(fact.publicKey, fact)
      if (fact.fact === 'removingChannel') wanted.delete(fact.publicKey)
      if (fact.fact === 'channelGone') gone.add(fact.publicKey)
      if (fact.fact === 'nodeSeed' && toHex(this.#keystore.nodeSeed()) !== fact.seed) {
        this.#faults.push('the node key is another one')
      }
      if (fact.fact === 'exported' && this.#hashOf(join(this.#given.disk, fact.path)) !== fact.hash) {
        this.#faults.push(`the key in "${fact.path}" is lost`)
      }
    }
    const found = new Map(this.#keystore.list().map((key) => [toHex(key.publicKey), key]))
    for (const [publicKey, { name, readKey }] of wanted) {
      const key = found.get(publicKey)
      if (key === undefined) this.#faults.push(`the key of "${name}" is lost`)
      else if (key.name !== name || (readKey !== undefined && toHex(key.readKey) !== readKey)) {
        this.#faults.push(`the key of "${name}" has changed`)
      }
    }
    for (const publicKey of gone) if (found.has(publicKey)) this.#faults.push('a removed key is back')
  }

  /** An ingest is there until a later one of its channel takes its place, told or not. */
  #checkIngests(): void {
    const last = this.#given.facts.findLast(({ fact }) => fact === 'ingested')
    if (last === undefined || this.#state.ingests.get(last.ingestId) !== null) return
    if (!this.#state.ingests.all().some(({ id }) => !this.#isTold(id))) {
      this.#faults.push('an ingest was acknowledged and is not there')
    }
  }

  #isTold(id: string): boolean {
    return this.#given.facts.some(({ fact, ingestId }) => fact === 'ingested' && ingestId === id)
  }

  /** Heads, subscriptions: rows whose step was acknowledged. */
  #checkRows(): void {
    for (const { fact, publicKey, sequence, head, name } of this.#given.facts) {
      if (fact === 'head') {
        const rows = this.#state.releases.list(keyOf(publicKey))
        if (!rows.some((row) => row.sequence === sequence && toHex(row.head) === head)) {
          this.#faults.push(`release ${sequence} was acknowledged and is not there`)
        }
      } else if (fact === 'subscribed' && this.#state.subscriptions.get(keyOf(publicKey)) === null) {
        this.#faults.push(`the subscription of "${name}" is lost`)
      } else if (fact === 'complete' && this.#completeSequence(name) < sequence) {
        this.#faults.push(`release ${sequence} of "${name}" was complete and is not`)
      }
    }
  }

  #checkDht(): void {
    const path = join(this.#given.disk, 'data', 'dht_state.json')
    const last = this.#given.facts.findLastIndex(({ fact }) => fact === 'dht')
    const text = existsSync(path) ? readFileSync(path, 'utf8') : null
    if (text === null) {
      if (last !== -1) this.#faults.push('dht_state.json is gone')
      return
    }
    const allowed = this.#given.facts.slice(Math.max(0, last)).map((fact) => fact.text)
    if (decodeDhtState(text) === null || !allowed.includes(text))
      this.#faults.push('dht_state.json is damaged')
  }

  /** What is in the folder of a subscription: complete if that was told, and nothing false in any case. */
  async #checkFolder(name: string): Promise<void> {
    const directory = join(this.#given.disk, 'files', name)
    const publicKey = this.#publicKeyOf(name)
    const { facts } = this.#given
    const assembling = facts.filter((each) => each.fact === 'assembling' && each.name === name)
    const completed = facts.filter((each) => each.fact === 'complete' && each.name === name).length
    const complete = assembling[completed - 1]
    const next = assembling[completed]
    if (publicKey === null || complete === undefined) {
      if (publicKey !== null && next !== undefined) await this.#checkOwned(name, directory, publicKey, [next])
      return
    }
    const wanted = new Map(complete.tree.map((file) => [file.path, file]))
    const coming = new Map(next?.tree.map((file) => [file.path, file]))
    for (const { path, hash } of wanted.values()) {
      const found = this.#hashOf(join(directory, path))
      // While the next release is put in place each file is the old one or the new one.
      const after = coming.get(path)
      if (found === hash || (next !== undefined && found === (after?.hash ?? null))) continue
      // A file that makes way for a folder, or stands where there was one, is gone in between.
      const makesWay = next !== undefined && after === undefined
      if (!(makesWay && found === null))
        this.#faults.push(`${name}/${path} of a complete release is ${found === null ? 'gone' : 'another'}`)
    }
    await this.#checkOwned(name, directory, publicKey, next === undefined ? [complete] : [complete, next])
  }

  /** What the ledger calls ours and whole has the content that its row says. */
  async #checkOwned(
    name: string,
    directory: string,
    publicKey: Uint8Array,
    releases: readonly Fact[],
  ): Promise<void> {
    const fs = this.#folderFs()
    if ((await fs.look(directory)) === null) return
    const ledger = new WrittenLedger(this.#state, publicKey)
    const content = await ledger.load()
    await recoverLedger(fs, directory, ledger, content)
    const hashes = new Map(
      releases.flatMap(({ tree }) => tree).map((file) => [file.identity + file.path, file.hash]),
    )
    for (const [path, row] of content.files) {
      if (!isUntouched(row, await fs.look(join(directory, path)))) continue
      const hash = this.#hashOf(join(directory, path))
      if (hash !== hashes.get(row.identity + path)) {
        this.#faults.push(`${name}/${path} is called ours and whole, and is not what its row says`)
      }
    }
  }

  /** The newest release that is known here is brought into its folder, with blobs from elsewhere where some are missing. */
  async #goOn(name: string): Promise<void> {
    const publicKey = this.#publicKeyOf(name)
    const newest = publicKey === null ? null : this.#state.releases.newest(publicKey)
    if (publicKey === null || newest === null) return
    const head = decodeHead(newest.head)
    const fetch = async (reference: Uint8Array): Promise<void> => {
      await this.#bring(reference.subarray(0, BLOB_ID_BYTES))
    }
    const manifest = await loadManifest({ root: head.root, store: this.#store, fetch })
    for (let n = 0; n < manifest.blobCount; n++) await this.#bring(manifest.blobId(n))
    const directory = join(this.#given.disk, 'files', name)
    const assembly = await Assembly.begin({
      directory,
      manifest,
      onlyGlobs: [],
      ledger: new WrittenLedger(this.#state, publicKey),
      store: this.#store,
      minFreeBytes: 0,
      random: systemRandom,
      log: silentLog,
      fs: this.#folderFs(),
    })
    for (const blob of assembly.neededBlobs()) assembly.accept(blob)
    try {
      await assembly.finish()
    } finally {
      await assembly.close()
    }
    const tree = this.#treeOf(name, newest.sequence)
    const found = filesBelow(directory)
    for (const { path, hash } of tree) {
      if (this.#hashOf(join(directory, path)) !== hash)
        this.#faults.push(`${name}/${path} is wrong after going on`)
      found.delete(path)
    }
    for (const path of found) this.#faults.push(`${name}/${path} is left over after going on`)
  }

  async #bring(id: Uint8Array): Promise<void> {
    if (this.#store.has(id)) return
    const blob = this.#given.blobs.get(toHex(id))
    if (blob === undefined) throw new Error(`blob ${toHex(id)} was never written`)
    await this.#store.put(id, new Uint8Array(blob))
  }

  #treeOf(name: string, sequence: number): readonly TreeFile[] {
    const fact = this.#given.allFacts.find(
      (each) => each.fact === 'assembling' && each.name === name && each.sequence === sequence,
    )
    if (fact === undefined) throw new Error(`release ${sequence} of "${name}" was never assembled`)
    return fact.tree
  }

  #publicKeyOf(name: string): Uint8Array | null {
    const fact = this.#given.facts.find((each) => each.fact === 'subscribed' && each.name === name)
    return fact === undefined ? null : keyOf(fact.publicKey)
  }

  #completeSequence(name: string): number {
    const publicKey = this.#publicKeyOf(name)
    return publicKey === null ? 0 : (this.#state.subscriptions.get(publicKey)?.completeSequence ?? 0)
  }

  #hashOf(path: string): string | null {
    const known = this.#given.knownHash?.(path)
    if (known !== null && known !== undefined) return known
    return statIfThere(path)?.isFile() === true ? sha256(readFileSync(path)) : null
  }

  /** Files look as they did when they were recorded, by inode and time: rows of the ledger speak of that. */
  #folderFs(): FolderFs {
    const { looked } = this.#given
    if (looked === undefined) return systemFolderFs
    const translate = (node: DiskNode): DiskNode =>
      node.kind === 'file' ? { ...node, ...(looked(node.inode) ?? {}) } : node
    return {
      ...systemFolderFs,
      look: async (path) => {
        const node = await systemFolderFs.look(path)
        return node === null ? null : translate(node)
      },
      syncFile: async (path) => translate(await systemFolderFs.syncFile(path)),
    }
  }
}

/** Null also where something else than a folder stands in the way. */
export function statIfThere(path: string): Stats | null {
  try {
    return statSync(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return null
    throw error
  }
}

function filesBelow(directory: string): Set<string> {
  const found = new Set<string>()
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    found.add(join(entry.parentPath, entry.name).slice(directory.length + 1))
  }
  return found
}

function idOf(hex: string): Uint8Array {
  return fromHex(hex, BLOB_ID_BYTES) as Uint8Array
}

function keyOf(hex: string): Uint8Array {
  return fromHex(hex, 32) as Uint8Array
}
