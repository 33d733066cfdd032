/**
 * A file is read while it comes, over a line of 100 ms each way: the first bytes are
 * there within 2 s of the manifest, wherever in the file they lie and whatever else is
 * being fetched.
 */

import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { Line } from '../swarm/harness/line.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { SeededBytes, writeSeededFile } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const MIB = 1_048_576
const FILM_MIB = 48
const DELAY_MS = 100
const FIRST_BYTE_MS = 2_000

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Read {
  readonly status: number
  readonly etag: string
  /** From the question to the first byte of the answer's body. */
  readonly firstByteMs: number
  readonly allMs: number
  readonly bytes: Buffer
}

function read(node: TestNode, target: string, headers: Readonly<Record<string, string>>): Promise<Read> {
  const startMs = performance.now()
  return new Promise((resolve, reject) => {
    const url = new URL(target, node.ready.rpcUrl)
    const call = request(url, { headers, agent: false }, (response) => {
      const parts: Buffer[] = []
      let firstByteMs = 0
      response.on('data', (part: Buffer) => {
        if (parts.length === 0) firstByteMs = performance.now() - startMs
        parts.push(part)
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          etag: response.headers.etag ?? '',
          firstByteMs,
          allMs: performance.now() - startMs,
          bytes: Buffer.concat(parts),
        }),
      )
    })
    call.on('error', reject)
    call.end()
  })
}

/** A publisher at the other end of a line, and a reader that knows its link alone. */
async function overTheLine(
  only: readonly string[],
): Promise<{ reader: TestNode; publicKey: string; film: Buffer }> {
  const line = await Line.open({ delayMs: DELAY_MS })
  cleanUps.push(() => line.close())
  const args = ['--no-dht', '--external', line.address]
  const publisher = await TestNode.start({ name: 'publisher', args })
  cleanUps.push(() => publisher.dispose())
  line.leadTo(publisher.endpoint)
  const source = publisher.path('source')
  await writeSeededFile(join(source, 'film.mkv'), FILM_MIB * MIB, 1)
  await writeSeededFile(join(source, 'other.bin'), FILM_MIB * MIB, 2)
  const { uri, publicKey } = await publisher.rpc<{ uri: string; publicKey: string }>('createChannel', {
    name: 'main',
  })
  await expect(publisher.rpc('publish', { path: source, channel: 'main' })).rejects.toMatchObject({
    code: 'ERR_NO_CARRIER',
  })
  const reader = await TestNode.start({ name: 'reader', args: ['--no-dht'] })
  cleanUps.push(() => reader.dispose())
  await reader.rpc('addSubscription', { uri, only })
  return { reader, publicKey, film: new SeededBytes(1).next(FILM_MIB * MIB) }
}

const hasManifest = async (reader: TestNode): Promise<boolean> => {
  const { subscriptions } = await reader.rpc<{ subscriptions: { title: string | null }[] }>(
    'getSubscriptions',
  )
  return subscriptions[0]?.title !== null && subscriptions[0] !== undefined
}

describe(`a film of ${FILM_MIB} MiB behind ${DELAY_MS} ms each way`, () => {
  it.each([
    ['of which nothing else is wanted', ['nothing']],
    ['while all of the release is fetched', []],
  ])('%s begins within 2 s of the manifest, and after a seek too', async (name, only) => {
    const { reader, publicKey, film } = await overTheLine(only)
    await waitUntil(() => hasManifest(reader), 60_000, 'the manifest is there')
    const authorization = `Bearer ${readFileSync(join(reader.dataDir, 'rpc.cookie'), 'utf8').trim()}`
    const target = `/files/${publicKey}/film.mkv`
    const begin = await read(reader, target, { authorization, range: 'bytes=0-999999' })
    const at = (FILM_MIB - 5) * MIB
    const seek = await read(reader, target, { authorization, range: `bytes=${at}-${at + 999_999}` })
    expect([begin.status, seek.status]).toEqual([206, 206])
    expect(begin.bytes.equals(film.subarray(0, 1_000_000))).toBe(true)
    expect(seek.bytes.equals(film.subarray(at, at + 1_000_000))).toBe(true)

    // The whole of it, with a key of that channel instead of the token.
    const { key, keyId } = await reader.rpc<{ key: string; keyId: string }>('createAccessKey', { publicKey })
    const all = await read(reader, `${target}?key=${key}`, {})
    expect(all.bytes.equals(film)).toBe(true)
    expect(all.etag).toBe(begin.etag)
    await reader.rpc('revokeAccessKey', { keyId })
    expect((await read(reader, `${target}?key=${key}`, {})).status).toBe(401)

    const figures = [begin.firstByteMs, seek.firstByteMs].map((ms) => `${Math.round(ms)} ms`)
    const speed = (film.length / 1000 / all.allMs).toFixed(1)
    process.stderr.write(
      `streaming, ${name}: first byte after ${figures.join(' and ')}, all at ${speed} MB/s\n`,
    )
    expect(begin.firstByteMs).toBeLessThan(FIRST_BYTE_MS)
    expect(seek.firstByteMs).toBeLessThan(FIRST_BYTE_MS)
  })
})
