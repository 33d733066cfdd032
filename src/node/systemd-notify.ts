/**
 * Tells systemd that the daemon is ready, or stops, where it was started as a unit of
 * Type=notify. By systemd-notify, since Node has no datagram sockets of this kind.
 *
 * @module node/systemd-notify
 */
import { execFile } from 'node:child_process'
import { SYSTEMD_NOTIFY_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'

/** Where systemd-notify is looked for: the PATH of the daemon is not asked. */
const PATH = '/usr/bin:/bin:/usr/sbin:/sbin'

/**
 * Resolves when it was told, or when that failed, which is logged: a daemon that works is
 * not ended because nobody hears that it does.
 *
 * @param socket - NOTIFY_SOCKET; undefined: nobody asked.
 * @param fields - Such as `READY=1`.
 */
export function notifySystemd(
  socket: string | undefined,
  fields: readonly string[],
  log: Log,
): Promise<void> {
  if (socket === undefined || socket === '') return Promise.resolve()
  return new Promise((resolve) => {
    const env = { PATH, NOTIFY_SOCKET: socket }
    execFile('systemd-notify', [...fields], { env, timeout: SYSTEMD_NOTIFY_MS }, (error) => {
      if (error !== null) log.warn('systemd was not told', { fields: fields.join(' '), why: error.message })
      resolve()
    })
  })
}
