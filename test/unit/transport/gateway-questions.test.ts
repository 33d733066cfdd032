/**
 * Questions to gateways on one connection: answered late, in any order, a few at a
 * time, called off, or not at all by whoever is no gateway.
 */
import { describe, expect, it } from 'vitest'
import { isMegatorrentError, MegatorrentError } from '../../../src/base/errors.ts'
import { MAX_OPEN_QUESTIONS_PER_PEER } from '../../../src/base/limits.ts'
import type { ConnectionHandlers } from '../../../src/transport/connection.ts'
import type { Address } from '../../../src/wire/address.ts'
import {
  ERROR_CODES,
  type Message,
  PUBLISH_OUTCOMES,
  type PublishAnswer,
  REQUEST_KINDS,
  type SlotAnswer,
} from '../../../src/wire/message.ts'
import { failureOf } from './helpers.ts'
import { blobRequest, idOf, Peer, RawPeer, Rig } from './rig.ts'

const ITEM = {
  nonce: new Uint8Array(8).fill(1),
  notBefore: 0,
  notAfter: 9,
  slotKey: idOf(7),
  seq: 3,
  signature: new Uint8Array(64).fill(2),
  value: new Uint8Array(608).fill(3),
}
const ANSWER: PublishAnswer = { outcome: PUBLISH_OUTCOMES.stored, workBits: 0, nodes: 8, highestSeq: 0 }
const SLOT: SlotAnswer = {
  nearest: 8,
  items: [{ holders: 7, seq: 3, signature: ITEM.signature, value: ITEM.value }],
}
const TOPIC = new Uint8Array(20).fill(4)
const PEERS: Address[] = [{ kind: 'ipv4', host: '192.0.2.7', port: 7117 }]

/** Handlers of a gateway whose answers a test gives when it likes. */
class Desk {
  readonly waiting: ((answer: unknown) => void)[] = []
  readonly asked: unknown[] = []
  readonly handlers: Partial<ConnectionHandlers> = {
    readSlot: (key) => this.#ask<SlotAnswer>(key),
    publish: (message) => this.#ask<PublishAnswer>(message),
    readPeers: (topic) => () => this.#ask<readonly Address[]>(topic),
  }

  #ask<T>(question: unknown): Promise<T> {
    this.asked.push(question)
    return new Promise((resolve, reject) => {
      this.waiting.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer as T)))
    })
  }

  answer(at: number, answer: unknown): void {
    this.waiting[at]?.(answer)
  }
}

async function gateway(): Promise<{ rig: Rig; desk: Desk; asks: Peer; serves: Peer }> {
  const rig = new Rig()
  const [ours, theirs] = await rig.secure(await rig.responder())
  const desk = new Desk()
  return { rig, desk, asks: new Peer(ours, rig.clock), serves: new Peer(theirs, rig.clock, desk.handlers) }
}

async function rawGateway(): Promise<{ rig: Rig; desk: Desk; raw: RawPeer; serves: Peer }> {
  const rig = new Rig()
  const [ours, theirs] = await rig.secure(await rig.responder())
  const desk = new Desk()
  return { rig, desk, raw: new RawPeer(ours), serves: new Peer(theirs, rig.clock, desk.handlers) }
}

const slotRequest = (requestId: number): Message => {
  return { type: 'request', requestId, kind: REQUEST_KINDS.slot, slotKey: idOf(7) }
}
const codeOf = (error: unknown): unknown => (isMegatorrentError(error) ? error.code : error)

