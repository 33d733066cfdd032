import { setMaxListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../../src/base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../../../src/base/errors.ts'
import {
  CANCEL_ANSWER_MS,
  CLOSE_LINGER_MS,
  IDLE_CLOSE_MS,
  IDLE_PAD_MS,
  MAX_OPEN_REQUESTS_PER_PEER,
  MAX_QUEUED_SMALL_BYTES,
  MIN_PROGRESS_BYTES,
  PEER_WORK_BURST,
  PEER_WORK_PER_SECOND,
  REQUEST_TIMEOUT_MS,
  WRITE_QUEUE_BYTES,
  WRITE_STALL_MS,
} from '../../../src/base/limits.ts'
import { openFrame, type SealedFrame } from '../../../src/crypto/sealed-frame.ts'
import { Connection } from '../../../src/transport/connection.ts'
import {
  BLOB_BYTES,
  BLOB_FRAME_BYTES,
  HEAD_BYTES,
  HELLO_PLACE_BYTES,
  HELLO_PLACES,
  SMALL_FRAME_BYTES,
} from '../../../src/wire/constants.ts'
import { encodeFrame } from '../../../src/wire/frame.ts'
import {
  BYE_REASONS,
  ERROR_CODES,
  MESSAGE_TYPES,
  type Message,
  REQUEST_KINDS,
} from '../../../src/wire/message.ts'
import { failureOf, heldBytes } from './helpers.ts'
import { blobOf, blobRequest, idOf, Peer, RawPeer, Rig } from './rig.ts'

/** Of a later version. */
const UNKNOWN_TYPE = 0x60
const HANDLE = new Uint8Array(16).fill(5)
const HEAD = new Uint8Array(HEAD_BYTES).fill(6)

const codeOf = (error: unknown): unknown => (isMegatorrentError(error) ? error.code : error)
const failed = (promise: Promise<unknown>): Promise<unknown> => failureOf(promise).then(codeOf)

function hello(counter: number): Extract<Message, { type: 'hello' }> {
  const places = new Uint8Array(HELLO_PLACES * HELLO_PLACE_BYTES)
  return {
    type: 'hello',
    highestVersion: 1,
    lowestVersion: 1,
    features: 0,
    counter,
    observedAddress: null,
    places,
  }
}

async function meet(dials: 'raw' | 'peer' = 'raw'): Promise<{ rig: Rig; peer: Peer; raw: RawPeer }> {
  const rig = new Rig()
  return { rig, ...(await rig.meet(await rig.responder(), dials)) }
}

async function both(latencyMs = 0): Promise<{ rig: Rig; a: Peer; b: Peer }> {
  const rig = new Rig({ latencyMs })
  const [a, b] = await rig.connect(await rig.responder())
  await rig.clock.advance(0)
  return { rig, a, b }
}

/** What promises came to so far: bytes, the code of an error, or null while they are open. */
function watch(promises: readonly Promise<Uint8Array | SealedFrame>[]): unknown[] {
  const results: unknown[] = promises.map(() => null)
  for (const [index, promise] of promises.entries()) {
    promise.then(
      (answer) => {
        results[index] = answer instanceof Uint8Array ? answer : openFrame(answer)
      },
      (error: unknown) => {
        results[index] = codeOf(error)
      },
    )
  }
  return results
}

describe('two connections', () => {
  it('serve blobs to each other at the same time, whoever dialled', async () => {
    const { rig, a, b } = await both(10)
    for (let i = 0; i < 12; i++) {
      a.blobs.set(i, blobOf(i))
      b.blobs.set(i + 100, blobOf(i + 100))
    }
    const wanted = Array.from({ length: 12 }, (_, i) => [
      a.connection.requestBlob(idOf(i + 100)),
      b.connection.requestBlob(idOf(i)),
    ]).flat()
    const results = watch(wanted)
    await rig.clock.advance(5000)
    for (const [index, result] of results.entries()) {
      const expected = index % 2 === 0 ? (index >> 1) + 100 : index >> 1
      expect(equalBytes(result as Uint8Array, blobOf(expected))).toBe(true)
    }
    expect([a.connection.openRequests, b.connection.openRequests]).toEqual([0, 0])
    expect(a.connection.bytesIn).toBe(b.connection.bytesOut)
  })

  it('give heads, and say not found for what they do not have', async () => {
    const { rig, a, b } = await both()
    b.head = HEAD
    const results = watch([
      a.connection.requestHead(HANDLE),
      b.connection.requestHead(HANDLE),
      b.connection.requestBlob(idOf(1)),
    ])
    await rig.clock.advance(1)
    expect(results).toEqual([HEAD, 'ERR_REMOTE_NOT_FOUND', 'ERR_REMOTE_NOT_FOUND'])
  })

  it('give sets of slots in blob frames, in their turn with blobs, and say not found for others', async () => {
    const rig = new Rig()
    const hash = new Uint8Array(32).fill(9)
    const set = blobOf(77)
    const handlers = {
      readSlotSet: async (handle: Uint8Array, headHash: Uint8Array) =>
        equalBytes(handle, HANDLE) && equalBytes(headHash, hash) ? set : null,
    }
    const [a, b] = await rig.connect(await rig.responder(), handlers)
    await rig.clock.advance(0)
    for (const peer of [a, b]) peer.blobs.set(1, blobOf(1))
    const results = watch([
      a.connection.requestBlob(idOf(1)),
      a.connection.requestSlotSet(HANDLE, hash),
      a.connection.requestBlob(idOf(1)),
      a.connection.requestSlotSet(HANDLE, new Uint8Array(32)),
      a.connection.requestSlotSet(new Uint8Array(16), hash),
    ])
    await rig.clock.advance(1)
    expect(results.map((result) => (result instanceof Uint8Array ? result[0] : result))).toEqual([
      ...[1, 77, 1],
      ...['ERR_REMOTE_NOT_FOUND', 'ERR_REMOTE_NOT_FOUND'],
    ])
  })

  it('pass on HELLO and HAVE in order, however long', async () => {
    const { rig, a, b } = await both()
    const ranges = Array.from({ length: 4096 }, (_, i) => ({ start: 3 * i, length: 2 }))
    const have = { type: 'have', handle: HANDLE, releaseNumber: 7, rootId: idOf(1), ranges } as const
    expect(a.connection.notify(hello(0))).toBe(true)
    a.connection.notify(have)
    a.connection.notify(hello(1))
    await rig.clock.advance(1)
    expect(b.notices).toEqual([hello(0), have, hello(1)])
  })

  it('talk through early bytes as through any others', async () => {
    const rig = new Rig({ latencyMs: 5 })
    const to = await rig.responder()
    const [ours, theirs] = await rig.secure(to)
    expect(theirs.early.length).toBe(0)
    const a = new Peer(ours, rig.clock)
    a.connection.notify(hello(0))
    const wanted = watch([a.connection.requestHead(HANDLE)])
    await rig.clock.advance(5)
    // Only now does the other side's owner take over: what came waited for it.
    const b = new Peer(theirs, rig.clock)
    b.head = HEAD
    expect(b.notices).toEqual([])
    await rig.clock.advance(20)
    expect(b.notices).toEqual([hello(0)])
    expect(wanted).toEqual([HEAD])
  })

  it('cost little while they are idle', async () => {
    const { rig, a, b } = await both(20)
    const before = a.connection.bytesIn + a.connection.bytesOut
    await rig.clock.advance(24 * 3_600_000)
    expect([a.closes, b.closes]).toEqual([[], []])
    const spent = a.connection.bytesIn + a.connection.bytesOut - before
    expect(spent).toBeGreaterThan(0)
    // The transport of 50 peers under 50 MB a day.
    expect(50 * spent).toBeLessThan(50_000_000)
  })
})

describe('requests of the other side', () => {
  it('are served one at a time, 64 wait, and one more is told busy', async () => {
    const { rig, peer, raw } = await meet()
    let release: () => void = () => {}
    const opened = new Promise<void>((resolve) => {
      release = resolve
    })
    peer.onRead = async (id) => {
      await opened
      return id[0] === 3 ? null : blobOf(id[0] ?? 0)
    }
    for (let id = 1; id <= MAX_OPEN_REQUESTS_PER_PEER + 6; id++) raw.requestBlob(id, id)
    await rig.clock.advance(1)
    expect(peer.read).toEqual([1])
    const busy = raw.ofType('error')
    expect(busy.map(({ requestId, code }) => [requestId, code])).toEqual(
      [65, 66, 67, 68, 69, 70].map((id) => [id, ERROR_CODES.busy]),
    )
    release()
    await rig.clock.advance(100)
    const answers = raw.ofType('data').map(({ requestId }) => requestId)
    expect(answers).toEqual(Array.from({ length: 64 }, (_, i) => i + 1).filter((id) => id !== 3))
    expect(raw.ofType('error').at(-1)).toEqual({ type: 'error', requestId: 3, code: ERROR_CODES.notFound })
    expect(raw.got.filter(({ type }) => type === 'blob').length).toBe(63)
  })

  it('that cannot be read are refused one by one, and the connection goes on', async () => {
    const { rig, peer, raw } = await meet()
    const errors = [
      new MegatorrentError('ERR_DISK_FAULT', 'the disk is broken'),
      new MegatorrentError('ERR_NOT_FOUND', 'it is gone'),
      new RangeError('a bug'),
    ]
    peer.onRead = async () => {
      const error = errors.shift()
      if (error !== undefined) throw error
      return blobOf(9)
    }
    for (let id = 1; id <= 4; id++) raw.requestBlob(id, id)
    await rig.clock.advance(1)
    expect(raw.ofType('error').map(({ code }) => code)).toEqual([
      ERROR_CODES.busy,
      ERROR_CODES.notFound,
      ERROR_CODES.busy,
    ])
    expect(raw.ofType('data').length).toBe(1)
    expect(peer.closes).toEqual([])
  })

  it('are each answered once, also when they are cancelled before, while and after they are read', async () => {
    const { rig, peer, raw } = await meet()
    let release: () => void = () => {}
    peer.onRead = async (id) => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return blobOf(id[0] ?? 0)
    }
    for (let id = 1; id <= 3; id++) raw.requestBlob(id, id)
    await rig.clock.advance(1)
    raw.send({ type: 'cancel', requestId: 2 }) // waiting
    raw.send({ type: 'cancel', requestId: 1 }) // being read
    raw.send({ type: 'cancel', requestId: 99 }) // none
    await rig.clock.advance(1)
    release()
    await rig.clock.advance(1)
    expect(peer.read).toEqual([1, 3])
    release()
    await rig.clock.advance(1)
    raw.send({ type: 'cancel', requestId: 3 }) // answered
    await rig.clock.advance(1)
    expect(raw.ofType('error')).toEqual([
      { type: 'error', requestId: 2, code: ERROR_CODES.cancelled },
      { type: 'error', requestId: 1, code: ERROR_CODES.cancelled },
    ])
    expect(raw.ofType('data').map(({ requestId }) => requestId)).toEqual([3])
  })

  it('of unknown kinds and types are answered unsupported, and nothing else of the unknown is', async () => {
    const { rig, peer, raw } = await meet()
    raw.sendFrame(MESSAGE_TYPES.request, 7, Uint8Array.of(99, 1, 2, 3))
    raw.sendFrame(MESSAGE_TYPES.request, 6, Uint8Array.of(3, ...new Uint8Array(48))) // of one who answers no such question
    raw.sendFrame(MESSAGE_TYPES.findPeers, 8, new Uint8Array(22)) // as before
    raw.sendFrame(UNKNOWN_TYPE, 9, new Uint8Array(50))
    raw.sendFrame(0x77, 10)
    raw.sendFrame(0x77, 0)
    raw.sendFrame(MESSAGE_TYPES.peers, 11, Uint8Array.of(0)) // an answer to a question that nobody asked
    raw.send({ type: 'pad' }, { type: 'ok', requestId: 12 }, { type: 'error', requestId: 13, code: 2 })
    raw.send({ type: 'data', requestId: 14, kind: REQUEST_KINDS.head, head: HEAD })
    raw.sendFrame(MESSAGE_TYPES.data, 15, Uint8Array.of(99))
    await rig.clock.advance(1)
    expect(raw.got).toEqual(
      [7, 6, 8, 9, 10].map((requestId) => ({ type: 'error', requestId, code: ERROR_CODES.unsupported })),
    )
    expect(peer.closes).toEqual([])
  })

  it('may hold bytes of later versions after the fields known here', async () => {
    const { rig, peer, raw } = await meet()
    peer.blobs.set(4, blobOf(4))
    const body = new Uint8Array(900)
    body[0] = REQUEST_KINDS.blob
    body.set(idOf(4), 1)
    body.fill(0xaa, 33)
    raw.sendFrame(MESSAGE_TYPES.request, 1, body)
    await rig.clock.advance(1)
    expect(raw.got.map(({ type }) => type)).toEqual(['data', 'blob'])
  })
})

