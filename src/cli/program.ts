/**
 * The command line: commands and options as INTERFACE.md names them, made with
 * commander; flags of `serve` come from the schema of settings.
 *
 * @module cli/program
 */
import { Command, CommanderError, type Option } from 'commander'
import { printableJson } from '../base/printable.ts'
import { VERSION } from '../base/version.ts'
import { type CommandNode, commandTree } from './command-tree.ts'
import * as channel from './commands/channel.ts'
import { addCompletion } from './commands/completion.ts'
import { showConfig } from './commands/config.ts'
import { doctor } from './commands/doctor.ts'
import * as jobs from './commands/jobs.ts'
import { limits } from './commands/limits.ts'
import * as node from './commands/node.ts'
import { ingest, publish, unpublish } from './commands/publish.ts'
import * as subscriptions from './commands/subscriptions.ts'
import * as token from './commands/token.ts'
import { web } from './commands/web.ts'
import { type CommandContext, createContext, type SharedOptions } from './context.ts'
import { runDemo } from './demo.ts'
import { CliError, detailsOf, errorDocument, errorLine, exitCodeOfError, usageError } from './errors.ts'
import type { CliIo } from './io.ts'
import { addSettingFlags, flagsOf, repeatedOption } from './setting-flags.ts'

/** Commands of the contract that are not in this version: refused, so that no script believes they worked. */
export const LATER_COMMANDS = ['unlock', 'watch', 'qbt-proxy', 'qbt-install'] as const

/**
 * Run one command line.
 *
 * @param args - What stands after the program's name.
 * @returns The exit code. Never rejects.
 */
export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  const outcome = { exitCode: 0 }
  const program = createProgram(io, outcome)
  try {
    await program.parseAsync(args, { from: 'user' })
    return outcome.exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0 // help or version was printed
    const failure = error instanceof CommanderError ? fromCommander(error, program, args) : error
    const details = detailsOf(failure)
    if (args.includes('--json')) io.stdout.write(`${printableJson(errorDocument(details))}\n`)
    io.stderr.write(errorLine(details))
    return exitCodeOfError(details, io.signal.aborted)
  }
}

/** Commander's own messages, as one line that says what to do. */
function fromCommander(error: CommanderError, program: Command, args: readonly string[]): CliError {
  // As far as there are commands of that name: values of options stand between them.
  const names = [program.name()]
  let command = program
  for (const arg of args) {
    const named = command.commands.find((candidate) => candidate.name() === arg)
    if (named === undefined) continue
    names.push(arg)
    command = named
  }
  const help = `${names.join(' ')} --help`
  const text = error.message.replace(/^error: /, '').trim()
  const message = text === '' || text === '(outputHelp)' ? 'no command given' : text
  return usageError(`${message}; see "${help}"`)
}

interface Outcome {
  exitCode: number
}

/** What a command does. */
type Run<A extends readonly unknown[]> = (context: CommandContext, ...args: A) => Promise<void>

/** The command line as data. Streams and the rest are touched when a command runs, and none does. */
export function describeProgram(): CommandNode {
  return commandTree(createProgram({} as CliIo, { exitCode: 0 }))
}

