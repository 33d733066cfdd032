/**
 * argon2id as RFC 9106 has it, and BLAKE2b below it (RFC 7693), slowly and in order.
 * Held against the library that is used (crypto/argon2id.ts).
 */
const MASK = (1n << 64n) - 1n
const IV = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
]
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
]
/** Columns, then diagonals: both functions mix sixteen words so. */
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const

const rotateRight = (x: bigint, by: bigint): bigint => ((x >> by) | (x << (64n - by))) & MASK
const at = (words: readonly bigint[], index: number): bigint => words[index] as bigint
const le = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) % 256)

function wordsOf(bytes: ArrayLike<number>): bigint[] {
  const words = new Array<bigint>(bytes.length / 8).fill(0n)
  for (let i = 0; i < bytes.length; i++) {
    words[i >> 3] = at(words, i >> 3) | (BigInt(bytes[i] as number) << BigInt(8 * (i & 7)))
  }
  return words
}

function bytesOf(words: readonly bigint[]): number[] {
  return words.flatMap((word) => Array.from({ length: 8 }, (_, i) => Number((word >> BigInt(8 * i)) & 0xffn)))
}

function blake2b(outBytes: number, input: readonly number[]): number[] {
  const h = [...IV]
  h[0] = at(h, 0) ^ 0x01010000n ^ BigInt(outBytes)
  for (let offset = 0; offset === 0 || offset < input.length; offset += 128) {
    const block = input.slice(offset, offset + 128)
    const isLast = offset + 128 >= input.length
    const m = wordsOf([...block, ...new Array<number>(128 - block.length).fill(0)])
    const v = [...h, ...IV]
    v[12] = at(v, 12) ^ BigInt(offset + block.length)
    if (isLast) v[14] = at(v, 14) ^ MASK
    for (let round = 0; round < 12; round++) {
      const s = SIGMA[round % 10] as number[]
      for (const [i, [a, b, c, d]] of QUARTERS.entries()) {
        for (const [half, [first, second]] of [[32n, 24n] as const, [16n, 63n] as const].entries()) {
          v[a] = (at(v, a) + at(v, b) + at(m, s[2 * i + half] as number)) & MASK
          v[d] = rotateRight(at(v, d) ^ at(v, a), first)
          v[c] = (at(v, c) + at(v, d)) & MASK
          v[b] = rotateRight(at(v, b) ^ at(v, c), second)
        }
      }
    }
    for (let i = 0; i < 8; i++) h[i] = at(h, i) ^ at(v, i) ^ at(v, i + 8)
  }
  return bytesOf(h).slice(0, outBytes)
}

/** H' of any length. */
function longHash(outBytes: number, input: readonly number[]): number[] {
  const first = [...le(outBytes, 4), ...input]
  if (outBytes <= 64) return blake2b(outBytes, first)
  let v = blake2b(64, first)
  const out = v.slice(0, 32)
  while (outBytes - out.length > 64) {
    v = blake2b(64, v)
    out.push(...v.slice(0, 32))
  }
  return [...out, ...blake2b(outBytes - out.length, v)]
}

const low = (x: bigint): bigint => x & 0xffffffffn
const mixed = (x: bigint, y: bigint): bigint => (x + y + 2n * low(x) * low(y)) & MASK

/** P over sixteen words of a block. */
function permute(block: bigint[], where: readonly number[]): void {
  for (const quarter of QUARTERS) {
    const [a, b, c, d] = quarter.map((i) => where[i] as number) as [number, number, number, number]
    for (const [first, second] of [[32n, 24n] as const, [16n, 63n] as const]) {
      block[a] = mixed(at(block, a), at(block, b))
      block[d] = rotateRight(at(block, d) ^ at(block, a), first)
      block[c] = mixed(at(block, c), at(block, d))
      block[b] = rotateRight(at(block, b) ^ at(block, c), second)
    }
  }
}

