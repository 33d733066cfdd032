/**
 * A million inputs to each decoder of strangers' bytes: grammar-made, mutated and
 * random. No input may end the process, take more than 100 ms, or leave memory
 * behind. Figures go to stdout as one line of JSON each.
 *
 * N=1000 runs fewer; SEED=n replays.
 */
import { describe, expect, it } from 'vitest'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import { decodeKrpc } from '../../src/discovery/krpc.ts'
import { decodeAddress, parsePeerAddress } from '../../src/wire/address.ts'
import { decodeBencode } from '../../src/wire/bencode.ts'
import { decodeFrame, encodeFrame } from '../../src/wire/frame.ts'
import { decodeHead, signHead } from '../../src/wire/head.ts'
import { encodePart, encodeRoot } from '../../src/wire/manifest-encode.ts'
import { checkManifestPart, ManifestReader } from '../../src/wire/manifest-reader.ts'
import { MessageAssembler } from '../../src/wire/message.ts'
import { checkItem } from '../../src/wire/mutable-item.ts'
import { PathSet } from '../../src/wire/path-set.ts'
import { checkPath, foldPath } from '../../src/wire/paths.ts'
import { decodeSlotSet, encodeSlotSet } from '../../src/wire/slot-set.ts'
import { parseLink } from '../../src/wire/uri.ts'
import { readOwnVectors } from '../reference/shared-vectors.ts'
import { COUNT, feed, hurt, type Maker, mixed, pick, SEED } from './feed.ts'

const BENCODE = [
  'i',
  '-',
  '0',
  '1',
  '17',
  '9',
  'e',
  'e',
  'l',
  'd',
  ':',
  '1:a',
  '1:b',
  '0:',
  'i0e',
  'i-1e',
  '64:',
  'le',
  'de',
  '99999999999999999999',
  'll',
  'dd',
  'd1:a',
]

