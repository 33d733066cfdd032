/**
 * The database of a node with its tables: everything that is not a blob or a key.
 *
 * @module storage/state
 */
import { Database, encryptDatabaseFile } from './database.ts'
import { isPlainDatabase } from './database-error.ts'
import { MIGRATIONS } from './schema.ts'
import { AccessKeysTable } from './tables/access-keys-table.ts'
import { AnchorsTable } from './tables/anchors-table.ts'
import { BansTable } from './tables/bans-table.ts'
import { BlobOriginsTable } from './tables/blob-origins-table.ts'
import { BlobsTable } from './tables/blobs-table.ts'
import { ChannelsTable } from './tables/channels-table.ts'
import { EphemeralsTable } from './tables/ephemerals-table.ts'
import { GatewayBlobsTable } from './tables/gateway-blobs-table.ts'
import { GatewayItemsTable } from './tables/gateway-items-table.ts'
import { IngestsTable } from './tables/ingests-table.ts'
import { MetaTable } from './tables/meta-table.ts'
import { PendingPutsTable } from './tables/pending-puts-table.ts'
import { PiecesTable } from './tables/pieces-table.ts'
import { ReleasesTable } from './tables/releases-table.ts'
import { SlotSetsTable } from './tables/slot-sets-table.ts'
import { SlotsTable } from './tables/slots-table.ts'
import { SourceMemoryTable } from './tables/source-memory-table.ts'
import { SubscriptionsTable } from './tables/subscriptions-table.ts'
import { TokensTable } from './tables/tokens-table.ts'
import { WrittenFilesTable } from './tables/written-files-table.ts'

/** One transaction may span several tables: `state.database.transaction`. */
export interface State {
  readonly database: Database
  readonly meta: MetaTable
  readonly blobs: BlobsTable
  readonly blobOrigins: BlobOriginsTable
  readonly channels: ChannelsTable
  readonly releases: ReleasesTable
  readonly subscriptions: SubscriptionsTable
  readonly writtenFiles: WrittenFilesTable
  readonly slots: SlotsTable
  readonly slotSets: SlotSetsTable
  readonly pendingPuts: PendingPutsTable
  readonly ingests: IngestsTable
  readonly pieces: PiecesTable
  readonly sourceMemory: SourceMemoryTable
  readonly ephemerals: EphemeralsTable
  readonly bans: BansTable
  readonly accessKeys: AccessKeysTable
  readonly anchors: AnchorsTable
  readonly gatewayItems: GatewayItemsTable
  readonly gatewayBlobs: GatewayBlobsTable
  readonly tokens: TokensTable
  /** Idempotent. */
  close(): void
}

/**
 * Open or make `megatorrent.db`.
 *
 * @param key - 32 bytes of `Keystore.databaseKey()`, or null for a plain file. A plain file that meets a
 *   key for the first time is encrypted.
 * @throws as `Database.open`.
 */
export function openState(path: string, key: Uint8Array | null): State {
  if (key !== null && isPlainDatabase(path)) encryptDatabaseFile(path, key)
  const database = Database.open({ path, key: key ?? undefined, migrations: MIGRATIONS })
  return {
    database,
    meta: new MetaTable(database),
    blobs: new BlobsTable(database),
    blobOrigins: new BlobOriginsTable(database),
    channels: new ChannelsTable(database),
    releases: new ReleasesTable(database),
    subscriptions: new SubscriptionsTable(database),
    writtenFiles: new WrittenFilesTable(database),
    slots: new SlotsTable(database),
    slotSets: new SlotSetsTable(database),
    pendingPuts: new PendingPutsTable(database),
    ingests: new IngestsTable(database),
    pieces: new PiecesTable(database),
    sourceMemory: new SourceMemoryTable(database),
    ephemerals: new EphemeralsTable(database),
    bans: new BansTable(database),
    accessKeys: new AccessKeysTable(database),
    anchors: new AnchorsTable(database),
    gatewayItems: new GatewayItemsTable(database),
    gatewayBlobs: new GatewayBlobsTable(database),
    tokens: new TokensTable(database),
    close: () => database.close(),
  }
}

/** Forget a subscription and all that is kept for its sake, in one transaction. */
export function dropSubscription(state: State, publicKey: Uint8Array): void {
  state.database.transaction(() => {
    state.subscriptions.remove(publicKey)
    state.writtenFiles.removeAll(publicKey)
    state.anchors.prune()
    state.slotSets.prune()
  })
}
