import { beforeEach, describe, expect, it } from 'vitest'
import type { Followed } from '../../../src/channels/discovery.ts'
import { followLater } from '../../../src/channels/follow-later.ts'
import { Quiet } from '../../../src/swarm/quiet.ts'
import { parsePeerAddress } from '../../../src/wire/address.ts'

const GATEWAY = parsePeerAddress('198.51.100.1:7117')

let done: string[]
let quiet: Quiet
let followed: Followed

beforeEach(() => {
  done = []
  quiet = new Quiet()
  followed = followLater(quiet.over, () => {
    done.push('begin')
    return {
      look: async () => void done.push('look'),
      useGateways: () => void done.push('gateways'),
      stop: () => void done.push('stop'),
    }
  })
})

/** What was resolved is heard of. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('what is asked about a channel that is not to be seen yet', () => {
  it('is nothing; then all of it, in its order', async () => {
    const looking = followed.look(new AbortController().signal)
    followed.useGateways([GATEWAY])
    await settle()
    expect(done).toEqual([])
    quiet.end()
    await looking
    expect(done).toEqual(['begin', 'gateways', 'look'])
    followed.useGateways([GATEWAY])
    followed.stop()
    expect(done.slice(3)).toEqual(['gateways', 'stop'])
  })

  it('is nothing at all when that is stopped before', async () => {
    const looking = followed.look(new AbortController().signal)
    followed.stop()
    await looking
    quiet.end()
    await settle()
    expect(done).toEqual([])
  })

  it('is not waited for by a look that was called off, before or meanwhile', async () => {
    const calledOff = new AbortController()
    const looking = followed.look(calledOff.signal)
    calledOff.abort()
    await looking
    await followed.look(calledOff.signal)
    expect(done).toEqual([])
  })
})