/** G of two blocks of 1 KiB. */
function compress(x: readonly bigint[], y: readonly bigint[]): bigint[] {
  const r = x.map((word, i) => word ^ at(y, i))
  const z = [...r]
  const sixteen = Array.from({ length: 16 }, (_, i) => i)
  for (let row = 0; row < 8; row++) {
    permute(
      z,
      sixteen.map((i) => 16 * row + i),
    )
  }
  for (let column = 0; column < 8; column++) {
    permute(
      z,
      sixteen.map((i) => 2 * column + 16 * (i >> 1) + (i & 1)),
    )
  }
  return z.map((word, i) => word ^ at(r, i))
}

export interface NaiveArgon2id {
  readonly password: ArrayLike<number>
  readonly salt: ArrayLike<number>
  readonly secret?: ArrayLike<number>
  readonly data?: ArrayLike<number>
  readonly memoryKib: number
  readonly passes: number
  readonly lanes: number
  readonly outBytes: number
}

export function naiveArgon2id(input: NaiveArgon2id): Uint8Array {
  const { password, salt, secret = [], data = [], memoryKib, passes, lanes, outBytes } = input
  const field = (bytes: ArrayLike<number>): number[] => [...le(bytes.length, 4), ...Array.from(bytes)]
  const h0 = blake2b(64, [
    ...[lanes, outBytes, memoryKib, passes, 0x13, 2].flatMap((value) => le(value, 4)),
    ...[password, salt, secret, data].flatMap(field),
  ])
  const blocks = 4 * lanes * Math.floor(memoryKib / (4 * lanes))
  const columns = blocks / lanes
  const segment = columns / 4
  const zero = new Array<bigint>(128).fill(0n)
  const memory = Array.from({ length: lanes }, (_, lane) =>
    Array.from({ length: columns }, (__, column) =>
      column < 2 ? wordsOf(longHash(1024, [...h0, ...le(column, 4), ...le(lane, 4)])) : zero,
    ),
  )
  const block = (lane: number, column: number): bigint[] => memory[lane]?.[column] as bigint[]

  for (let pass = 0; pass < passes; pass++) {
    for (let slice = 0; slice < 4; slice++) {
      for (let lane = 0; lane < lanes; lane++) {
        let addresses: bigint[] = zero
        for (let index = 0; index < segment; index++) {
          const column = slice * segment + index
          const isIndependent = pass === 0 && slice < 2
          if (isIndependent && index % 128 === 0) {
            const counter = Math.floor(index / 128) + 1
            const fields = [pass, lane, slice, blocks, passes, 2, counter].map(BigInt)
            addresses = compress(zero, compress(zero, [...fields, ...zero.slice(fields.length)]))
          }
          if (pass === 0 && column < 2) continue
          const previous = block(lane, (column + columns - 1) % columns)
          const j = isIndependent ? at(addresses, index % 128) : at(previous, 0)
          const fromLane = pass === 0 && slice === 0 ? lane : Number((j >> 32n) % BigInt(lanes))
          const done = pass === 0 ? slice * segment : columns - segment
          const window = fromLane === lane ? done + index - 1 : done - (index === 0 ? 1 : 0)
          const x = (low(j) * low(j)) >> 32n
          const back = Number((BigInt(window) * x) >> 32n)
          const start = pass === 0 || slice === 3 ? 0 : (slice + 1) * segment
          const made = compress(previous, block(fromLane, (start + window - 1 - back) % columns))
          const old = block(lane, column)
          ;(memory[lane] as bigint[][])[column] = made.map((word, i) => word ^ (pass === 0 ? 0n : at(old, i)))
        }
      }
    }
  }
  let last = block(0, columns - 1)
  for (let lane = 1; lane < lanes; lane++)
    last = last.map((word, i) => word ^ at(block(lane, columns - 1), i))
  return Uint8Array.from(longHash(outBytes, bytesOf(last)))
}
