/**
 * Ledger recovery: renames that were under way when the process ended have happened
 * or have not; the file itself tells.
 *
 * @module channels/ledger-recovery
 */
import { isUntouched, type WrittenFile } from './assemble-plan.ts'
import { readDiskState } from './disk-state.ts'
import type { FolderFs } from './folder-fs.ts'
import type { LedgerContent, WrittenLedger } from './written-ledger.ts'

/** Settle the staged rows, in the ledger and in `content`. Running it again changes nothing. */
export async function recoverLedger(
  fs: FolderFs,
  directory: string,
  ledger: WrittenLedger,
  content: LedgerContent,
): Promise<void> {
  const { staged } = content
  if (staged.length === 0) return
  const disk = await readDiskState(
    fs,
    directory,
    staged.map((file) => file.path),
  )
  const confirm: WrittenFile[] = []
  const unstage: string[] = []
  for (const file of staged) {
    if (isUntouched(file, disk.get(file.path) ?? null)) confirm.push(file)
    else unstage.push(file.path)
  }
  // What was renamed just before a power cut need not be durable yet.
  const folders = new Set(confirm.map(({ path }) => path.slice(0, Math.max(0, path.lastIndexOf('/')))))
  for (const folder of folders) await fs.syncFolder(folder === '' ? directory : `${directory}/${folder}`)
  ledger.change({ confirm, unstage })
  for (const file of confirm) content.files.set(file.path, file)
  staged.length = 0
}
