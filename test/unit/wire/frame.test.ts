import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { FRAME_BODY_BYTES, SMALL_FRAME_PLAIN_BYTES } from '../../../src/wire/constants.ts'
import { decodeFrame, encodeFrame, encodeFrameInto } from '../../../src/wire/frame.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf, damaged } from './refusal.ts'

interface FrameVectors {
  readonly valid: readonly {
    readonly name: string
    readonly plain: string
    readonly type: number
    readonly more: boolean
    readonly requestId: number
    readonly body: string
  }[]
  readonly invalid: readonly { readonly why: string; readonly plain: string; readonly code: string }[]
}

const VECTORS = readOwnVectors<FrameVectors>('frames.json')

describe('a small frame', () => {
  it.each(VECTORS.valid)(
    '$name is that of the vector, both ways',
    ({ plain, type, more, requestId, body }) => {
      const frame = { type, more, requestId, body: hex(body) }
      expect(toHex(encodeFrame(frame))).toBe(plain)
      expect(decodeFrame(hex(plain))).toEqual(frame)
    },
  )

  it.each(VECTORS.invalid)('is refused: $why', ({ plain, code }) => {
    expect(codeOf(() => decodeFrame(hex(plain)))).toBe(code)
  })

  it('is refused for each of the reasons there are', () => {
    expect([...new Set(VECTORS.invalid.map(({ code }) => code))].sort()).toEqual([
      'ERR_FRAME_FLAGS',
      'ERR_FRAME_LENGTH',
      'ERR_FRAME_PADDING',
      'ERR_FRAME_SIZE',
    ])
  })

  it.each([0, 1, FRAME_BODY_BYTES - 1, FRAME_BODY_BYTES])('carries a body of %i bytes', (length) => {
    const body = seededRandom(length + 1).bytes(length)
    const plain = encodeFrame({ type: 1, more: false, requestId: 2, body })
    expect(plain.length).toBe(SMALL_FRAME_PLAIN_BYTES)
    expect(decodeFrame(plain).body).toEqual(body)
  })

  it('has one encoding: whatever damage is accepted encodes to itself', () => {
    const random = seededRandom(5)
    let refused = 0
    for (const { plain } of VECTORS.valid) {
      for (const { bytes } of damaged(hex(plain), random)) {
        const code = codeOf(() => decodeFrame(bytes))
        if (code === null) expect(encodeFrame(decodeFrame(bytes))).toEqual(bytes)
        else refused++
      }
    }
    expect(refused).toBeGreaterThan(20)
  })

  it('is refused for any single byte of padding, at every place', () => {
    const plain = encodeFrame({ type: 12, more: false, requestId: 0, body: new Uint8Array(500) })
    for (let at = 508; at < plain.length; at++) {
      plain[at] = 1
      expect(codeOf(() => decodeFrame(plain))).toBe('ERR_FRAME_PADDING')
      plain[at] = 0
    }
    expect(decodeFrame(plain).body.length).toBe(500)
  })

  it.each([0, 255])('may be of type %i', (type) => {
    const frame = { type, more: false, requestId: 0, body: new Uint8Array(0) }
    expect(decodeFrame(encodeFrame(frame))).toEqual(frame)
  })

  it('written into used memory leaves nothing of what was there', () => {
    const out = new Uint8Array(SMALL_FRAME_PLAIN_BYTES).fill(0xaa)
    encodeFrameInto({ type: 8, more: false, requestId: 5, body: new Uint8Array(0) }, out)
    expect(out).toEqual(encodeFrame({ type: 8, more: false, requestId: 5, body: new Uint8Array(0) }))
  })

  it('is decoded as a view into its memory', () => {
    const plain = encodeFrame({ type: 1, more: false, requestId: 0, body: Uint8Array.of(1) })
    const { body } = decodeFrame(plain)
    plain[8] = 9
    expect(body).toEqual(Uint8Array.of(9))
  })

  it('that cannot be written is our own mistake', () => {
    const good = { type: 1, more: false, requestId: 0, body: new Uint8Array(0) }
    for (const bad of [
      { ...good, type: 256 },
      { ...good, type: -1 },
      { ...good, type: 1.5 },
      { ...good, requestId: 2 ** 32 },
      { ...good, requestId: -1 },
      { ...good, body: new Uint8Array(1001) },
      { ...good, more: true, body: new Uint8Array(999) },
    ]) {
      expect(() => encodeFrame(bad)).toThrow(RangeError)
    }
    expect(() => encodeFrameInto(good, new Uint8Array(1007))).toThrow(RangeError)
  })
})
