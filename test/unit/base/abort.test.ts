import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { linkSignals } from '../../../src/base/abort.ts'

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
