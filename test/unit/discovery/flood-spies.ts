/** Who began a statement, as spies among the nodes guess it: from whom any of them had it first. */
import { randomInteger, shuffle } from '../../../src/base/random.ts'
import { FloodNet } from './flood-graph.ts'
import { madeUpStatement } from './statements.ts'

export interface SpyOptions {
  readonly nodes: number
  readonly spyShare: number
  readonly seed: number
  /** Without a stem: the origin floods to all its neighbours. */
  readonly isPlain?: boolean
}

/**
 * One statement in a graph of its own. Spies do as all others do, and tell each other what came when.
 *
 * @returns whether the first-spy estimator names the origin.
 */
export async function spiesFindOrigin({ nodes, spyShare, seed, isPlain }: SpyOptions): Promise<boolean> {
  const net = new FloodNet({ nodes, seed })
  const order = shuffle(
    net.random,
    Array.from({ length: nodes }, (_, node) => node),
  )
  const spies = new Set(order.slice(0, Math.round(nodes * spyShare)))
  const honest = order.slice(spies.size)
  const origin = honest[randomInteger(net.random, 0, honest.length - 1)] as number
  let guess: number | null = null
  net.onDelivery = (from, to) => {
    if (guess === null && spies.has(to)) guess = from
  }
  const statement = madeUpStatement(net.random, net.clock.now())
  if (isPlain === true) net.floodFrom(origin, statement)
  else net.announce(origin, statement)
  await net.run()
  return guess === origin
}
