/**
 * Public vectors that lie beside the project, not in it: `../shared/vectors`, or
 * where MEGATORRENT_SHARED says. Where they are absent the tests that need them
 * are skipped, and say so.
 *
 * @module test/reference/shared-vectors
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, it } from 'vitest'

const PROJECT = resolve(import.meta.dirname, '../..')
const SHARED = resolve(PROJECT, process.env.MEGATORRENT_SHARED ?? '../shared')

/** A vector file of our own, under test/vectors. */
export function readOwnVectors<T>(name: string): T {
  return JSON.parse(readFileSync(resolve(PROJECT, 'test/vectors', name), 'utf8')) as T
}

/**
 * A group of tests over one public file.
 *
 * @param name - what the tests claim.
 * @param file - below the folder `vectors`.
 */
export function describeShared<T>(name: string, file: string, body: (vectors: T) => void): void {
  const path = resolve(SHARED, 'vectors', file)
  if (!existsSync(path)) {
    describe(name, () => {
      it.skip(`vectors/${file} is absent: set MEGATORRENT_SHARED to the folder that holds it`, () => {})
    })
    return
  }
  describe(name, () => body(JSON.parse(readFileSync(path, 'utf8')) as T))
}

/** The shape of every Wycheproof file, with what a group and a test hold besides. */
export interface Wycheproof<Group, Test> {
  readonly numberOfTests: number
  readonly testGroups: readonly (Group & { readonly tests: readonly (Test & WycheproofTest)[] })[]
}

export interface WycheproofTest {
  readonly tcId: number
  readonly comment: string
  readonly flags: readonly string[]
  readonly result: 'valid' | 'invalid' | 'acceptable'
}

/** Bytes of hex that is known to be good. */
export function hex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new TypeError('expected hex')
  return new Uint8Array(Buffer.from(text, 'hex'))
}
