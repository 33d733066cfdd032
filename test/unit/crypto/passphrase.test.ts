import { describe, expect, it } from 'vitest'
import { EMPTY_BYTES, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { MAX_SCRYPT_MEMORY_BYTES, MAX_SCRYPT_PARALLEL } from '../../../src/base/limits.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import {
  DEFAULT_SCRYPT_COST,
  openSecret,
  PASSPHRASE_SALT_BYTES,
  passphraseKey,
  type ScryptCost,
  SEALED_SECRET_OVERHEAD_BYTES,
  sealSecret,
} from '../../../src/crypto/passphrase.ts'
import { wipe } from '../../../src/crypto/wipe.ts'

const random = seededRandom(9)
const CHEAP: ScryptCost = { logN: 4, r: 1, p: 1 }
const salt = random.bytes(PASSPHRASE_SALT_BYTES)

describe('a key from a passphrase', () => {
  it('is scrypt: the known answer of RFC 7914, section 12', async () => {
    const key = await passphraseKey('pleaseletmein', utf8Bytes('SodiumChloride'), { logN: 14, r: 8, p: 1 })
    expect(toHex(key)).toBe('7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2')
  })

  it('depends on passphrase, salt and cost', async () => {
    const keys = await Promise.all([
      passphraseKey('correct horse', salt, CHEAP),
      passphraseKey('correct horsf', salt, CHEAP),
      passphraseKey('correct horse', random.bytes(32), CHEAP),
      passphraseKey('correct horse', salt, { ...CHEAP, logN: 5 }),
      passphraseKey('correct horse', salt, { ...CHEAP, r: 2 }),
      passphraseKey('correct horse', salt, { ...CHEAP, p: 2 }),
    ])
    expect(new Set(keys.map(toHex)).size).toBe(6)
    expect(await passphraseKey('correct horse', salt, CHEAP)).toEqual(keys[0])
  })

  it('is the same for one text in two forms of Unicode', async () => {
    const composed = await passphraseKey('caf\u00e9', salt, CHEAP)
    expect(await passphraseKey('cafe\u0301', salt, CHEAP)).toEqual(composed)
  })

  it('refuses costs and salts out of bounds before anything is spent', async () => {
    const bad: ScryptCost[] = [
      { logN: 0, r: 8, p: 1 },
      { logN: 1.5, r: 8, p: 1 },
      { logN: 20, r: 8, p: 1 },
      { logN: 4000, r: 8, p: 1 },
      { logN: 17, r: 2 ** 40, p: 1 },
      { logN: 4, r: 0, p: 1 },
      { logN: 4, r: 1, p: MAX_SCRYPT_PARALLEL + 1 },
      { logN: 4, r: 1, p: Number.NaN },
      { logN: -4, r: 1, p: 1 },
    ]
    for (const cost of bad)
      expect(await code(passphraseKey('x', salt, cost)), JSON.stringify(cost)).toBe('ERR_KDF_PARAMETERS')
    for (const length of [0, 7, 65]) {
      expect(await code(passphraseKey('x', new Uint8Array(length), CHEAP))).toBe('ERR_KDF_PARAMETERS')
    }
  })

  it('costs 128 MiB by default, which is within the bounds', () => {
    const { logN, r, p } = DEFAULT_SCRYPT_COST
    expect(128 * r * 2 ** logN).toBe(134_217_728)
    expect(128 * r * 2 ** logN).toBeLessThanOrEqual(MAX_SCRYPT_MEMORY_BYTES)
    expect(p).toBeLessThanOrEqual(MAX_SCRYPT_PARALLEL)
  })
})

describe('a sealed secret', () => {
  const key = random.bytes(32)
  const secret = random.bytes(32)
  const context = utf8Bytes('channel key')

  it('opens under its key and context, and is longer by nonce and tag', () => {
    const sealed = sealSecret(key, secret, context, systemRandom)
    expect(sealed).toHaveLength(32 + SEALED_SECRET_OVERHEAD_BYTES)
    expect(openSecret(key, sealed, context)).toEqual(secret)
  })

  it('looks different each time', () => {
    const [one, two] = [0, 1].map(() => toHex(sealSecret(key, secret, context, systemRandom)))
    expect(one).not.toBe(two)
  })

  it('does not open under another key or context, changed, or cut', () => {
    const sealed = sealSecret(key, secret, context, random)
    expect(openSecret(random.bytes(32), sealed, context)).toBeNull()
    expect(openSecret(key, sealed, utf8Bytes('node key'))).toBeNull()
    for (let at = 0; at < sealed.length; at++) {
      const bad = sealed.slice()
      bad[at] = (bad[at] ?? 0) ^ 1
      expect(openSecret(key, bad, context)).toBeNull()
      expect(openSecret(key, sealed.subarray(0, at), context)).toBeNull()
    }
    expect(openSecret(key, EMPTY_BYTES, context)).toBeNull()
  })
})

describe('wipe', () => {
  it('overwrites all that it is given', () => {
    const secrets = [random.bytes(3), random.bytes(40)]
    wipe(...secrets)
    expect(secrets).toEqual([new Uint8Array(3), new Uint8Array(40)])
  })
})

async function code(work: Promise<unknown>): Promise<string | null> {
  try {
    await work
    return null
  } catch (error) {
    return isMegatorrentError(error) ? error.code : String(error)
  }
}