describe('a gateway', () => {
  it('answers what it is asked, whichever answer is ready first', async () => {
    const { rig, desk, asks } = await gateway()
    const answers = [
      asks.connection.publish(ITEM),
      asks.connection.requestSlot(idOf(7)),
      asks.connection.requestPeers(TOPIC, 0),
    ]
    await rig.clock.advance(1)
    expect(desk.asked).toEqual([{ type: 'publish', requestId: 1, ...ITEM }, idOf(7), TOPIC])
    desk.answer(2, PEERS)
    desk.answer(1, SLOT)
    desk.answer(0, ANSWER)
    await rig.clock.advance(1)
    expect(await Promise.all(answers)).toEqual([{ type: 'published', requestId: 1, ...ANSWER }, SLOT, PEERS])
    expect(asks.connection.openRequests).toBe(0)
  })

  it('that is none says unsupported, and the connection goes on', async () => {
    const rig = new Rig()
    const [asks] = await rig.connect(await rig.responder())
    const asked = [asks.connection.publish(ITEM), asks.connection.requestSlot(idOf(1))].map(failureOf)
    await rig.clock.advance(1)
    expect((await Promise.all(asked)).map(codeOf)).toEqual(['ERR_REMOTE_REFUSED', 'ERR_REMOTE_REFUSED'])
    expect(asks.connection.closed).toBe(false)
  })

  it('says no more of what went wrong than that it is busy', async () => {
    const { rig, desk, asks } = await gateway()
    const asked = failureOf(asks.connection.requestSlot(idOf(7)))
    await rig.clock.advance(1)
    desk.answer(0, new MegatorrentError('ERR_DISK_FULL', 'no room on the disk'))
    await rig.clock.advance(1)
    expect(codeOf(await asked)).toBe('ERR_REMOTE_BUSY')
  })

  it('holds a few questions of one peer and is busy for more', async () => {
    const { rig, desk, raw } = await rawGateway()
    const ids = Array.from({ length: MAX_OPEN_QUESTIONS_PER_PEER + 2 }, (_, i) => i + 1)
    raw.send(...ids.map(slotRequest))
    await rig.clock.advance(1)
    expect(desk.asked).toHaveLength(MAX_OPEN_QUESTIONS_PER_PEER)
    expect(raw.ofType('error')).toEqual(
      ids.slice(-2).map((requestId) => ({ type: 'error', requestId, code: ERROR_CODES.busy })),
    )
    desk.answer(0, SLOT)
    await rig.clock.advance(1)
    raw.send(slotRequest(99))
    await rig.clock.advance(1)
    expect(desk.asked).toHaveLength(MAX_OPEN_QUESTIONS_PER_PEER + 1)
  })

  it('begins no look for peers that it has no room for, nor two under one id', async () => {
    const { rig, desk, raw, serves } = await rawGateway()
    const ask = (requestId: number): Message => ({ type: 'findPeers', requestId, topic: TOPIC, port: 0 })
    raw.send(...Array.from({ length: MAX_OPEN_QUESTIONS_PER_PEER + 5 }, (_, i) => ask(i + 1)), ask(1))
    await rig.clock.advance(1)
    expect(desk.asked).toHaveLength(MAX_OPEN_QUESTIONS_PER_PEER)
    expect(serves.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
    // What fails afterwards is nobody's, and harms nobody.
    for (const [at] of desk.asked.entries()) desk.answer(at, new MegatorrentError('ERR_DHT_CLOSED', 'over'))
    await rig.clock.advance(1)
  })

  it('answers a question that was called off with that, once', async () => {
    const { rig, desk, raw } = await rawGateway()
    raw.send(slotRequest(5), { type: 'cancel', requestId: 5 })
    await rig.clock.advance(1)
    desk.answer(0, SLOT)
    await rig.clock.advance(1)
    raw.send({ type: 'cancel', requestId: 5 })
    await rig.clock.advance(1)
    expect(raw.got).toEqual([{ type: 'error', requestId: 5, code: ERROR_CODES.cancelled }])
  })

  it('gives no question the answer to one that was called off and had its id', async () => {
    const { rig, desk, raw } = await rawGateway()
    raw.send(slotRequest(5), { type: 'cancel', requestId: 5 }, { type: 'publish', requestId: 5, ...ITEM })
    await rig.clock.advance(1)
    desk.answer(0, SLOT)
    await rig.clock.advance(1)
    expect(raw.ofType('data')).toEqual([])
    desk.answer(1, ANSWER)
    await rig.clock.advance(1)
    expect(raw.ofType('published')).toEqual([{ type: 'published', requestId: 5, ...ANSWER }])
  })

  it('that has no answer that can be sent says so', async () => {
    const { rig, desk, raw } = await rawGateway()
    raw.send(slotRequest(5))
    await rig.clock.advance(1)
    desk.answer(0, { nearest: 8, items: Array(99).fill(SLOT.items[0]) })
    await rig.clock.advance(1)
    expect(raw.got).toEqual([{ type: 'error', requestId: 5, code: ERROR_CODES.busy }])
  })

  it.each<[string, Message, Message]>([
    ['two questions', slotRequest(5), { type: 'publish', requestId: 5, ...ITEM }],
    ['a blob after a question', slotRequest(5), blobRequest(5, 1)],
    ['a question after a blob', blobRequest(5, 1), slotRequest(5)],
    ['peers after a question', slotRequest(5), { type: 'findPeers', requestId: 5, topic: TOPIC, port: 0 }],
  ])('closes on %s under one id', async (_name, first, second) => {
    const { rig, raw, serves } = await rawGateway()
    serves.onRead = () => new Promise(() => {})
    raw.send(first, second)
    await rig.clock.advance(1)
    expect(serves.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
  })

  it('answers nothing after its end', async () => {
    const { rig, desk, raw, serves } = await rawGateway()
    raw.send(slotRequest(5))
    await rig.clock.advance(1)
    serves.connection.close('shuttingDown')
    desk.answer(0, SLOT)
    await rig.clock.advance(1)
    expect(raw.ofType('data')).toEqual([])
  })
})

describe('an answer of a gateway', () => {
  const ask = async (): Promise<{ rig: Rig; asks: Peer; raw: RawPeer }> => {
    const rig = new Rig()
    const [ours, theirs] = await rig.secure(await rig.responder())
    return { rig, asks: new Peer(ours, rig.clock), raw: new RawPeer(theirs) }
  }
  const published = { type: 'published', requestId: 1, ...ANSWER } as const
  const slot = { type: 'data', requestId: 1, kind: REQUEST_KINDS.slot, slot: SLOT } as const
  const head = { type: 'data', requestId: 1, kind: REQUEST_KINDS.head, head: new Uint8Array(568) } as const
  const peers = { type: 'peers', requestId: 1, addresses: new Uint8Array(0) } as const

  it.each<[string, 'publish' | 'slot' | 'head' | 'peers', Message]>([
    ['a slot for a publish', 'publish', slot],
    ['OK for a publish', 'publish', { type: 'ok', requestId: 1 }],
    ['peers for a publish', 'publish', peers],
    ['a head for a slot', 'slot', head],
    ['published for a slot', 'slot', published],
    ['a slot for a head', 'head', slot],
    ['published for peers', 'peers', published],
  ])('of the wrong kind closes: %s', async (_name, asked, answer) => {
    const { rig, asks, raw } = await ask()
    const { connection } = asks
    const questions = {
      publish: () => connection.publish(ITEM),
      slot: () => connection.requestSlot(idOf(7)),
      head: () => connection.requestHead(new Uint8Array(16)),
      peers: () => connection.requestPeers(TOPIC, 0),
    }
    const failed = failureOf(questions[asked]())
    raw.send(answer)
    await rig.clock.advance(1)
    expect(codeOf(await failed)).toBe('ERR_CONNECTION_CLOSED')
    expect(asks.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
  })

  it('that nobody asked for is passed over', async () => {
    const { rig, asks, raw } = await ask()
    raw.send(published, slot)
    await rig.clock.advance(1)
    expect(asks.closes).toEqual([])
  })

  it('of an unknown kind is a refusal', async () => {
    const { rig, asks, raw } = await ask()
    const failed = failureOf(asks.connection.requestSlot(idOf(7)))
    raw.sendFrame(3, 1, Uint8Array.of(99))
    await rig.clock.advance(1)
    expect(codeOf(await failed)).toBe('ERR_REMOTE_REFUSED')
  })
})
