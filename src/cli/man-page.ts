/**
 * The manual page, made from the command line itself: `npm run docs` writes it, a test
 * compares. Pure.
 *
 * @module cli/man-page
 */
import { KIND_NUMBERS } from '../rpc/schema/kinds.ts'
import { allNodes, type CommandNode, type OptionNode } from './command-tree.ts'

/** Of the last change of commands: a page has one, and the same page must come of the same code. */
const DATE = '2026-11-28'

export function manPage(program: CommandNode, version: string): string {
  const commands = allNodes(program).filter((node) => node !== program)
  return [
    `.TH MEGATORRENT 1 ${DATE} "megatorrent ${roff(version)}" "User Commands"`,
    '.SH NAME',
    'megatorrent \\- anonymous, torrent-style publishing of folders that update',
    '.SH SYNOPSIS',
    '.B megatorrent',
    '[\\fIoption\\fR ...] \\fIcommand\\fR [\\fIargument\\fR ...]',
    '.SH DESCRIPTION',
    roff(program.description),
    'A daemon does the work; commands ask it by JSON-RPC.',
    '.SH OPTIONS',
    'These hold for all commands that ask a daemon.',
    ...program.options.flatMap(optionLines),
    '.SH COMMANDS',
    ...commands.flatMap(commandLines),
    '.SH EXIT STATUS',
    ...Object.entries(KIND_NUMBERS).flatMap(([kind, { exit }]) => ['.TP', `.B ${exit}`, roff(kind)]),
    '.SH FILES',
    '.TP',
    '.I ~/.local/share/megatorrent',
    'The data folder, unless \\fB\\-\\-data\\-dir\\fR or MEGATORRENT_DATA_DIR says otherwise.',
    'Settings are in \\fIconfig.toml\\fR there.',
    '.SH ENVIRONMENT',
    'Each setting of the daemon has a variable: MEGATORRENT_MAX_PEERS for \\fB\\-\\-max\\-peers\\fR.',
    '',
  ].join('\n')
}

function commandLines(node: CommandNode): readonly string[] {
  const usage = [`\\fB${roff(node.path)}\\fR`, ...node.arguments.map((text) => `\\fI${roff(text)}\\fR`)]
  const options = node.options.filter((option) => option.long !== '--help')
  return [
    '.TP',
    usage.join(' '),
    sentence(node.description),
    ...(options.length === 0 ? [] : ['.RS', ...options.flatMap(optionLines), '.RE']),
  ]
}

function optionLines({ long, argument, description }: OptionNode): readonly string[] {
  const value = argument === '' ? '' : ` \\fI${roff(argument)}\\fR`
  return ['.TP', `\\fB${roff(long)}\\fR${value}`, sentence(description)]
}

function sentence(text: string): string {
  const line = roff(text)
  return line.endsWith('.') ? line : `${line}.`
}

/** Nothing in it is taken for a request or an escape, and a hyphen is one that can be copied. */
function roff(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-')
  return /^[.']/.test(plain) ? `\\&${plain}` : plain
}
