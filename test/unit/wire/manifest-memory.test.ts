import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const TOOL = resolve(import.meta.dirname, '../../../dist/test/slow/tools/manifest-memory.js')

interface Figures {
  readonly entries: number
  readonly pathBytes: number
  readonly peakRssMiB: number
}

const measure = (entries: number): Figures =>
  JSON.parse(execFileSync(process.execPath, [TOOL, String(entries)], { encoding: 'utf8' })) as Figures

describe.skipIf(!existsSync(TOOL))('reading a manifest (from dist: npm run build)', () => {
  it('of 200,000 entries takes under 250 MiB, all of the process; test/slow has 1,000,000', () => {
    const figures = measure(200_000)
    expect(figures.entries).toBe(200_000)
    expect(figures.pathBytes).toBeGreaterThan(200_000 * 60)
    expect(figures.peakRssMiB).toBeLessThan(250)
  })
})
