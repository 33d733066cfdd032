import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import {
  FREE_SPACE_RECHECK_BYTES,
  FREE_SPACE_RECHECK_MS,
  MAX_IDLE_BUFFERS,
} from '../../../src/base/limits.ts'
import { BufferPool } from '../../../src/storage/buffer-pool.ts'
import { StoreBudget, systemFreeBytes } from '../../../src/storage/store-limits.ts'
import { BLOB_BYTES, BLOB_FRAME_BYTES } from '../../../src/wire/constants.ts'
import { systemError, tempFolder } from './harness.ts'

function setup(maxBlobs: number, freeBlobs: number, minFreeBlobs = 0) {
  const clock = new ManualClock()
  const disk = { freeBytes: freeBlobs * BLOB_BYTES, asked: 0 }
  const limits = { maxBytes: maxBlobs * BLOB_BYTES, minFreeBytes: minFreeBlobs * BLOB_BYTES }
  const budget = new StoreBudget('/x', limits, clock, async () => {
    disk.asked++
    return disk.freeBytes
  })
  return { clock, disk, budget }
}

describe('StoreBudget', () => {
  it('reserves up to the quota, what is under way included', async () => {
    const { budget } = setup(3, 1_000)
    const held = () => 1
    expect([await budget.reserve(held), await budget.reserve(held)]).toEqual([null, null])
    expect(await budget.reserve(held)).toMatchObject({ code: 'ERR_STORE_FULL' })
    budget.release(false)
    expect(await budget.reserve(held)).toBeNull()
    budget.setLimits({ maxBytes: 0, minFreeBytes: 0 })
    expect(await budget.reserve(held)).toMatchObject({ code: 'ERR_STORE_FULL' })
  })

  it('leaves the floor free, counting what it wrote since it last asked', async () => {
    const { budget } = setup(1_000, 5, 2)
    for (let n = 0; n < 3; n++) {
      expect(await budget.reserve(() => n)).toBeNull()
      budget.release(true)
    }
    expect(await budget.reserve(() => 3)).toMatchObject({ code: 'ERR_DISK_FULL', kind: 'storage' })
  })

  it('asks the disk again after some time, after some bytes, and at once after a refusal', async () => {
    const { budget, clock, disk } = setup(1_000_000, 1_000)
    await budget.reserve(() => 0)
    await budget.reserve(() => 0)
    expect(disk.asked).toBe(1)
    await clock.advance(FREE_SPACE_RECHECK_MS)
    await budget.reserve(() => 0)
    expect(disk.asked).toBe(2)
    for (let n = 0; n * BLOB_BYTES < FREE_SPACE_RECHECK_BYTES; n++) {
      await budget.reserve(() => 0)
      budget.release(true)
    }
    await budget.reserve(() => 0)
    expect(disk.asked).toBe(3)
    disk.freeBytes = 0
    await clock.advance(FREE_SPACE_RECHECK_MS)
    expect(await budget.reserve(() => 0)).toMatchObject({ code: 'ERR_DISK_FULL' })
    disk.freeBytes = 1_000 * BLOB_BYTES
    expect(await budget.reserve(() => 0)).toBeNull()
  })

  it('asks once for many at a time, and reports a disk that does not answer', async () => {
    const { budget, disk } = setup(1_000, 1_000)
    await Promise.all(Array.from({ length: 20 }, () => budget.reserve(() => 0)))
    expect(disk.asked).toBe(1)
    const broken = new StoreBudget('/x', { maxBytes: 1e9, minFreeBytes: 0 }, new ManualClock(), async () => {
      throw systemError('EIO')
    })
    await expect(broken.reserve(() => 0)).rejects.toMatchObject({ code: 'ERR_DISK_FAULT' })
  })

  it('knows the free space of a real folder', async () => {
    expect(await systemFreeBytes(tempFolder())).toBeGreaterThan(0)
  })
})

describe('BufferPool', () => {
  it('gives a buffer out again, never twice at a time, and takes only its own kind', () => {
    const pool = new BufferPool()
    const one = pool.take()
    expect(one).toHaveLength(BLOB_FRAME_BYTES)
    pool.give(one.subarray(0, 10))
    pool.give(one)
    pool.give(new Uint8Array(10))
    expect(pool.idle).toBe(1)
    expect(pool.take().buffer).toBe(one.buffer)
    expect(pool.take().buffer).not.toBe(one.buffer)
    expect(pool.takeIdle()).toBeNull()
  })

  it('keeps a bounded number of them', () => {
    const pool = new BufferPool()
    for (let n = 0; n < 40; n++) pool.give(new Uint8Array(BLOB_FRAME_BYTES))
    expect(pool.idle).toBe(MAX_IDLE_BUFFERS)
  })
})