function createProgram(io: CliIo, outcome: Outcome): Command {
  const program = new Command('megatorrent')
    .description('Publish a folder under a key, follow it from anywhere: no server, no account, no name.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: () => {}, // told by runCli, in one line
      getOutHelpWidth: () => io.stdout.columns ?? 100,
    })
    .option('--data-dir <dir>', 'data folder of the daemon')
    .option('--rpc-url <url>', 'call the daemon there (with --rpc-token-file)')
    .option('--rpc-token-file <file>', 'file with its token')
    .option('--json', 'one JSON document on stdout')
    .option('--quiet', 'no progress, no remarks')

  /** Options are the last argument but one that commander passes, the command itself the last. */
  const client = <A extends readonly unknown[]>(command: Command, run: Run<A>): Command =>
    command.action(async (...passed: unknown[]) => {
      const self = passed.pop() as Command
      passed.pop()
      const options = self.optsWithGlobals<SharedOptions>()
      const context = createContext(io, options)
      try {
        await run(context, ...([...passed, options] as unknown as A))
      } finally {
        context.progress.end()
      }
    })
  const waiting = (command: Command, usual = 'never'): Command =>
    command.option('--timeout <seconds>', `give up after so long (default: ${usual})`)

  addServe(program, io, outcome)
  addChannels(program, client)
  addTokens(program, client)

  client(
    waiting(program.command('ingest'))
      .description('cut and seal a file or folder, publish nothing')
      .argument('<path>')
      .option('--channel <name>', 'channel to seal it for (not needed when there is exactly one)')
      .option('--rehash', 'read also what did not change by its size, times and inode'),
    ingest,
  )
  client(
    waiting(program.command('publish'), '60, for the confirmation')
      .description('publish a file, a folder or an earlier ingest as the next release of a channel')
      .argument('[path-or-ingest-id]')
      .option('--channel <name>', 'channel to publish on (not needed when there is exactly one)')
      .option('--title <title>', 'title of the release')
      .option('--rehash', 'read also what did not change by its size, times and inode')
      .option(
        '--bundle <file>',
        'sign it here, without daemon or network, into a new file for another machine',
      )
      .option(
        '--since <sequence>',
        'with --bundle: without the blobs of that release, which the receiver holds',
      )
      .option('--after <sequence>', 'with --bundle and an imported key: the newest release that others have')
      .option('--passphrase-file <file>', 'with --bundle: unlocks encrypted keys')
      .option('--from-bundle <file>', 'publish what such a file holds; no key is needed'),
    publish,
  )
  client(
    waiting(program.command('unpublish'), '60, for the confirmation')
      .description('take a channel back: nothing of it is served or fetched any more by those who hear of it')
      .argument('<name>'),
    unpublish,
  )
  client(
    waiting(program.command('subscribe'))
      .description('follow a link: fetch its newest release, and each one after it')
      .argument('<uri>')
      .option('--dir <dir>', 'where its files go')
      .addOption(onlyOption())
      .option('--all', 'all files again, after --only')
      .option('--wait', 'return when the newest release is complete'),
    subscriptions.subscribe,
  )
  client(
    program
      .command('unsubscribe')
      .description('stop following or hosting; files stay')
      .argument('<uri-or-key>')
      .option('--delete-files', 'delete the files that were fetched and not changed since, and the blobs'),
    subscriptions.unsubscribe,
  )
  client(
    program
      .command('pause')
      .description('fetch nothing of it any more, until resume; what is here is still given to others')
      .argument('<uri-or-key>'),
    subscriptions.pause,
  )
  client(
    program.command('resume').description('go on with what was paused').argument('<uri-or-key>'),
    subscriptions.resume,
  )
  const listed = program.command('subscriptions').description('what is followed, and how far it is')
  client(listed, subscriptions.listSubscriptions)
  client(listed.command('show').description('one of them').argument('<key>'), subscriptions.showSubscription)
  client(
    waiting(program.command('get'))
      .description('fetch the newest release of a link once')
      .argument('<uri>')
      .option('--dir <dir>', 'where its files go')
      .addOption(onlyOption()),
    subscriptions.get,
  )
  client(
    waiting(program.command('ls')).description('files of the newest release of a link').argument('<uri>'),
    subscriptions.listFiles,
  )

  client(
    waiting(program.command('host'))
      .description('keep a channel alive without reading it')
      .argument('<uri>')
      .option('--wait', 'return when the newest release is held whole'),
    subscriptions.host,
  )
  client(
    program.command('releases').description('known releases of a channel').argument('<key-or-uri>'),
    subscriptions.listReleases,
  )

  client(program.command('status').description('what this node is and does'), node.status)
  const peers = program.command('peers').description('peers of this node')
  client(peers.option('--banned', 'those that are not talked to, and until when'), node.listPeers)
  client(peers.command('add').description('stay connected to a peer').argument('<address>'), node.addPeer)
  client(peers.command('ban').description('refuse a node key').argument('<key>'), node.banPeer)
  client(peers.command('unban').description('accept it again').argument('<key-or-address>'), node.unbanPeer)
  client(program.command('web').description('print a link that opens the web page, once'), web)
  const work = program.command('jobs').description('long work in the daemon, also of commands that are gone')
  client(work, jobs.listJobs)
  client(work.command('cancel').description('stop one of them').argument('<id>'), jobs.cancelJob)
  client(
    program
      .command('limits')
      .description('rates and connections of the daemon: shown, or changed at once and for good')
      .option('--upload-limit <rate>', 'most bytes a second to send to peers; 0 is unlimited')
      .option('--download-limit <rate>', 'most bytes a second to receive from peers; 0 is unlimited')
      .option('--max-peers <n>', 'most connections to other peers at a time'),
    limits,
  )
  client(
    waiting(program.command('verify')).description('hash all held blobs, fetch bad ones again'),
    node.verify,
  )
  client(waiting(program.command('gc')).description('remove the blobs that nothing needs'), node.gc)
  client(waiting(program.command('health'), '5').description('does the daemon answer?'), node.health)
  client(waiting(program.command('stop'), '15').description('stop the daemon'), node.stop)

  program
    .command('demo')
    .description('publish, follow and update a folder on a private network of real processes')
    .option('--keep', 'keep the files and say where they are')
    .action(async (_options, self: Command) => {
      outcome.exitCode = await runDemo(io, self.optsWithGlobals())
    })
  addCompletion(program, io)
  for (const name of LATER_COMMANDS) addLater(program, name)
  return program
}

