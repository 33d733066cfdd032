/**
 * A release of any size that nobody has to hold: ids and keys of its blobs follow from
 * their numbers, its manifest is made part by part when it is asked for, and a store
 * says that all of it is held. Manifest and ids are as a publisher would have made
 * them; the content of data blobs is not there.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { toHex } from '../../src/base/bytes.ts'
import { MemoryBlobStore } from '../../src/storage/memory-blob-store.ts'
import type { State } from '../../src/storage/state.ts'
import { BLOB_ID_BYTES, BLOB_REF_BYTES, CHUNK_BYTES } from '../../src/wire/constants.ts'
import { type EntryInput, encodePart, encodeRoot } from '../../src/wire/manifest-encode.ts'

export const BLOBS_PER_FILE = 1_024
/** 15,360 references are 960 KiB of a part. */
const FILES_PER_PART = 15
const AES_BLOCK_BYTES = 16
const ROWS_AT_A_TIME = 16_384
/** A time of our days: it takes six bytes in the database, 0 would take none. */
const STORED_AT = Date.UTC(2026, 0, 1)

export class HugeRelease {
  readonly files: number
  readonly dataBlobs: number
  readonly manifestBlobs: number
  /** Numbers of the manifest's blobs by id, as hex. */
  readonly #manifestNumbers = new Map<string, number>()

  /** @param files - of 1 GiB each. */
  constructor(files: number) {
    this.files = files
    this.dataBlobs = files * BLOBS_PER_FILE
    this.manifestBlobs = 1 + Math.ceil(files / FILES_PER_PART)
    for (let n = 0; n < this.manifestBlobs; n++) this.#manifestNumbers.set(toHex(this.id(n)), n)
  }

  get blobCount(): number {
    return this.manifestBlobs + this.dataBlobs
  }

  /** Id of a blob, by its number in manifest order. */
  id(number: number): Uint8Array {
    return this.references(number, 1).subarray(0, BLOB_ID_BYTES)
  }

  /** References of `count` blobs from that number on: without pattern, as hashes are. */
  references(first: number, count: number): Uint8Array {
    const counter = Buffer.alloc(AES_BLOCK_BYTES)
    counter.writeUInt32BE((first * BLOB_REF_BYTES) / AES_BLOCK_BYTES, 12)
    const key = createHash('sha256').update('huge release').digest().subarray(0, 16)
    return createCipheriv('aes-128-ctr', key, counter).update(Buffer.alloc(count * BLOB_REF_BYTES))
  }

  /** The ids of all blobs, some at a time. */
  *idBatches(): Generator<Uint8Array[]> {
    for (let first = 0; first < this.blobCount; first += ROWS_AT_A_TIME) {
      const count = Math.min(ROWS_AT_A_TIME, this.blobCount - first)
      const references = this.references(first, count)
      yield Array.from({ length: count }, (_, n) =>
        references.subarray(n * BLOB_REF_BYTES, n * BLOB_REF_BYTES + BLOB_ID_BYTES),
      )
    }
  }

  /** Content of a blob of the manifest, or null for other ids. */
  manifestChunk(id: Uint8Array): Uint8Array | null {
    const number = this.#manifestNumbers.get(toHex(id))
    if (number === undefined) return null
    const chunk = new Uint8Array(CHUNK_BYTES)
    chunk.set(number === 0 ? this.#root() : this.#part(number - 1))
    return chunk
  }

  #root(): Uint8Array {
    const parts = this.references(1, this.manifestBlobs - 1)
    return encodeRoot({
      ...{ title: 'huge', time: 1, files: this.files, bytes: this.dataBlobs * CHUNK_BYTES },
      parts,
    })
  }

  #part(part: number): Uint8Array {
    const firstFile = part * FILES_PER_PART
    const count = Math.min(FILES_PER_PART, this.files - firstFile)
    const entries = Array.from({ length: count }, (_, n): EntryInput => {
      const size = BLOBS_PER_FILE * CHUNK_BYTES
      const path = `film-${String(firstFile + n).padStart(6, '0')}.mkv`
      return { path, size, start: null, extents: [{ blob: n * BLOBS_PER_FILE, offset: 0, length: size }] }
    })
    const first = this.manifestBlobs + firstFile * BLOBS_PER_FILE
    return encodePart({ blobs: this.references(first, count * BLOBS_PER_FILE), entries })
  }
}

/** Says what the real table of held blobs says, and opens manifests that are made on the spot. */
export class HugeStore extends MemoryBlobStore {
  readonly #release: HugeRelease
  readonly #state: State

  constructor(release: HugeRelease, state: State) {
    super()
    this.#release = release
    this.#state = state
    for (const ids of release.idBatches()) state.blobs.add(ids, STORED_AT)
  }

  override get count(): number {
    return this.#state.blobs.count()
  }

  override has(id: Uint8Array): boolean {
    return this.#state.blobs.has(id)
  }

  override async open(id: Uint8Array): Promise<Uint8Array | null> {
    return this.#release.manifestChunk(id)
  }
}
