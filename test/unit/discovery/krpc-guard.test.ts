import { Buffer } from 'node:buffer'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { KRPC_MAX_ANSWER_BYTES, KRPC_MAX_PENDING, KRPC_PENDING_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { decodeKrpc } from '../../../src/discovery/krpc.ts'
import { encodeKrpc } from '../../../src/discovery/krpc-encode.ts'
import { KrpcGuard, type KrpcGuardOptions } from '../../../src/discovery/krpc-guard.ts'
import { type BencodeDictionary, decodeBencode } from '../../../src/wire/bencode.ts'
import { waitUntil } from '../../swarm/harness/wait.ts'
import { ascii, bytesOf, encodeFields, type Fields, SOUND_QUERIES } from './hostile-krpc.ts'
import { RawUdp } from './raw-udp.ts'

const toClose: { close(): unknown }[] = []
afterEach(async () => {
  for (const item of toClose.splice(0)) await item.close()
})

interface Bench {
  readonly guard: KrpcGuard
  readonly port: number
  readonly clock: ManualClock
  /** What the library was given: kind, transaction id and the id of the sender. */
  readonly delivered: Delivered[]
}

interface Delivered {
  readonly kind: string
  readonly transaction: Uint8Array
  readonly id: Uint8Array
}

/** As the library reads it: not through krpc.ts, which refuses ids that the guard has hidden. */
function asDelivered(bytes: Uint8Array): Delivered {
  const fields = decodeBencode(bytes, { maxDepth: 4, maxItems: 300 }) as BencodeDictionary
  const section = (fields.get('a') ?? fields.get('r')) as BencodeDictionary
  return {
    kind: Buffer.from(fields.get('y') as Uint8Array).toString('latin1'),
    transaction: Uint8Array.from(fields.get('t') as Uint8Array),
    id: section.get('id') as Uint8Array,
  }
}

async function openGuard(options: Partial<KrpcGuardOptions> = {}): Promise<Bench> {
  const clock = new ManualClock()
  const guard = new KrpcGuard({
    isServer: false,
    clock,
    random: seededRandom(1),
    log: silentLog,
    canAsk: () => true,
    ...options,
  })
  toClose.push(guard)
  const { port } = await guard.listen('127.0.0.1', 0)
  const delivered: Bench['delivered'] = []
  guard.on('message', (bytes: Buffer) => delivered.push(asDelivered(bytes)))
  return { guard, port, clock, delivered }
}

async function openStranger(host?: string, port?: number): Promise<RawUdp> {
  const stranger = await RawUdp.open(host, port)
  toClose.push(stranger)
  return stranger
}

/** What the library sends: a query under a short id of its own. */
function sendQuery(guard: KrpcGuard, port: number, transaction = 'aa', host = '127.0.0.1'): void {
  const bytes = encodeFields({ ...(SOUND_QUERIES.get as Fields), t: ascii(transaction) })
  guard.send(bytes, 0, bytes.length, port, host)
}

function replyTo(bytes: Uint8Array): Uint8Array {
  return encodeKrpc({
    type: 'response',
    transaction: asDelivered(bytes).transaction,
    id: bytesOf(20),
    nodes: bytesOf(0),
    token: null,
    peers: [],
    value: null,
    mutable: null,
  })
}

describe('queries of ours', () => {
  it('go out under 8 random bytes and read-only, and the reply comes in under the id of the library', async () => {
    const { guard, port, delivered } = await openGuard()
    const node = await openStranger()
    sendQuery(guard, node.port, 'aa')
    sendQuery(guard, node.port, 'ab')
    const [first, second] = [await node.next(), await node.next()]
    const sent = decodeKrpc(first.bytes)
    expect(sent).toMatchObject({ type: 'query', method: 'get', readOnly: true })
    expect(sent.transaction).toHaveLength(8)
    expect(decodeKrpc(second.bytes).transaction).not.toEqual(sent.transaction)
    await node.send(replyTo(first.bytes), port)
    await waitUntil(() => delivered.length === 1, 5_000, 'the reply comes in')
    expect(delivered[0]).toMatchObject({ kind: 'r', transaction: ascii('aa') })
    expect(guard.pendingQueries).toBe(1)
  })

  it('of a serving node are not read-only', async () => {
    const { guard } = await openGuard({ isServer: true })
    const node = await openStranger()
    sendQuery(guard, node.port)
    expect(decodeKrpc((await node.next()).bytes)).toMatchObject({ readOnly: false })
  })

  it('are not sent to names, odd ports and addresses that may not be asked', async () => {
    const { guard } = await openGuard({ canAsk: (host) => host !== '10.0.0.1' })
    sendQuery(guard, 6881, 'aa', 'router.example.org')
    sendQuery(guard, 6881, 'aa', '10.0.0.1')
    sendQuery(guard, 0)
    sendQuery(guard, 70_000)
    sendQuery(guard, 1.5)
    expect(guard.counters).toMatchObject({ notAsked: 5, datagramsOut: 0 })
    expect(guard.pendingQueries).toBe(0)
  })

  it('that wait for a reply are bounded', async () => {
    const { guard } = await openGuard()
    const node = await openStranger()
    for (let i = 0; i < KRPC_MAX_PENDING + 50; i++) sendQuery(guard, node.port)
    expect(guard.pendingQueries).toBe(KRPC_MAX_PENDING)
  })
})

describe('replies', () => {
  it('are dropped when their id, address or port is not that of a query', async () => {
    const { guard, port, delivered } = await openGuard()
    const [asked, other] = [await openStranger(), await openStranger()]
    sendQuery(guard, asked.port)
    const query = (await asked.next()).bytes
    const wrongId = encodeKrpc({ ...decodeKrpc(query), transaction: bytesOf(8) })
    await other.send(replyTo(query), port) // the right id from a wrong port
    await asked.send(replyTo(wrongId), port) // the right port, a wrong id
    for (let i = 0; i < 48; i++) await other.send(replyTo(encodeFields(SOUND_QUERIES.ping as Fields)), port)
    await waitUntil(() => guard.counters.unsolicited === 50, 5_000, 'all replies are counted')
    expect(delivered).toHaveLength(0)
    await asked.send(replyTo(query), port) // the true reply still counts
    await waitUntil(() => delivered.length === 1, 5_000, 'the true reply comes in')
  })

  it('count once', async () => {
    const { guard, port, delivered } = await openGuard()
    const node = await openStranger()
    sendQuery(guard, node.port)
    const query = (await node.next()).bytes
    await node.send(replyTo(query), port)
    await node.send(replyTo(query), port)
    await waitUntil(() => guard.counters.unsolicited === 1, 5_000, 'the second one is dropped')
    expect(delivered).toHaveLength(1)
  })

  it('from another address are dropped, although the port is right', async (context) => {
    const { guard, port, delivered } = await openGuard()
    const asked = await openStranger()
    const other = await openStranger('127.0.0.2', asked.port).catch(() => null)
    if (other === null) return context.skip('no second loopback address here')
    sendQuery(guard, asked.port)
    await other.send(replyTo((await asked.next()).bytes), port)
    await waitUntil(() => guard.counters.unsolicited === 1, 5_000, 'it is dropped')
    expect(delivered).toHaveLength(0)
  })

  it('that come too late are dropped', async () => {
    const { guard, port, clock, delivered } = await openGuard()
    const node = await openStranger()
    sendQuery(guard, node.port)
    const query = (await node.next()).bytes
    await clock.advance(KRPC_PENDING_MS + 1)
    await node.send(replyTo(query), port)
    await waitUntil(() => guard.counters.unsolicited === 1, 5_000, 'it is dropped')
    expect(delivered).toHaveLength(0)
  })
})

describe('queries of strangers', () => {
  const ping = encodeFields(SOUND_QUERIES.ping as Fields)

  it('are dropped by an ordinary node', async () => {
    const { guard, port, delivered } = await openGuard()
    const stranger = await openStranger()
    await stranger.send(ping, port)
    await waitUntil(() => guard.counters.queriesDropped === 1, 5_000, 'it is dropped')
    expect([delivered.length, stranger.received.length, guard.counters.datagramsOut]).toEqual([0, 0, 0])
  })

  it('reach the library of a serving node without the id that would bring them into its table', async () => {
    const queriers: unknown[] = []
    const { port, delivered } = await openGuard({
      isServer: true,
      onQuerier: ({ id, ...node }) => queriers.push({ ...node, id: Buffer.from(id) }),
    })
    const stranger = await openStranger()
    await stranger.send(ping, port)
    await stranger.send(encodeFields({ ...(SOUND_QUERIES.ping as Fields), ro: 1 }), port)
    await waitUntil(() => delivered.length === 2, 5_000, 'both come in')
    expect(delivered.map(({ kind, id }) => `${kind}${id.length}`)).toEqual(['q1', 'q1'])
    // Only the one that is not read-only is told of.
    expect(queriers).toEqual([{ id: Buffer.from(bytesOf(20, 0x62)), host: '127.0.0.1', port: stranger.port }])
  })

  it('are answered as often as an address may ask, and again when time has passed', async () => {
    const { guard, port, clock, delivered } = await openGuard({
      isServer: true,
      queriesPerSecond: 2,
      queryBurst: 5,
    })
    const stranger = await openStranger()
    for (let i = 0; i < 8; i++) await stranger.send(ping, port)
    await waitUntil(() => guard.counters.queriesDropped === 3, 5_000, 'three are dropped')
    expect(delivered).toHaveLength(5)
    await clock.advance(1_000)
    for (let i = 0; i < 8; i++) await stranger.send(ping, port)
    await waitUntil(() => guard.counters.queriesDropped === 9, 5_000, 'six of eight are dropped')
    expect(delivered).toHaveLength(7)
  })

  it('with a value that no answer could carry are dropped', async () => {
    const { guard, port } = await openGuard({ isServer: true })
    const stranger = await openStranger()
    const put = SOUND_QUERIES['put immutable'] as Fields
    await stranger.send(encodeFields({ ...put, a: { ...(put.a as object), v: bytesOf(990) } }), port)
    await waitUntil(() => guard.counters.queriesDropped === 1, 5_000, 'it is dropped')
  })

  it('get an answer of at most 1,200 bytes and 12 times their length, with peers left out', async () => {
    const { guard, port } = await openGuard({ isServer: true })
    guard.on('message', (bytes: Buffer) => {
      const values = Array.from({ length: 200 }, () => bytesOf(6))
      const answer = encodeFields({
        r: { id: bytesOf(20), token: bytesOf(20), values },
        t: asDelivered(bytes).transaction,
        y: ascii('r'),
      })
      guard.send(answer, 0, answer.length, stranger.port, '127.0.0.1')
    })
    const stranger = await openStranger()
    const query = encodeFields(SOUND_QUERIES.get_peers as Fields)
    await stranger.send(query, port)
    const answer = await stranger.next()
    expect(answer.bytes.length).toBeLessThanOrEqual(Math.min(KRPC_MAX_ANSWER_BYTES, 12 * query.length))
    expect(answer.bytes.length).toBeGreaterThan(900)
    expect(guard.counters).toMatchObject({ answersCut: 1, queriesServed: 1 })
  })

  it('get one answer, and nobody gets an answer to no query', async () => {
    const { guard, port } = await openGuard({ isServer: true })
    const [stranger, victim] = [await openStranger(), await openStranger()]
    const answerOf = (bytes: Buffer): Uint8Array => replyTo(bytes)
    guard.on('message', (bytes: Buffer) => {
      for (const to of [victim.port, stranger.port, stranger.port]) {
        const answer = answerOf(bytes)
        guard.send(answer, 0, answer.length, to, '127.0.0.1')
      }
    })
    await stranger.send(ping, port)
    await stranger.send(ping, port)
    await waitUntil(() => guard.counters.datagramsIn === 2, 5_000, 'both queries are read')
    expect(guard.counters.datagramsOut).toBe(2)
    await stranger.next()
    await stranger.next()
    expect([stranger.received.length, victim.received.length]).toEqual([0, 0])
  })
})

describe('the guard', () => {
  it('lets nothing that the library throws go further', async () => {
    const errors: string[] = []
    const log = { ...silentLog, error: (message: string) => errors.push(message) }
    const { guard, port } = await openGuard({ isServer: true, log })
    guard.on('message', () => {
      throw new Error('a library that was taken by surprise')
    })
    const stranger = await openStranger()
    for (let i = 0; i < 3; i++) await stranger.send(encodeFields(SOUND_QUERIES.ping as Fields), port)
    await waitUntil(() => guard.counters.libraryErrors === 3, 5_000, 'all three are caught')
    expect(errors).toHaveLength(3)
  })

  it('drops junk and long datagrams unread', async () => {
    const { guard, port, delivered } = await openGuard({ isServer: true })
    const stranger = await openStranger()
    for (const bytes of [bytesOf(1), bytesOf(3_000), ascii('d1:t2:aa1:y1:qe')])
      await stranger.send(bytes, port)
    await waitUntil(() => guard.counters.malformed === 3, 5_000, 'all are counted')
    expect(delivered).toHaveLength(0)
  })

  it('survives errors of its socket', async () => {
    const { guard } = await openGuard()
    const node = await openStranger()
    sendQuery(guard, 9, 'aa', '255.255.255.255') // EACCES: nobody may broadcast
    await waitUntil(() => guard.counters.socketErrors === 1, 5_000, 'the error is counted')
    sendQuery(guard, node.port)
    expect((await node.next()).bytes.length).toBeGreaterThan(80)
  })

  it.each(['::1', 'localhost', '', '127.1'])('refuses to listen on "%s"', async (host) => {
    const guard = new KrpcGuard({
      isServer: false,
      clock: new ManualClock(),
      random: seededRandom(1),
      log: silentLog,
      canAsk: () => true,
    })
    toClose.push(guard)
    await expect(guard.listen(host, 0)).rejects.toMatchObject({ code: 'ERR_DHT_LISTEN', kind: 'config' })
  })

  it('says so when the port is taken', async () => {
    const { port } = await openGuard()
    const second = new KrpcGuard({
      isServer: false,
      clock: new ManualClock(),
      random: seededRandom(1),
      log: silentLog,
      canAsk: () => true,
    })
    toClose.push(second)
    await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'ERR_DHT_LISTEN' })
  })

  it('is quiet after it was closed, and closes once', async () => {
    const { guard } = await openGuard()
    const node = await openStranger()
    let closes = 0
    guard.on('close', () => closes++)
    guard.close()
    guard.close()
    sendQuery(guard, node.port)
    await waitUntil(() => closes === 1, 5_000, 'it is closed')
    expect(guard.counters.datagramsOut).toBe(0)
  })
})
