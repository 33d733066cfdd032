/**
 * `completion SHELL`: a script that completes commands and flags.
 *
 * @module cli/commands/completion
 */
import type { Command } from 'commander'
import { commandTree } from '../command-tree.ts'
import { completionScript, SHELLS } from '../completion.ts'
import { usageError } from '../errors.ts'
import type { CliIo } from '../io.ts'

/** Needs no daemon. */
export function addCompletion(program: Command, io: CliIo): void {
  program
    .command('completion')
    .description('print a script that completes commands and flags in a shell')
    .argument('<shell>', SHELLS.join(', '))
    .action((name: string) => {
      const shell = SHELLS.find((each) => each === name)
      if (shell === undefined) throw usageError(`completion is for ${SHELLS.join(', ')}`)
      io.stdout.write(completionScript(shell, commandTree(program)))
    })
}
