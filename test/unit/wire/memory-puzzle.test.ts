import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { argon2id } from '../../../src/crypto/argon2id.ts'
import { MAX_PUZZLE_COST_KIB, MAX_PUZZLE_MEMORY_KIB } from '../../../src/wire/constants.ts'
import {
  isBearable,
  isSolution,
  puzzleInput,
  puzzleNonce,
  puzzleSalt,
} from '../../../src/wire/memory-puzzle.ts'
import type { PublishedItem } from '../../../src/wire/message.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'

interface PuzzleVectors {
  /** Bytes 8 to 129 + n of a PUBLISH. */
  readonly item: string
  readonly cases: readonly {
    readonly name: string
    readonly handshakeHash: string
    readonly salt: string
    readonly memoryKib: number
    readonly passes: number
    readonly bits: number
    readonly nonce: string
    readonly hash: string
    readonly triesBefore: number
  }[]
}

const VECTORS = readOwnVectors<PuzzleVectors>('puzzles.json')

function itemOf(bytes: Uint8Array): PublishedItem {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return {
    notBefore: Number(view.getBigUint64(0)),
    notAfter: Number(view.getBigUint64(8)),
    slotKey: bytes.slice(16, 48),
    seq: Number(view.getBigUint64(48)),
    signature: bytes.slice(56, 120),
    value: bytes.slice(122),
  }
}

describe('a memory-hard puzzle', () => {
  it.each(VECTORS.cases)('is that of the vector: $name', async (vector) => {
    const salt = puzzleSalt(hex(vector.handshakeHash), itemOf(hex(VECTORS.item)))
    expect(toHex(salt)).toBe(vector.salt)
    expect(toHex(puzzleNonce(vector.triesBefore))).toBe(vector.nonce)
    const hash = await argon2id(puzzleInput(salt, hex(vector.nonce), vector))
    expect(toHex(hash)).toBe(vector.hash)
    expect(isSolution(hash, vector)).toBe(true)
    for (let count = 0; count < vector.triesBefore; count++) {
      expect(isSolution(await argon2id(puzzleInput(salt, puzzleNonce(count), vector)), vector)).toBe(false)
    }
  })

  it.each([
    [true, MAX_PUZZLE_MEMORY_KIB, 1, 0],
    [false, MAX_PUZZLE_MEMORY_KIB + 1, 1, 0],
    [true, MAX_PUZZLE_MEMORY_KIB, 1, 6],
    [false, MAX_PUZZLE_MEMORY_KIB, 1, 7],
    [false, MAX_PUZZLE_MEMORY_KIB, 2, 6],
    [true, 8, 1, 19],
    [false, 8, 1, 20],
    [false, 7, 1, 0],
    [false, 8, 0, 0],
    [false, 8, 1, 33],
    [false, 2 ** 32 - 1, 255, 255],
  ])('is borne: %s, for %i KiB, %i passes and %i bits', (expected, memoryKib, passes, bits) => {
    expect(isBearable({ memoryKib, passes, bits })).toBe(expected)
  })

  it('that may be asked writes no more than the stated bound', () => {
    for (let bits = 0; bits <= 255; bits++) {
      for (const memoryKib of [8, 16_384, MAX_PUZZLE_MEMORY_KIB]) {
        const cost = memoryKib * 2 ** bits
        expect(isBearable({ memoryKib, passes: 1, bits })).toBe(cost <= MAX_PUZZLE_COST_KIB)
      }
    }
  })
})
