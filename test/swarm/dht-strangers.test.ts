/**
 * What a node tells strangers on UDP: nothing, unless it serves the DHT; and then
 * little, so that nobody can use it against others.
 */
import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { TestNode } from './harness/test-node.ts'
import { krpcQuery, UdpStranger } from './harness/udp-stranger.ts'
import { holdsFor } from './harness/wait.ts'

const cleanUps: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const id = randomBytes(20)
const QUERIES: readonly (readonly [name: string, query: Buffer])[] = [
  ['ping', krpcQuery('ping', { id })],
  ['find_node', krpcQuery('find_node', { id, target: randomBytes(20) })],
  ['get_peers', krpcQuery('get_peers', { id, info_hash: randomBytes(20) })],
  ['get', krpcQuery('get', { id, target: randomBytes(20) })],
]

describe('a stranger on UDP', () => {
  it('hears nothing from an ordinary node, and a little from one that serves', async () => {
    const stranger = await UdpStranger.open()
    cleanUps.push(() => stranger.close())
    const server = await TestNode.start({ name: 'server', args: ['--bootstrap', 'none'] })
    cleanUps.push(() => server.dispose())
    const ordinary = await TestNode.start({
      name: 'ordinary',
      args: ['--bootstrap', server.bootstrapAddress],
    })
    cleanUps.push(() => ordinary.dispose())

    for (const [name, query] of QUERIES) {
      const answer = await stranger.ask(query, server.ready.dhtPort as number)
      expect(answer.length, name).toBeLessThanOrEqual(Math.min(1200, 12 * query.length))
    }
    const answered = stranger.answers.length
    const junk = [
      randomBytes(1),
      randomBytes(100),
      randomBytes(1400),
      Buffer.from('d1:q4:pinge'),
      Buffer.alloc(0),
    ]
    for (const bytes of [...QUERIES.map(([, query]) => query), ...junk]) {
      await stranger.send(bytes, ordinary.ready.dhtPort as number)
    }
    // Junk gets no answer from a serving node either.
    for (const bytes of junk) await stranger.send(bytes, server.ready.dhtPort as number)
    await holdsFor(() => stranger.answers.length === answered, 500, 'nothing comes back')
    for (const node of [ordinary, server]) expect(await node.rpc('getStatus')).toMatchObject({ peers: 0 })
    await ordinary.stop()
    await server.stop()
  })
})
