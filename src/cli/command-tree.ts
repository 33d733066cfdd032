/**
 * The command line as data, for what is made from it: completions and the manual. Pure.
 *
 * @module cli/command-tree
 */
import type { Argument, Command, Option } from 'commander'

export interface CommandNode {
  /** Words after the program's name; '' for the program itself. */
  readonly path: string
  readonly name: string
  readonly description: string
  /** As they stand in a usage line. */
  readonly arguments: readonly string[]
  /** Its own; those of the program hold for all. */
  readonly options: readonly OptionNode[]
  readonly children: readonly CommandNode[]
}

export interface OptionNode {
  /** `--title` */
  readonly long: string
  /** `<title>`, or '' for a switch. */
  readonly argument: string
  readonly description: string
}

/** Without what is hidden: commands and flags that are refused. */
export function commandTree(program: Command): CommandNode {
  return nodeOf(program, '')
}

/** The node itself and all below it, each before its children. */
export function allNodes(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(allNodes)]
}

function nodeOf(command: Command, path: string): CommandNode {
  const help = command.createHelp()
  return {
    path,
    name: command.name(),
    description: command.description(),
    arguments: command.registeredArguments.map(argumentText),
    options: help.visibleOptions(command).filter(isNamed).map(optionNode),
    children: help
      .visibleCommands(command)
      .filter((child) => child.name() !== 'help')
      .map((child) => nodeOf(child, path === '' ? child.name() : `${path} ${child.name()}`)),
  }
}

function isNamed(option: Option): boolean {
  return option.long !== undefined && option.long !== null
}

function optionNode(option: Option): OptionNode {
  const argument = /<[^>]*>|\[[^\]]*\]/.exec(option.flags)?.[0] ?? ''
  return { long: option.long ?? '', argument, description: option.description }
}

function argumentText(argument: Argument): string {
  const name = argument.name() + (argument.variadic ? '...' : '')
  return argument.required ? `<${name}>` : `[${name}]`
}
