/**
 * Tor's control port, as the settings name it, and the onion services that are made by it: of the channels in
 * safe mode, of the gateway in direct mode.
 *
 * @module node/onion-control
 */
import { MegatorrentError } from '../base/errors.ts'
import { readFileIfExists } from '../storage/atomic-file.ts'
import { COOKIE_BYTES } from '../transport/onion/control-auth.ts'
import { OnionServices } from '../transport/onion/onion-services.ts'
import { TorControl, type TorControlOptions } from '../transport/onion/tor-control.ts'
import type { Dialer } from '../transport/transport.ts'
import type { NetworkDeps } from './network.ts'
import { readSecretLine } from './secret-line.ts'

/** Of every onion: a number of its own would tell which of them are ours. */
export const ONION_PORT = 7117

const NONCE_BYTES = 32

/** What is told over a control connection, and its end. */
type Heard = Pick<TorControlOptions, 'signal' | 'onPublished' | 'onClosed'>

/**
 * How to log in at the control port.
 *
 * @param dialer - dials this machine.
 * @returns null where no control port is named.
 * @throws MegatorrentError ERR_CONFIG_VALUE (config) for a file of the password that cannot be used.
 */
export function controlOpener(
  { config, clock, random }: Pick<NetworkDeps, 'config' | 'clock' | 'random'>,
  dialer: Dialer,
): ((heard: Heard) => Promise<TorControl>) | null {
  const { torControl, torControlPasswordFile } = config
  if (torControl === null) return null
  const password = torControlPasswordFile === null ? null : readSecretLine(torControlPasswordFile)
  if (torControlPasswordFile !== null && password === null) {
    throw new MegatorrentError(
      'ERR_CONFIG_VALUE',
      'the file of --tor-control-password-file is missing or is not text',
    )
  }
  return (heard) =>
    TorControl.open({
      ...heard,
      ...{ dialer, endpoint: torControl, clock, password, readCookie },
      nonce: random.bytes(NONCE_BYTES),
    })
}

/** As `controlOpener`, for onion services. */
export function openOnions(deps: NetworkDeps, dialer: Dialer): OnionServices | null {
  const open = controlOpener(deps, dialer)
  if (open === null) return null
  return new OnionServices({ open, clock: deps.clock, log: deps.log.child('tor') })
}

async function readCookie(path: string): Promise<Uint8Array> {
  const bytes = readFileIfExists(path, COOKIE_BYTES)
  if (bytes === null) throw new Error('there is no such file')
  return bytes
}
