/**
 * Protocol constants: a change here is a new protocol version.
 *
 * Each stands in the table of PROTOCOL_FINAL.md §2 with the same name and value;
 * test/lint/protocol-constants.test.ts compares them.
 *
 * @module wire/constants
 */

/** What HELLO offers (§7.2). */
export const PROTOCOL_VERSION = 1

// Keys and days (§3)
/** A day of slots, topics and handshake keys: UTC, whole days since 1970. */
export const DAY_MS = 86_400_000
/** Replicas of a day's slot. Whoever owns the nodes near one of them does not own the others. */
export const SLOT_REPLICAS = 3
/** Either side of midnight UTC, ms, in which both days count. */
export const DAY_OVERLAP_MS = 10_800_000

// Blob (§4.1)
/** Plaintext in one blob. */
export const CHUNK_BYTES = 1_048_576
export const AEAD_TAG_BYTES = 16
/** CHUNK_BYTES + AEAD_TAG_BYTES. */
export const BLOB_BYTES = 1_048_592
/** SHA-256 of the sealed bytes. */
export const BLOB_ID_BYTES = 32
/** Id and key of a blob, as manifests and heads carry them. */
export const BLOB_REF_BYTES = 64

// Manifest (§4.2)
export const MANIFEST_VERSION = 1
export const MAX_TITLE_BYTES = 1024
export const MAX_PATH_BYTES = 4096
export const MAX_PATH_PART_BYTES = 255

// Head and slot (§4.3, §5)
export const HEAD_VERSION = 1
export const HEAD_BYTES = 568
/** What the signature covers, after its domain. */
export const HEAD_SIGNED_BYTES = 454
/** Bit of the flags: there is nothing published on the channel any more. */
export const HEAD_FLAG_UNPUBLISHED = 1
export const MAX_HEAD_ADDRESSES = 8
/** Type, host, port. */
export const ADDRESS_BYTES = 38
/** Nonce 24, sealed head 568, tag 16. */
export const SLOT_VALUE_BYTES = 608
/** Slots signed ahead (§5.4). */
export const SLOT_SET_VERSION = 1
/** Version, first day, days, head. */
export const SLOT_SET_HEADER_BYTES = 575
/** A year, and time to notice: 75 KiB, and 2 s of one core to make or to verify. */
export const MAX_SLOT_SET_DAYS = 400
/** Slot version = release number * REVISIONS_PER_RELEASE + revision. */
export const REVISIONS_PER_RELEASE = 65_536
/** 2^36 - 1: then slot versions stay below 2^52 and seq below 2^53. */
export const MAX_RELEASE_NUMBER = 68_719_476_735
/** Offsets of seq are drawn from [0, 2^40). */
export const SEQ_OFFSET_BITS = 40

// Bundle (§8)
export const BUNDLE_VERSION = 1
/** Magic, version, A, read key, signature of the open item, number of blobs: what stands before the slot set. */
export const BUNDLE_HEADER_BYTES = 141
/** Id and sealed bytes of a blob. */
export const BUNDLE_RECORD_BYTES = 1_048_624

// Handshake (§6)
export const HANDSHAKE_PAYLOAD_1_BYTES = 64
export const HANDSHAKE_PAYLOAD_2_BYTES = 160
export const HANDSHAKE_PAYLOAD_3_BYTES = 160
/** Ephemeral 32, payload 64, tag 16. */
export const HANDSHAKE_MESSAGE_1_BYTES = 112
/** Ephemeral 32, static 48, payload 160, tag 16. */
export const HANDSHAKE_MESSAGE_2_BYTES = 256
/** Static 48, payload 160, tag 16. */
export const HANDSHAKE_MESSAGE_3_BYTES = 224
/** Hours that the hour in message 1 may be off. */
export const HANDSHAKE_HOUR_TOLERANCE = 3
/** How long an accepted ephemeral key is remembered: the whole window in which its hour is valid. */
export const EPHEMERAL_MEMORY_HOURS = 7

// Frames (§6.4)
/** A small frame on the wire: sealed. */
export const SMALL_FRAME_BYTES = 1024
/** Plaintext of a small frame. */
export const SMALL_FRAME_PLAIN_BYTES = 1008
export const FRAME_HEADER_BYTES = 8
/** Body bytes that one small frame carries. */
export const FRAME_BODY_BYTES = 1000
/** A blob frame on the wire: one blob, sealed again. */
export const BLOB_FRAME_BYTES = 1_048_608
/** Frames, per direction, between two rekeys. */
export const REKEY_INTERVAL_FRAMES = 1024
/** A message spans at most this many small frames. */
export const MAX_MESSAGE_FRAGMENTS = 64

// Messages (§7)
/** Places for tags in a HELLO. */
export const HELLO_PLACES = 56
export const HELLO_PLACE_BYTES = 16
/** Bit of the features of a HELLO: on a relay connection, its sender stays and takes ANNOUNCE (§7.7). */
export const HELLO_NEIGHBOUR = 1
/** Handle of a channel on one connection. */
export const CHANNEL_HANDLE_BYTES = 16
export const TOPIC_BYTES = 20
/** Ranges in one HAVE: 33 small frames. */
export const MAX_HAVE_RANGES = 4096
/** Addresses in one PEERS: a few, and any number of them fits into one small frame. */
export const MAX_PEERS_ADDRESSES = 16
/** Topic 20, onion key 32, port 2, day 4, until 4, nonce 8, signature 64. */
export const ONION_STATEMENT_BYTES = 134
/** Statements in one ANNOUNCE: what fits into one small frame. */
export const MAX_ANNOUNCE_STATEMENTS = 7
/** Times that a statement is handed on in the flood. */
export const MAX_ANNOUNCE_HOPS = 64
/** Proof of work in front of a PUBLISH. */
export const PUBLISH_NONCE_BYTES = 8
/** Leading zero bits that every gateway may ask of a PUBLISH: some 65,000 tries, a tenth of a second. */
export const PUBLISH_WORK_BITS = 16
/** More than this nobody may ask: some 16 million tries, half a minute. */
export const MAX_PUBLISH_WORK_BITS = 24
/** KiB of memory that a gateway may ask for one try of a puzzle: 64 MiB, which every machine has to spare. */
export const MAX_PUZZLE_MEMORY_KIB = 65_536
/** KiB that solving it may write on average, over all tries and passes: 4 GiB, some ten seconds of one core. */
export const MAX_PUZZLE_COST_KIB = 4_194_304
/** ms ahead to which an item may be kept: three days and DAY_OVERLAP_MS, for the slots of tomorrow and the day after. */
export const MAX_PUBLISH_AHEAD_MS = 270_000_000
/** Bytes of the value of an item in PUBLISH or DATA: BEP 44's 1,000 without the length before them. */
export const MAX_PUBLISH_VALUE_BYTES = 996
/** Blobs named in one KEEP: 256 MiB, in nine small frames. */
export const MAX_KEEP_IDS = 256
/** ms ahead to which a gateway keeps blobs: 30 days. */
export const MAX_KEEP_AHEAD_MS = 2_592_000_000
/** Values in the answer to one question for a slot: only its owner can have signed several. */
export const MAX_SLOT_ITEMS = 4
/** Leading zero bits of the hash that a statement's nonce makes: some 260,000 tries. */
export const ANNOUNCE_WORK_BITS = 18
