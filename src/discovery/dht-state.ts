/**
 * `dht_state.json`: nodes of the DHT kept over a restart, so that a node that was up
 * once needs no bootstrap node again.
 *
 *   {"version": 1, "nodes": ["192.0.2.1:6881", ...]}
 *
 * Addresses alone: they are pinged before anything is asked of them, and a node id
 * kept over restarts would make us recognisable. The file is a cache: what is wrong
 * in it costs a warning and nothing else. Reading and writing it is done above.
 *
 * @module discovery/dht-state
 */
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { DHT_MAX_SAVED_NODES, DHT_MAX_STATE_BYTES, DHT_STATE_SAVE_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { parseIpv4 } from '../wire/ip.ts'
import type { Dht, DhtAddress } from './dht.ts'

const STATE_VERSION = 1
const MAX_PORT = 65_535

/** Text of the file. More nodes than DHT_MAX_SAVED_NODES are left out. */
export function encodeDhtState(nodes: readonly DhtAddress[]): string {
  const addresses = nodes.slice(0, DHT_MAX_SAVED_NODES).map(({ host, port }) => `${host}:${port}`)
  return `${JSON.stringify({ version: STATE_VERSION, nodes: addresses })}\n`
}

/**
 * Nodes of the file's text, or null when it is not such a file. Entries that are no
 * IPv4 address and port are left out, as are those beyond DHT_MAX_SAVED_NODES.
 */
export function decodeDhtState(text: string): readonly DhtAddress[] | null {
  if (text.length > DHT_MAX_STATE_BYTES) return null
  let state: unknown
  try {
    state = JSON.parse(text)
  } catch {
    return null // cut off or damaged: the caller says so
  }
  if (typeof state !== 'object' || state === null) return null
  if (!('version' in state) || state.version !== STATE_VERSION) return null
  if (!('nodes' in state) || !Array.isArray(state.nodes)) return null
  const nodes = new Map<string, DhtAddress>()
  for (const entry of state.nodes as readonly unknown[]) {
    const node = typeof entry === 'string' ? parseNode(entry) : null
    if (node !== null && nodes.size < DHT_MAX_SAVED_NODES) nodes.set(`${node.host}:${node.port}`, node)
  }
  return [...nodes.values()]
}

function parseNode(text: string): DhtAddress | null {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, Math.max(0, colon))
  const digits = text.slice(colon + 1)
  if (parseIpv4(host) === null || !/^[1-9][0-9]{0,4}$/.test(digits)) return null
  const port = Number(digits)
  return port > MAX_PORT ? null : { host, port }
}

/**
 * Nodes of an earlier run.
 *
 * @param read - gives the text of the file, null when there is none. What it throws is logged.
 */
export async function loadDhtState(
  read: () => Promise<string | null>,
  log: Log,
): Promise<readonly DhtAddress[]> {
  try {
    const text = await read()
    if (text === null) return []
    const nodes = decodeDhtState(text)
    if (nodes === null) log.warn('dht_state.json is damaged and is ignored')
    return nodes ?? []
  } catch (error) {
    log.warn('dht_state.json cannot be read and is ignored', { error: errorMessage(error) })
    return []
  }
}

export interface DhtStateKeeperOptions {
  readonly dht: Pick<Dht, 'nodes'>
  /** Replace the file, whole or not at all. What it throws is logged: the nodes are a cache. */
  readonly write: (text: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly intervalMs?: number
}

/** Saves the nodes now and then, and when it is closed: before the DHT is. */
export class DhtStateKeeper {
  readonly #options: DhtStateKeeperOptions
  #timer: Timer | null = null
  #saving: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: DhtStateKeeperOptions) {
    this.#options = options
    this.#schedule()
  }

  /** Idempotent. Never rejects. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#timer?.cancel()
      this.#saving = this.#saving.then(() => this.#save())
    }
    await this.#saving
  }

  #schedule(): void {
    const { clock, intervalMs = DHT_STATE_SAVE_MS } = this.#options
    this.#timer = clock.setTimer(() => {
      this.#saving = this.#save().then(() => {
        if (!this.#isClosed) this.#schedule()
      })
    }, intervalMs)
  }

  async #save(): Promise<void> {
    const nodes = this.#options.dht.nodes()
    // An empty table says that we were offline; the nodes of last time are worth more.
    if (nodes.length === 0) return
    try {
      await this.#options.write(encodeDhtState(nodes))
    } catch (error) {
      this.#options.log.warn('dht_state.json not saved', { error: errorMessage(error) })
    }
  }
}
