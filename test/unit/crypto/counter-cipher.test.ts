import { describe, expect, it } from 'vitest'
import { EMPTY_BYTES, isZeroBytes, toHex } from '../../../src/base/bytes.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { open, seal } from '../../../src/crypto/aead.ts'
import { CounterCipher, counterNonce, REKEY_COUNTER, rekey } from '../../../src/crypto/counter-cipher.ts'
import { openFrame, type SealedFrame } from '../../../src/crypto/sealed-frame.ts'

const NEVER = Number.POSITIVE_INFINITY
const random = seededRandom(2)
const key = random.bytes(32)
const text = random.bytes(50)

describe('the counter nonce', () => {
  it('holds all 64 bits of the counter, little-endian, after four zero bytes', () => {
    expect(toHex(counterNonce(0n))).toBe('000000000000000000000000')
    expect(toHex(counterNonce(1n))).toBe('000000000100000000000000')
    expect(toHex(counterNonce(2n ** 32n))).toBe('000000000000000001000000')
    expect(toHex(counterNonce(2n ** 53n))).toBe('000000000000000000002000')
    expect(toHex(counterNonce(REKEY_COUNTER))).toBe('00000000ffffffffffffffff')
  })

  it('has no form for what does not fit', () => {
    expect(() => counterNonce(2n ** 64n)).toThrow(RangeError)
    expect(() => counterNonce(-1n)).toThrow(RangeError)
  })
})

