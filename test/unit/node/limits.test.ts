import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { Limits } from '../../../src/node/limit-types.ts'
import { NodeLimits } from '../../../src/node/limits.ts'
import { type TransferLimits, transferLimits } from '../../../src/transport/rate-limit.ts'

const CONFIG: Limits = { uploadLimit: 0, downloadLimit: 5000, maxPeers: 200 }

/** Starts of a node over one database. */
class Starts {
  readonly #rows = new Map<string, string | number | Uint8Array>()
  transfer: TransferLimits = transferLimits(new ManualClock())
  warnings = 0

  start(config: Limits, given: readonly string[] = []): NodeLimits {
    this.transfer = transferLimits(new ManualClock())
    return new NodeLimits(config, new Set(given), {
      transfer: this.transfer,
      meta: {
        get: (key) => this.#rows.get(key) ?? null,
        set: (key, value) => void this.#rows.set(key, value),
        remove: (key) => this.#rows.delete(key),
      },
      log: { ...silentLog, warn: () => void this.warnings++ },
    })
  }
}

describe('limits of a node', () => {
  it('are those of the settings until something else is set, and then that over restarts', () => {
    const starts = new Starts()
    const limits = starts.start(CONFIG)
    expect(limits.now).toEqual(CONFIG)
    expect(starts.transfer.download.rate).toBe(5000)
    expect(limits.set({ uploadLimit: 70_000 })).toEqual({ ...CONFIG, uploadLimit: 70_000 })
    expect(starts.transfer.upload.rate).toBe(70_000)
    expect(starts.start(CONFIG).now.uploadLimit).toBe(70_000)
    expect(starts.transfer.upload.rate).toBe(70_000)
  })

  it('are those of a flag of this start, and then no longer what was set before', () => {
    const starts = new Starts()
    starts.start(CONFIG).set({ downloadLimit: 70_000, maxPeers: 7 })
    const flagged = { ...CONFIG, downloadLimit: 9000 }
    expect(starts.start(flagged, ['downloadLimit']).now).toEqual({ ...flagged, maxPeers: 7 })
    expect(starts.start(CONFIG).now).toEqual({ ...CONFIG, maxPeers: 7 })
  })

  it('are those of a file that was changed after they were set, at the next start or when it is read again', () => {
    const starts = new Starts()
    const limits = starts.start(CONFIG)
    limits.set({ downloadLimit: 70_000, uploadLimit: 80_000 })
    expect(limits.reload(CONFIG)).toEqual([])
    expect(limits.now).toEqual({ ...CONFIG, downloadLimit: 70_000, uploadLimit: 80_000 })
    const changed = { ...CONFIG, downloadLimit: 6000 }
    expect(limits.reload(changed)).toEqual(['downloadLimit'])
    expect(limits.now).toEqual({ ...changed, uploadLimit: 80_000 })
    expect(starts.transfer.download.rate).toBe(6000)
    expect(starts.start({ ...changed, uploadLimit: 1 }).now.uploadLimit).toBe(1)
    expect(starts.start(changed).now).toEqual(changed)
  })

  it('are warned of where they are so low that peers take us for dead', () => {
    const starts = new Starts()
    const limits = starts.start(CONFIG)
    expect(starts.warnings).toBe(0)
    limits.set({ uploadLimit: 1 })
    expect(starts.warnings).toBe(1)
  })
})
