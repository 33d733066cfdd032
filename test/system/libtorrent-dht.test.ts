/**
 * An independent DHT agrees: libtorrent stores, verifies and returns our blinded items, we
 * read and continue its items, and both see each other's announcements.
 */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { slotSigner } from '../../src/crypto/blinding.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import { dayOf } from '../../src/crypto/key-schedule.ts'
import type { MainlineDht } from '../../src/discovery/mainline.ts'
import { SlotService } from '../../src/discovery/slot-service.ts'
import { itemMessage, signItem } from '../../src/wire/mutable-item.ts'
import { buildSlot } from '../../src/wire/slot.ts'
import { DhtNet } from '../swarm/harness/dht-net.ts'
import { waitUntil, within } from '../swarm/harness/wait.ts'
import { newChannel, newHead } from '../unit/discovery/channel-fixture.ts'
import { MemorySlotStore } from '../unit/discovery/memory-dht.ts'
import { plantItem, readItemOf } from '../unit/discovery/plant-item.ts'

/** Debian's Python: another one earlier in PATH does not see its libtorrent. */
const PYTHON = '/usr/bin/python3'
const SCRIPT = fileURLToPath(new URL('lt-dht.py', import.meta.url))

const hasLibtorrent = spawnSync(PYTHON, ['-c', 'import libtorrent']).status === 0
if (!hasLibtorrent) {
  process.stderr.write(
    'libtorrent-dht: skipped, needs libtorrent for Python: apt-get install python3-libtorrent\n',
  )
}

interface LtEvent {
  readonly event: string
  readonly port?: number
  readonly nodes?: number
  readonly key?: string
  readonly seq?: number
  readonly value?: string | null
  readonly infohash?: string
  readonly ports?: readonly number[]
  readonly error?: string
}

/**
 * libtorrent takes whoever puts or announces into its table, read-only or not, and then waits for
 * an answer that never comes: 15 s in a network so small.
 */
const PATIENCE_MS = 60_000

/** The libtorrent process, its events kept until they are taken. */
class Libtorrent {
  readonly events: LtEvent[] = []
  readonly #child: ChildProcessByStdio<Writable, Readable, null>