type ClientCommand = <A extends readonly unknown[]>(command: Command, run: Run<A>) => Command

function addChannels(program: Command, client: ClientCommand): void {
  const group = program.command('channel').description('identities to publish under')
  client(
    group
      .command('create')
      .description('make a new channel key')
      .argument('<name>')
      .option('--private', 'only who has the link can find or read it')
      .option('--open', 'also findable by its public key alone, readable by anyone'),
    channel.createChannel,
  )
  client(group.command('list').description('all channels whose keys are held'), channel.listChannels)
  client(
    group.command('show').description('one of them, with its link').argument('<name>'),
    channel.showChannel,
  )
  client(
    group
      .command('export')
      .description('write the key to a new file: who has it can publish')
      .argument('<name>')
      .argument('<file>')
      .option('--words', 'as words for paper')
      .option('--passphrase-file <path>', 'seal it under the passphrase in that file'),
    channel.exportChannel,
  )
  client(
    group
      .command('import')
      .description('take a key from a file of any form that export writes, also of words that were typed in')
      .argument('<file>')
      .option('--name <name>', 'call it so here')
      .option('--passphrase-file <path>', 'file with the passphrase that it is sealed under'),
    channel.importChannel,
  )
  client(
    group
      .command('remove')
      .description('forget the key for good')
      .argument('<name>')
      .option('--yes', 'yes, for good'),
    channel.removeChannel,
  )
}

function addTokens(program: Command, client: ClientCommand): void {
  const group = program.command('token').description('what programs are given that call the daemon')
  client(
    group
      .command('create')
      .description('make a token, which is shown this once')
      .argument('<name>')
      .addOption(
        repeatedOption('--scope <scope>', 'what it may do: read (default), subscribe, publish or admin'),
      )
      .option('--days <n>', 'worthless after so many days (default: when it is revoked)')
      .option('--file <file>', 'write it to a new file that only you can read'),
    token.createToken,
  )
  client(group.command('list').description('all of them, without what is secret'), token.listTokens)
  client(group.command('revoke').description('make one worthless').argument('<name>'), token.revokeToken)
}

function addServe(program: Command, io: CliIo, outcome: Outcome): void {
  const serve = program.command('serve').description('run the daemon')
  addSettingFlags(serve)
  serve.action(async (_options, self: Command) => {
    refuseClientOptions(self)
    outcome.exitCode = await io.serve(flagsOf(self))
  })

  const config = program.command('config').description('settings of the daemon')
  const show = config
    .command('show')
    .description('what serve would run with')
    .option('--origin', 'say where each value came from')
  addSettingFlags(show)
  show.action(async (_options, self: Command) => {
    refuseClientOptions(self)
    await showConfig(io, flagsOf(self), self.optsWithGlobals())
  })

  const examined = program
    .command('doctor')
    .description('what could keep a node from working here, and what to do; takes the flags of serve')
  addSettingFlags(examined)
  examined.action(async (_options, self: Command) => {
    refuseClientOptions(self)
    outcome.exitCode = await doctor(io, flagsOf(self), self.optsWithGlobals())
  })
}

function onlyOption(): Option {
  return repeatedOption('--only <glob>', 'only files whose whole path matches')
}

function refuseClientOptions(command: Command): void {
  const { rpcUrl, rpcTokenFile } = command.optsWithGlobals<SharedOptions>()
  if (rpcUrl === undefined && rpcTokenFile === undefined) return
  throw usageError(
    `${command.name()} does not take --rpc-url and --rpc-token-file: they call a daemon that runs`,
  )
}

function addLater(program: Command, name: string): void {
  program
    .command(name, { hidden: true })
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .argument('[args...]')
    .action(() => {
      const message = `"${name}" is not in this version yet; see "megatorrent --help" for what is`
      throw new CliError({ code: 'ERR_NOT_IN_VERSION', kind: 'usage', message })
    })
}
