/** What is drawn and typed: the chart, the code of a link, rates. */
import { describe, expect, it } from 'vitest'
import { parseKib, parseLines } from '../../../src/web/format.ts'
import { HEIGHT, pointsOf, topOf, WIDTH } from '../../../src/web/parts/chart-lines.ts'
import { qrShape } from '../../../src/web/parts/qr-shape.ts'
import { MAX_SAMPLES } from '../../../src/web/state.ts'

describe('the chart', () => {
  it('is as high as a round number above all that is drawn', () => {
    expect(topOf([])).toBe(10 * 1024)
    expect(topOf([{ down: 11 * 1024, up: 0 }])).toBe(20 * 1024)
    expect(topOf([{ down: 0, up: 1.2 * 1024 * 1024 }])).toBe(2 * 1024 * 1024)
    for (let down = 1; down < 2 ** 45; down *= 3)
      expect(topOf([{ down, up: 0 }])).toBeGreaterThanOrEqual(down)
  })

  it('has the newest point at the right edge, and none outside', () => {
    expect(pointsOf([0, 10], 10).split(' ').at(-1)).toBe(`${WIDTH.toFixed(1)},0.0`)
    const values = Array.from({ length: MAX_SAMPLES }, (_, i) => i)
    const points = pointsOf(values, MAX_SAMPLES).split(' ')
    expect(points[0]).toBe(`0.0,${HEIGHT.toFixed(1)}`)
    expect(points).toHaveLength(MAX_SAMPLES)
  })
})

describe('the code of a link', () => {
  it('covers as many modules as are dark, with a white border', () => {
    const shape = qrShape(`megatorrent://${'ab'.repeat(32)}`)
    const runs = [...(shape?.path ?? '').matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g)]
    expect(runs.length).toBeGreaterThan(100)
    for (const [, x, y, length] of runs) {
      expect(Number(x)).toBeGreaterThanOrEqual(4)
      expect(Number(y)).toBeGreaterThanOrEqual(4)
      expect(Number(x) + Number(length)).toBeLessThanOrEqual((shape?.size ?? 0) - 4)
    }
    // The corner that every code has: seven dark modules in a row.
    expect(shape?.path.startsWith('M4 4h7v1h-7z')).toBe(true)
  })

  it('is left out when the link is too long for one', () => {
    expect(qrShape('x'.repeat(5000))).toBeNull()
  })
})

describe('what is typed', () => {
  it('is a rate in KiB, or none', () => {
    expect(['0', '1', '1.5', ' 200 '].map(parseKib)).toEqual([0, 1024, 1536, 204_800])
    expect(['', '-1', 'x', '1e9', '1,5', '0x10', '99999999999'].map(parseKib)).toEqual(Array(7).fill(null))
  })

  it('is one pattern a line', () => {
    expect(parseLines(' a/** \n\n b \n')).toEqual(['a/**', 'b'])
  })
})
