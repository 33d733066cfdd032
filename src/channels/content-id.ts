/**
 * Content id: one hash over what the files of a release are, whatever blobs and
 * parts they lie in, so that a publisher can tell that nothing changed.
 *
 * Kept on the publisher's own disk and compared there; never sent.
 *
 * @module channels/content-id
 */
import { ByteWriter, utf8Bytes } from '../base/bytes.ts'
import { sha256 } from '../crypto/hash.ts'
import { BLOB_ID_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import { hashOfName } from './known-pieces.ts'
import { type ReleaseBlobs, spansOf } from './release-entry.ts'
import type { FileContent } from './source-reader.ts'

/** Bytes hashed at a time, beyond the last entry. */
const BATCH_BYTES = 65_536

/** Folds entries into one hash, in the order given. */
export class ContentHasher {
  #state: Uint8Array = new Uint8Array(32)
  #parts: Uint8Array[] = []
  #pendingBytes = 0

  addFolder(path: string): void {
    this.#add(0, path, 0)
  }

  /** A file: its size, the ids of its full chunks' blobs, the hash of its piece. */
  addFile(file: FileContent, blobs: ReleaseBlobs): void {
    this.#add(1, file.path, file.stamp.size)
    for (const span of spansOf(file.chunks?.finish() ?? [])) {
      if (span.length === CHUNK_BYTES) this.#push(blobs.reference(span.blob).slice(0, BLOB_ID_BYTES))
    }
    if (file.pieceHash !== null) this.#push(hashOfName(file.pieceHash))
  }

  /** 32 bytes. */
  finish(): Uint8Array {
    this.#flush()
    return this.#state
  }

  #add(kind: number, path: string, size: number): void {
    const text = utf8Bytes(path)
    this.#push(new ByteWriter(1 + 4 + text.length + 8).u8(kind).u32(text.length).put(text).u64(size).bytes)
  }

  #push(bytes: Uint8Array): void {
    this.#parts.push(bytes)
    this.#pendingBytes += bytes.length
    if (this.#pendingBytes >= BATCH_BYTES) this.#flush()
  }

  #flush(): void {
    this.#state = sha256(this.#state, ...this.#parts)
    this.#parts = []
    this.#pendingBytes = 0
  }
}
