import { describe, expect, it } from 'vitest'
import { WriteGate } from '../../../src/storage/write-gate.ts'

/** Work that ends when it is told to, and says what runs. */
function tracker() {
  const running: string[] = []
  const ends = new Map<string, () => void>()
  const work = (name: string) => async () => {
    running.push(name)
    await new Promise<void>((resolve) => ends.set(name, resolve))
    running.splice(running.indexOf(name), 1)
  }
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { running, work, end }
}

describe('WriteGate', () => {
  it('lets writers in together and removers alone', async () => {
    const gate = new WriteGate()
    const { running, work, end } = tracker()
    void gate.write(work('w1'))
    void gate.write(work('w2'))
    void gate.remove(work('r1'))
    void gate.write(work('w3'))
    void gate.remove(work('r2'))
    await end('')
    expect(running).toEqual(['w1', 'w2'])
    await end('w1')
    expect(running).toEqual(['w2'])
    await end('w2')
    expect(running).toEqual(['r1'])
    // The writer that waited goes before the next remover.
    await end('r1')
    expect(running).toEqual(['w3'])
    await end('w3')
    expect(running).toEqual(['r2'])
    await end('r2')
    expect(running).toEqual([])
  })

  it('goes on after work that failed', async () => {
    const gate = new WriteGate()
    await expect(gate.write(() => Promise.reject(new Error('w')))).rejects.toThrow('w')
    await expect(gate.remove(() => Promise.reject(new Error('r')))).rejects.toThrow('r')
    expect(await gate.write(async () => 1)).toBe(1)
    expect(await gate.remove(async () => 2)).toBe(2)
  })
})
