/** The flood of a gateway at its full size; the small one is in the unit tests. */
import { describe, it } from 'vitest'
import { expectHonestSuccess } from '../unit/discovery/gateway/abuse-model.ts'

describe('a thousand bots', () => {
  it('do not keep ten honest publishers out, fill no more than there is, and are told why', async () => {
    await expectHonestSuccess(1000, 4096)
  }, 300_000)
})
