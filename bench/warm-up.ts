/**
 * Warm-up: the first touch of a page costs a virtual machine many times what later
 * ones do (the host has to find it), so figures of a machine that has just started
 * are those of its host. Memory is touched once, in a process of its own, before
 * anything is measured.
 */
import { execFileSync } from 'node:child_process'
import { freemem } from 'node:os'
import { MIB } from './figure.ts'

/** What a run of all figures touches, page cache included. */
const WARM_BYTES = 6144 * MIB
const PIECE_BYTES = 64 * MIB
const SHARE_OF_FREE = 0.5

const PROGRAM = `
const kept = []
for (let left = Number(process.argv[1]); left > 0; left -= ${PIECE_BYTES}) {
  kept.push(Buffer.allocUnsafeSlow(${PIECE_BYTES}).fill(1))
}`

/** Touch up to 6 GiB of the memory that is free, at most half of it. @returns what it took, in words. */
export function warmUp(): string {
  const bytes = Math.floor(Math.min(WARM_BYTES, freemem() * SHARE_OF_FREE))
  const startMs = performance.now()
  execFileSync(process.execPath, ['-e', PROGRAM, String(bytes)], { stdio: 'ignore' })
  const seconds = (performance.now() - startMs) / 1000
  return `${Math.round(bytes / MIB)} MiB touched in ${seconds.toFixed(1)} s`
}
