import { describe, expect, it } from 'vitest'
import { resolveHost, resolveHostIpv4 } from '../../../src/transport/resolver.ts'

// Names that no resolver has to be asked for: nothing here leaves the machine.
describe('names', () => {
  it('that are addresses already are given as they are', async () => {
    expect(await resolveHost('127.0.0.1')).toEqual(['127.0.0.1'])
    expect(await resolveHostIpv4('127.0.0.1')).toEqual(['127.0.0.1'])
    expect(await resolveHostIpv4('::1')).toEqual([])
  })

  it('that cannot exist are an error of the network, which does not repeat them', async () => {
    const failure = resolveHost('no..name')
    await expect(failure).rejects.toMatchObject({ code: 'ERR_NAME_NOT_RESOLVED', kind: 'network' })
    await expect(failure).rejects.not.toThrow('no..name')
  })
})
