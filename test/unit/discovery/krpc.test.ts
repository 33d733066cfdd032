import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { KRPC_MAX_NODES, KRPC_MAX_TOKEN_BYTES } from '../../../src/base/limits.ts'
import { decodeKrpc, type KrpcMessage, readKrpc } from '../../../src/discovery/krpc.ts'
import { encodeKrpc, fitResponse } from '../../../src/discovery/krpc-encode.ts'
import type { BencodeValue } from '../../../src/wire/bencode.ts'
import {
  ascii,
  bytesOf,
  encodeFields,
  type Fields,
  hostileQueries,
  hostileReplies,
  SOUND_QUERIES,
  SOUND_REPLIES,
} from './hostile-krpc.ts'

const sound = { ...SOUND_QUERIES, ...SOUND_REPLIES }

function faultOf(fields: Fields): string | null {
  const message = readKrpc(encodeFields(fields))
  return message.type === 'fault' ? `${message.code} ${message.what}` : null
}

/** A sound message with some fields of one section changed; undefined takes a field away. */
function changed(message: Fields, section: string, fields: Record<string, BencodeValue | undefined>): Fields {
  const merged = { ...(message[section] as Record<string, BencodeValue>), ...fields }
  const kept = Object.entries(merged).filter(([, value]) => value !== undefined)
  return { ...message, [section]: Object.fromEntries(kept) as Record<string, BencodeValue> }
}

describe('KRPC messages', () => {
  it.each(Object.entries(sound))('a sound %s is read', (_name, fields) => {
    expect(readKrpc(encodeFields(fields)).type).not.toBe('fault')
  })

  it.each(Object.entries(sound))('%s comes back from its encoding', (_name, fields) => {
    const message = decodeKrpc(encodeFields(fields))
    expect(decodeKrpc(encodeKrpc(message))).toEqual(message)
  })

  it('a query says who asks, what and whether it is read-only', () => {
    const message = decodeKrpc(encodeFields({ ...(SOUND_QUERIES.get as Fields), ro: 1 }))
    expect(message).toMatchObject({ type: 'query', method: 'get', readOnly: true, transaction: ascii('aa') })
  })

  it('fields that we do not know are read over and not passed on', () => {
    const fields = { ...changed(SOUND_QUERIES.ping as Fields, 'a', { zz: [1, [2]] }), zz: ascii('x') }
    expect(encodeKrpc(decodeKrpc(encodeFields(fields)))).toEqual(encodeFields(SOUND_QUERIES.ping as Fields))
  })

  it('IPv6 nodes and peers are left out', () => {
    const reply = SOUND_REPLIES['get_peers, peers'] as Fields
    const message = decodeKrpc(
      encodeFields(changed(reply, 'r', { values: [bytesOf(18), bytesOf(6)], nodes6: bytesOf(76) })),
    )
    expect(message).toMatchObject({ peers: [bytesOf(6)] })
    expect(Buffer.from(encodeKrpc(message)).includes('nodes6')).toBe(false)
  })

  it('an empty salt is none', () => {
    const message = decodeKrpc(
      encodeFields(changed(SOUND_QUERIES['put mutable'] as Fields, 'a', { salt: bytesOf(0) })),
    )
    expect(message).toMatchObject({ mutable: { salt: null } })
  })
})

