/**
 * Whoever does not know a channel or the node's key gets not one byte, and cannot
 * tell by time what was wrong (PROTOCOL_FINAL.md §6.3): every opening that is not an
 * accepted first message is met with the same silence, to the same deadline.
 */
import { randomBytes } from 'node:crypto'
import { createConnection } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { TYPES } from '../swarm/harness/bare-connection.ts'
import { BareChannel, dayOf, hourOf, nodeHandshakeKey } from '../swarm/harness/bare-crypto.ts'
import {
  dialBare,
  firstMessage,
  ipv4Address,
  type OpeningOptions,
  probe,
} from '../swarm/harness/bare-peer.ts'
import { TestNode } from '../swarm/harness/test-node.ts'

const nodes: TestNode[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(name: string, args: readonly string[] = []): Promise<TestNode> {
  const node = await TestNode.start({ name, args: ['--no-dht', ...args] })
  nodes.push(node)
  return node
}

/** Longer than the deadline of a handshake by far: to see that there is one. */
const PATIENCE_MS = 30_000

/** Share of the deadline by which closes may differ: timers of a busy machine, nothing that tells. */
const SPREAD = 0.05

describe('openings that are not accepted', () => {
  it('get no byte, and are closed at the same time', async () => {
    // Two nodes that know the same channel.
    const publisher = await start('publisher')
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'secret' })
    const other = await start('other', ['--peer', publisher.peerAddress])
    await other.rpc('addSubscription', { uri, wait: false })

    const channel = BareChannel.fromLink(uri)
    const { host, port } = publisher.endpoint
    const good: OpeningOptions = {
      psk: channel.handshakeKey(),
      dialled: ipv4Address(host, port),
      ephemeral: randomBytes(32),
    }
    const fresh = (changes: Partial<OpeningOptions>): Buffer => {
      return firstMessage({ ...good, ephemeral: randomBytes(32), ...changes })
    }

    // The control: this very opening is accepted once, which also makes it one that has been used.
    const accepted = await dialBare(host, port, good)
    accepted.sendHello()
    expect((await accepted.receive())?.type).toBe(TYPES.HELLO)
    accepted.destroy()
    const recorded = firstMessage(good)

    const damaged = fresh({})
    damaged[100] = (damaged[100] as number) ^ 1
    const nodeKey = Buffer.from(publisher.ready.nodeKey ?? '', 'hex')
    const openings: readonly (readonly [name: string, bytes: Uint8Array, to?: TestNode])[] = [
      ['nothing at all', Buffer.alloc(0)],
      ['one byte', Buffer.of(0)],
      ['112 random bytes', randomBytes(112)],
      ['112 zero bytes', Buffer.alloc(112)],
      ['5,000 random bytes', randomBytes(5000)],
      ['a megabyte of random bytes', randomBytes(1_048_576)],
      ['an HTTP request', Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`)],
      ['a TLS hello', tlsHello()],
      ['an SSH banner', Buffer.from('SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n')],
      [
        'a BitTorrent handshake',
        Buffer.concat([Buffer.from('\x13BitTorrent protocol'), Buffer.alloc(8), randomBytes(40)]),
      ],
      ['a first message under an unknown key', fresh({ psk: randomBytes(32) })],
      ['one under the key of another channel', fresh({ psk: new BareChannel(nodeKey).handshakeKey() })],
      ['one under the key of the day before yesterday', fresh({ psk: channel.handshakeKey(dayOf() - 2) })],
      ['one of four hours ago', fresh({ hour: hourOf() - 4 })],
      ['one of four hours ahead', fresh({ hour: hourOf() + 4 })],
      ['one for another port', fresh({ dialled: ipv4Address(host, port ^ 1) })],
      ['one for another address', fresh({ dialled: ipv4Address('127.0.0.2', port) })],
      [
        'one under the node key, with an hour that is wrong',
        fresh({ psk: nodeHandshakeKey(nodeKey), hour: 5 }),
      ],
      ['one with a bit turned', damaged],
      ['half of one', fresh({}).subarray(0, 56)],
      ['all but its last byte', fresh({}).subarray(0, 111)],
      ['a recorded one', recorded],
      ['a recorded one and more', Buffer.concat([recorded, randomBytes(224)])],
      ['a recorded one, to another node of the channel', recorded, other],
    ]
    const results = await Promise.all([
      drip(host, port, PATIENCE_MS),
      ...openings.map(async ([name, bytes, to = publisher]) => {
        const result = await probe(to.endpoint.host, to.endpoint.port, bytes, PATIENCE_MS)
        return { name, received: result.received.length, closedAfterMs: result.closedAfterMs }
      }),
    ])
    expect(results.filter((result) => result.received > 0)).toEqual([])
    const times = results.map((result) => result.closedAfterMs ?? Number.POSITIVE_INFINITY)
    const [earliest, latest] = [Math.min(...times), Math.max(...times)]
    const shown = results.map((result) => `${result.name}: ${result.closedAfterMs}`).join('\n')
    expect(latest, shown).toBeLessThan(PATIENCE_MS)
    expect(latest - earliest, shown).toBeLessThan(latest * SPREAD)

    // The control again: after all that, a right opening is answered as before.
    const again = await dialBare(host, port, { ...good, ephemeral: randomBytes(32) })
    again.destroy()
    await Promise.all([publisher.stop(), other.stop()])
  })
})

interface Outcome {
  readonly name: string
  readonly received: number
  readonly closedAfterMs: number | null
}

/** Send a byte every 50 ms until the other side closes: that must gain no time. */
function drip(host: string, port: number, timeoutMs: number): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port })
    const startMs = performance.now()
    let received = 0
    const timer = setInterval(() => socket.write(randomBytes(1)), 50)
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error('the other side does not close'))
    }, timeoutMs)
    const onEnd = (): void => {
      clearInterval(timer)
      clearTimeout(late)
      socket.destroy()
      resolve({ name: 'bytes that drip', received, closedAfterMs: performance.now() - startMs })
    }
    socket.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    socket.on('end', onEnd).on('error', onEnd)
  })
}

/** The start of a TLS 1.3 connection as browsers make it, in outline. */
function tlsHello(): Buffer {
  const suites = Buffer.from('130113021303c02bc02f', 'hex')
  const body = Buffer.concat([
    Buffer.from('0303', 'hex'),
    randomBytes(32),
    Buffer.of(32),
    randomBytes(32),
    Buffer.of(0, suites.length),
    suites,
    Buffer.from('0100', 'hex'),
    Buffer.from('0000', 'hex'),
  ])
  const handshake = Buffer.concat([Buffer.of(1, 0, 0, body.length), body])
  return Buffer.concat([Buffer.from('160301', 'hex'), Buffer.of(0, handshake.length), handshake])
}
