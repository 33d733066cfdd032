import { describe, expect, it } from 'vitest'
import { formatAddress, parseAddress } from '../../../src/wire/address.ts'
import { decodePeerAddresses, encodePeerAddresses } from '../../../src/wire/peers.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf } from './refusal.ts'

const VECTORS = readOwnVectors<{
  readonly valid: readonly { name: string; texts: readonly string[]; addresses: string }[]
  readonly invalid: readonly { why: string; addresses: string; code: string }[]
}>('peers.json')

describe('addresses of PEERS', () => {
  it.each(VECTORS.valid)(
    '$name are those of the vector, both ways and in any order',
    ({ texts, addresses }) => {
      const bytes = hex(addresses)
      expect(decodePeerAddresses(bytes).map(formatAddress)).toEqual(texts)
      const given = texts.map(parseAddress)
      for (const order of [given, [...given].reverse(), [...given, ...given].slice(0, 16)]) {
        expect(encodePeerAddresses(order)).toEqual(bytes)
      }
    },
  )

  it.each(VECTORS.invalid)('are refused: $why', ({ addresses, code }) => {
    expect(codeOf(() => decodePeerAddresses(hex(addresses)))).toBe(code)
  })

  it('are at most 16, and none is a name', () => {
    const many = Array.from({ length: 17 }, (_, i) => parseAddress(`192.0.2.${i}:7117`))
    expect(() => encodePeerAddresses(many)).toThrow(RangeError)
    expect(decodePeerAddresses(encodePeerAddresses(many.slice(0, 16)))).toEqual(many.slice(0, 16))
    expect(() => encodePeerAddresses([parseAddress('host.example:7117')])).toThrow(TypeError)
  })
})
