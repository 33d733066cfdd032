import { describe, it } from 'vitest'
import { expectHonestSuccess } from './abuse-model.ts'

describe('a hundred bots', () => {
  it('do not keep ten honest publishers out, fill no more than there is, and are told why', async () => {
    await expectHonestSuccess(100, 400)
  })
})
