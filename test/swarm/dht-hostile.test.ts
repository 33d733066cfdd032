/**
 * Hostile datagrams of every class, as queries and as replies, against the real adapter
 * in a real DHT: the process lives, nothing hangs, and gets and puts still work.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  DHT_MAX_NODES_PER_ANSWER,
  KRPC_MAX_ANSWER_BYTES,
  KRPC_MAX_ANSWER_RATIO,
} from '../../src/base/limits.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import type { MainlineDht } from '../../src/discovery/mainline.ts'
import { signItem } from '../../src/wire/mutable-item.ts'
import {
  ascii,
  bytesOf,
  encodeFields,
  type Fields,
  hostileQueries,
  hostileReplies,
  SOUND_QUERIES,
  SOUND_REPLIES,
} from '../unit/discovery/hostile-krpc.ts'
import { RawUdp } from '../unit/discovery/raw-udp.ts'
import { DhtNet } from './harness/dht-net.ts'
import { waitUntil, within } from './harness/wait.ts'

/** Hostile replies that a liar sends to one query. */
const SLICE = 150

let net: DhtNet
let reader: MainlineDht
let stranger: RawUdp

beforeAll(async () => {
  net = await DhtNet.start(10)
  reader = await net.addReader()
  stranger = await RawUdp.open()
  await waitUntil(() => reader.nodeCount >= 8, 10_000, 'the reader knows the DHT')
})

afterAll(async () => {
  await stranger.close()
  await net.dispose()
})

/** A put and a get of a new item through this node. */
async function roundTrip(node: MainlineDht): Promise<readonly [number, number]> {
  const key = new SigningKey(randomBytes(32))
  const { storedBy } = await node.putMutable(signItem(key, 1, randomBytes(608)))
  const { candidates } = await node.getMutable(key.publicKey)
  return [storedBy, candidates[0]?.holders ?? 0]
}

/** Send them all, and wait until the node has read them. The kernel drops what is sent faster than it is read. */
async function flood(node: MainlineDht, datagrams: readonly Uint8Array[]): Promise<void> {
  const startIn = node.counters.datagramsIn
  for (const [index, bytes] of datagrams.entries()) {
    await stranger.send(bytes, node.port)
    if (index % 100 === 99) {
      await waitUntil(() => node.counters.datagramsIn >= startIn + index, 5_000, 'datagrams are read')
    }
  }
  await waitUntil(() => node.counters.datagramsIn >= startIn + datagrams.length, 5_000, 'all are read')
}

describe('hostile queries', () => {
  const queries = hostileQueries().map(({ bytes }) => bytes)

  it('get 0 bytes from an ordinary node, and it works on', async () => {
    stranger.received.length = 0
    await flood(reader, [...queries, ...Object.values(SOUND_QUERIES).map(encodeFields)])
    expect(await roundTrip(reader)).toEqual([10, 10])
    expect(stranger.received).toEqual([])
    expect(reader.counters.libraryErrors).toBe(0)
  })

  it('leave a serving node at work; the sound ones among them are answered', async () => {
    const server = net.servers[3] as MainlineDht
    stranger.received.length = 0
    await flood(server, queries)
    await stranger.send(encodeFields(SOUND_QUERIES.ping as Fields), server.port)
    await waitUntil(() => stranger.received.length > 0, 5_000, 'the server answers')
    expect(await roundTrip(server)).toEqual([9, 9])
    expect(server.counters.libraryErrors).toBe(0)
  })
})

describe('the library as shipped', () => {
  const LIBRARY_ALONE = `
    import { Client } from 'bittorrent-dht'
    const dht = new Client({ bootstrap: false, verify: () => true })
    dht.listen(0, '127.0.0.1', () => process.stdout.write(String(dht.address().port)))`

  it('is ended by these very datagrams: they are worth something', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', LIBRARY_ALONE], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const ended = once(child, 'exit')
    const [port] = await once(child.stdout, 'data')
    for (const { bytes } of hostileQueries()) {
      if (child.exitCode !== null) break
      await stranger.send(bytes, Number(String(port)))
    }
    const [exitCode] = await within(ended, 10_000, 'the process ends')
    expect(exitCode).toBe(1)
  })
})

describe('answers of a serving node', () => {
  it('have at most 1,200 bytes and 12 times the length of the query, whatever is stored', async () => {
    const server = net.servers[1] as MainlineDht
    const asker = await RawUdp.open()
    const infohash = randomBytes(20)
    const key = new SigningKey(randomBytes(32))
    const item = signItem(key, 2 ** 52, bytesOf(930))
    const ask = async (query: Fields): Promise<Buffer> => {
      const bytes = encodeFields(query)
      await asker.send(bytes, server.port)
      const answer = (await asker.next()).bytes
      expect(answer.length).toBeLessThanOrEqual(KRPC_MAX_ANSWER_BYTES)
      expect(answer.length / bytes.length).toBeLessThanOrEqual(KRPC_MAX_ANSWER_RATIO)
      return answer
    }
    const tokenOf = (answer: Buffer): Uint8Array => {
      const at = answer.indexOf('5:token20:')
      return answer.subarray(at + 10, at + 30)
    }
    const query = (method: string, fields: object): Fields => ({
      a: { id: randomBytes(20), ...fields },
      q: ascii(method),
      ro: 1, // else the server would also ping us
      t: ascii('aa'),
      y: ascii('q'),
    })
    const token = tokenOf(await ask(query('get_peers', { info_hash: infohash })))
    for (let port = 1_000; port < 1_400; port++) {
      await ask(query('announce_peer', { info_hash: infohash, port, token }))
    }
    const { publicKey, signature, value, seq } = item
    await ask(query('put', { token, v: value, k: publicKey, seq, sig: signature }))
    const peers = await ask(query('get_peers', { info_hash: infohash }))
    expect(peers.length).toBeGreaterThan(800) // 100 of the 400 peers
    await ask(query('find_node', { target: infohash }))
    await ask(query('ping', {}))
    // The value itself fits no answer that a short query may get; a longer transaction id buys it.
    const target = createHash('sha1').update(publicKey).digest()
    const answer = await ask({ ...query('get', { target }), t: bytesOf(20), v: bytesOf(4) })
    expect(answer.includes(Buffer.from(value))).toBe(true)
    await asker.close()
  })
})

