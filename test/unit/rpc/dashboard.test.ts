/** The dashboard for Grafana shows what /metrics has: all of it, and nothing else. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { Look } from '../../../src/rpc/event-diff.ts'
import { metricsText } from '../../../src/rpc/metrics.ts'
import { fakeNode } from './fake-node.ts'

interface Panel {
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets: readonly { readonly refId: string; readonly expr: string }[]
}

const text = readFileSync(new URL('../../../packaging/grafana/megatorrent.json', import.meta.url), 'utf8')
const { panels } = JSON.parse(text) as { readonly panels: readonly Panel[] }

/** Of a node in safe mode, which has more of them. */
async function metricNames(): Promise<string[]> {
  const { api } = fakeNode()
  const status = {
    ...(await api.getStatus()),
    proxy: { address: '127.0.0.1:9050', reachable: true },
    onions: { wanted: 1, published: 1 },
  }
  const look = { status, channels: [], subscriptions: [], jobs: [] } as unknown as Look
  const lines = (await metricsText(look, 1)).split('\n')
  return lines.flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? [])
}

/** @returns what is wrong with them. */
function metricFaults(shown: string, names: readonly string[]): string[] {
  const used = new Set(shown.match(/megatorrent_[a-z_]+/g))
  return [
    ...[...used].filter((name) => !names.includes(name)).map((name) => `${name} is no metric`),
    ...names.filter((name) => !used.has(name)).map((name) => `${name} is not shown`),
  ]
}

it('shows every metric, and none that there is not', async () => {
  const names = await metricNames()
  expect(names.length).toBeGreaterThan(15)
  expect(metricFaults(text, names)).toEqual([])
  // Planted: both would be seen.
  expect(metricFaults(text.replaceAll('megatorrent_peers', 'megatorrent_friends'), names)).toEqual([
    'megatorrent_friends is no metric',
    'megatorrent_peers is not shown',
  ])
})

it('has panels side by side, each with queries of its own', () => {
  const taken = new Set<string>()
  for (const { title, gridPos, targets } of panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.has(`${x} ${y}`), title).toBe(false)
        taken.add(`${x} ${y}`)
      }
    }
    expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
    for (const { expr } of targets) expect(expr, title).toContain('instance=~"$instance"')
  }
})

it('names no host', () => {
  expect(text).not.toMatch(/https?:/)
})
