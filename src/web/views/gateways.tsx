/**
 * How this node reaches the DHT: itself, through gateways, or not.
 *
 * @module web/views/gateways
 */
import { formatBytes, plural } from '../../base/format.ts'
import type { ViewProps } from '../context.ts'
import { modeText } from '../format.ts'
import { Text } from '../parts/text.tsx'

export function Gateways({ node }: ViewProps) {
  const { mode, gateways, relays, gatewayBlobs, dht, proxy, onions } = node.status
  return (
    <section class="card">
      <h2>Reaching others</h2>
      <dl>
        <dt>Mode</dt>
        <dd>
          {mode}. {modeText(mode)}
        </dd>
        <dt>Gateways</dt>
        <dd>{gateways === 0 ? 'none answers, or none is named' : `${plural(gateways, 'gateway')} in use`}</dd>
        {mode !== 'direct' && (
          <>
            <dt>Relays</dt>
            <dd>{relays === 0 ? 'none' : plural(relays, 'relay')}</dd>
          </>
        )}
        <dt>DHT</dt>
        <dd>
          {dht.enabled ? `${plural(dht.nodes, 'node')} known${dht.server ? ', serving others' : ''}` : 'off'}
        </dd>
        {gatewayBlobs !== null && (
          <>
            <dt>Kept for others</dt>
            <dd>
              {formatBytes(gatewayBlobs.bytes)} of {formatBytes(gatewayBlobs.quota)}, as a gateway
            </dd>
          </>
        )}
        {proxy !== null && (
          <>
            <dt>Proxy</dt>
            <dd class={proxy.error === null ? '' : 'bad'}>
              <Text of={proxy.error ?? (proxy.reachable === null ? 'not used yet' : 'reachable')} />
            </dd>
          </>
        )}
        {onions !== null && (
          <>
            <dt>Onions</dt>
            <dd class={onions.error === null ? '' : 'bad'}>
              {onions.published} of {onions.wanted} can be found
              {onions.error !== null && (
                <>
                  : <Text of={onions.error} />
                </>
              )}
            </dd>
          </>
        )}
      </dl>
      <p class="hint">
        Gateways are named when the daemon starts, with --use-gateway. To be one, start it with --gateway.
        What a gateway sees is in docs/ANONYMITY.md.
      </p>
    </section>
  )
}