describe('what is refused', () => {
  const put = SOUND_QUERIES['put mutable'] as Fields
  const announce = SOUND_QUERIES.announce_peer as Fields
  const reply = SOUND_REPLIES['get, mutable'] as Fields
  const found = SOUND_REPLIES.find_node as Fields

  it.each<[string, Fields, string]>([
    ['a put with a key and no signature', changed(put, 'a', { sig: undefined }), 'ERR_KRPC_FIELD sig'],
    ['a put with a signature and no key', changed(put, 'a', { k: undefined }), 'ERR_KRPC_FIELD k'],
    ['a put with a key and no seq', changed(put, 'a', { seq: undefined }), 'ERR_KRPC_FIELD seq'],
    ['a negative seq', changed(put, 'a', { seq: -1 }), 'ERR_KRPC_FIELD seq'],
    ['a signature of 63 bytes', changed(put, 'a', { sig: bytesOf(63) }), 'ERR_KRPC_FIELD sig'],
    ['an integer as salt', changed(put, 'a', { salt: 1 }), 'ERR_KRPC_FIELD a.salt'],
    ['a salt of 65 bytes', changed(put, 'a', { salt: bytesOf(65) }), 'ERR_KRPC_FIELD a.salt'],
    ['a byte string as cas', changed(put, 'a', { cas: bytesOf(1) }), 'ERR_KRPC_FIELD a.cas'],
    ['an integer as value', changed(put, 'a', { v: 5 }), 'ERR_KRPC_FIELD a.v'],
    ['a value over 1,000 bytes in bencode', changed(put, 'a', { v: bytesOf(997) }), 'ERR_KRPC_FIELD a.v'],
    ['an integer as token', changed(put, 'a', { token: 7 }), 'ERR_KRPC_FIELD a.token'],
    [
      'an endless token',
      changed(put, 'a', { token: bytesOf(KRPC_MAX_TOKEN_BYTES + 1) }),
      'ERR_KRPC_FIELD a.token',
    ],
    ['port 0', changed(announce, 'a', { port: 0 }), 'ERR_KRPC_FIELD a.port'],
    ['port 65,536', changed(announce, 'a', { port: 65_536 }), 'ERR_KRPC_FIELD a.port'],
    ['a port as text', changed(announce, 'a', { port: ascii('6881') }), 'ERR_KRPC_FIELD a.port'],
    ['no id', changed(announce, 'a', { id: undefined }), 'ERR_KRPC_FIELD a.id'],
    ['an integer as id of a reply', changed(reply, 'r', { id: 1 }), 'ERR_KRPC_FIELD r.id'],
    ['nodes cut short', changed(reply, 'r', { nodes: bytesOf(9) }), 'ERR_KRPC_FIELD r.nodes'],
    [
      'too many nodes',
      changed(found, 'r', { nodes: bytesOf(26 * (KRPC_MAX_NODES + 1)) }),
      'ERR_KRPC_FIELD r.nodes',
    ],
    ['a peer of 7 bytes', changed(reply, 'r', { values: [bytesOf(7)] }), 'ERR_KRPC_FIELD r.values'],
    ['peers as text', changed(reply, 'r', { values: bytesOf(12) }), 'ERR_KRPC_FIELD r.values'],
    [
      'an error without a number',
      { e: [ascii('x'), ascii('y')], t: ascii('aa'), y: ascii('e') },
      'ERR_KRPC_FIELD e.code',
    ],
    [
      'an error with an endless text',
      { e: [1, bytesOf(999)], t: ascii('aa'), y: ascii('e') },
      'ERR_KRPC_FIELD e.text',
    ],
    ['no transaction id', { ...put, t: bytesOf(0) }, 'ERR_KRPC_FIELD t'],
    ['an endless transaction id', { ...put, t: bytesOf(21) }, 'ERR_KRPC_FIELD t'],
    ['an unknown method', { ...put, q: ascii('vote') }, 'ERR_KRPC_METHOD q'],
    ['an unknown kind', { ...put, y: ascii('z') }, 'ERR_KRPC_METHOD y'],
  ])('%s', (_name, fields, fault) => {
    expect(faultOf(fields)).toBe(fault)
  })

  it.each<[string, string, string]>([
    ['an integer with a sign', 'd1:t2:aa1:y1:q1:zi+1ee', 'ERR_KRPC_BENCODE'],
    ['a padded length', 'd1:t02:aa1:y1:qe', 'ERR_KRPC_BENCODE'],
    ['a negative length', 'd1:t-2:aa1:y1:qe', 'ERR_KRPC_BENCODE'],
    ['bytes after the end', 'd1:t2:aa1:y1:qex', 'ERR_KRPC_BENCODE'],
    ['nothing', '', 'ERR_KRPC_SIZE'],
    ['more than a datagram holds', 'x'.repeat(2_049), 'ERR_KRPC_SIZE'],
  ])('%s', (_name, text, code) => {
    expect(() => decodeKrpc(ascii(text))).toThrowError(expect.objectContaining({ code, kind: 'peer' }))
  })

  it('every hostile case is refused or is sound by type, and nothing else is thrown', () => {
    const cases = [...hostileQueries(), ...hostileReplies(ascii('aa'))]
    expect(cases.length).toBeGreaterThan(2_000)
    let refused = 0
    for (const { name, bytes } of cases) {
      try {
        const message: KrpcMessage = decodeKrpc(bytes)
        expect(decodeKrpc(encodeKrpc(message)), name).toEqual(message)
      } catch (error) {
        expect(isMegatorrentError(error), name).toBe(true)
        refused++
      }
    }
    // What is left over has a field where another type or size is allowed too.
    expect(refused / cases.length).toBeGreaterThan(0.8)
  })
})

describe('fitting an answer', () => {
  const full = decodeKrpc(
    encodeFields({
      r: {
        id: bytesOf(20),
        nodes: bytesOf(26 * 20),
        token: bytesOf(20),
        values: Array.from({ length: 120 }, () => bytesOf(6)),
      },
      t: ascii('aa'),
      y: ascii('r'),
    }),
  )

  it.each([1_200, 1_000, 700, 400, 150])(
    'peers, then nodes are left out until it has %i bytes',
    (maxBytes) => {
      if (full.type !== 'response') throw new Error('not a response')
      const bytes = fitResponse(full, maxBytes)
      expect(bytes?.length).toBeLessThanOrEqual(maxBytes)
      expect(bytes?.length).toBeGreaterThan(maxBytes - 60)
      expect(bytes === null ? null : decodeKrpc(bytes).type).toBe('response')
    },
  )

  it('a value is never cut', () => {
    const answer = decodeKrpc(encodeFields(SOUND_REPLIES['get, mutable'] as Fields))
    if (answer.type !== 'response') throw new Error('not a response')
    expect(fitResponse(answer, 200)).toBeNull()
  })
})

const VECTORS = new URL(
  `${process.env.MEGATORRENT_SHARED ?? '../shared'}/vectors/bep/bep5_krpc.json`,
  new URL('../../../', import.meta.url),
)

describe.skipIf(!existsSync(fileURLToPath(VECTORS)))('the examples of BEP 5', () => {
  it('are read, but for two whose nodes are cut short in the text', () => {
    const { cases } = JSON.parse(readFileSync(VECTORS, 'utf8')) as { cases: { name: string; s: string }[] }
    const refused = cases.filter(({ s }) => readKrpc(ascii(s)).type === 'fault').map(({ name }) => name)
    expect(cases.length).toBeGreaterThan(7)
    expect(refused).toEqual(['find_node response', 'get_peers response nodes'])
  })
})
