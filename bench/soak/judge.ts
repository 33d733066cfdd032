/**
 * The table of a soak from the samples that it kept: while it runs, or once more
 * with other bounds.
 */
import { join } from 'node:path'
import { steadyNames } from './network.ts'
import { useTable } from './report.ts'
import { readSamples, SAMPLES_FILE, type Sample } from './samples.ts'
import { type Use, useOf } from './verdict.ts'

/** What each process used that ran through, after that time at most. */
export function usesOf(samples: readonly Sample[], durationMs: number): readonly Use[] {
  return steadyNames().flatMap((name) => {
    const own = samples.filter((sample) => sample.name === name && sample.atMs <= durationMs)
    return useOf(name, own, durationMs) ?? []
  })
}

/** @returns what to print, and whether no bound on memory and files is broken. */
export function judge(
  folder: string,
  durationMs: number,
): { readonly text: string; readonly isPass: boolean } {
  const samples = readSamples(join(folder, SAMPLES_FILE))
  const soFarMs = Math.min(durationMs, samples.at(-1)?.atMs ?? 0)
  const uses = usesOf(samples, soFarMs)
  const broken = uses.flatMap((use) => use.broken)
  const lines = [`${(soFarMs / 60_000).toFixed(1)} minutes`, '', ...useTable(uses), '', ...broken]
  return { text: `${lines.join('\n')}\n`, isPass: broken.length === 0 }
}