describe('CounterCipher', () => {
  it('seals each frame under the next nonce', () => {
    const cipher = new CounterCipher(key, NEVER)
    for (let n = 0n; n < 5n; n++) {
      expect(cipher.counter).toBe(n)
      expect(cipher.seal(text)).toEqual(seal(key, counterNonce(n), text))
    }
  })

  it('opens what the other side sealed, in order, over several rekeys', () => {
    const sender = new CounterCipher(key, 3)
    const receiver = new CounterCipher(key, 3)
    for (let i = 0; i < 20; i++) {
      const plaintext = random.bytes(i)
      expect(receiver.open(sender.seal(plaintext))).toEqual(plaintext)
    }
  })

  it('gives away the keys of frames that are opened elsewhere, and goes on behind them', () => {
    const sender = new CounterCipher(key, 3)
    const receiver = new CounterCipher(key, 3)
    const later: SealedFrame[] = []
    for (let i = 0; i < 20; i++) {
      const bytes = sender.seal(text)
      // Some are opened at once, some long after the key has changed.
      if (i % 4 < 2) expect(receiver.open(bytes)).toEqual(text)
      else later.push({ bytes, ...receiver.takeFrameKey() })
    }
    for (const frame of later.reverse()) {
      expect(openFrame(frame)).toEqual(text)
      expect(isZeroBytes(frame.key)).toBe(true)
    }
    const last = new CounterCipher(key, NEVER, REKEY_COUNTER)
    expect(code(() => last.takeFrameKey())).toBe('ERR_NONCE_EXHAUSTED')
    receiver.destroy()
    expect(code(() => receiver.takeFrameKey())).toBe('ERR_BUG')
  })

  it('opens nothing that was changed, and leaves nothing of it in memory', () => {
    for (const at of [0, text.length - 1, text.length, text.length + 15]) {
      const bytes = new CounterCipher(key, NEVER).seal(text)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      const frame = { bytes, ...new CounterCipher(key, NEVER).takeFrameKey() }
      expect(openFrame(frame)).toBeNull()
      expect(isZeroBytes(bytes.subarray(0, text.length))).toBe(true)
      expect(isZeroBytes(frame.key)).toBe(true)
    }
  })

  it('changes the key after each interval, and the counter goes on', () => {
    const cipher = new CounterCipher(key, 4)
    const sealed = Array.from({ length: 9 }, () => cipher.seal(text))
    const [second, third] = [rekey(key), rekey(rekey(key))]
    expect(sealed[3]).toEqual(seal(key, counterNonce(3n), text))
    expect(sealed[4]).toEqual(seal(second, counterNonce(4n), text))
    expect(sealed[7]).toEqual(seal(second, counterNonce(7n), text))
    expect(sealed[8]).toEqual(seal(third, counterNonce(8n), text))
  })

  it('writes into memory that is given, in place too', () => {
    const sender = new CounterCipher(key, NEVER)
    const receiver = new CounterCipher(key, NEVER)
    const memory = new Uint8Array(66)
    memory.set(text)
    expect(sender.seal(memory.subarray(0, 50), memory)).toBe(memory)
    const out = memory.subarray(0, 50)
    expect(receiver.open(memory, out)).toBe(out)
    expect(out).toEqual(text)
  })

  it('has a last frame at 2^64 - 2, and refuses the one after it', () => {
    const sender = new CounterCipher(key, NEVER, REKEY_COUNTER - 1n)
    const receiver = new CounterCipher(key, NEVER, REKEY_COUNTER - 1n)
    const last = sender.seal(text)
    expect(last).toEqual(seal(key, counterNonce(REKEY_COUNTER - 1n), text))
    expect(receiver.open(last)).toEqual(text)
    for (const call of [() => sender.seal(text), () => receiver.open(last), () => sender.seal(text)]) {
      expect(code(call)).toBe('ERR_NONCE_EXHAUSTED')
    }
  })

  it('goes over 2^32 and 2^53 without a step back', () => {
    for (const first of [2n ** 32n - 1n, 2n ** 53n - 1n]) {
      const cipher = new CounterCipher(key, NEVER, first)
      const sealed = [cipher.seal(text), cipher.seal(text), cipher.seal(text)]
      expect(new Set(sealed.map(toHex)).size).toBe(3)
      expect(open(key, counterNonce(first + 2n), sealed[2] as Uint8Array)).toEqual(text)
    }
  })

  it('is of no more use after a frame that does not open', () => {
    for (const damage of ['replayed', 'skipped', 'flipped', 'short', 'empty'] as const) {
      const sender = new CounterCipher(key, NEVER)
      const receiver = new CounterCipher(key, NEVER)
      const first = sender.seal(text)
      const second = sender.seal(text)
      if (damage === 'replayed') receiver.open(first)
      const bad = {
        replayed: first,
        skipped: second,
        flipped: first.map((byte, index) => (index === 7 ? byte ^ 4 : byte)),
        short: first.subarray(0, 15),
        empty: EMPTY_BYTES,
      }[damage]
      const out = random.bytes(Math.max(0, bad.length - 16))
      expect(receiver.open(bad, out), damage).toBeNull()
      expect(isZeroBytes(out), damage).toBe(true)
      expect(
        code(() => receiver.open(damage === 'replayed' ? second : first)),
        damage,
      ).toBe('ERR_BUG')
      expect(
        code(() => receiver.seal(text)),
        damage,
      ).toBe('ERR_BUG')
    }
  })

  it('copies its key, and forgets it when destroyed', () => {
    const mine = key.slice()
    const cipher = new CounterCipher(mine, NEVER)
    mine.fill(0)
    expect(cipher.seal(text)).toEqual(seal(key, counterNonce(0n), text))
    cipher.destroy()
    expect(code(() => cipher.seal(text))).toBe('ERR_BUG')
  })

  it('refuses intervals and counters that mean nothing', () => {
    for (const interval of [0, -1, 1.5, Number.NaN])
      expect(() => new CounterCipher(key, interval)).toThrow(RangeError)
    for (const first of [-1n, 2n ** 64n]) expect(() => new CounterCipher(key, 4, first)).toThrow(RangeError)
    expect(() => new CounterCipher(key.subarray(1), 4)).toThrow(RangeError)
  })
})

function code(call: () => unknown): string | null {
  try {
    call()
    return null
  } catch (error) {
    return isMegatorrentError(error) ? error.code : String(error)
  }
}
