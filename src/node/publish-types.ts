/**
 * Ingests and releases as the RPC asks for them and sees them. Types only.
 *
 * @module node/publish-types
 */
import type { ErrorCode } from '../base/errors.ts'

export interface IngestParams {
  /** Absolute. */
  readonly path: string
  /** Name or public key; null: the only channel there is, else kind usage. */
  readonly channel: string | null
  /** Read also what has not changed by its size, times and inode. */
  readonly rehash?: boolean
}

export interface IngestResult {
  readonly ingestId: string
  readonly publicKey: string
  readonly files: number
  readonly bytes: number
  /** Data blobs only. */
  readonly blobs: number
  readonly newBlobs: number
  /** Symlinks and special files left out. */
  readonly skipped: number
}

export interface PublishParams {
  /** An absolute path to ingest first, or an earlier ingest. */
  readonly source: { readonly path: string } | { readonly ingestId: string }
  readonly channel: string | null
  /** Null: the name of the file or folder. */
  readonly title: string | null
  /** As for an ingest. */
  readonly rehash?: boolean
  /** How long to wait for a confirmation; null: 60 s. */
  readonly timeoutMs: number | null
}

export interface PublishManifestParams {
  /** Absolute path of the bundle. */
  readonly file: string
  /** As for a publish. */
  readonly timeoutMs: number | null
}

export interface PublishResult {
  readonly uri: string
  readonly publicKey: string
  readonly sequence: number
  readonly files: number
  readonly bytes: number
  readonly blobs: number
  readonly newBlobs: number
  readonly manifestBlobs: number
  /** Other DHT nodes and gateways that confirmed. */
  readonly storedBy: number
  /** The folder and the title are those of the newest release: nothing was made. */
  readonly unchanged: boolean
  readonly skipped: number
  /**
   * Null when somebody confirmed. Otherwise the release is durable and queued,
   * and the caller is answered with this error (kind timeout or network) and
   * the rest of the result beside it.
   */
  readonly pending: { readonly code: ErrorCode; readonly message: string } | null
}
