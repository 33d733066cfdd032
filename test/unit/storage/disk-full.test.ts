import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WorkerPool } from '../../../src/storage/worker-pool.ts'
import { afterTest, makeBlob, openStore, tempFolder } from './harness.ts'

const DISK_MIB = 6

/** A disk of some MiB, or null where that is not allowed. */
function smallDisk(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null
  const folder = tempFolder()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=0700`, 'tmpfs', folder], {
      stdio: 'ignore',
    })
  } catch {
    return null // root without the right to mount, as in most containers
  }
  afterTest(() => void execFileSync('umount', ['--lazy', folder]))
  return folder
}

describe('a real disk that is full', () => {
  it('loses nothing, keeps nothing half, and takes blobs again when there is space', async ({ skip }) => {
    const folder = smallDisk()
    if (folder === null) return skip('needs root and the right to mount a tmpfs')
    const runner = new WorkerPool({ workers: 2 })
    afterTest(() => runner.close())
    const { store, root } = await openStore(folder, { runner })
    const blobs = Array.from({ length: DISK_MIB + 4 }, (_, n) => makeBlob(n))
    const results = await Promise.allSettled(blobs.map(({ id, sealed }) => store.put(id, sealed.slice())))
    const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(failed.length).toBeGreaterThanOrEqual(4)
    for (const error of failed) expect(error).toMatchObject({ code: 'ERR_DISK_FULL', kind: 'storage' })
    for (const [n, { id }] of blobs.entries()) {
      expect(await store.verify(id)).toBe(results[n]?.status === 'fulfilled' ? 'ok' : 'missing')
    }
    expect(readdirSync(join(root, 'tmp'))).toEqual([])

    const held = blobs.filter(({ id }) => store.has(id))
    expect(await store.delete(held.map(({ id }) => id))).toBe(held.length)
    const last = blobs.at(-1) as (typeof blobs)[number]
    await store.put(last.id, last.sealed.slice())
    expect(await store.verify(last.id)).toBe('ok')
  })
})
