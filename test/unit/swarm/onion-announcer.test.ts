/** Telling of an onion where there is nobody to tell for days, or no time to work: what is begun for a day ends with it. */
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { dayOf } from '../../../src/crypto/key-schedule.ts'
import { OnionAnnouncer } from '../../../src/swarm/onion-announcer.ts'
import { DAY_MS } from '../../../src/wire/constants.ts'
import { TEST_WORK_BITS } from '../discovery/statements.ts'
import { onionOfSeed, RELAY_PORT } from './relay-net.ts'

const MINUTE_MS = 60_000

class World {
  readonly clock = new ManualClock(Date.UTC(2026, 0, 1, 6))
  /** Days of the statements that a relay was told. */
  readonly told: number[] = []
  hasRelay = false
  readonly announcer: OnionAnnouncer

  constructor(workBits: number, spreadMs?: number) {
    this.announcer = new OnionAnnouncer({
      ...{ clock: this.clock, random: seededRandom(1), log: silentLog, workBits },
      ...(spreadMs === undefined ? {} : { spreadMs }),
      errands: {
        announce: async (_relay, _subject, { day }) => {
          this.told.push(day)
          return true
        },
      },
      pick: () => (this.hasRelay ? [onionOfSeed(2).address] : []),
      find: () => [],
    })
  }

  follow(seed: number): () => void {
    const secret = seededRandom(seed).bytes(32)
    return this.announcer.follow({ secret, key: onionOfSeed(seed).key, port: RELAY_PORT })
  }

  async close(): Promise<void> {
    await this.announcer.close()
    expect(this.clock.pendingTimers).toBe(0)
  }
}

describe('an onion of which nobody can be told', () => {
  it('is waited for by as many timers after five days as after one, and only days that are not over are told', async () => {
    const world = new World(TEST_WORK_BITS)
    for (const seed of [10, 11, 12]) world.follow(seed)
    const timers: number[] = []
    for (let day = 0; day < 5; day++) {
      await world.clock.advance(DAY_MS)
      timers.push(world.clock.pendingTimers)
    }
    // For each a look at what is due, and a wait for a relay.
    expect(timers).toEqual([6, 6, 6, 6, 6])
    world.hasRelay = true
    await world.clock.advance(MINUTE_MS)
    expect(world.told).toHaveLength(3)
    expect(new Set(world.told)).toEqual(new Set([dayOf(world.clock.now())]))
    await world.close()
  })

  it('costs no work for a day that was over when its turn came', async () => {
    const world = new World(200, 0) // more bits than anybody finds, and told at once
    world.hasRelay = true
    const stopFirst = world.follow(10)
    world.follow(11) // waits for the first
    await world.clock.advance(3)
    expect(world.clock.pendingTimers).toBe(3)
    world.clock.jumpWall(DAY_MS)
    stopFirst()
    await world.clock.advance(3)
    expect(world.clock.pendingTimers).toBe(1) // the look of the second: it does not work
    await world.close()
  })
})
