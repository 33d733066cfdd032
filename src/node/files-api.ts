/**
 * Files of releases, as they are read over HTTP: of channels that are followed or
 * ours, whether their blobs are here or still have to come.
 *
 * A path is looked up in the manifest and nowhere else: nothing of it ever meets the
 * file system.
 *
 * @module node/files-api
 */
import { linkDeadline } from '../base/abort.ts'
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { FILE_MANIFEST_MS } from '../base/limits.ts'
import { identitySteps } from '../channels/file-index.ts'
import { type FileSource, readRange } from '../channels/file-reader.ts'
import { listFolder } from '../channels/folder-listing.ts'
import { loadManifest } from '../channels/manifest-loader.ts'
import type { ChannelSession } from '../channels/session.ts'
import { runInTurns } from '../channels/turns.ts'
import { unpublished } from '../channels/unpublished.ts'
import { referenceId } from '../wire/blob.ts'
import type { Head } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { ListFolderParams, ListFolderResult, ReleaseFile } from './api.ts'

export interface FilesApiDeps {
  /** The session of a channel that is followed or ours; null for others. */
  readonly sessionOf: (publicKey: string) => ChannelSession | null
  readonly clock: Clock
}

/** Identities of files asked for lately: players ask for many ranges of one. */
const MAX_KEPT_IDENTITIES = 256
/** Hex digits of a file's identity that stand for it. */
const IDENTITY_DIGITS = 32

export class FilesApi {
  readonly #deps: FilesApiDeps
  /** Manifests on their way, by root id: several readers wait for one. */
  readonly #loading = new Map<string, Promise<Manifest>>()
  readonly #identities = new Map<string, string>()

  constructor(deps: FilesApiDeps) {
    this.#deps = deps
  }

  async open(publicKey: string, path: string): Promise<ReleaseFile> {
    const { session, head, manifest } = await this.#newest(publicKey)
    const index = manifest.indexOf(path)
    const entry = index < 0 ? null : manifest.entry(index)
    if (entry?.kind !== 'file') {
      throw new MegatorrentError('ERR_NOT_FOUND', 'the newest release has no such file')
    }
    const source: FileSource = {
      manifest,
      entry: index,
      store: session.blobs,
      fetch: (blob, signal) => {
        const wants = { indexes: [blob], idOf: () => manifest.blobId(blob) }
        return session.fetch(head, wants, { signal, onStored: () => {}, isUrgent: true })
      },
    }
    return {
      path,
      size: entry.size,
      sequence: head.releaseNumber,
      contentId: await this.#identityOf(head, manifest, index),
      read: (start, end, signal) => readRange(source, start, end, signal),
    }
  }

  async list({ publicKey, folder, after, limit }: ListFolderParams): Promise<ListFolderResult> {
    const { head, manifest } = await this.#newest(publicKey)
    const page = listFolder(manifest, folder, after, limit)
    if (page === null) throw new MegatorrentError('ERR_NOT_FOUND', 'the newest release has no such folder')
    const { children, next } = page
    return { publicKey, sequence: head.releaseNumber, title: manifest.title, folder, children, next }
  }

  async #newest(publicKey: string): Promise<{ session: ChannelSession; head: Head; manifest: Manifest }> {
    const session = fromHex(publicKey, 32) === null ? null : this.#deps.sessionOf(publicKey)
    if (session === null)
      throw new MegatorrentError('ERR_NOT_FOUND', 'that channel is neither followed nor ours')
    session.hurry()
    const head = session.newest
    if (head === null) {
      throw new MegatorrentError('ERR_RELEASE_NOT_FOUND', 'no release of this channel is known yet')
    }
    if (head.isUnpublished) throw unpublished()
    const { served } = session
    if (served !== null && toHex(served.head.root) === toHex(head.root)) {
      return { session, head, manifest: served.manifest }
    }
    return { session, head, manifest: await this.#load(session, head) }
  }

  #load(session: ChannelSession, head: Head): Promise<Manifest> {
    const key = toHex(head.root)
    const known = this.#loading.get(key)
    if (known !== undefined) return known
    const { signal, release } = linkDeadline(this.#deps.clock, FILE_MANIFEST_MS)
    const loading = loadManifest({
      root: head.root,
      store: session.blobs,
      signal,
      fetch: (reference, number) => {
        const want = { indexes: [number], idOf: () => referenceId(reference) }
        return session.fetch(head, want, { signal, onStored: () => {}, isUrgent: true })
      },
    })
      .catch((error: unknown) => {
        if (!signal.aborted) throw error
        const message = 'no peer gave the list of files in time'
        throw new MegatorrentError('ERR_TIMEOUT', message, { cause: error })
      })
      .finally(() => {
        release()
        this.#loading.delete(key)
      })
    this.#loading.set(key, loading)
    return loading
  }

  async #identityOf(head: Head, manifest: Manifest, index: number): Promise<string> {
    const key = `${toHex(head.root)}/${index}`
    const known = this.#identities.get(key)
    if (known !== undefined) return known
    const { path, size } = manifest.entry(index)
    const identity = await runInTurns(identitySteps(manifest, { path, size, entry: index }))
    const short = identity.slice(0, IDENTITY_DIGITS)
    this.#identities.set(key, short)
    const [oldest] = this.#identities.keys()
    if (this.#identities.size > MAX_KEPT_IDENTITIES && oldest !== undefined) this.#identities.delete(oldest)
    return short
  }
}
