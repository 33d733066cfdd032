/**
 * Words, numbers and names as the page shows them. Pure.
 *
 * @module web/format
 */
import { printable } from '../base/printable.ts'
import type { Peer, Snapshot, Subscription } from './state.ts'

/** The first digits of a key: enough to tell a few apart, and shown with the whole one at hand. */
export function shortKey(key: string): string {
  return key.slice(0, 12)
}

/** What a channel is called here: its own name, the title of its release, or its key. Printable. */
export function nameOfChannel(
  { channels, subscriptions }: Pick<Snapshot, 'channels' | 'subscriptions'>,
  publicKey: string,
): string {
  const own = channels.find((channel) => channel.publicKey === publicKey)?.name
  const title = subscriptions.find((each) => each.publicKey === publicKey)?.title
  return printable(own ?? titleOf(title ?? null, publicKey))
}

/** A title may be missing, empty or blank. */
export function titleOf(title: string | null, publicKey: string): string {
  return title === null || title.trim() === '' ? shortKey(publicKey) : printable(title)
}

const STATES: Readonly<Record<Subscription['state'], string>> = {
  resolving: 'looking for it',
  fetching: 'fetching',
  complete: 'complete',
  stalled: 'waiting for peers',
  paused: 'paused',
  error: 'error',
}

export function stateText(state: Subscription['state']): string {
  return STATES[state]
}

const MODES: Readonly<Record<string, string>> = {
  direct: 'Peers and the DHT see the address of this node.',
  safe: 'Everything goes through one proxy, or not at all.',
  gateway: 'Gateways ask the DHT for this node.',
}

export function modeText(mode: string): string {
  return MODES[mode] ?? mode
}

/** Local time, to the second. */
export function clockText(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour12: false })
}

/** KiB a second as people type them, in bytes a second. Null when it is no rate. */
export function parseKib(text: string): number | null {
  if (!/^\d{1,9}(?:\.\d{1,3})?$/.test(text.trim())) return null
  return Math.round(Number(text) * 1024)
}

/** Globs, one a line. */
export function parseLines(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

/** Nothing names a connection, so what stays the same through its life does. */
export function peerName({ nodeKey, address, direction, since }: Peer): string {
  return JSON.stringify([nodeKey, address, direction, since])
}
