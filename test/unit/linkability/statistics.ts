/**
 * How well an observer links: pairs that belong together and pairs that do not get scores, and what
 * counts is how often the first score higher. Pure functions; chance is passed in.
 */

/** What an observer makes of pairs: one row for each, one column for each feature. */
export interface Pairs {
  readonly together: readonly (readonly number[])[]
  readonly apart: readonly (readonly number[])[]
}

/** How often a score of the first is above one of the second, equal ones counting half: 0.5 is chance. */
export function auc(together: readonly number[], apart: readonly number[]): number {
  const all = [
    ...together.map((score) => ({ score, isTogether: true })),
    ...apart.map((score) => ({ score, isTogether: false })),
  ].sort((a, b) => a.score - b.score)
  let rankSum = 0
  for (let from = 0, to = 0; from < all.length; from = to) {
    while (to < all.length && all[to]?.score === all[from]?.score) to++
    const rank = (from + 1 + to) / 2
    for (let at = from; at < to; at++) if (all[at]?.isTogether) rankSum += rank
  }
  const [m, n] = [together.length, apart.length]
  return (rankSum - (m * (m + 1)) / 2) / (m * n)
}

/** The AUC of one feature, whichever way it points: an observer may use either. At least 0.5. */
export function separation({ together, apart }: Pairs, feature: number): number {
  const column = (rows: Pairs['together']): number[] => rows.map((row) => row[feature] ?? 0)
  const value = auc(column(together), column(apart))
  return Math.max(value, 1 - value)
}

/**
 * The AUC, on pairs that it has not seen, of what is learnt from others: a logistic regression over all
 * features and their squares. Below 0.5 it has learnt noise.
 */
export function learntAuc(train: Pairs, test: Pairs): number {
  const scale = scaling([...train.together, ...train.apart].map(withSquares))
  const prepare = (rows: Pairs['together']): number[][] => rows.map((row) => scale(withSquares(row)))
  const weights = weigh(prepare(train.together), prepare(train.apart))
  const scores = (rows: Pairs['together']): number[] => prepare(rows).map((row) => dot(weights, row))
  return auc(scores(test.together), scores(test.apart))
}

const ROUNDS = 150
const STEP = 0.5
/** Pulls weights towards zero, so that few pairs are not learnt by heart. */
const DECAY = 0.001

function weigh(together: readonly number[][], apart: readonly number[][]): number[] {
  const weights = new Array<number>((together[0] ?? []).length).fill(0)
  for (let round = 0; round < ROUNDS; round++) {
    const slope = weights.map((weight) => -DECAY * weight)
    // Both kinds weigh the same, however many there are of each.
    for (const [rows, truth] of [
      [together, 1],
      [apart, 0],
    ] as const) {
      for (const row of rows) {
        const miss = (truth - 1 / (1 + Math.exp(-dot(weights, row)))) / rows.length
        for (const [at, value] of row.entries()) slope[at] = (slope[at] ?? 0) + miss * value
      }
    }
    for (const [at, by] of slope.entries()) weights[at] = (weights[at] ?? 0) + STEP * by
  }
  return weights
}

function withSquares(row: readonly number[]): number[] {
  return [...row, ...row.map((value) => value * value)]
}

/** To mean 0 and deviation 1, and a constant column to zeros; the first column of what it gives is 1. */
function scaling(rows: readonly number[][]): (row: readonly number[]) => number[] {
  const columns = (rows[0] ?? []).map((_, at) => {
    const mean = rows.reduce((sum, row) => sum + (row[at] ?? 0), 0) / rows.length
    const variance = rows.reduce((sum, row) => sum + ((row[at] ?? 0) - mean) ** 2, 0) / rows.length
    return { mean, deviation: Math.sqrt(variance) }
  })
  return (row) => [
    1,
    ...row.map((value, at) => {
      const { mean = 0, deviation = 0 } = columns[at] ?? {}
      // Far-off values are cut, so that a rare one does not drown the rest.
      return deviation === 0 ? 0 : Math.max(-4, Math.min(4, (value - mean) / deviation))
    }),
  ]
}

function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0
  for (const [at, value] of a.entries()) sum += value * (b[at] ?? 0)
  return sum
}

/** Bits in which two strings of bytes are alike, from 0 to 1: half of them by chance. */
export function likeness(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  let alike = 0
  for (let at = 0; at < length; at++) {
    let different = (a[at] ?? 0) ^ (b[at] ?? 0)
    for (alike += 8; different !== 0; different &= different - 1) alike--
  }
  return length === 0 ? 0 : alike / (8 * length)
}

/** Bytes that two have in common from the start. */
export function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  let at = 0
  while (at < Math.min(a.length, b.length) && a[at] === b[at]) at++
  return at
}

/** All pairs of records that an observer would compare, by whether they belong together in truth. */
export function allPairs<R>(
  records: readonly R[],
  by: {
    /** Absent: all are. */
    readonly isCompared?: (a: R, b: R) => boolean
    readonly isTogether: (a: R, b: R) => boolean
    readonly features: readonly ((a: R, b: R) => number)[]
  },
): Pairs {
  const together: number[][] = []
  const apart: number[][] = []
  for (const [at, a] of records.entries()) {
    for (const b of records.slice(at + 1)) {
      if (by.isCompared?.(a, b) === false) continue
      const row = by.features.map((feature) => feature(a, b))
      if (by.isTogether(a, b)) together.push(row)
      else apart.push(row)
    }
  }
  return { together, apart }
}

/** The best that any feature does alone. */
export function bestSeparation(pairs: Pairs): number {
  const features = (pairs.together[0] ?? []).map((_, feature) => separation(pairs, feature))
  return Math.max(0.5, ...features)
}
