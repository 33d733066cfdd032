import { describe, expect, it } from 'vitest'
import { DHT_MAX_SILENT_NODES, DHT_SILENCE_MS } from '../../../src/base/limits.ts'
import { SilentNodes } from '../../../src/discovery/silent-nodes.ts'

const node = (port: number): { host: string; port: number } => ({ host: '192.0.2.1', port })

describe('silent nodes', () => {
  it('are those that were silent twice, for a while or until they answer', () => {
    const silent = new SilentNodes()
    silent.onReply(node(1), 0)
    for (const port of [2, 3]) {
      silent.onSilence(node(port), 10)
      expect(silent.has(node(port), 10)).toBe(false)
      silent.onSilence(node(port), 20)
      expect(silent.has(node(port), 20)).toBe(true)
    }
    silent.onReply(node(3), 30)
    silent.onSilence(node(3), 40)
    expect([silent.has(node(1), 50), silent.has(node(3), 50)]).toEqual([false, false])
    expect([silent.has(node(2), 19 + DHT_SILENCE_MS), silent.has(node(2), 20 + DHT_SILENCE_MS)]).toEqual([
      true,
      false,
    ])
  })

  it('are none when the two times are far apart', () => {
    const silent = new SilentNodes()
    for (const nowMs of [0, DHT_SILENCE_MS + 1]) {
      silent.onReply(node(1), nowMs)
      silent.onSilence(node(2), nowMs)
    }
    expect(silent.has(node(2), DHT_SILENCE_MS + 1)).toBe(false)
  })

  it('are none while nobody answers: then it is we who are cut off', () => {
    const silent = new SilentNodes()
    silent.onSilence(node(1), 0)
    silent.onReply(node(2), 1_000)
    silent.onSilence(node(3), 6_001)
    expect(silent.size).toBe(0)
  })

  it('are remembered in a bounded number, the latest', () => {
    const silent = new SilentNodes()
    silent.onReply(node(0), 0)
    for (let port = 1; port <= DHT_MAX_SILENT_NODES + 10; port++) silent.onSilence(node(port), 1)
    expect(silent.size).toBe(DHT_MAX_SILENT_NODES)
    silent.onSilence(node(11), 2) // remembered from the first time, so this is the second
    silent.onSilence(node(10), 2)
    expect([silent.has(node(10), 3), silent.has(node(11), 3)]).toEqual([false, true])
    silent.clear()
    expect(silent.size).toBe(0)
  })
})