describe('a serving node with a large table', () => {
  it('names few of its nodes, so that the answer fits', async () => {
    const crowd = await DhtNet.start(40)
    const server = crowd.servers[0] as MainlineDht
    const asker = await RawUdp.open()
    expect(server.nodeCount).toBeGreaterThan(DHT_MAX_NODES_PER_ANSWER + 4)
    await asker.send(encodeFields({ ...(SOUND_QUERIES.find_node as Fields), ro: 1 }), server.port)
    const answer = (await asker.next()).bytes
    expect(answer.includes(`5:nodes${26 * DHT_MAX_NODES_PER_ANSWER}:`)).toBe(true)
    await asker.close()
    await crowd.dispose()
  })
})

describe('replies', () => {
  it('that nobody asked for add no node to the table', async () => {
    const before = reader.nodes().length
    const unsolicited = Array.from({ length: 50 }, (_, i) =>
      encodeFields({
        ...(SOUND_REPLIES.find_node as Fields),
        r: { id: randomBytes(20), nodes: bytesOf(52) },
        // Short ids that the library counts up, and long ones as we send them.
        t: i % 2 === 0 ? Uint8Array.of(0, i) : randomBytes(8),
      }),
    )
    await flood(reader, unsolicited)
    expect(reader.nodes().length).toBe(before)
    expect(reader.nodes().some(({ port }) => port === stranger.port)).toBe(false)
    expect(reader.counters.unsolicited).toBeGreaterThanOrEqual(50)
  })

  it('of every hostile class from a node of the table end nothing and hang nothing', async () => {
    const victim = await net.addReader({ tuning: { queryTimeoutMs: 100 } })
    const liar = await RawUdp.open()
    const id = randomBytes(20)
    let sent = 0
    liar.onMessage = (bytes, port) => {
      const at = bytes.indexOf('1:t8:')
      const transaction = Uint8Array.from(bytes.subarray(at + 5, at + 13))
      const isPing = bytes.includes('1:q4:ping')
      if (isPing) {
        void liar.send(encodeFields({ r: { id }, t: transaction, y: ascii('r') }), port)
        return
      }
      // A slice of all cases to each query: what is malformed leaves the query open for the next one.
      const cases = hostileReplies(transaction)
      for (let i = 0; i < SLICE; i++)
        void liar.send((cases[(sent + i) % cases.length] as { bytes: Uint8Array }).bytes, port)
      sent += SLICE
    }
    expect(await victim.addNode('127.0.0.1', liar.port)).toBe(true)
    const total = hostileReplies(bytesOf(8)).length
    for (let round = 0; sent < total && round < 200; round++) {
      const { asked } = await victim.getMutable(new SigningKey(randomBytes(32)).publicKey)
      expect(asked).toBeGreaterThan(0)
      if (!victim.nodes().some(({ port }) => port === liar.port)) await victim.addNode('127.0.0.1', liar.port)
    }
    expect(sent).toBeGreaterThanOrEqual(total)
    liar.onMessage = null
    // More than once where the machine is busy: this node waits a tenth of a second for an answer.
    await waitUntil(async () => (await roundTrip(victim))[0] >= 9, 30_000, 'what it puts is stored by nine')
    expect(victim.counters.libraryErrors).toBe(0)
    await liar.close()
  })
})

describe('queriers', () => {
  it('enter the table of a serving node when they answer a ping, and not before', async () => {
    const server = net.servers[2] as MainlineDht
    const [silent, honest] = [await RawUdp.open(), await RawUdp.open()]
    const id = randomBytes(20)
    honest.onMessage = (bytes, port) => {
      const at = bytes.indexOf('1:t8:')
      if (!bytes.includes('1:q4:ping')) return
      const transaction = Uint8Array.from(bytes.subarray(at + 5, at + 13))
      void honest.send(encodeFields({ r: { id }, t: transaction, y: ascii('r') }), port)
    }
    const ping = (own: Uint8Array, ro?: number): Uint8Array =>
      encodeFields({
        a: { id: own },
        q: ascii('ping'),
        ...(ro === undefined ? {} : { ro }),
        t: ascii('aa'),
        y: ascii('q'),
      })
    await silent.send(ping(randomBytes(20)), server.port)
    await honest.send(ping(id), server.port)
    await waitUntil(
      () => server.nodes().some(({ port }) => port === honest.port),
      5_000,
      'it is in the table',
    )
    await waitUntil(() => silent.received.length === 2, 5_000, 'the silent one got its answer and a ping')
    expect(server.nodes().some(({ port }) => port === silent.port)).toBe(false)
    // A read-only node is answered and not pinged.
    silent.received.length = 0
    await silent.send(ping(randomBytes(20), 1), server.port)
    await silent.send(ping(randomBytes(20), 1), server.port)
    await waitUntil(() => silent.received.length === 2, 5_000, 'it is answered')
    expect(silent.received.every(({ bytes }) => bytes.includes('1:y1:r'))).toBe(true)
    await Promise.all([silent.close(), honest.close()])
  })
})
