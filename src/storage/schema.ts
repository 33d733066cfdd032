/**
 * The tables, as a list of scripts: number n leads from version n to n + 1.
 *
 * A script that was released is never edited, only followed by another. Tables
 * are STRICT, so a value of the wrong type is refused where it is written.
 * Times are ms since 1970, keys and ids byte strings, flags 0 or 1.
 *
 * @module storage/schema
 */

const VERSION_1 = `
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- The authority for "held": a row is written after its file is durable.
CREATE TABLE blobs (
  id BLOB PRIMARY KEY CHECK (length(id) = 32),
  stored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE channels (
  public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
  name TEXT NOT NULL UNIQUE,
  private INTEGER NOT NULL,
  open INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  published_ingest TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  sequence INTEGER NOT NULL,
  root_id BLOB NOT NULL CHECK (length(root_id) = 32),
  revision INTEGER NOT NULL,
  head BLOB NOT NULL,
  signed_at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  refreshed_at INTEGER NOT NULL,
  conflict INTEGER NOT NULL,
  PRIMARY KEY (public_key, sequence, root_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
  public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
  uri TEXT NOT NULL,
  read_key BLOB NOT NULL CHECK (length(read_key) = 32),
  directory TEXT NOT NULL,
  only_globs TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('follow', 'once')),
  state TEXT NOT NULL,
  paused INTEGER NOT NULL,
  added_at INTEGER NOT NULL,
  complete_sequence INTEGER NOT NULL,
  error_code TEXT,
  error_message TEXT,
  title TEXT
) STRICT, WITHOUT ROWID;

-- Files of a subscription that we wrote. staged = 1: about to be renamed into place, so that a file
-- which was renamed just before a crash is still known as ours.
CREATE TABLE written_files (
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns TEXT NOT NULL,
  inode TEXT NOT NULL,
  identity BLOB NOT NULL,
  staged INTEGER NOT NULL,
  PRIMARY KEY (public_key, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX written_files_staged ON written_files (public_key, path) WHERE staged = 1;

CREATE TABLE slots (
  slot_key BLOB PRIMARY KEY CHECK (length(slot_key) = 32),
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  day INTEGER NOT NULL,
  replica INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  signature BLOB NOT NULL,
  head BLOB NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX slots_by_day ON slots (public_key, day, replica);

CREATE TABLE pending_puts (
  public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
  sequence INTEGER NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ingests (
  id TEXT PRIMARY KEY,
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  root_id BLOB NOT NULL CHECK (length(root_id) = 32),
  root_key BLOB NOT NULL CHECK (length(root_key) = 32),
  stats TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ingests_by_channel ON ingests (public_key, created_at);

-- Where an ingest put each piece (the part of a file that fills no chunk), for the next one to keep its place.
CREATE TABLE pieces (
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  ingest_id TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  size INTEGER NOT NULL,
  extents BLOB NOT NULL,
  PRIMARY KEY (public_key, ingest_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE ephemerals (
  key_id BLOB NOT NULL,
  ephemeral BLOB NOT NULL,
  hour INTEGER NOT NULL,
  PRIMARY KEY (key_id, ephemeral)
) STRICT, WITHOUT ROWID;
CREATE INDEX ephemerals_by_hour ON ephemerals (hour);

CREATE TABLE bans (
  subject TEXT PRIMARY KEY,
  until INTEGER NOT NULL,
  reason TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

const ACCESS_KEYS = `
-- Only hashes: the keys themselves are with those who were given them.
CREATE TABLE access_keys (
  key_id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  label TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

const SOURCE_MEMORY = `
-- What the newest ingest of a channel found on the disk, for the next one to read only what changed.
CREATE TABLE source_memory (
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  page INTEGER NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (public_key, page)
) STRICT;

-- In place of a row a piece. What an earlier version kept is dropped: the next release lays its pieces anew, once.
DROP TABLE pieces;
CREATE TABLE piece_pages (
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  ingest_id TEXT NOT NULL,
  page INTEGER NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (public_key, ingest_id, page)
) STRICT;
`

const ANCHORS = `
-- Peers to connect to first after a restart. An address is text as people write it.
CREATE TABLE anchors (
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  address TEXT NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY (public_key, address)
) STRICT, WITHOUT ROWID;
`

/** Channels that are hosted are rows of `subscriptions` too: a CHECK can only be changed with its table. */
const HOSTED = `
CREATE TABLE subscriptions_2 (
  public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
  uri TEXT NOT NULL,
  read_key BLOB NOT NULL CHECK (length(read_key) = 32),
  directory TEXT NOT NULL,
  only_globs TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('follow', 'once', 'host')),
  state TEXT NOT NULL,
  paused INTEGER NOT NULL,
  added_at INTEGER NOT NULL,
  complete_sequence INTEGER NOT NULL,
  error_code TEXT,
  error_message TEXT,
  title TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO subscriptions_2 SELECT
  public_key, uri, read_key, directory, only_globs, kind, state, paused, added_at, complete_sequence,
  error_code, error_message, title FROM subscriptions;
DROP TABLE subscriptions;
ALTER TABLE subscriptions_2 RENAME TO subscriptions;
`

const SLOT_SETS = `
-- Slots signed ahead, for a channel whose publisher is gone.
CREATE TABLE slot_sets (
  public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
  head_hash BLOB NOT NULL CHECK (length(head_hash) = 32),
  content BLOB NOT NULL
) STRICT;
`

const GATEWAY_ITEMS = `
-- Items that a gateway keeps for others. Nothing says whose they are or who gave them.
CREATE TABLE gateway_items (
  slot_key BLOB PRIMARY KEY CHECK (length(slot_key) = 32),
  seq INTEGER NOT NULL,
  signature BLOB NOT NULL CHECK (length(signature) = 64),
  value BLOB NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

const TOKENS = `
-- Only hashes, as of access keys. scopes: separated by commas.
CREATE TABLE tokens (
  name TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;
`

const BLOB_ORIGINS = `
-- By which channels a blob came, in safe mode. What one of them knows to be held says nothing of the others.
CREATE TABLE blob_origins (
  blob_id BLOB NOT NULL CHECK (length(blob_id) = 32),
  public_key BLOB NOT NULL CHECK (length(public_key) = 32),
  PRIMARY KEY (blob_id, public_key)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER blob_origins_gone AFTER DELETE ON blobs BEGIN
  DELETE FROM blob_origins WHERE blob_id = OLD.id;
END;
`

const GATEWAY_BLOBS = `
-- Blobs that a gateway keeps for others. Nothing says whose they are or who gave them.
CREATE TABLE gateway_blobs (
  id BLOB PRIMARY KEY CHECK (length(id) = 32),
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

/** See `DatabaseOptions.migrations`. */
export const MIGRATIONS: readonly string[] = [
  ...[VERSION_1, ACCESS_KEYS, SOURCE_MEMORY, ANCHORS, HOSTED],
  SLOT_SETS,
  GATEWAY_ITEMS,
  TOKENS,
  BLOB_ORIGINS,
  GATEWAY_BLOBS,
]
