#!/usr/bin/env node
/**
 * The program: arguments, environment, signals and exit codes end here, and
 * nowhere below is any of them read.
 *
 * @module bin/megatorrent
 */
import { fileURLToPath } from 'node:url'
import { type Clock, systemClock } from '../src/base/clock.ts'
import type { Log } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { runCli } from '../src/cli/program.ts'

/** Keys, blobs and what is fetched belong to this user alone. */
process.umask(0o077)

/** Waiting commands have nothing else that keeps the process alive. */
const waitingClock: Clock = {
  ...systemClock,
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
}

const interrupted = new AbortController()
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second one does not wait for anything.
    if (interrupted.signal.aborted) process.exit(128 + SIGNAL_NUMBERS[signal])
    interrupted.abort(signal)
  })
}
// Who reads us may go away first: that is no reason to end a daemon, and commands have nobody left to tell.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

/** Signals and errors that come from outside of any call, once there is a log to tell. */
function watchDaemon(log: Log): void {
  process.on('SIGHUP', () => {}) // before there is something to reload it must not end us
  process.on('unhandledRejection', (reason) => {
    const stack = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
    log.error('a fault of ours: nobody handled a rejection', { stack })
  })
  process.on('uncaughtException', (error) => {
    log.error('a fault of ours: nobody caught an error; stopping', { stack: error.stack ?? error.message })
    process.exitCode = 1
    interrupted.abort(error)
  })
}

const exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  callerFolder: process.cwd(),
  clock: waitingClock,
  random: systemRandom,
  signal: interrupted.signal,
  self: [process.execPath, fileURLToPath(import.meta.url)],
  examine: async (flags) => {
    const { examine } = await import('./doctor.ts')
    const sources = { flags, environment: process.env, callerFolder: process.cwd() }
    return examine(sources, process.getuid?.() ?? null)
  },
  signOffline: async (flags, request) => {
    const { signOffline } = await import('./sign-offline.ts')
    return signOffline(flags, request, {
      environment: process.env,
      callerFolder: process.cwd(),
      stopSignal: interrupted.signal,
      writeLog: (line) => void process.stderr.write(line),
    })
  },
  serve: async (flags) => {
    // Loaded here and not above: a client command needs none of it, and starts in half the time.
    const { serve } = await import('./serve.ts')
    return serve(flags, {
      environment: process.env,
      callerFolder: process.cwd(),
      pid: process.pid,
      isRoot: process.getuid?.() === 0,
      stopSignal: interrupted.signal,
      writeOut: (line) => void process.stdout.write(line),
      writeLog: (line) => void process.stderr.write(line),
      onLog: watchDaemon,
      onReload: (reload) => void process.on('SIGHUP', reload),
      abandon: (code) => process.exit(code),
    })
  },
})
process.exitCode ||= exitCode

// Everything has ended, so nothing should keep the process: if something does, it is not waited for.
const LAST_HANDLES_MS = 1_000
setTimeout(() => process.exit(), LAST_HANDLES_MS).unref()
