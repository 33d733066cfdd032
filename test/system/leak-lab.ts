/**
 * A network namespace from which one way leads out, to a proxy of the test, and in which the kernel counts and
 * drops every packet that takes another: to other addresses, to other ports, and on loopback all but the RPC.
 *
 * What leaks has somewhere to go: there are default routes for both families and a name server, at
 * addresses where nobody is. Needs root, `ip` and `nft`.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'

/** Another one for each process that runs such tests. */
const NUMBER = process.pid % 10_000
const NAMESPACE = `mtleak${NUMBER}`
const INSIDE = `mti${NUMBER}`
const OUTSIDE = `mto${NUMBER}`
/** Files here take the place of those of the same name in /etc, inside. */
const ETC = `/etc/netns/${NAMESPACE}`

/** Where the proxy of the test listens. */
export const PROXY_HOST = '10.213.77.1'
export const RPC_PORT = 7118

export interface Counted {
  /** Packets to the proxy. */
  readonly allowed: number
  /** Packets to anywhere else. */
  readonly leaked: number
}

/** Can it be made here? A container may have root and the programs, and not the right. */
export function hasLab(): boolean {
  let why = 'needs root'
  try {
    if (process.getuid?.() === 0) {
      const lab = new LeakLab()
      lab.allow(1)
      lab.dispose()
      return true
    }
  } catch (error) {
    why = `no namespace can be made: ${String(error).split('\n', 1)[0]}`
  }
  process.stderr.write(`leaks: skipped, ${why}; with ip and nft: apt-get install iproute2 nftables\n`)
  return false
}

export class LeakLab {
  /** What starts a program in there. */
  readonly wrapper: readonly string[] = ['ip', 'netns', 'exec', NAMESPACE]
  /** What was counted when it was last asked. */
  #before: Counted = { allowed: 0, leaked: 0 }

  constructor() {
    this.dispose() // of a run that was killed
    mkdirSync(ETC, { recursive: true })
    writeFileSync(`${ETC}/resolv.conf`, 'nameserver 192.0.2.53\n')
    run('ip', 'netns', 'add', NAMESPACE)
    run('ip', 'link', 'add', OUTSIDE, 'type', 'veth', 'peer', 'name', INSIDE, 'netns', NAMESPACE)
    run('ip', 'address', 'add', `${PROXY_HOST}/30`, 'dev', OUTSIDE)
    run('ip', 'link', 'set', OUTSIDE, 'up')
    for (const line of [
      'ip link set lo up',
      `ip address add 10.213.77.2/30 dev ${INSIDE}`,
      `ip -6 address add fd77::2/64 dev ${INSIDE} nodad`,
      `ip link set ${INSIDE} up`,
      `ip route add default via ${PROXY_HOST}`,
      'ip -6 route add default via fd77::1 dev INSIDE'.replace('INSIDE', INSIDE),
    ])
      this.#inside(line)
  }

  /** From now on, one port on PROXY_HOST is the way out. */
  allow(proxyPort: number): void {
    // Packets of the kernel itself (neighbours, groups) are of no program.
    const rules = `
      table inet leaks
      delete table inet leaks
      table inet leaks {
        counter allowed {}
        counter leaked {}
        chain out {
          type filter hook output priority 0;
          icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
          ct direction reply accept
          oif lo tcp dport ${RPC_PORT} accept
          ip daddr ${PROXY_HOST} tcp dport ${proxyPort} counter name allowed accept
          counter name leaked drop
        }
      }`
    execFileSync(this.wrapper[0] as string, [...this.wrapper.slice(1), 'nft', '-f', '-'], { input: rules })
    this.#before = { allowed: 0, leaked: 0 }
  }

  /** Packets since it was last asked. */
  counted(): Counted {
    const { allowed, leaked } = this.#total()
    const since = { allowed: allowed - this.#before.allowed, leaked: leaked - this.#before.leaked }
    this.#before = { allowed, leaked }
    return since
  }

  dispose(): void {
    spawnSync('ip', ['netns', 'delete', NAMESPACE])
    spawnSync('ip', ['link', 'delete', OUTSIDE])
    rmSync(ETC, { recursive: true, force: true })
  }

  #total(): Counted {
    const text = this.#inside('nft list counters')
    const packets = (name: string): number =>
      Number(new RegExp(`counter ${name} \\{\\s*packets (\\d+)`).exec(text)?.[1] ?? Number.NaN)
    return { allowed: packets('allowed'), leaked: packets('leaked') }
  }

  #inside(line: string): string {
    return run(...([...this.wrapper, ...line.split(' ')] as [string, ...string[]]))
  }
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
