/**
 * The processes of a soak: three that serve the DHT, and ten that publish, follow
 * and host. Of each role some run through, and their memory is what a soak is for;
 * the others come and go.
 */
import { type Role, SoakNode, type SoakNodeInit } from './soak-node.ts'

const DHT_NODES = 3
const STARTS_AT_ONCE = 3

interface Place {
  readonly name: string
  readonly role: Role
  readonly isSteady: boolean
  /** Serves the DHT besides: so that DHT nodes come and go as well, with all they held. */
  readonly servesDht?: boolean
}

const PLACES: readonly Place[] = [
  { name: 'publisher-0', role: 'publisher', isSteady: true },
  { name: 'publisher-1', role: 'publisher', isSteady: false },
  { name: 'publisher-2', role: 'publisher', isSteady: false },
  { name: 'subscriber-0', role: 'subscriber', isSteady: true },
  { name: 'subscriber-1', role: 'subscriber', isSteady: true },
  { name: 'subscriber-2', role: 'subscriber', isSteady: false, servesDht: true },
  { name: 'subscriber-3', role: 'subscriber', isSteady: false, servesDht: true },
  { name: 'subscriber-4', role: 'subscriber', isSteady: false },
  { name: 'host-0', role: 'host', isSteady: true },
  { name: 'host-1', role: 'host', isSteady: false },
]

/** Names of those that run through. */
export function steadyNames(): readonly string[] {
  const dht = Array.from({ length: DHT_NODES }, (_, i) => `dht-${i}`)
  return [...dht, ...PLACES.filter(({ isSteady }) => isSteady).map(({ name }) => name)]
}

/** What all processes have in common. */
export type Common = Pick<SoakNodeInit, 'args' | 'nodeFlags' | 'logFolder'>

/** Start all of them. What was started is in `nodes` also when this fails. */
export async function startNetwork(common: Common, nodes: SoakNode[]): Promise<void> {
  const dht: SoakNode[] = []
  for (let i = 0; i < DHT_NODES; i++) {
    const serving = i === 0 ? ['--bootstrap', 'none'] : [...bootstrapArgs(dht), '--dht-server']
    const args = [...serving, ...common.args]
    const node = await SoakNode.start({ ...common, name: `dht-${i}`, role: 'dht', isSteady: true, args })
    dht.push(node)
    nodes.push(node)
  }
  for (let at = 0; at < PLACES.length; at += STARTS_AT_ONCE) {
    const starts = PLACES.slice(at, at + STARTS_AT_ONCE).map(async ({ servesDht, ...place }) => {
      const serving = servesDht === true ? ['--dht-server'] : []
      const args = [...bootstrapArgs(dht), ...serving, ...common.args]
      nodes.push(await SoakNode.start({ ...common, ...place, args }))
    })
    const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
  nodes.sort((a, b) => a.name.localeCompare(b.name))
}

function bootstrapArgs(dht: readonly SoakNode[]): readonly string[] {
  return dht.flatMap(({ node }) => ['--bootstrap', node.bootstrapAddress])
}
