/**
 * The harness itself: what other tests believe is tested here, without a daemon.
 */
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type BareConnection, TYPES } from './harness/bare-connection.ts'
import {
  BareChannel,
  BareIdentity,
  hourOf,
  networkHandshakeKey,
  nodeHandshakeKey,
} from './harness/bare-crypto.ts'
import { BareListener, dialBare, firstMessage, probe } from './harness/bare-peer.ts'
import { cpuSeconds, isRunning, openHandles, peakRssBytes, rssBytes } from './harness/memory.ts'
import { Relay } from './harness/relay.ts'
import { appendBytes, awkwardFiles, BIG_FILE, compareTrees, hashTree, makeTree } from './harness/tree.ts'
import { holdsFor, waitUntil, within } from './harness/wait.ts'

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
  cleanUps.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

describe('waiting', () => {
  it('gives the value as soon as there is one', async () => {
    let looks = 0
    expect(await waitUntil(() => ++looks >= 3 && looks, 5000, 'three looks')).toBe(3)
  })

  it('fails with the claim and the last error', async () => {
    const failing = waitUntil(() => Promise.reject(new Error('not there')), 60, 'the file is there')
    await expect(failing).rejects.toThrow(/not within 60 ms.*the file is there.*not there/)
  })

  it('fails at once when what should hold does not', async () => {
    await expect(holdsFor(() => false, 60_000, 'nothing is sent')).rejects.toThrow(/nothing is sent/)
    await holdsFor(() => true, 60, 'always')
  })

  it('gives up on a promise that does not settle', async () => {
    await expect(within(new Promise(() => {}), 30, 'never')).rejects.toThrow(/never/)
    expect(await within(Promise.resolve(7), 1000, 'at once')).toBe(7)
  })
})

describe('trees', () => {
  it('follow from their seed', async () => {
    const folder = await temporaryFolder()
    const options = { smallFiles: 60, bigBytes: 3_000_001, awkward: true }
    const paths = await makeTree(join(folder, 'a'), { ...options, seed: 1 })
    await makeTree(join(folder, 'b'), { ...options, seed: 1 })
    await makeTree(join(folder, 'c'), { ...options, seed: 2 })
    expect(paths).toHaveLength(60 + 1 + awkwardFiles().length)
    expect(await compareTrees(join(folder, 'a'), join(folder, 'b'))).toEqual([])
    expect((await compareTrees(join(folder, 'a'), join(folder, 'c'))).length).toBeGreaterThan(50)
    expect(await hashTree(join(folder, 'a'))).toBe(await hashTree(join(folder, 'b')))
    expect(await hashTree(join(folder, 'a'))).not.toBe(await hashTree(join(folder, 'c')))
  })

  it('have a path of 300 characters among the awkward ones', () => {
    expect(awkwardFiles().map(([path]) => path.length)).toContain(300)
  })

  it.each<[string, (folder: string) => Promise<unknown>, RegExp]>([
    ['a changed byte', (f) => writeFile(join(f, 'one byte'), 'x'), /contents differ: one byte/],
    ['an appended byte', (f) => appendBytes(join(f, BIG_FILE), Buffer.of(1)), /sizes .*: big.bin/],
    ['a file too many', (f) => writeFile(join(f, 'more'), ''), /only right: more/],
    ['an empty folder too many', (f) => mkdir(join(f, 'more')), /only right: more/],
    ['a missing file', (f) => rm(join(f, 'empty file')), /only left: empty file/],
    ['a link for a file', (f) => replaceByLink(join(f, 'one byte')), /not both files: one byte/],
  ])('%s is a difference', async (_name, change, expected) => {
    const folder = await temporaryFolder()
    for (const side of ['a', 'b'])
      await makeTree(join(folder, side), { seed: 5, bigBytes: 70_000, awkward: true })
    const before = await hashTree(join(folder, 'b'))
    await change(join(folder, 'b'))
    const differences = await compareTrees(join(folder, 'a'), join(folder, 'b'))
    expect(differences).toHaveLength(1)
    expect(differences[0]).toMatch(expected)
    expect(await hashTree(join(folder, 'b'))).not.toBe(before)
  })
})

async function replaceByLink(path: string): Promise<void> {
  await rm(path)
  await symlink('empty file', path)
}

describe('figures of a process', () => {
  it('are read for this one and null for one that is not there', async () => {
    const rss = await rssBytes(process.pid)
    if (rss === null) return // no /proc here
    expect(rss).toBeGreaterThan(10_000_000)
    expect(await peakRssBytes(process.pid)).toBeGreaterThanOrEqual(rss)
    expect(await cpuSeconds(process.pid)).toBeGreaterThan(0)
    expect((await openHandles(process.pid))?.files).toBeGreaterThan(2)
    expect(await isRunning(process.pid)).toBe(true)
    expect(await rssBytes(2 ** 30)).toBeNull()
    expect(await isRunning(2 ** 30)).toBe(false)
  })
})

