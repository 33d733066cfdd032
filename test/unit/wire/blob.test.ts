import { describe, expect, it } from 'vitest'
import { isZeroBytes, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { blobKey } from '../../../src/crypto/key-schedule.ts'
import {
  blobId,
  blobReference,
  openBlob,
  openBlobInto,
  padChunk,
  referenceId,
  referenceKey,
  sealChunk,
  sealChunkInto,
  sealChunkWithKey,
  verifyBlob,
} from '../../../src/wire/blob.ts'
import { BLOB_BYTES, CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf } from './refusal.ts'

interface BlobVectors {
  readonly convergenceSecret: string
  readonly blobs: readonly {
    readonly name: string
    readonly content: string
    readonly key: string
    readonly id: string
    readonly firstBytes: string
    readonly tag: string
  }[]
}

const VECTORS = readOwnVectors<BlobVectors>('blobs.json')
const SECRET = hex(VECTORS.convergenceSecret)

function contentOf(name: string, content: string): Uint8Array {
  if (name !== 'full') return hex(content)
  return new Uint8Array(CHUNK_BYTES).map((_, index) => index & 0xff)
}

describe('a blob', () => {
  it.each(VECTORS.blobs)(
    'of the vector "$name" is sealed and opened',
    ({ name, content, key, id, firstBytes, tag }) => {
      const chunk = padChunk(contentOf(name, content))
      const { reference, sealed } = sealChunk(chunk, SECRET)
      expect(sealed.length).toBe(BLOB_BYTES)
      expect(toHex(referenceKey(reference))).toBe(key)
      expect(toHex(referenceId(reference))).toBe(id)
      expect(toHex(sealed.subarray(0, 32))).toBe(firstBytes)
      expect(toHex(sealed.subarray(-16))).toBe(tag)
      verifyBlob(sealed, hex(id))
      expect(Buffer.compare(openBlob(sealed, hex(key)), chunk)).toBe(0)
    },
  )

  it('is the same however it is sealed: fresh, into memory, in place, with its key', () => {
    const chunk = padChunk(seededRandom(1).bytes(5000))
    const { reference, sealed } = sealChunk(chunk, SECRET)
    const into = new Uint8Array(BLOB_BYTES).fill(7)
    expect(sealChunkInto(chunk, SECRET, into)).toEqual(reference)
    const inPlace = new Uint8Array(BLOB_BYTES)
    inPlace.set(chunk)
    expect(sealChunkInto(inPlace.subarray(0, CHUNK_BYTES), SECRET, inPlace)).toEqual(reference)
    const key = blobKey(SECRET, sha256(chunk))
    const withKey = new Uint8Array(BLOB_BYTES)
    expect(blobReference(sealChunkWithKey(chunk, key, withKey), key)).toEqual(reference)
    for (const other of [into, inPlace, withKey]) expect(Buffer.compare(other, sealed)).toBe(0)
    openBlobInto(inPlace, key, inPlace.subarray(0, CHUNK_BYTES))
    expect(Buffer.compare(inPlace.subarray(0, CHUNK_BYTES), chunk)).toBe(0)
  })

  it('of the same content under another secret has another id: nobody else can test a guess', () => {
    const chunk = padChunk(utf8Bytes('x'))
    const { reference } = sealChunk(chunk, SECRET)
    const { reference: other } = sealChunk(chunk, seededRandom(2).bytes(32))
    expect(other).not.toEqual(reference)
  })

  it('that is not the one asked for is the fault of who sent it', () => {
    const { reference, sealed } = sealChunk(padChunk(utf8Bytes('x')), SECRET)
    const id = referenceId(reference)
    sealed[5] = (sealed[5] as number) ^ 1
    expect(codeOf(() => verifyBlob(sealed, id))).toBe('ERR_BLOB_ID')
    for (const bytes of [sealed.subarray(1), new Uint8Array(0), new Uint8Array(BLOB_BYTES + 1)]) {
      expect(codeOf(() => verifyBlob(bytes, id))).toBe('ERR_BLOB_SIZE')
      expect(codeOf(() => openBlob(bytes, id))).toBe('ERR_BLOB_SIZE')
    }
  })

  it('that hashes right and does not open gives out nothing', () => {
    const { reference, sealed } = sealChunk(padChunk(utf8Bytes('secret')), SECRET)
    const key = referenceKey(reference).slice()
    for (const at of [0, 1000, CHUNK_BYTES, BLOB_BYTES - 1]) {
      const hurt = sealed.slice()
      hurt[at] = (hurt[at] as number) ^ 0x80
      verifyBlob(hurt, blobId(hurt))
      const chunk = new Uint8Array(CHUNK_BYTES).fill(9)
      expect(codeOf(() => openBlobInto(hurt, key, chunk))).toBe('ERR_BLOB_OPEN')
      expect(isZeroBytes(chunk)).toBe(true)
    }
    key[0] = (key[0] as number) ^ 1
    expect(codeOf(() => openBlob(sealed, key))).toBe('ERR_BLOB_OPEN')
  })

  it('of another length than a chunk cannot be made', () => {
    expect(() => padChunk(new Uint8Array(CHUNK_BYTES + 1))).toThrow(RangeError)
    expect(() => sealChunk(new Uint8Array(CHUNK_BYTES - 1), SECRET)).toThrow(RangeError)
    expect(() => sealChunkInto(new Uint8Array(CHUNK_BYTES), SECRET, new Uint8Array(CHUNK_BYTES))).toThrow(
      RangeError,
    )
    expect(() => openBlobInto(new Uint8Array(BLOB_BYTES), SECRET, new Uint8Array(5))).toThrow(RangeError)
  })
})
