/** File operations and ledger calls of an assembly, written down, and stopped at any one of them. */
import { type FolderFs, systemFolderFs } from '../../../src/channels/folder-fs.ts'
import type { LedgerChange, WrittenLedger } from '../../../src/channels/written-ledger.ts'
import { WrittenLedger as Ledger } from '../../../src/channels/written-ledger.ts'
import type { State } from '../../../src/storage/state.ts'

export class Crash extends Error {
  override readonly name = 'Crash'
}

/** Counts steps that change something; from step `stopAt` on nothing happens any more, as after kill -9. */
export class Steps {
  readonly log: string[] = []
  readonly #stopAt: number

  constructor(stopAt = Number.POSITIVE_INFINITY) {
    this.#stopAt = stopAt
  }

  get crashed(): boolean {
    return this.log.length >= this.#stopAt
  }

  step(what: string): void {
    if (this.crashed) throw new Crash(what)
    this.log.push(what)
  }
}

const LOOKS: ReadonlySet<string> = new Set(['look', 'list', 'freeBytes'])

/** The real file system, but syncs are not waited for: power does not fail during these tests. */
export const unsyncedFs: FolderFs = {
  ...systemFolderFs,
  syncFile: async (path) => (await systemFolderFs.look(path)) ?? { kind: 'other' },
  syncFolder: () => Promise.resolve(),
}

/** The real file system, step by step. Looking is no step, but does not go on after the crash either. */
export function stepFs(steps: Steps): FolderFs {
  return new Proxy(unsyncedFs, {
    get(target, name: keyof FolderFs & string) {
      const work = target[name] as (...given: unknown[]) => Promise<unknown>
      return async (...given: unknown[]) => {
        if (!LOOKS.has(name)) steps.step(`${name} ${given.slice(0, 2).join(' ')}`)
        else if (steps.crashed) throw new Crash(name)
        return work(...given)
      }
    },
  })
}

/** A ledger whose transactions are steps. */
export function stepLedger(steps: Steps, state: State, publicKey: Uint8Array): WrittenLedger {
  return new (class extends Ledger {
    override stage(...given: Parameters<WrittenLedger['stage']>): void {
      const [files, folders] = given
      for (const file of files) steps.step(`stage ${file.path}`)
      if (folders.length > 0) steps.step(`stage folders ${folders.join(' ')}`)
      super.stage(...given)
    }

    override change(change: LedgerChange): void {
      for (const file of change.confirm ?? []) steps.step(`confirm ${file.path}`)
      for (const path of change.forgetFiles ?? []) steps.step(`forget ${path}`)
      super.change(change)
    }
  })(state, publicKey)
}
