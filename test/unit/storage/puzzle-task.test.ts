/** Hashes for puzzles by real worker threads: the main thread goes on meanwhile. */
import { afterAll, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { GATEWAY_PUZZLE_MEMORY_KIB, GATEWAY_PUZZLE_PASSES } from '../../../src/base/limits.ts'
import { argon2id } from '../../../src/crypto/argon2id.ts'
import { memoryHashOf } from '../../../src/storage/puzzle-task.ts'
import { WorkerPool } from '../../../src/storage/worker-pool.ts'

const TRIES = 8

describe('hashes for puzzles', () => {
  const pool = new WorkerPool({ workers: 1 })
  const hash = memoryHashOf(pool)
  afterAll(() => pool.close())

  const input = (first: number) => ({
    password: new Uint8Array(8).fill(first),
    salt: new Uint8Array(32).fill(7),
    memoryKib: GATEWAY_PUZZLE_MEMORY_KIB,
    passes: GATEWAY_PUZZLE_PASSES,
  })

  it('are argon2id, and cost the main thread next to nothing', async () => {
    await hash(input(255)) // the thread starts, and loads the library
    const before = process.cpuUsage()
    const idle = performance.eventLoopUtilization()
    for (let i = 0; i < TRIES; i++) await hash(input(i))
    const busy = performance.eventLoopUtilization(idle)
    const spentMs = (process.cpuUsage(before).user + process.cpuUsage(before).system) / 1000
    // All of the process: the thread made eight hashes of 16 MiB, which is no small thing.
    expect(spentMs).toBeGreaterThan(TRIES * 5)
    expect(busy.active).toBeLessThan(spentMs / 2)
    expect(toHex(await hash(input(3)))).toBe(toHex(await argon2id(input(3))))
  })

  it('that cannot be made reject, and the thread lives on', async () => {
    await expect(hash({ ...input(1), memoryKib: 1 })).rejects.toThrow()
    expect(await hash(input(2))).toHaveLength(32)
  })
})
