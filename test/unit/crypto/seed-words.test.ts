import { describe, expect, it } from 'vitest'
import { fromHex } from '../../../src/base/bytes.ts'
import { loadSeedWords, SEED_WORDS } from '../../../src/crypto/seed-words.ts'

/** The vectors of 256 bits of the reference implementation of BIP 39 (trezor/python-mnemonic, vectors.json, MIT). */
const VECTORS: readonly (readonly [entropy: string, words: string])[] = [
  ['00'.repeat(32), `${'abandon '.repeat(23)}art`],
  [
    '7f'.repeat(32),
    `${'legal winner thank year wave sausage worth useful '.repeat(2)}legal winner thank year wave sausage worth title`,
  ],
  [
    '80'.repeat(32),
    `${'letter advice cage absurd amount doctor acoustic avoid '.repeat(2)}letter advice cage absurd amount doctor acoustic bless`,
  ],
  ['ff'.repeat(32), `${'zoo '.repeat(23)}vote`],
  [
    '00ac97c48106f0aeb8ba061e0250a559b3251dc35854e694780ba51d53a50120',
    'absent gorilla van acoustic humor firm title dolphin bulk barely citizen recall crane moment aspect appear track phrase actual enforce steel spoon afraid benefit',
  ],
  [
    '3edc83b60740d77af3afa2fcb82c2f1bc541ee4e2518ddef4996d32453f54a3c',
    'disagree tomato unique attend aspect runway solid violin witness scrap armed daring favorite warm decade perfect target kid grant play early wide cigar night',
  ],
  [
    '89bb4bc5555992cdaf3444c5e7ca5a6e9f27efab894f1990bae41be8b2a26ea4',
    'meadow surge vanish primary odor grocery rubber mass shine dinner notable tag venue water purchase clarify book magic ribbon daughter menu eye ritual orchard',
  ],
  [
    '911fec0fbd88029f6fa99164896c18d898c9232af18bdcca3e42d53b86493104',
    'much youth advance kitchen lens exile salt cram goose enter alert raise milk muscle profit cousin system faint mouse price reveal cause series long',
  ],
]

describe('words of a secret', () => {
  it.each(VECTORS)('are those of BIP 39: %s', async (entropy, text) => {
    const list = await loadSeedWords()
    const secret = fromHex(entropy, 32) as Uint8Array
    const words = text.split(' ')
    expect(list.encode(secret)).toEqual(words)
    expect(list.decode(words)).toEqual(secret)
    expect(words.every((word) => list.has(word))).toBe(true)
  })

  it('are no secret when their checksum is wrong', async () => {
    const list = await loadSeedWords()
    expect(list.decode(Array.from({ length: SEED_WORDS }, () => 'abandon'))).toBeNull()
    const [, , , , [, text] = ['', '']] = VECTORS
    const words = text.split(' ')
    expect(list.decode([words[1] as string, words[0] as string, ...words.slice(2)])).toBeNull()
  })

  it('are of the list, and 24: anything else is a fault of the caller, told without a word of it', async () => {
    const list = await loadSeedWords()
    expect(['Abandon', 'abandn', '', ' zoo', 'constructor'].filter((word) => list.has(word))).toEqual([])
    const short = Array.from({ length: 12 }, () => 'zoo')
    const unknown = [...Array.from({ length: 23 }, () => 'abandon'), 'secretish']
    for (const words of [short, unknown]) {
      expect(() => list.decode(words)).toThrow(
        expect.objectContaining({ name: 'RangeError', message: expect.not.stringMatching(/zoo|secretish/) }),
      )
    }
    expect(() => list.encode(new Uint8Array(16))).toThrow()
  })
})
