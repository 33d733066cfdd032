/**
 * Nodes that were silent twice running a short while ago: a quarter of those that one
 * hears of are gone, and each costs a walk a time-out. Once says little: datagrams get lost.
 *
 * When nobody answers, it is we who are cut off: then nothing is held against anyone.
 *
 * @module discovery/silent-nodes
 */
import { DHT_MAX_SILENT_NODES, DHT_SILENCE_MS } from '../base/limits.ts'
import type { DhtAddress } from './dht.ts'

/** ms without any answer after which silence says nothing about a node. */
const CUT_OFF_MS = 5_000

interface Silence {
  readonly times: number
  readonly untilMs: number
}

export class SilentNodes {
  /** By address; the one that was silent longest ago first. */
  readonly #silences = new Map<string, Silence>()
  #lastReplyMs = Number.NEGATIVE_INFINITY

  get size(): number {
    return this.#silences.size
  }

  /** @param nowMs - monotonic, as in the other methods. */
  onReply(node: DhtAddress, nowMs: number): void {
    this.#lastReplyMs = nowMs
    this.#silences.delete(keyOf(node))
  }

  onSilence(node: DhtAddress, nowMs: number): void {
    if (nowMs - this.#lastReplyMs > CUT_OFF_MS) return
    const key = keyOf(node)
    const before = this.#silences.get(key)
    const times = before !== undefined && before.untilMs > nowMs ? before.times + 1 : 1
    this.#silences.delete(key)
    this.#silences.set(key, { times, untilMs: nowMs + DHT_SILENCE_MS })
    const oldest = this.#silences.keys().next()
    if (this.#silences.size > DHT_MAX_SILENT_NODES && oldest.done !== true)
      this.#silences.delete(oldest.value)
  }

  /** Silent twice running, the last time less than DHT_SILENCE_MS ago. */
  has(node: DhtAddress, nowMs: number): boolean {
    const silence = this.#silences.get(keyOf(node))
    return silence !== undefined && silence.times > 1 && silence.untilMs > nowMs
  }

  clear(): void {
    this.#silences.clear()
  }
}

function keyOf({ host, port }: DhtAddress): string {
  return `${host}:${port}`
}
