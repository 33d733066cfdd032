/** The whole of a day in which nothing happens: test/unit/swarm/idle.test.ts simulates a part of it. */
import { expect, it } from 'vitest'
import { IDLE_CHANNELS, IDLE_PEERS, idleDay } from '../unit/swarm/idle-day.ts'

it(`a day costs ${IDLE_PEERS} peers and ${IDLE_CHANNELS} channels less than 50 MB`, async () => {
  const day = await idleDay(24)
  process.stdout.write(`idle day: ${day.bytesIn} bytes in, ${day.bytesOut} out\n`)
  expect(day.bytesIn + day.bytesOut).toBeLessThan(50_000_000)
  expect(day.peers).toBe(IDLE_PEERS)
})