  constructor(bootstrap: string) {
    this.#child = spawn(PYTHON, [SCRIPT, '127.0.0.1:0', bootstrap], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line) as LtEvent)
    })
  }

  tell(command: Record<string, string>): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
  }

  /** The next event that fits; it is taken out. */
  async next(fits: (event: LtEvent) => boolean, what: string): Promise<LtEvent> {
    const at = await waitUntil(
      () => {
        const found = this.events.findIndex(fits)
        return found >= 0 ? { found } : null
      },
      PATIENCE_MS,
      () => `libtorrent tells of ${what}; it told of ${JSON.stringify(this.events.slice(-5))}`,
    )
    return this.events.splice(at?.found ?? 0, 1)[0] as LtEvent
  }

  async state(): Promise<LtEvent> {
    this.tell({ do: 'state' })
    return this.next(({ event }) => event === 'state', 'its state')
  }

  /** Ask for an item until libtorrent has a value, or the last answer has none. */
  async get(publicKey: Uint8Array): Promise<LtEvent> {
    const key = Buffer.from(publicKey).toString('hex')
    this.tell({ do: 'get', key })
    return this.next(
      (event) => event.event === 'item' && event.key === key && event.value !== null,
      'the item',
    )
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.tell({ do: 'quit' })
    await within(ended, 15_000, 'libtorrent ends').catch(() => this.#child.kill('SIGKILL'))
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe.skipIf(!hasLibtorrent)('libtorrent', () => {
  let net: DhtNet
  let ours: MainlineDht
  let theirs: Libtorrent
  let theirPort = 0

  beforeAll(async () => {
    net = await DhtNet.start(10)
    theirs = new Libtorrent(`127.0.0.1:${net.servers[0]?.port}`)
    await theirs.next(({ event }) => event === 'bootstrap', 'the DHT')
    await waitUntil(
      async () => {
        const { nodes = 0, port = 0 } = await theirs.state()
        theirPort = port
        return nodes >= 4
      },
      20_000,
      'libtorrent knows some of our nodes',
    )
    ours = await net.addReader()
    // Our servers learn of it by its queries, and ping it before they name it to others.
    await waitUntil(
      () => net.servers.some((node) => node.nodes().some(({ port }) => port === theirPort)),
      20_000,
      'our nodes know libtorrent',
    )
  })

  afterAll(async () => {
    await theirs?.close()
    await net?.dispose()
  })

  it('reads the blinded slots that we publish, and verifies them', async () => {
    const keys = newChannel(Uint8Array.from(randomBytes(32)))
    const service = new SlotService({
      dht: ours,
      store: new MemorySlotStore(),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    })
    const head = newHead(keys, 5)
    await service.publish(keys, head.bytes)
    for (const replica of [0, 1, 2]) {
      const slot = buildSlot(keys, { day: dayOf(Date.now()), replica }, head.bytes)
      const item = await theirs.get(slot.publicKey)
      expect(item).toMatchObject({ seq: slot.seq, value: hex(slot.value) })
      expect(slot.seq).toBeGreaterThan(5 * 65_536)
    }
  })

  it('stores a blinded item itself, gives it back, and takes a newer one but no older one', async () => {
    const keys = newChannel()
    const place = { day: dayOf(Date.now()), replica: 1 }
    const slots = [1, 2, 3].map((release) => buildSlot(keys, place, newHead(keys, release).bytes))
    const [first, second, third] = slots as [(typeof slots)[0], (typeof slots)[0], (typeof slots)[0]]
    // Straight to libtorrent, and to nobody else.
    expect(await plantItem(theirPort, second)).toBe(true)
    expect(await plantItem(theirPort, first)).toBe(false)
    expect(await readItemOf(theirPort, second.publicKey)).toEqual(second)
    expect(await plantItem(theirPort, third)).toBe(true)
    expect(await readItemOf(theirPort, second.publicKey)).toEqual(third)
  })

  it('refuses a blinded item whose signature is damaged', async () => {
    const signer = slotSigner(newChannel(), dayOf(Date.now()), 0)
    const item = signItem(signer, 2 ** 41, new Uint8Array(608).fill(4))
    const damaged = { ...item, signature: signer.sign(itemMessage(item.seq + 1, item.value)) }
    expect(await plantItem(theirPort, damaged)).toBe(false)
    expect(await plantItem(theirPort, item)).toBe(true)
  })

  it('puts items that we read, and reads how we continue them', async () => {
    const seed = Uint8Array.from(randomBytes(32))
    const key = new SigningKey(seed)
    const value = Uint8Array.from(randomBytes(700))
    theirs.tell({ do: 'put', seed: hex(seed), key: hex(key.publicKey), value: hex(value) })
    const put = await theirs.next(({ event }) => event === 'put', 'the put')
    expect(put.nodes).toBeGreaterThanOrEqual(5)
    const { candidates, refused } = await ours.getMutable(key.publicKey)
    expect(candidates[0]?.item).toMatchObject({ seq: put.seq, value })
    expect([candidates.length, refused]).toEqual([1, 0])
    const next = signItem(key, (put.seq ?? 0) + 7, Uint8Array.from(randomBytes(608)))
    expect((await ours.putMutable(next)).storedBy).toBeGreaterThanOrEqual(8)
    const seen = await theirs.get(key.publicKey)
    expect(seen).toMatchObject({ seq: next.seq, value: hex(next.value) })
  })

  it('counts as a holder when the same item is put again', async () => {
    const item = signItem(new SigningKey(randomBytes(32)), 3, Uint8Array.from(randomBytes(608)))
    const first = await ours.putMutable(item)
    const second = await ours.putMutable(item)
    expect(second.storedBy + second.alreadyHeldBy).toBe(first.storedBy)
  })

  it('finds our announcements, and we find its', async () => {
    const [our, their] = [hex(randomBytes(20)), hex(randomBytes(20))]
    await ours.announce(Buffer.from(our, 'hex'), 40_123)
    theirs.tell({ do: 'peers', infohash: our })
    const peers = await theirs.next(
      (event) => event.event === 'peers' && event.infohash === our && (event.ports ?? []).includes(40_123),
      'our announcement',
    )
    expect(peers.ports).toContain(40_123)
    theirs.tell({ do: 'announce', infohash: their })
    const ports = new Set<number>()
    await waitUntil(
      async () => {
        await ours.lookup(Buffer.from(their, 'hex'), ({ port }) => ports.add(port))
        return ports.size > 0
      },
      PATIENCE_MS,
      'its announcement is found',
    )
    expect([...ports]).toEqual([theirPort])
  })
})
