import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { KRPC_MAX_DEPTH, KRPC_MAX_ITEMS } from '../../src/base/limits.ts'
import { decodeKrpc, readKrpc } from '../../src/discovery/krpc.ts'
import { encodeKrpc } from '../../src/discovery/krpc-encode.ts'
import { isCanonicalBencode } from '../../src/discovery/krpc-scan.ts'
import { type BencodeValue, decodeBencode, encodeBencode } from '../../src/wire/bencode.ts'
import { encodeFields, SOUND_QUERIES, SOUND_REPLIES } from '../unit/discovery/hostile-krpc.ts'

const RUNS = { numRuns: 2_000 }

const value: fc.Arbitrary<BencodeValue> = fc.letrec<{ node: BencodeValue }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 7 },
    fc.maxSafeInteger(),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('node'), { maxLength: 5 }),
    fc
      .dictionary(fc.string({ unit: 'binary-ascii', maxLength: 8 }), tie('node'), { maxKeys: 5 })
      .map((fields) => new Map(Object.entries(fields))),
  ),
})).node

/** Bytes that are nearly bencode: sound messages with a few bytes changed, cut or put in. */
const nearly: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(
        ...[...Object.values(SOUND_QUERIES), ...Object.values(SOUND_REPLIES)].map(encodeFields),
      ),
      value.map(encodeBencode),
    ),
    fc.array(
      fc.tuple(
        fc.nat(),
        fc.constantFrom('set', 'cut', 'put'),
        fc.constantFrom(...Buffer.from('deil0123456789:-+a\0')),
      ),
      { maxLength: 4 },
    ),
  )
  .map(([bytes, edits]) => {
    const out = [...bytes]
    for (const [at, edit, byte] of edits) {
      if (edit === 'set') out[at % (out.length + 1)] = byte
      else if (edit === 'cut') out.splice(at % (out.length + 1), 1)
      else out.splice(at % (out.length + 1), 0, byte)
    }
    return Uint8Array.from(out)
  })

function decodes(bytes: Uint8Array): boolean {
  try {
    decodeBencode(bytes, { maxDepth: KRPC_MAX_DEPTH, maxItems: KRPC_MAX_ITEMS })
    return true
  } catch (error) {
    expect(isMegatorrentError(error)).toBe(true)
    return false
  }
}

describe('the scan of datagrams', () => {
  it('admits exactly what the decoder of canonical bencode admits', () => {
    let admitted = 0
    fc.assert(
      fc.property(fc.oneof(nearly, value.map(encodeBencode)), (bytes) => {
        const isCanonical = isCanonicalBencode(bytes, KRPC_MAX_DEPTH, KRPC_MAX_ITEMS)
        if (isCanonical) admitted++
        expect(isCanonical).toBe(decodes(bytes))
      }),
      RUNS,
    )
    expect(admitted).toBeGreaterThan(RUNS.numRuns / 10)
  })

  it('admits few items and levels, as the decoder does', () => {
    fc.assert(
      fc.property(value, fc.nat(6), fc.integer({ min: 1, max: 12 }), (tree, maxDepth, maxItems) => {
        const bytes = encodeBencode(tree)
        let isWithin = true
        try {
          decodeBencode(bytes, { maxDepth, maxItems })
        } catch {
          isWithin = false // ERR_BENCODE_LIMIT: the value itself is sound
        }
        expect(isCanonicalBencode(bytes, maxDepth, maxItems)).toBe(isWithin)
      }),
      RUNS,
    )
  })
})

describe('reading datagrams', () => {
  it('gives a message that encodes to itself, or a fault, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(nearly, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        const message = readKrpc(bytes)
        if (message.type === 'fault') {
          expect(() => decodeKrpc(bytes)).toThrowError(expect.objectContaining({ code: message.code }))
        } else expect(readKrpc(encodeKrpc(message))).toEqual(message)
      }),
      RUNS,
    )
  })
})
