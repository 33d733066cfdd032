/**
 * What Prometheus is told: figures of the node as a whole. No label names a channel, a
 * peer or a path: those would be many, and would stand for years in other people's
 * databases.
 *
 * @module rpc/metrics
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { Look } from './event-diff.ts'

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

const SUBSCRIPTION_STATES = ['resolving', 'fetching', 'complete', 'stalled', 'paused', 'error'] as const
const JOB_STATES = ['running', 'done', 'failed', 'cancelled'] as const

/** @param rssBytes - resident memory of the process. */
export function metricsText(look: Look, rssBytes: number): Promise<string> {
  const { status, channels, subscriptions, jobs } = look
  const registry = new Registry()
  const gauge = (name: string, help: string, value: number): void => {
    new Gauge({ name: `megatorrent_${name}`, help, registers: [registry] }).set(value)
  }
  const counter = (name: string, help: string, value: number): void => {
    new Counter({ name: `megatorrent_${name}`, help, registers: [registry] }).inc(value)
  }
  const byState = (
    name: string,
    help: string,
    states: readonly string[],
    all: readonly { readonly state: string }[],
  ) => {
    const metric = new Gauge({
      name: `megatorrent_${name}`,
      help,
      labelNames: ['state'],
      registers: [registry],
    })
    for (const state of states) metric.set({ state }, all.filter((each) => each.state === state).length)
  }

  const { version, mode } = status
  const labelNames = ['version', 'mode']
  const help = 'Always 1; what runs.'
  new Gauge({ name: 'megatorrent_info', help, labelNames, registers: [registry] }).set({ version, mode }, 1)
  gauge('uptime_seconds', 'Since the start of the daemon.', status.uptime)
  gauge('peers', 'Connections to other nodes.', status.peers)
  gauge('dht_nodes', 'Nodes of the DHT that are known; 0 without a DHT.', status.dht.nodes)
  gauge('gateways', 'Gateways in use.', status.gateways)
  gauge('held_blobs', 'Blobs in the store.', status.heldBlobs)
  gauge('stored_bytes', 'Bytes of them.', status.storedBytes)
  gauge('upload_bytes_per_second', 'Blobs sent, over the last seconds.', status.uploadRate)
  gauge('download_bytes_per_second', 'Blobs received, over the last seconds.', status.downloadRate)
  counter('uploaded_bytes_total', 'Bytes of blobs sent since the start.', status.uploadedBytes)
  counter('downloaded_bytes_total', 'Bytes of blobs received since the start.', status.downloadedBytes)
  gauge('channels', 'Channels whose keys are here.', channels.length)
  byState('subscriptions', 'Channels that are followed or hosted.', SUBSCRIPTION_STATES, subscriptions)
  byState('jobs', 'Long work, running or remembered.', JOB_STATES, jobs)
  if (status.proxy !== null) {
    gauge(
      'proxy_reachable',
      '1 while connections get through the proxy.',
      status.proxy.reachable === false ? 0 : 1,
    )
  }
  if (status.onions !== null) {
    gauge('onions_wanted', 'Onion services that there should be.', status.onions.wanted)
    gauge('onions_published', 'Onion services that others can find.', status.onions.published)
  }
  gauge('resident_memory_bytes', 'Memory of the process.', rssBytes)
  return registry.metrics()
}
