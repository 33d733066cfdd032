import { describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { MemoryBlobStore } from '../../../src/storage/memory-blob-store.ts'
import { blobReference, referenceId, sealChunk } from '../../../src/wire/blob.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { type EntryInput, encodePart, encodeRoot } from '../../../src/wire/manifest-encode.ts'

const SECRET = new Uint8Array(32).fill(3)

/** A store that has nothing and a network that has what was added to it. */
class Network {
  readonly store = new MemoryBlobStore()
  readonly asked: number[] = []
  readonly #far = new Map<string, Uint8Array>()
  inFlight = 0
  mostInFlight = 0

  add(chunk: Uint8Array): Uint8Array {
    const padded = new Uint8Array(CHUNK_BYTES)
    padded.set(chunk)
    const { reference, sealed } = sealChunk(padded, SECRET)
    this.#far.set(String(referenceId(reference)), sealed)
    return reference
  }

  fetch = async (reference: Uint8Array, number: number): Promise<void> => {
    this.asked.push(number)
    this.inFlight += 1
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    await new Promise((resolve) => setImmediate(resolve))
    this.inFlight -= 1
    const id = referenceId(reference)
    const sealed = this.#far.get(String(id))
    if (sealed === undefined) throw new MegatorrentError('ERR_TIMEOUT', 'nobody has it')
    await this.store.put(id.slice(), sealed.slice())
  }

  load(root: Uint8Array): ReturnType<typeof loadManifest> {
    return loadManifest({ root, store: this.store, fetch: this.fetch })
  }
}

const SUMMARY = { title: 't', time: 1, bytes: 0 }

function emptyFile(path: string): EntryInput {
  return { path, size: 0, start: null, extents: [] }
}

function release(network: Network, count: number): Uint8Array {
  const parts = Array.from({ length: count }, (_, n) => {
    const path = `f${String(n).padStart(4, '0')}`
    return network.add(encodePart({ blobs: new Uint8Array(0), entries: [emptyFile(path)] }))
  })
  return network.add(encodeRoot({ ...SUMMARY, files: count, parts: Buffer.concat(parts) }))
}

describe('loading a manifest', () => {
  it('fetches root and parts by their numbers, several parts at a time, and only what is not held', async () => {
    const network = new Network()
    const root = release(network, 30)
    const manifest = await network.load(root)
    expect([...manifest.entries()].map((entry) => entry.path).at(-1)).toBe('f0029')
    expect(network.asked).toEqual(Array.from({ length: 31 }, (_, n) => n))
    expect(network.mostInFlight).toBeGreaterThan(1)
    expect(network.mostInFlight).toBeLessThanOrEqual(8)
    network.asked.length = 0
    await network.load(root)
    expect(network.asked).toEqual([])
  })

  it('a root that breaks a rule is the publisher’s fault', async () => {
    const network = new Network()
    const root = network.add(Buffer.from('not a manifest'))
    await expect(network.load(root)).rejects.toMatchObject({
      code: 'ERR_RELEASE_INVALID',
      kind: 'integrity',
      cause: { kind: 'peer' },
    })
  })

  it('a bad part ends it, and parts far behind it are not fetched', async () => {
    const network = new Network()
    const good = release(network, 1)
    expect(good.length).toBe(64)
    const parts = [network.add(encodePart({ blobs: new Uint8Array(0), entries: [emptyFile('../up')] }))]
    for (let n = 0; n < 99; n++) {
      parts.push(network.add(encodePart({ blobs: new Uint8Array(0), entries: [emptyFile(`x${n}`)] })))
    }
    const root = network.add(encodeRoot({ ...SUMMARY, files: 100, parts: Buffer.concat(parts) }))
    await expect(network.load(root)).rejects.toMatchObject({
      code: 'ERR_RELEASE_INVALID',
      cause: { code: 'ERR_PATH_DOTS' },
    })
    expect(Math.max(...network.asked)).toBeLessThan(20)
    expect(network.inFlight).toBe(0)
  })

  it('sums that are not true are the publisher’s fault', async () => {
    const network = new Network()
    const root = network.add(
      encodeRoot({ ...SUMMARY, files: 2, blobs: new Uint8Array(0), entries: [emptyFile('a')] }),
    )
    await expect(network.load(root)).rejects.toMatchObject({
      code: 'ERR_RELEASE_INVALID',
      cause: { code: 'ERR_MANIFEST_SUM' },
    })
  })

  it('a blob that hashes right and does not open is the publisher’s fault', async () => {
    const network = new Network()
    const root = release(network, 1)
    const wrongKey = blobReference(referenceId(root), new Uint8Array(32))
    await expect(network.load(wrongKey)).rejects.toMatchObject({ code: 'ERR_RELEASE_INVALID' })
  })

  it('what the network says comes through unchanged', async () => {
    const network = new Network()
    const root = release(network, 1).slice()
    root[0] = (root[0] ?? 0) ^ 1
    await expect(network.load(root)).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
  })

  it('a fetch that fetched nothing is not waited for', async () => {
    const network = new Network()
    const root = release(network, 1)
    const fetch = (): Promise<void> => Promise.resolve()
    await expect(loadManifest({ root, store: network.store, fetch })).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
    })
  })

  it('stops when the signal says so', async () => {
    const network = new Network()
    const root = release(network, 30)
    const abort = new AbortController()
    const fetch = (reference: Uint8Array, number: number): Promise<void> => {
      if (number === 3) abort.abort(new Error('enough'))
      return network.fetch(reference, number)
    }
    const load = { root, store: network.store, fetch, signal: abort.signal }
    await expect(loadManifest(load)).rejects.toThrow('enough')
  })
})
