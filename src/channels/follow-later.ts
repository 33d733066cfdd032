/**
 * What is asked of the network about a channel that is not to be seen yet: nothing, until it may be.
 *
 * @module channels/follow-later
 */
import type { PeerAddress } from '../wire/address.ts'
import type { Followed } from './discovery.ts'
import { untilOver } from './rest.ts'

/** @param over - never rejects. @param begin - called once it has resolved, unless that was stopped before. */
export function followLater(over: Promise<void>, begin: () => Followed): Followed {
  const stopping = new AbortController()
  let followed: Followed | null = null
  let gateways: readonly PeerAddress[] = []
  const begun = untilOver(over, stopping.signal).then(() => {
    if (stopping.signal.aborted) return
    followed = begin()
    if (gateways.length > 0) followed.useGateways(gateways)
  })
  return {
    async look(signal) {
      if (!signal.aborted) await untilOver(begun, signal)
      if (!signal.aborted) await followed?.look(signal)
    },
    useGateways(addresses) {
      gateways = addresses
      followed?.useGateways(addresses)
    },
    stop() {
      stopping.abort()
      followed?.stop()
    },
  }
}
