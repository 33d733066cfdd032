/** The traffic model against the codecs, the budgets, the simulated flood and the document. */
import { describe, expect, it } from 'vitest'
import { FLOOD_BYTES_PER_DAY, PEX_BYTES_PER_DAY } from '../../../src/base/limits.ts'
import {
  announceFramesPerDay,
  dailyGossip,
  type GossipLoad,
  type GossipTraffic,
  PACKET_HEADERS_BYTES,
  pexAsksPerDay,
  statementsSentPerDay,
} from '../../../src/discovery/gossip-traffic.ts'
import { parseAddress } from '../../../src/wire/address.ts'
import {
  AEAD_TAG_BYTES,
  FRAME_BODY_BYTES,
  HELLO_PLACE_BYTES,
  HELLO_PLACES,
  MAX_ANNOUNCE_STATEMENTS,
  MAX_PEERS_ADDRESSES,
  ONION_STATEMENT_BYTES,
  SMALL_FRAME_BYTES,
} from '../../../src/wire/constants.ts'
import { type Message, splitMessage } from '../../../src/wire/message.ts'
import { encodePeerAddresses } from '../../../src/wire/peers.ts'
import { tableRows } from '../../lint/markdown.ts'
import { readProjectFile } from '../../lint/project-files.ts'
import { FloodNet } from './flood-graph.ts'
import { madeUpStatement } from './statements.ts'

/** As docs/TRAFFIC.md has it. */
const WORLD: Omit<GossipLoad, 'nodes'> = {
  statementsPerNode: 3,
  neighbours: 10,
  peers: 50,
  channelsPerPeer: 10,
  releasesPerPeer: 10,
}
const SIZES = [1_000, 10_000, 1_000_000]

describe('the traffic model', () => {
  it('has messages of as many frames as the codecs make of them, at their longest', () => {
    const bytes = (length: number): Uint8Array => new Uint8Array(length)
    const addresses = encodePeerAddresses(
      Array.from({ length: MAX_PEERS_ADDRESSES }, (_, i) => parseAddress(`[2001:db8::${i}]:7117`)),
    )
    const statement = { hops: 1, statement: bytes(ONION_STATEMENT_BYTES) }
    const longest: Message[] = [
      { type: 'findPeers', requestId: 1, topic: bytes(20), port: 7117 },
      { type: 'peers', requestId: 1, addresses },
      { type: 'announce', statements: Array.from({ length: MAX_ANNOUNCE_STATEMENTS }, () => statement) },
      { type: 'request', requestId: 1, kind: 2, handle: bytes(16) },
      { type: 'data', requestId: 1, kind: 2, head: bytes(568) },
      { type: 'pad' },
      {
        type: 'hello',
        highestVersion: 1,
        lowestVersion: 1,
        features: 0,
        counter: 0,
        observedAddress: null,
        places: bytes(HELLO_PLACES * HELLO_PLACE_BYTES),
      },
    ]
    for (const message of longest) {
      const frames = splitMessage(message)
      expect(frames.length, message.type).toBe(1)
      expect((frames[0]?.length ?? 0) + AEAD_TAG_BYTES).toBe(SMALL_FRAME_BYTES)
    }
    // One more statement would not fit: the model divides by what does.
    expect(1 + (MAX_ANNOUNCE_STATEMENTS + 1) * (1 + ONION_STATEMENT_BYTES)).toBeGreaterThan(FRAME_BODY_BYTES)
  })

  it.each(SIZES)('keeps the flood and PEX within their budgets in a network of %i nodes', (nodes) => {
    const traffic = dailyGossip({ ...WORLD, nodes })
    expect(2 * traffic.announce).toBeLessThan(FLOOD_BYTES_PER_DAY)
    expect(2 * (traffic.findPeers + traffic.peers)).toBeLessThan(PEX_BYTES_PER_DAY)
    const { total, ...parts } = traffic
    expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBeCloseTo(total)
    expect(Math.min(...Object.values(parts))).toBeGreaterThan(10 ** 5)
  })

  it('would leave them without the budget of statements, or with one frame for each, or asking every minute', () => {
    // A million nodes, flooded to all neighbours: why there is a budget.
    const frame = SMALL_FRAME_BYTES + PACKET_HEADERS_BYTES
    const unbounded = ((2 * 1_000_000 * (WORLD.neighbours - 1)) / MAX_ANNOUNCE_STATEMENTS) * frame
    expect(2 * unbounded).toBeGreaterThan(50 * FLOOD_BYTES_PER_DAY)
    const unbatched = statementsSentPerDay({ ...WORLD, nodes: 1_000_000 }) * frame
    expect(2 * unbatched).toBeGreaterThan(2 * FLOOD_BYTES_PER_DAY)
    const everyMinute = WORLD.peers * WORLD.channelsPerPeer * 1_440 * 2 * frame
    expect(2 * everyMinute).toBeGreaterThan(10 * PEX_BYTES_PER_DAY)
    expect(pexAsksPerDay()).toBeLessThan(20)
  })

  it('counts as many statements and no fewer frames than a simulated day of floods has', async () => {
    const nodes = 30
    const perNode = 2
    const net = new FloodNet({ nodes, degree: 8, seed: 4 })
    const load = { ...WORLD, nodes, neighbours: 8, statementsPerNode: perNode }
    for (let i = 0; i < nodes * perNode; i++) {
      net.announce(i % nodes, madeUpStatement(net.random, net.clock.now()))
      await net.run(300_000)
    }
    await net.run()
    // Those who sent one to us meanwhile are not sent it: a node sends less than the model says.
    const sent = net.sent / nodes
    expect(sent).toBeLessThanOrEqual(statementsSentPerDay(load))
    expect(sent).toBeGreaterThan(statementsSentPerDay(load) * 0.5)
    expect(net.messages / nodes).toBeLessThanOrEqual(announceFramesPerDay(load))
    expect(net.messages / nodes).toBeGreaterThan(announceFramesPerDay(load) * 0.4)
  })

  it('is what docs/TRAFFIC.md says', () => {
    const document = readProjectFile('docs/TRAFFIC.md')?.text ?? ''
    const rows = new Map(tableRows(document).map(([type = '', ...cells]) => [type, cells]))
    const row = (name: string): string[] | undefined => rows.get(name)
    const expected = (field: keyof GossipTraffic): string[] =>
      SIZES.map((nodes) => ((2 * dailyGossip({ ...WORLD, nodes })[field]) / 1e6).toFixed(1))
    expect(row('HELLO')).toEqual(expected('hello'))
    expect(row('REQUEST and DATA of heads')).toEqual(expected('heads'))
    expect(row('FIND_PEERS')).toEqual(expected('findPeers'))
    expect(row('PEERS')).toEqual(expected('peers'))
    expect(row('PAD')).toEqual(expected('pad'))
    expect(row('ANNOUNCE')).toEqual(expected('announce'))
    expect(row('all')).toEqual(expected('total'))
  })
})