describe('our requests', () => {
  it('are numbered from 1 up, and no open one has the number of another', async () => {
    const { rig, peer, raw } = await meet()
    void watch([1, 2, 3].map((first) => peer.connection.requestBlob(idOf(first))))
    await rig.clock.advance(1)
    expect(raw.ofType('request').map(({ requestId }) => requestId)).toEqual([1, 2, 3])
  })

  it('stay open when they are called off until the answer came, which is dropped', async () => {
    const { rig, peer, raw } = await meet()
    const controller = new AbortController()
    const results = watch([
      peer.connection.requestBlob(idOf(1), controller.signal),
      peer.connection.requestBlob(idOf(2), controller.signal),
      peer.connection.requestHead(HANDLE, controller.signal),
      peer.connection.requestBlob(idOf(4)),
    ])
    await rig.clock.advance(1)
    controller.abort()
    await rig.clock.advance(1)
    expect(results).toEqual(['ERR_ABORTED', 'ERR_ABORTED', 'ERR_ABORTED', null])
    expect(raw.ofType('cancel').map(({ requestId }) => requestId)).toEqual([1, 2, 3])
    expect(peer.connection.openRequests).toBe(4)
    raw.sendBlob(1, blobOf(1)) // crossed the CANCEL
    raw.send({ type: 'error', requestId: 2, code: ERROR_CODES.cancelled })
    raw.send({ type: 'data', requestId: 3, kind: REQUEST_KINDS.head, head: HEAD })
    raw.sendBlob(4, blobOf(4))
    await rig.clock.advance(1)
    expect(equalBytes(results[3] as Uint8Array, blobOf(4))).toBe(true)
    expect([peer.connection.openRequests, peer.closes]).toEqual([0, []])
    // The second answer to one of them is one too many.
    raw.sendBlob(1, blobOf(1))
    await rig.clock.advance(1)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
  })

  it('called off before they are sent are not sent', async () => {
    const { rig, peer, raw } = await meet()
    expect(await failed(peer.connection.requestBlob(idOf(1), AbortSignal.abort()))).toBe('ERR_ABORTED')
    await rig.clock.advance(1)
    expect(raw.got).toEqual([])
  })

  it('called off in the middle of their blob cost no memory, no message, and nothing else', async () => {
    const { rig, peer, raw } = await meet()
    const controller = new AbortController()
    const results = watch([
      peer.connection.requestBlob(idOf(1), controller.signal),
      peer.connection.requestBlob(idOf(2)),
    ])
    await rig.clock.advance(1)
    const hold = holdBlobs(raw)
    raw.sendBlob(1, blobOf(1))
    hold.send(500_000)
    await rig.clock.advance(1)
    controller.abort()
    hold.send()
    raw.sendBlob(2, blobOf(2))
    hold.send()
    await rig.clock.advance(1)
    expect(results[0]).toBe('ERR_ABORTED')
    expect(equalBytes(results[1] as Uint8Array, blobOf(2))).toBe(true)
    expect(raw.ofType('cancel')).toEqual([])
    expect(peer.connection.openRequests).toBe(0)
  })

  it('called off before their blob begins have no buffer, however long it takes', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const met = []
    for (let i = 0; i < 40; i++) met.push(await rig.meet(to))
    const before = await heldBytes()
    for (const { peer, raw } of met) {
      const controller = new AbortController()
      void watch([peer.connection.requestBlob(idOf(1), controller.signal)])
      controller.abort()
      raw.send({ type: 'data', requestId: 1, kind: REQUEST_KINDS.blob })
      raw.channel.stream.write(new Uint8Array(1000))
    }
    await rig.clock.advance(1)
    expect(met.every(({ peer }) => peer.connection.openRequests === 1)).toBe(true)
    expect((await heldBytes()) - before).toBeLessThan(12 * 1_048_576)
    // Held until here: what is measured is what they hold.
    expect(met.every(({ peer }) => !peer.connection.closed)).toBe(true)
  })

  it('fail by what the other side says', async () => {
    const { rig, peer, raw } = await meet()
    const codes = [
      ['ERR_REMOTE_REFUSED', ERROR_CODES.unsupported],
      ['ERR_REMOTE_NOT_FOUND', ERROR_CODES.notFound],
      ['ERR_REMOTE_BUSY', ERROR_CODES.busy],
      ['ERR_REMOTE_REFUSED', ERROR_CODES.malformed],
      // Nobody cancelled it, so it is not "aborted": who asks again at once would ask for ever.
      ['ERR_REMOTE_REFUSED', ERROR_CODES.cancelled],
      ['ERR_REMOTE_REFUSED', 999],
    ] as const
    const results = watch(codes.map((_, index) => peer.connection.requestBlob(idOf(index))))
    for (const [index, [, code]] of codes.entries()) raw.send({ type: 'error', requestId: index + 1, code })
    await rig.clock.advance(1)
    expect(results).toEqual(codes.map(([code]) => code))
    const head = watch([peer.connection.requestHead(HANDLE)])
    raw.sendFrame(MESSAGE_TYPES.data, codes.length + 1, Uint8Array.of(50))
    await rig.clock.advance(1)
    expect(head).toEqual(['ERR_REMOTE_REFUSED'])
    expect(peer.closes).toEqual([])
  })

  it('are bounded in number, those called off included', async () => {
    const { rig, peer, raw } = await meet()
    const controller = new AbortController()
    setMaxListeners(0, controller.signal)
    const open = watch(
      Array.from({ length: MAX_OPEN_REQUESTS_PER_PEER }, (_, i) =>
        peer.connection.requestBlob(idOf(i), controller.signal),
      ),
    )
    controller.abort()
    expect(await failed(peer.connection.requestBlob(idOf(1)))).toBe('ERR_REMOTE_BUSY')
    expect(await failed(peer.connection.requestHead(HANDLE))).toBe('ERR_REMOTE_BUSY')
    raw.send({ type: 'error', requestId: 1, code: ERROR_CODES.cancelled })
    await rig.clock.advance(1)
    expect(open.every((result) => result === 'ERR_ABORTED')).toBe(true)
    const one = watch([peer.connection.requestBlob(idOf(1))])
    raw.sendBlob(MAX_OPEN_REQUESTS_PER_PEER + 1, blobOf(1))
    await rig.clock.advance(1)
    expect(equalBytes(one[0] as Uint8Array, blobOf(1))).toBe(true)
  })

  it('all fail when the connection closes, and none can be made after it', async () => {
    type Act = (peer: Peer, raw: RawPeer) => unknown
    const acts: readonly (readonly [act: Act, isReceiving: boolean])[] = [
      [(peer) => peer.connection.destroy(), true],
      [(peer) => peer.connection.close('notNeeded'), true],
      [(_peer, raw) => raw.channel.destroy(), true],
      [(_peer, raw) => raw.channel.end(), true],
      [(_peer, raw) => raw.send({ type: 'bye', reason: BYE_REASONS.banned }), false],
      [(_peer, raw) => raw.channel.stream.write(new Uint8Array(SMALL_FRAME_BYTES)), false],
    ]
    for (const [act, isReceiving] of acts) {
      const { rig, peer, raw } = await meet()
      const results = watch([peer.connection.requestBlob(idOf(1)), peer.connection.requestHead(HANDLE)])
      await rig.clock.advance(1)
      // A blob that is announced and never comes.
      if (isReceiving) raw.send({ type: 'data', requestId: 1, kind: REQUEST_KINDS.blob })
      await rig.clock.advance(1)
      act(peer, raw)
      await rig.clock.advance(1)
      expect(results).toEqual(['ERR_CONNECTION_CLOSED', 'ERR_CONNECTION_CLOSED'])
      expect(peer.connection.closed).toBe(true)
      expect(await failed(peer.connection.requestBlob(idOf(1)))).toBe('ERR_CONNECTION_CLOSED')
      await rig.clock.advance(CLOSE_LINGER_MS)
      expect(peer.closes.length).toBe(1)
      expect([peer.connection.openRequests, rig.clock.pendingTimers]).toEqual([0, 0])
    }
  })
})

