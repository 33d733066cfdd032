import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { linkDeadline, linkSignals } from '../../../src/base/abort.ts'
import { ManualClock } from '../../../src/base/clock.ts'

describe('linked signals', () => {
  it('fire with the first of their sources, by its reason', () => {
    const [first, second] = [new AbortController(), new AbortController()]
    const { signal } = linkSignals(first.signal, second.signal)
    expect(signal.aborted).toBe(false)
    second.abort('why')
    first.abort('later')
    expect(signal.reason).toBe('why')
  })

  it('have fired when a source had', () => {
    expect(linkSignals(new AbortController().signal, AbortSignal.abort('before')).signal.reason).toBe(
      'before',
    )
  })

  it('may be many at a time', async () => {
    const warned: Error[] = []
    const onWarning = (warning: Error): void => void warned.push(warning)
    process.on('warning', onWarning)
    const node = new AbortController()
    const all = Array.from({ length: 50 }, () => linkSignals(node.signal))
    await new Promise((resolve) => setImmediate(resolve)) // warnings come a turn later
    process.off('warning', onWarning)
    expect(warned).toEqual([])
    node.abort()
    expect(all.every(({ signal }) => signal.aborted)).toBe(true)
  })

  it('leave nothing in a source that lives on', () => {
    const [node, call] = [new AbortController(), new AbortController()]
    const ended = linkSignals(node.signal, call.signal)
    expect(getEventListeners(node.signal, 'abort')).toHaveLength(1)
    ended.release()
    expect(getEventListeners(node.signal, 'abort')).toHaveLength(0)
    linkSignals(node.signal, call.signal)
    call.abort()
    expect(getEventListeners(node.signal, 'abort')).toHaveLength(0)
    expect(ended.signal.aborted).toBe(false)
  })
})

describe('a deadline', () => {
  it('fires when its time is over, and when a source does, with nothing left behind', async () => {
    const clock = new ManualClock()
    const node = new AbortController()
    const late = linkDeadline(clock, 100, node.signal)
    await clock.advance(99)
    expect(late.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(late.signal.reason).toMatchObject({ code: 'ERR_TIMEOUT' })
    expect(getEventListeners(node.signal, 'abort')).toHaveLength(0)
    const call = new AbortController()
    const calledOff = linkDeadline(clock, 100, node.signal, call.signal)
    call.abort('why')
    expect(calledOff.signal.reason).toBe('why')
    expect([clock.pendingTimers, getEventListeners(node.signal, 'abort')]).toEqual([0, []])
  })

  it('that is released, or linked to what has fired, has no timer', async () => {
    const clock = new ManualClock()
    const node = new AbortController()
    const ended = linkDeadline(clock, 100, node.signal)
    ended.release()
    expect([clock.pendingTimers, getEventListeners(node.signal, 'abort')]).toEqual([0, []])
    await clock.advance(100)
    expect(ended.signal.aborted).toBe(false)
    expect(linkDeadline(clock, 100, AbortSignal.abort('before')).signal.reason).toBe('before')
    expect(clock.pendingTimers).toBe(0)
  })

  it('may be none', () => {
    const clock = new ManualClock()
    const call = new AbortController()
    const { signal } = linkDeadline(clock, null, call.signal)
    expect(clock.pendingTimers).toBe(0)
    call.abort('why')
    expect(signal.reason).toBe('why')
  })
})
