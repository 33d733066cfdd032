/**
 * One hash of a memory-hard puzzle, made by a worker thread: it takes tens of
 * milliseconds, for which the main thread has others to answer.
 *
 * @module storage/puzzle-task
 */
import { type Argon2idInput, argon2id, type MemoryHash } from '../crypto/argon2id.ts'
import type { TaskRunner } from './task-runner.ts'

/** @returns ARGON2ID_BYTES. */
export function puzzleHash(_context: unknown, input: Argon2idInput): Promise<Uint8Array> {
  return argon2id(input)
}

/**
 * Hashes by the worker threads. Ahead of what waits there: whoever asks makes one at a time, and somebody
 * waits for each. Errors as `TaskRunner.run`.
 */
export function memoryHashOf(runner: TaskRunner): MemoryHash {
  return (input) => runner.run('puzzleHash', input, { urgent: true })
}