describe('the bare peer', () => {
  const channel = new BareChannel(new BareIdentity().publicKey)

  /** Two bare peers over loopback: what one of them does with the other's connection is `answer`. */
  async function pair(
    answer: (connection: BareConnection) => Promise<void>,
  ): Promise<{ readonly listener: BareListener; readonly connection: BareConnection }> {
    const listener = await BareListener.listen({ channels: [channel], onConnection: answer })
    cleanUps.push(() => listener.close())
    const connection = await dialBare('127.0.0.1', listener.port, { psk: channel.handshakeKey() })
    cleanUps.push(async () => connection.destroy())
    return { listener, connection }
  }

  it('agrees with itself on keys, hash and node key', async () => {
    let other: BareConnection | undefined
    const { listener, connection } = await pair(async (it) => {
      other = it
      await it.receive()
    })
    expect(connection.remoteNodeKey).toEqual(listener.identity.publicKey)
    await waitUntil(() => other, 5000, 'the responder has its connection')
    expect(other?.handshakeHash).toEqual(connection.handshakeHash)
    expect(other?.remoteNodeKey).toBeNull()
    connection.close()
  })

  it('carries messages of one and of many frames, past a rekey, and blobs', async () => {
    const blob = Buffer.alloc(1_048_592, 7)
    const { connection } = await pair(async (it) => {
      for (;;) {
        const message = await it.receive()
        if (message === null || message.type === TYPES.BYE) return
        if (message.type === TYPES.REQUEST) it.sendBlob(message.requestId, blob)
        else it.sendMessage(message.type, message.requestId, message.body)
      }
    })
    const long = Buffer.alloc(2500, 3)
    connection.sendMessage(TYPES.HAVE, 0, long)
    expect((await connection.receive())?.body).toEqual(long)
    for (let i = 0; i < 1100; i++) connection.sendMessage(TYPES.PAD, 0, Buffer.of(i & 0xff))
    for (let i = 0; i < 1100; i++) expect((await connection.receive())?.body[0]).toBe(i & 0xff)
    const requestId = connection.requestBlob(Buffer.alloc(32))
    expect((await connection.answerTo(requestId)).blob?.equals(blob)).toBe(true)
  })

  it('tells a channel in a HELLO to who knows it, and to nobody else', async () => {
    const stranger = new BareChannel(new BareIdentity().publicKey)
    const { connection } = await pair(async (it) => {
      it.sendHello([[channel, 65_537n]])
      await it.receive()
    })
    const hello = await connection.receive()
    const { remoteRole, role, handshakeHash } = connection
    expect(hello?.type).toBe(TYPES.HELLO)
    expect(channel.findInHello(hello?.body as Buffer, handshakeHash, remoteRole)).toBe(65_537n)
    expect(channel.findInHello(hello?.body as Buffer, handshakeHash, role)).toBeNull()
    expect(stranger.findInHello(hello?.body as Buffer, handshakeHash, remoteRole)).toBeNull()
  })

  it('hears nothing when it opens with a wrong key', async () => {
    const { listener } = await pair(async (it) => void (await it.receive()))
    const opening = firstMessage({ psk: networkHandshakeKey() })
    const result = await probe('127.0.0.1', listener.port, opening, 200)
    expect(result.received).toHaveLength(0)
    expect(listener.firstMessages.at(-1)).toEqual(opening)
  })

  it('can repeat a first message exactly, and knows the hour of it', () => {
    const fixed = {
      psk: nodeHandshakeKey(Buffer.alloc(32, 1)),
      ephemeral: Buffer.alloc(32, 2),
      hour: hourOf(),
    }
    expect(firstMessage(fixed)).toEqual(firstMessage(fixed))
    expect(firstMessage(fixed)).not.toEqual(firstMessage({ ...fixed, hour: fixed.hour + 1 }))
  })

  it('sees a damaged message 3 and a damaged frame', async () => {
    let connections = 0
    const { listener, connection } = await pair(async (it) => {
      connections++
      await it.receive()
    })
    const damaged = await dialBare('127.0.0.1', listener.port, {
      psk: channel.handshakeKey(),
      damage: (message, number) => {
        if (number === 3) message[60] = (message[60] as number) ^ 1
        return message
      },
    })
    expect(await damaged.receive()).toBeNull()
    expect(connections).toBe(1)
    connection.sendDamagedFrame()
    await waitUntil(() => listener.faults.length === 1, 5000, 'the listener refused the frame')
    expect(String(listener.faults[0])).toMatch(/does not open/)
  })
})

describe('the relay', () => {
  it('carries, counts, changes, holds back and cuts', async () => {
    const echoed: Buffer[] = []
    const listener = createServer((socket) => {
      socket.on('data', (bytes) => socket.write(bytes)).on('error', () => socket.destroy())
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    cleanUps.push(() => new Promise((resolve) => listener.close(resolve)))
    const relay = await Relay.open({
      host: '127.0.0.1',
      port: (listener.address() as AddressInfo).port,
      change: (bytes, direction) => (direction === 'in' ? Buffer.from(bytes.map((byte) => byte ^ 1)) : bytes),
    })
    cleanUps.push(() => relay.close())
    const socket = createConnection({ host: '127.0.0.1', port: relay.port })
    socket.on('data', (bytes: Buffer) => echoed.push(bytes)).on('error', () => {})
    socket.write(Buffer.of(2, 3))
    await waitUntil(
      () => Buffer.concat(echoed).equals(Buffer.of(3, 2)),
      5000,
      'the echo, changed on its way back',
    )
    expect([relay.total('out'), relay.total('in')]).toEqual([2, 2])
    relay.hold()
    socket.write(Buffer.of(4))
    await holdsFor(() => Buffer.concat(echoed).length === 2, 100, 'nothing passes while it holds')
    relay.release()
    await waitUntil(() => Buffer.concat(echoed).length === 3, 5000, 'it goes on')
    relay.cut()
    await waitUntil(() => socket.destroyed, 5000, 'the connection is cut')
  })
})
