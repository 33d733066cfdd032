/**
 * Removing what we wrote, for `unsubscribe --delete-files`: files that nobody
 * changed since, folders that we made and that are empty then. All else stays.
 *
 * @module channels/unassemble
 */
import { realpath } from 'node:fs/promises'
import { diskError } from '../storage/disk-error.ts'
import { planAssembly } from './assemble-plan.ts'
import { readDiskState } from './disk-state.ts'
import { FolderCommit } from './folder-commit.ts'
import { type FolderFs, systemFolderFs } from './folder-fs.ts'
import { recoverLedger } from './ledger-recovery.ts'
import { removeStaleStaging } from './staging.ts'
import type { WrittenLedger } from './written-ledger.ts'

/**
 * Remove from `directory` what the ledger says is ours; the ledger knows nothing of it then.
 *
 * @returns how many files were removed, and how many had been changed or were gone and are left alone.
 * @throws MegatorrentError of kind 'storage'.
 */
export async function removeWritten(
  directory: string,
  ledger: WrittenLedger,
  fs: FolderFs = systemFolderFs,
): Promise<{ readonly deleted: number; readonly left: number }> {
  try {
    const content = await ledger.load()
    const isThere = (await fs.look(directory)) !== null
    const real = isThere ? await realpath(directory) : directory
    if (isThere) {
      await recoverLedger(fs, real, ledger, content)
      await removeStaleStaging(fs, real, (name) => content.files.has(name) || content.folders.has(name))
    }
    const paths = [...content.files.keys(), ...content.folders]
    const disk = await readDiskState(fs, real, paths)
    const plan = planAssembly({
      files: [],
      emptyFolders: [],
      identityOf: () => '',
      isInRelease: () => false,
      written: content.files,
      madeFolders: content.folders,
      onDisk: (path) => disk.get(path) ?? null,
    })
    await new FolderCommit(fs, real, ledger, content.files).run(plan, [])
    return { deleted: plan.dropFiles.length, left: plan.forgetFiles.length }
  } catch (error) {
    throw diskError(error, `removing files from ${directory}`)
  }
}
