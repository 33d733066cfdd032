/**
 * Plays a recording up to moments at which the power fails, makes each state that it may leave in
 * a fresh folder, and has it checked.
 */
import { linkSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { seededRandom } from '../../../src/base/random.ts'
import { checkDisk, statIfThere, type Verdict } from './check.ts'
import { type CrashState, crashState } from './crash-state.ts'
import { DiskModel, type Inode, type Sync } from './disk-model.ts'
import { type Fact, type Recording, sha256, workFolder } from './recording.ts'

export interface ReplayOptions {
  readonly seed: number
  readonly states: number
  /** Only this one: a failure is looked at again. */
  readonly only?: number
  /** False for syncs that are left out, to see that this is noticed. */
  readonly isSynced?: (sync: Sync) => boolean
  /** Stop at the first fault. */
  readonly isEnough?: boolean
  /** Moments before this fact are passed over, by its kind. */
  readonly from?: string
  /** And those after the next of this kind. */
  readonly until?: string
  /** What is done with each state. */
  readonly check?: typeof checkDisk
}

export interface Outcome extends Verdict {
  readonly state: number
  /** Place in the recording, and the call that had just ended there. */
  readonly moment: string
  readonly choice: string
}

export async function replay(recording: Recording, options: ReplayOptions): Promise<Outcome[]> {
  const player = new Player(recording, options)
  return player.play()
}

class Player {
  readonly #recording: Recording
  readonly #options: ReplayOptions
  readonly #model: DiskModel
  /** How files looked when they were synced. */
  readonly #looks = new Map<Inode, { readonly inode: string; readonly mtimeNs: string }>()
  /** Content that many states share, made once: a state links to it. By content key. */
  readonly #shared = new Map<string, { readonly path: string; readonly hash: string }>()
  readonly #folder: string

  constructor(recording: Recording, options: ReplayOptions) {
    this.#recording = recording
    this.#options = options
    this.#model = new DiskModel(join(recording.folder, 'disk'), options.isSynced)
    this.#folder = workFolder()
  }

  async play(): Promise<Outcome[]> {
    const { calls, facts } = this.#recording
    const { states, seed, only, isEnough } = this.#options
    const outcomes: Outcome[] = []
    const moments = this.#moments(states, seed)
    let told = 0
    let state = 0
    try {
      for (const [index, call] of calls.entries()) {
        this.#model.apply(call)
        while (facts[told] !== undefined && (facts[told] as { end: number }).end <= call.end) {
          this.#note((facts[told] as { fact: Fact }).fact)
          told += 1
        }
        for (; moments[state] === index; state++) {
          if (only !== undefined && only !== state) continue
          const choice = crashState(this.#model, seededRandom(seed * 1_000_003 + state))
          const verdict = await this.#check(choice, told)
          const path = call.args.find((arg) => typeof arg !== 'string')?.subarray(0, 200)
          const moment = `call ${index}, ${call.name} ${String(path ?? call.args[0]).replaceAll(/[^ -~]/g, '.')}`
          outcomes.push({ ...verdict, state, moment, choice: choice.choice })
          if (isEnough === true && verdict.faults.length > 0) return outcomes
        }
      }
      return outcomes
    } finally {
      rmSync(this.#folder, { recursive: true, force: true })
    }
  }

  /** Calls after which the power fails: spread over all that change something, in order. */
  #moments(states: number, seed: number): number[] {
    const probe = new DiskModel(join(this.#recording.folder, 'disk'))
    const { from, until } = this.#bounds()
    const changing: number[] = []
    for (const [index, call] of this.#recording.calls.entries()) {
      const isChange = probe.apply(call) || (call.name === 'write' && call.args[0] === '1')
      if (isChange && call.end >= from && call.end <= until) changing.push(index)
    }
    const random = seededRandom(seed)
    return Array.from({ length: states }, (_, state) => {
      const at = Math.floor(((state + random.fraction()) / states) * changing.length)
      return changing[at] as number
    })
  }

  #bounds(): { readonly from: number; readonly until: number } {
    const { facts } = this.#recording
    const from = facts.find(({ fact }) => fact.fact === this.#options.from)?.end ?? 0
    const last = facts.find(({ fact, end }) => fact.fact === this.#options.until && end > from)
    return { from, until: last?.end ?? Number.POSITIVE_INFINITY }
  }

  #note(fact: Fact): void {
    if (fact.fact !== 'synced') return
    const inode = this.#model.find(fact.path.slice(join(this.#recording.folder, 'disk').length))
    if (inode !== null) this.#looks.set(inode, { inode: fact.inode, mtimeNs: fact.mtimeNs })
  }

  async #check(state: CrashState, told: number): Promise<Verdict> {
    const disk = mkdtempSync(join(this.#folder, 'state-'))
    const facts = this.#recording.facts.map(({ fact }) => fact)
    const inodes = this.#materialise(disk, state)
    const hashes = new Map([...this.#shared.values()].map(({ path, hash }) => [inodeOf(path), hash]))
    try {
      return await (this.#options.check ?? checkDisk)({
        disk,
        facts: facts.slice(0, told),
        allFacts: facts,
        blobs: this.#recording.blobs,
        looked: (real) => {
          const inode = inodes.get(real)
          return inode === undefined ? null : (this.#looks.get(inode) ?? null)
        },
        knownHash: (path) => {
          const real = statIfThere(path)?.ino
          return real === undefined ? null : (hashes.get(String(real)) ?? null)
        },
      })
    } finally {
      rmSync(disk, { recursive: true, force: true })
    }
  }

  /** @returns what each file was in the recording, by its inode now. */
  #materialise(disk: string, { folders, files }: CrashState): Map<string, Inode> {
    for (const path of folders) mkdirSync(join(disk, path), { mode: 0o700 })
    const inodes = new Map<string, Inode>()
    const first = new Map<Inode, string>()
    for (const { path, inode, content, contentKey } of files) {
      const target = join(disk, path)
      const same = first.get(inode)
      if (same !== undefined) {
        linkSync(same, target)
        continue
      }
      first.set(inode, target)
      // Databases and keys are written in place: each state needs its own.
      const isShared = contentKey !== null && /^(files|data\/blobs)\//.test(path) && content.length > 0
      if (isShared) linkSync(this.#sharedFile(contentKey, content), target)
      else writeFileSync(target, content, { mode: 0o600 })
      inodes.set(inodeOf(target), inode)
    }
    return inodes
  }

  #sharedFile(key: string, content: Buffer): string {
    let shared = this.#shared.get(key)
    if (shared === undefined) {
      shared = { path: join(this.#folder, `content-${key}`), hash: sha256(content) }
      mkdirSync(dirname(shared.path), { recursive: true })
      writeFileSync(shared.path, content, { mode: 0o600 })
      this.#shared.set(key, shared)
    }
    return shared.path
  }
}

function inodeOf(path: string): string {
  return statSync(path, { bigint: true }).ino.toString()
}

/** What went wrong, with all that repeats it. */
export function describeFaults(outcomes: readonly Outcome[], seed: number): string[] {
  return outcomes
    .filter(({ faults }) => faults.length > 0)
    .map(({ state, moment, choice, faults }) =>
      [`SEED=${seed} STATE=${state}`, `after ${moment}`, choice, ...faults].join('\n  '),
    )
}
