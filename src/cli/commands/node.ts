/**
 * `status`, `peers`, `verify`, `gc`, `health`, `stop`.
 *
 * @module cli/commands/node
 */
import { sleep } from '../../base/clock.ts'
import { printable } from '../../base/printable.ts'
import type { MethodResult } from '../../rpc/schema/methods.ts'
import { type CommandContext, type SharedOptions, widthOf } from '../context.ts'
import { CliError } from '../errors.ts'
import {
  formatBytes,
  formatDuration,
  formatPairs,
  formatRate,
  formatTable,
  formatTime,
  plural,
} from '../format.ts'

type Proxy = NonNullable<MethodResult<'getStatus'>['proxy']>
type Onions = NonNullable<MethodResult<'getStatus'>['onions']>

export async function status(context: CommandContext): Promise<void> {
  const now = await context.client.call('getStatus', {})
  context.print(now, () => {
    const dht = now.dht.enabled
      ? `${plural(now.dht.nodes, 'node')}${now.dht.server ? ', serving' : ''}`
      : 'off'
    return formatPairs([
      ['version', `${now.version}, protocol ${now.protocolVersion}`],
      ['mode', now.mode],
      ...(now.proxy === null ? [] : [['proxy', proxyText(now.proxy)] as const]),
      ...(now.onions === null ? [] : [['onions', onionsText(now.onions)] as const]),
      ...(now.mode === 'safe' || now.gateways > 0 ? [['gateways', String(now.gateways)] as const] : []),
      ...(now.mode === 'direct' ? [] : [['relays', String(now.relays)] as const]),
      ...(now.gatewayBlobs === null ? [] : [['kept for others', keptText(now.gatewayBlobs)] as const]),
      ['up for', formatDuration(now.uptime)],
      ['peers', String(now.peers)],
      ['DHT', dht],
      ['held', `${plural(now.heldBlobs, 'blob')}, ${formatBytes(now.storedBytes)}`],
      ['rates', `${formatRate(now.downloadRate)} down, ${formatRate(now.uploadRate)} up`],
      ['address', now.onionAddress ?? now.peerAddress ?? '-'],
    ])
  })
}

function proxyText({ reachable, error }: Proxy): string {
  return error ?? (reachable === null ? 'not used yet' : 'reachable')
}

function keptText({ bytes, quota }: { readonly bytes: number; readonly quota: number }): string {
  return `${formatBytes(bytes)} of ${formatBytes(quota)}`
}

function onionsText({ wanted, published, error }: Onions): string {
  const text = `${published} of ${wanted} can be found`
  return error === null ? text : `${text}: ${error}`
}

export async function listPeers(
  context: CommandContext,
  options: SharedOptions & { readonly banned?: boolean },
): Promise<void> {
  const { peers, bans } = await context.client.call('getPeers', {})
  if (options.banned === true) {
    context.print(bans, () => {
      if (bans.length === 0) return 'nobody is banned\n'
      const rows = bans.map((ban) => [
        ban.address ?? '-',
        ban.until === null ? 'lifted by hand' : formatTime(ban.until),
        printable(ban.reason),
        ban.nodeKey ?? '-',
      ])
      return formatTable(['ADDRESS', 'UNTIL', 'WHY', 'NODE KEY'], rows, widthOf(context.io))
    })
    return
  }
  context.print(peers, () => {
    if (peers.length === 0) return 'no peers\n'
    const rows = peers.map((peer) => [
      peer.address ?? '-',
      peer.direction,
      peer.state,
      formatBytes(peer.bytesIn),
      formatBytes(peer.bytesOut),
      formatTime(peer.since),
      peer.nodeKey ?? '-',
    ])
    return formatTable(
      ['ADDRESS', 'DIR', 'STATE', 'IN', 'OUT', 'SINCE', 'NODE KEY'],
      rows,
      widthOf(context.io),
    )
  })
}

export async function addPeer(context: CommandContext, address: string): Promise<void> {
  const result = await context.client.call('addPeer', { address })
  context.print(result, () => `staying connected to ${result.address}\n`)
}

export async function banPeer(context: CommandContext, nodeKey: string): Promise<void> {
  const result = await context.client.call('banPeer', { nodeKey })
  context.print(result, () => `banned ${result.nodeKey}\n`)
}

export async function unbanPeer(context: CommandContext, who: string): Promise<void> {
  const isKey = /^[0-9A-Fa-f]{64}$/.test(who)
  const result = await context.client.call('unbanPeer', isKey ? { nodeKey: who } : { address: who })
  context.print(result, () => `no longer banned: ${result.nodeKey ?? result.address}\n`)
}

export async function verify(context: CommandContext): Promise<void> {
  const result = await context.client.runJob('verify', {}, context.progress.update, context.timeoutMs)
  context.progress.end()
  context.print(result, () => {
    const { checked, bad, repaired } = result
    return `${plural(checked, 'blob')} checked, ${bad} bad, ${repaired} repaired\n`
  })
}

export async function gc(context: CommandContext): Promise<void> {
  const result = await context.client.runJob('gc', {}, context.progress.update, context.timeoutMs)
  context.progress.end()
  context.print(
    result,
    () => `${plural(result.removed, 'blob')} removed, ${formatBytes(result.freedBytes)} freed\n`,
  )
}

const HEALTH_MS = 5_000

/** Does the daemon answer? For supervisors: the exit code says it. */
export async function health(context: CommandContext): Promise<void> {
  await context.client.callWithin(context.timeoutMs ?? HEALTH_MS, 'getStatus', {})
  context.print({ ok: true }, () => 'ok\n')
}

const STOP_MS = 15_000
const STOP_POLL_MS = 50

/** Ask the daemon to stop, and wait until it has. */
export async function stop(context: CommandContext): Promise<void> {
  const { client, io } = context
  const before = await client.readDaemonFile()
  await client.call('shutdown', {})
  const endMs = io.clock.monotonicMs() + (context.timeoutMs ?? STOP_MS)
  while (!(await isGone(context, before?.pid ?? null))) {
    if (io.clock.monotonicMs() >= endMs) {
      const message = 'the daemon was asked to stop and still runs: see its log'
      throw new CliError({ code: 'ERR_TIMEOUT', kind: 'timeout', message })
    }
    await sleep(io.clock, STOP_POLL_MS, io.signal)
  }
  context.print({ stopped: true }, () => 'stopped\n')
}

/** daemon.json is removed last; where we do not see it, a port that nobody answers has to do. */
async function isGone(context: CommandContext, pid: number | null): Promise<boolean> {
  if (pid !== null) return (await context.client.readDaemonFile())?.pid !== pid
  try {
    await context.client.callWithin(STOP_POLL_MS * 10, 'getStatus', {})
    return false
  } catch (error) {
    return error instanceof CliError && error.details.kind === 'no-daemon'
  }
}
