/**
 * Completions for bash, zsh and fish, made from the command line itself. Pure.
 *
 * Each script walks over the words that are there to find which command they name, then
 * offers what may follow. Where a value is expected it offers files, as a shell does.
 *
 * @module cli/completion
 */
import { allNodes, type CommandNode, type OptionNode } from './command-tree.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

export function completionScript(shell: Shell, program: CommandNode): string {
  return { bash, zsh, fish }[shell](program)
}

/** Commands by their path, with the options that may stand after each. */
function placesOf(
  program: CommandNode,
): readonly { readonly node: CommandNode; readonly options: readonly OptionNode[] }[] {
  const shared = program.options.filter((option) => option.long !== '--version')
  return allNodes(program).map((node) => ({
    node,
    options: node === program ? node.options : [...node.options, ...shared].filter(isFirst),
  }))
}

/** `--help` is an option of each command. */
function isFirst(option: OptionNode, at: number, all: readonly OptionNode[]): boolean {
  return all.findIndex((each) => each.long === option.long) === at
}

/** Every path with a command below it, as `path name`: what may follow what. */
function stepsOf(program: CommandNode): readonly string[] {
  return allNodes(program).flatMap((node) => node.children.map((child) => `${node.path} ${child.name}`))
}

function valueFlags(program: CommandNode): readonly string[] {
  const options = allNodes(program).flatMap((node) => node.options)
  return [...new Set(options.filter((option) => option.argument !== '').map((option) => option.long))]
}

/** Within single quotes of sh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function bash(program: CommandNode): string {
  const cases = placesOf(program).map(({ node, options }) => {
    const commands = node.children.map((child) => child.name).join(' ')
    const flags = options.map((option) => option.long).join(' ')
    return `    ${quoted(node.path)}) commands=${quoted(commands)}; options=${quoted(flags)} ;;`
  })
  return `# Completion of megatorrent for bash. To use it: source <(megatorrent completion bash)
_megatorrent() {
  local current=\${COMP_WORDS[COMP_CWORD]} at='' commands='' options='' word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$at $word" in
      ${stepsOf(program).map(quoted).join(' | ')}) at=\${at:+$at }$word ;;
    esac
  done
  # A value is expected: files, which is what the shell offers by itself.
  case \${COMP_WORDS[COMP_CWORD - 1]} in
    ${valueFlags(program).join(' | ')}) return ;;
  esac
  case $at in
${cases.join('\n')}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  fi
}
complete -o default -F _megatorrent megatorrent
`
}

function zsh(program: CommandNode): string {
  const described = (name: string, description: string): string =>
    quoted(`${name.replaceAll(':', '\\:')}:${description}`)
  const cases = placesOf(program).map(({ node, options }) => {
    const commands = node.children.map((child) => described(child.name, child.description))
    const flags = options.map((option) => described(option.long, option.description))
    return `    ${quoted(node.path)})
      commands=(${commands.join(' ')})
      options=(${flags.join(' ')}) ;;`
  })
  return `#compdef megatorrent
# Completion of megatorrent for zsh. To use it: source <(megatorrent completion zsh)
_megatorrent() {
  local at='' word
  local -a commands options
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      ${stepsOf(program)
        .map((step) => `(${quoted(step)})`)
        .join('|')}) at=\${at:+$at }$word ;;
    esac
  done
  case $words[CURRENT-1] in
    ${valueFlags(program).join('|')}) _files; return ;;
  esac
  case $at in
${cases.join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe option options
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}
if [[ $funcstack[1] == _megatorrent ]]; then
  _megatorrent "$@"
else
  compdef _megatorrent megatorrent
fi
`
}

function fish(program: CommandNode): string {
  const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = placesOf(program).flatMap(({ node, options }) => {
    const here = `complete -c megatorrent -n ${fishQuoted(`__megatorrent_is_at '${node.path}'`)}`
    return [
      ...node.children.map((child) => `${here} -f -a ${child.name} -d ${fishQuoted(child.description)}`),
      ...options.map((option) => {
        const value = option.argument === '' ? '' : ' -r'
        return `${here} -l ${option.long.slice(2)}${value} -d ${fishQuoted(option.description)}`
      }),
    ]
  })
  return `# Completion of megatorrent for fish. To use it: megatorrent completion fish | source
function __megatorrent_is_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case ${stepsOf(program).map(fishQuoted).join(' ')}
                set at (string trim "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end
${lines.join('\n')}
`
}
