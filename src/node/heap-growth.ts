/**
 * How far the heap may grow before what is dead in it is looked for.
 *
 * V8 lets it grow to four times what was alive the last time, since memory is cheap
 * where it runs alone. A daemon shares its machine: with half as much again the
 * ingest of 100,000 files peaks at 308 MiB instead of 419, for the same processor
 * time (bench/results.md).
 *
 * @module node/heap-growth
 */
import { setFlagsFromString } from 'node:v8'

const GROWTH_PERCENT = 50

/** For this process and its threads, from the next collection on. */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`)
}