describe('memory for blobs that goes round', () => {
  it('is taken for blobs that come in, and gets back what was read and sent', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const [ours, theirs] = await rig.secure(to)
    const taken: Uint8Array[] = []
    const given: Uint8Array[] = []
    const blobMemory = {
      take: () => {
        const buffer = new Uint8Array(BLOB_FRAME_BYTES).fill(0xdd)
        taken.push(buffer)
        return buffer
      },
      give: (bytes: Uint8Array) => {
        given.push(bytes)
        bytes.fill(0xee) // whoever gives memory away does not see it again
      },
    }
    const peer = new Peer(theirs, rig.clock, { blobMemory })
    const raw = new RawPeer(ours)
    await rig.clock.advance(0)
    const [served, controller] = [new Uint8Array(BLOB_FRAME_BYTES), new AbortController()]
    served.set(blobOf(7))
    peer.blobs.set(7, served.subarray(0, BLOB_BYTES))
    const results = watch([
      peer.connection.requestBlob(idOf(1)),
      peer.connection.requestBlob(idOf(2), controller.signal),
    ])
    controller.abort()
    raw.requestBlob(1, 7)
    raw.sendBlob(1, blobOf(1))
    raw.sendBlob(2, blobOf(2))
    await rig.clock.advance(1)
    expect(taken.length).toBe(1) // none for the one that was called off
    expect((results[0] as Uint8Array).buffer).toBe(taken[0]?.buffer)
    expect(equalBytes(results[0] as Uint8Array, blobOf(1))).toBe(true)
    expect(given.length).toBe(1)
    // The same memory: comparing a MiB byte by byte takes vitest seconds.
    expect(given[0]?.buffer).toBe(served.buffer)
    const received = raw.got.find((message) => message.type === 'blob')
    expect(equalBytes((received as { bytes: Uint8Array }).bytes, blobOf(7))).toBe(true)
  })
})

