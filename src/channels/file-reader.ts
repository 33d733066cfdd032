/**
 * Reading a file of a release before all of it is here: blobs are asked for in the
 * order of the bytes, a few ahead of the reader, before everything else that is
 * wanted (swarm/picker.ts).
 *
 * Nothing is given out that was not verified twice: by its hash when it came, by its
 * tag when it was opened. A reader that stops, or is slow, stops what is fetched for it.
 *
 * @module channels/file-reader
 */
import { setMaxListeners } from 'node:events'
import { linkSignals } from '../base/abort.ts'
import { MegatorrentError } from '../base/errors.ts'
import { READ_AHEAD_BLOBS } from '../base/limits.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { Manifest, Span } from '../wire/manifest.ts'
import { blobFault } from './blob-fault.ts'
import { spansOfRange } from './file-range.ts'
import { nextTurn, Pacer } from './turns.ts'

export interface FileSource {
  readonly manifest: Manifest
  /** Number of the file's entry. */
  readonly entry: number
  readonly store: Pick<BlobStore, 'has' | 'open' | 'buffers'>
  /** Make a blob be held, before others that are wanted. Called in the order of reading. */
  readonly fetch: (blob: number, signal: AbortSignal) => Promise<void>
}

/**
 * The bytes [start, end) of the file, piece by piece. A piece is the reader's until it asks for the next one.
 *
 * Memory: one opened chunk. What is fetched ahead lies in the store.
 *
 * @throws MegatorrentError ERR_ABORTED, ERR_RELEASE_INVALID (a blob does not open: the publisher's fault),
 *   or what `fetch` and the store throw.
 */
export async function* readRange(
  source: FileSource,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const { store } = source
  const gone = new AbortController()
  const { signal: any } = linkSignals(signal, gone.signal) // let go of when `gone` fires
  setMaxListeners(READ_AHEAD_BLOBS + 8, any)
  const ahead = new ReadAhead(source, start, end, any)
  let openBlobNumber = -1
  let chunk: Uint8Array | null = null
  try {
    for (let next = await ahead.next(); next !== null; next = await ahead.next()) {
      await next.held
      any.throwIfAborted()
      const { blob, offset, length } = next.span
      if (chunk === null || openBlobNumber !== blob) {
        if (chunk !== null) store.buffers.give(chunk)
        chunk = null
        chunk = await openBlob(source, blob, any)
        openBlobNumber = blob
      }
      yield chunk.subarray(offset, offset + length)
    }
  } finally {
    gone.abort(new MegatorrentError('ERR_ABORTED', 'nobody reads any more'))
    if (chunk !== null) store.buffers.give(chunk)
  }
}

interface Ahead {
  readonly span: Span
  readonly held: Promise<void>
}

/** The spans to come; the blobs of the first few are being fetched. */
class ReadAhead {
  readonly #source: FileSource
  readonly #signal: AbortSignal
  readonly #spans: Generator<Span>
  readonly #queue: Ahead[] = []
  readonly #pacer = new Pacer()

  constructor(source: FileSource, start: number, end: number, signal: AbortSignal) {
    this.#source = source
    this.#signal = signal
    this.#spans = spansOfRange(source.manifest.extents(source.entry), start, end)
  }

  /** The next one, after those behind it were asked for; null at the end. */
  async next(): Promise<Ahead | null> {
    while (this.#queue.length < READ_AHEAD_BLOBS) {
      const { value: span, done } = this.#spans.next()
      if (done === true) break
      // Consecutive spans of one blob, as small files have them, wait for it together.
      const before = this.#queue.at(-1)
      const held = before?.span.blob === span.blob ? before.held : this.#hold(span.blob)
      this.#queue.push({ span, held })
    }
    if (this.#pacer.due()) await nextTurn()
    return this.#queue.shift() ?? null
  }

  #hold(blob: number): Promise<void> {
    const { manifest, store } = this.#source
    if (store.has(manifest.blobId(blob))) return HELD
    const held = this.#source.fetch(blob, this.#signal)
    held.catch(() => {}) // looked at when its turn comes
    return held
  }
}

const HELD: Promise<void> = Promise.resolve()

async function openBlob(source: FileSource, blob: number, signal: AbortSignal): Promise<Uint8Array> {
  const { manifest, store } = source
  for (let again = false; ; again = true) {
    try {
      const chunk = await store.open(manifest.blobId(blob), manifest.blobKey(blob))
      if (chunk !== null) return chunk
    } catch (error) {
      throw blobFault(error)
    }
    // It was deleted since it was held: once more, and no endless race.
    if (again) throw new MegatorrentError('ERR_NOT_FOUND', 'a blob of the file is not held')
    await source.fetch(blob, signal)
  }
}
