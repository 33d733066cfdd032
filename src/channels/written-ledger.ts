/**
 * Ledger of what we put into the folder of one subscription: files as they were
 * then, folders that we made, and the journal of renames under way.
 *
 * All of it stands in the table `written_files`. A path of a manifest holds no
 * control character and does not end in `/`, which leaves room for two more kinds
 * of row: a folder has the key `path/`, and a file that is about to be renamed into
 * place has the key U+0001 path, since the row of the file that it replaces must
 * outlive a crash between the two.
 *
 * @module channels/written-ledger
 */
import { EMPTY_BYTES, fromHex, toHex } from '../base/bytes.ts'
import type { State } from '../storage/state.ts'
import type { WrittenFile as WrittenRow } from '../storage/tables/written-files-table.ts'
import type { WrittenFile } from './assemble-plan.ts'
import { nextTurn } from './turns.ts'

const STAGED_PREFIX = '\u0001'
const FOLDER_SUFFIX = '/'
const IDENTITY_BYTES = 32

/** Rows read between two turns of the event loop, and written in one transaction. */
export const LEDGER_BATCH_ROWS = 1_000

export interface LedgerContent {
  readonly files: Map<string, WrittenFile>
  /** The empty path is the folder of the subscription itself. */
  readonly folders: Set<string>
  /** Files whose rename was about to happen when the process ended. */
  readonly staged: WrittenFile[]
}

/** What changes together, in one transaction. */
export interface LedgerChange {
  /** Renamed and durable: they take the place of their staged rows. */
  readonly confirm?: readonly WrittenFile[]
  /** Staged rows whose rename did not happen. */
  readonly unstage?: readonly string[]
  readonly forgetFiles?: readonly string[]
  readonly forgetFolders?: readonly string[]
}

export class WrittenLedger {
  readonly #state: Pick<State, 'database' | 'writtenFiles'>
  readonly #publicKey: Uint8Array

  constructor(state: Pick<State, 'database' | 'writtenFiles'>, publicKey: Uint8Array) {
    this.#state = state
    this.#publicKey = publicKey
  }

  /** Everything known, with pauses for others. Some 10 microseconds a row. */
  async load(): Promise<LedgerContent> {
    const content: LedgerContent = { files: new Map(), folders: new Set(), staged: [] }
    let rows = 0
    for (const row of this.#state.writtenFiles.list(this.#publicKey)) {
      if (row.path.startsWith(STAGED_PREFIX)) content.staged.push(fileOf(row, row.path.slice(1)))
      else if (row.path.endsWith(FOLDER_SUFFIX)) content.folders.add(row.path.slice(0, -1))
      else content.files.set(row.path, fileOf(row, row.path))
      rows += 1
      if (rows % LEDGER_BATCH_ROWS === 0) await nextTurn()
    }
    return content
  }

  /** Note what is about to be put in place: durable when it returns. */
  stage(files: readonly WrittenFile[], folders: readonly string[]): void {
    const rows = [
      ...files.map((file) => rowOf(file, STAGED_PREFIX + file.path, true)),
      ...folders.map(folderRow),
    ]
    if (rows.length > 0) this.#state.writtenFiles.save(this.#publicKey, rows)
  }

  change(change: LedgerChange): void {
    const confirmed = change.confirm ?? []
    const gone = [
      ...confirmed.map((file) => STAGED_PREFIX + file.path),
      ...(change.unstage ?? []).map((path) => STAGED_PREFIX + path),
      ...(change.forgetFiles ?? []),
      ...(change.forgetFolders ?? []).map((path) => path + FOLDER_SUFFIX),
    ]
    if (gone.length === 0) return
    this.#state.database.transaction(() => {
      this.#state.writtenFiles.remove(this.#publicKey, gone)
      this.#state.writtenFiles.save(
        this.#publicKey,
        confirmed.map((file) => rowOf(file, file.path, false)),
      )
    })
  }
}

function rowOf(file: WrittenFile, key: string, staged: boolean): WrittenRow {
  const identity = fromHex(file.identity, IDENTITY_BYTES)
  if (identity === null) throw new RangeError(`"identity" expected ${IDENTITY_BYTES} bytes of hex`)
  return { path: key, size: file.size, mtimeNs: file.mtimeNs, inode: file.inode, identity, staged }
}

function folderRow(path: string): WrittenRow {
  const key = path + FOLDER_SUFFIX
  return { path: key, size: 0, mtimeNs: '0', inode: '0', identity: EMPTY_BYTES, staged: false }
}

function fileOf(row: WrittenRow, path: string): WrittenFile {
  return { path, identity: toHex(row.identity), size: row.size, mtimeNs: row.mtimeNs, inode: row.inode }
}
