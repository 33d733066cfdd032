/**
 * What a trace by `strace -f` shows of a process that may speak to one proxy and to nobody else. Pure.
 */

/** Calls to be traced. */
export const TRACED = 'socket,connect,bind,sendto,sendmsg,sendmmsg,openat'

/** The part of the program that knows datagrams and names: the test looks into it, and into the others. */
export const DIRECT_PART = 'part-direct-network.js'

/**
 * Files that are read to find a name, and the code that speaks past a proxy. Not resolv.conf: node
 * reads it, and asks the kernel for its interfaces, when it first listens anywhere.
 */
const FORBIDDEN_FILES = [
  /\/etc\/(?:hosts|gai\.conf)$/,
  /libnss_|nscd/,
  new RegExp(`/dist/bin/${DIRECT_PART}$`),
]

export interface Way {
  readonly host: string
  readonly port: number
}

/** @param proxy - the one way out. @returns lines that should not be there. */
export function syscallFaults(trace: string, proxy: Way): string[] {
  return trace.split('\n').filter((line) => {
    const call = /^\d+\s+([a-z0-9_]+)\(/.exec(line)?.[1]
    if (call === 'socket') return !/socket\((?:AF_UNIX|AF_NETLINK|AF_INET6?, SOCK_STREAM)/.test(line)
    if (call === 'openat') {
      const path = /"([^"]*)"/.exec(line)?.[1] ?? ''
      return !line.includes('ENOENT') && FORBIDDEN_FILES.some((forbidden) => forbidden.test(path))
    }
    if (call === 'bind') return line.includes('AF_INET') && !isLoopback(line)
    if (call === 'connect' || call?.startsWith('send')) {
      if (line.includes('AF_UNIX')) return true
      return line.includes('AF_INET') && !leadsTo(line, proxy)
    }
    return false
  })
}

const isLoopback = (line: string): boolean => /inet_addr\("127\.|inet_pton\(AF_INET6, "::1"/.test(line)

const leadsTo = (line: string, { host, port }: Way): boolean =>
  line.includes(`inet_addr("${host}")`) && line.includes(`sin_port=htons(${port})`)
