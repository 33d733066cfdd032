/**
 * The node at a glance.
 *
 * @module web/views/overview
 */
import type { ComponentChildren } from 'preact'
import { formatBytes, plural } from '../../base/format.ts'
import type { ViewProps } from '../context.ts'
import { modeText } from '../format.ts'
import { Chart } from '../parts/chart.tsx'
import { JobLine } from '../parts/job.tsx'
import { Text } from '../parts/text.tsx'

function Card({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {children}
    </section>
  )
}

export function Overview({ state, node }: ViewProps) {
  const { status, jobs, subscriptions, channels } = node
  const running = jobs.filter((job) => job.state === 'running')
  const fetching = subscriptions.filter((each) => each.state === 'fetching').length
  const failed = subscriptions.filter((each) => each.state === 'error').length
  return (
    <div class="cards">
      <section class="card wide">
        <h2>Speed</h2>
        <Chart samples={state.samples} />
        <p class="hint">
          {formatBytes(status.downloadedBytes)} received and {formatBytes(status.uploadedBytes)} sent since
          the daemon was started.
        </p>
      </section>
      <Card title="Mode">
        <p class="big">{status.mode}</p>
        <p>{modeText(status.mode)}</p>
      </Card>
      <Card title="Peers">
        <p class="big">{status.peers}</p>
        <p>
          {status.dht.enabled ? `DHT: ${plural(status.dht.nodes, 'node')} known` : 'DHT: off'}
          {status.gateways > 0 && `, ${plural(status.gateways, 'gateway')}`}
        </p>
      </Card>
      <Card title="Disk">
        <p class="big">{formatBytes(status.storedBytes)}</p>
        <p>{plural(status.heldBlobs, 'blob')} held, for you and for others</p>
      </Card>
      <Card title="Content">
        <p class="big">{subscriptions.length}</p>
        <p>
          {subscriptions.length === 1 ? 'subscription' : 'subscriptions'}
          {fetching > 0 && `, ${fetching} fetching`}
          {failed > 0 && `, ${failed} with an error`}; {plural(channels.length, 'channel')} of your own
        </p>
      </Card>
      <section class="card wide">
        <h2>This node</h2>
        <dl>
          <dt>Version</dt>
          <dd>
            {status.version}, protocol {status.protocolVersion}
          </dd>
          <dt>Address</dt>
          <dd class="wrap">
            <Text of={status.onionAddress ?? status.peerAddress ?? 'none'} />
          </dd>
          {status.nodeKey !== null && (
            <>
              <dt>Node key</dt>
              <dd class="wrap">
                <code>{status.nodeKey}</code>
              </dd>
            </>
          )}
        </dl>
      </section>
      {running.length > 0 && (
        <section class="card wide">
          <h2>Work</h2>
          {running.map((job) => (
            <JobLine key={job.jobId} job={job} />
          ))}
        </section>
      )}
    </div>
  )
}
