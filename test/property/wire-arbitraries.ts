/**
 * What the properties of the codecs have in common.
 *
 * @module test/property/wire-arbitraries
 */
import fc from 'fast-check'
import { MegatorrentError } from '../../src/base/errors.ts'
import type { Address } from '../../src/wire/address.ts'
import { formatIpv4, formatIpv6, isIpv4Mapped } from '../../src/wire/ip.ts'

/** RUNS=n runs each property n times. */
export const RUNS = { numRuns: Number(process.env.RUNS ?? 150) }

export const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
export const u16 = fc.nat(65_535)
export const u32 = fc.nat(2 ** 32 - 1)
export const releaseNumber = fc.integer({ min: 1, max: 2 ** 36 - 1 })

/** Gives back the value, or null when the decoder refused it with our own error. Any other error goes on. */
export function accepted<T>(decode: () => T): T | null {
  try {
    return decode()
  } catch (error) {
    if (error instanceof MegatorrentError) return null
    throw error
  }
}

/** An address that has a binary form; onions are left out, since each costs a key. */
export const address: fc.Arbitrary<Address> = fc.oneof(
  fc.record({
    kind: fc.constant('ipv4' as const),
    host: bytes(4).map(formatIpv4),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
  fc.record({
    kind: fc.constant('ipv6' as const),
    host: fc
      .oneof(
        bytes(16),
        bytes(16).map((host) => host.map((byte) => (byte > 40 ? 0 : byte))),
      )
      .filter((host) => !isIpv4Mapped(host))
      .map(formatIpv6),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
)