describe('a peer that breaks a rule', () => {
  const request = blobRequest(1, 1)
  const faults: readonly (readonly [name: string, code: string, act: (raw: RawPeer) => void])[] = [
    ['sends a blob that nobody asked for', 'ERR_PROTOCOL', (raw) => raw.sendBlob(77, blobOf(1))],
    ['answers a head request with a blob', 'ERR_PROTOCOL', (raw) => raw.sendBlob(2, blobOf(1))],
    ['sends slots that nobody asked for', 'ERR_PROTOCOL', (raw) => raw.sendBlob(77, blobOf(1), 3)],
    ['answers a blob request with slots', 'ERR_PROTOCOL', (raw) => raw.sendBlob(1, blobOf(1), 3)],
    ['answers a request for slots with a blob', 'ERR_PROTOCOL', (raw) => raw.sendBlob(3, blobOf(1))],
    [
      'answers a request for slots with a head',
      'ERR_PROTOCOL',
      (raw) => raw.send({ type: 'data', requestId: 3, kind: REQUEST_KINDS.head, head: HEAD }),
    ],
    [
      'answers a blob request with a head',
      'ERR_PROTOCOL',
      (raw) => raw.send({ type: 'data', requestId: 1, kind: REQUEST_KINDS.head, head: HEAD }),
    ],
    ['answers a blob request with OK', 'ERR_PROTOCOL', (raw) => raw.send({ type: 'ok', requestId: 1 })],
    ['answers a head request with OK', 'ERR_PROTOCOL', (raw) => raw.send({ type: 'ok', requestId: 2 })],
    ['asks twice under one number', 'ERR_PROTOCOL', (raw) => raw.send(request, request)],
    [
      'sends a HELLO with a request id',
      'ERR_MESSAGE_REQUEST_ID',
      (raw) => raw.sendFrame(MESSAGE_TYPES.hello, 1),
    ],
    [
      'sends a REQUEST without one',
      'ERR_MESSAGE_REQUEST_ID',
      (raw) => raw.sendFrame(MESSAGE_TYPES.request, 0),
    ],
    [
      'sends a short REQUEST',
      'ERR_MESSAGE_BODY',
      (raw) => raw.sendFrame(MESSAGE_TYPES.request, 1, Uint8Array.of(1)),
    ],
    [
      'sends a short HELLO',
      'ERR_MESSAGE_BODY',
      (raw) => raw.sendFrame(MESSAGE_TYPES.hello, 0, new Uint8Array(50)),
    ],
    ['sets unknown flags', 'ERR_FRAME_FLAGS', (raw) => raw.channel.sendSmall(plaintext(1, 2))],
    ['states a wrong length', 'ERR_FRAME_LENGTH', (raw) => raw.channel.sendSmall(plaintext(2, 4))],
    ['does not pad with zeros', 'ERR_FRAME_PADDING', (raw) => raw.channel.sendSmall(plaintext(1007, 1))],
    [
      'mixes fragments',
      'ERR_FRAME_FRAGMENT',
      (raw) => {
        raw.sendFrame(MESSAGE_TYPES.have, 0, new Uint8Array(1000), true)
        raw.send({ type: 'pad' })
      },
    ],
    [
      'sends fragments without end',
      'ERR_FRAME_FRAGMENT',
      (raw) => {
        for (let i = 0; i < 100; i++) raw.sendFrame(MESSAGE_TYPES.have, 0, new Uint8Array(1000), true)
      },
    ],
  ]

  it.each(faults)('and %s is closed without a word', async (_name, code, act) => {
    const { rig, peer, raw } = await meet()
    const never = new Promise<never>(() => {})
    peer.onRead = () => never
    const results = watch([
      peer.connection.requestBlob(idOf(1)),
      peer.connection.requestHead(HANDLE),
      peer.connection.requestSlotSet(HANDLE, new Uint8Array(32)),
    ])
    await rig.clock.advance(1)
    const asked = raw.got.length
    act(raw)
    await rig.clock.advance(1)
    expect(peer.closes.map(codeOf)).toEqual([code])
    expect(results).toEqual(Array(3).fill('ERR_CONNECTION_CLOSED'))
    expect([raw.closes, raw.got.length - asked]).toEqual([1, 0])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('in the eyes of the owner is closed with that reason', async () => {
    const { rig, peer, raw } = await meet()
    peer.notices.push = () => {
      throw new MegatorrentError('ERR_MESSAGE_BODY', 'the owner knows better')
    }
    raw.send(hello(0), hello(1))
    await rig.clock.advance(1)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_MESSAGE_BODY'])
  })

  it('is not heard after its BYE', async () => {
    const { rig, peer, raw } = await meet()
    raw.send({ type: 'bye', reason: BYE_REASONS.shuttingDown }, hello(0), request)
    await rig.clock.advance(1)
    expect([peer.notices, peer.read, peer.closes]).toEqual([[], [], [null]])
    expect([raw.closes, rig.clock.pendingTimers]).toEqual([1, 0])
  })

  function plaintext(at: number, value: number): Uint8Array {
    const bytes = new Uint8Array(1008)
    bytes[0] = MESSAGE_TYPES.pad
    bytes[at] = value
    return bytes
  }
})

describe('closing', () => {
  it('sends what is queued, then BYE, and both sides are done', async () => {
    const { rig, a, b } = await both(30)
    b.blobs.set(1, blobOf(1))
    const results = watch([a.connection.requestBlob(idOf(1))])
    await rig.clock.advance(31)
    b.connection.close('notNeeded')
    b.connection.close('banned')
    expect(b.connection.closed).toBe(true)
    await rig.clock.advance(200)
    expect(equalBytes(results[0] as Uint8Array, blobOf(1))).toBe(true)
    expect([a.closes, b.closes]).toEqual([[null], [null]])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('says why', async () => {
    for (const reason of [
      'shuttingDown',
      'notNeeded',
      'tooManyConnections',
      'protocolError',
      'banned',
    ] as const) {
      const { rig, peer, raw } = await meet()
      peer.connection.close(reason)
      await rig.clock.advance(1)
      expect(raw.got).toEqual([{ type: 'bye', reason: BYE_REASONS[reason] }])
      expect(raw.closes).toBe(1)
    }
  })

  it('does not wait for ever for a peer that does not close, nor hear it any more', async () => {
    const { rig, peer, raw } = await meet()
    const results = watch([peer.connection.requestBlob(idOf(1))])
    await rig.clock.advance(1)
    raw.channel.pauseReading() // so that it neither sees the BYE nor closes
    peer.connection.close('notNeeded')
    raw.send(hello(0))
    raw.requestBlob(1, 1)
    raw.sendBlob(1, blobOf(1)) // the answer to what was asked before
    await rig.clock.advance(1)
    expect(results).toEqual(['ERR_CONNECTION_CLOSED'])
    await rig.clock.advance(CLOSE_LINGER_MS - 3)
    expect([peer.notices, peer.read, peer.closes]).toEqual([[], [], []])
    await rig.clock.advance(2)
    expect(peer.closes).toEqual([null])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('before it was started leaves nothing open', async () => {
    const rig = new Rig()
    const [ours] = await rig.secure(await rig.responder())
    const connection = new Connection(ours.channel, rig.clock)
    connection.destroy()
    expect(connection.closed).toBe(true)
    expect(await failed(connection.requestBlob(idOf(1)))).toBe('ERR_CONNECTION_CLOSED')
    const closes: unknown[] = []
    connection.start(
      {
        onNotice: () => {},
        readBlob: async () => null,
        readHead: () => null,
        onClose: (why) => closes.push(why),
      },
      ours.early,
    )
    await rig.clock.advance(REQUEST_TIMEOUT_MS)
    expect([closes, rig.clock.pendingTimers]).toEqual([[null], 0])
  })

  it('at once tells the owner before it returns, and why', async () => {
    const { rig, peer, raw } = await meet()
    const reason = new RangeError('a reason')
    peer.connection.destroy(reason)
    peer.connection.destroy(new RangeError('another'))
    peer.connection.close('banned')
    expect(peer.closes).toEqual([reason])
    expect(peer.connection.notify(hello(0))).toBe(false)
    await rig.clock.advance(1)
    expect([raw.got, raw.closes, rig.clock.pendingTimers]).toEqual([[], 1, 0])
  })
})

describe('a peer that goes quiet', () => {
  const ticks = REQUEST_TIMEOUT_MS / 6

  it('and does not answer is closed', async () => {
    const { rig, peer } = await meet()
    const results = watch([peer.connection.requestBlob(idOf(1))])
    await rig.clock.advance(REQUEST_TIMEOUT_MS)
    expect(results).toEqual([null])
    await rig.clock.advance(2 * ticks)
    expect(results).toEqual(['ERR_CONNECTION_CLOSED'])
    expect(peer.closes.map(codeOf)).toEqual(['ERR_TIMEOUT'])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('is not closed while it answers, however many wait', async () => {
    const { rig, peer, raw } = await meet()
    const results = watch(Array.from({ length: 10 }, (_, i) => peer.connection.requestBlob(idOf(i))))
    for (let id = 1; id <= 10; id++) {
      await rig.clock.advance(REQUEST_TIMEOUT_MS - ticks)
      raw.sendBlob(id, blobOf(id))
      await rig.clock.advance(1)
    }
    expect(results.every((result) => result instanceof Uint8Array)).toBe(true)
    expect(peer.closes).toEqual([])
  })

  it('after announcing a blob is closed, as is one that sends it in a trickle', async () => {
    for (const bytesPerTick of [0, 1000]) {
      const { rig, peer, raw } = await meet()
      const results = watch([peer.connection.requestBlob(idOf(1))])
      await rig.clock.advance(1)
      const hold = holdBlobs(raw)
      raw.sendBlob(1, blobOf(1))
      for (let i = 0; i < 9; i++) {
        hold.send(bytesPerTick)
        await rig.clock.advance(ticks)
      }
      expect(results).toEqual(['ERR_CONNECTION_CLOSED'])
      expect(peer.closes.map(codeOf)).toEqual(['ERR_TIMEOUT'])
    }
  })

  it('but sends a blob over a slow line is heard to the end', async () => {
    const { rig, peer, raw } = await meet()
    const results = watch([peer.connection.requestBlob(idOf(1))])
    await rig.clock.advance(1)
    const hold = holdBlobs(raw)
    raw.sendBlob(1, blobOf(1))
    const perTick = Math.ceil(MIN_PROGRESS_BYTES / 5)
    while (hold.left > 0) {
      hold.send(perTick)
      await rig.clock.advance(ticks)
    }
    expect(equalBytes(results[0] as Uint8Array, blobOf(1))).toBe(true)
    expect(peer.closes).toEqual([])
  })

  it('on one request while it answers later ones loses that one', async () => {
    const { rig, peer, raw } = await meet()
    const results = watch(Array.from({ length: 8 }, (_, i) => peer.connection.requestBlob(idOf(i))))
    await rig.clock.advance(1)
    for (let id = 2; id <= 8; id++) {
      await rig.clock.advance(REQUEST_TIMEOUT_MS - ticks)
      raw.sendBlob(id, blobOf(id))
      await rig.clock.advance(1)
    }
    expect(results[0]).toBe('ERR_TIMEOUT')
    expect(results.slice(1).every((result) => result instanceof Uint8Array)).toBe(true)
    expect(raw.ofType('cancel')).toEqual([{ type: 'cancel', requestId: 1 }])
    expect(peer.closes).toEqual([])
  })

  it('about a CANCEL is closed in the end, whatever else it answers', async () => {
    const { rig, peer, raw } = await meet()
    const controller = new AbortController()
    void watch([peer.connection.requestBlob(idOf(1), controller.signal)])
    await rig.clock.advance(1)
    controller.abort()
    for (let id = 2; peer.closes.length === 0; id++) {
      if (rig.clock.monotonicMs() > 2 * CANCEL_ANSWER_MS) throw new Error('it is never closed')
      void watch([peer.connection.requestBlob(idOf(2))])
      await rig.clock.advance(1)
      raw.sendBlob(id, blobOf(2))
      await rig.clock.advance(ticks)
    }
    expect(rig.clock.monotonicMs()).toBeGreaterThan(CANCEL_ANSWER_MS)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_TIMEOUT'])
  })

  it('altogether is closed, and hears a PAD before that', async () => {
    const { rig, peer, raw } = await meet()
    await rig.clock.advance(IDLE_PAD_MS + ticks)
    expect(raw.got).toEqual([{ type: 'pad' }])
    await rig.clock.advance(IDLE_CLOSE_MS - IDLE_PAD_MS + ticks)
    expect(raw.got.length).toBe(2)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_TIMEOUT'])
    expect(rig.clock.pendingTimers).toBe(0)
  })
})

describe('a peer that never reads', () => {
  it('costs what is queued for it', async () => {
    const { rig, peer, raw } = await meet()
    peer.onRead = async (id) => blobOf(id[0] ?? 0)
    raw.channel.pauseReading()
    raw.sendMany(Array.from({ length: 10_000 }, (_, i) => blobRequest(i + 1, i & 0xff)))
    const { stream } = peer.secured.channel
    let most = 0
    for (let i = 0; i < 200 && peer.closes.length === 0; i++) {
      await rig.clock.advance(100)
      most = Math.max(most, stream.queuedBytes)
    }
    expect(most).toBeGreaterThan(WRITE_QUEUE_BYTES)
    expect(most).toBeLessThanOrEqual(MAX_QUEUED_SMALL_BYTES)
    // Blobs are read only as fast as they are taken: two are queued, and no third was read for nothing.
    expect(peer.read.length).toBeLessThanOrEqual(3)
    // So many are told "busy" that this, too, is too much in the end.
    expect(peer.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
    expect([stream.queuedBytes, rig.clock.pendingTimers]).toEqual([0, 0])
  })

  it('any of it for two minutes is closed', async () => {
    const { rig, peer, raw } = await meet()
    peer.onRead = async (id) => blobOf(id[0] ?? 0)
    raw.channel.pauseReading()
    for (let id = 1; id <= 10; id++) raw.requestBlob(id, id)
    await rig.clock.advance(WRITE_STALL_MS)
    expect([peer.read.length, peer.closes]).toEqual([2, []])
    await rig.clock.advance(REQUEST_TIMEOUT_MS)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_TIMEOUT'])
    expect([peer.secured.channel.stream.queuedBytes, rig.clock.pendingTimers]).toEqual([0, 0])
  })

  it('its answers is closed when they are 4 MiB', async () => {
    const { rig, peer, raw } = await meet()
    raw.channel.pauseReading()
    // Unknown requests, each answered with an ERROR of its own.
    const frame = (requestId: number): Uint8Array =>
      encodeFrame({ type: UNKNOWN_TYPE, requestId, body: new Uint8Array(0), more: false })
    raw.sendFrames(Array.from({ length: 5000 }, (_, i) => frame(i + 1)))
    await rig.clock.advance(10_000)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
  })

  it('our notices is closed too', async () => {
    const { rig, peer, raw } = await meet()
    raw.channel.pauseReading()
    let counter = 0
    let isRoom = true
    while (peer.closes.length === 0 && counter < 10_000) isRoom = peer.connection.notify(hello(counter++))
    expect(isRoom).toBe(false)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_PROTOCOL'])
    expect(counter * SMALL_FRAME_BYTES).toBeLessThanOrEqual(MAX_QUEUED_SMALL_BYTES + 2 * SMALL_FRAME_BYTES)
    await rig.clock.advance(1)
    expect(raw.closes).toBe(1)
  })

  it('is not taken for one that is slow', async () => {
    const { rig, peer, raw } = await meet()
    for (let i = 0; i < 5; i++) peer.blobs.set(i, blobOf(i))
    // It takes one blob every 25 s, and our question stands behind them.
    const push = raw.got.push.bind(raw.got)
    raw.got.push = (message) => {
      if (message.type === 'blob') raw.channel.pauseReading()
      return push(message)
    }
    raw.channel.pauseReading()
    for (let i = 0; i < 5; i++) raw.requestBlob(i + 1, i)
    await rig.clock.advance(1)
    const waiting = watch([peer.connection.requestHead(HANDLE)])
    for (let taken = 0; taken < 5; taken++) {
      expect(raw.ofType('data').length).toBe(taken)
      await rig.clock.advance(25_000)
      raw.channel.resumeReading()
      await rig.clock.advance(0)
    }
    expect([peer.closes, waiting]).toEqual([[], [null]])
    // Now it has the question, and is given no more than anybody for the answer.
    raw.channel.resumeReading()
    await rig.clock.advance(2 * REQUEST_TIMEOUT_MS)
    expect(peer.closes.map(codeOf)).toEqual(['ERR_TIMEOUT'])
  })
})

describe('a peer that floods', () => {
  /** Messages of 10,000 units of work, which is one second's, and of the burst before that. */
  const kinds: readonly (readonly [name: string, units: number, message: Message])[] = [
    ['PAD', 1, { type: 'pad' }],
    ['HELLO', 100, hello(0)],
    ['HAVE', 30, { type: 'have', handle: HANDLE, releaseNumber: 1, rootId: idOf(1), ranges: [] }],
    ['questions for heads', 40, { type: 'request', requestId: 1, kind: REQUEST_KINDS.head, handle: HANDLE }],
  ]
  /** What is here already when it is held back is still worked on: a read of TCP. */
  const OVERDRAFT = 64

  it.each(kinds)('with %s is read more slowly, and not closed', async (_name, units, message) => {
    const { rig, peer, raw } = await meet()
    const burst = PEER_WORK_BURST / units
    const perSecond = PEER_WORK_PER_SECOND / units
    const count = Math.ceil(burst + perSecond) + 3 * OVERDRAFT
    raw.sendMany(Array.from({ length: count }, () => message))
    const frames = (): number => peer.connection.bytesIn / SMALL_FRAME_BYTES
    await rig.clock.advance(1)
    expect(frames()).toBeGreaterThan(burst * 0.9)
    expect(frames()).toBeLessThanOrEqual(burst * 1.01 + OVERDRAFT)
    await rig.clock.advance(1000)
    expect(frames()).toBeGreaterThan((burst + perSecond) * 0.9)
    expect(frames()).toBeLessThanOrEqual((burst + perSecond) * 1.01 + OVERDRAFT)
    expect(peer.closes).toEqual([])
  })

  it('with requests that it cancels while they are read has little read for it', async () => {
    const { rig, peer, raw } = await meet()
    peer.onRead = (id) => new Promise((resolve) => rig.clock.setTimer(() => resolve(blobOf(id[0] ?? 0)), 1))
    const startMs = rig.clock.monotonicMs()
    for (let id = 1; id <= 300; id++) {
      raw.requestBlob(id, 1)
      await rig.clock.advance(0)
      raw.send({ type: 'cancel', requestId: id })
      await rig.clock.advance(1)
    }
    const seconds = (rig.clock.monotonicMs() - startMs) / 1000
    expect(peer.read.length).toBeLessThanOrEqual((PEER_WORK_BURST + seconds * PEER_WORK_PER_SECOND) / 100 + 1)
    expect(peer.read.length).toBeGreaterThan(20)
    expect(raw.got.some(({ type }) => type === 'data')).toBe(false)
  })

  it('does not keep others from being served', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const flooded = await rig.meet(to)
    const honest = await rig.meet(to)
    honest.peer.head = HEAD
    flooded.raw.sendMany(Array.from({ length: 5000 }, (_, i) => hello(i)))
    honest.raw.send({ type: 'request', requestId: 1, kind: REQUEST_KINDS.head, handle: HANDLE })
    await rig.clock.advance(1)
    expect(honest.raw.ofType('data').length).toBe(1)
  })

  it('is worked on to the last message once it stops', async () => {
    const { rig, peer, raw } = await meet()
    raw.sendMany(Array.from({ length: 300 }, (_, i) => hello(i)))
    await rig.clock.advance(4000)
    expect(peer.notices.length).toBe(300)
    expect(peer.closes).toEqual([])
  })
})

/** Take hold of the blob frames that a raw peer writes, to send them by parts. */
function holdBlobs(raw: RawPeer): { send(bytes?: number): void; readonly left: number } {
  const { stream } = raw.channel
  const write = stream.write.bind(stream)
  let held: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  stream.write = (bytes) => {
    if (bytes.length === SMALL_FRAME_BYTES) return write(bytes)
    held = bytes
    return true
  }
  return {
    send(bytes = held.length) {
      write(held.slice(0, bytes))
      held = held.slice(bytes)
    },
    get left() {
      return held.length
    },
  }
}
