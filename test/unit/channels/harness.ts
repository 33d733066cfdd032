/** A publisher and a subscriber in one process: temp folders, a store in memory, a real database. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { toHex } from '../../../src/base/bytes.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Assembly, type AssemblyOptions, type AssemblyResult } from '../../../src/channels/assemble.ts'
import { type IngestDeps, type IngestRequest, ingest } from '../../../src/channels/ingest.ts'
import type { IngestRecord } from '../../../src/channels/ingest-record.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { WrittenLedger } from '../../../src/channels/written-ledger.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { MemoryBlobStore } from '../../../src/storage/memory-blob-store.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { unsyncedFs } from './step-fs.ts'

export const PUBLIC_KEY = new Uint8Array(32).fill(7)
export const SECRET = new Uint8Array(32).fill(9)

/** In memory where there is such a disk: thousands of small files are written here. */
const TEMP_ROOT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export class Bench {
  readonly folder = mkdtempSync(join(TEMP_ROOT, 'megatorrent-channels-'))
  readonly source = join(this.folder, 'source')
  readonly directory = join(this.folder, 'target')
  readonly store = new MemoryBlobStore()
  readonly state: State = openState(join(this.folder, 'test.db'), null)
  published: string | null = null

  constructor() {
    mkdirSync(this.source)
    // Power does not fail here, and waiting for the disk would be most of the time.
    this.state.database.run('PRAGMA synchronous = OFF')
  }

  close(): void {
    this.state.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  get deps(): IngestDeps {
    return { store: this.store, state: this.state, clock: systemClock, random: systemRandom, log: silentLog }
  }

  /** Write a file of the source folder. */
  put(path: string, content: string | Uint8Array): void {
    mkdirSync(dirname(join(this.source, path)), { recursive: true })
    writeFileSync(join(this.source, path), content)
  }

  ingest(change: Partial<IngestRequest> = {}): Promise<IngestRecord> {
    return ingest(this.deps, {
      source: this.source,
      publicKey: PUBLIC_KEY,
      convergenceSecret: SECRET,
      title: '',
      publishedIngest: this.published,
      ...change,
    })
  }

  /** Ingest, and let it count as published. */
  async release(change: Partial<IngestRequest> = {}): Promise<IngestRecord> {
    const record = await this.ingest(change)
    this.published = record.ingestId
    return record
  }

  get ledger(): WrittenLedger {
    return new WrittenLedger(this.state, PUBLIC_KEY)
  }

  /** Begin to put a release into the target folder. */
  async begin(record: Pick<IngestRecord, 'root'>, change: Partial<AssemblyOptions> = {}): Promise<Assembly> {
    return Assembly.begin({
      directory: this.directory,
      manifest: await this.manifest(record),
      onlyGlobs: [],
      ledger: this.ledger,
      store: this.store,
      minFreeBytes: 0,
      random: systemRandom,
      log: silentLog,
      fs: unsyncedFs,
      ...change,
    })
  }

  /** Put a release into the target folder, from held blobs. */
  async assemble(
    record: Pick<IngestRecord, 'root'>,
    change: Partial<AssemblyOptions> = {},
  ): Promise<AssemblyResult> {
    const assembly = await this.begin(record, change)
    try {
      acceptAll(assembly)
      return await assembly.finish()
    } finally {
      await assembly.close()
    }
  }

  manifest(record: Pick<IngestRecord, 'root'>): Promise<Manifest> {
    return loadManifest({ root: record.root, store: this.store, fetch: () => Promise.resolve() })
  }
}

/** Everything is held: write all of it. */
export function acceptAll(assembly: Assembly): void {
  for (const blob of assembly.neededBlobs()) assembly.accept(blob)
}

/** Every path below a folder: content of files as latin1 (of large ones the hash), null for folders. */
export function readTree(root: string): Map<string, string | null> {
  const tree = new Map<string, string | null>()
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(root, name)
    tree.set(name, statSync(path).isDirectory() ? null : fingerprint(readFileSync(path)))
  }
  return tree
}

export function fingerprint(content: Uint8Array): string {
  return content.length <= 1000 ? Buffer.from(content).toString('latin1') : toHex(sha256(content))
}

/** The content of a file of a release, from the blobs. */
export async function readFileOf(bench: Bench, manifest: Manifest, path: string): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (const span of manifest.spans(manifest.indexOf(path))) {
    const chunk = await bench.store.open(manifest.blobId(span.blob), manifest.blobKey(span.blob))
    if (chunk === null) throw new Error('a blob is not held')
    parts.push(chunk.subarray(span.offset, span.offset + span.length))
  }
  return Buffer.concat(parts)
}
