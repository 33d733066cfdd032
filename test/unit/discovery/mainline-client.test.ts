import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createClient } from '../../../src/discovery/mainline-client.ts'

/** Nothing is sent or received. */
const silent = Object.assign(new EventEmitter(), {
  send() {},
  bind() {},
  close() {},
  address: () => ({ port: 1 }),
})

describe('the DHT library', () => {
  it('keeps of a peer that was announced what it needs, and not the memory around it', () => {
    const client = createClient(silent as never, {})
    // As the library makes it: of a pool that others have parts of.
    const peer = Buffer.allocUnsafe(6).fill(7)
    expect(peer.buffer.byteLength).toBeGreaterThan(1_000)
    client._peers.add('aa', peer)
    const [kept] = client._peers.get('aa')
    expect([...(kept ?? [])]).toEqual([...peer])
    expect(kept?.buffer.byteLength).toBe(6)
    client.destroy(() => {})
  })
})
