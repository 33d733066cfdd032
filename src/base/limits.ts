/**
 * Limits of this implementation: what others can make us spend.
 *
 * A change here is a release note; a change of what is on the wire belongs in
 * wire/constants.ts. Each row has its unit in the name or the comment, and its
 * reason. docs/LIMITS.md lists them all (test/lint/limits.test.ts compares).
 *
 * @module base/limits
 */

// crypto

/** Bytes that scrypt may take for one passphrase: a key file that asks for more is refused before any is taken. */
export const MAX_SCRYPT_MEMORY_BYTES = 268_435_456
/** Passes of scrypt over its memory: with the limit above some 5 s, once for each key file. */
export const MAX_SCRYPT_PARALLEL = 4

// transport

/** Bytes queued on a stream before writers wait. Two blob frames: one on its way while the next is sealed. */
export const WRITE_QUEUE_BYTES = 2_097_152
/** Connections the system holds for us before they are accepted. */
export const MAX_PENDING_ACCEPTS = 511
/** ms of silence before TCP asks whether the other side still lives. */
export const TCP_KEEP_ALIVE_MS = 60_000
/** ms for a TCP connection to come up. */
export const DIAL_TIMEOUT_MS = 10_000
/** ms from acceptance to the end of the handshake; all junk is closed exactly then. Slow lines need some seconds. */
export const HANDSHAKE_DEADLINE_MS = 10_000
/** Accepted connections that are still in the handshake; the oldest goes when one more comes. 9 KiB each. */
export const MAX_HALF_OPEN = 1_024
/** Trials of a first message against handshake keys, per second: some 15 us each, so a fifth of one core. */
export const HANDSHAKE_TRIALS_PER_SECOND = 12_000
/** Ephemeral keys remembered per handshake key: accepted ones only, so whoever fills it knows the key. */
export const MAX_REMEMBERED_EPHEMERALS = 4_096
/** Small frames queued towards a peer that does not read: 4 MiB, then the connection is closed. */
export const MAX_QUEUED_SMALL_BYTES = 4_194_304
/** Requests of one peer that wait for our answer; more are answered busy. */
export const MAX_OPEN_REQUESTS_PER_PEER = 64
/** ms for an answer to a request; then it is cancelled and asked elsewhere. */
export const REQUEST_TIMEOUT_MS = 30_000
/** Blob frames being received at a time over all connections: each has its buffer of 1 MiB. */
export const MAX_BLOBS_IN_FLIGHT = 48
/** ms without any frame sent before a PAD goes out: 50 peers then cost under 30 MB a day. */
export const IDLE_PAD_MS = 300_000
/** ms without any frame received before a connection counts as dead: two PADs and some. */
export const IDLE_CLOSE_MS = 780_000

// swarm

/** Blobs of one release: 4 TiB. A set of them is a bit each, so a peer's claims cost at most 512 KiB. */
export const MAX_BLOBS_PER_RELEASE = 4_194_304
/** Open blobs looked at for the rarest one: enough to find rare ones, and a pick stays quick. */
export const PICK_SAMPLE = 32
/** ms that a peer has a blob to itself before an idle one is asked for it too. */
export const SECOND_SOURCE_MS = 4_000
/** Addresses kept for one channel; the worst one makes room. */
export const MAX_ADDRESSES_PER_CHANNEL = 256
/** ms before an address that failed once is dialled again; doubles with each failure. */
export const DIAL_BACKOFF_FIRST_MS = 2_000
/** ms at most between two tries of an address. */
export const DIAL_BACKOFF_MAX_MS = 600_000
/** Failures in a row after which an address that no user gave is forgotten. */
export const MAX_DIAL_FAILURES = 6
/** Connections being made at a time: each holds a socket and a timer. */
export const MAX_DIALS = 16
/** Connections that a channel wants; more may come in. */
export const TARGET_PEERS_PER_CHANNEL = 8
/** Requests in flight to one peer that has earned them. */
export const MAX_WINDOW = 8
/** Blobs of 1 MiB being sealed and sent at a time over all connections. */
export const MAX_UPLOADS = 6
/** ms at least between two HELLOs on a connection that tell of news. */
export const MIN_HELLO_INTERVAL_MS = 100
/** ms in which blobs that arrived are gathered into one HAVE. */
export const HAVE_INTERVAL_MS = 250
/** Releases of one channel of which a peer's holdings are remembered. */
export const MAX_RELEASES_PER_PEER = 3
/** ms that a peer which sent a false blob stays banned. */
export const BAN_MS = 3_600_000
/** ms that an inbound address stays banned, since others may share it. */
export const INBOUND_BAN_MS = 300_000

// wire

/** Parts of a manifest: 512 MiB of description, twice what 1,000,000 files over 1 TiB take. */
export const MAX_MANIFEST_PARTS = 512
/** Entries of a manifest, fragments of one file counted once: some 60 bytes of memory each and the path. */
export const MAX_MANIFEST_ENTRIES = 2_000_000
/** Blobs of a release: 2 TiB. 64 bytes of memory each and the index. */
export const MAX_MANIFEST_BLOBS = 2_097_152
/** Extents of a manifest: two an entry; 16 bytes of memory each. */
export const MAX_MANIFEST_EXTENTS = 4_000_000
/** Bytes of all paths of a manifest: 134 each for 1,000,000 files. Held in memory as they are. */
export const MAX_MANIFEST_PATH_BYTES = 134_217_728
/** Different folders above the entries of a manifest: a path of 4,096 bytes can name 2,047 of them. */
export const MAX_MANIFEST_FOLDERS = 2_000_000
/** Characters of a link: some thirty addresses with node keys. It is parsed before anything is known of it. */
export const MAX_LINK_CHARS = 8_192
/** Addresses in a link, peers and gateways together: each is a dial, and an onion a check of its key. */
export const MAX_LINK_ADDRESSES = 32
