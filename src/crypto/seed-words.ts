/**
 * 32 secret bytes as 24 English words and back: the list and the checksum of BIP 39,
 * and nothing else of it. What the words stand for is the secret itself, not what
 * BIP 39 derives from words for wallets.
 *
 * The checksum has eight bits: of words that were mixed up, one set in 256 passes.
 *
 * @module crypto/seed-words
 */
import { assertBytes } from '../base/bytes.ts'

export const SEED_WORDS = 24
const SECRET_BYTES = 32

export interface SeedWords {
  /** Is it in the list? Lower case only. */
  has(word: string): boolean
  /** @param secret - 32 bytes. @returns SEED_WORDS words. */
  encode(secret: Uint8Array): readonly string[]
  /** @param words - SEED_WORDS words of the list. @returns 32 fresh bytes, or null when the checksum is wrong. */
  decode(words: readonly string[]): Uint8Array | null
}

/** Words are needed once in the life of a key: the list is read then, not at every start. */
export async function loadSeedWords(): Promise<SeedWords> {
  const { entropyToMnemonic, mnemonicToEntropy } = await import('@scure/bip39')
  const { wordlist } = await import('@scure/bip39/wordlists/english.js')
  const known = new Set(wordlist)
  return {
    has: (word) => known.has(word),
    encode(secret) {
      assertBytes(secret, SECRET_BYTES, 'secret')
      return entropyToMnemonic(secret, wordlist).split(' ')
    },
    decode(words) {
      if (words.length !== SEED_WORDS || !words.every((word) => known.has(word))) {
        throw new RangeError(`"words" expected ${SEED_WORDS} words of the list`)
      }
      try {
        return mnemonicToEntropy(words.join(' '), wordlist)
      } catch {
        return null // nothing else can be wrong; its message is not passed on, since it may show words
      }
    },
  }
}
