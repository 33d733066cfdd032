/** Why a node is not ready, and that it is otherwise. */
import { expect, it } from 'vitest'
import type { NodeStatus } from '../../../src/node/api.ts'
import { readinessOf } from '../../../src/rpc/readiness.ts'
import { fakeNode } from './fake-node.ts'

const STATUS: NodeStatus = await fakeNode().api.getStatus()
const NO_DHT = { enabled: false, nodes: 0, server: false }
const SAFE: Partial<NodeStatus> = {
  mode: 'safe',
  dht: NO_DHT,
  peers: 0,
  proxy: { reachable: null, error: null },
}

it.each<[string, Partial<NodeStatus>]>([
  ['an ordinary node', {}],
  ['the first node of a network', { dht: { enabled: true, nodes: 0, server: true } }],
  ['a node that uses gateways', { dht: NO_DHT, peers: 0, gateways: 2 }],
  ['a node with one peer and nothing else', { dht: NO_DHT, peers: 1 }],
  ['safe mode before anything was asked of the proxy', SAFE],
])('is ready: %s', (_name, change) => {
  expect(readinessOf({ ...STATUS, ...change })).toEqual({ ready: true, reasons: [] })
})

it.each<[string, Partial<NodeStatus>, RegExp]>([
  ['no DHT node', { dht: { enabled: true, nodes: 0, server: false } }, /no node of the DHT/],
  ['nobody to ask', { dht: NO_DHT, peers: 0 }, /nothing can be found/],
  [
    'a dead proxy',
    { ...SAFE, proxy: { reachable: false, error: 'ECONNREFUSED 127.0.0.1:9050' } },
    /the proxy does not answer/,
  ],
  [
    'Tor without onions',
    { ...SAFE, onions: { wanted: 1, published: 0, error: 'refused by 127.0.0.1' } },
    /no onion services/,
  ],
])('is not ready: %s', (_name, change, reason) => {
  const { ready, reasons } = readinessOf({ ...STATUS, ...change })
  expect(ready).toBe(false)
  expect(reasons).toHaveLength(1)
  expect(reasons[0]).toMatch(reason)
  expect(reasons[0]).not.toMatch(/127\.0\.0\.1/)
})
