/** Waiting that is called off, or not. */
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { untilOver } from '../../../src/channels/rest.ts'

describe('waiting until it is over', () => {
  it('ends with the work or with the signal, and leaves nothing in a signal that lives on', async () => {
    const stop = new AbortController()
    await untilOver(Promise.resolve(), stop.signal)
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
    const waiting = untilOver(new Promise(() => {}), stop.signal)
    stop.abort()
    await waiting
  })
})
