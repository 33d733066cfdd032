/**
 * The start of an assembly: mend what a crash left, look at the folder, decide.
 *
 * @module channels/assembly-start
 */
import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MegatorrentError } from '../base/errors.ts'
import type { Manifest } from '../wire/manifest.ts'
import { type AssemblePlan, type DiskNode, planSteps } from './assemble-plan.ts'
import type { DiskClaim, DiskClaims } from './disk-claims.ts'
import { readDiskState } from './disk-state.ts'
import { fileIdentity, type Selection, selectEntries } from './file-index.ts'
import { inTheWay } from './folder-commit.ts'
import { FOLDER_MODE, type FolderFs } from './folder-fs.ts'
import { recoverLedger } from './ledger-recovery.ts'
import { removeStaleStaging } from './staging.ts'
import { runInTurns } from './turns.ts'
import type { LedgerContent, WrittenLedger } from './written-ledger.ts'

/** What an assembly begins with. */
export interface AssemblyStart {
  /** Real path of the folder. */
  readonly directory: string
  readonly selection: Selection
  readonly content: LedgerContent
  readonly plan: AssemblePlan
  /** For the files that will be written: to be released by whoever got it. */
  readonly claim: DiskClaim
}

/**
 * Nothing of the release is written by this; the folder is made if it is missing.
 *
 * @throws MegatorrentError ERR_FOREIGN_FILE, ERR_DISK_FULL; errors of the system as they are.
 */
export async function startAssembly(options: {
  readonly fs: FolderFs
  readonly directory: string
  readonly manifest: Manifest
  readonly onlyGlobs: readonly string[]
  readonly ledger: WrittenLedger
  readonly minFreeBytes: number
  readonly claims: DiskClaims
}): Promise<AssemblyStart> {
  const { fs, manifest, ledger } = options
  const directory = await openDirectory(fs, options.directory, ledger)
  const content = await ledger.load()
  await recoverLedger(fs, directory, ledger, content)
  const selection = await selectEntries(manifest, options.onlyGlobs)
  await removeStaleStaging(fs, directory, (name) => isTaken(name, selection, content))
  const plan = await decide(fs, directory, manifest, selection, content)
  if (plan.foreign.length > 0) throw inTheWay(...plan.foreign)
  const claim = await claimRoom(fs, directory, plan, options)
  return { directory, selection, content, plan, claim }
}

/** The real path of the folder, which is made, and noted as ours, if it is missing. */
async function openDirectory(fs: FolderFs, directory: string, ledger: WrittenLedger): Promise<string> {
  if ((await fs.look(directory)) === null) {
    ledger.stage([], [''])
    await makeDirectory(fs, directory)
  }
  // The user may have named a symlink: it is followed here, once, and nowhere else.
  return realpath(directory)
}

async function makeDirectory(fs: FolderFs, directory: string): Promise<void> {
  const parent = dirname(directory)
  if ((await fs.look(parent)) === null) await makeDirectory(fs, parent)
  await fs.makeFolder(directory, FOLDER_MODE)
  await fs.syncFolder(await realpath(parent))
}

/** Names at the top of the folder that the release or the ledger has. */
function isTaken(name: string, selection: Selection, content: LedgerContent): boolean {
  const isBelow = (path: string): boolean => path === name || path.startsWith(`${name}/`)
  return (
    selection.files.some((file) => isBelow(file.path)) ||
    selection.emptyFolders.some(isBelow) ||
    [...content.files.keys()].some(isBelow) ||
    [...content.folders].some(isBelow)
  )
}

/** The sizes of a release are only claims: they are held against the disk before anything is done for each byte. */
async function claimRoom(
  fs: FolderFs,
  directory: string,
  plan: AssemblePlan,
  { minFreeBytes, claims }: { readonly minFreeBytes: number; readonly claims: DiskClaims },
): Promise<DiskClaim> {
  let bytes = 0
  for (const file of plan.write) bytes += file.size
  const { dev } = await stat(directory)
  const free = await fs.freeBytes(directory)
  // From here to the claim nobody else has a turn.
  if (bytes > 0 && bytes + minFreeBytes > free - claims.bytesOn(dev)) throw diskFull(bytes)
  return claims.claim(dev, bytes)
}

function diskFull(bytes: number): MegatorrentError {
  return new MegatorrentError(
    'ERR_DISK_FULL',
    `the release needs ${bytes} bytes and the disk has not got them: free some space, then it goes on`,
  )
}

async function decide(
  fs: FolderFs,
  directory: string,
  manifest: Manifest,
  selection: Selection,
  content: LedgerContent,
): Promise<AssemblePlan> {
  const paths = function* (): Generator<string> {
    for (const file of selection.files) yield file.path
    yield* selection.emptyFolders
    yield* content.files.keys()
    yield* content.folders
  }
  const disk: ReadonlyMap<string, DiskNode> = await readDiskState(fs, directory, paths())
  const steps = planSteps({
    files: selection.files,
    emptyFolders: selection.emptyFolders,
    identityOf: (file) => fileIdentity(manifest, file),
    isInRelease: (path) => manifest.indexOf(path) >= 0,
    written: content.files,
    madeFolders: new Set([...content.folders].filter((folder) => folder !== '')),
    onDisk: (path) => disk.get(path) ?? null,
  })
  return runInTurns(steps)
}
