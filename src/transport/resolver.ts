/**
 * Host names to addresses: the only file that asks the system's resolver.
 *
 * Only what a user typed or a link names is ever a name. A node in safe mode does
 * not load this file: there, names go to the proxy.
 *
 * @module transport/resolver
 */
import { lookup } from 'node:dns/promises'
import { MegatorrentError } from '../base/errors.ts'

/**
 * All addresses of a host, as the system orders them.
 *
 * @throws MegatorrentError ERR_NAME_NOT_RESOLVED (network).
 */
export async function resolveHost(host: string): Promise<readonly string[]> {
  try {
    const found = await lookup(host, { all: true })
    return found.map(({ address }) => address)
  } catch (error) {
    throw new MegatorrentError('ERR_NAME_NOT_RESOLVED', 'a host name has no address', { cause: error })
  }
}

/** IPv4 addresses only: the DHT speaks nothing else. */
export async function resolveHostIpv4(host: string): Promise<readonly string[]> {
  const all = await resolveHost(host)
  return all.filter((address) => !address.includes(':'))
}
