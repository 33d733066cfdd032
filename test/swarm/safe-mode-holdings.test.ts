/**
 * A publisher who has the link of another channel names blobs of it in a manifest, and looks by HAVE, by what is
 * asked for and by what is given out which of its followers have them. In safe mode it learns nothing: a blob is
 * held in the channel that it came by.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BareConnection, TYPES } from './harness/bare-connection.ts'
import { BareListener } from './harness/bare-peer.ts'
import { type MadeRelease, makeBlob, makeRelease } from './harness/made-release.ts'
import { OnionNet, type SafeNode } from './harness/onion-net.ts'
import { waitUntil } from './harness/wait.ts'

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n)

/** The channel whose followers are looked for: the manifest's root is blob 0, its file blob 1. */
const sought = makeRelease(seed(1), 'sought', [makeBlob(seed(1), 1)])
/** What the spy signs: root, a blob of its own, and the one of the other channel. */
const lure = makeRelease(seed(2), 'lure', [makeBlob(seed(2), 2), ...sought.blobs])
const BORROWED = 2
const borrowedId = Buffer.from(lure.release.order[BORROWED] as string, 'hex')

/** A peer of one of them that writes down all that it can learn. */
class Spy {
  /** Numbers of blobs that it was told of, and that it was asked for. */
  readonly told = new Set<number>()
  readonly asked: number[] = []
  readonly #answers = new Map<number, (type: number) => void>()
  #connection: BareConnection | null = null

  readonly #made: MadeRelease
  readonly #offers: number

  /** @param offers - blobs that it says it has, from the first on. */
  constructor(made: MadeRelease, offers: number) {
    this.#made = made
    this.#offers = offers
  }

  get isConnected(): boolean {
    return this.#connection !== null
  }

  readonly serve = async (connection: BareConnection): Promise<void> => {
    const { channel, release } = this.#made
    connection.sendHello([[channel, release.head.slotVersion]])
    if (this.#offers > 0) connection.sendHave(channel, 1, release.head.rootId, [[0, this.#offers]])
    this.#connection = connection
    for (;;) {
      const message = await connection.receive(120_000)
      if (message === null || message.type === TYPES.BYE) break
      const { type, requestId, body } = message
      if (type === TYPES.HAVE) this.#tell(body.subarray(connection.handleOf(channel).length + 40))
      if (type === TYPES.DATA || type === TYPES.ERROR) this.#answers.get(requestId)?.(type)
      if (type !== TYPES.REQUEST) continue
      const index = body[0] === 1 ? release.order.indexOf(body.toString('hex', 1, 33)) : -1
      if (body[0] === 2)
        connection.sendMessage(TYPES.DATA, requestId, Buffer.concat([Buffer.of(2), release.head.bytes]))
      else if (index < 0) connection.sendMessage(TYPES.ERROR, requestId, Buffer.of(0, 2))
      else {
        this.asked.push(index)
        connection.sendBlob(requestId, release.blobs.get(release.order[index] as string) as Buffer)
      }
    }
  }

  /** Ask for the blob of the other channel. @returns whether it is given. */
  async isGiven(): Promise<boolean> {
    const connection = this.#connection as BareConnection
    const type = await new Promise<number>((resolve) => {
      this.#answers.set(connection.requestBlob(borrowedId), resolve)
    })
    return type === TYPES.DATA
  }

  #tell(ranges: Buffer): void {
    for (let n = 0, at = 2; n < ranges.readUInt16BE(0); n++, at += 8) {
      const start = ranges.readUInt32BE(at)
      for (let index = start; index < start + ranges.readUInt32BE(at + 4); index++) this.told.add(index)
    }
  }
}

const PORT = 7117
let clear: Record<string, number>
let net: OnionNet
let follower: SafeNode
const listeners: BareListener[] = []

async function listen(
  made: MadeRelease,
  serve: (connection: BareConnection) => Promise<void>,
): Promise<BareListener> {
  const listener = await BareListener.listen({ channels: [made.channel], onConnection: serve })
  listeners.push(listener)
  return listener
}

const linkOf = ({ keys }: MadeRelease, host: string): string =>
  `megatorrent://${Buffer.from(keys.publicKey).toString('hex')}?peer=${host}:${PORT}`

/** A spy that the follower is led to by the link of the lure. */
async function lead(host: string, spy: Spy): Promise<void> {
  clear[`${host}:${PORT}`] = (await listen(lure, spy.serve)).port
  const { node } = follower
  await node.rpc('addSubscription', { uri: linkOf(lure, host), dir: node.path('lure'), wait: false })
  await waitUntil(() => spy.isConnected, 30_000, `it is connected to ${host}`)
}

async function stateOf({ keys }: MadeRelease): Promise<string | undefined> {
  const { subscriptions } = await follower.node.rpc<{
    subscriptions: { publicKey: string; state: string }[]
  }>('getSubscriptions')
  return subscriptions.find(({ publicKey }) => publicKey === Buffer.from(keys.publicKey).toString('hex'))
    ?.state
}

async function complete(made: MadeRelease): Promise<void> {
  await waitUntil(
    async () => (await stateOf(made)) === 'complete',
    40_000,
    `${made.release.title} is complete`,
  )
}

beforeAll(async () => {
  clear = {}
  net = new OnionNet(clear)
  follower = await net.node({ name: 'follower' })
  const honest = await listen(sought, new Spy(sought, 2).serve)
  clear[`sought.example:${PORT}`] = honest.port
  const { node } = follower
  const uri = linkOf(sought, 'sought.example')
  await node.rpc('addSubscription', { uri, dir: node.path('sought'), wait: true, timeout: 50 })
}, 90_000)

afterAll(async () => {
  await net?.dispose()
  await Promise.all(listeners.map((listener) => listener.close()))
})

describe('who follows a channel, and another one whose manifest names blobs of the first', () => {
  // It has nothing, so it is told of everything.
  const witness = new Spy(lure, 0)

  it('does not say that they are there, and does not give them', async () => {
    await lead('witness.example', witness)
    await lead('first.example', new Spy(lure, BORROWED))
    await waitUntil(() => witness.told.size >= BORROWED, 40_000, 'what came is told of')
    expect([...witness.told].sort()).toEqual([0, 1])
    expect(await witness.isGiven()).toBe(false)
  }, 90_000)

  it('asks for them as for any other, and tells of them then', async () => {
    const spy = new Spy(lure, BORROWED + 1)
    await lead('second.example', spy)
    await complete(lure)
    expect(spy.asked).toContain(BORROWED)
    await waitUntil(() => witness.told.has(BORROWED), 20_000, 'they are told of')
    expect(await witness.isGiven()).toBe(true)
  }, 90_000)

  it('has them in both after a restart, without asking again', async () => {
    await follower.node.stop()
    const again = new Spy(lure, 0)
    clear[`witness.example:${PORT}`] = (await listen(lure, again.serve)).port
    await follower.node.begin()
    const spy = new Spy(lure, BORROWED + 1)
    await lead('third.example', spy)
    await waitUntil(() => again.told.size === BORROWED + 1, 40_000, 'all of it is told of')
    for (const made of [sought, lure]) await complete(made)
    expect(spy.asked).toEqual([])
  }, 90_000)
})
