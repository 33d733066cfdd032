/** Completions, as the shells make them of our scripts. */
import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { allNodes } from '../../../src/cli/command-tree.ts'
import { completionScript, SHELLS } from '../../../src/cli/completion.ts'
import { describeProgram } from '../../../src/cli/program.ts'
import { run } from './run.ts'

const PROGRAM = describeProgram()
const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0

/** What bash offers for the last of these words. */
function bash(words: readonly string[]): readonly string[] {
  const script = `${completionScript('bash', PROGRAM)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _megatorrent
for word in "\${COMPREPLY[@]}"; do printf '%s\\n' "$word"; done`
  const out = execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' })
  return out.split('\n').filter((line) => line !== '')
}

function fish(line: string): readonly string[] {
  const script = `${completionScript('fish', PROGRAM)}\ncomplete -C "$argv[1]"`
  const out = execFileSync('fish', ['--no-config', '-c', script, line], { encoding: 'utf8' })
  return out
    .split('\n')
    .filter((each) => each !== '')
    .map((each) => each.split('\t')[0] as string)
}

describe.skipIf(!has('bash'))('bash (needs bash)', () => {
  it.each([
    [['megatorrent', 'chan'], ['channel']],
    [['megatorrent', 'channel', 'e'], ['export']],
    [['megatorrent', '--json', 'peers', 'u'], ['unban']],
    [['megatorrent', 'publish', '--re'], ['--rehash']],
    [
      ['megatorrent', 'publish', './folder', '--ti'],
      ['--timeout', '--title'],
    ],
    [['megatorrent', 'publish', 'chan'], []], // a path: the shell's own
    [['megatorrent', 'subscribe', '--dir', '--'], []], // a value
    [['megatorrent', 'publish', 'channel', 'c'], []], // a folder of that name is no command
  ])('%j', (words, offered) => {
    expect([...bash(words)].sort()).toEqual(offered)
  })

  it('offers every command and flag that there is', () => {
    for (const node of allNodes(PROGRAM)) {
      const at = ['megatorrent', ...node.path.split(' ').filter((word) => word !== '')]
      expect(bash([...at, '']), node.path).toEqual(node.children.map((child) => child.name))
      expect(bash([...at, '--']), node.path).toEqual(
        expect.arrayContaining(node.options.map(({ long }) => long)),
      )
    }
  })
})

describe.skipIf(!has('fish'))('fish (needs fish)', () => {
  it.each([
    ['megatorrent channel e', ['export']],
    ['megatorrent publish --re', ['--rehash']],
    ['megatorrent peers ', ['add', 'ban', 'unban']],
  ])('%s', (line, offered) => {
    expect([...fish(line)].sort()).toEqual(offered)
  })
})

describe.skipIf(!has('zsh'))('zsh (needs zsh)', () => {
  it('reads its script', () => {
    const checked = spawnSync('zsh', ['-n'], { input: completionScript('zsh', PROGRAM), encoding: 'utf8' })
    expect([checked.stderr, checked.status]).toEqual(['', 0])
  })
})

describe('the command', () => {
  it.each(SHELLS)('prints the script for %s', async (shell) => {
    expect((await run(['completion', shell])).stdout).toBe(completionScript(shell, PROGRAM))
  })

  it('refuses another shell and says which there are', async () => {
    const refused = await run(['completion', 'tcsh'])
    expect([refused.exitCode, refused.stderr]).toEqual([64, expect.stringContaining('bash, zsh, fish')])
  })

  it('offers nothing that is refused', () => {
    for (const shell of SHELLS) expect(completionScript(shell, PROGRAM)).not.toContain('qbt-proxy')
  })
})
