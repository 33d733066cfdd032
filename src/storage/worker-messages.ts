/**
 * What the pool and its worker threads say to each other.
 *
 * @module storage/worker-messages
 */
import { BLOB_FRAME_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import type { TaskError } from './task-error.ts'
import type { TaskKind } from './worker-tasks.ts'

/** Given to a worker when it starts. */
export interface WorkerSettings {
  /** Begins the names of its temp files. */
  readonly tempPrefix: string
}

export interface TaskRequest {
  readonly id: number
  readonly kind: TaskKind
  readonly input: unknown
}

export type TaskAnswer =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | { readonly id: number; readonly ok: false; readonly error: TaskError }

/** Byte strings up to this size are copied: quicker than handing their memory over. */
const COPY_BYTES = 4_096

/**
 * Memory of the byte strings among the fields of a message that changes hands
 * instead of being copied. One that shares its memory with something else is copied.
 */
export function buffersOf(message: unknown): ArrayBuffer[] {
  if (typeof message !== 'object' || message === null) return []
  const values = message instanceof Uint8Array ? [message] : Object.values(message)
  const buffers: ArrayBuffer[] = []
  for (const value of values) {
    if (!(value instanceof Uint8Array) || value.byteLength <= COPY_BYTES) continue
    const { buffer } = value
    // Our own views cover their memory but for tags; anything else may be shared.
    const uncovered = buffer.byteLength - value.byteLength
    if (buffer instanceof ArrayBuffer && uncovered <= BLOB_FRAME_BYTES - CHUNK_BYTES) buffers.push(buffer)
  }
  return buffers
}
