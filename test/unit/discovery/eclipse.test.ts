/** Attackers around a channel: the nodes nearest to one of its slots, and its peer book. Many more runs: test/slow. */
import { describe, expect, it } from 'vitest'
import { eclipse } from './eclipse-dht.ts'
import { honestAfterRestart, type SybilOptions } from './sybils.ts'

describe('twenty evil ids nearest to a slot, of 200 nodes', () => {
  it.each(['withhold', 'replay'] as const)(
    'that %s do not keep the newest head from a reader',
    async (evil) => {
      for (let seed = 1; seed <= 3; seed++) {
        const { release, releaseOfEclipsed } = await eclipse(seed, evil)
        expect(release, `seed ${seed}`).toBe(2)
        // The control: who read nothing but that slot would be kept from it.
        expect(releaseOfEclipsed, `seed ${seed}`).toBe(evil === 'withhold' ? 0 : 1)
      }
    },
  )
})

describe('500 Sybils against 8 honest peers', () => {
  const RUNS = 10
  const failures = (options: SybilOptions): number =>
    Array.from({ length: RUNS }, (_, seed) => honestAfterRestart(seed, options)).filter(
      (honest) => honest < 2,
    ).length

  it('leave at least two honest connections after a restart, in however many networks they are', () => {
    expect(failures({ sybilNetworks: 500 })).toBe(0)
    expect(failures({ sybilNetworks: 20 })).toBe(0)
  })

  it('are kept down by the networks where there are no anchors', () => {
    expect(failures({ sybilNetworks: 4, withAnchors: false })).toBeLessThanOrEqual(RUNS / 2)
    // The control: the same book without groups.
    expect(failures({ sybilNetworks: 4, withAnchors: false, withGroups: false })).toBeGreaterThanOrEqual(
      RUNS - 2,
    )
  })

  it('would leave fewer than two without anchors: the attack is one', () => {
    expect(failures({ sybilNetworks: 500, withAnchors: false })).toBeGreaterThanOrEqual(RUNS - 2)
  })
})
