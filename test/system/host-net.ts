/**
 * Hosts of their own, at public addresses: a network namespace for each, on one bridge, from which nothing leads
 * to the internet. The machine itself is on that bridge too, as the place where exits of Tor are.
 *
 * Addresses found in a DHT are dialled behind a proxy only if they are public, so loopback will not do. Needs
 * root, `ip` and a kernel with bridges.
 */
import { execFileSync, spawnSync } from 'node:child_process'

/** Another one for each process that runs such tests. */
const NUMBER = process.pid % 10_000
const BRIDGE = `mthosts${NUMBER}`
/** A link of a veth pair has a name of 15 characters at most. */
const UPLINK = `mtu${NUMBER}`
/** Public by IANA's registry; while the test runs, the machine itself does not reach the real one. */
const NETWORK = '11.213.77'
const MAX_HOSTS = 250

export function hasHosts(): boolean {
  const probe = `${BRIDGE}p`
  const runs = (...args: readonly string[]): boolean => spawnSync('ip', args).status === 0
  const can =
    process.getuid?.() === 0 &&
    runs('netns', 'add', probe) &&
    runs('-n', probe, 'link', 'add', 'bridge', 'type', 'bridge')
  runs('netns', 'delete', probe)
  if (!can) process.stderr.write('hosts: skipped, needs root, ip and bridges: apt-get install iproute2\n')
  return can
}

export interface Host {
  readonly address: string
  /** What starts a program there. */
  readonly wrapper: readonly string[]
}

export class HostNet {
  readonly #namespaces: string[] = []

  constructor() {
    this.#addNamespace(BRIDGE)
    ip('', `link add ${UPLINK} type veth peer name ${UPLINK} netns ${BRIDGE}`)
    ip('', `address add ${NETWORK}.254/24 dev ${UPLINK}`, `link set ${UPLINK} up`)
    ip(
      BRIDGE,
      'link add bridge type bridge',
      `link set ${UPLINK} master bridge`,
      `link set ${UPLINK} up`,
      'link set bridge up',
    )
  }

  /** One more host. */
  add(): Host {
    const number = this.#namespaces.length
    if (number > MAX_HOSTS) throw new RangeError('the network is full')
    const name = `${BRIDGE}h${number}`
    const address = `${NETWORK}.${number}`
    this.#addNamespace(name)
    ip(
      name,
      `link add eth0 type veth peer name port${number} netns ${BRIDGE}`,
      `address add ${address}/24 dev eth0`,
      'link set eth0 up',
      'link set lo up',
    )
    ip(BRIDGE, `link set port${number} master bridge`, `link set port${number} up`)
    return { address, wrapper: ['ip', 'netns', 'exec', name] }
  }

  /** Links go with the namespaces that they are in. */
  dispose(): void {
    for (const name of this.#namespaces.splice(0)) spawnSync('ip', ['netns', 'delete', name])
  }

  #addNamespace(name: string): void {
    spawnSync('ip', ['netns', 'delete', name]) // of a run that was killed
    ip('', `netns add ${name}`)
    this.#namespaces.push(name)
  }
}

/** Commands of `ip` in a namespace; '' is the machine's own. */
function ip(namespace: string, ...lines: readonly string[]): void {
  const where = namespace === '' ? [] : ['-n', namespace]
  execFileSync('ip', [...where, '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}
