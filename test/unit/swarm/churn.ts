/**
 * A release on its way to readers while the swarm falls apart: half of the peers are
 * killed, a fifth send false blobs, a fifth never answer. All from one seed, under a
 * clock that the test moves, with lines that carry so much and no more.
 */
import { toHex } from '../../../src/base/bytes.ts'
import type { Clock } from '../../../src/base/clock.ts'
import { randomInteger, seededRandom, shuffle } from '../../../src/base/random.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import { formatAddress } from '../../../src/wire/address.ts'
import { SimClock } from './sim-clock.ts'
import { falseBlob, SimChannel, SimNode, SimRelease } from './sim-node.ts'

const CHANNEL = new SimChannel(1)
const BLOBS = 30
const RELEASE = new SimRelease(77, BLOBS)
const SOURCES = 20
const READERS = 2
/** ms that the line of one peer takes for a blob: 4 Mbit/s. */
const BLOB_MS = 2_000
/** Nobody should need as long, of simulated time. */
const PATIENCE_MS = 600_000

export type Behaviour = 'honest' | 'false blobs' | 'no answer'

export interface ChurnOutcome {
  /** Simulated ms until the last reader had all; null when one never had. */
  readonly tookMs: number | null
  /** Behaviours of peers that a reader banned. */
  readonly banned: ReadonlySet<Behaviour | 'reader'>
  readonly killed: number
}

/** @param cleanMs - how long it takes without: the kills fall into that time. Null: nobody lies and nobody dies. */
export async function runChurn(seed: number, cleanMs: number | null): Promise<ChurnOutcome> {
  const random = seededRandom(seed)
  const clock = new SimClock()
  const network = new MemoryNetwork(clock, random, {
    latencyMs: randomInteger(random, 5, 80),
    lossRate: 0.02,
  })
  const head = CHANNEL.head(RELEASE, 1)
  const behaviours = shuffle(
    random,
    Array.from({ length: SOURCES }, (_, number) => behaviourOf(number, cleanMs)),
  )
  const sources = behaviours.map((behaviour, number) => {
    const node = new SimNode({ clock, network, host: `10.${number}.0.1`, seed: seed * 1000 + number })
    node.publish(node.follow(CHANNEL), RELEASE, head)
    node.store.readInstead = lineOf(node, behaviour, clock)
    return { node, behaviour }
  })
  let done = 0
  const readers = Array.from({ length: READERS }, (_, number) => {
    const node = new SimNode({
      clock,
      network,
      host: `10.${100 + number}.0.1`,
      seed: seed * 1000 + 100 + number,
    })
    const following = node.follow(CHANNEL, () => {
      // It was killed at the end of the run, or it is done.
      void node.fetch(following, RELEASE, 1).then(
        () => done++,
        () => {},
      )
    })
    node.store.readInstead = lineOf(node, 'honest', clock)
    return { node, following }
  })
  for (const { node } of [...sources, ...readers]) await node.listen()
  const addresses = [...sources, ...readers].map(({ node }) => node.address)
  for (const { node, following } of readers) node.swarm.addAddresses(following.channel, addresses, 'topic')

  // One honest source stays, or nobody could be done.
  const survivor = sources.find(({ behaviour }) => behaviour === 'honest')
  const mortal = shuffle(
    random,
    sources.filter((source) => source !== survivor),
  )
  const doomed = cleanMs === null ? [] : mortal.slice(0, SOURCES / 2)
  for (const { node } of doomed) clock.setTimer(() => node.kill(), random.fraction() * (cleanMs ?? 0))
  const isDone = await clock.until(() => done === READERS, PATIENCE_MS)
  const tookMs = isDone ? clock.monotonicMs() : null

  const banned = new Set<Behaviour | 'reader'>()
  for (const { node: reader } of readers) {
    for (const subject of reader.bans.keys()) {
      const named = sources.find(({ node }) => subjectsOf(node).includes(subject))
      banned.add(named?.behaviour ?? 'reader')
    }
  }
  for (const { node } of [...sources, ...readers]) node.kill()
  return { tookMs, banned, killed: doomed.length }
}

function behaviourOf(number: number, cleanMs: number | null): Behaviour {
  if (cleanMs === null || number >= (2 * SOURCES) / 5) return 'honest'
  return number < SOURCES / 5 ? 'false blobs' : 'no answer'
}

function subjectsOf(node: SimNode): string[] {
  return [
    `node:${toHex(node.nodeKey.publicKey)}`,
    `address:${formatAddress(node.address)}`,
    `ip:${node.host}`,
  ]
}

/** What is read for others goes over a line, one blob after the other. */
function lineOf(
  node: SimNode,
  behaviour: Behaviour,
  clock: Clock,
): (id: Uint8Array) => Promise<Uint8Array | null> {
  let freeMs = 0
  return async (id) => {
    const held = node.store.held.get(toHex(id))
    if (behaviour === 'no answer') return new Promise(() => {})
    if (held === undefined) return null
    freeMs = Math.max(freeMs, clock.monotonicMs()) + BLOB_MS
    await new Promise<void>((resolve) => clock.setTimer(resolve, freeMs - clock.monotonicMs()))
    return behaviour === 'false blobs' ? falseBlob(id) : held
  }
}