describe(`${COUNT} inputs a decoder`, () => {
  it('bencode', () => {
    const good = [
      'd1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe',
      'li1eli2el1:aeee',
      'd0:i0e1:\x80le1:\xffdee',
    ].map((text) => new Uint8Array(Buffer.from(text, 'latin1')))
    const { accepted } = feed(
      'bencode',
      (input) => decodeBencode(input, { maxDepth: 8, maxItems: 1000 }),
      mixed(good, BENCODE),
    )
    expect(accepted).toBeGreaterThan(0)
  })

  it('krpc', () => {
    const id = 'abcdefghij0123456789'
    const good = [
      `d1:ad2:id20:${id}e1:q4:ping1:t2:aa1:y1:qe`,
      `d1:ad2:id20:${id}6:target20:${id}e1:q9:find_node1:t2:aa1:y1:qe`,
      `d1:ad2:id20:${id}9:info_hash20:${id}e1:q9:get_peers1:t2:aa1:y1:qe`,
      `d1:rd2:id20:${id}5:nodes26:${id}abcdef5:token4:abcd6:valuesl6:abcdef6:ghijklee1:t2:aa1:y1:re`,
      `d1:rd2:id20:${id}1:k32:${id}abcdefghijkl3:seqi5e3:sig64:${'s'.repeat(64)}5:token4:abcd1:v5:helloe1:t2:aa1:y1:re`,
      'd1:eli201e5:whoope1:t2:aa1:y1:ee',
    ].map((text) => new Uint8Array(Buffer.from(text, 'latin1')))
    const { accepted } = feed(
      'krpc',
      decodeKrpc,
      mixed(good, [
        ...BENCODE,
        '1:q',
        '1:y',
        '1:t2:aa',
        `2:id20:${id}`,
        '1:rd',
        '1:ad',
        '5:nodes',
        '1:v',
        '3:seq',
      ]),
    )
    expect(accepted).toBeGreaterThan(0)
  })

  it('manifest roots and parts', () => {
    const { valid } = readOwnVectors<{ valid: { root: string; parts: string[] }[] }>('manifests.json')
    const good = valid
      .flatMap(({ root, parts }) => [root, ...parts])
      .map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
    const pieces = [
      ...BENCODE,
      '5:blobs',
      '7:entries',
      '5:bytes',
      '5:files',
      '4:timei0e',
      '5:title0:',
      '1:vi1e',
      'l1:ai0ee',
      'i1048576e',
      'i9007199254740991e',
      '2:..',
    ]
    const random = seededRandom(SEED)
    const judge = (input: Uint8Array): void => {
      try {
        const reader = new ManifestReader(new Uint8Array(64), input, random)
        if (reader.partCount === 0) for (const _ of reader.finish().entries());
      } catch (error) {
        if (!isMegatorrentError(error, 'ERR_MANIFEST_SHAPE')) throw error
        checkManifestPart(input, random)
      }
    }
    const { accepted } = feed('manifest', judge, mixed(good, pieces, 60))
    expect(accepted).toBeGreaterThan(0)
  })

  it('manifests that fill a chunk, hurt in a few places', () => {
    const blobs = seededRandom(5).bytes(64 * 4000)
    const entries = Array.from({ length: 9000 }, (_, i) => ({
      path: `folder-${String(i).padStart(6, '0')}/Ünïcode ${i}.txt`,
      size: 1_048_576,
      start: null,
      extents: [{ blob: i % 4000, offset: 0, length: 1_048_576 }],
    }))
    const part = encodePart({ blobs, entries })
    const root = encodeRoot({ title: '', time: 0, files: 9000, bytes: 9000 * 1_048_576, blobs, entries })
    checkManifestPart(part)
    const random = seededRandom(SEED)
    feed(
      'full parts',
      (input) => checkManifestPart(input, random),
      (r) => hurt(r, part),
      Math.ceil(COUNT / 5000),
    )
    feed(
      'full roots',
      (input) => new ManifestReader(new Uint8Array(64), input, random),
      (r) => hurt(r, root),
      Math.ceil(COUNT / 5000),
    )
  })

  it('paths, and sets of them', () => {
    const pieces = [
      'a',
      'B',
      '/',
      '/',
      '.',
      '..',
      ' ',
      ':',
      '\\',
      '\0',
      '\x1f',
      '\x7f',
      '\xc2\x85',
      '\xc3\xa9',
      'e\xcc\x81',
      '\xff',
      '\xed\xa0\x80',
      'con',
      'AUX',
      'com1',
      'nul.',
      '\xc4\xb1',
      '\xc3\x9f',
      '\xf0\x9f\x98\x80',
      '\xe2\x80\xae',
      'x'.repeat(100),
    ]
    const { accepted } = feed(
      'path',
      (input) => foldPath(checkPath(input)),
      mixed([new Uint8Array(Buffer.from('Füße/Straße/con.txt/a b'))], pieces),
    )
    expect(accepted).toBeGreaterThan(COUNT / 100)
    const random = seededRandom(SEED)
    let set = new PathSet(0, random)
    const add = (input: Uint8Array): void => {
      if (set.size > 20_000) set = new PathSet(0, random)
      set.add(checkPath(input))
    }
    feed('path set', add, mixed([new Uint8Array(Buffer.from('a/b/c/d'))], pieces))
  })

  it('paths of the worst kinds, at full length', () => {
    const marks = [
      '\u0301',
      '\u0300',
      '\u0323',
      '\u0345',
      '\u302a',
      '\u{1d165}',
      '\u3099',
      '\ufb01',
      '\u0390',
      'ß',
      'ſ',
      'İ',
      '각',
      '\u1100',
      '\u1161',
      '\u11a8',
    ]
    const make: Maker = (random) => {
      let text = ''
      while (Buffer.byteLength(text) < 3800) {
        let part = ''
        while (Buffer.byteLength(part) < 245) part += pick(random, marks)
        text += `${part}/`
      }
      return new Uint8Array(Buffer.from(`${text}x`))
    }
    const { accepted } = feed('long path', (input) => foldPath(checkPath(input)), make, Math.ceil(COUNT / 50))
    expect(accepted).toBeGreaterThan(0)
  })

  it('frames and messages', () => {
    const { valid } = readOwnVectors<{ valid: { type: number; requestId: number; body: string }[] }>(
      'messages.json',
    )
    const frames = valid
      .map(({ type, requestId, body }) => ({
        type,
        requestId,
        more: false,
        body: new Uint8Array(Buffer.from(body, 'hex').subarray(0, 1000)),
      }))
      .map(encodeFrame)
    const whole =
      (maker: Maker): Maker =>
      (random) => {
        const bytes = maker(random)
        if (random.fraction() < 0.1) return bytes
        const frame = new Uint8Array(1008)
        frame.set(bytes.subarray(0, 1008))
        return frame
      }
    const make = whole(
      mixed(frames, ['\0', '\x01', '\x02', '\x09', '\xff', '\0\0\0\x01', '\x03\xe8', 'a'.repeat(100)], 20),
    )
    const { accepted } = feed('frame', decodeFrame, make)
    expect(accepted).toBeGreaterThan(0)
    let assembler = new MessageAssembler()
    const assemble = (input: Uint8Array): unknown => {
      try {
        return assembler.push(input)
      } catch (error) {
        assembler = new MessageAssembler() // the connection would be closed
        throw error
      }
    }
    feed('message', assemble, make)
  })

  it('heads, addresses and items', () => {
    const key = new SigningKey(seededRandom(1).bytes(32))
    const addresses = ['1.2.3.4:5', '[2001:db8::1]:6'].map(parsePeerAddress)
    const root = seededRandom(2).bytes(64)
    const head = signHead(
      { releaseNumber: 1, revision: 0, signedAt: 1, root, previousHash: null, successorKey: null, addresses },
      key,
    )
    const sized =
      (length: number, maker: Maker): Maker =>
      (random) => {
        const out = new Uint8Array(length)
        out.set(maker(random).subarray(0, length))
        return out
      }
    feed('head', decodeHead, sized(568, mixed([head.bytes], ['\0', '\x01', '\xff', '\0\0\0\0'])))
    const set = encodeSlotSet({ head: head.bytes, firstDay: 9, days: 2, signatures: new Uint8Array(384) })
    feed('set of slots', decodeSlotSet, mixed([set], ['\0', '\x01', '\x02', '\xff', '\0'.repeat(192)]))
    const binary = [1, 2, 3].map((type) => Uint8Array.of(type, ...seededRandom(type).bytes(37)))
    feed('address', decodeAddress, sized(38, mixed(binary, ['\0', '\x01', '\x02', '\x03', '\xff'])))
    const item = (input: Uint8Array): void =>
      checkItem({
        publicKey: key.publicKey,
        seq: input.length,
        value: input.subarray(0, 600),
        signature: sized(64, () => input)(seededRandom(1)),
      })
    feed('item', item, mixed([head.bytes], ['\0', '\x01', '\xff']), Math.ceil(COUNT / 10))
  })

  it('links', () => {
    const key = Buffer.from(new SigningKey(seededRandom(1).bytes(32)).publicKey).toString('hex')
    const good = [
      `megatorrent://${key}?peer=1.2.3.4:5&gateway=%5B::1%5D:6`,
      `megatorrent://${key}:${'ab'.repeat(32)}#${'ab'.repeat(32)}`,
    ].map((text) => new Uint8Array(Buffer.from(text)))
    const pieces = [
      'megatorrent:',
      '//',
      '/',
      key,
      ':',
      '?',
      '&',
      '=',
      '#',
      'peer',
      'gateway',
      '%',
      '%3a',
      '[',
      ']',
      '::',
      '@',
      '.onion',
      'a'.repeat(56),
      '1.2.3.4',
      '65536',
      ' ',
      '\xc3\xa9',
    ]
    const make = mixed(good, pieces)
    // Each link with a good key costs the 1 ms of its check.
    feed('link', (input) => parseLink(Buffer.from(input).toString('utf8')), make, Math.ceil(COUNT / 10))
  })
})
