/**
 * Who runs tasks: the pool of worker threads, or the same thread in tests.
 *
 * @module storage/task-runner
 */
import type { TaskKind, Tasks } from './worker-tasks.ts'

export interface RunOptions {
  /** Ahead of the queue and outside its bound: for work that others wait for, bounded by those who ask. */
  readonly urgent?: boolean
}

export interface TaskRunner {
  /**
   * Run one task. Byte strings over 4 KiB among the fields of `input` change hands: the caller must
   * not use them any more.
   *
   * @throws what the task throws; MegatorrentError ERR_WORKER_CRASHED when its worker ended before
   *   it, and ERR_STORE_CLOSED after `close`.
   */
  run<K extends TaskKind>(
    kind: K,
    input: Tasks[K]['input'],
    options?: RunOptions,
  ): Promise<Tasks[K]['output']>
  /** Let what runs end, refuse what waits, leave no handle. Idempotent. */
  close(): Promise<void>
}
