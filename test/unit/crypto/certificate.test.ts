import { describe, expect, it } from 'vitest'
import { EMPTY_BYTES } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { signNodeCertificate, verifyNodeCertificate } from '../../../src/crypto/certificate.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { ROLE_INITIATOR, ROLE_RESPONDER } from '../../../src/crypto/tags.ts'

const random = seededRandom(8)
const node = new SigningKey(random.bytes(32))
const noiseStatic = random.bytes(32)
const hash = random.bytes(32)
const signature = signNodeCertificate(node, ROLE_RESPONDER, noiseStatic, hash)

describe('a node certificate', () => {
  it('holds for its node key, role, static key and handshake', () => {
    expect(verifyNodeCertificate(signature, node.publicKey, ROLE_RESPONDER, noiseStatic, hash)).toBe(true)
  })

  it('holds for nothing else', () => {
    const other = random.bytes(32)
    expect(verifyNodeCertificate(signature, node.publicKey, ROLE_INITIATOR, noiseStatic, hash)).toBe(false)
    expect(verifyNodeCertificate(signature, node.publicKey, ROLE_RESPONDER, other, hash)).toBe(false)
    expect(verifyNodeCertificate(signature, node.publicKey, ROLE_RESPONDER, noiseStatic, other)).toBe(false)
    expect(verifyNodeCertificate(signature, node.publicKey, ROLE_RESPONDER, hash, noiseStatic)).toBe(false)
    expect(
      verifyNodeCertificate(signature, new SigningKey(other).publicKey, ROLE_RESPONDER, noiseStatic, hash),
    ).toBe(false)
  })

  it('is not accepted under a small-order key, or as bytes of any other length', () => {
    const zero = new Uint8Array(32)
    expect(verifyNodeCertificate(new Uint8Array(64), zero, ROLE_RESPONDER, noiseStatic, hash)).toBe(false)
    expect(verifyNodeCertificate(EMPTY_BYTES, node.publicKey, ROLE_RESPONDER, noiseStatic, hash)).toBe(false)
    expect(verifyNodeCertificate(signature, EMPTY_BYTES, ROLE_RESPONDER, noiseStatic, hash)).toBe(false)
  })
})
