import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { COMMIT_DELAY_MS, MAX_COMMIT_BLOBS } from '../../../src/base/limits.ts'
import { GroupCommit } from '../../../src/storage/group-commit.ts'

const id = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255)

function setup() {
  const clock = new ManualClock()
  const batches: number[] = []
  const held = new Set<string>()
  const control = {
    writers: 1,
    failure: null as Error | null,
    finish: null as (() => void) | null,
    manual: false,
  }
  const commit = new GroupCommit({
    clock,
    writers: () => control.writers,
    commit: async (ids) => {
      batches.push(ids.length)
      if (control.manual) await new Promise<void>((resolve) => (control.finish = resolve))
      if (control.failure !== null) throw control.failure
      const added = ids.filter((one) => !held.has(one.join()))
      for (const one of added) held.add(one.join())
      return added
    },
  })
  return { clock, batches, control, commit }
}

describe('GroupCommit', () => {
  it('begins when nobody writes any more', async () => {
    const { batches, control, commit } = setup()
    const added = [commit.add(id(1)), commit.add(id(2))]
    expect(batches).toEqual([])
    control.writers = 0
    commit.check()
    expect(await Promise.all(added)).toEqual([true, true])
    expect(batches).toEqual([2])
  })

  it('begins when the batch is full', async () => {
    const { batches, commit } = setup()
    await Promise.all(Array.from({ length: MAX_COMMIT_BLOBS }, (_, n) => commit.add(id(n))))
    expect(batches).toEqual([MAX_COMMIT_BLOBS])
  })

  it('begins when the first of a batch has waited long enough, and not before', async () => {
    const { clock, batches, commit } = setup()
    const added = commit.add(id(1))
    await clock.advance(COMMIT_DELAY_MS - 1)
    void commit.add(id(2))
    expect(batches).toEqual([])
    await clock.advance(1)
    expect(await added).toBe(true)
    expect(batches).toEqual([2])
    expect(clock.pendingTimers).toBe(0)
  })

  it('gathers what comes during a commit for the next, and runs one at a time', async () => {
    const { batches, control, commit } = setup()
    control.writers = 0
    control.manual = true
    const first = commit.add(id(1))
    const others = [2, 3, 4].map((n) => commit.add(id(n)))
    expect(batches).toEqual([1])
    control.finish?.()
    expect(await first).toBe(true)
    await Promise.resolve()
    expect(batches).toEqual([1, 3])
    control.finish?.()
    expect(await Promise.all(others)).toEqual([true, true, true])
  })

  it('tells one of several with the same id that it was new, in one batch or in two', async () => {
    const { control, commit } = setup()
    const same = [commit.add(id(1)), commit.add(id(1)), commit.add(id(1))]
    control.writers = 0
    commit.check()
    expect(await Promise.all(same)).toEqual([true, false, false])
    expect(await commit.add(id(1))).toBe(false)
  })

  it('fails all of a batch that fails, and goes on with the next', async () => {
    const { control, commit } = setup()
    control.writers = 0
    control.failure = new Error('no')
    const results = await Promise.allSettled([commit.add(id(1)), commit.add(id(2))])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    control.failure = null
    expect(await commit.add(id(1))).toBe(true)
  })
})
