/**
 * What nodes in safe mode see of Tor, without Tor: a proxy and a control port for each node, and onions that
 * lead from one to the other. Everything that is asked of a proxy is written down; for real Tor see
 * test/system/safe-mode-tor.test.ts.
 */
import { ControlPort } from './control-port.ts'
import { type Route, Socks5Server, type SocksRequest } from './socks5-server.ts'
import { TestNode, type TestNodeOptions } from './test-node.ts'

/** Nobody listens there. */
const NOWHERE = { host: '127.0.0.1', port: 1 }

export interface SafeNode {
  readonly node: TestNode
  proxy: Socks5Server
  readonly control: ControlPort
}

export class OnionNet {
  readonly #all: SafeNode[] = []
  /** Of nodes that are in direct mode, and have onions. */
  readonly #controls: ControlPort[] = []
  /** Where names and clear addresses lead; all others lead nowhere. */
  readonly #clear: Readonly<Record<string, number>>

  /** @param clear - port on loopback, by `host:port`. */
  constructor(clear: Readonly<Record<string, number>> = {}) {
    this.#clear = clear
  }

  /** A node whose only way out is a proxy of its own. */
  async node(options: TestNodeOptions = {}): Promise<SafeNode> {
    const proxy = await Socks5Server.start(this.#route)
    const control = await ControlPort.start({ methods: 'NULL' })
    const node = await TestNode.create({
      ...options,
      // A test that starts a node again does not wait for minutes, unless that is what it is about.
      args: [...argsOf(proxy, control), ...(options.args ?? ['--start-spread', '0.001'])],
    })
    const safe = { node, proxy, control }
    this.#all.push(safe)
    await node.begin()
    return safe
  }

  /** A control port for a node that is not in safe mode: its onions are reached like those of the others. */
  async control(): Promise<ControlPort> {
    const control = await ControlPort.start({ methods: 'NULL' })
    this.#controls.push(control)
    return control
  }

  /** Its proxy was closed, and is there again. */
  async restartProxy(safe: SafeNode, port: number): Promise<void> {
    safe.proxy = await Socks5Server.start(this.#route, port)
  }

  async dispose(): Promise<void> {
    await Promise.all(
      this.#all.map(async ({ node, proxy, control }) => {
        await node.dispose()
        await Promise.all([proxy.close(), control.close()])
      }),
    )
    await Promise.all(this.#controls.map((control) => control.close()))
  }

  readonly #route: Route = ({ host, port }: SocksRequest) => {
    const known = this.#clear[`${host}:${port}`]
    if (known !== undefined) return { host: '127.0.0.1', port: known }
    for (const control of [...this.#controls, ...this.#all.map((safe) => safe.control)]) {
      const target = control.onions.get(host)?.split(':')
      if (target !== undefined) return { host: target[0] as string, port: Number(target[1]) }
    }
    return NOWHERE
  }
}

const text = ({ host, port }: { readonly host: string; readonly port: number }): string => `${host}:${port}`

function argsOf(proxy: Socks5Server, control: ControlPort): readonly string[] {
  return ['--proxy', `socks5://${text(proxy.endpoint)}`, '--tor-control', text(control.endpoint)]
}
