/**
 * The rule of PROTOCOL_FINAL.md §3.1 written out on noble's points, as slow and
 * plain as it comes: what src/crypto/ed25519.ts is compared with.
 *
 * @module test/reference/ed25519-naive
 */

import { createHash } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'

export const { Point } = ed25519
export type CurvePoint = InstanceType<typeof Point>

export const FIELD_PRIME = 2n ** 255n - 19n
export const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** The eight points whose order divides 8, the identity first. */
export const SMALL_ORDER_POINTS: readonly CurvePoint[] = (() => {
  const generator = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
  const points: CurvePoint[] = [Point.ZERO]
  for (let i = 1; i < 8; i++) points.push((points[i - 1] as CurvePoint).add(generator))
  return points
})()

export function naiveVerify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false
  const s = littleEndian(signature.subarray(32))
  if (s >= GROUP_ORDER) return false
  const a = canonicalPoint(publicKey)
  const r = canonicalPoint(signature.subarray(0, 32))
  if (a === null || r === null) return false
  if (times(a, 8n).equals(Point.ZERO) || times(r, 8n).equals(Point.ZERO)) return false
  const k = challenge(signature.subarray(0, 32), publicKey, message)
  return times(Point.BASE, s).equals(r.add(times(a, k)))
}

export function naiveCheckPublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false
  const point = canonicalPoint(publicKey)
  return point !== null && !point.equals(Point.ZERO) && times(point, GROUP_ORDER).equals(Point.ZERO)
}

export function canonicalPoint(bytes: Uint8Array): CurvePoint | null {
  try {
    const point = Point.fromBytes(bytes, true) // the lax reading, so that the check below is ours
    return Buffer.compare(point.toBytes(), bytes) === 0 ? point : null
  } catch {
    return null // not on the curve
  }
}

/** k = SHA-512(R || A || M) mod L. */
export function challenge(r: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint {
  const digest = createHash('sha512').update(r).update(publicKey).update(message).digest()
  return littleEndian(digest) % GROUP_ORDER
}

/** n·P by doubling and adding, for any n >= 0: no reduction hides what torsion does. */
export function times(point: CurvePoint, n: bigint): CurvePoint {
  let sum = Point.ZERO
  for (const bit of n.toString(2)) {
    sum = sum.double()
    if (bit === '1') sum = sum.add(point)
  }
  return sum
}

/** A signature by a scalar that we know, with a nonce that we choose, under whatever bytes as key. */
export function naiveSign(
  scalar: bigint,
  publicKey: Uint8Array,
  nonce: bigint,
  message: Uint8Array,
  shift: CurvePoint = Point.ZERO,
): Uint8Array {
  const r = times(Point.BASE, nonce).add(shift).toBytes()
  const s = (nonce + challenge(r, publicKey, message) * scalar) % GROUP_ORDER
  return concat(r, encodeScalar(s))
}

export function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex') || '0'}`)
}

export function encodeScalar(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse())
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
